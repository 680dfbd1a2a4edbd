//! What people and scripts read.

use std::io::{IsTerminal, Write};

use edge_node::event::{Event, Stats};
use serde::Serialize;

/// Standard output, or standard error when the output carries media.
#[derive(Debug, Clone)]
pub(crate) struct Console {
    json: bool,
    to_stderr: bool,
}

impl Console {
    /// JSON lines or text.
    pub(crate) fn new(json: bool) -> Self {
        Self { json, to_stderr: false }
    }

    /// The same console while standard output carries media.
    pub(crate) fn beside_media(&self) -> Self {
        Self { json: self.json, to_stderr: true }
    }

    /// Whether scripts read.
    pub(crate) fn is_json(&self) -> bool {
        self.json
    }

    /// Whether a person sees this on a terminal.
    pub(crate) fn is_terminal(&self) -> bool {
        match self.to_stderr {
            true => std::io::stderr().is_terminal(),
            false => std::io::stdout().is_terminal(),
        }
    }

    /// Writes text as it is. A reader that went away ends the process quietly.
    pub(crate) fn text(&self, text: &str) {
        let written = match self.to_stderr {
            true => std::io::stderr().lock().write_all(text.as_bytes()),
            false => {
                let mut out = std::io::stdout().lock();
                out.write_all(text.as_bytes()).and_then(|()| out.flush())
            }
        };
        if written.is_err() {
            std::process::exit(0);
        }
    }

    /// Writes one line.
    pub(crate) fn line(&self, line: &str) {
        self.text(&format!("{line}\n"));
    }

    /// Writes a value as one JSON line.
    pub(crate) fn json(&self, value: &impl Serialize) {
        match serde_json::to_string(value) {
            Ok(line) => self.line(&line),
            Err(error) => tracing::error!(%error, "a report could not be written"),
        }
    }

    /// Writes a failure and its causes on standard error.
    pub(crate) fn failure(&self, failure: &(dyn std::error::Error + 'static)) {
        let text = chain(failure);
        let line = match self.json {
            true => serde_json::json!({"event": "error", "message": text}).to_string(),
            false => format!("edge: {text}"),
        };
        // Nobody is left to tell when standard error is closed too.
        let _ = writeln!(std::io::stderr(), "{line}");
    }

    /// Reports an event.
    pub(crate) fn event(&self, event: &Event, stats: ShowStats) {
        if self.json {
            return self.json(event);
        }
        if let Some(line) = readable(event, stats) {
            self.line(&line);
        }
    }
}

/// Whether counters are shown to people while they change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ShowStats {
    /// Each report.
    Each,
    /// None.
    Hidden,
}

/// An error and its causes in one line; a cause that its error quotes already is not told twice.
pub(crate) fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        let told = inner.to_string();
        if !text.contains(&told) {
            text = format!("{text}: {told}");
        }
        cause = inner.source();
    }
    text
}

/// Colours only for a terminal, and not when the person said no.
pub(crate) fn colours_on_stderr() -> bool {
    std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none()
}

fn readable(event: &Event, stats: ShowStats) -> Option<String> {
    Some(match event {
        Event::Ready { role, key_id, listen, ticket, relay_ticket, .. } => {
            let mut text = format!("{role} {key_id} is ready");
            text.extend(listen.as_ref().map(|addr| format!(" on {addr}")));
            text.extend(ticket.as_ref().map(|ticket| format!("\n\nticket for viewers:\n  edge watch {ticket}")));
            text.extend(relay_ticket.as_ref().map(|ticket| {
                format!("\n\nticket for relays (cannot open the stream); viewers use it with --via:\n  edge relay {ticket}\n")
            }));
            text
        }
        Event::Connected { parent, depth, why, .. } => {
            format!("follows {parent} ({why}), {depth} link(s) from the publisher")
        }
        Event::Accused { parent, misdeed } => format!("{parent} is avoided from now on: {misdeed}"),
        Event::Disconnected { reason } => format!("the parent is gone ({reason}); looking for it again"),
        Event::Child { key_id, present: true } => format!("{key_id} is fed from here"),
        Event::Child { key_id, present: false } => format!("{key_id} left"),
        Event::Epoch { epoch, members, added, removed, safety_code, .. } => {
            let mut text = format!("epoch {epoch}, {members} member(s)");
            text.extend((!added.is_empty()).then(|| format!(", came: {}", added.join(" "))));
            text.extend((!removed.is_empty()).then(|| format!(", left: {}", removed.join(" "))));
            text + &format!("\n  safety code {safety_code}")
        }
        Event::Admitted { epoch, .. } => format!("admitted in epoch {epoch}"),
        Event::Evicted { epoch } => format!("removed by the publisher; epoch {epoch} was the last"),
        Event::FirstFrame { since_admitted_ms, .. } => {
            format!("first picture {since_admitted_ms:.0} ms after admission")
        }
        Event::Stats(counters) if stats == ShowStats::Each => counters_line(counters)?,
        Event::Stats(_) => return None,
        Event::Warning { message } => format!("warning: {message}"),
        Event::Done { reason } => format!("done: {reason}"),
        _ => return None,
    })
}

fn counters_line(stats: &Stats) -> Option<String> {
    Some(match stats {
        Stats::Publish(s) => format!(
            "frames {} · encode {:.1} ms · epoch {} · members {} · children {}",
            s.frames_published, s.encode_ms, s.epoch, s.members, s.children
        ),
        Stats::Relay(s) => format!(
            "chunks in {} out {} dropped {} · {:.1} MiB · children {}",
            s.chunks_received,
            s.chunks_forwarded,
            s.chunks_dropped,
            s.bytes_forwarded as f64 / 1_048_576.0,
            s.children
        ),
        Stats::Watch(s) => format!(
            "frames {} lost {} · layer S{}T{} · latency p50 {:.0} p95 {:.0} ms · epoch {}",
            s.frames_decoded,
            s.base_frames_lost,
            s.top_layer.0,
            s.top_layer.1,
            s.latency_ms.p50,
            s.latency_ms.p95,
            s.epoch
        ),
        Stats::Outsider(s) => format!("chunks offered {} opened {}", s.chunks_offered, s.chunks_opened),
        _ => return None,
    })
}
