//! A relay admits what fits every limit, and what it admitted is what it counts.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use edge_alm::admission::{Error, Ledger, Limit, Limits, Seat, has_room_for, has_room_for_substream, whole_kbps};
use edge_alm::advert::{Capacity, Commitment};
use edge_alm::path::{RawPath, SubStreamPath};
use edge_wire::id::{Fingerprint, StreamId};
use edge_wire::layer::Policy;
use proptest::prelude::*;
use proptest::test_runner::{Config, RngSeed};

const LIMITS: Limits = Limits { uplink_kbps: 10_000, max_streams: 2, max_subscribers_per_stream: 3 };

fn seat(stream: u8, subscriber: u8, path: &[u8]) -> Seat {
    Seat {
        stream: StreamId([stream; 32]),
        path: SubStreamPath::new(path).unwrap(),
        subscriber: Fingerprint([subscriber; 32]),
    }
}

fn commitment(path: &[u8], uplink_budget_mbps: f32, max_subscribers: u16) -> Commitment {
    Commitment { sub_stream_path: RawPath::new(path), uplink_budget_mbps, max_subscribers }
}

fn full(limit: Limit) -> Result<(), Error> {
    Err(Error::InsufficientCapacity(limit))
}

#[test]
fn egress_counts_over_all_streams_and_paths() {
    let mut ledger = Ledger::new(LIMITS);
    assert_eq!(ledger.admit(seat(1, 1, &[]), 4_000), Ok(()));
    assert_eq!(ledger.admit(seat(2, 1, &[0]), 4_000), Ok(()));
    assert_eq!(ledger.admit(seat(2, 2, &[1]), 2_001), full(Limit::Uplink));
    assert_eq!(ledger.admit(seat(2, 2, &[1]), 2_000), Ok(()));
    assert_eq!((ledger.egress_kbps(), ledger.spare_kbps()), (10_000, 0));
    assert_eq!(ledger.admit(seat(1, 1, &[]), 4_001), full(Limit::Uplink), "a higher rate is asked for like a new one");
    assert_eq!(ledger.admit(seat(1, 1, &[]), 1_000), Ok(()));
    assert_eq!(ledger.egress_kbps(), 7_000);
    assert_eq!(ledger.rate(&seat(1, 1, &[])), Some(1_000));
}

#[test]
fn streams_and_distinct_subscribers_are_limited() {
    let mut ledger = Ledger::new(LIMITS);
    for path in [&[0, 0][..], &[0, 1], &[1, 0], &[1, 1]] {
        assert_eq!(ledger.admit(seat(1, 1, path), 100), Ok(()));
    }
    assert_eq!(ledger.subscribers(StreamId([1; 32])), 1, "four paths of one peer");
    assert_eq!(ledger.admit(seat(1, 2, &[]), 100), Ok(()));
    assert_eq!(ledger.admit(seat(1, 3, &[]), 100), Ok(()));
    assert_eq!(ledger.admit(seat(1, 4, &[]), 100), full(Limit::Subscribers));
    assert_eq!(ledger.admit(seat(1, 3, &[1]), 100), Ok(()));
    assert_eq!(ledger.admit(seat(2, 4, &[]), 100), Ok(()));
    assert_eq!(ledger.admit(seat(3, 1, &[]), 100), full(Limit::Streams));
    assert_eq!(ledger.admit(seat(1, 1, &[]), 0), Err(Error::Bitrate));

    ledger.release(&seat(2, 4, &[]));
    assert_eq!(ledger.admit(seat(3, 1, &[]), 100), Ok(()));
    ledger.release_all(Fingerprint([1; 32]));
    assert_eq!((ledger.streams(), ledger.subscribers(StreamId([1; 32])), ledger.egress_kbps()), (1, 2, 300));
    ledger.release(&seat(1, 1, &[]));
    assert_eq!(ledger.egress_kbps(), 300, "who has gone cannot go again");
}

#[test]
fn commitments_admit_by_path() {
    let mut ledger = Ledger::new(LIMITS);
    let said = [commitment(&[0], 1.0, 2), commitment(&[1], 0.5, 9), commitment(&[0], 99.0, 99)];
    ledger.commit(StreamId([1; 32]), &said);
    assert_eq!(ledger.admit(seat(1, 1, &[]), 100), full(Limit::Path));
    assert_eq!(ledger.admit(seat(1, 1, &[0, 1]), 100), full(Limit::Path));
    assert_eq!(ledger.admit(seat(1, 1, &[0]), 600), Ok(()));
    assert_eq!(ledger.admit(seat(1, 2, &[0]), 401), full(Limit::PathBudget));
    assert_eq!(ledger.admit(seat(1, 2, &[0]), 400), Ok(()));
    assert_eq!(ledger.admit(seat(1, 3, &[0]), 1), full(Limit::PathSubscribers));
    assert_eq!(ledger.admit(seat(1, 1, &[0]), 500), Ok(()), "one's own seat is no obstacle");
    assert_eq!(ledger.admit(seat(1, 3, &[1]), 500), Ok(()));
    assert_eq!(ledger.admit(seat(2, 3, &[0]), 5_000), Ok(()), "another stream has no commitments");
    ledger.commit(StreamId([1; 32]), &[]);
    assert_eq!(ledger.admit(seat(1, 1, &[]), 100), Ok(()));
}

#[test]
fn lower_limits_keep_who_is_there_and_admit_nobody() {
    let mut ledger = Ledger::new(LIMITS);
    ledger.admit(seat(1, 1, &[]), 9_000).unwrap();
    ledger.set_limits(Limits { uplink_kbps: 5_000, ..LIMITS });
    assert_eq!((ledger.egress_kbps(), ledger.spare_kbps()), (9_000, 0));
    assert_eq!(ledger.admit(seat(1, 2, &[]), 1), full(Limit::Uplink));
    assert_eq!(ledger.admit(seat(1, 1, &[]), 5_000), Ok(()));
}

#[test]
fn mbps_become_whole_kbps_downwards() {
    let cases = [(12.1, 12_100), (0.3, 300), (0.000_9, 0), (1e6, 1_000_000_000), (0.0, 0), (-0.0, 0), (-5.0, 0)];
    for (mbps, kbps) in cases {
        assert_eq!(whole_kbps(mbps), kbps, "{mbps}");
    }
    assert_eq!([f32::NAN, f32::INFINITY, f32::NEG_INFINITY].map(whole_kbps), [0; 3]);
}

fn capacity(uplink_mbps: f32, most: u16, commitments: Vec<Commitment>) -> Capacity {
    Capacity {
        uplink_mbps,
        max_streams: 1,
        max_subscribers_per_stream: most,
        measured_at_unix_ms: 0,
        max_layer_supported: Policy::UNCAPPED,
        sub_stream_commitments: commitments,
    }
}

#[test]
fn a_matched_commitment_decides_alone() {
    let said = capacity(0.0, 0, vec![commitment(&[0], 5.0, 2)]);
    assert!(has_room_for_substream(&said, &[0], 2.5, 1));
    assert!(!has_room_for(&said, 2.5, 0));
    assert!(!has_room_for_substream(&said, &[1], 0.0, 0));
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn room_never_grows_with_subscribers(
        uplink in 0.0_f32..1e3,
        most in any::<u16>(),
        rate in 0.0_f32..50.0,
        n in 0..u16::MAX,
    ) {
        let said = capacity(uplink, most, Vec::new());
        prop_assert!(has_room_for(&said, rate, n) || !has_room_for(&said, rate, n + 1));
        prop_assert_eq!(has_room_for(&said, rate, n), has_room_for_substream(&said, &[1, 0], rate, n));
    }

    #[test]
    fn the_ledger_stays_within_its_limits_and_adds_up(
        steps in prop::collection::vec((0..3_u8, 0..5_u8, 0..3_usize, 0..4_000_u64, 0..4_u8), 0..120),
    ) {
        let paths: [&[u8]; 3] = [&[], &[0], &[1]];
        let mut ledger = Ledger::new(LIMITS);
        let mut model = std::collections::BTreeMap::new();
        for (stream, subscriber, path, kbps, step) in steps {
            let at = seat(stream, subscriber, paths[path]);
            match step {
                0 => { ledger.release(&at); model.remove(&at); }
                1 if kbps < 400 => {
                    ledger.release_all(at.subscriber);
                    model.retain(|held: &Seat, _| held.subscriber != at.subscriber);
                }
                _ => if ledger.admit(at, kbps).is_ok() { model.insert(at, kbps); },
            }
            prop_assert_eq!(ledger.egress_kbps(), model.values().sum::<u64>());
            prop_assert!(ledger.egress_kbps() <= LIMITS.uplink_kbps);
            prop_assert!(ledger.streams() <= 2);
            for stream in 0..3 {
                let of: std::collections::BTreeSet<_> =
                    model.keys().filter(|held| held.stream.0[0] == stream).map(|held| held.subscriber).collect();
                prop_assert_eq!(ledger.subscribers(StreamId([stream; 32])), of.len());
                prop_assert!(of.len() <= 3);
            }
        }
    }
}

fn config() -> Config {
    Config { rng_seed: RngSeed::Fixed(0xad31), failure_persistence: None, ..Config::with_cases(256) }
}
