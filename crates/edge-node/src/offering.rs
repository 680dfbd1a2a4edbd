//! What this node offers to carry: measured, signed, and said again when it changes.

use std::sync::Arc;
use std::time::Duration;

use edge_alm::advert::{Advert, Capacity, Commitment, Extension, Statement};
use edge_alm::estimate::{Estimator, LAYERS_MAX, Limit};
use edge_alm::path::SubStreamPath;
use edge_alm::seats::Yields;
use edge_identity::bundle::KeyBundle;
use edge_net::Path;
use edge_wire::id::{Epoch, Fingerprint};
use edge_wire::layer::Policy;
use tokio::time::{MissedTickBehavior, interval};

use crate::clock;
use crate::hub::{Board, Hub, Room};
use crate::neighbours::Neighbours;
use crate::ticket::Hop;
use crate::uplink::Gauge;

/// Time between two looks at what is carried.
const TICK: Duration = Duration::from_millis(250);
/// Looks between two comparisons of notes with a neighbour.
const COMPARE_EVERY: u64 = 2;
/// Shortest time between two advertisements: a neighbour believes one a second.
const SHORTEST_MS: u64 = 1_500;
/// Change of the delay from the publisher that is news, in ms.
const DELAY_CHANGE_MS: u32 = 10;
/// Longest time between two: they are stale after 30 s.
const LONGEST_MS: u64 = 15_000;
/// After a change of epoch, nodes speak up one after the other over this time.
const JITTER_MS: u64 = 3_000;
/// Media before the layers' rates are known well enough.
const SETTLED_MS: u64 = 3_000;
/// Links that have to be full at once before the way out of here counts as full.
const FULL_MIN: usize = 2;
/// Streams that one process carries.
const STREAMS: u16 = 1;

/// Keeps one node's offer.
#[derive(Clone)]
pub struct Offering {
    /// Identity.
    pub bundle: Arc<KeyBundle>,
    /// Where children can dial.
    pub hops: Vec<Hop>,
    /// What is given away.
    pub board: Board,
    /// Who hears of it.
    pub neighbours: Neighbours,
    /// Most that may be given away.
    pub room: Room,
    /// How far the publisher is; `None` for the publisher itself.
    pub gauge: Option<Gauge>,
}

/// What was said last.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Said {
    uplink_kbps: u64,
    /// Places taken, and those among them that newcomers would get.
    taken: (u16, Yields),
    chain: Vec<Fingerprint>,
    /// Delay from the publisher, in ms; 0 if it is not known.
    delay_ms: u32,
    epoch: Epoch,
    /// Kbit/s set aside for each path.
    paths: Vec<(SubStreamPath, u64)>,
}

impl Offering {
    /// Runs until it is aborted.
    pub async fn run(self) {
        let mut ticks = interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut estimator = None;
        let mut uplink_kbps = u64::from(self.room.uplink_kbps);
        let mut said: Option<(u64, Said)> = None;
        let (mut turned_ms, mut looks) = (0, 0_u64);
        let mut sequence = clock::unix_ms();
        let began_ms = clock::now_ms();
        loop {
            ticks.tick().await;
            looks = looks.wrapping_add(1);
            if looks.is_multiple_of(COMPARE_EVERY) {
                self.neighbours.tick();
            }
            for hub in self.board.all() {
                hub.listen();
                hub.relieve();
            }
            let now_ms = clock::now_ms();
            if estimator.is_none() && now_ms.saturating_sub(began_ms) >= SETTLED_MS {
                estimator = self.estimator();
            }
            if let Some(estimator) = &mut estimator {
                self.measure(estimator, now_ms);
                if let Some(claim) = estimator.poll(now_ms) {
                    uplink_kbps = claim.uplink_kbps.min(self.room.uplink_kbps.into());
                }
            }
            let open_kbps = self.open(uplink_kbps);
            let paths = self.divide(open_kbps);
            let epoch = self.neighbours.epoch();
            if turned_ms == 0 && said.as_ref().is_some_and(|(_, said)| said.epoch != epoch) {
                turned_ms = now_ms + u64::from(self.bundle.fingerprint().0[0]) * JITTER_MS / 255;
            }
            let (taken, chain) = self.whole().map_or(Default::default(), |hub| (hub.taken(), hub.chain()));
            let delay_ms = self.gauge.as_ref().map_or(0, |gauge| gauge.stats().delay_ms);
            let now = Said { uplink_kbps: open_kbps, taken, chain, delay_ms, epoch, paths };
            let news = said.as_ref().is_none_or(|(at_ms, said)| {
                due(said, &now, now_ms.saturating_sub(*at_ms), turned_ms > 0 && now_ms >= turned_ms)
            });
            if now.chain.is_empty() || !news {
                continue;
            }
            sequence += 1;
            match self.sign(&now, sequence) {
                Ok(advert) => self.neighbours.publish(self.bundle.public(), &advert),
                Err(error) => tracing::warn!(%error, "the own capacity cannot be advertised"),
            }
            (said, turned_ms) = (Some((now_ms, now)), 0);
        }
    }

    fn whole(&self) -> Option<Hub> {
        self.board.hub(self.board.whole())
    }

    /// What is offered: what was measured, but one whole stream while nobody is here to measure with.
    fn open(&self, uplink_kbps: u64) -> u64 {
        let hubs = self.board.all();
        let is_empty = hubs.iter().all(|hub| hub.sessions().is_empty());
        let least_kbps: u64 = if is_empty { hubs.iter().map(Hub::stream_kbps).sum() } else { 0 };
        uplink_kbps.max(least_kbps.min(self.room.uplink_kbps.into()))
    }

    /// Divides the uplink over all hubs so that each can take equally many children; gives back the shares of those
    /// paths that this node can give to others.
    fn divide(&self, uplink_kbps: u64) -> Vec<(SubStreamPath, u64)> {
        let lanes = self.board.lanes();
        let hubs: Vec<Hub> = self.whole().into_iter().chain(lanes.iter().map(|(_, hub)| hub.clone())).collect();
        let rates: Vec<u64> = hubs.iter().map(Hub::stream_kbps).collect();
        for (hub, kbps) in hubs.iter().zip(shares(uplink_kbps, &rates)) {
            hub.set_room(Room { uplink_kbps: u32::try_from(kbps).unwrap_or(u32::MAX), ..self.room });
        }
        let linked = lanes.iter().filter(|(_, hub)| !hub.chain().is_empty());
        linked.map(|(path, hub)| (*path, hub.room().uplink_kbps.into())).collect()
    }

    /// An estimator for the layers that the stream has; `None` before media flowed.
    fn estimator(&self) -> Option<Estimator> {
        let mut layers: Vec<u32> = Vec::new();
        for kbps in self.board.all().iter().map(Hub::layers_kbps) {
            layers.resize(layers.len().max(kbps.len()), 0);
            layers.iter_mut().zip(kbps).for_each(|(sum, kbps)| *sum = sum.saturating_add(kbps));
        }
        layers.retain(|kbps| *kbps > 0);
        layers.truncate(LAYERS_MAX);
        // What the owner answers for counts until the links show what they carry.
        Estimator::new(&layers, self.room.uplink_kbps.into()).ok()
    }

    /// Lets the estimator see what the links to children carried.
    fn measure(&self, estimator: &mut Estimator, now_ms: u64) {
        let paths: Vec<Path> = self.board.all().iter().flat_map(Hub::sessions).map(|session| session.path()).collect();
        let delivered_kbps = paths.iter().map(|path| u64::from(path.delivery_kbps)).sum();
        if delivered_kbps > 0 {
            estimator.sample(now_ms, delivered_kbps, limit(&paths));
        }
    }

    fn sign(&self, now: &Said, sequence: u64) -> Result<Advert, edge_alm::advert::Error> {
        let capacity = Capacity {
            // Whole kbit/s below 2^24 fit a binary32 exactly enough.
            uplink_mbps: now.uplink_kbps as f32 / 1000.0,
            max_streams: STREAMS,
            max_subscribers_per_stream: self.room.children_max,
            measured_at_unix_ms: clock::unix_ms(),
            max_layer_supported: Policy::UNCAPPED,
            sub_stream_commitments: now.paths.iter().map(|(path, kbps)| self.commitment(*path, *kbps)).collect(),
        };
        let statement = Statement {
            advertiser: self.bundle.key_id().clone(),
            capacity,
            stream: self.board.whole(),
            epoch: now.epoch,
        };
        let extension = Extension {
            sequence,
            subscribers: now.taken.0,
            delay_ms: now.delay_ms,
            yields: now.taken.1,
            chain: now.chain.clone(),
            addresses: self.hops.iter().map(|hop| hop.addr).take(edge_alm::advert::ADDRESSES_MAX).collect(),
            transport_key: *self.bundle.public().transport(),
        };
        Advert::sign(statement, extension, &self.bundle)
    }

    fn commitment(&self, path: SubStreamPath, kbps: u64) -> Commitment {
        Commitment {
            sub_stream_path: path.into(),
            uplink_budget_mbps: kbps as f32 / 1000.0,
            max_subscribers: self.room.children_max,
        }
    }
}

/// What holds this node back. One full link is its child's affair; that most are full at once is this node's.
fn limit(paths: &[Path]) -> Limit {
    let full = paths.iter().filter(|path| !path.application_limited).count();
    match full >= FULL_MIN && full * 2 > paths.len() {
        true => Limit::Congestion,
        false => Limit::Application,
    }
}

/// Parts of `uplink_kbps` in proportion to `rates`; equal ones while some rate is not known.
fn shares(uplink_kbps: u64, rates: &[u64]) -> Vec<u64> {
    let known = !rates.contains(&0);
    let weights = rates.iter().map(|kbps| if known { *kbps } else { 1 });
    let whole = weights.clone().fold(0_u64, u64::saturating_add).max(1);
    weights
        .map(|weight| u64::try_from(u128::from(uplink_kbps) * u128::from(weight) / u128::from(whole)).unwrap_or(0))
        .collect()
}

/// Whether there is something new to say, `since_ms` after the last time.
fn due(said: &Said, now: &Said, since_ms: u64, epoch_turn: bool) -> bool {
    // Shares move with every measurement; which paths there are is news.
    let same_paths = said.paths.iter().map(|(path, _)| path).eq(now.paths.iter().map(|(path, _)| path));
    let same = said.uplink_kbps == now.uplink_kbps && said.taken == now.taken && said.chain == now.chain;
    let changed = !same || !same_paths || said.delay_ms.abs_diff(now.delay_ms) > DELAY_CHANGE_MS;
    let turned = said.epoch != now.epoch && epoch_turn;
    since_ms >= LONGEST_MS || (since_ms >= SHORTEST_MS && (changed || turned))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_is_said_soon_and_the_same_again_before_it_is_stale() {
        let said = Said {
            uplink_kbps: 10,
            taken: (1, Yields::default()),
            chain: vec![],
            delay_ms: 40,
            epoch: Epoch(1),
            paths: vec![],
        };
        let loaded = Said { taken: (2, Yields::default()), ..said.clone() };
        let cut = Said { paths: vec![(SubStreamPath::new(&[0]).unwrap(), 5)], ..said.clone() };
        assert!(due(&said, &cut, SHORTEST_MS, false));
        assert!(!due(&cut, &Said { paths: vec![(cut.paths[0].0, 6)], ..cut.clone() }, SHORTEST_MS, false));
        let later = Said { epoch: Epoch(2), ..said.clone() };
        assert!(!due(&said, &said, SHORTEST_MS, false));
        assert!(!due(&said, &loaded, SHORTEST_MS - 1, false));
        assert!(due(&said, &loaded, SHORTEST_MS, false));
        assert!(!due(&said, &later, SHORTEST_MS, false), "others may be first");
        assert!(due(&said, &later, SHORTEST_MS, true));
        assert!(due(&said, &said, LONGEST_MS, false));
        let farther = |by_ms| Said { delay_ms: said.delay_ms + by_ms, ..said.clone() };
        assert!(!due(&said, &farther(DELAY_CHANGE_MS), SHORTEST_MS, false));
        assert!(due(&said, &farther(DELAY_CHANGE_MS + 1), SHORTEST_MS, false));
    }

    #[test]
    fn one_child_with_a_full_link_says_nothing_about_the_others() {
        let path = |application_limited| Path { application_limited, ..Path::default() };
        assert_eq!(limit(&[path(false)]), Limit::Application);
        assert_eq!(limit(&[path(false), path(true), path(true)]), Limit::Application);
        assert_eq!(limit(&[path(false), path(false), path(true)]), Limit::Congestion);
        assert_eq!(limit(&[]), Limit::Application);
    }

    #[test]
    fn the_uplink_is_divided_by_what_a_child_takes_of_each() {
        assert_eq!(shares(900, &[100, 200]), [300, 600]);
        assert_eq!(shares(900, &[100, 0, 200]), [300, 300, 300]);
        assert_eq!(shares(900, &[70]), [900]);
    }
}
