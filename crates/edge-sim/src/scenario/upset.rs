//! Parents die, in ones and in many; the net splits; a parent grows weak.

use super::summary::{common, distribution, gaps_us, moves, ms, percent, shown_by_all, timeline, tree, whole_us};
use super::{Scenario, Stage, viewers};
use crate::measure::{Shown, percentile};
use crate::rng::Rng;
use crate::space::Index;
use crate::world::{Deed, Error, Setup, World};

pub(super) const KILL: Scenario = Scenario {
    name: "kill",
    about: "a parent under load is killed every 4 s: how long is the picture gone, how long until all layers are back",
    viewers: 60,
    duration_s: 60,
    play: kill,
};

pub(super) const RELAYS: Scenario = Scenario {
    name: "relays",
    about: "four relays with few places below a publisher with fewer; the busiest is killed every 6 s, a new one comes",
    viewers: 8,
    duration_s: 120,
    play: relays,
};

pub(super) const CHURN: Scenario = Scenario {
    name: "churn",
    about: "5 % of the viewers vanish each minute at random and come back 8 s later",
    viewers: 100,
    duration_s: 180,
    play: churn,
};

pub(super) const FLASH: Scenario = Scenario {
    name: "flash",
    about: "30 % of the viewers vanish at one moment",
    viewers: 100,
    duration_s: 40,
    play: flash,
};

pub(super) const PARTITION: Scenario = Scenario {
    name: "partition",
    about: "half of the cities are cut off for 15 s, then the net is whole again",
    viewers: 60,
    duration_s: 60,
    play: partition,
};

pub(super) const LEAK: Scenario = Scenario {
    name: "leak",
    about: "the uplink of the busiest parent shrinks by 10 % each second, down to a tenth",
    viewers: 60,
    duration_s: 60,
    play: leak,
};

/// Time between two kills, in µs.
const KILL_EVERY_US: u64 = 4_000_000;
/// The same where only relays die.
const RELAY_EVERY_US: u64 = 6_000_000;
/// Relays at a time, their places, and those of the publisher; their uplinks, in multiples of the stream, are no limit.
const CARRIERS: usize = 4;
const RELAY_PLACES: u16 = 6;
const PUBLISHER_PLACES: u16 = 3;
const AMPLE: u64 = 40;
/// How long a viewer that churned stays away, in µs.
const AWAY_US: u64 = 8_000_000;
/// Share of the viewers that churn in a minute, in percent.
const CHURN_PERCENT: u64 = 5;
/// Share that leaves in a flash, in percent.
const FLASH_PERCENT: u64 = 30;
/// How long the net is split, in µs.
const SPLIT_US: u64 = 15_000_000;
/// How much an uplink leaks each second, in percent.
const LEAK_PERCENT: u64 = 10;
/// Time at the end of a run in which nothing new is broken, in µs.
const CALM_US: u64 = 7_000_000;

fn kill(stage: &mut Stage<'_>) -> Result<(), Error> {
    let mut setup = stage.setup();
    let times = (stage.settled_us()..stage.duration_us().saturating_sub(CALM_US)).step_by(KILL_EVERY_US as usize);
    setup.deeds.extend(times.map(|at_us| (at_us, Deed::KillParent)));
    stage.parameter("kills", "one parent with children every 4 s, without a word, never back");
    let (world, all) = finish(stage, setup)?;
    let mut gaps = gaps_us(&world, &all, |_| true);
    let mut whole = whole_us(&world, &all);
    let report = &mut stage.report;
    report.figure("viewers hit", gaps.len() as f64, "");
    report.figure("gap p50", ms(percentile(&mut gaps, 50.0)), "ms");
    report.at_most("gap p95", ms(percentile(&mut gaps, 95.0)), 400.0, "ms");
    report.at_most("gap p99", ms(percentile(&mut gaps, 99.0)), 1000.0, "ms");
    report.at_most("all layers back p99", ms(percentile(&mut whole, 99.0)), 3000.0, "ms");
    Ok(())
}

fn relays(stage: &mut Stage<'_>) -> Result<(), Error> {
    let mut setup = stage.setup();
    let times = (stage.settled_us()..stage.duration_us().saturating_sub(CALM_US)).step_by(RELAY_EVERY_US as usize);
    let relays = CARRIERS + times.clone().count();
    let watchers = relays as Index + 1..(relays + stage.viewers()) as Index + 1;
    let mut rng = Rng::labelled(setup.seed, 0x4e1a);
    setup.viewers = relays + stage.viewers();
    setup.publisher_uplink = AMPLE;
    setup.fixed_uplinks = vec![AMPLE; relays];
    setup.uplinks = vec![(100, 0)];
    setup.fixed_children = std::iter::once(PUBLISHER_PLACES).chain(vec![RELAY_PLACES; relays]).collect();
    setup.deeds = (1..=CARRIERS as Index).map(|relay| (rng.below(500_000), Deed::Join(relay))).collect();
    setup.deeds.extend(watchers.clone().map(|viewer| (rng.below(2_000_000), Deed::Join(viewer))));
    for (fresh, at_us) in (CARRIERS as Index + 1..).zip(times) {
        setup.deeds.extend([(at_us, Deed::KillBusiest), (at_us + rng.below(500_000), Deed::Join(fresh))]);
    }
    stage.parameter("kills", "the busiest relay every 6 s, without a word; a new one comes within half a second");
    let (world, all) = finish(stage, setup)?;
    let is_watcher = |upset: &crate::world::Upset| watchers.contains(&upset.viewer);
    let mut gaps = gaps_us(&world, &all, is_watcher);
    let mut longest: Vec<u64> =
        watchers.clone().filter_map(|viewer| all.get(viewer as usize)?.intervals_us().max()).collect();
    let (lost, pictures) = lost(&all);
    let report = &mut stage.report;
    report.figure("viewers hit", gaps.len() as f64, "");
    report.figure("gap p95", ms(percentile(&mut gaps, 95.0)), "ms");
    report.at_most("frames lost", percent(lost, pictures), 1.0, "%");
    report.at_most("gap p99", ms(percentile(&mut gaps, 99.0)), 1000.0, "ms");
    report.at_most("longest time without a picture", ms(percentile(&mut longest, 100.0)), 2000.0, "ms");
    Ok(())
}

fn churn(stage: &mut Stage<'_>) -> Result<(), Error> {
    let mut setup = stage.setup();
    let mut rng = Rng::labelled(setup.seed, 0xc0de);
    let mean_us = 60_000_000 * 100 / CHURN_PERCENT / stage.viewers() as u64;
    let mut at_us = stage.settled_us() + rng.exponential_us(mean_us);
    while at_us < stage.duration_us().saturating_sub(CALM_US) {
        setup.deeds.push((at_us, Deed::Churn(AWAY_US)));
        at_us += rng.exponential_us(mean_us).max(1);
    }
    stage.parameter("churn", "Poisson, 5 % of the viewers a minute, without a word; back after 8 s");
    let (world, all) = finish(stage, setup)?;
    let mut gaps = gaps_us(&world, &all, |_| true);
    let (lost, pictures) = lost(&all);
    let report = &mut stage.report;
    report.figure("viewers hit", gaps.len() as f64, "");
    report.figure("gap p50", ms(percentile(&mut gaps, 50.0)), "ms");
    report.at_most("frames lost", percent(lost, pictures), 0.5, "%");
    report.at_most("gap p99", ms(percentile(&mut gaps, 99.0)), 1000.0, "ms");
    Ok(())
}

fn flash(stage: &mut Stage<'_>) -> Result<(), Error> {
    let mut setup = stage.setup();
    let mut rng = Rng::labelled(setup.seed, 0xf1a5);
    let mut leaving: Vec<_> = viewers(stage.viewers()).collect();
    rng.shuffle(&mut leaving);
    leaving.truncate(stage.viewers() * FLASH_PERCENT as usize / 100);
    let at_us = stage.settled_us();
    setup.deeds.extend(leaving.iter().map(|peer| (at_us, Deed::Kill(*peer))));
    stage.parameter("flash", "30 % of the viewers vanish at one moment, without a word");
    let (world, all) = finish(stage, setup)?;
    let mut gaps = gaps_us(&world, &all, |upset| world.is_here(upset.viewer));
    let report = &mut stage.report;
    report.figure("viewers hit", gaps.len() as f64, "");
    report.figure("gap p50", ms(percentile(&mut gaps, 50.0)), "ms");
    report.figure("gap p95", ms(percentile(&mut gaps, 95.0)), "ms");
    report.at_most("gap p99 of those that lost all parents or some", ms(percentile(&mut gaps, 99.0)), 3000.0, "ms");
    Ok(())
}

fn partition(stage: &mut Stage<'_>) -> Result<(), Error> {
    let mut setup = stage.setup();
    let at_us = stage.settled_us();
    setup.deeds.push((at_us, Deed::Split));
    setup.deeds.push((at_us + SPLIT_US, Deed::Heal));
    stage.parameter("split", "cities with odd numbers, the publisher's excepted, cut off for 15 s");
    let (world, all) = finish(stage, setup)?;
    let mut gaps = gaps_us(&world, &all, |_| true);
    let healed_us = at_us + SPLIT_US;
    let back = all.iter().filter(|shown| shown.progress.last().is_some_and(|(_, last)| *last > healed_us)).count();
    let mut until: Vec<u64> = all.iter().filter_map(|shown| first_after(shown, at_us, healed_us)).collect();
    let report = &mut stage.report;
    report.figure("viewers hit on the publisher's side", gaps.len() as f64, "");
    report.figure("viewers cut off", until.len() as f64, "");
    report.at_most("gap p99 on the publisher's side", ms(percentile(&mut gaps, 99.0)), 3000.0, "ms");
    report.at_most("picture back after the split p99", ms(percentile(&mut until, 99.0)), 3000.0, "ms");
    report.at_least("viewers with a picture after the split", back as f64, stage_viewers(&world), "");
    Ok(())
}

fn stage_viewers(world: &World) -> f64 {
    world.setup().viewers as f64
}

/// How long after `healed_us` a viewer that saw nothing in the second before it saw something again.
fn first_after(shown: &Shown, cut_us: u64, healed_us: u64) -> Option<u64> {
    let dark = |at_us: &u64| (cut_us + 5_000_000..healed_us).contains(at_us);
    let was_dark = !shown.progress.iter().any(|(_, at_us)| dark(at_us));
    let back = shown.progress.iter().find(|(_, at_us)| *at_us >= healed_us);
    back.filter(|_| was_dark).map(|(_, at_us)| at_us - healed_us)
}

fn leak(stage: &mut Stage<'_>) -> Result<(), Error> {
    let mut setup = stage.setup();
    let at_us = stage.settled_us();
    setup.deeds.push((at_us, Deed::LeakBusiest(LEAK_PERCENT)));
    stage.parameter("leak", "the busiest parent loses 10 % of its uplink each second, down to a tenth");
    let (world, all) = finish(stage, setup)?;
    let hit: std::collections::BTreeSet<_> = world.upsets().iter().map(|upset| upset.viewer).collect();
    let shown = || hit.iter().filter_map(|viewer| all.get(*viewer as usize));
    let base: u64 = shown().map(|shown| shown.base).sum();
    let base_lost: u64 = shown().map(|shown| shown.base_lost).sum();
    let (chosen, forced) = moves(&world, at_us);
    let leaking = world.upsets().first().map_or(0, |upset| upset.cause);
    let mut worst: Vec<u64> = shown().filter_map(|shown| shown.intervals_us().max()).collect();
    let report = &mut stage.report;
    report.figure("viewers below the leaking parent", hit.len() as f64, "");
    report.figure("its children with all layers at the end", world.children(leaking).1 as f64, "");
    report.figure("switches after the leak began", (chosen + forced) as f64, "");
    report.at_most("base pictures lost below it", percent(base_lost, base), 0.5, "%");
    report.at_most("longest gap below it p99", ms(percentile(&mut worst, 99.0)), 1000.0, "ms");
    Ok(())
}

/// Runs, and reports what all of these scenarios report.
fn finish(stage: &mut Stage<'_>, setup: Setup) -> Result<(World, Vec<Shown>), Error> {
    let from_us = stage.settled_us();
    let world = stage.play(setup)?;
    let all = shown_by_all(&world);
    common(stage, &world, &all);
    tree(stage, &world);
    let mut times: Vec<u64> = world.upsets().iter().map(|upset| upset.at_us).collect();
    times.dedup();
    let marks = times.iter().take(20).map(|at_us| (*at_us as f64 / 1e6, String::new())).collect();
    stage.report.charts.push(timeline(&world, &all, marks));
    let gaps = vec![("viewers hit".into(), gaps_us(&world, &all, |upset| upset.at_us >= from_us))];
    stage.report.charts.push(distribution("Longest interruption after an upset", "ms", gaps, 1000.0));
    Ok((world, all))
}

fn lost(all: &[Shown]) -> (u64, u64) {
    let sum = |of: fn(&Shown) -> u64| all.iter().map(of).sum();
    (sum(|shown| shown.lost), sum(|shown| shown.pictures))
}
