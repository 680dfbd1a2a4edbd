//! The numbers of a churn demo: what `churn.json` holds. Field names are a public interface; see `docs/events.md`.

use edge_node::clock;
use edge_node::event::Percentiles;
use serde::Serialize;

use super::gaps::{Aftermath, aftermath, repeated};
use super::{Performance, Viewer};
use crate::demo::check::{Check, check};

const GAP_P95_MS_MAX: f64 = 400.0;
const GAP_P99_MS_MAX: f64 = 1000.0;
const RESTORED_MS_MAX: f64 = 3000.0;

/// Everything that was measured, and the verdict.
#[derive(Debug, Serialize)]
pub(in crate::demo) struct Report {
    /// `pass` or `fail`.
    verdict: &'static str,
    checks: Vec<Check>,
    made_unix_s: u64,
    seconds: u64,
    frames_published: u64,
    kills: Vec<KillSeen>,
    /// Longest time between two pictures after a kill, over bereaved viewers.
    gap_ms: Percentiles,
    /// Samples behind `gap_ms`.
    gaps: usize,
    viewers: Vec<ViewerSeen>,
}

#[derive(Debug, Serialize)]
struct KillSeen {
    relay: String,
    at_unix_us: u64,
    bereaved: Vec<Bereaved>,
}

#[derive(Debug, Serialize)]
struct Bereaved {
    viewer: String,
    gap_ms: f64,
    restored_ms: Option<f64>,
}

#[derive(Debug, Serialize)]
struct ViewerSeen {
    name: String,
    depth: usize,
    frames_decoded: u64,
    base_frames_lost: u64,
    repeated: usize,
    heals: u64,
    switches: u64,
    duplicates_dropped: u64,
    forgeries: u64,
    latency_ms: Percentiles,
}

impl Report {
    /// Of what was played.
    pub(in crate::demo) fn of(played: &Performance) -> Self {
        let kills: Vec<KillSeen> = played.kills.iter().map(|kill| seen(kill, &played.viewers)).collect();
        let mut gaps: Vec<f64> = kills.iter().flat_map(|kill| &kill.bereaved).map(|one| one.gap_ms).collect();
        let frames_published = played.publisher.publish.as_ref().map_or(0, |stats| stats.frames_published);
        let mut report = Self {
            verdict: "fail",
            checks: Vec::new(),
            made_unix_s: clock::unix_s(),
            seconds: played.length.as_secs(),
            frames_published,
            gaps: gaps.len(),
            gap_ms: Percentiles::of(&mut gaps),
            kills,
            viewers: played.viewers.iter().map(viewer).collect(),
        };
        report.checks = report.check(played);
        if report.passed() {
            report.verdict = "pass";
        }
        report
    }

    /// Whether every bar was met.
    pub(in crate::demo) fn passed(&self) -> bool {
        self.checks.iter().all(|check| check.passed)
    }

    /// The same for a person.
    pub(in crate::demo) fn table(&self) -> String {
        let mut out = String::from("\nviewer        depth  pictures  lost  heals  switches  latency p95\n");
        for one in &self.viewers {
            out += &format!(
                "{:<12} {:>6} {:>9} {:>5} {:>6} {:>9} {:>9.0} ms\n",
                one.name,
                one.depth,
                one.frames_decoded,
                one.base_frames_lost,
                one.heals,
                one.switches,
                one.latency_ms.p95
            );
        }
        out += "\n";
        for check in &self.checks {
            let mark = if check.passed { "pass" } else { "FAIL" };
            out += &format!("{mark}  {}: {} (wanted {})\n", check.name, check.measured, check.wanted);
        }
        out + &format!("\nverdict: {}\n", self.verdict)
    }

    fn check(&self, played: &Performance) -> Vec<Check> {
        let bereaved = || self.kills.iter().flat_map(|kill| &kill.bereaved);
        let slow = bereaved().filter(|one| one.restored_ms.is_none_or(|ms| ms > RESTORED_MS_MAX)).count();
        let slowest = bereaved().filter_map(|one| one.restored_ms).fold(0.0, f64::max);
        let repeated: usize = self.viewers.iter().map(|viewer| viewer.repeated).sum();
        let forged: u64 = self.viewers.iter().map(|viewer| viewer.forgeries).sum();
        let blind = self.viewers.iter().filter(|viewer| viewer.frames_decoded == 0).count();
        let badly = ended_badly(played);
        let gap = |ms: f64, bar: f64| self.gaps > 0 && ms <= bar;
        vec![
            check("kills", "relays killed that fed a viewer", "at least 1", self.gaps, self.gaps > 0),
            check(
                "gap_p95",
                "picture gap after a kill, p95",
                format!("at most {GAP_P95_MS_MAX} ms"),
                format!("{:.0} ms over {}", self.gap_ms.p95, self.gaps),
                gap(self.gap_ms.p95, GAP_P95_MS_MAX),
            ),
            check(
                "gap_p99",
                "picture gap after a kill, p99",
                format!("at most {GAP_P99_MS_MAX} ms"),
                format!("{:.0} ms", self.gap_ms.p99),
                gap(self.gap_ms.p99, GAP_P99_MS_MAX),
            ),
            check(
                "restored",
                "viewers without all layers 3 s after a kill",
                0,
                format!("{slow}, slowest {slowest:.0} ms"),
                slow == 0,
            ),
            check("repeated", "pictures shown twice", 0, repeated, repeated == 0),
            check("forgeries", "chunks that were not the publisher's", 0, forged, forged == 0),
            check("blind", "viewers without a picture", 0, blind, blind == 0),
            check("processes", "processes that ended badly", "none", or_none(&badly), badly.is_empty()),
        ]
    }
}

/// Every process that did not end well, with its last words.
fn ended_badly(played: &Performance) -> Vec<String> {
    let viewers = played.viewers.iter().map(|viewer| (viewer.name.as_str(), &viewer.record));
    let relays = played.survivors.iter().map(|(name, record)| (name.as_str(), record));
    let all = viewers.chain(relays).chain([("publisher", &played.publisher)]);
    let badly = all.filter(|(_, record)| record.ended.is_none_or(|status| !status.success()));
    badly.map(|(name, record)| format!("{name}: {}", record.done.as_deref().unwrap_or("no last words"))).collect()
}

fn or_none(list: &[String]) -> String {
    if list.is_empty() { "none".into() } else { list.join("; ") }
}

fn seen(kill: &super::Kill, viewers: &[Viewer]) -> KillSeen {
    let bereaved = viewers.iter().filter(|viewer| kill.bereaved.contains(&viewer.name)).filter_map(|viewer| {
        let Aftermath { gap_ms, restored_ms } = aftermath(&viewer.trace, kill)?;
        Some(Bereaved { viewer: viewer.name.clone(), gap_ms, restored_ms })
    });
    KillSeen { relay: kill.relay.clone(), at_unix_us: kill.at_unix_us, bereaved: bereaved.collect() }
}

fn viewer(viewer: &Viewer) -> ViewerSeen {
    let stats = viewer.record.watch.clone().unwrap_or_default();
    ViewerSeen {
        name: viewer.name.clone(),
        depth: stats.uplink.depth,
        frames_decoded: stats.frames_decoded,
        base_frames_lost: stats.base_frames_lost,
        repeated: repeated(&viewer.trace),
        heals: stats.uplink.heals,
        switches: stats.uplink.switches,
        duplicates_dropped: stats.uplink.duplicates,
        forgeries: stats.uplink.forgeries,
        latency_ms: stats.latency_ms,
    }
}
