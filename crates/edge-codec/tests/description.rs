//! Multiple descriptions with the real codec: what arrives is shown, in order, at full quality and in proportion; a
//! description that breaks freezes alone and comes back by its own recovery.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod video_support;

use edge_codec::description::{DEFAULT_MAX_WAIT_US, Described, Encoders, Merge, Split};
use edge_codec::video::{Assembler, AssemblerConfig, Decoder, EncoderConfig, Error, Frame, LayerFrame, Mode, Output};
use edge_codec::video::{Encoder, Recovery};
use video_support::{FRAME_US, SIZE, clip, psnr, quiet};

const PICTURES: u32 = 96;
const PATH_US: u64 = 5_000;
const RETURN_US: u64 = 30_000;

/// A receiver: one assembler and one decoder a description, and the merge.
struct Viewer {
    lanes: Vec<(Assembler, Decoder)>,
    merge: Merge<Frame>,
    shown: Vec<(u64, Frame)>,
    /// When which description was asked to recover, and how.
    asked: Vec<(u64, u8, Recovery)>,
}

impl Viewer {
    fn new(split: Split) -> Self {
        let lane = |_| (Assembler::new(AssemblerConfig::default()), Decoder::new(1).unwrap());
        Self {
            lanes: (0..split.count()).map(lane).collect(),
            merge: Merge::new(split, DEFAULT_MAX_WAIT_US),
            shown: Vec::new(),
            asked: Vec::new(),
        }
    }

    fn receive(&mut self, description: u8, layers: Vec<LayerFrame>, now_us: u64) {
        let assembler = &mut self.lanes[usize::from(description)].0;
        layers.into_iter().for_each(|layer| assembler.push(layer.into(), now_us));
    }

    fn turn(&mut self, now_us: u64) {
        for (description, (assembler, decoder)) in (0..).zip(&mut self.lanes) {
            while let Some(output) = assembler.poll(now_us) {
                match output {
                    Output::Unit(unit) => {
                        let frame = decoder.decode(&unit.data, unit.pts_us).unwrap().remove(0);
                        self.merge.push(description, unit.frame_number, frame, now_us);
                    }
                    Output::NeedRecovery(recovery) => self.asked.push((now_us, description, recovery)),
                    Output::Lost { .. } => {}
                }
            }
        }
        while let Some(shown) = self.merge.poll(now_us) {
            self.shown.push((shown.number, shown.picture));
        }
    }

    fn numbers(&self) -> Vec<u64> {
        self.shown.iter().map(|(number, _)| *number).collect()
    }
}

fn total(kbps: u32) -> EncoderConfig {
    EncoderConfig { bitrate_kbps: kbps, ..quiet(SIZE, Mode::L1T3) }
}

/// Publishes the clip to one viewer; `arrives` decides about each picture, requests travel back.
fn live(count: u8, arrives: impl Fn(&Described) -> bool) -> Viewer {
    let split = Split::new(count).unwrap();
    let (mut encoders, mut viewer) = (Encoders::new(&total(600), split).unwrap(), Viewer::new(split));
    let mut answered = 0;
    for (number, frame) in (0..).zip(clip(SIZE, PICTURES)) {
        let now_us = number * FRAME_US;
        while let Some((at, description, recovery)) =
            viewer.asked.get(answered).filter(|ask| ask.0 + RETURN_US <= now_us)
        {
            assert!(*at <= now_us);
            encoders.request(*description, *recovery);
            answered += 1;
        }
        let described = encoders.encode(&frame).unwrap();
        assert_eq!(described.number, number);
        if arrives(&described) {
            viewer.receive(described.description, described.layers, now_us + PATH_US);
        }
        (PATH_US..PATH_US + FRAME_US).step_by(5_000).for_each(|after| viewer.turn(now_us + after));
    }
    viewer.turn(u64::from(PICTURES + 10) * FRAME_US);
    viewer
}

/// Every shown picture is bit-exact with the same picture of the viewer who got everything.
fn assert_exact(viewer: &Viewer, full: &Viewer) {
    for (number, frame) in &viewer.shown {
        assert_eq!(frame.i420(), full.shown[*number as usize].1.i420(), "picture {number}");
    }
}

#[test]
fn whoever_gets_everything_sees_everything_in_order() {
    for count in [1, 2, 4] {
        let viewer = live(count, |_| true);
        assert_eq!(viewer.numbers(), (0..u64::from(PICTURES)).collect::<Vec<_>>());
        assert!(viewer.asked.is_empty());
        assert_eq!(viewer.merge.counters().repeated, 0);
        let shown: Vec<Frame> = viewer.shown.into_iter().map(|(_, frame)| frame).collect();
        let quality = psnr(&clip(SIZE, PICTURES), &shown);
        assert!(quality > 30.0, "{count}: {quality:.1} dB");
    }
}

#[test]
fn part_of_the_descriptions_is_that_part_of_the_pictures_at_full_quality() {
    let source = clip(SIZE, PICTURES);
    for (count, subset, gap) in [(2, &[0][..], 2), (2, &[1], 2), (4, &[0, 1], 2), (4, &[0, 2], 3), (4, &[3], 4)] {
        let full = live(count, |_| true);
        let part = live(count, |picture| subset.contains(&picture.description));
        assert_eq!(part.shown.len() * usize::from(count), PICTURES as usize * subset.len(), "{subset:?} of {count}");
        assert_exact(&part, &full);
        let numbers = part.numbers();
        assert_eq!(numbers.windows(2).map(|pair| pair[1] - pair[0]).max(), Some(gap), "{subset:?} of {count}");
        assert_eq!(usize::from(part.merge.contributing(u64::from(PICTURES) * FRAME_US)), subset.len());
        let quality = |viewer: &Viewer| {
            let pick = |number: &u64| source[*number as usize].clone();
            let originals: Vec<Frame> = viewer.numbers().iter().map(pick).collect();
            psnr(&originals, &viewer.shown.iter().map(|(_, frame)| frame.clone()).collect::<Vec<_>>())
        };
        assert!((quality(&part) - quality(&full)).abs() < 1.5, "{subset:?} of {count}");
    }
}

/// With the pattern 0 2 1 2 in each description, picture 52 is the third of its four and 56 the first.
#[test]
fn a_lost_base_picture_freezes_its_description_alone_until_the_long_term_reference() {
    let upper = live(2, |picture| picture.number != 52);
    let base = live(2, |picture| picture.number != 56);
    assert!(upper.shown.len() > base.shown.len(), "an upper layer costs less than the base");
    let numbers = base.numbers();
    let missing: Vec<u64> = (0..u64::from(PICTURES)).filter(|number| !numbers.contains(number)).collect();
    assert!(missing.iter().all(|number| number % 2 == 0 && *number >= 56), "{missing:?}");
    assert!(missing.len() > 1 && missing.len() < 10, "{missing:?}");
    let asked: Vec<_> = base.asked.iter().map(|(_, description, recovery)| (*description, *recovery)).collect();
    assert_eq!(asked, [(0, Recovery::LongTermReference)]);
}

#[test]
fn a_description_that_was_gone_comes_back_by_a_key_frame_of_its_own() {
    let gone = 20..70;
    let viewer = live(2, |picture| picture.description == 0 || !gone.contains(&picture.number));
    assert!(viewer.asked.iter().all(|(_, description, _)| *description == 1));
    let numbers = viewer.numbers();
    assert!((0..u64::from(PICTURES)).step_by(2).all(|number| numbers.contains(&number)), "the other goes on");
    let back = numbers.iter().find(|number| **number >= 20 && **number % 2 == 1);
    assert!(back.is_some_and(|number| *number < 70 + 16), "{back:?}");
    let asked: Vec<_> = viewer.asked.iter().map(|(_, _, recovery)| *recovery).collect();
    assert_eq!(asked, [Recovery::LongTermReference, Recovery::KeyFrame], "the long-term reference was lost as well");
    assert!(numbers.is_sorted());
}

/// Whatever is not cut is what one encoder makes, to the byte.
#[test]
fn one_description_is_the_plain_stream() {
    let (mut one, mut plain) = (Encoders::new(&total(300), Split::WHOLE).unwrap(), Encoder::new(total(300)).unwrap());
    for (number, frame) in (0..).zip(clip(SIZE, 12)) {
        let described = one.encode(&frame).unwrap();
        assert_eq!((described.number, described.description), (number, 0));
        assert_eq!(described.layers, plain.encode(&frame).unwrap());
    }
}

#[test]
fn descriptions_share_the_rate_and_count_on_from_a_restart() {
    let split = Split::new(4).unwrap();
    let rate = |count: u8| {
        let mut encoders = Encoders::new(&total(400), Split::new(count).unwrap()).unwrap();
        let frames = clip(SIZE, PICTURES);
        let sizes = frames.iter().map(|frame| encoders.encode(frame).unwrap());
        let bytes: usize = sizes.flat_map(|picture| picture.layers).map(|layer| layer.data.len()).sum();
        bytes * 8 / 1_000 * 30 / PICTURES as usize
    };
    for count in [1, 2, 4] {
        let kbps = rate(count);
        assert!((200..=560).contains(&kbps), "{count}: {kbps} kbit/s of 400");
    }
    let mut later = Encoders::new(&EncoderConfig { first_frame_number: 1_001, ..total(400) }, split).unwrap();
    let first = later.encode(&clip(SIZE, 1)[0]).unwrap();
    assert_eq!((first.number, first.description, first.layers[0].frame_number), (1_004, 0, 251));
    assert!(later.set_bitrate(60).is_err(), "15 kbit/s each is below what an encoder takes");
    assert!(matches!(Encoders::new(&total(60), split), Err(Error::InvalidConfig { field: "bitrate_kbps", .. })));
}

/// A picture that is refused before it is encoded does not take a turn.
#[test]
fn a_refused_picture_keeps_the_turn() {
    let mut encoders = Encoders::new(&total(400), Split::new(2).unwrap()).unwrap();
    let frames = clip(SIZE, 3);
    assert_eq!(encoders.encode(&frames[0]).unwrap().description, 0);
    assert!(encoders.encode(&clip((640, 360), 1)[0]).is_err());
    assert_eq!((encoders.next_number(), encoders.encode(&frames[1]).unwrap().description), (1, 1));
}
