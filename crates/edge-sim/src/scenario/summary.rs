//! What reports of all scenarios have in common.

use edge_alm::mesh::SwitchWhy;

use super::Stage;
use crate::measure::{IN_TIME_US, Shown, UPSET_US, percentile, shown};
use crate::plot::{Chart, Kind, Lines, Map};
use crate::space::{Index, Terms, best_tree};
use crate::world::{Upset, World};

const MS: f64 = 1_000.0;
/// What machines take one more peer on a way for, there and back.
const HOP_US: u64 = 2_000 * edge_alm::mesh::plan::HOP_MS as u64;

/// What every viewer could show, by index; the publisher's place is empty.
pub(super) fn shown_by_all(world: &World) -> Vec<Shown> {
    let sheets = world.source().sheets();
    let nothing = Shown::default;
    world.peers().map(|peer| world.seen(peer).map_or_else(nothing, |seen| shown(seen, sheets))).collect()
}

/// Figures about frames, network and crypto, and the bars that hold in every scenario.
pub(super) fn common(stage: &mut Stage<'_>, world: &World, all: &[Shown]) {
    let (traffic, totals, ledger) = (world.traffic(), world.totals(), world.ledger());
    let pictures: u64 = all.iter().map(|shown| shown.pictures).sum();
    let mut after: Vec<u64> = all.iter().flat_map(|shown| &shown.after_us).map(|after| u64::from(*after)).collect();
    let report = &mut stage.report;
    report.figure("pictures wanted", pictures as f64, "");
    report.figure("pictures lost", percent(all.iter().map(|shown| shown.lost).sum(), pictures), "%");
    let base: u64 = all.iter().map(|shown| shown.base).sum();
    report.figure("base pictures lost", percent(all.iter().map(|shown| shown.base_lost).sum(), base), "%");
    report.figure("capture to viewer p50", percentile(&mut after, 50.0) as f64 / MS, "ms");
    report.figure("capture to viewer p99", percentile(&mut after, 99.0) as f64 / MS, "ms");
    let spent = traffic.media_bytes + traffic.repair_bytes + traffic.resent_bytes;
    report.figure("media bytes beyond the first copy", percent(spent - traffic.media_bytes, traffic.media_bytes), "%");
    report.figure("copies kept away as repeats", percent(totals.duplicates, totals.messages), "%");
    let viewer_seconds = (world.setup().viewers as u64 * stage.report.duration_s).max(1);
    let gossip_kbps = world.gossip_bytes() as f64 * 8.0 / 1000.0 / viewer_seconds as f64;
    let report = &mut stage.report;
    report.figure("gossip per viewer", gossip_kbps, "kbit/s");
    report.figure("times without any parent", totals.stranded as f64, "");
    report.figure("subscriptions refused", totals.refusals as f64, "");
    report.figure("seals checked", ledger.seals() as f64, "");
    report.figure("events", world.events() as f64, "");
    report.at_most("nonces repeated", ledger.repeats() as f64, 0.0, "");
    report.at_most("seals beyond the ledger", ledger.unchecked() as f64, 0.0, "");
    report.at_most("forgeries accepted", totals.forged_accepted as f64, 0.0, "");
    report.at_most("pictures handed up twice", totals.handed_up_twice as f64, 0.0, "");
}

/// How the tree lies at the end of a run.
pub(super) struct Shape {
    /// Viewers that are there.
    pub(super) here: usize,
    /// Those among them with a way to the publisher.
    pub(super) connected: usize,
    /// Longest way, in links.
    pub(super) depth: usize,
    /// Bound of the depth: ⌈log_k N⌉ + 1.
    pub(super) depth_bound: usize,
    /// Delay over the delay in the best tree, rank by rank: the nth least over the nth least, in thousandths. Who gets
    /// which of two like places says nothing about a tree.
    pub(super) stretch: Vec<u64>,
    /// The same viewer by viewer.
    pub(super) own_stretch: Vec<u64>,
    /// Delay over the direct round trip, likewise.
    pub(super) direct: Vec<u64>,
}

/// Measures the tree as it lies now.
pub(super) fn shape(world: &World) -> Shape {
    let here: Vec<Index> = world.peers().skip(1).filter(|peer| world.is_here(*peer)).collect();
    let alive: Vec<bool> = world.peers().map(|peer| world.is_here(peer)).collect();
    let slots: Vec<u32> = world.peers().map(|peer| world.slots(peer)).collect();
    let depth_max = depth_bound(here.len(), &slots);
    let terms = Terms { hop_us: HOP_US, depth_max };
    let best = best_tree(world.space(), &slots, &alive, terms);
    let mut out = Shape {
        here: here.len(),
        connected: 0,
        depth: 0,
        depth_bound: depth_max,
        stretch: Vec::new(),
        own_stretch: Vec::new(),
        direct: Vec::new(),
    };
    let (mut delays, mut best_delays) = (Vec::new(), Vec::new());
    for viewer in here {
        let Some(way) = world.way(viewer) else { continue };
        let delay_us = delay_us(world, viewer, &way);
        out.connected += 1;
        out.depth = out.depth.max(way.len());
        let best_us = best.delay_us.get(viewer as usize).copied().unwrap_or(0).max(1);
        delays.push(delay_us);
        best_delays.push(best_us);
        out.own_stretch.push(delay_us * 1000 / best_us);
        out.direct.push(delay_us * 1000 / world.space().rtt_us(0, viewer).max(1));
    }
    delays.sort_unstable();
    best_delays.sort_unstable();
    out.stretch = delays.iter().zip(&best_delays).map(|(delay, best)| delay * 1000 / best).collect();
    out
}

/// Sum of the round trips on a way.
fn delay_us(world: &World, viewer: Index, way: &[Index]) -> u64 {
    let from = std::iter::once(viewer).chain(way.iter().copied());
    from.zip(way).map(|(child, parent)| world.space().rtt_us(child, *parent)).sum()
}

/// ⌈log_k N⌉ + 1, where k is what the peers can feed on average, a fifth of it given to standbys.
fn depth_bound(viewers: usize, slots: &[u32]) -> usize {
    let feeding: Vec<f64> = slots.iter().filter(|slots| **slots > 0).map(|slots| f64::from(*slots)).collect();
    let mean = feeding.iter().sum::<f64>() / slots.len().max(1) as f64;
    let fanout = (mean * 0.8).max(1.5);
    ((viewers.max(2) as f64).ln() / fanout.ln()).ceil() as usize + 1
}

/// Figures and bars about the tree.
pub(super) fn tree(stage: &mut Stage<'_>, world: &World) -> Shape {
    let mut shape = shape(world);
    let report = &mut stage.report;
    report.figure("stretch p50 against the best tree", thousandths(&mut shape.stretch, 50.0), "");
    report.figure("the same p95 viewer by viewer", thousandths(&mut shape.own_stretch, 95.0), "");
    report.figure("stretch p95 against the direct way", thousandths(&mut shape.direct, 95.0), "");
    report.at_least(
        "viewers with a way to the publisher",
        percent(shape.connected as u64, shape.here as u64),
        100.0,
        "%",
    );
    report.figure("depth", shape.depth as f64, "links");
    let load = |peer: Index| world.children(peer).1 as f64 / f64::from(world.slots(peer)).max(1.0);
    let full = world.peers().filter(|peer| load(*peer) > 1.0).count();
    report.figure("peers with more whole children than slots", full as f64, "");
    let most = world.peers().map(load).fold(0.0, f64::max);
    report.figure("highest load of a peer", most * 100.0, "% of its slots");
    stage.report.charts.push(map(world));
    shape
}

/// A percentile of values in thousandths.
pub(super) fn thousandths(values: &mut [u64], percent: f64) -> f64 {
    percentile(values, percent) as f64 / 1000.0
}

/// Longest interruptions of the viewers hit by upsets, in µs.
pub(super) fn gaps_us(world: &World, all: &[Shown], counts: impl Fn(&Upset) -> bool) -> Vec<u64> {
    let hit = world.upsets().iter().filter(|upset| counts(upset));
    hit.filter_map(|upset| all.get(upset.viewer as usize)?.gap_after_us(upset.at_us, until_us(world, upset))).collect()
}

/// How long after an upset the last picture was lost that it cost, in µs.
pub(super) fn whole_us(world: &World, all: &[Shown]) -> Vec<u64> {
    let hit = world.upsets().iter();
    hit.filter_map(|upset| {
        let (shown, until_us) = (all.get(upset.viewer as usize)?, until_us(world, upset));
        shown.gap_after_us(upset.at_us, until_us)?;
        Some(shown.whole_after_us(upset.at_us, until_us))
    })
    .collect()
}

/// Until when consequences of an upset are looked for, in µs: what the viewer's next one takes, pictures on their way
/// included, is that one's doing.
fn until_us(world: &World, upset: &Upset) -> u64 {
    let later = world.upsets().iter().filter(|later| later.viewer == upset.viewer && later.at_us > upset.at_us);
    let until_us = upset.at_us + UPSET_US;
    later.map(|later| later.at_us).min().map_or(until_us, |next_us| next_us.saturating_sub(IN_TIME_US).min(until_us))
}

/// Changes of a primary parent in a time, by choice and for cause, the first ones of a life not counted.
pub(super) fn moves(world: &World, from_us: u64) -> (u64, u64) {
    let late = world.moves().iter().filter(|change| change.at_us >= from_us && change.from.is_some());
    late.fold((0, 0), |(chosen, forced), change| match change.why {
        SwitchWhy::Better => (chosen + 1, forced),
        _ => (chosen, forced + 1),
    })
}

/// A line that tells which share of the values lies below each value.
pub(super) fn distribution(title: &str, x_label: &'static str, sets: Vec<(String, Vec<u64>)>, unit: f64) -> Chart {
    let series = sets
        .into_iter()
        .map(|(name, mut values)| {
            values.sort_unstable();
            let count = values.len().max(1) as f64;
            let point = |(at, value): (usize, &u64)| (*value as f64 / unit, (at + 1) as f64 * 100.0 / count);
            (name, values.iter().enumerate().map(point).collect())
        })
        .collect();
    Chart::Lines(Lines { title: title.into(), x_label, y_label: "% at most", series, marks: Vec::new() })
}

/// Pictures a second that an average viewer was shown, over time.
pub(super) fn timeline(world: &World, all: &[Shown], marks: Vec<(f64, String)>) -> Chart {
    let seconds = (world.setup().duration_us / 1_000_000) as usize;
    let mut shown = vec![0.0; seconds + 1];
    let mut watching = vec![0.0; seconds + 1];
    for viewer in all.iter().filter(|viewer| !viewer.progress.is_empty()) {
        let second = |at: Option<&(u64, u64)>| at.map_or(0, |(_, at_us)| (*at_us / 1_000_000) as usize);
        let (first, last) = (second(viewer.progress.first()), second(viewer.progress.last()));
        watching.iter_mut().skip(first).take(last - first + 1).for_each(|count| *count += 1.0);
        viewer.progress.iter().for_each(|at| {
            if let Some(count) = shown.get_mut(second(Some(at))) {
                *count += 1.0;
            }
        });
    }
    let rate = |(second, (shown, watching)): (usize, (&f64, &f64))| (second as f64, shown / watching.max(1.0));
    let points = shown.iter().zip(&watching).enumerate().map(rate).take(seconds.saturating_sub(1)).collect();
    Chart::Lines(Lines {
        title: "Pictures shown".into(),
        x_label: "s",
        y_label: "pictures/s",
        series: vec![("mean of the viewers".into(), points)],
        marks,
    })
}

fn map(world: &World) -> Chart {
    let parents: Vec<Option<Index>> = world.peers().map(|peer| world.parent(peer)).collect();
    let kind = |peer: Index| match (peer, world.is_here(peer), parents.contains(&Some(peer))) {
        (0, ..) => Kind::Root,
        (_, false, _) => Kind::Away,
        (_, true, true) => Kind::Relay,
        (_, true, false) => Kind::Leaf,
    };
    let place = |peer: Index| {
        let (x, y) = world.space().place(peer);
        (x, y, kind(peer))
    };
    let here = world.peers().zip(&parents).filter(|(peer, _)| world.is_here(*peer));
    Chart::Map(Map {
        title: "The tree at the end, by round-trip distance".into(),
        peers: world.peers().map(place).collect(),
        edges: here.filter_map(|(peer, parent)| Some((parent.map(|parent| parent as usize)?, peer as usize))).collect(),
    })
}

/// A share in percent; 0 of nothing is nothing.
pub(super) fn percent(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 * 100.0 / whole as f64 }
}

/// µs as ms.
pub(super) fn ms(us: u64) -> f64 {
    us as f64 / MS
}
