//! The bars that a demo is held against.

use serde::Serialize;

use super::report::{Report, Viewer};

/// Chunks that the outsider must have been offered at least, so that opening none of them means something.
const OFFERED_MIN: u64 = 100;
const FIRST_FRAME_MS_MAX: f64 = 500.0;
const ADDED_P95_MS_MAX: f64 = 20.0;
/// Share of the published pictures that a member present throughout has seen at least.
const SEEN_MIN: f64 = 0.95;

/// One bar and how it was met.
#[derive(Debug, Serialize)]
pub(super) struct Check {
    /// Stable name, for scripts.
    pub(super) id: &'static str,
    /// What is checked.
    pub(super) name: &'static str,
    /// The bar.
    pub(super) wanted: String,
    /// What was measured.
    pub(super) measured: String,
    pub(super) passed: bool,
}

/// Holds `report` against every bar.
pub(super) fn all(report: &Report) -> Vec<Check> {
    let mut checks = media(report);
    checks.extend(secrecy(report));
    checks.extend(timing(report));
    checks.push(processes(report));
    checks
}

/// What was measured beside its bar.
#[expect(clippy::needless_pass_by_value, reason = "callers pass values that they make for this call")]
pub(super) fn check(
    id: &'static str,
    name: &'static str,
    wanted: impl ToString,
    measured: impl ToString,
    passed: bool,
) -> Check {
    Check { id, name, wanted: wanted.to_string(), measured: measured.to_string(), passed }
}

fn media(report: &Report) -> Vec<Check> {
    let present = || report.viewers.iter().filter(|viewer| ["present", "direct"].contains(&viewer.part));
    let lost: u64 = present().map(|viewer| viewer.base_frames_lost).sum();
    let least = present().map(|viewer| viewer.frames_decoded).min().unwrap_or(0);
    let enough = (report.frames_published as f64 * SEEN_MIN).ceil();
    let blind: Vec<&str> = names(report.viewers.iter().filter(|viewer| viewer.frames_decoded == 0));
    let rekey = report.frames_lost_across_rekey;
    let seen = least as f64 >= enough && report.frames_published > 0;
    vec![
        check("base_frames_lost", "base frames lost by members present throughout", 0, lost, lost == 0),
        check(
            "present_to_the_end",
            "pictures of the member with the fewest",
            format!("at least {enough}"),
            least,
            seen,
        ),
        check("frames_lost_across_rekey", "frames lost across changes of key", 0, rekey, rekey == 0),
        check("every_viewer_decoded", "viewers without a picture", 0, listed(&blind), blind.is_empty()),
    ]
}

fn secrecy(report: &Report) -> Vec<Check> {
    let (outsider, removed, code) = (&report.outsider, &report.removed_viewer, &report.safety_code);
    let knowing = names_of(report.relays.iter().filter(|relay| relay.opened_inner).map(|relay| relay.name.as_str()));
    let all_report = !report.relays.is_empty() && report.relays.len() == report.relays_started;
    let carried = all_report && report.relays.iter().all(|relay| relay.chunks_forwarded > 0);
    let offered = removed.chunks_offered_after_removal;
    let frames = removed.frames_opened_after_removal;
    let agreeing = format!("{} of {} in epoch {}", code.agreeing, code.members, code.epoch.unwrap_or(0));
    vec![
        check(
            "outsider",
            "chunks that the outsider opened",
            format!("0 of at least {OFFERED_MIN}"),
            format!("{} of {}, admission {}", outsider.chunks_opened, outsider.chunks_offered, outsider.admission),
            outsider.chunks_opened == 0
                && outsider.chunks_offered >= OFFERED_MIN
                && outsider.admission.starts_with("refused"),
        ),
        check(
            "removed_viewer",
            "frames that the removed viewer opened afterwards",
            "0 of more than 0 chunks",
            format!("{frames} of {offered} chunks"),
            removed.last_epoch.is_some() && frames == 0 && removed.pictures_captured_after_removal == 0 && offered > 0,
        ),
        check("relays", "relays that held a key of the stream", 0, listed(&knowing), knowing.is_empty() && carried),
        check(
            "safety_code",
            "members with the same safety code",
            "all",
            agreeing,
            code.epoch.is_some() && code.members > 1 && code.agreeing == code.members,
        ),
    ]
}

fn timing(report: &Report) -> Vec<Check> {
    let late = report.late_joiner.first_frame_ms;
    let added = &report.added_latency_ms;
    vec![
        check(
            "late_joiner",
            "late viewer's first picture after its admission",
            format!("at most {FIRST_FRAME_MS_MAX} ms"),
            late.map_or("none".into(), |ms| format!("{ms:.0} ms")),
            late.is_some_and(|ms| ms <= FIRST_FRAME_MS_MAX),
        ),
        check(
            "added_latency",
            "latency that two relay tiers add, p95",
            format!("at most {ADDED_P95_MS_MAX} ms"),
            format!("{:.1} ms over {} pairs", added.p95, added.pairs),
            added.pairs > 0 && added.p95 <= ADDED_P95_MS_MAX,
        ),
    ]
}

fn processes(report: &Report) -> Check {
    let failed = report.processes.iter().filter(|process| process.exit_code != Some(0));
    let failed = names_of(failed.map(|process| process.name.as_str()));
    check("processes", "processes that ended badly", 0, listed(&failed), failed.is_empty())
}

fn names<'a>(viewers: impl Iterator<Item = &'a Viewer>) -> Vec<&'a str> {
    names_of(viewers.map(|viewer| viewer.name.as_str()))
}

fn names_of<'a>(names: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
    names.collect()
}

fn listed(names: &[&str]) -> String {
    match names {
        [] => "0".into(),
        names => format!("{}: {}", names.len(), names.join(", ")),
    }
}
