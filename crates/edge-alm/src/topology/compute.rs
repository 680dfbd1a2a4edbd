//! The forest, over ids interned in their order.

use std::collections::{BTreeMap, HashMap};

use super::score::{self, CAPACITY_WEIGHT, CHILD_PENALTY, REACHABILITY_WEIGHT, TRUST_WEIGHT};
use super::{Advert, Edge, Snapshot, Topology, Wish, newest};

/// Chooses for each peer and path the parent of the greatest score; of equals, the one with the least id. Needs time
/// in proportion to grants, observations, and paths times parents that pass both gates.
pub fn compute(snapshot: &Snapshot) -> Topology<'_> {
    let adverts = newest(snapshot);
    let Relations { heard, parents } = Relations::of(snapshot, &adverts);
    let mut links = Vec::new();
    let mut missing = Vec::new();
    let mut children_of = vec![0; adverts.len()];
    for (path, children) in wishes(&adverts, &heard) {
        let first = links.len();
        for child in children {
            match best(&parents[child], &children_of) {
                Some(parent) => {
                    children_of[parent] += 1;
                    links.push(Link { child, parent, path });
                }
                None => missing.push(Wish { child: &adverts[child].peer, path }),
            }
        }
        // A parent's load counts on one path only, so one row serves them all.
        links[first..].iter().for_each(|link| children_of[link.parent] = 0);
    }
    links.sort_unstable();
    missing.sort_unstable();
    let edges = links.iter().map(|link| link.edge(&adverts)).collect();
    Topology { edges, unrooted: without_parent(&adverts, &links), missing, epoch_id: snapshot.epoch_id }
}

/// An edge between indices of advertisements; in order of indices it is in order of ids.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Link<'a> {
    child: usize,
    parent: usize,
    path: &'a [u8],
}

impl<'a> Link<'a> {
    fn edge(&self, adverts: &[&'a Advert]) -> Edge<'a> {
        Edge { child: &adverts[self.child].peer, parent: &adverts[self.parent].peer, path: self.path }
    }
}

/// Which of those that were heard want each path, in order of ids.
fn wishes<'a>(adverts: &[&'a Advert], heard: &[bool]) -> BTreeMap<&'a [u8], Vec<usize>> {
    let mut wishes: BTreeMap<&[u8], Vec<usize>> = BTreeMap::new();
    for (child, (advert, _)) in adverts.iter().zip(heard).enumerate().filter(|(_, (_, heard))| **heard) {
        advert.paths().into_iter().for_each(|path| wishes.entry(path).or_default().push(child));
    }
    wishes
}

fn without_parent<'a>(adverts: &[&'a Advert], links: &[Link<'_>]) -> Vec<&'a str> {
    let mut rooted = vec![false; adverts.len()];
    links.iter().for_each(|link| rooted[link.child] = true);
    adverts.iter().zip(rooted).filter(|(_, rooted)| !rooted).map(|(advert, _)| advert.peer.as_str()).collect()
}

/// A possible parent that passes both gates.
struct Scored {
    parent: u32,
    /// Before the penalty for its children.
    base: u32,
}

fn best(parents: &[Scored], children_of: &[u64]) -> Option<usize> {
    let mut best: Option<(u64, usize)> = None;
    for Scored { parent, base } in parents {
        let parent = *parent as usize;
        let score = u64::from(*base).saturating_sub(CHILD_PENALTY.saturating_mul(children_of[parent]));
        if best.is_none_or(|(most, _)| score > most) {
            best = Some((score, parent));
        }
    }
    best.map(|(_, parent)| parent)
}

/// What grants and observations say about those who advertise.
struct Relations {
    /// Whether any observation names the peer.
    heard: Vec<bool>,
    /// Possible parents of each peer, ascending.
    parents: Vec<Vec<Scored>>,
}

impl Relations {
    fn of(snapshot: &Snapshot, adverts: &[&Advert]) -> Self {
        let packed: String = adverts.iter().map(|it| it.peer.as_str()).collect();
        let ids = index(&packed, adverts);
        let mut heard = vec![false; adverts.len()];
        let mut observed = Vec::new();
        for it in &snapshot.observations {
            let ends = [ids.get(it.from.as_str()).copied(), ids.get(it.to.as_str()).copied()];
            ends.into_iter().flatten().for_each(|end| heard[end as usize] = true);
            if let [Some(parent), Some(child)] = ends
                && score::reachability(it.rtt_ms).is_some()
            {
                observed.push(((child, parent), it.rtt_ms));
            }
        }
        let granted = snapshot.grants.iter().filter(|it| score::trust(it.chain_depth).is_some()).filter_map(|it| {
            let pair = (*ids.get(it.grantee.as_str())?, *ids.get(it.granter.as_str())?);
            Some((pair, it.chain_depth))
        });
        Self { heard, parents: parents(adverts, &least(granted.collect()), &least(observed)) }
    }
}

/// The index of each id. Every lookup compares with one of these, so they lie side by side in `packed`: scattered over
/// the heap, each would be a miss in the caches.
fn index<'a>(packed: &'a str, adverts: &[&Advert]) -> HashMap<&'a str, u32> {
    let ends = adverts.iter().scan(0, |end, advert| {
        *end += advert.peer.len();
        Some((*end - advert.peer.len(), *end))
    });
    ends.map(|(from, to)| packed.get(from..to).unwrap_or_default()).zip(0..).collect()
}

fn parents(adverts: &[&Advert], granted: &[(Pair, u8)], observed: &[(Pair, u32)]) -> Vec<Vec<Scored>> {
    let capacity: Vec<u64> = adverts.iter().map(|it| capacity(it)).collect();
    let mut parents: Vec<Vec<Scored>> = adverts.iter().map(|_| Vec::new()).collect();
    let mut observed = observed.iter().peekable();
    for ((child, parent), depth) in granted.iter().filter(|((child, parent), _)| child != parent) {
        while observed.next_if(|(other, _)| *other < (*child, *parent)).is_some() {}
        if let Some((_, rtt_ms)) = observed.next_if(|(other, _)| *other == (*child, *parent)) {
            let base = base(capacity[*parent as usize], *depth, *rtt_ms);
            parents[*child as usize].push(Scored { parent: *parent, base });
        }
    }
    parents
}

/// A child, then a possible parent of it.
type Pair = (u32, u32);

/// The least value of each pair, ascending by pair.
fn least<T: Ord>(mut values: Vec<(Pair, T)>) -> Vec<(Pair, T)> {
    values.sort_unstable();
    values.dedup_by(|next, kept| next.0 == kept.0);
    values
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
