//! Gossip: to whom a new claim is passed on, what a neighbour may send, and what a new neighbour is told first.
//!
//! A claim has a key (who says it), a rank (of one key, the higher is the newer) and a digest. What a claim says and
//! whether it is verified is not known here: only what the caller believes is learned.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use edge_crypto::hash::sha256;
use edge_wire::id::Fingerprint;

use crate::bucket::{Bucket, Rate};
use crate::recent::Recent;

/// Neighbours that a new claim is passed on to.
pub const FANOUT: usize = 4;
/// Claims that a new neighbour is told of.
pub const CATCH_UP_MAX: usize = 16;
/// Most claims of which a neighbour is asked for the content at once.
pub const WANTED_MAX: usize = 64;
/// Most neighbours.
pub const NEIGHBOURS_MAX: usize = 256;
/// Most keys; the ones of the lowest rank go first.
pub const KEYS_MAX: usize = 1024;
/// Most digests that are remembered, so that a claim is looked at once.
pub const SEEN_MAX: usize = 4096;

/// Claims that a neighbour may send.
const PER_NEIGHBOUR: Rate = Rate::per_second(64, 256);

/// What is known of a claim.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Item<K> {
    /// Who says it about what.
    pub key: K,
    /// Of one key, the higher one is the newer. Between keys, the higher one is the fresher.
    pub rank: u64,
    /// SHA-256 over its bytes.
    pub digest: [u8; 32],
}

/// What to do with bytes that a neighbour sent, before they are looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Intake {
    /// Verify them.
    Examine,
    /// They were here already.
    Seen,
    /// The neighbour sends too much, or is none: drop them unseen.
    Drop,
}

/// Keeps claims moving between neighbours. The same calls with the same seed give the same answers.
#[derive(Debug)]
pub struct Spreader<K> {
    seed: [u8; 32],
    neighbours: BTreeMap<Fingerprint, Bucket>,
    items: BTreeMap<K, Held>,
    by_rank: BTreeSet<(u64, K)>,
    seen: Recent<[u8; 32]>,
}

#[derive(Debug, Clone, Copy)]
struct Held {
    rank: u64,
    digest: [u8; 32],
}

impl<K: Copy + Ord> Spreader<K> {
    /// Knows nothing and nobody. The seed is random and secret, so that nobody can tell whom a claim will go to.
    pub fn new(seed: [u8; 32]) -> Self {
        Self {
            seed,
            neighbours: BTreeMap::new(),
            items: BTreeMap::new(),
            by_rank: BTreeSet::new(),
            seen: Recent::new(SEEN_MAX),
        }
    }

    /// A neighbour appeared: gives what it should be told, freshest first. Empty as well when there are
    /// [`NEIGHBOURS_MAX`] others, who go first.
    pub fn connected(&mut self, now_ms: u64, neighbour: Fingerprint) -> Vec<Item<K>> {
        if self.neighbours.len() >= NEIGHBOURS_MAX && !self.neighbours.contains_key(&neighbour) {
            return Vec::new();
        }
        // A bucket that is there stays: who connects again has no more to spend.
        self.neighbours.entry(neighbour).or_insert_with(|| Bucket::new(PER_NEIGHBOUR, now_ms));
        self.freshest(CATCH_UP_MAX)
    }

    /// A neighbour went.
    pub fn disconnected(&mut self, neighbour: Fingerprint) {
        self.neighbours.remove(&neighbour);
    }

    /// Asks before any work is put into bytes with this digest.
    pub fn intake(&mut self, now_ms: u64, from: Fingerprint, digest: &[u8; 32]) -> Intake {
        let may_send = self.neighbours.get_mut(&from).is_some_and(|bucket| bucket.take(now_ms));
        match (may_send, self.seen.contains(digest)) {
            (false, _) => Intake::Drop,
            (true, true) => Intake::Seen,
            (true, false) => Intake::Examine,
        }
    }

    /// A claim is believed: gives the neighbours to pass it on to, never the one it came from. None when it was here
    /// before or a newer one is. `from` is `None` for a claim of our own.
    pub fn learned(&mut self, item: Item<K>, from: Option<Fingerprint>) -> Vec<Fingerprint> {
        if !self.seen.insert(item.digest) || !self.hold(item) {
            return Vec::new();
        }
        let mut drawn: Vec<_> = self.neighbours.keys().filter(|neighbour| Some(**neighbour) != from).collect();
        drawn.sort_by_cached_key(|neighbour| sha256(&[&self.seed, &item.digest, &neighbour.0]));
        drawn.into_iter().take(FANOUT).copied().collect()
    }

    /// A claim is not believed: the same bytes are not looked at again.
    pub fn refused(&mut self, digest: [u8; 32]) {
        self.seen.insert(digest);
    }

    /// A claim counts no more.
    pub fn forget(&mut self, key: &K) {
        if let Some(held) = self.items.remove(key) {
            self.by_rank.remove(&(held.rank, *key));
        }
    }

    /// Of what a neighbour says that it holds, by key and rank, the keys that are newer than what is held here; at
    /// most [`WANTED_MAX`], the freshest first.
    pub fn wanted(&self, held_there: &[(K, u64)]) -> Vec<K> {
        let is_newer = |(key, rank): &&(K, u64)| self.items.get(key).is_none_or(|held| held.rank < *rank);
        let mut newer: Vec<(K, u64)> = held_there.iter().filter(is_newer).copied().collect();
        newer.sort_by_key(|(key, rank)| (Reverse(*rank), *key));
        let mut asked = BTreeSet::new();
        newer.retain(|(key, _)| asked.insert(*key));
        newer.into_iter().take(WANTED_MAX).map(|(key, _)| key).collect()
    }

    /// At most `count` claims, freshest first.
    pub fn freshest(&self, count: usize) -> Vec<Item<K>> {
        let by_rank = self.by_rank.iter().rev().take(count);
        by_rank.filter_map(|(rank, key)| self.item(key).filter(|item| item.rank == *rank)).collect()
    }

    /// Keys of the claims up to this rank, the oldest first.
    pub fn older_than(&self, rank: u64) -> impl Iterator<Item = K> {
        self.by_rank.iter().take_while(move |(held, _)| *held <= rank).map(|(_, key)| *key)
    }

    /// What is held of a key.
    pub fn item(&self, key: &K) -> Option<Item<K>> {
        self.items.get(key).map(|held| Item { key: *key, rank: held.rank, digest: held.digest })
    }

    /// Keys that are held.
    pub fn len(&self) -> usize {
        self.items.len()
    }

    /// Whether no key is held.
    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// Whether the claim is the newest of its key and there is room for it.
    fn hold(&mut self, item: Item<K>) -> bool {
        if self.items.get(&item.key).is_some_and(|held| held.rank >= item.rank) {
            return false;
        }
        self.forget(&item.key);
        if self.items.len() >= KEYS_MAX {
            match self.by_rank.first().copied() {
                Some((least, key)) if least < item.rank => self.forget(&key),
                _ => return false,
            }
        }
        self.items.insert(item.key, Held { rank: item.rank, digest: item.digest });
        self.by_rank.insert((item.rank, item.key));
        true
    }
}
