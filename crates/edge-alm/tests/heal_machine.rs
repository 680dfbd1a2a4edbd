//! The heal machine that peers agree on: its edges, and its set of parents against a model.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use std::collections::{BTreeMap, BTreeSet};

use edge_alm::heal::{Action, Observation, Outcome, PARENTS_MAX, RING_CAPACITY, SILENCE_MS, Subscription};
use proptest::prelude::*;
use proptest::test_runner::{Config, RngSeed};

#[test]
fn a_ring_without_room_forgets_at_once() {
    let mut parents = Subscription::new("p", vec![], 0);
    for _ in 0..3 {
        assert_eq!(parents.observe_chunk(&"p", 1, 1, 5), Observation::FirstDelivery);
    }
}

#[test]
fn a_hit_does_not_refresh_its_place() {
    let mut parents = Subscription::new("p", vec![], 2);
    let mut observe = |seq| parents.observe_chunk(&"p", 1, seq, 0);
    assert_eq!(
        [1, 2, 1, 3, 1].map(&mut observe),
        [
            Observation::FirstDelivery,
            Observation::FirstDelivery,
            Observation::Duplicate,
            Observation::FirstDelivery,
            Observation::FirstDelivery,
        ]
    );
}

#[test]
fn duplicates_show_life_and_ticks_change_nothing() {
    let mut parents = Subscription::new("p", vec!["b"], RING_CAPACITY);
    parents.observe_chunk(&"p", 1, 1, 10_000);
    parents.observe_chunk(&"b", 1, 1, 10_000);
    let at = |parents: &Subscription<&'static str>, ms| parents.tick(10_000 + ms).len();
    assert_eq!((at(&parents, SILENCE_MS), at(&parents, SILENCE_MS + 1), at(&parents, SILENCE_MS + 1)), (0, 3, 3));
}

#[test]
fn parents_are_bounded() {
    let mut parents = Subscription::new(0, (1..200).collect(), 8);
    (200..400).for_each(|parent| parents.apply(Outcome::AddParentAt(parent, 9)));
    (400..600).for_each(|parent| parents.apply(Outcome::PromoteToPrimary(parent)));
    assert_eq!((parents.active().count(), *parents.primary()), (PARENTS_MAX, 0));
    assert!(parents.backups().len() <= PARENTS_MAX);
}

#[derive(Debug, Clone)]
enum Op {
    Observe(u8, u64),
    Add(u8),
    AddAt(u8),
    Remove(u8),
    Promote(u8),
}

fn op() -> impl Strategy<Value = Op> {
    let peer = || 0..6_u8;
    prop_oneof![
        (peer(), 0..40_u64).prop_map(|(peer, seq)| Op::Observe(peer, seq)),
        peer().prop_map(Op::Add),
        peer().prop_map(Op::AddAt),
        peer().prop_map(Op::Remove),
        peer().prop_map(Op::Promote),
    ]
}

proptest! {
    #![proptest_config(config_of_runs())]

    #[test]
    fn silence_and_duplicates_follow_the_model(ops in prop::collection::vec((op(), 0..900_u64), 1..80)) {
        let mut parents = Subscription::new(0, vec![1, 2], 4);
        let mut heard: BTreeMap<u8, u64> = (0..3).map(|peer| (peer, 0)).collect();
        let mut active: BTreeSet<u8> = (0..3).collect();
        let mut ring: Vec<u64> = Vec::new();
        let mut now_ms = 0;
        for (op, wait_ms) in ops {
            now_ms += wait_ms;
            match op {
                Op::Observe(peer, seq) => {
                    let expected = match (active.contains(&peer), ring.contains(&seq)) {
                        (false, _) => Observation::UnknownParent,
                        (true, true) => Observation::Duplicate,
                        (true, false) => Observation::FirstDelivery,
                    };
                    prop_assert_eq!(parents.observe_chunk(&peer, 1, seq, now_ms), expected);
                    if active.contains(&peer) {
                        heard.insert(peer, now_ms);
                    }
                    if expected == Observation::FirstDelivery {
                        ring.push(seq);
                        ring.drain(..ring.len().saturating_sub(4));
                    }
                }
                Op::Add(peer) => {
                    parents.apply(Outcome::AddParent(peer));
                    active.insert(peer);
                    heard.insert(peer, 0);
                }
                Op::AddAt(peer) => {
                    parents.apply(Outcome::AddParentAt(peer, now_ms));
                    active.insert(peer);
                    heard.insert(peer, now_ms);
                }
                Op::Remove(peer) => {
                    parents.apply(Outcome::RemoveParent(peer));
                    active.remove(&peer);
                    heard.remove(&peer);
                }
                Op::Promote(peer) => {
                    parents.apply(Outcome::PromoteToPrimary(peer));
                    active.insert(peer);
                    prop_assert_eq!(*parents.primary(), peer);
                    prop_assert!(!parents.backups().contains(&peer));
                }
            }
            let silent = |peer: &&u8| heard.get(peer).copied().unwrap_or(0) < now_ms.saturating_sub(SILENCE_MS);
            let dead = active.iter().filter(silent);
            let mut expected: Vec<_> = dead.map(|peer| Action::ReParent { dead: *peer }).collect();
            if !active.is_empty() && expected.len() == active.len() {
                expected.push(Action::UpstreamRebuildRequired);
            }
            prop_assert_eq!(parents.tick(now_ms), expected);
            prop_assert!(parents.active().eq(&active));
        }
    }
}

fn config_of_runs() -> Config {
    Config { rng_seed: RngSeed::Fixed(0x6865_616c), failure_persistence: None, ..Config::with_cases(256) }
}
