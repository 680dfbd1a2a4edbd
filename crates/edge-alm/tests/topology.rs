//! All peers compute the same forest.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

#[path = "topology_support/naive.rs"]
mod naive;
#[path = "topology_support/mod.rs"]
mod support;

use std::collections::BTreeMap;

use edge_alm::advert::{Capacity, Commitment as Committed, Layout, Statement};
use edge_alm::path::RawPath;
use edge_alm::topology::score::{self, quantise};
use edge_alm::topology::{Advert, Error, Limits, Snapshot, Topology, Verification, compute};
use edge_wire::id::{Epoch, KeyId, StreamId};
use edge_wire::layer::Policy;
use naive::{Forest, base, naive};
use proptest::prelude::*;
use serde_json::{Value, json};
use support::{PEERS, advert, candidates, commitment, config, grant, observation, paths, snapshots};

/// Every peer trusts and reaches every other.
fn mesh(adverts: Vec<Advert>) -> Snapshot {
    let ids: Vec<String> = adverts.iter().map(|it| it.peer.clone()).collect();
    let pairs: Vec<(&String, &String)> = ids.iter().flat_map(|a| ids.iter().map(move |b| (a, b))).collect();
    Snapshot {
        adverts,
        grants: pairs.iter().map(|(a, b)| grant(a, b, 0)).collect(),
        observations: pairs.iter().map(|(a, b)| observation(a, b, 50)).collect(),
        ..Snapshot::default()
    }
}

fn forest(topology: &Topology<'_>) -> Forest {
    Forest {
        edges: topology.edges.iter().map(|it| (it.child.into(), it.parent.into(), it.path.into())).collect(),
        unrooted: topology.unrooted.iter().map(|it| (*it).to_owned()).collect(),
        missing: topology.missing.iter().map(|it| (it.child.into(), it.path.into())).collect(),
    }
}

/// The output with every value as a general writer of JSON gives it; the order of keys is ours.
fn json_of(topology: &Topology<'_>) -> String {
    let edges: Vec<String> = topology
        .edges
        .iter()
        .map(|it| {
            let (parent, child, path) = (json!(it.parent), json!(it.child), json!(it.path));
            format!(r#"{{"parent_peer_id":{parent},"child_peer_id":{child},"sub_stream_path":{path}}}"#)
        })
        .collect();
    let unrooted = json!(topology.unrooted);
    let (edges, epoch) = (edges.join(","), topology.epoch_id);
    format!(r#"{{"tree":[{edges}],"unrooted_peers":{unrooted},"snapshot_epoch_id":{epoch},"topology_version":1}}"#)
}

proptest! {
    #![proptest_config(config(10_000))]

    #[test]
    fn the_index_changes_nothing(snapshot in snapshots()) {
        let topology = compute(&snapshot);
        prop_assert_eq!(forest(&topology), naive(&snapshot));
        prop_assert!(topology.unrooted.windows(2).all(|pair| pair[0] < pair[1]));
        prop_assert!(topology.missing.windows(2).all(|pair| pair[0] < pair[1]));
        prop_assert_eq!(topology.epoch_id, snapshot.epoch_id);
    }
}

proptest! {
    #![proptest_config(config(1000))]

    #[test]
    fn order_and_repetition_change_nothing(
        snapshot in snapshots(),
        keys in prop::collection::vec(any::<u32>(), 200),
        twice in prop::collection::vec(any::<bool>(), 200),
    ) {
        let mut other = snapshot.clone();
        mix(&mut other.adverts, &keys, &twice);
        mix(&mut other.grants, &keys, &twice);
        mix(&mut other.observations, &keys, &twice);
        prop_assert_eq!(compute(&other).json(), compute(&snapshot).json());
        prop_assert_eq!(compute(&other).missing, compute(&snapshot).missing);
    }

    #[test]
    fn an_unverified_advertisement_changes_nothing(
        snapshot in snapshots(), peer in prop::sample::select(&PEERS[..]), at in any::<prop::sample::Index>(),
    ) {
        let mut stranger = advert(peer, 10_000.0);
        stranger.verification = Verification::Unverified;
        stranger.measured_at_unix_ms = u64::MAX;
        let mut other = snapshot.clone();
        other.adverts.insert(at.index(snapshot.adverts.len() + 1), stranger);
        prop_assert_eq!(compute(&other), compute(&snapshot));
    }

    #[test]
    fn edges_are_between_different_candidates_one_for_a_child_and_path(snapshot in snapshots()) {
        let candidates = candidates(&snapshot);
        let topology = compute(&snapshot);
        let mut taken = BTreeMap::new();
        for edge in &topology.edges {
            prop_assert_ne!(edge.parent, edge.child);
            prop_assert!(candidates.contains_key(edge.parent));
            prop_assert!(paths(&candidates[edge.child]).contains(edge.path));
            prop_assert_eq!(taken.insert((edge.child, edge.path), edge.parent), None);
        }
        for peer in candidates.keys() {
            let rooted = topology.edges.iter().any(|edge| edge.child == peer);
            prop_assert_eq!(!rooted, topology.unrooted.contains(&peer.as_str()));
        }
    }

    #[test]
    fn no_better_parent_was_passed_over(snapshot in snapshots()) {
        let candidates = candidates(&snapshot);
        let topology = compute(&snapshot);
        let mut turns: Vec<_> = topology.edges.iter().collect();
        turns.sort_by_key(|edge| (edge.child, edge.path));
        let mut load: BTreeMap<(&str, &[u8]), u64> = BTreeMap::new();
        for edge in turns {
            let score = |parent: &str| {
                let base = base(&snapshot, &candidates[parent], edge.child)?;
                Some(base.saturating_sub(5 * load.get(&(parent, edge.path)).copied().unwrap_or(0)))
            };
            let chosen = score(edge.parent);
            prop_assert!(chosen.is_some_and(|points| points <= 100_000));
            for other in candidates.keys().filter(|it| *it != edge.child && *it != edge.parent) {
                let less = score(other) < chosen;
                prop_assert!(less || score(other) == chosen && other.as_str() > edge.parent);
            }
            *load.entry((edge.parent, edge.path)).or_default() += 1;
        }
    }

    #[test]
    fn a_boast_above_the_cap_changes_nothing(snapshot in snapshots(), mbps in 1000.0_f32..1e30) {
        let mut modest = snapshot.clone();
        let mut boast = snapshot;
        for (modest, boast) in modest.adverts.iter_mut().zip(&mut boast.adverts) {
            if modest.verification == Verification::HybridSignatureValid && modest.uplink_mbps >= 500.0 {
                modest.uplink_mbps = 1000.0;
                boast.uplink_mbps = mbps;
            }
        }
        prop_assert_eq!(compute(&boast), compute(&modest));
    }

    #[test]
    fn the_output_is_compact_json(snapshot in snapshots()) {
        let topology = compute(&snapshot);
        let text = String::from_utf8(topology.json()).unwrap();
        prop_assert_eq!(&text, &json_of(&topology));
        prop_assert!(serde_json::from_str::<Value>(&text).is_ok());
    }
}

/// Repeats some items and sorts all by `keys`.
fn mix<T: Clone>(items: &mut Vec<T>, keys: &[u32], twice: &[bool]) {
    let again: Vec<T> = items.iter().zip(twice).filter(|(_, twice)| **twice).map(|(item, _)| item.clone()).collect();
    items.extend(again);
    let mut keyed: Vec<_> = keys.iter().cycle().zip(items.drain(..)).collect();
    keyed.sort_by_key(|(key, _)| **key);
    items.extend(keyed.into_iter().map(|(_, item)| item));
}

/// What `x · 1000` in binary32, truncated, is, by integers alone.
fn quantised_by_integers(bits: u32) -> u64 {
    let (exponent, fraction) = (bits >> 23 & 0xff, bits & 0x7f_ffff);
    if bits >> 31 == 1 || exponent == 0xff {
        return 0;
    }
    let (mantissa, power) = if exponent == 0 { (fraction, -149) } else { (fraction | 1 << 23, exponent as i32 - 150) };
    // mantissa * 1000 has up to 34 bits; 24 stay, rounded to the nearest even.
    let product = u128::from(mantissa) * 1000;
    let lost = (128 - product.leading_zeros()).saturating_sub(24);
    let (kept, rest, half) = (product >> lost, product & ((1 << lost) - 1), 1_u128 << lost >> 1);
    let up = rest > half || rest == half && lost > 0 && kept & 1 == 1;
    let rounded = (kept + u128::from(up)) << lost;
    match power {
        80.. => {
            if rounded == 0 {
                0
            } else {
                u64::MAX
            }
        }
        0..80 => u64::try_from(rounded << power.min(60)).unwrap_or(u64::MAX),
        _ => u64::try_from(rounded.checked_shr(power.unsigned_abs()).unwrap_or(0)).unwrap(),
    }
}

#[test]
fn quantisation_is_that_of_binary32_on_every_exponent() {
    let mut state = 0x9e37_79b9_u32;
    for exponent in 0..=0x1ff_u32 {
        let edges = [0, 1, 2, 0x3f_ffff, 0x40_0000, 0x7f_fffe, 0x7f_ffff];
        let random = (0..1000).map(|_| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            state >> 9
        });
        let fractions: Vec<u32> = edges.into_iter().chain(random).collect();
        for fraction in fractions {
            let bits = exponent << 23 | fraction;
            assert_eq!(quantise(f32::from_bits(bits)), quantised_by_integers(bits), "{bits:#x}");
        }
    }
    assert_eq!(quantise(0.009), 9);
    assert_eq!(quantise(4321.987), 4_321_987);
}

proptest! {
    #![proptest_config(config(20_000))]

    #[test]
    fn quantisation_is_monotone_and_that_of_binary32(a in any::<u32>(), b in any::<u32>()) {
        prop_assert_eq!(quantise(f32::from_bits(a)), quantised_by_integers(a));
        let (low, high) = (a.min(b) & 0x7fff_ffff, a.max(b) & 0x7fff_ffff);
        if low <= high && f32::from_bits(high).is_finite() {
            prop_assert!(quantise(f32::from_bits(low)) <= quantise(f32::from_bits(high)));
        }
    }
}

#[test]
fn scores_stay_within_their_points() {
    for verification in [Verification::HybridSignatureValid, Verification::ThroughputChallenged] {
        let full = if verification == Verification::ThroughputChallenged { 1000 } else { 100 };
        assert_eq!(score::capacity(score::cap(u64::MAX, verification)), full);
    }
    assert_eq!(score::capacity(score::cap(u64::MAX, Verification::Unverified)), 0);
    assert_eq!(
        (0..=5).map(score::trust).collect::<Vec<_>>(),
        [1000, 750, 500, 250, 0].map(Some).into_iter().chain([None]).collect::<Vec<_>>()
    );
    assert_eq!([0, 5000, 5001, u32::MAX].map(score::reachability), [Some(1000), Some(0), None, None]);
}

#[test]
fn equal_times_are_decided_by_the_signed_bytes_then_by_the_weaker_claim() {
    let at = |uplink, preimage: &[u8], verification| Advert {
        preimage: preimage.to_vec(),
        verification,
        ..advert("a", uplink)
    };
    let with = |adverts: [Advert; 2]| {
        let rivals = [advert("b", 300.0), advert("c", 1.0)];
        compute(&mesh(rivals.into_iter().chain(adverts).collect()))
            .edges
            .iter()
            .find(|it| it.child == "c")
            .unwrap()
            .parent
            .to_owned()
    };
    let (asserted, challenged) = (Verification::HybridSignatureValid, Verification::ThroughputChallenged);
    let (strong, weak) = (at(900.0, b"1", asserted), at(1.0, b"2", asserted));
    assert_eq!(with([strong.clone(), weak.clone()]), "b");
    assert_eq!(with([weak, strong]), "b");
    let (challenged, asserted) = (at(2000.0, b"1", challenged), at(1.0, b"1", asserted));
    assert_eq!(with([challenged.clone(), asserted.clone()]), "b");
    assert_eq!(with([asserted, challenged]), "b");
}

#[test]
fn a_path_without_a_parent_is_reported_only_beside_the_output() {
    let mut child = advert("child", 1.0);
    child.commitments = vec![commitment(&[1], 1), commitment(&[0], 1)];
    let mut snapshot = mesh(vec![child]);
    let alone = compute(&snapshot);
    assert_eq!(alone.unrooted, ["child"]);
    assert_eq!(alone.missing.iter().map(|it| it.path).collect::<Vec<_>>(), [[0], [1]]);
    snapshot.adverts.push(advert("parent", 1.0));
    snapshot.grants.push(grant("parent", "child", 4));
    snapshot.observations.push(observation("parent", "child", 5000));
    let both = compute(&snapshot);
    assert_eq!(both.unrooted, ["parent"]);
    assert_eq!(both.missing.iter().map(|it| (it.child, it.path)).collect::<Vec<_>>(), [("parent", &[][..])]);
}

#[test]
fn a_snapshot_that_is_too_large_is_refused_before_it_is_computed() {
    let snapshot = mesh(vec![advert("a", 1.0), advert("b", 1.0)]);
    let limits = Limits::default();
    assert_eq!(snapshot.check(&limits), Ok(()));
    let too_many = |what, got, most| Err(Error::TooMany { what, got, most });
    assert_eq!(snapshot.check(&Limits { adverts_max: 1, ..limits }), too_many("advertisements", 2, 1));
    assert_eq!(snapshot.check(&Limits { grants_max: 3, ..limits }), too_many("grants", 4, 3));
    assert_eq!(snapshot.check(&Limits { observations_max: 3, ..limits }), too_many("observations", 4, 3));
    let mut long = snapshot.clone();
    long.adverts[1].commitments = vec![commitment(&[0; 9], 1)];
    assert_eq!(long.check(&limits), too_many("bytes of path", 9, 8));
    long.adverts[1].commitments = vec![commitment(&[0], 1); 65];
    assert_eq!(long.check(&limits), too_many("commitments in one advertisement", 65, 64));
    for (peer, got) in [(String::new(), 0), ("x\0".to_owned(), 2), ("x".repeat(257), 257)] {
        let mut odd = snapshot.clone();
        odd.observations[0].to = peer;
        assert_eq!(odd.check(&limits), Err(Error::Peer { got }));
    }
}

#[test]
fn an_advertisement_brings_its_signed_bytes_along() {
    let commitment = Committed { sub_stream_path: RawPath::new([0, 1]), uplink_budget_mbps: 2.5, max_subscribers: 3 };
    let capacity = Capacity {
        uplink_mbps: 12.5,
        max_streams: 1,
        max_subscribers_per_stream: 7,
        measured_at_unix_ms: 99,
        max_layer_supported: Policy::UNCAPPED,
        sub_stream_commitments: vec![commitment],
    };
    let advertiser = KeyId::new("relay").unwrap();
    let statement = Statement { advertiser, capacity, stream: StreamId([1; 32]), epoch: Epoch(2) };
    let taken = Advert::of(&statement, Verification::ThroughputChallenged).unwrap();
    assert_eq!((taken.peer.as_str(), taken.uplink_mbps, taken.measured_at_unix_ms), ("relay", 12.5, 99));
    assert_eq!((taken.subscribers_max, taken.commitments), (7, vec![support::commitment(&[0, 1], 3)]));
    assert_eq!(taken.preimage, Layout::CapV2Wide.canonical(&statement).unwrap());
}
