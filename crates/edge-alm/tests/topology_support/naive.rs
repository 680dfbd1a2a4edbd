//! The algorithm written down as its rules are, without any index.

use std::collections::BTreeSet;

use edge_alm::topology::{Advert, Snapshot, Verification};

use crate::support::{candidates, paths};

/// Child, parent, path.
pub(crate) type Edge = (String, String, Vec<u8>);

/// What the rules give: edges in their order, unrooted peers, pairs of child and path without a parent.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Forest {
    pub(crate) edges: Vec<Edge>,
    pub(crate) unrooted: BTreeSet<String>,
    pub(crate) missing: BTreeSet<(String, Vec<u8>)>,
}

/// Points of a parent for a child before the penalty; `None` when a gate is closed.
pub(crate) fn base(snapshot: &Snapshot, parent: &Advert, child: &str) -> Option<u64> {
    let depth =
        snapshot.grants.iter().filter(|it| it.granter == parent.peer && it.grantee == child && it.chain_depth <= 4);
    let depth = u64::from(depth.map(|it| it.chain_depth).min()?);
    let rtt = snapshot.observations.iter().filter(|it| it.from == parent.peer && it.to == child);
    let rtt = u64::from(rtt.map(|it| it.rtt_ms).min()?);
    if rtt > 5000 {
        return None;
    }
    let mbps = parent.uplink_mbps;
    let kbps = if mbps.is_finite() && mbps > 0.0 { (mbps * 1000.0) as u64 } else { 0 };
    let kbps = match parent.verification {
        Verification::ThroughputChallenged => kbps,
        _ => kbps.min(1_000_000),
    };
    let capacity = kbps.min(10_000_000) * 1000 / 10_000_000;
    Some(50 * capacity + 30 * ((4 - depth) * 1000 / 4) + 20 * ((5000 - rtt) * 1000 / 5000))
}

/// The rules, one after the other: every child, every path, every parent.
pub(crate) fn naive(snapshot: &Snapshot) -> Forest {
    let candidates = candidates(snapshot);
    let surviving = snapshot.adverts.iter().filter(|it| it.verification != Verification::Unverified);
    let mut unrooted: BTreeSet<String> =
        surviving.map(|it| it.peer.clone()).filter(|peer| !candidates.contains_key(peer)).collect();
    let mut edges: Vec<Edge> = Vec::new();
    let mut missing = BTreeSet::new();
    for (child, advert) in &candidates {
        let before = edges.len();
        for path in paths(advert) {
            let mut best: Option<(u64, &String)> = None;
            for (parent, offer) in candidates.iter().filter(|(parent, _)| *parent != child) {
                let Some(base) = base(snapshot, offer, child) else { continue };
                let children = edges.iter().filter(|(_, of, on)| of == parent && *on == path).count() as u64;
                let score = base.saturating_sub(5 * children);
                if best.is_none_or(|(most, _)| score > most) {
                    best = Some((score, parent));
                }
            }
            match best {
                Some((_, parent)) => edges.push((child.clone(), parent.clone(), path)),
                None => drop(missing.insert((child.clone(), path))),
            }
        }
        if edges.len() == before {
            unrooted.insert(child.clone());
        }
    }
    edges.sort();
    Forest { edges, unrooted, missing }
}
