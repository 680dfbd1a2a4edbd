//! The report as one page that needs nothing else.

use data_encoding::BASE64;

use super::play::{Performance, Played};
use super::plot::{self, Mark, Series, Strip, escape};
use super::report::{Report, begun_us};
use super::tree;

const STYLE: &str = include_str!("page.css");

/// The whole page.
pub(super) fn render(report: &Report, performance: &Performance) -> String {
    let played = &performance.played;
    let marks = marks(report, played);
    let sections = [
        section("Checks", &checks(report)),
        section("Tree", &tree::render(played)),
        section("Latency, capture to decoded", &latency_over_time(played, &marks)),
        section("Latency, share of pictures", &latency_shares(played)),
        section("Spatial layer of each picture", &layers(played, &marks)),
        section("Changes of the group", &epochs(report, played)),
        section("Viewers", &viewers(report)),
        section("Relays", &relays(report)),
        section("Last picture of each viewer", &pictures(played)),
    ];
    format!(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width,initial-scale=1\"><title>edge demo: {verdict}</title>\
         <style>{STYLE}</style></head><body>{head}{}</body></html>\n",
        sections.concat(),
        verdict = report.verdict,
        head = head(report)
    )
}

fn head(report: &Report) -> String {
    format!(
        "<h1>edge demo <span class=\"verdict {verdict}\">{verdict}</span></h1>\
         <p class=\"soft\">{} · {} s · {} pictures published in {} processes · safety code <code>{}</code></p>",
        escape(&report.source),
        report.seconds,
        report.frames_published,
        report.processes.len(),
        escape(&report.safety_code.code),
        verdict = report.verdict
    )
}

fn section(title: &str, body: &str) -> String {
    format!("<section><h2>{title}</h2>{body}</section>")
}

fn table(head: &[&str], rows: impl Iterator<Item = Vec<String>>) -> String {
    let head: String = head.iter().map(|cell| format!("<th>{cell}</th>")).collect();
    let row = |cells: Vec<String>| -> String {
        let cells: String = cells.iter().map(|cell| format!("<td>{cell}</td>")).collect();
        format!("<tr>{cells}</tr>")
    };
    format!("<div class=\"scroll\"><table><tr>{head}</tr>{}</table></div>", rows.map(row).collect::<String>())
}

fn checks(report: &Report) -> String {
    let rows = report.checks.iter().map(|check| {
        let word = if check.passed { "pass" } else { "fail" };
        let result = format!("<b class=\"{word}\">{word}</b>");
        vec![result, escape(check.name), escape(&check.measured), escape(&check.wanted)]
    });
    table(&["", "check", "measured", "wanted"], rows)
}

/// Seconds since the first captured picture.
fn seconds(at_us: u64, begun_us: u64) -> f64 {
    (at_us as f64 - begun_us as f64) / 1_000_000.0
}

fn marks(report: &Report, played: &[Played]) -> Vec<Mark> {
    let begun = begun_us(played);
    let mark = |change: &super::report::EpochChange| Mark {
        x: seconds(change.at_unix_us, begun),
        label: format!("epoch {}", change.epoch),
    };
    report.epoch_changes.iter().map(mark).collect()
}

fn watching(played: &[Played]) -> impl Iterator<Item = &Played> {
    played.iter().filter(|one| !one.trace.is_empty())
}

fn latency_over_time(played: &[Played], marks: &[Mark]) -> String {
    let begun = begun_us(played);
    let series: Vec<Series> = watching(played)
        .map(|one| Series {
            name: one.actor.name.clone(),
            points: one.trace.iter().map(|shown| (seconds(shown.captured_us, begun), shown.latency_ms())).collect(),
        })
        .collect();
    plot::lines("seconds", "ms", &series, marks)
}

fn latency_shares(played: &[Played]) -> String {
    let series: Vec<Series> = watching(played)
        .map(|one| {
            let mut sorted: Vec<f64> = one.trace.iter().map(super::trace::Shown::latency_ms).collect();
            sorted.sort_by(f64::total_cmp);
            let share = |at: usize| 100.0 * (at + 1) as f64 / sorted.len() as f64;
            let points = sorted.iter().enumerate().map(|(at, ms)| (*ms, share(at))).collect();
            Series { name: one.actor.name.clone(), points }
        })
        .collect();
    plot::lines("ms", "% of pictures", &series, &[])
}

fn layers(played: &[Played], marks: &[Mark]) -> String {
    let begun = begun_us(played);
    let rows: Vec<Strip> = watching(played)
        .map(|one| {
            // Neighbours of one level are one span.
            let mut spans: Vec<(f64, f64, u8)> = Vec::new();
            for shown in &one.trace {
                let at = seconds(shown.captured_us, begun);
                match spans.last_mut() {
                    Some((_, to, level)) if *level == shown.spatial => *to = at,
                    Some((_, to, _)) => {
                        *to = at;
                        spans.push((at, at, shown.spatial));
                    }
                    None => spans.push((at, at, shown.spatial)),
                }
            }
            Strip { name: one.actor.name.clone(), spans }
        })
        .collect();
    plot::strips("seconds", &rows, marks)
}

fn epochs(report: &Report, played: &[Played]) -> String {
    let begun = begun_us(played);
    let rows = report.epoch_changes.iter().map(|change| {
        vec![
            change.epoch.to_string(),
            format!("{:.1} s", seconds(change.at_unix_us, begun)),
            change.members.to_string(),
            escape(&change.added.join(", ")),
            escape(&change.removed.join(", ")),
            change.commit_bytes.to_string(),
        ]
    });
    table(&["epoch", "time", "members", "came", "left", "bytes of the commit"], rows)
}

fn viewers(report: &Report) -> String {
    let rows = report.viewers.iter().map(|viewer| {
        vec![
            escape(&viewer.name),
            escape(&viewer.parent),
            viewer.frames_decoded.to_string(),
            viewer.base_frames_lost.to_string(),
            viewer.first_frame_ms.map_or("–".into(), |ms| format!("{ms:.0} ms")),
            format!("{:.0} / {:.0} / {:.0} ms", viewer.latency_ms.p50, viewer.latency_ms.p95, viewer.latency_ms.p99),
            viewer.layers_received.iter().map(ToString::to_string).collect::<Vec<_>>().join(" / "),
            format!("{:.1} ms", viewer.decode_ms),
            format!("{:.1} s", viewer.cpu_s),
        ]
    });
    let head =
        ["viewer", "parent", "pictures", "lost", "first", "p50 / p95 / p99", "layers S0 / S1 / S2", "decode", "cpu"];
    let added = &report.added_latency_ms;
    let note = format!(
        "<p class=\"soft\">Two relay tiers add {:.1} / {:.1} / {:.1} ms (p50 / p95 / p99) over {} pairs of the same picture.</p>",
        added.p50, added.p95, added.p99, added.pairs
    );
    table(&head, rows) + &note
}

fn relays(report: &Report) -> String {
    let rows = report.relays.iter().map(|relay| {
        vec![
            escape(&relay.name),
            relay.tier.to_string(),
            relay.chunks_received.to_string(),
            relay.chunks_forwarded.to_string(),
            relay.chunks_dropped.to_string(),
            format!("{:.1} MiB", relay.bytes_forwarded as f64 / 1_048_576.0),
            format!("{:.2} s", relay.cpu_s),
            format!("{:.0} MiB", relay.rss_kib as f64 / 1024.0),
            if relay.opened_inner { "yes" } else { "no" }.to_owned(),
        ]
    });
    table(&["relay", "tier", "chunks in", "out", "dropped", "sent", "cpu", "memory", "held a key"], rows)
}

fn pictures(played: &[Played]) -> String {
    let figures: String = played
        .iter()
        .filter_map(|one| Some((one, one.picture.as_ref()?)))
        .map(|(one, png)| {
            let name = escape(&one.actor.name);
            let last = one.trace.last().map(|shown| format!(", picture {}", shown.frame)).unwrap_or_default();
            let data = BASE64.encode(png);
            format!(
                "<figure><img alt=\"last picture of {name}\" src=\"data:image/png;base64,{data}\">\
                 <figcaption>{name}{last}</figcaption></figure>"
            )
        })
        .collect();
    format!("<div class=\"pictures\">{figures}</div>")
}
