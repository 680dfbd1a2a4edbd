//! A plan keeps order, wants recent contact, and takes a layer only to those who want it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use edge_alm::fanout::{Basis, Criteria, Participant, REALTIME_MIN_RATIO, plan, plan_layered};
use edge_alm::reachability::{Outcome, REALTIME_WINDOW_MS, Tracker, Transport};
use edge_wire::id::KeyId;
use edge_wire::layer::{Layer, Policy};
use proptest::prelude::*;
use proptest::test_runner::{Config, RngSeed};
use serde_json::Value;

#[test]
fn vectors_reproduce() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../conformance/media/fanout_plan.json");
    let file: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    let cases = file["vectors"].as_array().unwrap();
    assert_eq!(cases.len(), 8);
    for case in cases {
        let mut tracker = Tracker::default();
        let roster: Vec<_> = case["participants"].as_array().unwrap().iter().map(|p| enrol(&mut tracker, p)).collect();
        let criteria = Criteria { min_ratio: case["min_ratio"].as_f64().unwrap(), ..criteria() };
        let planned = match bytes3(&case["chunk_layer"]) {
            Some([s, t, q]) => plan_layered(&roster, Layer::new(s, t, q), &tracker, &criteria),
            None => plan(&roster, &tracker, &criteria),
        };
        let expected: Vec<_> = case["admitted"].as_array().unwrap().iter().map(|id| id.as_str().unwrap()).collect();
        assert_eq!(names(&planned), expected, "{}", case["id"]);
    }
}

fn enrol(tracker: &mut Tracker, entry: &Value) -> Participant {
    let [s, t, q] = bytes3(&entry["policy"]).unwrap();
    let participant = participant(entry["id"].as_str().unwrap(), Policy::new(s, t, q));
    for _ in 0..entry["successes"].as_u64().unwrap() {
        tracker.record(&participant.peer, &Transport::RETICULUM, Outcome::SendSuccess, 0);
    }
    for _ in 0..entry["failures"].as_u64().unwrap() {
        tracker.record(&participant.peer, &Transport::RETICULUM, Outcome::SendFailure { error_class: "x" }, 0);
    }
    participant
}

#[test]
fn contact_counts_only_on_the_transport_that_is_used() {
    let roster = [participant("a", Policy::UNCAPPED)];
    let mut tracker = Tracker::default();
    tracker.record(&roster[0].peer, &Transport::HTTP, Outcome::SendSuccess, 0);
    let cold = Criteria { min_ratio: 0.0, ..criteria() };
    assert!(plan(&roster, &tracker, &cold).is_empty());
    assert_eq!(plan(&roster, &tracker, &Criteria { transport: Transport::HTTP, ..cold }).len(), 1);
}

#[test]
fn announces_alone_do_not_keep_an_unreachable_peer_in_the_plan() {
    let roster = [participant("a", Policy::UNCAPPED)];
    let mut tracker = Tracker::new(REALTIME_WINDOW_MS);
    let mut record = |outcome, at_ms| tracker.record(&roster[0].peer, &Transport::RETICULUM, outcome, at_ms);
    (0..3).for_each(|at_ms| record(Outcome::AnnounceReceived, at_ms));
    record(Outcome::SendFailure { error_class: "unreachable" }, 3);
    let at = |basis, now_ms| Criteria { basis, now_ms, ..criteria() };
    assert_eq!(plan(&roster, &tracker, &at(Basis::All, 3)).len(), 1);
    assert!(plan(&roster, &tracker, &at(Basis::Sends, 3)).is_empty());
    assert!(plan(&roster, &tracker, &at(Basis::All, REALTIME_WINDOW_MS + 4)).is_empty(), "contact has grown old");
}

proptest! {
    #![proptest_config(config(0x5eed_0041))]

    #[test]
    fn plans_agree_with_their_definition(
        peers in prop::collection::vec((0u32..5, 0u32..5, 0u8..3, 0u8..3), 0..20),
        quarters in 0u32..6,
        layer in (0u8..3, 0u8..3),
    ) {
        let mut tracker = Tracker::default();
        let roster: Vec<_> = peers.iter().enumerate().map(|(at, &(good, bad, s, t))| {
            let participant = participant(&format!("peer-{}", 19 - at), Policy::new(s, t, 0));
            let failure = Outcome::SendFailure { error_class: "" };
            for _ in 0..good {
                tracker.record(&participant.peer, &Transport::RETICULUM, Outcome::SendSuccess, 0);
            }
            for _ in 0..bad {
                tracker.record(&participant.peer, &Transport::RETICULUM, failure, 0);
            }
            participant
        }).collect();
        let criteria = Criteria { min_ratio: f64::from(quarters) / 4.0, ..criteria() };
        let layer = Layer::new(layer.0, layer.1, 0);

        let reachable = |(at, _): &(usize, &Participant)| {
            let (good, bad, ..) = peers[*at];
            good + bad > 0 && good * 4 >= quarters * (good + bad)
        };
        let expect: Vec<_> = roster.iter().enumerate().filter(reachable).map(|(_, p)| p).collect();
        prop_assert_eq!(&plan(&roster, &tracker, &criteria), &expect);
        prop_assert_eq!(&plan_layered(&roster, Layer::BASE, &tracker, &criteria), &expect);
        let wanting: Vec<_> = expect.into_iter().filter(|p| p.policy.admits(layer)).collect();
        prop_assert_eq!(plan_layered(&roster, layer, &tracker, &criteria), wanting);
    }

    #[test]
    fn for_uncapped_rosters_layers_make_no_difference(
        good in prop::collection::vec(0u32..3, 0..10),
        layer in any::<[u8; 3]>(),
    ) {
        let mut tracker = Tracker::default();
        let roster: Vec<_> = (0..good.len()).map(|at| participant(&format!("peer-{at}"), Policy::UNCAPPED)).collect();
        for (participant, &good) in roster.iter().zip(&good) {
            for _ in 0..good { tracker.record(&participant.peer, &Transport::RETICULUM, Outcome::SendSuccess, 0); }
        }
        let [s, t, q] = layer;
        let layered = plan_layered(&roster, Layer::new(s, t, q), &tracker, &criteria());
        prop_assert_eq!(layered, plan(&roster, &tracker, &criteria()));
    }
}

fn participant(name: &str, policy: Policy) -> Participant {
    Participant { peer: KeyId::new(name).unwrap(), link_id: name.as_bytes().to_vec(), policy }
}

fn criteria() -> Criteria {
    Criteria { transport: Transport::RETICULUM, min_ratio: REALTIME_MIN_RATIO, basis: Basis::All, now_ms: 0 }
}

fn names<'a>(planned: &[&'a Participant]) -> Vec<&'a str> {
    planned.iter().map(|participant| participant.peer.as_str()).collect()
}

fn bytes3(value: &Value) -> Option<[u8; 3]> {
    let list = value.as_array()?;
    Some(core::array::from_fn(|at| u8::try_from(list[at].as_u64().unwrap()).unwrap()))
}

fn config(seed: u64) -> Config {
    Config { rng_seed: RngSeed::Fixed(seed), failure_persistence: None, ..Config::with_cases(256) }
}
