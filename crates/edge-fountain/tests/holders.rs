//! Symbols are shared out evenly, the same by everybody, and mostly stay where they are.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod common;

use std::collections::BTreeSet;

use common::shuffle;
use edge_crypto::Random;
use edge_crypto::random::Seeded;
use edge_fountain::holders::{Error, HOLDERS_MAX, SYMBOLS_MAX, assign};
use edge_fountain::policy::{DEFAULT_TOTAL_SYMBOLS, Policy, distinct_policy, recommended_policy};
use edge_wire::id::Fingerprint;

fn peers(count: usize) -> Vec<Fingerprint> {
    let mut random = Seeded::new(7);
    (0..count).map(|_| Fingerprint(random.array())).collect()
}

#[test]
fn shares_differ_by_one_at_most() {
    for (count, symbols) in [(1, 26), (2, 26), (10, 26), (25, 26), (26, 26), (30, 26), (52, 26), (100, 7), (3, 1)] {
        let assigned = assign("c1-abc", &peers(count), symbols).unwrap();
        let shares: Vec<usize> = assigned.values().map(BTreeSet::len).collect();
        let copies: Vec<usize> =
            (0..symbols).map(|id| assigned.values().filter(|ids| ids.contains(&id)).count()).collect();
        for even in [&shares, &copies] {
            assert!(even.iter().max().unwrap() - even.iter().min().unwrap() <= 1, "{count} {symbols}: {even:?}");
        }
        assert_eq!((shares.len(), copies.iter().min() > Some(&0)), (count, true));
        assert_eq!(shares.iter().sum::<usize>(), count.max(symbols as usize));
    }
}

#[test]
fn order_and_repetition_of_holders_do_not_matter_and_content_does() {
    let mut holders = peers(17);
    let first = assign("a", &holders, 26).unwrap();
    shuffle(&mut holders, &mut Seeded::new(1));
    holders.push(holders[0]);
    assert_eq!(assign("a", &holders, 26).unwrap(), first);
    assert_ne!(assign("b", &holders, 26).unwrap(), first);
}

#[test]
fn most_symbols_stay_when_a_holder_leaves() {
    let holders = peers(24);
    let (mut stayed, mut all) = (0, 0);
    for content in 0..50 {
        let content = content.to_string();
        let before = assign(&content, &holders, 30).unwrap();
        let after = assign(&content, &holders[1..], 30).unwrap();
        all += after.len();
        stayed += after.iter().filter(|(holder, ids)| before[holder].intersection(ids).next().is_some()).count();
    }
    assert!(stayed * 100 >= all * 80, "{stayed} of {all}");
}

#[test]
fn nobody_and_nothing_are_answers_and_bounds_hold() {
    assert!(assign("a", &[], 26).unwrap().is_empty());
    assert!(assign("a", &peers(3), 0).unwrap().values().all(BTreeSet::is_empty));
    assert_eq!(assign("a", &peers(HOLDERS_MAX + 1), 26), Err(Error::Holders(HOLDERS_MAX + 1)));
    assert_eq!(assign("a", &peers(1), SYMBOLS_MAX + 1), Err(Error::Symbols(SYMBOLS_MAX + 1)));
    assert_eq!(assign("a", &peers(1), SYMBOLS_MAX).unwrap().values().map(BTreeSet::len).sum::<usize>(), 16_384);
}

#[test]
fn policies_are_constants() {
    const POLICY: Policy = recommended_policy();
    const OWN: Policy = distinct_policy(30);
    assert_eq!(POLICY, Policy { n_source: 20, k_repair: 6, min_viable_symbols: 5, target_holders: 30 });
    assert_eq!(OWN, Policy { k_repair: 10, ..POLICY });
    assert_eq!(distinct_policy(32), Policy { k_repair: 12, target_holders: 32, ..POLICY });
    assert_eq!(DEFAULT_TOTAL_SYMBOLS, 26);
}
