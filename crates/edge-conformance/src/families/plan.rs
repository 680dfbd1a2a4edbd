//! Reachability and fan-out planning.

use edge_alm::fanout::{Basis, Criteria, Participant, plan, plan_layered};
use edge_alm::reachability::{Outcome, Tracker, Transport, WINDOW_MS_DEFAULT};
use edge_wire::id::KeyId;
use serde_json::Value;

use crate::case::{Case, Reason, bad, must, same};

/// Most contacts that a participant of a case may have had.
const CONTACTS_MAX: u64 = 1000;

pub(crate) fn fanout_plan(case: &Case<'_>) -> Result<(), Reason> {
    let mut tracker = Tracker::new(WINDOW_MS_DEFAULT);
    let mut roster = Vec::new();
    for participant in case.objects("participants")? {
        roster.push(record(&participant, &mut tracker)?);
    }
    let criteria =
        Criteria { transport: transport(), min_ratio: case.float("min_ratio")?, basis: Basis::All, now_ms: 0 };
    let planned = match case.optional("chunk_layer").is_some() {
        true => plan_layered(&roster, case.layer("chunk_layer")?, &tracker, &criteria),
        false => plan(&roster, &tracker, &criteria),
    };
    let names: Vec<&str> = planned.iter().map(|participant| participant.peer.as_str()).collect();
    case.expect_texts("admitted", &names)
}

pub(crate) fn reachability(case: &Case<'_>) -> Result<(), Reason> {
    let peer = must("peer", KeyId::new("peer"))?;
    let mut tracker = Tracker::new(millis(case.number("window_seconds")?)?);
    for event in case.values("events")? {
        let (at_ms, outcome) = parse_event(event)?;
        tracker.record(&peer, &transport(), outcome, at_ms);
    }
    let snapshot = tracker.snapshot(&peer, &transport(), millis(case.number("now")?)?);
    let expected = case.object("snapshot")?;
    let class = snapshot.as_ref().and_then(|snapshot| snapshot.last_error_class.as_deref());
    let ratio = snapshot.as_ref().map(|snapshot| snapshot.ratio());
    expected.expect_flag("present", snapshot.is_some())?;
    expected.expect_number("attempts", snapshot.as_ref().map_or(0, |snapshot| snapshot.attempts))?;
    expected.expect_number("successes", snapshot.as_ref().map_or(0, |snapshot| snapshot.successes))?;
    match ratio {
        Some(ratio) => same("ratio", &expected.float("ratio")?, &ratio)?,
        None => same("ratio", &None, &expected.optional("ratio"))?,
    }
    match class {
        Some(class) => expected.expect_text("last_error_class", class),
        None => same("last_error_class", &None, &expected.optional("last_error_class")),
    }
}

fn record(participant: &Case<'_>, tracker: &mut Tracker) -> Result<Participant, Reason> {
    let peer = must("id", KeyId::new(participant.text("id")?))?;
    let contacts =
        [("successes", Outcome::SendSuccess), ("failures", Outcome::SendFailure { error_class: "unreachable" })];
    for (field, outcome) in contacts {
        let count = participant.number(field)?;
        if count > CONTACTS_MAX {
            return Err(bad(field, "is more than a case may have"));
        }
        (0..count).for_each(|_| tracker.record(&peer, &transport(), outcome, 0));
    }
    let link_id = peer.as_bytes().to_vec();
    Ok(Participant { peer, link_id, policy: participant.policy("policy")? })
}

/// An event: seconds, and an outcome that may carry a class after a colon.
fn parse_event(event: &Value) -> Result<(u64, Outcome<'_>), Reason> {
    let wrong = || bad("events", "holds something that is not a time and an outcome");
    let [at, outcome] = event.as_array().map(Vec::as_slice).ok_or_else(wrong)? else { return Err(wrong()) };
    let at_ms = millis(at.as_u64().ok_or_else(wrong)?)?;
    let outcome = outcome.as_str().ok_or_else(wrong)?;
    let outcome = match outcome.split_once(':').unwrap_or((outcome, "")) {
        ("SendSuccess", "") => Outcome::SendSuccess,
        ("DurableDelivered", "") => Outcome::DurableDelivered,
        ("AttestationReceived", "") => Outcome::AttestationReceived,
        ("AnnounceReceived", "") => Outcome::AnnounceReceived,
        ("SendFailure", error_class) => Outcome::SendFailure { error_class },
        ("DurableAbandoned", reason) => Outcome::DurableAbandoned { reason },
        _ => return Err(wrong()),
    };
    Ok((at_ms, outcome))
}

fn transport() -> Transport {
    Transport::other("reticulum")
}

fn millis(seconds: u64) -> Result<u64, Reason> {
    seconds.checked_mul(1000).ok_or_else(|| bad("time", "is too large"))
}
