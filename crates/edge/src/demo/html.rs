//! The report as one page that needs nothing else.

use std::fmt::Write;

use super::measure::{Report, read_trace};
use super::play::Outcome;

const WIDTH: f64 = 720.0;
const HEIGHT: f64 = 220.0;
const MARGIN: f64 = 40.0;
const COLOURS: [&str; 8] = ["#3b82f6", "#10b981", "#f59e0b", "#ef4444", "#8b5cf6", "#14b8a6", "#ec4899", "#84cc16"];

const STYLE: &str = "
:root{color-scheme:light dark;--ink:#1f2933;--soft:#66737f;--paper:#fff;--line:#d8dee4;--ok:#0f8a5f;--bad:#c62828}
@media(prefers-color-scheme:dark){:root{--ink:#e6ebf0;--soft:#93a1ae;--paper:#14191f;--line:#2c3640;--ok:#3ecf8e;--bad:#ff6b6b}}
body{font:15px/1.5 system-ui,sans-serif;color:var(--ink);background:var(--paper);max-width:860px;margin:2rem auto;padding:0 1rem}
h1{font-size:1.5rem}h2{font-size:1.1rem;margin-top:2.2rem}table{border-collapse:collapse;width:100%}
td,th{padding:.3rem .6rem;border-bottom:1px solid var(--line);text-align:right}td:first-child,th:first-child{text-align:left}
.ok{color:var(--ok)}.bad{color:var(--bad)}.soft{color:var(--soft)}svg{max-width:100%;height:auto}svg text{fill:var(--soft);font-size:11px}
.code{font:600 1.3rem/1.6 ui-monospace,monospace;letter-spacing:.05em}figure{display:inline-block;margin:.4rem;vertical-align:top}
figure img{width:250px;border:1px solid var(--line);border-radius:4px}figcaption{color:var(--soft)}
";

/// The whole page.
pub(crate) fn page(report: &Report, outcome: &Outcome) -> String {
    let verdict = if report.verdict.holds() { ("ok", "Everything held") } else { ("bad", "Something did not hold") };
    let parts = [
        format!("<h1>CIRIS Edge demo: <span class=\"{}\">{}</span></h1>", verdict.0, verdict.1),
        format!(
            "<p class=soft>{} frames published in {} s over {} epochs; {} viewers, {} relays in two tiers, one outsider.</p>",
            report.frames_published,
            report.seconds,
            report.epochs,
            report.viewers.len(),
            report.relays.len()
        ),
        format!("<p>Safety code that every member reads: <span class=code>{}</span></p>", escape(&report.safety_code)),
        checks(report),
        format!("<h2>The tree</h2>{}", tree(report)),
        format!("<h2>Latency, capture to decoded</h2>{}", latency(report, outcome)),
        format!("<h2>Layers received</h2>{}", layers(report)),
        format!("<h2>Viewers</h2>{}", viewers(report)),
        format!("<h2>Changes of the group</h2>{}", epochs(report)),
        format!("<h2>Last decoded pictures</h2>{}", pictures(report)),
    ];
    format!(
        "<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport content=\"width=device-width\"><title>CIRIS Edge \
         demo</title><style>{STYLE}</style><body>{}</body></html>\n",
        parts.concat()
    )
}

fn checks(report: &Report) -> String {
    let rows = report.checks.iter().fold(String::new(), |rows, check| {
        let (class, mark) = if check.holds { ("ok", "✓") } else { ("bad", "✗") };
        rows + &format!("<tr><td class={class}>{mark} {}</td><td>{}</td></tr>", check.name, escape(&check.detail))
    });
    format!("<h2>Checks</h2><table>{rows}</table>")
}

fn viewers(report: &Report) -> String {
    let head = "<tr><th>viewer<th>decoded<th>lost<th>first ms<th>p50 ms<th>p95 ms<th>p99 ms<th>cpu s</tr>";
    let rows = report.viewers.iter().fold(String::new(), |rows, viewer| {
        let (s, l) = (&viewer.stats, &viewer.stats.latency_ms);
        rows + &format!(
            "<tr><td>{}<td>{}<td>{}<td>{:.0}<td>{:.1}<td>{:.1}<td>{:.1}<td>{:.2}</tr>",
            viewer.name, s.frames_decoded, s.base_frames_lost, viewer.first_frame_ms, l.p50, l.p95, l.p99, s.cpu_s
        )
    });
    let relays = report.relays.iter().fold(String::new(), |rows, relay| {
        let (s, sent) = (&relay.stats, relay.stats.bytes_forwarded as f64 / 1_048_576.0);
        rows + &format!(
            "<tr><td>{}<td>{}<td>{}<td>{sent:.1}<td>{:.2}</tr>",
            relay.name, relay.tier, s.chunks_forwarded, s.cpu_s
        )
    });
    format!(
        "<table>{head}{rows}</table><h2>Relays</h2><table><tr><th>relay<th>tier<th>chunks out<th>MiB<th>cpu \
         s</tr>{relays}</table>"
    )
}

fn epochs(report: &Report) -> String {
    let rows = report.epoch_log.iter().fold(String::new(), |rows, change| {
        let came: Vec<String> = change.added.iter().map(|name| format!("+{name}")).collect();
        let left: Vec<String> = change.removed.iter().map(|name| format!("−{name}")).collect();
        let what = [came, left].concat().join(" ");
        let what = if what.is_empty() { "keys refreshed".to_owned() } else { what };
        rows + &format!(
            "<tr><td>{}<td>{:.1}<td>{}<td>{}<td>{}</tr>",
            change.epoch,
            change.at_s,
            change.members,
            change.commit_bytes,
            escape(&what)
        )
    });
    format!("<table><tr><th>epoch<th>at s<th>members<th>commit bytes<th>what</tr>{rows}</table>")
}

fn pictures(report: &Report) -> String {
    report.viewers.iter().fold(String::new(), |out, viewer| {
        let name = &viewer.name;
        out + &format!("<figure><img src=\"{name}.png\" alt=\"{name}\"><figcaption>{name}</figcaption></figure>")
    })
}

/// Boxes by distance from the publisher, lines to each parent.
fn tree(report: &Report) -> String {
    let mut rows: Vec<Vec<(&str, &str)>> = vec![vec![("publisher", "")], Vec::new(), Vec::new(), Vec::new()];
    for relay in &report.relays {
        rows[usize::from(relay.tier.min(2))].push((&relay.name, &relay.parent));
    }
    for viewer in &report.viewers {
        rows[3].push((&viewer.name, &viewer.parent));
    }
    let place = |row: usize, at: usize| {
        let step = WIDTH / rows[row].len().max(1) as f64;
        (step * (at as f64 + 0.5), 30.0 + 60.0 * row as f64)
    };
    let find = |name: &str| {
        rows.iter()
            .enumerate()
            .find_map(|(row, boxes)| boxes.iter().position(|(other, _)| *other == name).map(|at| place(row, at)))
    };
    let (mut lines, mut boxes) = (String::new(), String::new());
    for (row, names) in rows.iter().enumerate() {
        for (at, (name, parent)) in names.iter().enumerate() {
            let (x, y) = place(row, at);
            if let Some((px, py)) = find(parent) {
                let (from, to) = (py + 12.0, y - 12.0);
                lines += &format!("<path d=\"M{px} {from}L{x} {to}\" stroke=\"var(--line)\" fill=none />");
            }
            let colour = COLOURS[row % COLOURS.len()];
            boxes += &format!(
                "<circle cx={x} cy={y} r=6 fill=\"{colour}\"/><text x={x} y={} text-anchor=middle>{name}</text>",
                y + 20.0
            );
        }
    }
    format!("<svg viewBox=\"0 0 {WIDTH} 250\" width={WIDTH}>{lines}{boxes}</svg>")
}

/// Latency of each picture over time, a line a viewer.
fn latency(report: &Report, outcome: &Outcome) -> String {
    let traces: Vec<(&str, Vec<(u64, f64, f64)>)> =
        report.viewers.iter().map(|viewer| (viewer.name.as_str(), read_trace(outcome, &viewer.name))).collect();
    let times = || traces.iter().flat_map(|(_, trace)| trace.iter());
    let start = times().map(|(_, captured, _)| *captured).fold(f64::INFINITY, f64::min);
    let span = times().map(|(_, captured, _)| captured - start).fold(1.0, f64::max);
    let top = times().map(|(_, captured, decoded)| (decoded - captured) / 1000.0).fold(10.0, f64::max);
    let mut out = axes(&format!("{top:.0} ms"), &format!("{:.0} s", span / 1e6));
    for (at, (name, trace)) in traces.iter().enumerate() {
        let colour = COLOURS[at % COLOURS.len()];
        let points = trace.iter().fold(String::new(), |mut points, (_, captured, decoded)| {
            let x = MARGIN + (captured - start) / span * (WIDTH - 2.0 * MARGIN);
            let y = HEIGHT - MARGIN - (decoded - captured) / 1000.0 / top * (HEIGHT - 2.0 * MARGIN);
            // Writing to a string cannot fail.
            let _ = write!(points, "{x:.1},{y:.1} ");
            points
        });
        let label = 14.0 + 90.0 * at as f64;
        let _ = write!(
            out,
            "<polyline points=\"{points}\" fill=none stroke=\"{colour}\" stroke-width=1 opacity=.8 /><text x={label} y=12 \
             style=\"fill:{colour}\">{name}</text>"
        );
    }
    format!("<svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" width={WIDTH}>{out}</svg>")
}

/// Layer frames by spatial layer, stacked, a bar a viewer.
fn layers(report: &Report) -> String {
    let most = report.viewers.iter().map(|viewer| viewer.stats.layers_received.iter().sum::<u64>()).max().unwrap_or(1);
    let step = (WIDTH - 2.0 * MARGIN) / report.viewers.len().max(1) as f64;
    let mut out = axes(&most.to_string(), "");
    for (at, viewer) in report.viewers.iter().enumerate() {
        let (x, mut y) = (MARGIN + step * (at as f64 + 0.2), HEIGHT - MARGIN);
        for (spatial, count) in viewer.stats.layers_received.iter().enumerate() {
            let height = *count as f64 / most.max(1) as f64 * (HEIGHT - 2.0 * MARGIN);
            y -= height;
            let (width, colour) = (step * 0.6, COLOURS[spatial % COLOURS.len()]);
            let _ = write!(
                out,
                "<rect x={x:.1} y={y:.1} width={width:.1} height={height:.1} fill=\"{colour}\"><title>S{spatial}: \
                 {count}</title></rect>"
            );
        }
        let _ = write!(out, "<text x={x:.1} y={}>{}</text>", HEIGHT - MARGIN + 16.0, viewer.name);
    }
    format!("<svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" width={WIDTH}>{out}</svg>")
}

fn axes(top: &str, right: &str) -> String {
    let (bottom, end) = (HEIGHT - MARGIN, WIDTH - MARGIN);
    format!(
        "<path d=\"M{MARGIN} {MARGIN}V{bottom}H{end}\" stroke=\"var(--line)\" fill=none /><text x=2 y={}>{top}</text><text \
         x={} y={}>{right}</text>",
        MARGIN + 4.0,
        end - 10.0,
        bottom + 14.0
    )
}

/// Names come from peers.
fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
