//! The numbers of a demo: what `report.json` holds. Field names are a public interface; see `docs/events.md`.

use edge_node::clock;
use edge_node::event::{Percentiles, WatchStats};
use serde::Serialize;

use super::cast::Part;
use super::check::{self, Check};
use super::child::Epoch;
use super::play::{Performance, Played};
use super::trace::{self, Shown};

/// Pictures captured this soon after a removal may have been under way already.
const REMOVAL_GRACE_US: u64 = 200_000;

/// Everything that was measured, and the verdict.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    /// `pass` or `fail`.
    pub(super) verdict: &'static str,
    pub(super) checks: Vec<Check>,
    pub(super) made_unix_s: u64,
    pub(super) source: String,
    pub(super) seconds: u64,
    pub(super) frames_published: u64,
    pub(super) audio_published: u64,
    pub(super) encode_ms: f64,
    pub(super) publisher_cpu_s: f64,
    pub(super) viewers: Vec<Viewer>,
    pub(super) late_joiner: LateJoiner,
    pub(super) removed_viewer: RemovedViewer,
    pub(super) outsider: Outsider,
    pub(super) relays: Vec<Relay>,
    /// Relays that were started, reporting or not.
    pub(super) relays_started: usize,
    pub(super) added_latency_ms: Added,
    /// Changes of the group.
    pub(super) epochs: usize,
    pub(super) epoch_changes: Vec<EpochChange>,
    pub(super) frames_lost_across_rekey: u64,
    pub(super) safety_code: SafetyCode,
    pub(super) processes: Vec<Process>,
}

#[derive(Debug, Serialize)]
pub(super) struct Viewer {
    pub(super) name: String,
    /// `present`, `direct`, `late` or `removed`.
    pub(super) part: &'static str,
    pub(super) parent: String,
    /// Links to the publisher.
    pub(super) depth: Option<usize>,
    pub(super) frames_decoded: u64,
    /// Base frames missing between its first and its last picture.
    pub(super) base_frames_lost: u64,
    /// From the admission, or from the first captured picture if that came later, to its first picture.
    pub(super) first_frame_ms: Option<f64>,
    pub(super) latency_ms: Percentiles,
    pub(super) layers_received: Vec<u64>,
    pub(super) decode_ms: f64,
    pub(super) frames_lost_across_rekey: u64,
    pub(super) recoveries: u64,
    pub(super) chunks_relabelled: u64,
    pub(super) chunks_unopened: u64,
    pub(super) audio_played: u64,
    pub(super) audio_concealed: u64,
    pub(super) epochs: u64,
    pub(super) disconnections: usize,
    pub(super) cpu_s: f64,
}

#[derive(Debug, Serialize)]
pub(super) struct LateJoiner {
    pub(super) name: String,
    /// Milliseconds from its admission to its first picture.
    pub(super) first_frame_ms: Option<f64>,
}

#[derive(Debug, Serialize)]
pub(super) struct RemovedViewer {
    pub(super) name: String,
    pub(super) last_epoch: Option<u64>,
    pub(super) frames_opened_after_removal: u64,
    pub(super) chunks_offered_after_removal: u64,
    /// Pictures it decoded that were captured later than [`REMOVAL_GRACE_US`] after its removal.
    pub(super) pictures_captured_after_removal: usize,
}

#[derive(Debug, Default, Serialize)]
pub(super) struct Outsider {
    pub(super) chunks_offered: u64,
    pub(super) chunks_opened: u64,
    /// Keys tried on each chunk.
    pub(super) keys_tried: u64,
    /// What its request to be admitted came to.
    pub(super) admission: String,
}

#[derive(Debug, Serialize)]
pub(super) struct Relay {
    pub(super) name: String,
    pub(super) tier: u8,
    pub(super) opened_inner: bool,
    pub(super) cpu_s: f64,
    pub(super) bytes_forwarded: u64,
    pub(super) chunks_received: u64,
    pub(super) chunks_forwarded: u64,
    pub(super) chunks_dropped: u64,
    pub(super) chunks_refused: u64,
    pub(super) rss_kib: u64,
}

/// Latency that two tiers of relays add, over pairs of the same picture behind them and at the publisher.
#[derive(Debug, Serialize)]
pub(super) struct Added {
    pub(super) p50: f64,
    pub(super) p95: f64,
    pub(super) p99: f64,
    pub(super) pairs: usize,
}

#[derive(Debug, Serialize)]
pub(super) struct EpochChange {
    pub(super) epoch: u64,
    pub(super) members: usize,
    pub(super) added: Vec<String>,
    pub(super) removed: Vec<String>,
    pub(super) commit_bytes: usize,
    pub(super) at_unix_us: u64,
}

/// The thirty digits that all members compare.
#[derive(Debug, Default, Serialize)]
pub(super) struct SafetyCode {
    /// Last epoch that all of them saw.
    pub(super) epoch: Option<u64>,
    /// The publisher's code.
    pub(super) code: String,
    /// Who was asked.
    pub(super) members: usize,
    /// Who computed the same.
    pub(super) agreeing: usize,
}

#[derive(Debug, Serialize)]
pub(super) struct Process {
    pub(super) name: String,
    /// Absent after a signal.
    pub(super) exit_code: Option<i32>,
    pub(super) reason: Option<String>,
}

impl Report {
    /// Measures `performance` and holds it against the bars.
    pub(super) fn of(performance: &Performance) -> Self {
        let played = &performance.played;
        let publish = played.iter().find_map(|one| one.record.publish.clone()).unwrap_or_default();
        let viewers: Vec<Viewer> = played.iter().filter_map(|one| viewer(one, performance)).collect();
        let changes = epoch_changes(played);
        let mut report = Self {
            verdict: "fail",
            checks: Vec::new(),
            made_unix_s: clock::unix_s(),
            source: performance.source.clone(),
            seconds: performance.length.as_secs(),
            frames_published: publish.frames_published,
            audio_published: publish.audio_published,
            encode_ms: publish.encode_ms,
            publisher_cpu_s: publish.cpu_s,
            frames_lost_across_rekey: viewers.iter().map(|viewer| viewer.frames_lost_across_rekey).sum(),
            viewers,
            late_joiner: late_joiner(played),
            removed_viewer: removed_viewer(played),
            outsider: outsider(played),
            relays: played.iter().filter_map(relay).collect(),
            relays_started: played.iter().filter(|one| matches!(one.actor.part, Part::Relay(_))).count(),
            added_latency_ms: added(played),
            epochs: changes.len(),
            epoch_changes: changes,
            safety_code: safety_code(played),
            processes: played.iter().map(process).collect(),
        };
        report.checks = check::all(&report);
        report.verdict = if report.passed() { "pass" } else { "fail" };
        report
    }

    /// Whether all checks passed.
    pub(super) fn passed(&self) -> bool {
        !self.checks.is_empty() && self.checks.iter().all(|check| check.passed)
    }
}

/// When the first picture of all was captured, in µs since 1970.
pub(super) fn begun_us(played: &[Played]) -> u64 {
    played.iter().flat_map(|one| &one.trace).map(|shown| shown.captured_us).min().unwrap_or(0)
}

fn viewer(one: &Played, performance: &Performance) -> Option<Viewer> {
    let part = one.actor.part;
    if !part.watches() {
        return None;
    }
    let stats = one.record.watch.clone().unwrap_or_default();
    let parent = one.actor.parent.and_then(|at| performance.played.get(at));
    let begun_us = begun_us(&performance.played).max(one.record.admitted_unix_us.unwrap_or(0));
    let first_ms = |shown: &Shown| shown.decoded_us.saturating_sub(begun_us) as f64 / 1000.0;
    let WatchStats { frames_decoded, base_frames_lost, latency_ms, layers_received, decode_ms, .. } = stats;
    Some(Viewer {
        name: one.actor.name.clone(),
        part: part.word(),
        parent: parent.map(|parent| parent.actor.name.clone()).unwrap_or_default(),
        depth: one.record.depth,
        frames_decoded,
        base_frames_lost,
        first_frame_ms: one.trace.first().map(first_ms),
        latency_ms,
        layers_received,
        decode_ms,
        frames_lost_across_rekey: stats.frames_lost_across_rekey,
        recoveries: stats.recoveries,
        chunks_relabelled: stats.chunks_relabelled,
        chunks_unopened: stats.chunks_unopened,
        audio_played: stats.audio_played,
        audio_concealed: stats.audio_concealed,
        epochs: stats.epochs,
        disconnections: one.record.disconnections,
        cpu_s: stats.cpu_s,
    })
}

fn of_part(played: &[Played], part: Part) -> Option<&Played> {
    played.iter().find(|one| one.actor.part == part)
}

fn late_joiner(played: &[Played]) -> LateJoiner {
    let late = of_part(played, Part::Late);
    LateJoiner {
        name: late.map(|one| one.actor.name.clone()).unwrap_or_default(),
        first_frame_ms: late.and_then(|one| one.record.first_frame_ms),
    }
}

fn removed_viewer(played: &[Played]) -> RemovedViewer {
    let removed = of_part(played, Part::Removed);
    let stats = removed.and_then(|one| one.record.watch.clone()).unwrap_or_default();
    RemovedViewer {
        name: removed.map(|one| one.actor.name.clone()).unwrap_or_default(),
        last_epoch: removed.and_then(|one| one.record.evicted),
        frames_opened_after_removal: stats.frames_opened_after_removal,
        chunks_offered_after_removal: stats.chunks_offered_after_removal,
        pictures_captured_after_removal: removed.map_or(0, |one| later_than_removal(played, one)),
    }
}

/// Counts what the publisher captured after the removal and the removed viewer decoded all the same.
fn later_than_removal(played: &[Played], removed: &Played) -> usize {
    let Some(publisher) = of_part(played, Part::Publisher) else { return usize::MAX };
    let mut changes = publisher.record.epochs.values();
    let Some(change) = changes.find(|seen| seen.removed.contains(&removed.actor.name)) else { return usize::MAX };
    let end_us = change.at_unix_us.saturating_add(REMOVAL_GRACE_US);
    removed.trace.iter().filter(|shown| shown.captured_us > end_us).count()
}

fn outsider(played: &[Played]) -> Outsider {
    let stats = of_part(played, Part::Outsider).and_then(|one| one.record.outsider.clone());
    stats.map_or_else(Outsider::default, |stats| Outsider {
        chunks_offered: stats.chunks_offered,
        chunks_opened: stats.chunks_opened,
        keys_tried: stats.keys_tried,
        admission: stats.admission,
    })
}

fn relay(one: &Played) -> Option<Relay> {
    let Part::Relay(tier) = one.actor.part else { return None };
    let stats = one.record.relay.as_ref()?;
    Some(Relay {
        name: one.actor.name.clone(),
        tier,
        opened_inner: stats.opened_inner,
        cpu_s: stats.cpu_s,
        bytes_forwarded: stats.bytes_forwarded,
        chunks_received: stats.chunks_received,
        chunks_forwarded: stats.chunks_forwarded,
        chunks_dropped: stats.chunks_dropped,
        chunks_refused: stats.chunks_refused,
        rss_kib: stats.rss_kib,
    })
}

fn added(played: &[Played]) -> Added {
    let direct = of_part(played, Part::Direct).map(|one| one.trace.as_slice()).unwrap_or_default();
    let relayed = played.iter().filter(|one| one.actor.part == Part::Present);
    let mut samples: Vec<f64> = relayed.flat_map(|one| trace::added_ms(&one.trace, direct)).collect();
    let Percentiles { p50, p95, p99 } = Percentiles::of(&mut samples);
    Added { p50, p95, p99, pairs: samples.len() }
}

fn epoch_changes(played: &[Played]) -> Vec<EpochChange> {
    let Some(publisher) = of_part(played, Part::Publisher) else { return Vec::new() };
    let changes = publisher.record.epochs.iter().map(|(epoch, seen)| EpochChange {
        epoch: *epoch,
        members: seen.members,
        added: seen.added.clone(),
        removed: seen.removed.clone(),
        commit_bytes: seen.commit_bytes,
        at_unix_us: seen.at_unix_us,
    });
    changes.collect()
}

fn safety_code(played: &[Played]) -> SafetyCode {
    let members: Vec<&Played> = played
        .iter()
        .filter(|one| one.actor.part == Part::Publisher || one.actor.part == Part::Late || one.actor.part.stays())
        .collect();
    let Some(publisher) = of_part(played, Part::Publisher) else { return SafetyCode::default() };
    // The last change of the roster: a member that stopped following before it would still agree on an earlier one.
    let roster = |seen: &Epoch| !seen.added.is_empty() || !seen.removed.is_empty();
    let Some((epoch, seen)) = publisher.record.epochs.iter().rev().find(|(_, seen)| roster(seen)) else {
        return SafetyCode { members: members.len(), ..SafetyCode::default() };
    };
    let agrees = |one: &&&Played| one.record.epochs.get(epoch).is_some_and(|own| own.safety_code == seen.safety_code);
    SafetyCode {
        epoch: Some(*epoch),
        code: seen.safety_code.clone(),
        members: members.len(),
        agreeing: members.iter().filter(agrees).count(),
    }
}

fn process(one: &Played) -> Process {
    Process {
        name: one.actor.name.clone(),
        exit_code: one.record.ended.and_then(|status| status.code()),
        reason: one.record.done.clone(),
    }
}
