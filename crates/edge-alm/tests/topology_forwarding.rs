//! What is forwarded by a forest has no loops and stays within what relays offer.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

#[path = "topology_support/mod.rs"]
mod support;

use std::collections::{BTreeMap, BTreeSet};

use edge_alm::topology::forwarding::{Plan, plan};
use edge_alm::topology::{Snapshot, Topology, compute};
use proptest::prelude::*;
use support::{PEERS, advert, candidates, commitment, config, grant, observation, paths, snapshots};

/// A peer and a path that it receives.
type Held<'a> = BTreeSet<(&'a str, &'a [u8])>;

fn holds(held: &Held<'_>, peer: &str, path: &[u8]) -> bool {
    held.contains(&(peer, path)) || held.contains(&(peer, &[]))
}

fn held<'a>(plan: &Plan<'a>) -> Held<'a> {
    plan.hops.iter().map(|hop| (hop.edge.child, hop.edge.path)).collect()
}

/// What the forest brings from the source, by adding edges until nothing is added.
fn reach<'a>(topology: &Topology<'a>, source: &str) -> Held<'a> {
    let mut held = Held::new();
    loop {
        let more: Vec<_> = topology
            .edges
            .iter()
            .filter(|it| it.child != source && !held.contains(&(it.child, it.path)))
            .filter(|it| it.parent == source || holds(&held, it.parent, it.path))
            .map(|it| (it.child, it.path))
            .collect();
        if more.is_empty() {
            return held;
        }
        held.extend(more);
    }
}

proptest! {
    #![proptest_config(config(4000))]

    #[test]
    fn a_parent_holds_what_it_passes_on(snapshot in snapshots(), source in prop::sample::select(&PEERS[..])) {
        let topology = compute(&snapshot);
        let plan = plan(&topology, &snapshot, source);
        let mut depths: BTreeMap<(&str, &[u8]), u32> = BTreeMap::new();
        let mut up: BTreeMap<(&str, &[u8]), &str> = BTreeMap::new();
        for hop in &plan.hops {
            let edge = hop.edge;
            prop_assert!(topology.edges.contains(&edge));
            prop_assert_ne!(edge.child, source);
            let ways = [edge.path, &[]].into_iter().filter_map(|path| depths.get(&(edge.parent, path)));
            let above = if edge.parent == source { Some(0) } else { ways.min().copied() };
            prop_assert_eq!(above.map(|depth| depth + 1), Some(hop.depth));
            prop_assert_eq!(depths.insert((edge.child, edge.path), hop.depth), None);
            prop_assert_eq!(up.insert((edge.child, edge.path), edge.parent), None);
        }
        for (start, path) in up.keys() {
            let chain = std::iter::successors(Some(*start), |peer| up.get(&(*peer, *path)).copied());
            prop_assert!(chain.take(PEERS.len() + 1).count() <= PEERS.len(), "a loop on {path:?}");
        }
    }

    #[test]
    fn no_parent_serves_more_than_it_offers(snapshot in snapshots(), source in prop::sample::select(&PEERS[..])) {
        let offers = candidates(&snapshot);
        let topology = compute(&snapshot);
        let plan = plan(&topology, &snapshot, source);
        for (parent, offer) in &offers {
            let edges: Vec<_> = plan.hops.iter().map(|hop| hop.edge).filter(|edge| edge.parent == parent).collect();
            let children: BTreeSet<&str> = edges.iter().map(|edge| edge.child).collect();
            prop_assert!(children.len() <= usize::from(offer.subscribers_max));
            for edge in edges.iter().filter(|_| !offer.commitments.is_empty()) {
                let commitment = offer.commitments.iter().find(|it| it.path == edge.path);
                let on_path = edges.iter().filter(|it| it.path == edge.path).count();
                prop_assert!(commitment.is_some_and(|it| on_path <= usize::from(it.subscribers_max)));
            }
        }
    }

    #[test]
    fn without_limits_it_reaches_what_the_forest_reaches(
        mut snapshot in snapshots(), source in prop::sample::select(&PEERS[..]), whole in any::<bool>(),
    ) {
        for advert in &mut snapshot.adverts {
            advert.subscribers_max = u16::MAX;
            advert.commitments.iter_mut().for_each(|it| it.subscribers_max = u16::MAX);
            // Relays that commit to everything are as good as relays without commitments.
            if !whole || !advert.commitments.is_empty() {
                let all = [&[][..], &[0], &[0, 1], &[1]];
                advert.commitments.extend(all.map(|path| commitment(path, u16::MAX)));
            }
        }
        let topology = compute(&snapshot);
        let plan = plan(&topology, &snapshot, source);
        let (planned, forest) = (held(&plan), reach(&topology, source));
        for (peer, path) in &forest {
            prop_assert!(holds(&planned, peer, path), "{peer} lacks {path:?}");
        }
        prop_assert!(planned.is_subset(&forest));
    }

    #[test]
    fn whoever_is_not_reached_is_named(snapshot in snapshots(), source in prop::sample::select(&PEERS[..])) {
        let topology = compute(&snapshot);
        let plan = plan(&topology, &snapshot, source);
        let planned = held(&plan);
        let offers = candidates(&snapshot);
        let expected: Vec<(String, Vec<u8>)> = offers
            .iter()
            .filter(|(peer, _)| *peer != source)
            .flat_map(|(peer, offer)| paths(offer).into_iter().map(|path| (peer.clone(), path)))
            .filter(|(peer, path)| !holds(&planned, peer, path))
            .collect();
        let named: Vec<_> = plan.unreached.iter().map(|it| (it.child.to_owned(), it.path.to_owned())).collect();
        prop_assert_eq!(named, expected);
    }

    #[test]
    fn the_order_of_a_snapshot_changes_nothing(snapshot in snapshots(), source in prop::sample::select(&PEERS[..])) {
        let mut other = snapshot.clone();
        other.adverts.reverse();
        other.grants.reverse();
        other.observations.rotate_left(snapshot.observations.len() / 3);
        let (topology, same) = (compute(&snapshot), compute(&other));
        prop_assert_eq!(plan(&topology, &snapshot, source), plan(&same, &other, source));
    }
}

fn line(pairs: &[(&str, &str)]) -> Snapshot {
    let ids: BTreeSet<&str> = pairs.iter().flat_map(|(a, b)| [*a, *b]).collect();
    Snapshot {
        adverts: ids.into_iter().map(|id| advert(id, 10.0)).collect(),
        grants: pairs.iter().map(|(a, b)| grant(a, b, 0)).collect(),
        observations: pairs.iter().map(|(a, b)| observation(a, b, 5)).collect(),
        ..Snapshot::default()
    }
}

#[test]
fn two_peers_that_are_each_others_parents_do_not_feed_each_other() {
    let snapshot = line(&[("s", "a"), ("b", "c"), ("c", "b")]);
    let topology = compute(&snapshot);
    assert_eq!(topology.edges.len(), 3);
    let plan = plan(&topology, &snapshot, "s");
    assert_eq!(plan.hops.iter().map(|hop| (hop.edge.child, hop.depth)).collect::<Vec<_>>(), [("a", 1)]);
    assert_eq!(plan.unreached.iter().map(|it| it.child).collect::<Vec<_>>(), ["b", "c"]);
}

#[test]
fn descriptions_may_take_opposite_ways() {
    let mut snapshot = line(&[("s", "a"), ("s", "b"), ("a", "b"), ("b", "a")]);
    for advert in snapshot.adverts.iter_mut().filter(|it| it.peer != "s") {
        advert.commitments = vec![commitment(&[0], 1), commitment(&[1], 1)];
    }
    // The source reaches each of them on one path only, by being the worse parent on the other.
    let topology = Topology {
        edges: [("a", "b", &[1][..]), ("a", "s", &[0]), ("b", "a", &[0]), ("b", "s", &[1])]
            .map(|(child, parent, path)| edge_alm::topology::Edge { child, parent, path })
            .to_vec(),
        unrooted: Vec::new(),
        missing: Vec::new(),
        epoch_id: 0,
    };
    let plan = plan(&topology, &snapshot, "s");
    assert_eq!(plan.hops.iter().map(|hop| hop.depth).collect::<Vec<_>>(), [1, 1, 2, 2]);
    assert!(plan.unreached.is_empty());
}

#[test]
fn a_full_parent_and_an_unknown_source_leave_children_to_themselves() {
    let mut snapshot = line(&[("s", "a"), ("s", "b"), ("s", "c")]);
    snapshot.adverts.iter_mut().for_each(|it| it.subscribers_max = 2);
    let topology = compute(&snapshot);
    let full = plan(&topology, &snapshot, "s");
    assert_eq!(full.hops.iter().map(|hop| hop.edge.child).collect::<Vec<_>>(), ["a", "b"]);
    assert_eq!(full.unreached.iter().map(|it| it.child).collect::<Vec<_>>(), ["c"]);
    assert!(plan(&topology, &snapshot, "nobody").hops.is_empty());
}
