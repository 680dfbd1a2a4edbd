//! What a hub remembers so that it can answer children itself: commits, trees and the way back to peers below.

use std::collections::{BTreeMap, VecDeque};

use edge_wire::control::Message;
use edge_wire::id::{Epoch, Fingerprint};

use crate::clock;
use crate::neighbours::MAX_EPOCHS_AHEAD;

/// Accepted commits kept for children that missed some.
const MAX_COMMITS: usize = 64;
/// Epochs beyond that of the media that are kept like any other: a commit comes shortly before its first media.
const EPOCHS_AHEAD_KEPT: u64 = 2;
/// Ratchet trees kept for newcomers.
const MAX_TREES: usize = 8;
/// Messages of one kind kept for one epoch: who cannot read them cannot tell which of two is the true one.
const MAX_BODIES: usize = 2;
/// Bytes kept of each kind, 16 MiB of both.
const MAX_KEPT_BYTES: usize = 8 << 20;
/// Children that wait for a tree.
const MAX_WAITING: usize = 256;
/// Trees that one child may wait for.
const MAX_WAITING_EACH: usize = 8;
/// Latest answers to one child that are remembered.
const MAX_ANSWERED: usize = 16;
/// Who asks for the same again within this time was not helped by what is kept.
const AGAIN_WITHIN_MS: u64 = 10_000;
/// Peers below to which the way back is known.
const MAX_ROUTES: usize = 4096;
/// Ways back to one peer: it may have moved, and a child that lies about it must not displace the true way.
const MAX_WAYS: usize = 3;
/// How long a way back that was not used stands against another child that claims the same peer.
const ROUTE_HOLD_MS: u64 = 30_000;

/// Bounded memory of one stream.
#[derive(Debug, Default)]
pub(super) struct Memory {
    commits: Kept,
    trees: Kept,
    waiting: Vec<(Epoch, Fingerprint)>,
    answered: BTreeMap<Fingerprint, VecDeque<(Kind, Epoch, u64)>>,
    routes: BTreeMap<Fingerprint, Vec<Route>>,
}

/// What a child asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Commits,
    Tree,
}

/// What is here for a child.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Answer {
    /// To be sent.
    pub(super) kept: Vec<Message>,
    /// Whether a parent should be asked: nothing is here, or what is here did not help.
    pub(super) asks_above: bool,
}

/// Messages by epoch, in the order in which they came.
#[derive(Debug, Default)]
struct Kept {
    by_epoch: BTreeMap<Epoch, Vec<Message>>,
    bytes: usize,
}

impl Kept {
    /// Keeps a message unless its epoch is far beyond that of the media, `newest`; the oldest epochs go.
    fn keep(&mut self, (epoch, newest): (Epoch, Epoch), message: Message, epochs_max: usize) {
        // What came before any media was taken at its word.
        let far = |epoch: Epoch| newest.0 > 0 && epoch.0.saturating_sub(newest.0) > MAX_EPOCHS_AHEAD;
        while self.by_epoch.last_key_value().is_some_and(|(last, _)| far(*last)) {
            let last = self.by_epoch.pop_last();
            self.bytes = self.bytes.saturating_sub(last.map_or(0, |(_, bodies)| size(&bodies)));
        }
        if far(epoch) {
            return;
        }
        let bodies = self.by_epoch.entry(epoch).or_default();
        if bodies.len() < MAX_BODIES && !bodies.contains(&message) {
            self.bytes = self.bytes.saturating_add(size(std::slice::from_ref(&message)));
            bodies.push(message);
        }
        while self.by_epoch.len() > epochs_max || self.bytes > MAX_KEPT_BYTES {
            // What nobody has reached yet must not push out what everybody needs now.
            let unreached =
                |(last, _): (&Epoch, _)| newest.0 > 0 && last.0.saturating_sub(newest.0) > EPOCHS_AHEAD_KEPT;
            let gone = match self.by_epoch.last_key_value().is_some_and(unreached) {
                true => self.by_epoch.pop_last(),
                false => self.by_epoch.pop_first(),
            };
            let Some((_, bodies)) = gone else { return };
            self.bytes = self.bytes.saturating_sub(size(&bodies));
        }
    }
}

fn size(bodies: &[Message]) -> usize {
    let body = |message: &Message| match message {
        Message::Commit { body, .. } | Message::Tree { body, .. } => body.len(),
        _ => 0,
    };
    bodies.iter().map(body).fold(0, usize::saturating_add)
}

#[derive(Debug)]
struct Route {
    child: Fingerprint,
    seen_ms: u64,
}

impl Memory {
    /// Keeps an accepted commit, when media had come as far as the epoch `newest`; the oldest go.
    pub(super) fn keep_commit(&mut self, (epoch, newest): (Epoch, Epoch), commit: Message) {
        self.commits.keep((epoch, newest), commit, MAX_COMMITS);
    }

    /// The commits from the one made in `epoch` on; none when that one is not here.
    pub(super) fn commits_since(&mut self, now_ms: u64, epoch: Epoch, child: Fingerprint) -> Answer {
        let kept: Vec<Message> = match self.commits.by_epoch.contains_key(&epoch) {
            true => self.commits.by_epoch.range(epoch..).flat_map(|(_, commits)| commits.clone()).collect(),
            false => Vec::new(),
        };
        let again = self.asked_again(now_ms, (Kind::Commits, epoch), child);
        Answer { asks_above: kept.is_empty() || again, kept }
    }

    /// Keeps a tree as [`Self::keep_commit`] does; gives back who waits for it.
    pub(super) fn keep_tree(&mut self, (epoch, newest): (Epoch, Epoch), tree: Message) -> Vec<Fingerprint> {
        self.trees.keep((epoch, newest), tree, MAX_TREES);
        let (served, waiting) = std::mem::take(&mut self.waiting).into_iter().partition(|(wants, _)| *wants == epoch);
        self.waiting = waiting;
        let served: Vec<(Epoch, Fingerprint)> = served;
        served.into_iter().map(|(_, child)| child).collect()
    }

    /// The trees that claim to be that of `epoch`; `child` waits for another one when a parent is asked.
    pub(super) fn tree_for(&mut self, now_ms: u64, epoch: Epoch, child: Fingerprint) -> Answer {
        let kept = self.trees.by_epoch.get(&epoch).cloned().unwrap_or_default();
        let again = self.asked_again(now_ms, (Kind::Tree, epoch), child);
        let asks_above = kept.is_empty() || again;
        if asks_above {
            self.wait(epoch, child);
        }
        Answer { kept, asks_above }
    }

    fn wait(&mut self, epoch: Epoch, child: Fingerprint) {
        if self.waiting.contains(&(epoch, child)) {
            return;
        }
        // A child's own oldest wish goes before those of its siblings.
        let crowds = self.waiting.iter().filter(|(_, waits)| *waits == child).count() >= MAX_WAITING_EACH;
        let oldest = self.waiting.iter().position(|(_, waits)| !crowds || *waits == child);
        if let Some(oldest) = oldest.filter(|_| crowds || self.waiting.len() >= MAX_WAITING) {
            self.waiting.remove(oldest);
        }
        self.waiting.push((epoch, child));
    }

    /// Notes what `child` asks for; `true` when it did so a while ago already.
    fn asked_again(&mut self, now_ms: u64, (kind, epoch): (Kind, Epoch), child: Fingerprint) -> bool {
        let answered = self.answered.entry(child).or_default();
        answered.retain(|(_, _, at_ms)| now_ms.saturating_sub(*at_ms) < AGAIN_WITHIN_MS);
        let again = answered.iter().any(|(of, at, _)| (*of, *at) == (kind, epoch));
        answered.retain(|(of, at, _)| (*of, *at) != (kind, epoch));
        if answered.len() >= MAX_ANSWERED {
            answered.pop_front();
        }
        answered.push_back((kind, epoch, now_ms));
        again
    }

    /// Learns that `peer` is reached through `child`, beside the ways known already.
    ///
    /// `false` when as many other ways are in use as are kept.
    pub(super) fn learn_route(&mut self, peer: Fingerprint, child: Fingerprint) -> bool {
        let now_ms = clock::now_ms();
        if self.routes.len() >= MAX_ROUTES && !self.routes.contains_key(&peer) {
            let latest = |ways: &Vec<Route>| ways.iter().map(|way| way.seen_ms).max();
            let oldest = self.routes.iter().min_by_key(|(_, ways)| latest(ways)).map(|(peer, _)| *peer);
            oldest.map(|peer| self.routes.remove(&peer));
        }
        let ways = self.routes.entry(peer).or_default();
        if let Some(way) = ways.iter_mut().find(|way| way.child == child) {
            way.seen_ms = now_ms;
            return true;
        }
        if ways.len() >= MAX_WAYS {
            ways.retain(|way| now_ms.saturating_sub(way.seen_ms) < ROUTE_HOLD_MS);
        }
        let room = ways.len() < MAX_WAYS;
        if room {
            ways.push(Route { child, seen_ms: now_ms });
        }
        room
    }

    /// The children through which `peer` may be reached.
    pub(super) fn routes(&self, peer: Fingerprint) -> Vec<Fingerprint> {
        self.routes.get(&peer).map_or_else(Vec::new, |ways| ways.iter().map(|way| way.child).collect())
    }

    /// Forgets a child that is gone.
    pub(super) fn forget(&mut self, child: Fingerprint) {
        self.routes.retain(|_, ways| {
            ways.retain(|way| way.child != child);
            !ways.is_empty()
        });
        self.waiting.retain(|(_, waits)| *waits != child);
        self.answered.remove(&child);
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use edge_wire::id::StreamId;

    use super::*;

    const STREAM: StreamId = StreamId([1; 32]);
    const CHILD: Fingerprint = Fingerprint([2; 32]);
    const SIBLING: Fingerprint = Fingerprint([3; 32]);

    fn tree(epoch: u64, body: &'static [u8]) -> Message {
        Message::Tree { stream: STREAM, epoch: Epoch(epoch), body: Bytes::from_static(body) }
    }

    fn keep(memory: &mut Memory, epoch: u64, body: &'static [u8]) -> Vec<Fingerprint> {
        memory.keep_tree((Epoch(epoch), Epoch(5)), tree(epoch, body))
    }

    #[test]
    fn a_second_writer_displaces_nothing_and_both_are_answered() {
        let mut memory = Memory::default();
        for body in [&b"true"[..], b"false", b"false", b"more"] {
            keep(&mut memory, 5, body);
        }
        let answer = memory.tree_for(0, Epoch(5), CHILD);
        assert_eq!(answer, Answer { kept: vec![tree(5, b"true"), tree(5, b"false")], asks_above: false });
    }

    #[test]
    fn epochs_that_media_never_had_do_not_push_out_the_present_one() {
        let mut memory = Memory::default();
        memory.keep_tree((Epoch(900), Epoch(0)), tree(900, b"before any media"));
        keep(&mut memory, 5, b"true");
        (1000..1100).for_each(|epoch| drop(keep(&mut memory, epoch, b"junk")));
        assert!(!memory.tree_for(0, Epoch(5), CHILD).kept.is_empty());
        assert!(memory.tree_for(0, Epoch(900), CHILD).kept.is_empty());
    }

    #[test]
    fn epochs_that_media_has_not_reached_do_not_push_out_the_present_and_the_next_one() {
        let mut memory = Memory::default();
        [5, 6].iter().for_each(|epoch| drop(keep(&mut memory, *epoch, b"true")));
        (8..60).for_each(|epoch| drop(keep(&mut memory, epoch, b"junk")));
        assert!([5, 6].iter().all(|epoch| !memory.tree_for(0, Epoch(*epoch), CHILD).kept.is_empty()));
    }

    #[test]
    fn what_is_kept_has_a_bound_in_bytes() {
        static BODY: [u8; 1 << 20] = [0; 1 << 20];
        let mut memory = Memory::default();
        (5..15).for_each(|epoch| drop(keep(&mut memory, epoch, &BODY)));
        memory.trees.by_epoch.values().for_each(|bodies| assert_eq!(bodies.len(), 1));
        assert_eq!((memory.trees.by_epoch.len(), memory.trees.bytes), (8, MAX_KEPT_BYTES));
        keep(&mut memory, 6, b"another");
        assert!(memory.trees.bytes <= MAX_KEPT_BYTES && memory.trees.by_epoch.len() == 7);
    }

    #[test]
    fn who_was_not_helped_asks_above_and_hears_what_comes() {
        let mut memory = Memory::default();
        ["forged", "also forged"].iter().for_each(|body| drop(keep(&mut memory, 5, body.as_bytes())));
        assert!(!memory.tree_for(0, Epoch(5), CHILD).asks_above);
        assert!(!memory.tree_for(AGAIN_WITHIN_MS, Epoch(5), CHILD).asks_above, "long after");
        assert!(memory.tree_for(AGAIN_WITHIN_MS + 1, Epoch(5), CHILD).asks_above);
        assert_eq!(keep(&mut memory, 5, b"true"), [CHILD], "although it cannot be kept");
        let commit = Message::Commit { stream: STREAM, epoch: Epoch(5), body: Bytes::from_static(b"commit") };
        memory.keep_commit((Epoch(5), Epoch(5)), commit.clone());
        let asked = [0, 1].map(|now_ms| memory.commits_since(now_ms, Epoch(5), CHILD));
        assert_eq!(
            asked.map(|answer| (answer.kept, answer.asks_above)),
            [false, true].map(|up| (vec![commit.clone()], up))
        );
    }

    #[test]
    fn a_child_that_waits_for_many_trees_displaces_only_itself() {
        let mut memory = Memory::default();
        memory.tree_for(0, Epoch(5), SIBLING);
        (5..500).for_each(|epoch| drop(memory.tree_for(0, Epoch(epoch), CHILD)));
        assert_eq!(memory.waiting.len(), 1 + MAX_WAITING_EACH);
        assert_eq!(keep(&mut memory, 5, b"tree"), [SIBLING]);
    }
}
