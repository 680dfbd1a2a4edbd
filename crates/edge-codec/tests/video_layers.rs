//! The encoder's contract: packets without delay, layers that may be dropped, and the errors that it promises.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod video_support;

use edge_codec::video::{Decoder, Encoder, EncoderConfig, Error, Frame, Mode, obu, unit_id};
use video_support::{FRAME_US, SIZE, clip, decode_all, encode, psnr, quiet, unit};

#[test]
fn every_picture_comes_back_at_once_with_its_own_time() {
    for mode in Mode::ALL {
        let mut encoder = Encoder::new(quiet(SIZE, mode)).unwrap();
        for (number, frame) in (0u64..).zip(clip(SIZE, 10)) {
            let frame = frame.at(7_000_000 + number * FRAME_US, 1_700_000_000_000_000 + number);
            let layers = encoder.encode(&frame).unwrap();
            assert_eq!(layers.len(), usize::from(mode.spatial_layers()));
            for (spatial, layer) in (0u8..).zip(&layers) {
                assert_eq!((layer.pts_us, layer.captured_us), (frame.pts_us, frame.captured_us));
                assert_eq!((layer.frame_number, layer.unit_id), (number, unit_id(number, spatial)));
                assert_eq!((layer.spatial, layer.key), (spatial, number == 0));
                assert_eq!(layer.end_of_unit, spatial + 1 == mode.spatial_layers());
            }
        }
    }
}

#[test]
fn the_bytes_say_the_same_layers_as_the_description() {
    for mode in Mode::ALL {
        for layers in encode(&quiet(SIZE, mode), 9, &[]) {
            for layer in &layers {
                let units: Vec<_> = obu::walk(&layer.data).collect();
                assert_eq!(units.iter().map(|unit| unit.bytes.len()).sum::<usize>(), layer.data.len());
                assert_eq!(units[0].kind == obu::TEMPORAL_DELIMITER, layer.spatial == 0);
                assert_eq!(obu::has_sequence_header(&layer.data), layer.key && layer.spatial == 0);
                let frames = units.iter().filter(|unit| unit.kind > obu::TEMPORAL_DELIMITER);
                frames.for_each(|unit| assert_eq!((unit.spatial, unit.temporal), (layer.spatial, layer.temporal)));
            }
        }
    }
}

#[test]
fn three_temporal_layers_follow_their_pattern_and_the_top_one_is_discardable() {
    let stream = encode(&quiet(SIZE, Mode::L1T3), 9, &[]);
    let temporal: Vec<u8> = stream.iter().map(|layers| layers[0].temporal).collect();
    assert_eq!(temporal, [0, 2, 1, 2, 0, 2, 1, 2, 0]);
    assert!(stream.iter().flatten().all(|layer| layer.discardable == (layer.temporal == 2)));
    assert!(stream.iter().flatten().all(|layer| layer.temporal_index == (layer.frame_number % 4) as u8));
}

/// Any subset of the layers, decoded from the start, equals the full decode bit for bit.
#[test]
fn every_subset_of_layers_decodes_bit_exact() {
    for mode in Mode::ALL {
        let stream = encode(&quiet(SIZE, mode), 40, &[]);
        for top in 0..mode.spatial_layers() {
            let whole = decode_all(&stream, top);
            for cap in 0..mode.temporal_layers() {
                let slow: Vec<_> = stream.iter().filter(|layers| layers[0].temporal <= cap).cloned().collect();
                let numbers = slow.iter().map(|layers| layers[0].frame_number as usize);
                let expected: Vec<_> = numbers.map(|number| whole[number].clone()).collect();
                assert_eq!(decode_all(&slow, top), expected, "{mode} up to {top}, {cap}");
            }
        }
    }
}

#[test]
fn upper_layers_double_the_size() {
    let stream = encode(&quiet((640, 360), Mode::L3T1), 2, &[]);
    for (top, width, height) in [(0, 160, 90), (1, 320, 180), (2, 640, 360)] {
        let frame = &decode_all(&stream, top)[1];
        assert_eq!((frame.width(), frame.height()), (width, height));
    }
}

#[test]
fn key_frames_come_at_the_interval_and_switches_between_them() {
    let config = EncoderConfig {
        key_interval_ms: 2_000,
        switch_interval_ms: 500,
        ..EncoderConfig::live(SIZE.0, SIZE.1, 300).with_mode(Mode::L2T3)
    };
    let stream = encode(&config, 130, &[]);
    let at = |wanted: fn(&edge_codec::video::LayerFrame) -> bool| {
        stream.iter().filter(|layers| wanted(&layers[0])).map(|layers| layers[0].frame_number).collect::<Vec<_>>()
    };
    assert_eq!(at(|layer| layer.key), [0, 60, 120]);
    assert_eq!(at(|layer| layer.switch), [0, 16, 32, 48, 60, 76, 92, 108, 120]);
    let uppers = stream.iter().filter(|layers| layers[0].switch).map(|layers| &layers[1]);
    uppers.for_each(|layer| assert_eq!(layer.references, [unit_id(layer.frame_number, 0)]));
}

#[test]
fn the_bit_rate_is_met_and_can_be_changed_on_the_way() {
    for (mode, first, second) in [(Mode::L1T1, 100, 250), (Mode::L1T3, 250, 800), (Mode::L3T3, 800, 300)] {
        let config = EncoderConfig { bitrate_kbps: first, ..quiet((640, 360), mode) };
        let mut encoder = Encoder::new(config).unwrap();
        let mut halves = [0, 0];
        for (number, frame) in clip((640, 360), 240).into_iter().enumerate() {
            if number == 120 {
                encoder.set_bitrate(second).unwrap();
            }
            let layers = encoder.encode(&frame).unwrap();
            assert_eq!(layers[0].key, number == 0, "a new rate needs no key frame");
            halves[number / 120] += layers.iter().map(|layer| layer.data.len() as u32).sum::<u32>();
        }
        for (bytes, target) in halves.into_iter().zip([first, second]) {
            let kbps = bytes * 8 / 4 / 1_000;
            assert!(kbps.abs_diff(target) * 5 <= target, "{mode}: {kbps} of {target} kbit/s");
        }
        assert!(matches!(encoder.set_bitrate(0), Err(Error::InvalidConfig { field: "bitrate_kbps", .. })));
        assert_eq!(encoder.config().bitrate_kbps, second);
    }
}

#[test]
fn the_picture_is_good_enough_to_look_at() {
    let source = clip((640, 360), 90);
    let config = EncoderConfig { bitrate_kbps: 600, ..quiet((640, 360), Mode::L1T3) };
    let quality = psnr(&source, &decode_all(&encode(&config, 90, &[]), 0));
    assert!(quality > 32.0, "{quality:.2} dB");
}

#[test]
fn wrong_pictures_are_refused_without_effect() {
    let mut encoder = Encoder::new(quiet(SIZE, Mode::L1T3)).unwrap();
    let frames = clip(SIZE, 3);
    encoder.encode(&frames[1]).unwrap();
    let other = Frame::black(SIZE.0, SIZE.1 + 2).unwrap().at(u64::MAX, 0);
    let (expected_w, expected_h) = SIZE;
    let mismatch = Error::DimensionsMismatch { expected_w, expected_h, actual_w: SIZE.0, actual_h: SIZE.1 + 2 };
    assert_eq!(encoder.encode(&other), Err(mismatch));
    let (pts_us, previous_us) = (frames[0].pts_us, frames[1].pts_us);
    assert_eq!(encoder.encode(&frames[0]), Err(Error::TimeNotAscending { pts_us, previous_us }));
    let layers = encoder.encode(&frames[2]).unwrap();
    assert_eq!((layers[0].frame_number, layers[0].key), (1, false));
}

#[test]
fn an_encoder_that_takes_over_goes_on_counting() {
    let config = EncoderConfig { first_frame_number: 1_000, ..quiet(SIZE, Mode::L2T1) };
    let stream = encode(&config, 2, &[]);
    assert_eq!(stream[0][1].unit_id, unit_id(1_000, 1));
    assert_eq!(stream[1][0].references, [unit_id(1_000, 0)]);
}

#[test]
fn encoder_and_decoder_can_move_to_their_own_threads() {
    let mut encoder = Encoder::new(quiet(SIZE, Mode::L1T1)).unwrap();
    let mut decoder = Decoder::new(2).unwrap();
    let source = clip(SIZE, 3);
    let stream: Vec<_> =
        std::thread::spawn(move || source.iter().map(|frame| encoder.encode(frame).unwrap()).collect()).join().unwrap();
    let count = std::thread::spawn(move || {
        let decode = |layers: &Vec<_>| decoder.decode(&unit(layers, 0), 5).unwrap().len();
        stream.iter().map(decode).sum::<usize>() + decoder.flush().len()
    });
    assert_eq!(count.join().unwrap(), 3);
}
