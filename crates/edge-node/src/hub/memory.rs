//! What a hub remembers so that it can answer children itself: commits, trees and the way back to peers below.

use std::collections::BTreeMap;

use edge_wire::control::Message;
use edge_wire::id::{Epoch, Fingerprint};

use crate::clock;

/// Accepted commits kept for children that missed some.
const MAX_COMMITS: usize = 64;
/// Ratchet trees kept for newcomers.
const MAX_TREES: usize = 8;
/// Children that wait for a tree.
const MAX_WAITING: usize = 256;
/// Peers below to which the way back is known.
const MAX_ROUTES: usize = 4096;
/// How long a way back stands against another child that claims the same peer.
const ROUTE_HOLD_MS: u64 = 30_000;

/// Bounded memory of one stream.
#[derive(Debug, Default)]
pub(super) struct Memory {
    commits: BTreeMap<Epoch, Message>,
    trees: BTreeMap<Epoch, Message>,
    waiting: Vec<(Epoch, Fingerprint)>,
    routes: BTreeMap<Fingerprint, Route>,
}

#[derive(Debug)]
struct Route {
    child: Fingerprint,
    seen_ms: u64,
}

impl Memory {
    /// Keeps an accepted commit; the oldest go.
    pub(super) fn keep_commit(&mut self, epoch: Epoch, commit: Message) {
        self.commits.insert(epoch, commit);
        while self.commits.len() > MAX_COMMITS {
            self.commits.pop_first();
        }
    }

    /// The commits from the one made in `epoch` on; empty when that one is not here.
    pub(super) fn commits_since(&self, epoch: Epoch) -> Vec<Message> {
        match self.commits.contains_key(&epoch) {
            true => self.commits.range(epoch..).map(|(_, commit)| commit.clone()).collect(),
            false => Vec::new(),
        }
    }

    /// Keeps a tree; gives back who waits for it.
    pub(super) fn keep_tree(&mut self, epoch: Epoch, tree: Message) -> Vec<Fingerprint> {
        self.trees.insert(epoch, tree);
        while self.trees.len() > MAX_TREES {
            self.trees.pop_first();
        }
        let (served, waiting) = std::mem::take(&mut self.waiting).into_iter().partition(|(wants, _)| *wants == epoch);
        self.waiting = waiting;
        let served: Vec<(Epoch, Fingerprint)> = served;
        served.into_iter().map(|(_, child)| child).collect()
    }

    /// The tree of `epoch`, or `None` after noting that `child` waits for it.
    pub(super) fn tree_for(&mut self, epoch: Epoch, child: Fingerprint) -> Option<Message> {
        let tree = self.trees.get(&epoch).cloned();
        if tree.is_none() && !self.waiting.contains(&(epoch, child)) {
            if self.waiting.len() >= MAX_WAITING {
                self.waiting.remove(0);
            }
            self.waiting.push((epoch, child));
        }
        tree
    }

    /// Learns that `peer` is reached through `child`. A way that is in use is not taken over by another child.
    ///
    /// `false` when another child's way stands.
    pub(super) fn learn_route(&mut self, peer: Fingerprint, child: Fingerprint) -> bool {
        let now_ms = clock::now_ms();
        let held = |route: &Route| route.child != child && now_ms.saturating_sub(route.seen_ms) < ROUTE_HOLD_MS;
        if self.routes.get(&peer).is_some_and(held) {
            return false;
        }
        if self.routes.len() >= MAX_ROUTES && !self.routes.contains_key(&peer) {
            let oldest = self.routes.iter().min_by_key(|(_, route)| route.seen_ms).map(|(peer, _)| *peer);
            oldest.map(|peer| self.routes.remove(&peer));
        }
        self.routes.insert(peer, Route { child, seen_ms: now_ms });
        true
    }

    /// The child through which `peer` is reached.
    pub(super) fn route(&self, peer: Fingerprint) -> Option<Fingerprint> {
        self.routes.get(&peer).map(|route| route.child)
    }

    /// Forgets a child that is gone.
    pub(super) fn forget(&mut self, child: Fingerprint) {
        self.routes.retain(|_, route| route.child != child);
        self.waiting.retain(|(_, waits)| *waits != child);
    }
}
