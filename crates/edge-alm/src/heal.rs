//! The heal machine that peers agree on: duplicates, silence, and the set of parents that a caller edits.
//!
//! It reports and never acts: what it says repeats at every tick until an outcome is applied. The machine that acts on
//! its own, and that knows what this one does not (proof before a mark, damping, live backups), is [`crate::mesh`].

use std::collections::{BTreeMap, BTreeSet};

use crate::recent::Recent;

/// Chunks that a ring remembers unless it is told otherwise.
pub const RING_CAPACITY: usize = 1024;
/// Silence of a parent, in ms, that is still life; one more is not.
pub const SILENCE_MS: u64 = 1500;
/// Most parents of a subscription; further ones are not taken.
pub const PARENTS_MAX: usize = 64;

/// What an arriving chunk is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Observation {
    /// Not seen before, or so long ago that the ring has forgotten it.
    FirstDelivery,
    /// Seen before.
    Duplicate,
    /// From somebody who is not subscribed to; nothing changed.
    UnknownParent,
}

/// What a tick asks of the caller.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action<P> {
    /// A parent is silent.
    ReParent {
        /// The parent.
        dead: P,
    },
    /// Every parent is silent.
    UpstreamRebuildRequired,
}

/// What the caller did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome<P> {
    /// Subscribed to a parent, which counts as never heard.
    AddParent(P),
    /// Subscribed to a parent, which counts as heard at this time, in ms.
    AddParentAt(P, u64),
    /// Ended a subscription. A primary stays the primary.
    RemoveParent(P),
    /// Made a parent the primary; the former one becomes the first backup, subscribed to or not.
    PromoteToPrimary(P),
}

/// The parents of one receiver for one stream or path. `P` names a parent; its order is that of its bytes.
#[derive(Debug)]
pub struct Subscription<P> {
    primary: P,
    backups: Vec<P>,
    active: BTreeSet<P>,
    heard_ms: BTreeMap<P, u64>,
    ring: Recent<(u64, u64)>,
}

impl<P: Clone + Ord> Subscription<P> {
    /// Subscribes to the primary and all backups, none of them heard yet. At most [`PARENTS_MAX`] are taken.
    pub fn new(primary: P, mut backups: Vec<P>, ring_capacity: usize) -> Self {
        backups.truncate(PARENTS_MAX - 1);
        let active: BTreeSet<P> = backups.iter().cloned().chain([primary.clone()]).collect();
        let heard_ms = active.iter().map(|parent| (parent.clone(), 0)).collect();
        Self { primary, backups, active, heard_ms, ring: Recent::new(ring_capacity) }
    }

    /// Takes note of a chunk that `parent` sent at `now_ms`; a duplicate shows life too.
    pub fn observe_chunk(&mut self, parent: &P, epoch: u64, seq: u64, now_ms: u64) -> Observation {
        if !self.active.contains(parent) {
            return Observation::UnknownParent;
        }
        self.heard_ms.insert(parent.clone(), now_ms);
        match self.ring.insert((epoch, seq)) {
            true => Observation::FirstDelivery,
            false => Observation::Duplicate,
        }
    }

    /// Names the silent parents in their order, and asks for a rebuild if there is no other. Changes nothing.
    pub fn tick(&self, now_ms: u64) -> Vec<Action<P>> {
        let cutoff_ms = now_ms.saturating_sub(SILENCE_MS);
        let is_silent = |parent: &&P| self.heard_ms.get(parent).copied().unwrap_or(0) < cutoff_ms;
        let silent: Vec<&P> = self.active.iter().filter(is_silent).collect();
        let all = !silent.is_empty() && silent.len() == self.active.len();
        let parents = silent.into_iter().map(|dead| Action::ReParent { dead: dead.clone() });
        parents.chain(all.then_some(Action::UpstreamRebuildRequired)).collect()
    }

    /// Takes note of what the caller did.
    pub fn apply(&mut self, outcome: Outcome<P>) {
        match outcome {
            Outcome::AddParent(parent) => self.add(parent, 0),
            Outcome::AddParentAt(parent, now_ms) => self.add(parent, now_ms),
            Outcome::RemoveParent(parent) => self.remove(&parent),
            Outcome::PromoteToPrimary(parent) => self.promote(parent),
        }
    }

    /// The primary; it need not be active.
    pub fn primary(&self) -> &P {
        &self.primary
    }

    /// The backups, the first one first; they need not be active.
    pub fn backups(&self) -> &[P] {
        &self.backups
    }

    /// Those who are subscribed to, in their order.
    pub fn active(&self) -> impl Iterator<Item = &P> {
        self.active.iter()
    }

    fn add(&mut self, parent: P, heard_ms: u64) {
        if self.has_room_for(&parent) {
            self.active.insert(parent.clone());
            self.heard_ms.insert(parent, heard_ms);
        }
    }

    fn remove(&mut self, parent: &P) {
        self.active.remove(parent);
        self.heard_ms.remove(parent);
        self.backups.retain(|backup| backup != parent);
    }

    fn promote(&mut self, parent: P) {
        if !self.has_room_for(&parent) {
            return;
        }
        self.backups.retain(|backup| *backup != parent);
        if self.primary != parent {
            self.backups.insert(0, std::mem::replace(&mut self.primary, parent.clone()));
            self.backups.truncate(PARENTS_MAX);
        }
        self.active.insert(parent);
    }

    fn has_room_for(&self, parent: &P) -> bool {
        self.active.contains(parent) || self.active.len() < PARENTS_MAX
    }
}
