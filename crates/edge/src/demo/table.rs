//! What a person sees: a table that changes in place while the demo plays, and the results at its end.

use std::time::{Duration, Instant};

use super::cast::{Actor, Part};
use super::child::Record;
use super::play::Performance;
use super::report::Report;
use crate::console::Console;

/// Time between two drawings.
const REDRAW: Duration = Duration::from_millis(500);
/// Time between two lines where nothing can be redrawn.
const PROGRESS: Duration = Duration::from_secs(5);
const HEAD: &str = "name        links   pictures  lost   p50 ms  p95 ms  layer  epoch  state";

/// The live table.
pub(super) struct Table {
    console: Console,
    begun: Instant,
    length: Duration,
    drawn: Option<Instant>,
    height: usize,
}

impl Table {
    /// A table of a play of `length`.
    pub(super) fn new(console: &Console, length: Duration) -> Self {
        Self { console: console.clone(), begun: Instant::now(), length, drawn: None, height: 0 }
    }

    /// Draws what `players` reported, if it is time to.
    pub(super) fn show(&mut self, players: impl Iterator<Item = (impl std::borrow::Borrow<Actor>, Record)>) {
        let pause = if self.console.is_terminal() { REDRAW } else { PROGRESS };
        if self.drawn.is_some_and(|at| at.elapsed() < pause) {
            return;
        }
        self.drawn = Some(Instant::now());
        let players: Vec<_> = players.collect();
        let rows: Vec<(&Actor, &Record)> = players.iter().map(|(actor, record)| (actor.borrow(), record)).collect();
        match self.console.is_terminal() {
            true => self.redraw(&rows),
            false => self.console.line(&self.progress(&rows)),
        }
    }

    /// Leaves the last drawing where it is.
    pub(super) fn close(&mut self) {
        self.height = 0;
    }

    fn redraw(&mut self, rows: &[(&Actor, &Record)]) {
        let up = if self.height > 0 { format!("\x1b[{}A", self.height) } else { String::new() };
        let lines: Vec<String> = std::iter::once(self.progress(rows))
            .chain([HEAD.to_owned()])
            .chain(rows.iter().map(|(actor, record)| row(actor, record)))
            .collect();
        self.height = lines.len();
        let text: String = lines.iter().map(|line| format!("\x1b[2K{line}\n")).collect();
        self.console.text(&(up + &text));
    }

    fn progress(&self, rows: &[(&Actor, &Record)]) -> String {
        let published = rows.iter().find_map(|(_, record)| record.publish.as_ref()).map_or(0, |s| s.frames_published);
        let watching = rows.iter().filter_map(|(_, record)| record.watch.as_ref());
        let playing = watching.clone().filter(|stats| stats.frames_decoded > 0).count();
        let lost: u64 = watching.clone().map(|stats| stats.base_frames_lost).sum();
        let worst = watching.map(|stats| stats.latency_ms.p95).fold(0.0, f64::max);
        format!(
            "{:>3} s of {} s · {published} pictures published · {playing} viewers playing · {lost} lost · worst p95 {worst:.0} ms",
            self.begun.elapsed().as_secs(),
            self.length.as_secs()
        )
    }
}

fn row(actor: &Actor, record: &Record) -> String {
    let state = state(actor, record);
    let depth = record.depth.map_or("-".into(), |depth| depth.to_string());
    let name = &actor.name;
    if let Some(s) = &record.publish {
        return format!(
            "{name:<12}{:>5}  {:>9}  {:>4}   {:>6.1}  {:>6}  {:>5}  {:>5}  {state}",
            0, s.frames_published, s.frames_skipped, s.encode_ms, "encode", "-", s.epoch
        );
    }
    if let Some(s) = &record.watch {
        let layer = format!("S{}T{}", s.top_layer.0, s.top_layer.1);
        return format!(
            "{name:<12}{depth:>5}  {:>9}  {:>4}   {:>6.1}  {:>6.1}  {layer:>5}  {:>5}  {state}",
            s.frames_decoded, s.base_frames_lost, s.latency_ms.p50, s.latency_ms.p95, s.epoch
        );
    }
    format!("{name:<12}{depth:>5}  {:>9}  {:>4}   {:>6}  {:>6}  {:>5}  {:>5}  {state}", "-", "-", "-", "-", "-", "-")
}

fn state(actor: &Actor, record: &Record) -> String {
    if let Some(relay) = &record.relay {
        let mib = relay.bytes_forwarded as f64 / 1_048_576.0;
        return format!("carries {} chunks, {mib:.1} MiB; holds no key", relay.chunks_forwarded);
    }
    if let Some(outsider) = &record.outsider {
        return format!("offered {}, opened {}", outsider.chunks_offered, outsider.chunks_opened);
    }
    match (actor.part, &record.done, record.evicted) {
        (_, Some(reason), _) => reason.clone(),
        (_, None, Some(epoch)) => format!("removed after epoch {epoch}, still trying"),
        (part, None, None) if part.watches() && record.admitted_unix_us.is_none() => "asks to be admitted".into(),
        (part, None, None) if part.watches() => "watches".into(),
        (Part::Publisher, None, None) => "publishes".into(),
        _ => "connects".into(),
    }
}

/// The checks, the verdict, and the last words of whoever failed.
pub(super) fn results(report: &Report, performance: &Performance) -> String {
    let width = report.checks.iter().map(|check| check.name.chars().count()).max().unwrap_or(0);
    let mut out = String::from("\n");
    for check in &report.checks {
        let mark = if check.passed { "pass" } else { "FAIL" };
        out += &format!("{mark}  {:<width$}  {} (wanted: {})\n", check.name, check.measured, check.wanted);
    }
    let failed = performance.played.iter().filter(|played| !played.record.ended.is_some_and(|exit| exit.success()));
    for played in failed {
        out += &format!("\n{} ended badly; its last words:\n{}\n", played.actor.name, played.record.last_words());
    }
    out + &format!("\nverdict: {}\n", report.verdict)
}
