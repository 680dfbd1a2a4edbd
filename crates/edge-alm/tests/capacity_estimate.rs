//! A relay claims three quarters of what it sustained, in whole layers, lowers at once and raises late.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use edge_alm::estimate::{
    Cause, Claim, Error, Estimator, FADE_MS, FRESH_MS, GOOD_WINDOWS, LAYERS_MAX, Limit, RENEW_MS, SAMPLES_MAX,
    WINDOW_MS,
};
use proptest::prelude::*;
use proptest::test_runner::{Config, RngSeed};

/// A stream of 2 500 kbit/s.
const LAYERS: [u32; 3] = [300, 700, 1500];

fn estimator(prior_kbps: u64) -> Estimator {
    Estimator::new(&LAYERS, prior_kbps).unwrap()
}

/// Samples and polls twice a second; gives the claims with their times.
fn run(it: &mut Estimator, from_ms: u64, to_ms: u64, kbps: u64, limit: Limit) -> Vec<(u64, Claim)> {
    let mut claims = Vec::new();
    for now_ms in (from_ms..to_ms).step_by(500) {
        it.sample(now_ms, kbps, limit);
        claims.extend(it.poll(now_ms).map(|claim| (now_ms, claim)));
    }
    claims
}

fn changes(claims: &[(u64, Claim)]) -> Vec<(u64, u64, Cause)> {
    let changed = claims.iter().filter(|(_, claim)| claim.cause != Cause::Renewed);
    changed.map(|(at, claim)| (*at, claim.uplink_kbps, claim.cause)).collect()
}

#[test]
fn nothing_measured_claims_nothing_or_what_the_owner_answers_for() {
    assert_eq!(estimator(0).poll(5), Some(Claim { uplink_kbps: 0, cause: Cause::First }));
    let first = estimator(10_000).poll(5).unwrap();
    assert_eq!(first.uplink_kbps, 7_500);
    assert_eq!(first.uplink_mbps(), 7.5);
}

#[test]
fn claims_are_whole_streams_and_whole_layers_of_one_more() {
    let claim = |sustained: u64| estimator(sustained).poll(0).unwrap().uplink_kbps;
    let cases = [(0, 0), (399, 0), (400, 300), (1_333, 300), (1_334, 1_000), (3_333, 1_000), (3_334, 2_500)];
    let more =
        [(3_733, 2_500), (3_734, 2_800), (4_667, 3_500), (6_667, 5_000), (u64::MAX, u64::MAX / 4 * 3 / 2_500 * 2_500)];
    for (sustained, expected) in cases.into_iter().chain(more) {
        let got = claim(sustained);
        match sustained {
            u64::MAX => assert!((expected..=u64::MAX / 4 * 3 + 3).contains(&got)),
            _ => assert_eq!(got, expected, "{sustained}"),
        }
    }
}

#[test]
fn more_is_claimed_only_after_three_good_windows() {
    let mut it = estimator(0);
    let claims = run(&mut it, 0, 200_000, 10_000, Limit::Application);
    let changed = changes(&claims);
    assert_eq!(changed[0], (0, 0, Cause::First));
    let raised = 20_000 + GOOD_WINDOWS * WINDOW_MS;
    assert_eq!(changed[1..], [(raised, 7_500, Cause::Raised)]);
}

#[test]
fn sending_less_for_want_of_demand_shows_nothing() {
    let mut it = estimator(0);
    run(&mut it, 0, 120_000, 10_000, Limit::Application);
    let quiet = run(&mut it, 120_000, 120_000 + FRESH_MS, 300, Limit::Application);
    assert!(changes(&quiet).is_empty(), "{quiet:?}");
    let later = run(&mut it, 120_000 + FRESH_MS, 120_000 + FRESH_MS + FADE_MS + 1_000, 300, Limit::Application);
    assert!(changes(&later).iter().all(|(_, _, cause)| *cause == Cause::Lowered));
    assert_eq!(changes(&later).last().unwrap().1, 0, "300 kbit/s do not carry the base layer with a margin");
}

#[test]
fn a_full_link_lowers_the_claim_at_once() {
    let mut it = estimator(20_000);
    assert_eq!(it.poll(0).unwrap().uplink_kbps, 15_000);
    it.sample(1_000, 4_000, Limit::Congestion);
    assert_eq!(it.poll(1_000), Some(Claim { uplink_kbps: 2_800, cause: Cause::Lowered }));
    it.sample(1_500, 1_000, Limit::Congestion);
    assert_eq!(it.poll(1_500), Some(Claim { uplink_kbps: 300, cause: Cause::Lowered }));
}

#[test]
fn a_full_link_refutes_what_was_shown_before() {
    let mut it = estimator(0);
    run(&mut it, 0, 120_000, 10_000, Limit::Application);
    it.sample(120_000, 2_000, Limit::Congestion);
    assert_eq!(it.sustained_kbps(), 2_000);
    assert_eq!(it.poll(120_000).unwrap().uplink_kbps, 1_000);
}

#[test]
fn a_ceiling_stands_a_minute_and_fades_over_another() {
    let mut it = estimator(20_000);
    it.sample(0, 4_000, Limit::Congestion);
    let at = |it: &mut Estimator, ms: u64| {
        it.poll(ms);
        it.sustained_kbps()
    };
    assert_eq!(at(&mut it, FRESH_MS), 4_000);
    assert_eq!(at(&mut it, FRESH_MS + FADE_MS / 2), 12_000);
    assert_eq!(at(&mut it, FRESH_MS + FADE_MS), 20_000);
    assert_eq!(at(&mut it, FRESH_MS + FADE_MS + 1), 20_000);
}

#[test]
fn only_congestion_caps_and_one_lucky_sample_raises_nothing() {
    let mut it = estimator(0);
    it.sample(0, 50_000, Limit::Congestion);
    assert_eq!(it.sustained_kbps(), 0);
    it.sample(500, 50_000, Limit::Application);
    assert_eq!(it.sustained_kbps(), 0, "half a second is no window");
    it.sample(1_000, 50_000, Limit::Congestion);
    it.sample(1_500, 50_000, Limit::Congestion);
    assert_eq!(it.sustained_kbps(), 50_000);
}

#[test]
fn a_tenth_of_the_samples_may_be_lower() {
    let with_low = |every: u64| {
        let mut it = estimator(0);
        for step in 0..60_u64 {
            let kbps = if step % every == 0 { 100 } else { 10_000 };
            it.sample(step * 500, kbps, Limit::Application);
        }
        it.sustained_kbps()
    };
    assert_eq!(with_low(11), 10_000);
    assert_eq!(with_low(6), 100);
}

#[test]
fn an_interrupted_run_starts_again() {
    let mut it = estimator(0);
    it.poll(0);
    run(&mut it, 0, 60_000, 10_000, Limit::Application);
    it.sample(60_000, 100, Limit::Congestion);
    let claims = run(&mut it, 60_500, 190_000, 10_000, Limit::Application);
    let [(at, kbps, cause)] = changes(&claims)[..] else { panic!("{claims:?}") };
    assert_eq!((kbps, cause), (7_500, Cause::Raised));
    // The refuted samples have to leave the window first, all but a tenth.
    let clean = 60_000 + WINDOW_MS - WINDOW_MS / 10;
    assert!((clean..=clean + 1_500).contains(&(at - GOOD_WINDOWS * WINDOW_MS)), "{at}");
}

#[test]
fn the_least_of_a_run_is_claimed() {
    let mut it = estimator(0);
    it.poll(0);
    let rates = [(0, 20_000), (60_000, 10_000), (75_000, 20_000)];
    let mut raised = Vec::new();
    for now_ms in (0..112_000).step_by(500) {
        let (_, kbps) = rates.iter().rev().find(|(from, _)| *from <= now_ms).unwrap();
        it.sample(now_ms, *kbps, Limit::Congestion);
        raised.extend(it.poll(now_ms).filter(|claim| claim.cause == Cause::Raised));
    }
    assert_eq!(raised.iter().map(|claim| claim.uplink_kbps).collect::<Vec<_>>(), [7_500]);
}

#[test]
fn an_unchanged_claim_is_made_again_every_twenty_seconds() {
    let mut it = estimator(10_000);
    let claims = run(&mut it, 0, 61_000, 100, Limit::Application);
    let times: Vec<_> = claims.iter().map(|(at, claim)| (*at, claim.cause)).collect();
    let renewed = |times: u64| (times * RENEW_MS, Cause::Renewed);
    assert_eq!(times, [(0, Cause::First), renewed(1), renewed(2), renewed(3)]);
    assert!(claims.iter().all(|(_, claim)| claim.uplink_kbps == 7_500));
}

#[test]
fn a_stream_has_layers_with_bitrates() {
    assert_eq!(Estimator::new(&[], 0).unwrap_err(), Error::Layers { got: 0 });
    assert_eq!(Estimator::new(&[1; LAYERS_MAX + 1], 0).unwrap_err(), Error::Layers { got: LAYERS_MAX + 1 });
    assert_eq!(Estimator::new(&[1, 0], 0).unwrap_err(), Error::Bitrate);
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn a_claim_never_exceeds_three_quarters_of_what_was_delivered_or_answered_for(
        prior in prop_oneof![Just(0_u64), 0..60_000_u64],
        steps in prop::collection::vec((0..5_000_u64, any::<u32>(), any::<bool>()), 1..300),
    ) {
        let mut it = estimator(prior);
        let (mut now_ms, mut most) = (0, prior);
        for (wait_ms, kbps, full) in steps {
            now_ms += wait_ms;
            let limit = if full { Limit::Congestion } else { Limit::Application };
            it.sample(now_ms, u64::from(kbps), limit);
            most = most.max(u64::from(kbps));
            if let Some(claim) = it.poll(now_ms) {
                prop_assert!(claim.uplink_kbps <= most / 4 * 3 + 3);
            }
        }
    }

    #[test]
    fn times_and_rates_of_any_size_are_taken(
        steps in prop::collection::vec((any::<u64>(), any::<u64>(), any::<bool>()), 0..50),
    ) {
        let mut it = estimator(u64::MAX);
        for (now_ms, kbps, full) in steps {
            it.sample(now_ms, kbps, if full { Limit::Congestion } else { Limit::Application });
            it.poll(now_ms);
        }
    }
}

#[test]
fn more_samples_than_are_kept_push_the_oldest_out() {
    let mut it = estimator(0);
    for _ in 0..10 {
        it.sample(0, 1, Limit::Congestion);
    }
    for _ in 0..SAMPLES_MAX {
        it.sample(1, 9_000, Limit::Congestion);
    }
    assert_eq!(it.sustained_kbps(), 9_000);
}

fn config() -> Config {
    Config { rng_seed: RngSeed::Fixed(0xe571), failure_persistence: None, ..Config::with_cases(200) }
}
