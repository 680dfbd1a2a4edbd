//! The net loses packets, or relays are hostile.

use super::summary::{common, percent, shown_by_all, tree};
use super::{Scenario, Stage};
use crate::link::Loss;
use crate::measure::Shown;
use crate::net::{Carriage, Profile};
use crate::space::Index;
use crate::world::{Deed, Error, Malice, World};

pub(super) const LOSS: Scenario = Scenario {
    name: "loss",
    about: "5 % and 10 % of all packets are lost on every link: base pictures in time, on streams and with repair",
    viewers: 30,
    duration_s: 40,
    play: loss,
};

pub(super) const BYZANTINE: Scenario = Scenario {
    name: "byzantine",
    about: "two of the three relays turn hostile, in each way: forgeries accepted, and time until they are left",
    viewers: 15,
    duration_s: 30,
    play: byzantine,
};

/// Names of the figures of each run of `loss`: share in time and overhead.
const LOSSES: [(u32, Carriage, &str, &str); 4] = [
    (50_000, Carriage::Stream, "5 % loss, streams: in time", "5 % loss, streams: overhead"),
    (50_000, Carriage::Protected, "5 % loss, repair: in time", "5 % loss, repair: overhead"),
    (100_000, Carriage::Stream, "10 % loss, streams: in time", "10 % loss, streams: overhead"),
    (100_000, Carriage::Protected, "10 % loss, repair: in time", "10 % loss, repair: overhead"),
];

/// Uplinks of all peers of `loss`, in multiples of the stream, and their children: what is lost is the net's doing, and
/// no queue's.
const UPLINK: u64 = 40;
const CHILDREN: u16 = 4;

fn loss(stage: &mut Stage<'_>) -> Result<(), Error> {
    stage.parts = LOSSES.len() as u64;
    stage.parameter("in time", "base picture opened within 200 ms of its capture, over all links on the way");
    stage.parameter("uplinks", "40× the stream, at most 4 children each");
    stage.parameter("repair", "symbols sized for 99.99 % of the messages of one link");
    let mut best = [0.0f64; 2];
    for (at, (ppm, carriage, in_time, overhead)) in LOSSES.into_iter().enumerate() {
        let mut setup = stage.setup();
        let target_ppm = 999_900;
        (setup.publisher_uplink, setup.uplinks, setup.children_max) = (UPLINK, vec![(100, UPLINK)], CHILDREN);
        setup.profile = Profile { loss: Loss::Uniform { ppm }, carriage, target_ppm, ..Profile::default() };
        let world = stage.play(setup)?;
        let all = shown_by_all(&world);
        let share = in_time_percent(&all);
        let traffic = world.traffic();
        stage.report.figure(in_time, share, "%");
        stage.report.figure(overhead, percent(traffic.repair_bytes + traffic.resent_bytes, traffic.media_bytes), "%");
        best[at / 2] = best[at / 2].max(share);
        if at + 1 == LOSSES.len() {
            common(stage, &world, &all);
            tree(stage, &world);
        }
    }
    stage.report.at_least("base pictures in time at 5 % loss", best[0], 99.9, "%");
    stage.report.at_least("base pictures in time at 10 % loss", best[1], 99.0, "%");
    Ok(())
}

fn in_time_percent(all: &[Shown]) -> f64 {
    let base: u64 = all.iter().map(|shown| shown.base).sum();
    let late: u64 = all.iter().map(|shown| shown.base_late).sum();
    percent(base - late, base)
}

/// The relays; the second and the third turn hostile.
const RELAYS: [Index; 3] = [1, 2, 3];
/// Within which time a hostile parent must be left, in s.
const LEFT_WITHIN_S: f64 = 3.0;

fn byzantine(stage: &mut Stage<'_>) -> Result<(), Error> {
    stage.parts = Malice::ALL.len() as u64;
    stage.parameter("topology", "three relays below the publisher, nobody else can carry; two turn hostile");
    stage.parameter("ways", "relabel, replay, delay by 700 ms, starve to 1 in 8, garbage ahead of the true chunks");
    let turn_us = stage.settled_us();
    let names =
        ["relabel: left after", "replay: left after", "delay: left after", "starve: left after", "garbage: left after"];
    let mut worst = 0.0f64;
    let (mut forged, mut still, mut refused) = (0, 0, 0);
    for (malice, name) in Malice::ALL.into_iter().zip(names) {
        let mut setup = stage.setup();
        setup.publisher_uplink = 6;
        setup.fixed_uplinks = RELAYS.map(|_| 2 * stage.viewers() as u64).to_vec();
        setup.uplinks = vec![(100, 0)];
        setup.deeds.iter_mut().for_each(|(at_us, deed)| {
            if matches!(deed, Deed::Join(peer) if RELAYS.contains(peer)) {
                *at_us = 0;
            }
        });
        setup.deeds.extend(RELAYS[1..].iter().map(|relay| (turn_us, Deed::Turn(*relay, malice))));
        let world = stage.play(setup)?;
        let totals = world.totals();
        forged += totals.forged_accepted;
        refused += totals.forged_refused;
        // A repeated chunk reaches nobody, so that a replaying relay that else delivers may stay.
        let (left_s, stay) = left_after_s(&world, turn_us);
        stage.report.figure(name, left_s, "s");
        worst = worst.max(left_s);
        still += stay;
        if malice == Malice::GarbageFirst {
            let all = shown_by_all(&world);
            common(stage, &world, &all);
        }
    }
    let report = &mut stage.report;
    report.figure("forgeries refused", refused as f64, "");
    report.at_most("forgeries accepted in all ways", forged as f64, 0.0, "");
    report.at_most("hostile parents left after", worst, LEFT_WITHIN_S, "s");
    report.at_most("viewers below a hostile parent at the end", still as f64, 0.0, "");
    Ok(())
}

/// The longest time from the turn until a viewer below a hostile parent had an honest one, and how many have a hostile
/// one at the end.
fn left_after_s(world: &World, turn_us: u64) -> (f64, u64) {
    let hostile = |parent: Index| RELAYS[1..].contains(&parent);
    let end_us = world.setup().duration_us;
    let mut worst_us = 0;
    for viewer in world.peers().skip(1).filter(|viewer| !RELAYS.contains(viewer)) {
        let moves = || world.moves().iter().filter(move |change| change.viewer == viewer);
        let before = moves().rfind(|change| change.at_us < turn_us).map(|change| change.to);
        if before.is_some_and(hostile) {
            let honest = moves().find(|change| change.at_us >= turn_us && !hostile(change.to));
            worst_us = worst_us.max(honest.map_or(end_us, |change| change.at_us) - turn_us);
        }
    }
    let below = world.peers().skip(1).filter(|viewer| !RELAYS.contains(viewer));
    let still = below.filter(|viewer| world.parent(*viewer).is_some_and(hostile)).count();
    (worst_us as f64 / 1e6, still as u64)
}
