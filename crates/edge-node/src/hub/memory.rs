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
/// Ways back to one peer: it may have moved, and a child that lies about it must not displace the true way.
const MAX_WAYS: usize = 3;
/// How long a way back that was not used stands against another child that claims the same peer.
const ROUTE_HOLD_MS: u64 = 30_000;

/// Bounded memory of one stream.
#[derive(Debug, Default)]
pub(super) struct Memory {
    commits: BTreeMap<Epoch, Message>,
    trees: BTreeMap<Epoch, Message>,
    waiting: Vec<(Epoch, Fingerprint)>,
    routes: BTreeMap<Fingerprint, Vec<Route>>,
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
    }
}
