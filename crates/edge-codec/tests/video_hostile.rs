//! Damaged, truncated and foreign bytes: typed errors, no picture that was not asked for, and a key frame heals.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod video_support;

use edge_codec::video::{Decoder, Error, MAX_UNIT_BYTES, Mode, Recovery, obu};
use proptest::prelude::*;
use proptest::test_runner::{Config, RngSeed};
use video_support::{SIZE, decode_all, encode, quiet, unit};

#[test]
fn decoding_starts_at_a_key_frame_only() {
    let stream = encode(&quiet(SIZE, Mode::L2T3), 8, &[(5, Recovery::KeyFrame)]);
    let mut decoder = Decoder::new(1).unwrap();
    for layers in &stream[1..5] {
        assert_eq!(decoder.decode(&unit(layers, 1), 0), Err(Error::NeedsKeyFrame));
        assert!(decoder.needs_key_frame());
    }
    assert_eq!(decoder.decode(&unit(&stream[5], 1), 9).unwrap()[0].pts_us, 9);
    assert!(!decoder.needs_key_frame() && decoder.flush().is_empty());
}

#[test]
fn lengths_out_of_bounds_are_refused() {
    let mut decoder = Decoder::new(1).unwrap();
    assert_eq!(decoder.decode(&[], 0), Err(Error::UnitLength { len: 0 }));
    let long = vec![0; MAX_UNIT_BYTES + 1];
    assert_eq!(decoder.decode(&long, 0), Err(Error::UnitLength { len: long.len() }));
}

/// Among the flips of a sequence header are more bits a sample, no colour and other chroma formats.
#[test]
fn other_picture_formats_are_refused() {
    let key = unit(&encode(&quiet(SIZE, Mode::L1T1), 1, &[])[0], 0);
    let header = obu::walk(&key).find(|part| part.kind == obu::SEQUENCE_HEADER).unwrap();
    let start = header.payload.as_ptr() as usize - key.as_ptr() as usize;
    let mut unsupported = 0;
    for bit in 0..header.payload.len() * 8 {
        let mut flipped = key.clone();
        flipped[start + bit / 8] ^= 0x80 >> (bit % 8);
        match Decoder::new(1).unwrap().decode(&flipped, 0) {
            Ok(frames) => frames.iter().for_each(|frame| assert!(frame.width() <= 4096 && frame.height() <= 2304)),
            Err(Error::UnsupportedPicture) => unsupported += 1,
            Err(error) => assert!(matches!(error, Error::DecodeFailed(_) | Error::InvalidFrame { .. }), "{error}"),
        }
    }
    assert!(unsupported > 0);
}

/// One way to damage a unit.
#[derive(Debug, Clone)]
enum Damage {
    Flip { at: prop::sample::Index, bit: u8 },
    Cut { at: prop::sample::Index },
    Repeat { at: prop::sample::Index },
    Replace { at: prop::sample::Index, with: Vec<u8> },
}

impl Damage {
    fn apply(&self, bytes: &mut Vec<u8>) {
        match self {
            Self::Flip { at, bit } => {
                let at = at.index(bytes.len());
                bytes[at] ^= 1 << bit;
            }
            Self::Cut { at } => bytes.truncate(1 + at.index(bytes.len())),
            Self::Repeat { at } => bytes.extend_from_within(at.index(bytes.len())..),
            Self::Replace { at, with } => {
                let at = at.index(bytes.len());
                bytes.splice(at..(at + with.len()).min(bytes.len()), with.iter().copied());
            }
        }
    }
}

fn damage() -> impl Strategy<Value = Damage> {
    prop_oneof![
        4 => (any::<prop::sample::Index>(), 0u8..8).prop_map(|(at, bit)| Damage::Flip { at, bit }),
        1 => any::<prop::sample::Index>().prop_map(|at| Damage::Cut { at }),
        1 => any::<prop::sample::Index>().prop_map(|at| Damage::Repeat { at }),
        2 => (any::<prop::sample::Index>(), prop::collection::vec(any::<u8>(), 1..40))
            .prop_map(|(at, with)| Damage::Replace { at, with }),
    ]
}

fn config() -> Config {
    Config { cases: 200, rng_seed: RngSeed::Fixed(0xdead), failure_persistence: None, ..Config::default() }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn a_damaged_unit_never_takes_the_decoder_down(
        picture in 0usize..6,
        threads in 1u8..3,
        damages in prop::collection::vec(damage(), 1..5),
    ) {
        static STREAM: std::sync::OnceLock<Vec<Vec<edge_codec::video::LayerFrame>>> = std::sync::OnceLock::new();
        let stream =
            STREAM.get_or_init(|| encode(&quiet((160, 96), Mode::L2T3), 8, &[(6, Recovery::KeyFrame)]));
        let mut decoder = Decoder::new(threads).unwrap();
        for (number, layers) in stream.iter().enumerate().take(6) {
            let mut bytes = unit(layers, 1);
            if number == picture {
                damages.iter().for_each(|damage| damage.apply(&mut bytes));
            }
            if let Err(error) = decoder.decode(&bytes, 0) {
                prop_assert!(number >= picture, "an intact unit before the damage failed: {error}");
            }
        }
        decoder.flush();
        let healed: Vec<_> = stream[6..].iter().map(|layers| decoder.decode(&unit(layers, 1), 0).unwrap()).collect();
        let whole = decode_all(&stream[6..], 1);
        prop_assert_eq!(healed[0].last().unwrap().i420(), whole[0].i420());
        prop_assert_eq!(healed[1].len(), 1);
    }

    #[test]
    fn bytes_without_any_structure_give_no_picture(bytes in prop::collection::vec(any::<u8>(), 1..300)) {
        let mut decoder = Decoder::new(1).unwrap();
        prop_assert!(decoder.decode(&bytes, 0).is_ok_and(|frames| frames.is_empty()) || decoder.needs_key_frame());
    }
}
