//! Many come at once.

use super::summary::{common, distribution, ms, shown_by_all, timeline, tree};
use super::{Scenario, Stage, viewers};
use crate::measure::percentile;
use crate::rng::Rng;
use crate::world::{Deed, Error, Setup, World};

pub(super) const STORM: Scenario = Scenario {
    name: "storm",
    about: "30 % of the viewers vanish and all come back in the same second, 5 s later",
    viewers: 100,
    duration_s: 45,
    play: storm,
};

pub(super) const HERD: Scenario = Scenario {
    name: "herd",
    about: "everybody joins within one second: how soon is there a picture, and does the load spread",
    viewers: 100,
    duration_s: 30,
    play: herd,
};

const SHARE_PERCENT: usize = 30;
const AWAY_US: u64 = 5_000_000;
const WITHIN_US: u64 = 1_000_000;

fn storm(stage: &mut Stage<'_>) -> Result<(), Error> {
    let mut setup = stage.setup();
    let mut rng = Rng::labelled(setup.seed, 0x5707);
    let mut moving: Vec<_> = viewers(stage.viewers()).collect();
    rng.shuffle(&mut moving);
    moving.truncate(stage.viewers() * SHARE_PERCENT / 100);
    let at_us = stage.settled_us();
    for peer in &moving {
        setup.deeds.push((at_us, Deed::Kill(*peer)));
        setup.deeds.push((at_us + AWAY_US + rng.below(WITHIN_US), Deed::Join(*peer)));
    }
    stage.parameter("storm", "30 % vanish at one moment and come back 5 to 6 s later");
    let (world, waits) = finish(stage, setup, |peer| moving.contains(&peer))?;
    spread(stage, &world, waits);
    Ok(())
}

fn herd(stage: &mut Stage<'_>) -> Result<(), Error> {
    let mut setup = stage.setup();
    let mut rng = Rng::labelled(setup.seed, 0x4e4d);
    setup.deeds = viewers(stage.viewers()).map(|peer| (rng.below(WITHIN_US), Deed::Join(peer))).collect();
    stage.parameter("herd", "all join within the first second; tickets name the publisher and up to three relays");
    let (world, waits) = finish(stage, setup, |_| true)?;
    spread(stage, &world, waits);
    Ok(())
}

/// Runs; how long those that `counts` names waited for their first picture, `None` for never.
fn finish(
    stage: &mut Stage<'_>,
    setup: Setup,
    counts: impl Fn(u32) -> bool,
) -> Result<(World, Vec<Option<u64>>), Error> {
    let world = stage.play(setup)?;
    let all = shown_by_all(&world);
    common(stage, &world, &all);
    tree(stage, &world);
    stage.report.charts.push(timeline(&world, &all, Vec::new()));
    let waits = world.peers().skip(1).filter(|peer| counts(*peer)).map(|peer| world.first_picture_us(peer)).collect();
    Ok((world, waits))
}

fn spread(stage: &mut Stage<'_>, world: &World, waits: Vec<Option<u64>>) {
    let never = waits.iter().filter(|wait| wait.is_none()).count();
    let mut waits: Vec<u64> = waits.into_iter().flatten().collect();
    let mut loads: Vec<u64> = world.peers().map(|peer| load_permille(world, peer)).filter(|load| *load > 0).collect();
    let report = &mut stage.report;
    report.figure("first picture p50", ms(percentile(&mut waits, 50.0)), "ms");
    report.figure("peers that feed others", loads.len() as f64, "");
    report.figure("load of those p50", percentile(&mut loads, 50.0) as f64 / 10.0, "% of their slots");
    report.figure("load of those p95", percentile(&mut loads, 95.0) as f64 / 10.0, "% of their slots");
    report.at_most("viewers without any picture", never as f64, 0.0, "");
    report.at_most("first picture p95", ms(percentile(&mut waits, 95.0)), 5000.0, "ms");
    report.at_most("highest load of a peer", percentile(&mut loads, 100.0) as f64 / 10.0, 100.0, "% of its slots");
    report.charts.push(distribution("Time to the first picture", "ms", vec![("viewers".into(), waits)], 1000.0));
}

fn load_permille(world: &World, peer: u32) -> u64 {
    let whole = world.children(peer).1 as u64;
    whole * 1000 / u64::from(world.slots(peer)).max(1)
}
