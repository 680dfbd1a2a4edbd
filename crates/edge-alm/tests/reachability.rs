//! Outcomes within the window add up as the vectors say and as a plain list would.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use std::sync::{Arc, Mutex};
use std::thread;

use edge_alm::reachability::{ERROR_CLASS_LEN_MAX, OUTCOMES_MAX, Outcome, PAIRS_MAX, Tracker, Transport};
use edge_wire::id::KeyId;
use proptest::prelude::*;
use proptest::test_runner::{Config, RngSeed};
use serde_json::Value;

#[test]
fn vectors_reproduce() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../conformance/media/reachability.json");
    let file: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    let cases = file["vectors"].as_array().unwrap();
    assert_eq!(cases.len(), 7);
    for case in cases {
        let mut tracker = Tracker::new(case["window_seconds"].as_u64().unwrap() * 1000);
        for event in case["events"].as_array().unwrap() {
            let at_ms = event[0].as_u64().unwrap() * 1000;
            tracker.record(&peer(0), &Transport::HTTP, outcome(event[1].as_str().unwrap()), at_ms);
        }
        let snapshot = tracker.snapshot(&peer(0), &Transport::HTTP, case["now"].as_u64().unwrap() * 1000);
        let expect = &case["snapshot"];
        assert_eq!(snapshot.is_some(), expect["present"].as_bool().unwrap(), "{}", case["id"]);
        let Some(snapshot) = snapshot else { continue };
        assert_eq!(snapshot.attempts, expect["attempts"].as_u64().unwrap(), "{}", case["id"]);
        assert_eq!(snapshot.successes, expect["successes"].as_u64().unwrap(), "{}", case["id"]);
        assert_eq!(snapshot.ratio(), expect["ratio"].as_f64().unwrap(), "{}", case["id"]);
        assert_eq!(snapshot.last_error_class.as_deref(), expect["last_error_class"].as_str(), "{}", case["id"]);
    }
}

#[test]
fn pairs_are_apart_and_an_unknown_one_is_absent() {
    let mut tracker = Tracker::default();
    tracker.record(&peer(0), &Transport::HTTP, Outcome::SendSuccess, 0);
    tracker.record(&peer(0), &Transport::LORA, Outcome::SendFailure { error_class: "io" }, 0);
    assert_eq!(tracker.snapshot(&peer(0), &Transport::HTTP, 0).unwrap().ratio(), 1.0);
    assert_eq!(tracker.snapshot(&peer(0), &Transport::other("lora"), 0).unwrap().ratio(), 0.0);
    assert!(tracker.snapshot(&peer(0), &Transport::QUIC, 0).is_none());
    assert!(tracker.snapshot(&peer(1), &Transport::HTTP, 0).is_none());
    assert_eq!(tracker.pairs(), 2);
    tracker.forget(&peer(0));
    assert!(tracker.snapshot(&peer(0), &Transport::HTTP, 0).is_none());
    assert_eq!(tracker.pairs(), 0);
}

#[test]
fn announces_do_not_hide_failing_sends() {
    let mut tracker = Tracker::default();
    for at_ms in 0..9 {
        tracker.record(&peer(0), &Transport::QUIC, Outcome::AnnounceReceived, at_ms);
    }
    let heard = tracker.snapshot(&peer(0), &Transport::QUIC, 9).unwrap();
    assert_eq!((heard.ratio(), heard.sends_ratio()), (1.0, 1.0));
    tracker.record(&peer(0), &Transport::QUIC, Outcome::SendFailure { error_class: "timeout" }, 9);
    let failing = tracker.snapshot(&peer(0), &Transport::QUIC, 9).unwrap();
    assert_eq!((failing.ratio(), failing.sends_ratio()), (0.9, 0.0));
    assert_eq!((failing.last_success_at_ms, failing.last_attempt_at_ms), (Some(8), 9));
}

#[test]
fn the_oldest_of_too_many_outcomes_are_forgotten() {
    let mut tracker = Tracker::default();
    tracker.record(&peer(0), &Transport::QUIC, Outcome::SendFailure { error_class: "first" }, 0);
    for _ in 1..OUTCOMES_MAX {
        tracker.record(&peer(0), &Transport::QUIC, Outcome::SendSuccess, 0);
    }
    let full = tracker.snapshot(&peer(0), &Transport::QUIC, 0).unwrap();
    assert_eq!((full.attempts, full.successes), (OUTCOMES_MAX as u64, OUTCOMES_MAX as u64 - 1));
    assert_eq!(full.last_error_class.as_deref(), Some("first"));
    tracker.record(&peer(0), &Transport::QUIC, Outcome::SendSuccess, 0);
    let slid = tracker.snapshot(&peer(0), &Transport::QUIC, 0).unwrap();
    assert_eq!((slid.attempts, slid.successes, slid.last_error_class), (full.attempts, full.attempts, None));
}

#[test]
fn the_pair_that_was_silent_longest_makes_room() {
    let mut tracker = Tracker::default();
    for at in 0..PAIRS_MAX as u64 {
        tracker.record(&peer(at), &Transport::QUIC, Outcome::SendSuccess, at + 1);
    }
    tracker.record(&peer(0), &Transport::QUIC, Outcome::SendSuccess, 100_000);
    tracker.record(&peer(999_999), &Transport::QUIC, Outcome::SendSuccess, 100_000);
    assert_eq!(tracker.pairs(), PAIRS_MAX);
    assert!(tracker.snapshot(&peer(0), &Transport::QUIC, 100_000).is_some());
    assert!(tracker.snapshot(&peer(1), &Transport::QUIC, 100_000).is_none());
    assert!(tracker.snapshot(&peer(2), &Transport::QUIC, 100_000).is_some());
}

#[test]
fn long_error_classes_are_cut_at_a_character() {
    let mut tracker = Tracker::default();
    tracker.record(&peer(0), &Transport::QUIC, Outcome::DurableAbandoned { reason: &"é".repeat(100) }, 0);
    let class = tracker.snapshot(&peer(0), &Transport::QUIC, 0).unwrap().last_error_class.unwrap();
    assert_eq!(class, "é".repeat(ERROR_CLASS_LEN_MAX / 2));
}

#[test]
fn parallel_writers_lose_no_update() {
    let tracker = Arc::new(Mutex::new(Tracker::default()));
    let writers: Vec<_> = (0..100)
        .map(|_| {
            let tracker = Arc::clone(&tracker);
            thread::spawn(move || {
                for _ in 0..100 {
                    tracker.lock().unwrap().record(&peer(0), &Transport::QUIC, Outcome::SendSuccess, 5);
                }
            })
        })
        .collect();
    writers.into_iter().for_each(|writer| writer.join().unwrap());
    assert_eq!(tracker.lock().unwrap().snapshot(&peer(0), &Transport::QUIC, 5).unwrap().attempts, 10_000);
}

proptest! {
    #![proptest_config(config(0x5eed_0040))]

    #[test]
    fn agrees_with_a_plain_list(
        window_ms in 1u64..200,
        steps in prop::collection::vec((0u64..60, 0usize..6, any::<bool>()), 0..120),
        later in 0u64..400,
    ) {
        const KINDS: [&str; 6] = [
            "SendSuccess",
            "DurableDelivered",
            "AttestationReceived",
            "AnnounceReceived",
            "SendFailure:io",
            "DurableAbandoned:ttl",
        ];
        let mut tracker = Tracker::new(window_ms);
        let mut list: Vec<(u64, &str)> = Vec::new();
        let mut now = 0;
        for (step, kind, look) in steps {
            now += step;
            tracker.record(&peer(0), &Transport::QUIC, outcome(KINDS[kind]), now);
            list.push((now, KINDS[kind]));
            if look {
                let snapshot = tracker.snapshot(&peer(0), &Transport::QUIC, now);
                prop_assert_eq!(snapshot.map(seen), model(&list, window_ms, now));
            }
        }
        now += later;
        prop_assert_eq!(tracker.snapshot(&peer(0), &Transport::QUIC, now).map(seen), model(&list, window_ms, now));
    }
}

type Seen = (u64, u64, u64, Option<u64>, Option<String>);

fn seen(snapshot: edge_alm::reachability::Snapshot) -> Seen {
    let edge_alm::reachability::Snapshot {
        attempts, successes, announces, last_success_at_ms, last_error_class, ..
    } = snapshot;
    (attempts, successes, announces, last_success_at_ms, last_error_class)
}

fn model(list: &[(u64, &str)], window_ms: u64, now: u64) -> Option<Seen> {
    let live: Vec<_> = list.iter().filter(|(at, _)| *at >= now.saturating_sub(window_ms)).collect();
    let successes: Vec<_> = live.iter().filter(|(_, kind)| !kind.contains(':')).collect();
    let failure = live.iter().rev().find_map(|(_, kind)| kind.split_once(':'));
    (!live.is_empty()).then(|| {
        (
            live.len() as u64,
            successes.len() as u64,
            live.iter().filter(|(_, kind)| *kind == "AnnounceReceived").count() as u64,
            successes.last().map(|(at, _)| *at),
            failure.map(|(_, class)| class.to_owned()),
        )
    })
}

fn outcome(text: &str) -> Outcome<'_> {
    match text.split_once(':') {
        Some(("SendFailure", error_class)) => Outcome::SendFailure { error_class },
        Some(("DurableAbandoned", reason)) => Outcome::DurableAbandoned { reason },
        _ => match text {
            "SendSuccess" => Outcome::SendSuccess,
            "DurableDelivered" => Outcome::DurableDelivered,
            "AttestationReceived" => Outcome::AttestationReceived,
            "AnnounceReceived" => Outcome::AnnounceReceived,
            other => panic!("unknown outcome {other}"),
        },
    }
}

fn peer(number: u64) -> KeyId {
    KeyId::new(format!("peer-{number}")).unwrap()
}

fn config(seed: u64) -> Config {
    Config { rng_seed: RngSeed::Fixed(seed), failure_persistence: None, ..Config::with_cases(256) }
}
