//! What was measured, and whether it holds.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::Path;

use edge_node::event::{Event, OutsiderStats, Percentiles, PublishStats, RelayStats, Stats, WatchStats};
use serde::Serialize;

use super::play::{Outcome, Part, Viewer};
use crate::args;

/// Most milliseconds from a latecomer's admission to its first picture.
const LATE_FRAME_MS: f64 = 500.0;
/// Most milliseconds that two tiers of relays may add, at the 95th percentile.
const ADDED_P95_MS: f64 = 20.0;
/// Fewest chunks that the outsider must have been offered.
const OFFERED_MIN: u64 = 100;

/// The numbers of one run; written as `report.json`.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    pub(crate) seconds: u16,
    pub(crate) wall_s: f64,
    pub(crate) frames_published: u64,
    pub(crate) frames_skipped: u64,
    pub(crate) encode_ms: f64,
    pub(crate) publisher_cpu_s: f64,
    pub(crate) epochs: u64,
    pub(crate) frames_lost_across_rekey: u64,
    pub(crate) viewers: Vec<Watched>,
    pub(crate) late_joiner: Latecomer,
    pub(crate) removed_viewer: Removal,
    pub(crate) outsider: OutsiderStats,
    pub(crate) relays: Vec<Carried>,
    /// Decoded behind two tiers minus decoded at the publisher, frame by frame.
    pub(crate) added_latency_ms: Percentiles,
    pub(crate) safety_code: String,
    pub(crate) epoch_log: Vec<EpochChange>,
    pub(crate) checks: Vec<Check>,
    pub(crate) verdict: Verdict,
}

/// One viewer.
#[derive(Debug, Serialize)]
pub(crate) struct Watched {
    pub(crate) name: String,
    pub(crate) part: &'static str,
    pub(crate) parent: String,
    pub(crate) first_frame_ms: f64,
    #[serde(flatten)]
    pub(crate) stats: WatchStats,
}

/// One relay.
#[derive(Debug, Serialize)]
pub(crate) struct Carried {
    pub(crate) name: String,
    pub(crate) tier: u8,
    pub(crate) parent: String,
    #[serde(flatten)]
    pub(crate) stats: RelayStats,
}

/// The viewer that came late.
#[derive(Debug, Serialize)]
pub(crate) struct Latecomer {
    pub(crate) first_frame_ms: f64,
}

/// The viewer that was removed.
#[derive(Debug, Serialize)]
pub(crate) struct Removal {
    pub(crate) frames_opened_after_removal: u64,
    pub(crate) chunks_offered_after_removal: u64,
}

/// One change of the group, as the publisher saw it.
#[derive(Debug, Serialize)]
pub(crate) struct EpochChange {
    pub(crate) epoch: u64,
    pub(crate) at_s: f64,
    pub(crate) members: usize,
    pub(crate) added: Vec<String>,
    pub(crate) removed: Vec<String>,
    pub(crate) commit_bytes: usize,
}

/// One thing that must hold.
#[derive(Debug, Serialize)]
pub(crate) struct Check {
    pub(crate) name: &'static str,
    pub(crate) holds: bool,
    pub(crate) detail: String,
}

/// Whether everything held.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Verdict {
    Pass,
    Fail,
}

impl Verdict {
    /// Whether everything held.
    pub(crate) fn holds(self) -> bool {
        self == Self::Pass
    }
}

impl Report {
    /// Measures an outcome.
    pub(crate) fn of(outcome: &Outcome, demo: &args::Demo) -> Self {
        let publish = published(outcome);
        let viewers: Vec<Watched> = outcome.viewers.iter().map(watched).collect();
        let removed = viewers.iter().find(|viewer| viewer.part == name(Part::Removed));
        let members = || viewers.iter().filter(|viewer| viewer.part != name(Part::Removed));
        let mut report = Self {
            seconds: demo.seconds,
            wall_s: outcome.wall_s,
            frames_published: publish.frames_published,
            frames_skipped: publish.frames_skipped,
            encode_ms: publish.encode_ms,
            publisher_cpu_s: publish.cpu_s,
            epochs: publish.epoch,
            frames_lost_across_rekey: members().map(|viewer| viewer.stats.frames_lost_across_rekey).sum(),
            late_joiner: Latecomer {
                first_frame_ms: viewers
                    .iter()
                    .find(|viewer| viewer.part == name(Part::Late))
                    .map_or(f64::NAN, |viewer| viewer.first_frame_ms),
            },
            removed_viewer: Removal {
                frames_opened_after_removal: removed.map_or(0, |viewer| viewer.stats.frames_opened_after_removal),
                chunks_offered_after_removal: removed.map_or(0, |viewer| viewer.stats.chunks_offered_after_removal),
            },
            outsider: match &outcome.outsider.script().stats {
                Some(Stats::Outsider(stats)) => stats.clone(),
                _ => OutsiderStats::default(),
            },
            relays: outcome.relays.iter().map(carried).collect(),
            added_latency_ms: added_latency(outcome),
            safety_code: String::new(),
            epoch_log: epoch_log(outcome),
            viewers,
            checks: Vec::new(),
            verdict: Verdict::Fail,
        };
        report.safety_code = last_code(outcome).map(|(_, code)| code).unwrap_or_default();
        report.checks = report.check(outcome);
        if report.checks.iter().all(|check| check.holds) {
            report.verdict = Verdict::Pass;
        }
        report
    }

    fn check(&self, outcome: &Outcome) -> Vec<Check> {
        let present = || self.viewers.iter().filter(|viewer| viewer.part != name(Part::Removed));
        let lost: u64 = present().map(|viewer| viewer.stats.base_frames_lost).sum();
        let blind = present().filter(|viewer| viewer.stats.frames_decoded == 0).count();
        let opened = self.relays.iter().filter(|relay| relay.stats.opened_inner).count();
        let failed = failures(outcome);
        let codes = differing_codes(outcome);
        let (late, added) = (self.late_joiner.first_frame_ms, self.added_latency_ms.p95);
        let (outsider, removed) = (&self.outsider, &self.removed_viewer);
        let check = |name, holds, detail: String| Check { name, holds, detail };
        vec![
            check("every viewer saw pictures", blind == 0, format!("{blind} saw none")),
            check("no base frame lost", lost == 0, format!("{lost} lost by members present")),
            check(
                "no frame lost across a rekey",
                self.frames_lost_across_rekey == 0,
                format!("{} lost over {} epochs", self.frames_lost_across_rekey, self.epochs),
            ),
            check(
                "relays opened nothing",
                opened == 0,
                format!("{} relays, no group key in their code", self.relays.len()),
            ),
            check(
                "the outsider opened nothing",
                outsider.chunks_opened == 0 && outsider.chunks_offered >= OFFERED_MIN,
                format!(
                    "{} of {} offered chunks; {}",
                    outsider.chunks_opened, outsider.chunks_offered, outsider.admission
                ),
            ),
            check(
                "the removed viewer opened nothing more",
                removed.frames_opened_after_removal == 0 && removed.chunks_offered_after_removal > 0,
                format!(
                    "{} of {} offered chunks",
                    removed.frames_opened_after_removal, removed.chunks_offered_after_removal
                ),
            ),
            check(
                "the latecomer saw a picture at once",
                late <= LATE_FRAME_MS,
                format!("{late:.0} ms after admission"),
            ),
            check("two relay tiers add little", added <= ADDED_P95_MS, format!("p95 {added:.1} ms, frame by frame")),
            check("all members read one safety code", codes.is_empty(), format!("{} differ", codes.len())),
            check("every process ended well", failed.is_empty(), failed.join(" ")),
        ]
    }

    /// The closing table for people.
    pub(crate) fn table(&self, folder: &Path) -> String {
        let mut out = String::from(
            "\nviewer        parent      decoded  lost  first ms  latency p50/p95/p99 ms    layers S0/S1/S2\n",
        );
        for viewer in &self.viewers {
            let (s, l) = (&viewer.stats, &viewer.stats.latency_ms);
            let layers: Vec<String> = s.layers_received.iter().map(ToString::to_string).collect();
            // Writing to a string cannot fail.
            let _ = writeln!(
                out,
                "{:<13} {:<11} {:>7} {:>5} {:>9.0}  {:>7.1} {:>7.1} {:>7.1}    {}",
                viewer.name,
                viewer.parent,
                s.frames_decoded,
                s.base_frames_lost,
                viewer.first_frame_ms,
                l.p50,
                l.p95,
                l.p99,
                layers.join("/")
            );
        }
        out.push_str("\nrelay         tier  chunks out      MiB  cpu s  rss MiB\n");
        for relay in &self.relays {
            let s = &relay.stats;
            let (sent, rss) = (s.bytes_forwarded as f64 / 1_048_576.0, s.rss_kib as f64 / 1024.0);
            let _ = writeln!(
                out,
                "{:<13} {:>4} {:>11} {sent:>8.1} {:>6.2} {rss:>8.1}",
                relay.name, relay.tier, s.chunks_forwarded, s.cpu_s
            );
        }
        out.push('\n');
        for check in &self.checks {
            let _ = writeln!(out, "{}  {:<40} {}", if check.holds { "ok  " } else { "FAIL" }, check.name, check.detail);
        }
        let verdict = if self.verdict.holds() { "PASS" } else { "FAIL" };
        let _ = writeln!(
            out,
            "\nsafety code {}\nverdict {verdict}; report in {}/index.html",
            self.safety_code,
            folder.display()
        );
        out
    }
}

/// A part's name in the report.
fn name(part: Part) -> &'static str {
    match part {
        Part::Regular => "regular",
        Part::Direct => "direct",
        Part::Late => "late",
        Part::Removed => "removed",
    }
}

fn published(outcome: &Outcome) -> PublishStats {
    match &outcome.publisher.script().stats {
        Some(Stats::Publish(stats)) => stats.clone(),
        _ => PublishStats::default(),
    }
}

fn watched(viewer: &Viewer) -> Watched {
    let script = viewer.actor.script();
    let stats = match &script.stats {
        Some(Stats::Watch(stats)) => stats.clone(),
        _ => WatchStats::default(),
    };
    let first = script.events.iter().find_map(|event| match event {
        Event::FirstFrame { since_admitted_ms, .. } => Some(*since_admitted_ms),
        _ => None,
    });
    Watched {
        name: viewer.actor.name.clone(),
        part: name(viewer.part),
        parent: viewer.parent.clone(),
        first_frame_ms: first.unwrap_or(f64::NAN),
        stats,
    }
}

fn carried(relay: &super::play::Relay) -> Carried {
    let stats = match &relay.actor.script().stats {
        Some(Stats::Relay(stats)) => stats.clone(),
        _ => RelayStats { opened_inner: true, ..RelayStats::default() },
    };
    Carried { name: relay.actor.name.clone(), tier: relay.tier, parent: relay.parent.clone(), stats }
}

/// Decode times of the direct viewer against those of every viewer behind two tiers, on the same frames.
fn added_latency(outcome: &Outcome) -> Percentiles {
    let decoded_us = |viewer: &Viewer| -> BTreeMap<u64, f64> {
        read_trace(outcome, &viewer.actor.name).into_iter().map(|(frame, _, decoded)| (frame, decoded)).collect()
    };
    let Some(direct) = outcome.viewers.iter().find(|viewer| viewer.part == Part::Direct).map(decoded_us) else {
        return Percentiles::default();
    };
    let behind = outcome.viewers.iter().filter(|viewer| viewer.part == Part::Regular);
    let mut added: Vec<f64> = behind
        .flat_map(decoded_us)
        .filter_map(|(frame, decoded)| direct.get(&frame).map(|reference| (decoded - reference) / 1000.0))
        .collect();
    Percentiles::of(&mut added)
}

/// (frame number, captured, decoded) of each picture, both in µs since 1970.
pub(crate) fn read_trace(outcome: &Outcome, name: &str) -> Vec<(u64, f64, f64)> {
    let text = std::fs::read_to_string(outcome.traces.trace(name)).unwrap_or_default();
    let line = |line: &str| {
        let mut fields = line.split(' ');
        Some((fields.next()?.parse().ok()?, fields.next()?.parse().ok()?, fields.next()?.parse().ok()?))
    };
    text.lines().filter_map(line).collect()
}

fn epoch_log(outcome: &Outcome) -> Vec<EpochChange> {
    let script = outcome.publisher.script();
    let mut start = None;
    let change = |event: &Event| match event {
        Event::Epoch { epoch, members, added, removed, commit_bytes, at_unix_us, .. } => {
            let first = *start.get_or_insert(*at_unix_us);
            Some(EpochChange {
                epoch: *epoch,
                at_s: at_unix_us.saturating_sub(first) as f64 / 1e6,
                members: *members,
                added: added.clone(),
                removed: removed.clone(),
                commit_bytes: *commit_bytes,
            })
        }
        _ => None,
    };
    script.events.iter().filter_map(change).collect()
}

/// The publisher's last epoch with its code.
fn last_code(outcome: &Outcome) -> Option<(u64, String)> {
    codes(&outcome.publisher.script().events).pop_last()
}

fn codes(events: &[Event]) -> BTreeMap<u64, String> {
    let code = |event: &Event| match event {
        Event::Epoch { epoch, safety_code, .. } => Some((*epoch, safety_code.clone())),
        _ => None,
    };
    events.iter().filter_map(code).collect()
}

/// Members whose code of any epoch differs from the publisher's, or who read none.
fn differing_codes(outcome: &Outcome) -> Vec<String> {
    let reference = codes(&outcome.publisher.script().events);
    let differs = |viewer: &&Viewer| {
        let own = codes(&viewer.actor.script().events);
        own.is_empty() || own.iter().any(|(epoch, code)| reference.get(epoch).is_some_and(|other| other != code))
    };
    outcome.viewers.iter().filter(differs).map(|viewer| viewer.actor.name.clone()).collect()
}

fn failures(outcome: &Outcome) -> Vec<String> {
    let viewers = outcome.viewers.iter().map(|viewer| (&viewer.actor, viewer.exit_ok));
    let relays = outcome.relays.iter().map(|relay| (&relay.actor, relay.exit_ok));
    let others = [(&outcome.publisher, outcome.publisher_ok), (&outcome.outsider, outcome.outsider_ok)];
    let all = viewers.chain(relays).chain(others);
    all.filter(|(_, ok)| !ok).map(|(actor, _)| format!("{} failed:{}", actor.name, actor.last_words())).collect()
}
