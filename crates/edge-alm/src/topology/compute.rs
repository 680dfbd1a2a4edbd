//! The forest, over ids interned in their order.

use std::collections::{BTreeMap, HashMap};

use super::score::{self, CAPACITY_WEIGHT, CHILD_PENALTY, REACHABILITY_WEIGHT, TRUST_WEIGHT};
use super::{Advert, Edge, Selected, Snapshot, Topology, Wish};

/// Chooses for each peer and path the parent of the greatest score; of equals, the one with the least id. Needs time
/// in proportion to grants, observations, and paths times parents that pass both gates.
pub fn compute(snapshot: &Snapshot) -> Topology<'_> {
    let Selected { candidates, unheard } = Selected::of(snapshot);
    let parents = Parents::of(snapshot, &candidates);
    let mut links = Vec::new();
    let mut missing = Vec::new();
    let mut children_of = vec![0; candidates.len()];
    for (path, children) in wishes(&candidates) {
        let first = links.len();
        for child in children {
            match parents.best(child, &children_of) {
                Some(parent) => {
                    children_of[parent] += 1;
                    links.push(Link { child, parent, path });
                }
                None => missing.push(Wish { child: &candidates[child].peer, path }),
            }
        }
        // A parent's load counts on one path only, so one row serves them all.
        links[first..].iter().for_each(|link| children_of[link.parent] = 0);
    }
    links.sort_unstable();
    missing.sort_unstable();
    let mut unrooted = unheard;
    unrooted.extend(without_parent(&candidates, &links));
    unrooted.sort_unstable();
    let edges = links.iter().map(|link| link.edge(&candidates)).collect();
    Topology { edges, unrooted, missing, epoch_id: snapshot.epoch_id }
}

/// An edge between indices of candidates; in order of indices it is in order of ids.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Link<'a> {
    child: usize,
    parent: usize,
    path: &'a [u8],
}

impl<'a> Link<'a> {
    fn edge(&self, candidates: &[&'a Advert]) -> Edge<'a> {
        Edge { child: &candidates[self.child].peer, parent: &candidates[self.parent].peer, path: self.path }
    }
}

/// Who wants each path, in order of ids.
fn wishes<'a>(candidates: &[&'a Advert]) -> BTreeMap<&'a [u8], Vec<usize>> {
    let mut wishes: BTreeMap<&[u8], Vec<usize>> = BTreeMap::new();
    for (child, advert) in candidates.iter().enumerate() {
        advert.paths().into_iter().for_each(|path| wishes.entry(path).or_default().push(child));
    }
    wishes
}

fn without_parent<'a>(candidates: &[&'a Advert], links: &[Link<'_>]) -> Vec<&'a str> {
    let mut rooted = vec![false; candidates.len()];
    links.iter().for_each(|link| rooted[link.child] = true);
    candidates.iter().zip(rooted).filter(|(_, rooted)| !rooted).map(|(advert, _)| advert.peer.as_str()).collect()
}

/// For each child the parents that pass both gates, ascending, with their scores before penalties.
struct Parents(Vec<Vec<Scored>>);

struct Scored {
    parent: u32,
    base: u32,
}

impl Parents {
    fn of(snapshot: &Snapshot, candidates: &[&Advert]) -> Self {
        let ids: HashMap<&str, u32> = candidates.iter().map(|it| it.peer.as_str()).zip(0..).collect();
        let pair = |parent: &str, child: &str| Some((*ids.get(child)?, *ids.get(parent)?));
        let granted = least(snapshot.grants.iter().filter_map(|it| {
            score::trust(it.chain_depth)?;
            Some((pair(&it.granter, &it.grantee)?, it.chain_depth))
        }));
        let observed = least(snapshot.observations.iter().filter_map(|it| {
            score::reachability(it.rtt_ms)?;
            Some((pair(&it.from, &it.to)?, it.rtt_ms))
        }));
        let capacity: Vec<u64> = candidates.iter().map(|it| capacity(it)).collect();
        let mut parents: Vec<Vec<Scored>> = candidates.iter().map(|_| Vec::new()).collect();
        for (child, parent, depth, rtt_ms) in both(&granted, &observed) {
            let base = base(capacity[parent as usize], depth, rtt_ms);
            parents[child as usize].push(Scored { parent, base });
        }
        Self(parents)
    }

    fn best(&self, child: usize, children_of: &[u64]) -> Option<usize> {
        let mut best: Option<(u64, usize)> = None;
        for Scored { parent, base } in &self.0[child] {
            let parent = *parent as usize;
            let score = u64::from(*base).saturating_sub(CHILD_PENALTY.saturating_mul(children_of[parent]));
            if best.is_none_or(|(most, _)| score > most) {
                best = Some((score, parent));
            }
        }
        best.map(|(_, parent)| parent)
    }
}

/// A child, then a possible parent of it.
type Pair = (u32, u32);

/// The least value of each pair of two peers, ascending by pair.
fn least<T: Ord>(values: impl Iterator<Item = (Pair, T)>) -> Vec<(Pair, T)> {
    let mut values: Vec<_> = values.filter(|((child, parent), _)| child != parent).collect();
    values.sort_unstable();
    values.dedup_by(|next, kept| next.0 == kept.0);
    values
}

/// Child, parent, depth and round trip of the pairs that occur in both lists.
fn both(granted: &[(Pair, u8)], observed: &[(Pair, u32)]) -> Vec<(u32, u32, u8, u32)> {
    let mut found = Vec::with_capacity(granted.len().min(observed.len()));
    let mut observed = observed.iter().peekable();
    for (pair, depth) in granted {
        while observed.next_if(|(other, _)| other < pair).is_some() {}
        if let Some((_, rtt_ms)) = observed.next_if(|(other, _)| other == pair) {
            found.push((pair.0, pair.1, *depth, *rtt_ms));
        }
    }
    found
}

fn capacity(advert: &Advert) -> u64 {
    score::capacity(score::cap(score::quantise(advert.uplink_mbps), advert.verification))
}

/// At most 100 000: three scores of at most 1000, and weights that add up to 100.
fn base(capacity: u64, depth: u8, rtt_ms: u32) -> u32 {
    let trust = score::trust(depth).unwrap_or_default();
    let reachability = score::reachability(rtt_ms).unwrap_or_default();
    (CAPACITY_WEIGHT * capacity + TRUST_WEIGHT * trust + REACHABILITY_WEIGHT * reachability) as u32
}
