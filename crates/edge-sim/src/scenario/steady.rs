//! Nothing happens: how good is the tree, and does it stay as it is?

use super::summary::{common, distribution, moves, shown_by_all, thousandths, timeline, tree};
use super::{Scenario, Stage};
use crate::world::Error;

pub(super) const STEADY: Scenario = Scenario {
    name: "steady",
    about: "everybody joins, then nothing happens: depth, delay and switches of the tree",
    viewers: 100,
    duration_s: 150,
    play,
};

fn play(stage: &mut Stage<'_>) -> Result<(), Error> {
    let setup = stage.setup();
    // The tree grows better for a minute or two: each viewer changes its parent rarely.
    let settled_us = stage.settled_us().max(stage.duration_us() / 2);
    stage.parameter("joins", "spread over 10 ms a viewer, at least 2 s");
    stage.parameter("uplinks of viewers", "20 % 20×, 40 % 10×, 40 % 4× the stream, 75 % of it offered");
    stage.parameter("uplink of the publisher", &format!("{}× the stream", setup.publisher_uplink));
    stage.parameter("loss and jitter of each link", "0.1 %, ±1 ms");
    let world = stage.play(setup)?;
    let all = shown_by_all(&world);
    common(stage, &world, &all);
    let mut shape = tree(stage, &world);
    let minutes = (stage.duration_us().saturating_sub(settled_us)) as f64 / 60e6 * stage.viewers() as f64;
    let (chosen, forced) = moves(&world, settled_us);
    stage.report.figure("switches by choice", chosen as f64, "");
    stage.report.figure("switches for cause", forced as f64, "");
    let stretch = thousandths(&mut shape.stretch, 95.0);
    stage.report.at_most("stretch p95 against the best tree", stretch, 1.3, "");
    stage.report.at_most("depth bound ⌈log_k N⌉ + 1", shape.depth as f64, shape.depth_bound as f64, "links");
    stage.report.at_most("switches per viewer and minute", (chosen + forced) as f64 / minutes, 1.0, "");
    let delays = vec![("best tree".into(), shape.stretch), ("direct way".into(), shape.direct)];
    stage.report.charts.push(distribution("Delay of the tree", "times the delay of", delays, 1000.0));
    stage.report.charts.push(timeline(&world, &all, vec![(settled_us as f64 / 1e6, "settled".into())]));
    Ok(())
}
