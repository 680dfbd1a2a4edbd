//! The tree of the demo as a picture.

use super::cast::Part;
use super::play::Played;
use super::plot::{WIDTH, escape, svg};

const ROW: f64 = 44.0;
const BOX: (f64, f64) = (150.0, 32.0);
const COLUMNS: usize = 4;

/// Boxes in columns from the publisher to the viewers, with a line from each to its parent.
pub(super) fn render(played: &[Played]) -> String {
    let places = places(played);
    let height = places.iter().map(|place| place.1).fold(0.0, f64::max) + ROW;
    let edges: String = played.iter().zip(&places).map(|(one, place)| edge(one, *place, &places)).collect();
    let boxes: String = played.iter().zip(&places).map(|(one, place)| node(one, *place)).collect();
    svg(height, "the tree of the demo", &(edges + &boxes))
}

/// Upper left corners: a column is as high as the fullest, and spreads its boxes over it.
fn places(played: &[Played]) -> Vec<(f64, f64)> {
    let mut counts = [0usize; COLUMNS];
    played.iter().for_each(|one| counts[column(one.actor.part)] += 1);
    let most = counts.iter().copied().max().unwrap_or(1).max(1) as f64;
    let mut next = [0usize; COLUMNS];
    let place = |one: &Played| {
        let column = column(one.actor.part);
        let row = next[column] as f64 + 0.5;
        next[column] += 1;
        let x = (WIDTH - BOX.0) * column as f64 / (COLUMNS - 1) as f64;
        (x, ROW * most * row / counts[column] as f64 - BOX.1 / 2.0)
    };
    played.iter().map(place).collect()
}

fn column(part: Part) -> usize {
    match part {
        Part::Publisher => 0,
        Part::Relay(1) | Part::Direct => 1,
        Part::Relay(_) => 2,
        Part::Present | Part::Removed | Part::Late | Part::Outsider => 3,
    }
}

fn edge(one: &Played, (x, y): (f64, f64), places: &[(f64, f64)]) -> String {
    let Some((from_x, from_y)) = one.actor.parent.and_then(|at| places.get(at)) else { return String::new() };
    let (from_x, from_y, y) = (from_x + BOX.0, from_y + BOX.1 / 2.0, y + BOX.1 / 2.0);
    let middle = (from_x + x) / 2.0;
    let class = one.actor.part.word();
    format!(
        "<path class=\"edge {class}\" d=\"M{from_x:.1} {from_y:.1} C{middle:.1} {from_y:.1} {middle:.1} {y:.1} {x:.1} {y:.1}\"/>"
    )
}

fn node(one: &Played, (x, y): (f64, f64)) -> String {
    let (width, height) = BOX;
    let class = one.actor.part.word();
    format!(
        "<rect class=\"node {class}\" x=\"{x:.1}\" y=\"{y:.1}\" width=\"{width}\" height=\"{height}\" rx=\"6\"/>\
         <text x=\"{:.1}\" y=\"{:.1}\">{}</text><text class=\"small\" x=\"{:.1}\" y=\"{:.1}\">{}</text>",
        x + 8.0,
        y + 13.0,
        escape(&one.actor.name),
        x + 8.0,
        y + 26.0,
        escape(&caption(one))
    )
}

fn caption(one: &Played) -> String {
    let record = &one.record;
    match (&record.publish, &record.relay, &record.watch, &record.outsider) {
        (Some(s), ..) => format!("{} pictures", s.frames_published),
        (_, Some(s), ..) => format!("{} chunks, no key", s.chunks_forwarded),
        (_, _, Some(s), _) => format!("{} pictures, p95 {:.0} ms", s.frames_decoded, s.latency_ms.p95),
        (_, _, _, Some(s)) => format!("opened {} of {}", s.chunks_opened, s.chunks_offered),
        _ => String::new(),
    }
}
