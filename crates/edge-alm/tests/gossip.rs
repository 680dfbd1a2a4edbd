//! A claim reaches everyone through few copies, and nobody can make a neighbour work or remember without end.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use edge_alm::gossip::{CATCH_UP_MAX, FANOUT, Intake, Item, KEYS_MAX, NEIGHBOURS_MAX, SEEN_MAX, Spreader, WANTED_MAX};
use edge_wire::id::Fingerprint;
use proptest::prelude::*;
use proptest::test_runner::{Config, RngSeed};

fn peer(number: u64) -> Fingerprint {
    Fingerprint(edge_crypto::hash::sha256(&[&number.to_be_bytes()]))
}

fn item(key: u64, rank: u64) -> Item<u64> {
    Item { key, rank, digest: edge_crypto::hash::sha256(&[b"item", &key.to_be_bytes(), &rank.to_be_bytes()]) }
}

fn spreader(neighbours: u64) -> Spreader<u64> {
    let mut it = Spreader::new([3; 32]);
    (0..neighbours).for_each(|number| _ = it.connected(0, peer(number)));
    it
}

#[test]
fn a_new_claim_goes_to_four_neighbours_and_never_back() {
    let mut it = spreader(20);
    let to = it.learned(item(1, 1), Some(peer(5)));
    assert_eq!(to.len(), FANOUT);
    assert_eq!(to.iter().collect::<BTreeSet<_>>().len(), FANOUT);
    assert!(!to.contains(&peer(5)));
    assert_eq!(it.learned(item(1, 1), Some(peer(6))), []);
    let mut few = spreader(2);
    assert_eq!(few.learned(item(1, 1), Some(peer(1))), [peer(0)]);
    assert_eq!(few.learned(item(2, 1), None).len(), 2);
}

#[test]
fn different_claims_take_different_ways_and_equal_seeds_the_same() {
    let ways: BTreeSet<_> = (0..50).map(|key| spreader(20).learned(item(key, 1), None)).collect();
    assert!(ways.len() > 40);
    assert_eq!(spreader(20).learned(item(1, 1), None), spreader(20).learned(item(1, 1), None));
    let used: BTreeSet<_> = ways.into_iter().flatten().collect();
    assert_eq!(used.len(), 20, "every neighbour is drawn by some claim");
}

#[test]
fn an_older_claim_of_a_key_is_not_passed_on() {
    let mut it = spreader(5);
    assert!(!it.learned(item(1, 7), None).is_empty());
    assert!(it.learned(item(1, 6), None).is_empty());
    assert!(!it.learned(item(1, 8), None).is_empty());
    assert_eq!((it.len(), it.item(&1)), (1, Some(item(1, 8))));
}

#[test]
fn what_a_neighbour_sends_is_bounded_and_looked_at_once() {
    let mut it = spreader(2);
    let known = item(1, 1);
    it.learned(known, None);
    it.refused([9; 32]);
    assert_eq!(it.intake(0, peer(0), &known.digest), Intake::Seen);
    assert_eq!(it.intake(0, peer(0), &[9; 32]), Intake::Seen);
    assert_eq!(it.intake(0, peer(0), &[8; 32]), Intake::Examine);
    assert_eq!(it.intake(0, peer(77), &[8; 32]), Intake::Drop, "no neighbour");
    let passed = (0..1000).filter(|_| it.intake(0, peer(0), &[8; 32]) != Intake::Drop).count();
    assert_eq!(passed, 256 - 3);
    assert!(it.connected(0, peer(0)).len() == 1 && it.intake(0, peer(0), &[8; 32]) == Intake::Drop);
    assert_eq!(it.intake(0, peer(1), &[8; 32]), Intake::Examine, "others are not affected");
    let passed = (0..1000).filter(|_| it.intake(1_000, peer(0), &[8; 32]) != Intake::Drop).count();
    assert_eq!(passed, 64);
}

#[test]
fn a_new_neighbour_is_told_of_the_freshest() {
    let mut it = spreader(0);
    (0..40).for_each(|key| _ = it.learned(item(key, 1_000 - key), None));
    let told = it.connected(0, peer(1));
    assert_eq!(told, (0..CATCH_UP_MAX as u64).map(|key| item(key, 1_000 - key)).collect::<Vec<_>>());
    it.forget(&0);
    assert_eq!(it.freshest(1), [item(1, 999)]);
}

#[test]
fn only_what_is_newer_there_is_asked_for() {
    let mut it = spreader(1);
    it.learned(item(1, 5), None);
    it.learned(item(2, 5), None);
    assert_eq!(it.wanted(&[(1, 5), (2, 6), (3, 9), (1, 4), (3, 9)]), [3, 2]);
    let many: Vec<_> = (10..500).map(|key| (key, key)).collect();
    let asked = it.wanted(&many);
    assert_eq!((asked.len(), asked[0]), (WANTED_MAX, 499));
}

#[test]
fn memory_is_bounded_and_the_least_fresh_go_first() {
    let mut it = spreader(NEIGHBOURS_MAX as u64);
    assert!(it.connected(0, peer(9_999)).is_empty());
    assert_eq!(it.intake(0, peer(9_999), &[1; 32]), Intake::Drop);
    it.disconnected(peer(0));
    it.connected(0, peer(9_999));
    assert_eq!(it.intake(0, peer(9_999), &[1; 32]), Intake::Examine);

    let count = KEYS_MAX as u64;
    (0..count).for_each(|key| _ = it.learned(item(key, 100 + key), None));
    assert!(it.learned(item(count, 99), None).is_empty(), "staler than everything that is held");
    assert!(!it.learned(item(count + 1, 5_000), None).is_empty());
    assert_eq!((it.len(), it.item(&0)), (KEYS_MAX, None));
    (0..2 * SEEN_MAX as u64).for_each(|number| it.refused(peer(number).0));
    assert_eq!(it.intake(0, peer(1), &peer(0).0), Intake::Examine, "long forgotten");
    assert_eq!(it.intake(0, peer(1), &peer(2 * SEEN_MAX as u64 - 1).0), Intake::Seen);
}

/// Everyone forwards to whom the spreader says; gives who has it and how many copies were sent.
fn flood(links: &BTreeMap<u64, BTreeSet<u64>>) -> (usize, usize) {
    let mut all: BTreeMap<u64, Spreader<u64>> = BTreeMap::new();
    for (node, neighbours) in links {
        let mut it = Spreader::new(peer(*node).0);
        neighbours.iter().for_each(|other| _ = it.connected(0, peer(*other)));
        all.insert(*node, it);
    }
    let names: BTreeMap<_, _> = links.keys().map(|node| (peer(*node), *node)).collect();
    let claim = item(0, 1);
    let mut queue: VecDeque<(u64, u64)> =
        all.get_mut(&0).unwrap().learned(claim, None).into_iter().map(|to| (0, names[&to])).collect();
    let mut copies = 0;
    while let Some((from, to)) = queue.pop_front() {
        copies += 1;
        let node = all.get_mut(&to).unwrap();
        if node.intake(0, peer(from), &claim.digest) == Intake::Examine {
            let next = node.learned(claim, Some(peer(from)));
            queue.extend(next.into_iter().map(|other| (to, names[&other])));
        }
    }
    (all.values().filter(|node| node.item(&0).is_some()).count(), copies)
}

#[test]
fn a_claim_reaches_a_mesh_of_two_hundred_with_few_copies() {
    let count = 200_u64;
    let mut links: BTreeMap<u64, BTreeSet<u64>> = (0..count).map(|node| (node, BTreeSet::new())).collect();
    for node in 0..count {
        for step in [1, 7, 31] {
            let other = (node + step) % count;
            links.get_mut(&node).unwrap().insert(other);
            links.get_mut(&other).unwrap().insert(node);
        }
    }
    let (reached, copies) = flood(&links);
    assert_eq!(reached, 200);
    assert!(copies <= 200 * FANOUT, "{copies}");
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn the_newest_of_each_key_is_held_whatever_the_order(said in prop::collection::vec((0..8_u64, 0..20_u64), 0..80)) {
        let mut it = spreader(3);
        let mut newest = BTreeMap::new();
        for (key, rank) in said {
            let told = it.learned(item(key, rank), Some(peer(0)));
            let is_new = newest.get(&key).is_none_or(|held| *held < rank);
            prop_assert_eq!(told.is_empty(), !is_new);
            prop_assert!(!told.contains(&peer(0)));
            if is_new {
                newest.insert(key, rank);
            }
        }
        let mut held: Vec<_> = it.freshest(100).iter().map(|item| (item.key, item.rank)).collect();
        prop_assert!(held.windows(2).all(|pair| pair[0].1 >= pair[1].1));
        held.sort_unstable();
        prop_assert_eq!(held, newest.into_iter().collect::<Vec<_>>());
    }
}

fn config() -> Config {
    Config { rng_seed: RngSeed::Fixed(0x905), failure_persistence: None, ..Config::with_cases(128) }
}
