//! Content only ever moves down, withdrawn consent first.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use edge_holonomic::decay::{
    Bands, Cause, Class, DAY_MS, Due, Error, GRACE_MS, Known, PAGE, Schedule, Shape, Tier, View, due,
};
use proptest::prelude::*;
use proptest::test_runner::{Config, RngSeed};

const ADMITTED: u64 = 1_750_000_000_000;
const SHAPE: Shape = Shape { n_source: 20, k_repair: 6, min_viable_symbols: 5 };

fn schedule(class: Class) -> Schedule {
    Schedule { content_id: "a".to_owned(), class, admitted_at_unix_ms: ADMITTED, revoked_at_unix_ms: None }
}

fn view<'a>(id: &'a str, current: Tier, schedule: Known<'a>) -> View<'a> {
    View { content_id: id, current, first_seen_unix_ms: ADMITTED, schedule }
}

fn all_due(page: &[View<'_>], now: u64) -> Vec<(String, Tier, Cause)> {
    due(page, now).unwrap().map(|Due { content_id, tier, cause }| (content_id.to_owned(), tier, cause)).collect()
}

#[test]
fn the_conformance_vectors_hold() {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../../conformance/alm/consent_decay.json");
    let root: serde_json::Value = serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap();
    let cases = root["cases"].as_array().unwrap();
    for class in [Class::temporary(), Class::standard()] {
        let Bands { full, t2, t3, t4, envelope_only } = class.bands();
        let days = &root["classes_days"][class.name()];
        for (field, day) in
            [("full", full), ("t2", t2), ("t3", t3), ("t4_display_only", t4), ("envelope_only", envelope_only)]
        {
            assert_eq!(days[field].as_u64(), Some(u64::from(day)), "{} {field}", class.name());
        }
    }
    for case in cases {
        let class = if case["class"] == "STANDARD" { Class::standard() } else { Class::temporary() };
        let schedule = Schedule {
            admitted_at_unix_ms: case["admitted_at"].as_u64().unwrap(),
            revoked_at_unix_ms: case["revoked_at"].as_u64(),
            ..schedule(class)
        };
        assert_eq!(schedule.tier(case["now"].as_u64().unwrap()).name(), case["expect"], "{case}");
    }
    assert_eq!(cases.len(), 19);
}

#[test]
fn classes_out_of_order_are_refused() {
    let bands = Bands { full: 1, t2: 2, t3: 3, t4: 4, envelope_only: 5 };
    assert_eq!(Class::new("PERSISTENT", bands).unwrap().name(), "PERSISTENT");
    for wrong in [Bands { full: 3, ..bands }, Bands { t3: 1, ..bands }, Bands { t4: 6, ..bands }] {
        assert!(matches!(Class::new("X", wrong), Err(Error::InvalidConsentClass(_))), "{wrong:?}");
    }
    assert!(Class::new("", bands).is_err() && Class::new("x".repeat(65), bands).is_err());
}

#[test]
fn withdrawn_consent_comes_first() {
    let old = schedule(Class::temporary());
    let revoked = Schedule { revoked_at_unix_ms: Some(u64::MAX), ..old.clone() };
    let page = [
        view("old", Tier::Full, Known::Schedule(&old)),
        view("gone", Tier::HardDelete, Known::Schedule(&revoked)),
        view("withdrawn", Tier::EnvelopeOnly, Known::Schedule(&revoked)),
    ];
    let expected = [
        ("withdrawn".to_owned(), Tier::HardDelete, Cause::Revoked),
        ("old".to_owned(), Tier::T2DropRepair, Cause::Aged),
    ];
    assert_eq!(all_due(&page, ADMITTED + 5 * DAY_MS), expected);
}

#[test]
fn an_unreadable_schedule_ages_as_temporary_after_a_day() {
    let orphan = view("a", Tier::Full, Known::Unreadable { since_unix_ms: ADMITTED });
    assert!(!orphan.is_orphaned(ADMITTED + GRACE_MS) && orphan.is_orphaned(ADMITTED + GRACE_MS + 1));
    assert_eq!(all_due(&[orphan], ADMITTED + GRACE_MS + 1), []);
    let at = |days| all_due(&[orphan], ADMITTED + days * DAY_MS);
    assert_eq!(at(4), [("a".to_owned(), Tier::T2DropRepair, Cause::Unreadable)]);
    assert_eq!(at(14), [("a".to_owned(), Tier::EnvelopeOnly, Cause::Unreadable)]);
}

#[test]
fn an_admission_far_ahead_counts_from_first_sight() {
    let ahead = Schedule { admitted_at_unix_ms: ADMITTED + 1_000 * DAY_MS, ..schedule(Class::temporary()) };
    let page = [view("a", Tier::Full, Known::Schedule(&ahead))];
    assert_eq!(
        all_due(&page, ADMITTED + 8 * DAY_MS),
        [("a".to_owned(), Tier::T3DropHighQuality, Cause::AdmittedAhead)]
    );
    let soon = Schedule { admitted_at_unix_ms: ADMITTED + GRACE_MS, ..ahead };
    assert_eq!(all_due(&[view("a", Tier::Full, Known::Schedule(&soon))], ADMITTED), []);
}

#[test]
fn tiers_name_symbols() {
    let ends = |tier: Tier| tier.symbols(&SHAPE).end;
    let tiers = [Tier::Full, Tier::T2DropRepair, Tier::T3DropHighQuality, Tier::T4MinViableOnly, Tier::EnvelopeOnly];
    assert_eq!(tiers.map(ends), [26, 20, 10, 5, 0]);
    assert_eq!(ends(Tier::HardDelete), 0);
    assert_eq!(Tier::T3DropHighQuality.symbols(&Shape { min_viable_symbols: 15, ..SHAPE }), 0..15);
    assert!(Tier::T4MinViableOnly.keeps(25, &SHAPE, 1), "the only symbol stays");
    assert!(!Tier::T4MinViableOnly.keeps(25, &SHAPE, 2));
    assert!(!Tier::EnvelopeOnly.keeps(0, &SHAPE, 1));
    assert!(Tier::EnvelopeOnly.keeps_manifest() && !Tier::HardDelete.keeps_manifest());
}

#[test]
fn a_page_is_bounded() {
    let page = vec![view("a", Tier::Full, Known::Unreadable { since_unix_ms: 0 }); PAGE + 1];
    assert_eq!(due(&page, 0).err(), Some(Error::OverdueBacklog(PAGE + 1)));
    assert_eq!(due(&page[1..], ADMITTED).unwrap().count(), PAGE);
}

fn config() -> Config {
    Config { rng_seed: RngSeed::Fixed(0x5eed_f005), failure_persistence: None, ..Config::with_cases(256) }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn a_tier_is_never_raised(
        steps in prop::collection::vec((0u64..200, 0usize..3, any::<bool>(), 0u64..400), 1..20),
    ) {
        let mut current = Tier::Full;
        for (day, class, readable, admitted) in steps {
            let bands = Bands { full: 100, t2: 200, t3: 300, t4: 400, envelope_only: 500 };
            let class = [Class::temporary(), Class::standard(), Class::new("LONG", bands).unwrap()][class].clone();
            let schedule = Schedule { admitted_at_unix_ms: ADMITTED + admitted * DAY_MS, ..schedule(class) };
            let unreadable = Known::Unreadable { since_unix_ms: ADMITTED };
            let known = if readable { Known::Schedule(&schedule) } else { unreadable };
            let page = [view("a", current, known)];
            for due in due(&page, ADMITTED + day * DAY_MS).unwrap() {
                prop_assert!(due.tier > current && due.tier <= Tier::EnvelopeOnly);
                current = due.tier;
            }
        }
    }
}
