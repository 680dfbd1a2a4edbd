//! A peer's part in the gossip about who has room: what it holds, whom it tells, what it asks for.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use edge_alm::gossip::{Intake, Item, Spreader};
use edge_alm::mesh::Offer;
use edge_crypto::hash::sha256;
use edge_wire::control::MAX_OFFERS;
use edge_wire::id::Fingerprint;

use crate::space::Index;

/// How old an offer may be, in ms.
const STALE_MS: u64 = 30_000;

/// Offers that are asked for, each second in the long run and at once, so that what peers say about their room stays
/// a small share of what they send.
const ASKED_PER_SECOND: u64 = 2;
const ASKED_BURST: u64 = 16;
/// Offers that a neighbour is told of when notes are compared.
const NOTES: usize = 32;
/// Looks at the notes between two comparisons.
const NOTES_EVERY: u32 = 4;

/// An offer as it travels: who makes it, and its rank.
#[derive(Debug, Clone)]
pub(crate) struct Said {
    pub(crate) by: Index,
    pub(crate) offer: Arc<Offer>,
}

pub(crate) struct Talk {
    own: Index,
    spreader: Spreader<Index>,
    held: BTreeMap<Index, Said>,
    links: BTreeSet<Index>,
    /// What neighbours are told with the next batch.
    pub(crate) pending: BTreeMap<Index, Vec<(Index, u64)>>,
    turn: usize,
    looks: u32,
    /// Peers whose offers are asked for before others.
    pub(crate) favoured: BTreeSet<Index>,
    /// Offers that may be asked for, in thousandths, and when that was counted, in ms.
    budget: (u64, u64),
}

impl Talk {
    pub(crate) fn new(own: Index, seed: u64) -> Self {
        Self {
            own,
            spreader: Spreader::new(sha256(&[b"edge/sim/talk", &seed.to_be_bytes(), &own.to_be_bytes()])),
            held: BTreeMap::new(),
            links: BTreeSet::new(),
            pending: BTreeMap::new(),
            turn: 0,
            looks: 0,
            favoured: BTreeSet::new(),
            budget: (ASKED_BURST * 1000, 0),
        }
    }

    pub(crate) fn join(&mut self, neighbour: Index, name: Fingerprint, now_ms: u64) {
        self.links.insert(neighbour);
        let items = self.spreader.connected(now_ms, name);
        self.tell(neighbour, &items);
    }

    pub(crate) fn leave(&mut self, neighbour: Index, name: Fingerprint) {
        self.links.remove(&neighbour);
        self.pending.remove(&neighbour);
        self.spreader.disconnected(name);
    }

    /// Compares notes with one neighbour now and then, and forgets what is stale, which it returns.
    pub(crate) fn tick(&mut self, unix_ms: u64) -> Vec<Index> {
        self.held.retain(|_, said| said.offer.measured_at_unix_ms + STALE_MS > unix_ms);
        let spreader = &mut self.spreader;
        let gone: Vec<Index> = spreader.older_than(unix_ms.saturating_sub(STALE_MS)).collect();
        gone.iter().for_each(|key| spreader.forget(key));
        self.looks = (self.looks + 1) % NOTES_EVERY;
        if self.looks > 0 {
            return gone;
        }
        self.turn = (self.turn + 1) % self.links.len().max(1);
        if let Some(neighbour) = self.links.iter().nth(self.turn).copied() {
            let items = self.spreader.freshest(NOTES);
            self.tell(neighbour, &items);
        }
        gone
    }

    /// What is to be asked of a neighbour that holds `offers`.
    pub(crate) fn wanted(&mut self, offers: &[(Index, u64)], now_ms: u64) -> Vec<Index> {
        let others: Vec<(Index, u64)> = offers.iter().filter(|(by, _)| *by != self.own).copied().collect();
        let mut wanted = self.spreader.wanted(&others);
        wanted.sort_by_key(|by| !self.favoured.contains(by));
        let (left, counted_ms) = self.budget;
        let left = (left + now_ms.saturating_sub(counted_ms) * ASKED_PER_SECOND).min(ASKED_BURST * 1000);
        wanted.truncate((left / 1000) as usize);
        self.budget = (left - wanted.len() as u64 * 1000, now_ms);
        wanted
    }

    /// What a neighbour asked for.
    pub(crate) fn give(&self, wanted: &[Index]) -> Vec<Said> {
        wanted.iter().filter_map(|by| self.held.get(by)).take(MAX_OFFERS).cloned().collect()
    }

    /// Believes an offer of a neighbour; whether it was news.
    pub(crate) fn learn(&mut self, said: &Said, from: (Fingerprint, Index), now_ms: u64, names: &Names) -> bool {
        let item = item(said);
        if self.spreader.intake(now_ms, from.0, &item.digest) != Intake::Examine || said.by == self.own {
            return false;
        }
        self.spread(item, Some(from.0), names);
        self.held.insert(said.by, said.clone());
        true
    }

    /// Says what this peer itself offers.
    pub(crate) fn publish(&mut self, offer: Offer, names: &Names) {
        let said = Said { by: self.own, offer: Arc::new(offer) };
        self.spread(item(&said), None, names);
        self.held.insert(self.own, said);
    }

    fn spread(&mut self, item: Item<Index>, from: Option<Fingerprint>, names: &Names) {
        for neighbour in self.spreader.learned(item, from) {
            if let Some(neighbour) = names.get(&neighbour) {
                self.tell(*neighbour, &[item]);
            }
        }
    }

    fn tell(&mut self, neighbour: Index, items: &[Item<Index>]) {
        if self.links.contains(&neighbour) {
            let told = items.iter().filter(|item| item.key != neighbour).map(|item| (item.key, item.rank));
            self.pending.entry(neighbour).or_default().extend(told);
        }
    }
}

/// Peers by name.
pub(crate) type Names = BTreeMap<Fingerprint, Index>;

fn item(said: &Said) -> Item<Index> {
    let rank = said.offer.measured_at_unix_ms;
    Item { key: said.by, rank, digest: sha256(&[b"edge/sim/offer", &said.by.to_be_bytes(), &rank.to_be_bytes()]) }
}
