//! A peer's part in the gossip about who has room: what it holds, whom it tells, what it asks for.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use edge_alm::gossip::{Intake, Item, Spreader};
use edge_alm::mesh::Offer;
use edge_crypto::hash::sha256;
use edge_wire::control::MAX_OFFERS;
use edge_wire::id::Fingerprint;

use crate::rng::Rng;
use crate::space::Index;

/// How old an offer may be, in ms.
const STALE_MS: u64 = 30_000;

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

    /// Compares notes with one neighbour and forgets what is stale.
    pub(crate) fn tick(&mut self, unix_ms: u64) {
        self.held.retain(|_, said| said.offer.measured_at_unix_ms + STALE_MS > unix_ms);
        let spreader = &mut self.spreader;
        let gone: Vec<Index> = spreader
            .freshest(edge_alm::gossip::KEYS_MAX)
            .iter()
            .rev()
            .take_while(|item| item.rank + STALE_MS <= unix_ms)
            .map(|item| item.key)
            .collect();
        gone.iter().for_each(|key| spreader.forget(key));
        self.turn = (self.turn + 1) % self.links.len().max(1);
        if let Some(neighbour) = self.links.iter().nth(self.turn).copied() {
            let items = self.spreader.freshest(MAX_OFFERS);
            self.tell(neighbour, &items);
        }
    }

    /// What is to be asked of a neighbour that holds `offers`.
    pub(crate) fn wanted(&self, offers: &[(Index, u64)]) -> Vec<Index> {
        let others: Vec<(Index, u64)> = offers.iter().filter(|(by, _)| *by != self.own).copied().collect();
        self.spreader.wanted(&others)
    }

    /// What a neighbour asked for.
    pub(crate) fn give(&self, wanted: &[Index]) -> Vec<Said> {
        wanted.iter().filter_map(|by| self.held.get(by)).take(MAX_OFFERS).cloned().collect()
    }

    /// Some of those whose offers are held, drawn by chance.
    pub(crate) fn candidates(&self, rng: &mut Rng, count: usize) -> Vec<Index> {
        let mut drawn = || self.held.keys().nth(rng.below(self.held.len() as u64) as usize).copied();
        (0..count).filter_map(|_| drawn()).filter(|peer| *peer != self.own).collect()
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
