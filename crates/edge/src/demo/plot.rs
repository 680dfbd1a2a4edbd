//! Plots as inline SVG. Colours are classes, so that one style sheet serves light and dark.

/// Width of every plot in its own units.
pub(super) const WIDTH: f64 = 760.0;
const HEIGHT: f64 = 240.0;
const LEFT: f64 = 52.0;
const RIGHT: f64 = 12.0;
const TOP: f64 = 24.0;
/// Base line of what is written above a plot.
const ABOVE: f64 = 12.0;
const BOTTOM: f64 = 36.0;
const ROW: f64 = 22.0;
/// Most points of one line; more would not be seen.
const MAX_POINTS: usize = 800;
/// Distinct line colours.
const COLOURS: usize = 8;

/// One named line.
pub(super) struct Series {
    /// Name in the legend.
    pub(super) name: String,
    /// Points with rising x.
    pub(super) points: Vec<(f64, f64)>,
}

/// A vertical mark with a label.
pub(super) struct Mark {
    /// Where.
    pub(super) x: f64,
    /// What happened.
    pub(super) label: String,
}

/// One row of a strip plot: spans of a level from one x to another.
pub(super) struct Strip {
    /// Name of the row.
    pub(super) name: String,
    /// (from, to, level).
    pub(super) spans: Vec<(f64, f64, u8)>,
}

/// Lines over a common axis.
pub(super) fn lines(x_label: &str, y_label: &str, series: &[Series], marks: &[Mark]) -> String {
    let points = || series.iter().flat_map(|series| &series.points);
    let scale = Scale::new(points().map(|point| point.0), points().map(|point| point.1));
    let drawn: String = series.iter().enumerate().map(|(at, series)| line(&scale, series, at)).collect();
    let body = axes(&scale, x_label, y_label) + &scale.marks(marks, HEIGHT - BOTTOM) + &drawn;
    svg(HEIGHT, y_label, &body) + &legend(series.iter().map(|series| series.name.as_str()))
}

/// Rows of coloured spans.
pub(super) fn strips(x_label: &str, rows: &[Strip], marks: &[Mark]) -> String {
    let ends = rows.iter().flat_map(|row| &row.spans).flat_map(|span| [span.0, span.1]);
    let scale = Scale::new(ends, std::iter::once(1.0));
    let bottom = TOP + ROW * rows.len() as f64;
    let drawn: String = rows.iter().enumerate().map(|(at, row)| strip(&scale, row, TOP + ROW * at as f64)).collect();
    let body = drawn + &scale.marks(marks, bottom) + &x_axis(&scale, bottom, x_label);
    let legend: String = (0..3u8).map(|level| format!("<span class=\"l{level}\">S{level}</span>")).collect();
    svg(bottom + BOTTOM, x_label, &body) + &format!("<p class=\"legend\">{legend}</p>")
}

/// Text that is safe inside HTML and SVG.
pub(super) fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

/// Wraps `body` into a drawing of `height`.
pub(super) fn svg(height: f64, title: &str, body: &str) -> String {
    format!("<svg viewBox=\"0 0 {WIDTH} {height}\" role=\"img\" aria-label=\"{}\">{body}</svg>", escape(title))
}

struct Scale {
    x: (f64, f64),
    y: f64,
}

impl Scale {
    fn new(xs: impl Iterator<Item = f64>, ys: impl Iterator<Item = f64>) -> Self {
        let (low, high) = xs.fold((f64::MAX, f64::MIN), |(low, high), x| (low.min(x), high.max(x)));
        let x = if low < high { (low, high) } else { (0.0, 1.0) };
        let top = ys.fold(0.0, f64::max);
        Self { x, y: if top > 0.0 { top * 1.05 } else { 1.0 } }
    }

    fn x(&self, value: f64) -> f64 {
        LEFT + (value - self.x.0) / (self.x.1 - self.x.0) * (WIDTH - LEFT - RIGHT)
    }

    fn y(&self, value: f64) -> f64 {
        HEIGHT - BOTTOM - value / self.y * (HEIGHT - BOTTOM - TOP)
    }

    fn marks(&self, marks: &[Mark], bottom: f64) -> String {
        let seen = marks.iter().filter(|mark| (self.x.0..=self.x.1).contains(&mark.x));
        seen.map(|mark| {
            let (x, label) = (self.x(mark.x), escape(&mark.label));
            format!(
                "<g class=\"mark\"><title>{label}</title><line x1=\"{x:.1}\" x2=\"{x:.1}\" y1=\"{TOP}\" y2=\"{bottom}\"/>\
                 <text x=\"{:.1}\" y=\"{:.1}\">{label}</text></g>",
                x + 3.0,
                ABOVE
            )
        })
        .collect()
    }
}

fn line(scale: &Scale, series: &Series, at: usize) -> String {
    let step = series.points.len().div_ceil(MAX_POINTS).max(1);
    let points: Vec<String> = series
        .points
        .chunks(step)
        // The worst of the points that share a place, so that no peak is hidden.
        .filter_map(|chunk| chunk.iter().copied().max_by(|a, b| a.1.total_cmp(&b.1)))
        .map(|(x, y)| format!("{:.1},{:.1}", scale.x(x), scale.y(y)))
        .collect();
    format!("<polyline class=\"c{}\" points=\"{}\"/>", at % COLOURS, points.join(" "))
}

fn strip(scale: &Scale, row: &Strip, top: f64) -> String {
    let spans: String = row
        .spans
        .iter()
        .map(|(from, to, level)| {
            let (x, width) = (scale.x(*from), (scale.x(*to) - scale.x(*from)).max(0.5));
            let height = ROW - 6.0;
            format!("<rect class=\"l{level}\" x=\"{x:.1}\" y=\"{top}\" width=\"{width:.1}\" height=\"{height}\"/>")
        })
        .collect();
    format!("<text x=\"0\" y=\"{:.1}\">{}</text>{spans}", top + ROW / 2.0, escape(&row.name))
}

fn axes(scale: &Scale, x_label: &str, y_label: &str) -> String {
    let ticks: String = ticks(0.0, scale.y)
        .map(|value| {
            let y = scale.y(value);
            format!(
                "<line class=\"grid\" x1=\"{LEFT}\" x2=\"{}\" y1=\"{y:.1}\" y2=\"{y:.1}\"/>\
                 <text class=\"end\" x=\"{}\" y=\"{:.1}\">{value}</text>",
                WIDTH - RIGHT,
                LEFT - 6.0,
                y + 4.0
            )
        })
        .collect();
    let label = format!("<text x=\"0\" y=\"{ABOVE}\">{}</text>", escape(y_label));
    ticks + &label + &x_axis(scale, HEIGHT - BOTTOM, x_label)
}

fn x_axis(scale: &Scale, y: f64, label: &str) -> String {
    let ticks: String = ticks(scale.x.0, scale.x.1)
        .map(|value| format!("<text class=\"mid\" x=\"{:.1}\" y=\"{:.1}\">{value}</text>", scale.x(value), y + 15.0))
        .collect();
    let label = format!("<text class=\"end\" x=\"{}\" y=\"{:.1}\">{}</text>", WIDTH - RIGHT, y + 30.0, escape(label));
    format!("<line class=\"axis\" x1=\"{LEFT}\" x2=\"{}\" y1=\"{y}\" y2=\"{y}\"/>", WIDTH - RIGHT) + &ticks + &label
}

/// Round numbers between `from` and `to`, at most about six.
fn ticks(from: f64, to: f64) -> impl Iterator<Item = f64> {
    let rough = ((to - from) / 5.0).max(f64::MIN_POSITIVE);
    let power = 10f64.powf(rough.log10().floor());
    let step =
        [1.0, 2.0, 5.0, 10.0].map(|factor| factor * power).into_iter().find(|step| *step >= rough).unwrap_or(rough);
    let first = (from / step).ceil();
    // Rounded to the step, so that no digits of the floating point show.
    (0..12u8)
        .map(move |n| ((first + f64::from(n)) * step * 1000.0).round() / 1000.0)
        .take_while(move |tick| *tick <= to)
}

fn legend<'a>(names: impl Iterator<Item = &'a str>) -> String {
    let entries: String = names
        .enumerate()
        .map(|(at, name)| format!("<span class=\"c{}\">{}</span>", at % COLOURS, escape(name)))
        .collect();
    format!("<p class=\"legend\">{entries}</p>")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_round_and_within() {
        assert_eq!(ticks(0.0, 52.5).collect::<Vec<_>>(), [0.0, 20.0, 40.0]);
        assert_eq!(ticks(0.3, 1.0).collect::<Vec<_>>(), [0.4, 0.6, 0.8, 1.0]);
    }

    #[test]
    fn names_cannot_break_out_of_the_page() {
        let series = [Series { name: "<script>".into(), points: vec![(0.0, 1.0), (1.0, 2.0)] }];
        let drawn = lines("x", "y", &series, &[]);
        assert!(drawn.contains("&lt;script&gt;") && !drawn.contains("<script>"));
    }

    #[test]
    fn a_plot_without_points_is_still_a_plot() {
        let drawn = lines("s", "ms", &[], &[Mark { x: 0.5, label: "epoch 1".into() }]);
        assert!(drawn.starts_with("<svg") && !drawn.contains("NaN"));
    }
}
