//! Reports as one SVG file: lines over an axis, and the tree on its map. The file carries its own style.

use std::fmt::Write;

/// Width of a drawing.
const WIDTH: f64 = 760.0;
/// Height of one chart, title and axis included.
const HEIGHT: f64 = 300.0;
const LEFT: f64 = 60.0;
const RIGHT: f64 = 16.0;
const TOP: f64 = 56.0;
const BOTTOM: f64 = 44.0;
/// Height of the head with the report's name.
const HEAD: f64 = 44.0;
/// Side of the square a map is drawn in.
const MAP: f64 = 560.0;
/// Most points of one line; more would not be seen.
const POINTS_MAX: usize = 800;
/// Colours of lines, in their order; each is legible on white and black.
const COLOURS: [&str; 6] = ["#0b72b9", "#d1495b", "#2e933c", "#b8860b", "#7b4fa3", "#5f6b6d"];

const STYLE: &str = "text{font:12px system-ui,sans-serif;fill:#222}.title{font-size:14px;font-weight:600}\
.head{font-size:16px;font-weight:600}.end{text-anchor:end}.mid{text-anchor:middle}.grid{stroke:#ddd}.axis{stroke:#888}\
.mark{stroke:#999;stroke-dasharray:3 3}polyline{fill:none;stroke-width:1.6}.edge{stroke:#0b72b9;stroke-opacity:.35}\
.relay{fill:#0b72b9}.leaf{fill:#8fb8d8}.root{fill:#d1495b}.away{fill:#bbb}\
@media(prefers-color-scheme:dark){svg{background:#161616}text{fill:#ddd}.grid{stroke:#333}}";

/// One drawing.
#[derive(Debug, Clone)]
pub enum Chart {
    /// Lines over a common axis.
    Lines(Lines),
    /// Peers where they are, and who feeds whom.
    Map(Map),
}

/// Lines over a common axis.
#[derive(Debug, Clone)]
pub struct Lines {
    /// What is shown.
    pub title: String,
    /// What the horizontal axis counts.
    pub x_label: &'static str,
    /// What the vertical axis counts.
    pub y_label: &'static str,
    /// The lines, each with rising x.
    pub series: Vec<(String, Vec<(f64, f64)>)>,
    /// Labelled moments on the horizontal axis.
    pub marks: Vec<(f64, String)>,
}

/// Peers where they are.
#[derive(Debug, Clone)]
pub struct Map {
    /// What is shown.
    pub title: String,
    /// Place of each peer and what it is.
    pub peers: Vec<(f64, f64, Kind)>,
    /// Who feeds whom, as indices into `peers`.
    pub edges: Vec<(usize, usize)>,
}

/// What a peer on a map is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The publisher.
    Root,
    /// Feeds others.
    Relay,
    /// Feeds nobody.
    Leaf,
    /// Gone.
    Away,
}

/// All charts below each other.
pub fn svg(heading: &str, charts: &[Chart]) -> String {
    let mut body = format!("<text class=\"head\" x=\"{LEFT}\" y=\"28\">{}</text>", escape(heading));
    let mut top = HEAD;
    for chart in charts {
        let (drawn, height) = match chart {
            Chart::Lines(lines) => (lines.draw(), HEIGHT),
            Chart::Map(map) => (map.draw(), TOP + MAP + RIGHT),
        };
        // Writing to a string cannot fail.
        let _ = write!(body, "<g transform=\"translate(0 {top})\">{drawn}</g>");
        top += height;
    }
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {top}\" width=\"{WIDTH}\" height=\"{top}\" \
         role=\"img\" aria-label=\"{}\"><style>{STYLE}</style>{body}</svg>\n",
        escape(heading)
    )
}

impl Lines {
    fn draw(&self) -> String {
        let scale = Scale::of(self.series.iter().flat_map(|(_, points)| points.iter().copied()));
        let lines: String = self.series.iter().enumerate().map(|(at, (_, line))| polyline(&scale, line, at)).collect();
        title(&self.title) + &self.axes(&scale) + &self.marks(&scale) + &lines + &self.legend()
    }

    fn axes(&self, scale: &Scale) -> String {
        let (right, bottom) = (WIDTH - RIGHT, HEIGHT - BOTTOM);
        let mut out = String::new();
        for value in ticks(0.0, scale.y_max) {
            let y = scale.y(value);
            let _ = write!(
                out,
                "<line class=\"grid\" x1=\"{LEFT}\" x2=\"{right}\" y1=\"{y:.1}\" y2=\"{y:.1}\"/>\
                 <text class=\"end\" x=\"{}\" y=\"{:.1}\">{value}</text>",
                LEFT - 6.0,
                y + 4.0
            );
        }
        for value in ticks(scale.x_min, scale.x_max) {
            let _ =
                write!(out, "<text class=\"mid\" x=\"{:.1}\" y=\"{}\">{value}</text>", scale.x(value), bottom + 16.0);
        }
        let _ = write!(
            out,
            "<line class=\"axis\" x1=\"{LEFT}\" x2=\"{right}\" y1=\"{bottom}\" y2=\"{bottom}\"/>\
             <text class=\"end\" x=\"{right}\" y=\"{}\">{}</text><text x=\"6\" y=\"{}\">{}</text>",
            bottom + 34.0,
            escape(self.x_label),
            TOP - 10.0,
            escape(self.y_label)
        );
        out
    }

    fn marks(&self, scale: &Scale) -> String {
        let seen = self.marks.iter().filter(|(x, _)| (scale.x_min..=scale.x_max).contains(x));
        seen.map(|(x, label)| {
            let x = scale.x(*x);
            format!(
                "<line class=\"mark\" x1=\"{x:.1}\" x2=\"{x:.1}\" y1=\"{TOP}\" y2=\"{}\"/>\
                 <text x=\"{:.1}\" y=\"{}\">{}</text>",
                HEIGHT - BOTTOM,
                x + 4.0,
                TOP + 12.0,
                escape(label)
            )
        })
        .collect()
    }

    fn legend(&self) -> String {
        let names = self.series.iter().enumerate();
        names
            .map(|(at, (name, _))| {
                let x = LEFT + 130.0 + 150.0 * at as f64;
                format!(
                    "<rect x=\"{x}\" y=\"{}\" width=\"12\" height=\"4\" fill=\"{}\"/><text x=\"{}\" y=\"{}\">{}</text>",
                    TOP - 16.0,
                    colour(at),
                    x + 18.0,
                    TOP - 10.0,
                    escape(name)
                )
            })
            .collect()
    }
}

impl Map {
    fn draw(&self) -> String {
        let scale = MapScale::of(&self.peers);
        let place = |at: usize| self.peers.get(at).map(|(x, y, _)| scale.at(*x, *y));
        let mut out = title(&self.title);
        for (from, to) in &self.edges {
            if let (Some((x1, y1)), Some((x2, y2))) = (place(*from), place(*to)) {
                let _ =
                    write!(out, "<line class=\"edge\" x1=\"{x1:.1}\" y1=\"{y1:.1}\" x2=\"{x2:.1}\" y2=\"{y2:.1}\"/>");
            }
        }
        for (x, y, kind) in &self.peers {
            let (x, y) = scale.at(*x, *y);
            let (class, radius) = match kind {
                Kind::Root => ("root", 7.0),
                Kind::Relay => ("relay", 4.0),
                Kind::Leaf => ("leaf", 3.0),
                Kind::Away => ("away", 2.0),
            };
            let _ = write!(out, "<circle class=\"{class}\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"{radius}\"/>");
        }
        out
    }
}

struct MapScale {
    left: f64,
    low: f64,
    side: f64,
}

impl MapScale {
    fn of(peers: &[(f64, f64, Kind)]) -> Self {
        let (left, right) = span(peers.iter().map(|peer| peer.0));
        let (low, high) = span(peers.iter().map(|peer| peer.1));
        Self { left, low, side: (right - left).max(high - low).max(1.0) }
    }

    fn at(&self, x: f64, y: f64) -> (f64, f64) {
        let scale = (MAP - 20.0) / self.side;
        (LEFT + 10.0 + (x - self.left) * scale, TOP + 10.0 + (y - self.low) * scale)
    }
}

struct Scale {
    x_min: f64,
    x_max: f64,
    y_max: f64,
}

impl Scale {
    fn of(points: impl Iterator<Item = (f64, f64)>) -> Self {
        let points: Vec<_> = points.collect();
        let (x_min, x_max) = span(points.iter().map(|point| point.0));
        let top = points.iter().map(|point| point.1).fold(0.0, f64::max);
        let x_max = if x_max > x_min { x_max } else { x_min + 1.0 };
        Self { x_min, x_max, y_max: if top > 0.0 { top * 1.05 } else { 1.0 } }
    }

    fn x(&self, value: f64) -> f64 {
        LEFT + (value - self.x_min) / (self.x_max - self.x_min) * (WIDTH - LEFT - RIGHT)
    }

    fn y(&self, value: f64) -> f64 {
        HEIGHT - BOTTOM - value / self.y_max * (HEIGHT - BOTTOM - TOP)
    }
}

fn polyline(scale: &Scale, line: &[(f64, f64)], at: usize) -> String {
    let step = line.len().div_ceil(POINTS_MAX).max(1);
    let points: Vec<String> = line
        .chunks(step)
        // The worst of the points that share a place, so that no peak is hidden.
        .filter_map(|chunk| chunk.iter().copied().max_by(|a, b| a.1.total_cmp(&b.1)))
        .map(|(x, y)| format!("{:.1},{:.1}", scale.x(x), scale.y(y)))
        .collect();
    format!("<polyline stroke=\"{}\" points=\"{}\"/>", colour(at), points.join(" "))
}

fn title(text: &str) -> String {
    format!("<text class=\"title\" x=\"{LEFT}\" y=\"20\">{}</text>", escape(text))
}

fn colour(at: usize) -> &'static str {
    COLOURS.get(at % COLOURS.len()).copied().unwrap_or("#0b72b9")
}

/// Smallest and largest; 0 and 1 for nothing.
fn span(values: impl Iterator<Item = f64>) -> (f64, f64) {
    let (low, high) = values.fold((f64::MAX, f64::MIN), |(low, high), value| (low.min(value), high.max(value)));
    if low <= high { (low, high) } else { (0.0, 1.0) }
}

/// Round numbers between `from` and `to`, at most about six.
fn ticks(from: f64, to: f64) -> impl Iterator<Item = f64> {
    let rough = ((to - from) / 5.0).max(f64::MIN_POSITIVE);
    let power = 10f64.powf(rough.log10().floor());
    let step = [1.0, 2.0, 5.0, 10.0].map(|factor| factor * power).into_iter().find(|step| *step >= rough);
    let step = step.unwrap_or(rough);
    let first = (from / step).ceil();
    // Rounded to the step, so that no digits of the floating point show.
    (0..12u8)
        .map(move |n| ((first + f64::from(n)) * step * 1000.0).round() / 1000.0)
        .take_while(move |tick| *tick <= to)
}

/// Text that is safe inside SVG.
fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn drawings_are_whole_and_safe_even_when_empty() {
        let lines = Lines {
            title: "<a>".into(),
            x_label: "s",
            y_label: "ms",
            series: vec![("one".into(), vec![])],
            marks: vec![(0.5, "kill".into())],
        };
        let map = Map { title: "tree".into(), peers: vec![(1.0, 1.0, Kind::Root)], edges: vec![(0, 9)] };
        let drawn = svg("steady", &[Chart::Lines(lines), Chart::Map(map)]);
        assert!(drawn.starts_with("<svg") && drawn.ends_with("</svg>\n"));
        assert!(drawn.contains("&lt;a&gt;") && drawn.contains("kill") && !drawn.contains("NaN"));
    }
}
