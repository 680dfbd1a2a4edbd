//! A real encoder and decoder over a network that loses, repeats, delays and reorders: whatever is shown is bit-exact
//! with the loss-free decode of the same layers, the decoder never errs, and requests bring the picture back.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod video_support;

use std::collections::BTreeMap;

use edge_codec::video::{Assembler, AssemblerConfig, Decoder, Encoder, LayerFrame, LayerInput, Mode, Output, Recovery};
use edge_codec::video::{EncoderConfig, Frame, Unit};
use edge_wire::layer::Policy;
use proptest::prelude::*;
use proptest::test_runner::{Config, RngSeed};
use video_support::{FRAME_US, clip, quiet, unit};

const SIZE: (u32, u32) = (160, 96);
const PICTURES: u32 = 100;
/// From here on the network is perfect.
const CALM: u32 = 70;
/// Before this the network is perfect, so that everybody starts.
const START: u32 = 4;
const RETURN_US: u64 = 30_000;

#[derive(Debug, Clone, Copy)]
struct Weather {
    seed: u64,
    loss_percent: u64,
    repeat_percent: u64,
    jitter_us: u64,
}

/// A publisher, a receiver and the network between them, on simulated time.
struct World {
    encoder: Encoder,
    assembler: Assembler,
    decoder: Decoder,
    /// A decoder without losses for each number of spatial layers, and what it showed.
    shadows: Vec<Decoder>,
    shown: BTreeMap<(u64, u8), Frame>,
    wire: BTreeMap<(u64, u64), LayerInput>,
    requests: BTreeMap<u64, Recovery>,
    random: u64,
    sent: u64,
    units: Vec<Unit>,
    asked: Vec<Recovery>,
}

impl World {
    fn new(config: EncoderConfig, policy: Policy, seed: u64) -> Self {
        let sizes = config.mode.spatial_layers();
        Self {
            encoder: Encoder::new(config).unwrap(),
            assembler: Assembler::new(AssemblerConfig { policy, ..Default::default() }),
            decoder: Decoder::new(1).unwrap(),
            shadows: (0..sizes).map(|_| Decoder::new(1).unwrap()).collect(),
            shown: BTreeMap::new(),
            wire: BTreeMap::new(),
            requests: BTreeMap::new(),
            random: seed | 1,
            sent: 0,
            units: Vec::new(),
            asked: Vec::new(),
        }
    }

    fn run(&mut self, weather: Weather) {
        for (number, frame) in (0..).zip(clip(SIZE, PICTURES)) {
            let now_us = u64::from(number) * FRAME_US;
            self.receive_until(now_us);
            let due: Vec<u64> = self.requests.range(..=now_us).map(|(at, _)| *at).collect();
            for at in due {
                self.encoder.request(self.requests.remove(&at).unwrap());
            }
            let layers = self.encoder.encode(&frame).unwrap();
            self.shadow(&layers);
            let calm = !(START..CALM).contains(&number);
            layers.iter().for_each(|layer| self.send(layer, now_us, weather, calm));
        }
        self.receive_until(u64::from(PICTURES + 10) * FRAME_US);
    }

    fn shadow(&mut self, layers: &[LayerFrame]) {
        for (top, decoder) in (0u8..).zip(&mut self.shadows) {
            let frame = decoder.decode(&unit(layers, top), layers[0].pts_us).unwrap().remove(0);
            self.shown.insert((layers[0].frame_number, top), frame);
        }
    }

    fn send(&mut self, layer: &LayerFrame, now_us: u64, weather: Weather, calm: bool) {
        let copies = 1 + u64::from(!calm && self.chance(weather.repeat_percent));
        for _ in 0..copies {
            let lost = !calm && self.chance(weather.loss_percent);
            let delay_us = 5_000 + if calm { 0 } else { self.next() % (weather.jitter_us + 1) };
            self.sent += 1;
            if !lost {
                self.wire.insert((now_us + delay_us, self.sent), layer.clone().into());
            }
        }
    }

    /// Delivers and polls every millisecond.
    fn receive_until(&mut self, until_us: u64) {
        let from_us = until_us.saturating_sub(FRAME_US);
        for now_us in (from_us..until_us).step_by(1_000).chain([until_us]) {
            while let Some(entry) = self.wire.first_entry().filter(|entry| entry.key().0 <= now_us) {
                self.assembler.push(entry.remove(), now_us);
            }
            while let Some(output) = self.assembler.poll(now_us) {
                self.act(output, now_us);
            }
        }
    }

    fn act(&mut self, output: Output, now_us: u64) {
        match output {
            Output::Unit(unit) => {
                let frames = self.decoder.decode(&unit.data, unit.pts_us).unwrap();
                assert_eq!(frames.len(), 1);
                assert_eq!(frames[0], self.shown[&(unit.frame_number, unit.spatial)]);
                self.units.push(unit);
            }
            Output::NeedRecovery(recovery) => {
                self.asked.push(recovery);
                self.requests.insert(now_us + RETURN_US, recovery);
            }
            Output::Lost { .. } => {}
        }
    }

    fn chance(&mut self, percent: u64) -> bool {
        self.next() % 100 < percent
    }

    fn next(&mut self) -> u64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        self.random >> 11
    }

    /// The last pictures came through whole.
    fn assert_recovered(&self, top: u8) {
        let tail: Vec<_> = self.units.iter().rev().take(5).map(|unit| (unit.frame_number, unit.spatial)).collect();
        let expected: Vec<_> = (0..5).map(|back| (u64::from(PICTURES) - 1 - back, top)).collect();
        assert_eq!(tail, expected);
    }
}

fn weather() -> impl Strategy<Value = Weather> {
    let percent = prop_oneof![Just(0u64), 1u64..30];
    (any::<u64>(), percent.clone(), percent, 0u64..90_000).prop_map(
        |(seed, loss_percent, repeat_percent, jitter_us)| Weather { seed, loss_percent, repeat_percent, jitter_us },
    )
}

fn config() -> Config {
    Config { cases: 16, rng_seed: RngSeed::Fixed(0x77777), failure_persistence: None, ..Config::default() }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn whatever_is_shown_is_exact_and_the_picture_comes_back(
        mode in prop::sample::select(vec![Mode::L1T1, Mode::L1T3, Mode::L2T3, Mode::L3T3]),
        weather in weather(),
    ) {
        let mut world = World::new(quiet(SIZE, mode), Policy::UNCAPPED, weather.seed);
        world.run(weather);
        world.assert_recovered(mode.spatial_layers() - 1);
    }

    #[test]
    fn a_receiver_of_fewer_layers_is_exact_too(
        weather in weather(),
        spatial in 0u8..3,
        temporal in 0u8..3,
    ) {
        let mut world = World::new(quiet(SIZE, Mode::L3T3), Policy::new(spatial, temporal, 0), weather.seed);
        world.run(weather);
        prop_assert!(world.units.iter().all(|unit| unit.spatial <= spatial && unit.temporal <= temporal));
        prop_assert_eq!(world.units.last().unwrap().spatial, spatial);
    }
}

#[test]
fn a_perfect_network_loses_nothing_and_asks_for_nothing() {
    for mode in Mode::ALL {
        let mut world = World::new(quiet(SIZE, mode), Policy::UNCAPPED, 1);
        world.run(Weather { seed: 1, loss_percent: 0, repeat_percent: 0, jitter_us: 0 });
        assert_eq!(world.units.len(), PICTURES as usize);
        assert!(world.units.iter().all(|unit| unit.spatial + 1 == mode.spatial_layers()));
        assert!(world.asked.is_empty());
    }
}

/// Delays far below the wait reorder layers and neighbours, yet nothing is given up.
#[test]
fn reordering_alone_loses_nothing() {
    for mode in [Mode::L1T3, Mode::L3T3] {
        let mut world = World::new(quiet(SIZE, mode), Policy::UNCAPPED, 77);
        world.run(Weather { seed: 77, loss_percent: 0, repeat_percent: 20, jitter_us: 30_000 });
        let counters = world.assembler.counters();
        assert_eq!((counters.decoded, counters.lost_base, counters.lost_upper), (u64::from(PICTURES), 0, 0));
        assert_eq!(counters.lost_layers, [0; 3]);
        assert!(counters.duplicates + counters.late > 0);
    }
}

/// One base picture is lost: a long-term picture brings everything back, no key frame is needed.
#[test]
fn one_lost_base_picture_is_repaired_by_the_long_term_reference() {
    for mode in [Mode::L1T1, Mode::L1T3, Mode::L3T3] {
        let mut world = World::new(quiet(SIZE, mode), Policy::UNCAPPED, 1);
        for (number, frame) in (0..).zip(clip(SIZE, PICTURES)) {
            let now_us = number * FRAME_US;
            world.receive_until(now_us);
            let due: Vec<u64> = world.requests.range(..=now_us).map(|(at, _)| *at).collect();
            due.iter().for_each(|at| world.encoder.request(world.requests.remove(at).unwrap()));
            let layers = world.encoder.encode(&frame).unwrap();
            world.shadow(&layers);
            assert_eq!(layers[0].key, number == 0);
            let arrives = |layer: &LayerFrame| number != 52 || layer.spatial > 0;
            layers.into_iter().filter(arrives).for_each(|layer| {
                world.wire.insert((now_us + 5_000, layer.unit_id), layer.into());
            });
        }
        world.receive_until(u64::from(PICTURES + 10) * FRAME_US);
        assert_eq!(world.asked, [Recovery::LongTermReference], "{mode}");
        assert!(world.units.len() > PICTURES as usize - 12, "{mode}: {}", world.units.len());
        world.assert_recovered(mode.spatial_layers() - 1);
    }
}
