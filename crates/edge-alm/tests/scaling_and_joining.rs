//! Sizes are exact at their edges, and a plan follows from its arguments alone.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod common;

use common::{NOW, peer, statement};
use edge_alm::join::{BACKUPS_MAX, Candidate, Error, Request, plan};
use edge_alm::scaling::{
    Placement, SYMBOLS_MAX, depth_bound, mesh_max, mesh_max_framed, mesh_max_mixed, reach, slots_suffice, survival,
    tree_depth,
};
use edge_wire::layer::Policy;
use proptest::prelude::*;
use proptest::test_runner::{Config, RngSeed};

#[test]
fn framing_and_headroom_shrink_a_mesh() {
    assert_eq!(mesh_max(30_000_000, 2_500_000), Some(13));
    // 24 Mbit/s over 2.5 Mbit/s and 30 chunks of 672 bits.
    assert_eq!(mesh_max_framed(30_000_000, 2_500_000, 30), Some(10));
    assert_eq!(mesh_max_framed(u64::MAX, 1, 0), Some(u64::MAX / 5 * 4 + 1));
    assert_eq!(mesh_max(1, 0), None);
    assert_eq!(mesh_max(u64::MAX, 1), None);
    assert_eq!(mesh_max_framed(1, 1, u64::MAX), None);
}

#[test]
fn mixed_receivers_add_up() {
    let mixed = |full: usize, base: usize| [vec![2_500_000; full], vec![50_000; base]].concat();
    assert_eq!(mesh_max_mixed(30_000_000, &mixed(11, 12)), 24);
    assert_eq!(mesh_max_mixed(30_000_000, &mixed(12, 11)), 13);
    assert_eq!(mesh_max_mixed(30_000_000, &[]), 1);
    assert_eq!(mesh_max_mixed(0, &[1]), 1);
}

#[test]
fn trees_are_exact_at_their_edges() {
    assert_eq!(
        [(0, 1), (0, 2), (1, 1), (1, 5), (2, 0)].map(|(x, n)| tree_depth(x, n)),
        [Some(0), None, Some(0), Some(4), Some(0)]
    );
    assert_eq!(tree_depth(2, u64::MAX), Some(63));
    assert_eq!(reach(2, 63), Some(u64::MAX));
    assert_eq!(reach(2, 64), None);
    assert_eq!(reach(0, 9), Some(1));
    assert_eq!(reach(1, u32::MAX), Some(u64::from(u32::MAX) + 1));
    assert_eq!(depth_bound(1, 5), None);
    assert!(slots_suffice(156 * 3, 3, 157) && !slots_suffice(156 * 3 - 1, 3, 157) && !slots_suffice(1, u64::MAX, 3));
}

#[test]
fn survival_has_its_limits() {
    let of = |needed, distinct, holders, up| survival(Placement { needed, distinct, holders }, up);
    assert_eq!(of(1, 1, 1, 0.25), Some(0.25));
    assert_eq!(of(1, 1, 2, 0.5), Some(0.75));
    assert_eq!(of(2, 2, 2, 0.5), Some(0.25));
    assert_eq!(of(3, 2, 9, 1.0), Some(0.0));
    assert_eq!(of(0, 2, 0, 0.0), Some(1.0));
    assert_eq!([of(1, 0, 1, 0.5), of(1, SYMBOLS_MAX + 1, 1, 0.5), of(1, 1, 1, 1.5), of(1, 1, 1, f64::NAN)], [None; 4]);
}

#[test]
fn an_unknown_or_senseless_reachability_is_out() {
    let said = statement(&peer(1), NOW);
    let request = Request { stream_bitrate_mbps: 1.0, policy: Policy::BLINKING_DOT, now_unix_ms: NOW, path: None };
    let planned = |reachability_ratio| {
        let candidate = Candidate { statement: &said, reachability_ratio, rtt_ms: None };
        plan(&[candidate], &request).map(|plan| plan.backups.len())
    };
    assert_eq!(planned(Some(0.5)), Ok(0));
    for ratio in [None, Some(f64::NAN), Some(0.499), Some(-1.0)] {
        assert_eq!(planned(ratio), Err(Error::NoFeasibleParent));
    }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn depth_is_the_least_that_reaches(fanout in 1..40_u64, nodes in 1..200_000_u64) {
        let depth = u32::try_from(tree_depth(fanout, nodes).unwrap()).unwrap();
        prop_assert!(reach(fanout, depth).unwrap() >= nodes);
        prop_assert!(depth == 0 || reach(fanout, depth - 1).unwrap() < nodes);
        if let Some(bound) = depth_bound(fanout, nodes) {
            prop_assert!(bound == depth || bound == depth + 1);
        }
    }

    #[test]
    fn a_plan_is_the_best_by_round_trip_in_input_order(
        pool in prop::collection::vec((0..6_u32, any::<bool>(), any::<bool>(), any::<bool>()), 0..12),
    ) {
        let keys = peer(1);
        let statements: Vec<_> = pool.iter().map(|(_, fresh, covers, _)| {
            let mut said = statement(&keys, if *fresh { NOW } else { NOW - 30_000 });
            said.capacity.max_layer_supported = if *covers { Policy::UNCAPPED } else { Policy::BLINKING_DOT };
            said
        }).collect();
        let candidates: Vec<_> = pool.iter().zip(&statements).map(|((rtt, _, _, reach), statement)| Candidate {
            statement,
            reachability_ratio: Some(if *reach { 0.9 } else { 0.1 }),
            rtt_ms: Some(*rtt),
        }).collect();
        let request = Request { stream_bitrate_mbps: 1.0, policy: Policy::UNCAPPED, now_unix_ms: NOW, path: None };
        let mut good: Vec<usize> = (0..pool.len()).filter(|at| pool[*at].1 && pool[*at].2 && pool[*at].3).collect();
        good.sort_by_key(|at| (pool[*at].0, *at));
        match plan(&candidates, &request) {
            Ok(plan) => {
                let chosen = std::iter::once(&plan.primary).chain(&plan.backups);
                let at: Vec<_> = chosen
                    .map(|it| statements.iter().position(|said| std::ptr::eq(said, it.statement)).unwrap())
                    .collect();
                good.truncate(1 + BACKUPS_MAX);
                prop_assert_eq!(at, good);
            }
            Err(error) => {
                prop_assert!(good.is_empty());
                let expected = match (pool.is_empty(), pool.iter().any(|it| it.1), pool.iter().any(|it| it.2)) {
                    (true, _, _) => Error::NoFeasibleParent,
                    (_, false, _) => Error::AllCandidatesStale,
                    (_, _, false) => Error::NoCandidateSupportsLayerPolicy,
                    _ => Error::NoFeasibleParent,
                };
                prop_assert_eq!(error, expected);
            }
        }
    }
}

fn config() -> Config {
    Config { rng_seed: RngSeed::Fixed(0x5ca1), failure_persistence: None, ..Config::with_cases(256) }
}
