//! Random snapshots, and what counts in them.

use std::collections::{BTreeMap, BTreeSet};

use edge_alm::topology::{Advert, Commitment, Grant, Observation, Snapshot, Verification};
use proptest::prelude::*;
use proptest::test_runner::{Config, RngSeed};

/// Ids whose order by bytes differs from that by UTF-16 units, and prefixes of each other.
pub(crate) const PEERS: [&str; 9] = ["Z", "a", "a\u{1}", "aa", "b\"\\", "z", "\u{e9}", "\u{e000}", "\u{10000}"];
const PATHS: [&[u8]; 4] = [&[], &[0], &[0, 1], &[1]];
const UPLINKS_MBPS: [f32; 10] = [f32::NAN, -1.0, 0.0, 0.009, 9.999, 10.0, 500.0, 1000.0, 4321.987, 20_000.0];
const RTTS_MS: [u32; 7] = [0, 4, 50, 51, 4999, 5000, 5001];
const STATES: [Verification; 3] =
    [Verification::Unverified, Verification::HybridSignatureValid, Verification::ThroughputChallenged];

/// Runs of one property.
pub(crate) fn config(cases: u32) -> Config {
    Config { rng_seed: RngSeed::Fixed(0x7090), failure_persistence: None, ..Config::with_cases(cases) }
}

/// Snapshots of a few peers that pass the gates often, repeat themselves, and come near every edge of the rules.
pub(crate) fn snapshots() -> impl Strategy<Value = Snapshot> {
    let adverts = prop::collection::vec(adverts(), 0..12);
    let pair = || (0..PEERS.len(), 0..PEERS.len());
    let grants = prop::collection::vec((pair(), 0..6_u8), 0..70);
    let observations = prop::collection::vec((pair(), prop::sample::select(&RTTS_MS[..])), 0..70);
    (adverts, grants, observations, any::<u64>()).prop_map(|(adverts, grants, observations, epoch_id)| Snapshot {
        adverts,
        grants: grants
            .into_iter()
            .map(|((granter, grantee), depth)| grant(PEERS[granter], PEERS[grantee], depth))
            .collect(),
        observations: observations
            .into_iter()
            .map(|((from, to), rtt)| observation(PEERS[from], PEERS[to], rtt))
            .collect(),
        locality_id: "here".to_owned(),
        epoch_id,
    })
}

fn adverts() -> impl Strategy<Value = Advert> {
    let commitments = prop::collection::vec((prop::sample::select(&PATHS[..]), 0..3_u16), 0..4);
    let state = prop_oneof![1 => Just(STATES[0]), 4 => Just(STATES[1]), 3 => Just(STATES[2])];
    let limits = (0..4_u16, commitments);
    (0..PEERS.len(), prop::sample::select(&UPLINKS_MBPS[..]), 0..3_u64, limits, state).prop_map(
        |(peer, uplink_mbps, measured_at_unix_ms, (subscribers_max, commitments), verification)| {
            let mut advert = advert(PEERS[peer], uplink_mbps);
            advert.measured_at_unix_ms = measured_at_unix_ms;
            advert.subscribers_max = subscribers_max;
            advert.commitments = commitments.into_iter().map(|(path, most)| commitment(path, most)).collect();
            advert.verification = verification;
            advert.preimage = format!("{uplink_mbps:?} {subscribers_max} {:?}", advert.commitments).into_bytes();
            advert
        },
    )
}

/// A verified relay of whole streams without limits.
pub(crate) fn advert(peer: &str, uplink_mbps: f32) -> Advert {
    Advert {
        peer: peer.to_owned(),
        uplink_mbps,
        measured_at_unix_ms: 1,
        subscribers_max: u16::MAX,
        commitments: Vec::new(),
        verification: Verification::HybridSignatureValid,
        preimage: Vec::new(),
    }
}

/// A commitment.
pub(crate) fn commitment(path: &[u8], subscribers_max: u16) -> Commitment {
    Commitment { path: path.to_vec(), subscribers_max }
}

/// A grant.
pub(crate) fn grant(granter: &str, grantee: &str, chain_depth: u8) -> Grant {
    Grant { granter: granter.to_owned(), grantee: grantee.to_owned(), chain_depth }
}

/// An observation.
pub(crate) fn observation(from: &str, to: &str, rtt_ms: u32) -> Observation {
    Observation { from: from.to_owned(), to: to.to_owned(), rtt_ms }
}

/// The advertisements that count, by scanning for a greater one.
pub(crate) fn candidates(snapshot: &Snapshot) -> BTreeMap<String, Advert> {
    let heard = |peer: &str| snapshot.observations.iter().any(|it| it.from == peer || it.to == peer);
    let key = |it: &Advert| {
        let asserted = it.verification == Verification::HybridSignatureValid;
        (it.measured_at_unix_ms, it.preimage.clone(), asserted)
    };
    let surviving = snapshot.adverts.iter().filter(|it| it.verification != Verification::Unverified);
    let mut kept: BTreeMap<String, Advert> = BTreeMap::new();
    for advert in surviving.filter(|it| heard(&it.peer)) {
        if kept.get(&advert.peer).is_none_or(|old| key(old) < key(advert)) {
            kept.insert(advert.peer.clone(), advert.clone());
        }
    }
    kept
}

/// The paths that a candidate wants.
pub(crate) fn paths(advert: &Advert) -> BTreeSet<Vec<u8>> {
    match advert.commitments.is_empty() {
        true => BTreeSet::from([Vec::new()]),
        false => advert.commitments.iter().map(|it| it.path.clone()).collect(),
    }
}
