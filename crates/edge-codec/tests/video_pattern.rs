//! The frame number in the test pattern survives what a stream does to it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod video_support;

use edge_codec::pattern::{self, read_frame_number};
use edge_codec::video::{EncoderConfig, Mode};
use video_support::{decode_all, encode};

#[test]
fn the_number_is_readable_in_the_smallest_layer_of_a_thin_stream() {
    let config = EncoderConfig::live(640, 360, 200).with_mode(Mode::L3T3);
    let stream = encode(&config, 90, &[]);
    let base: usize = stream.iter().map(|layers| layers[0].data.len()).sum();
    for (number, frame) in (0..).zip(decode_all(&stream, 0)) {
        assert_eq!((frame.width(), frame.height()), (160, 90));
        assert_eq!(read_frame_number(&frame), Some(number), "at {} kbit/s", base * 8 / 3 / 1_000);
    }
}

#[test]
fn the_number_is_readable_in_every_layer_and_scaled_up() {
    let config = EncoderConfig::live(640, 360, 600).with_mode(Mode::L3T3);
    let stream = encode(&config, 40, &[]);
    for top in 0..3 {
        for (number, frame) in (0..).zip(decode_all(&stream, top)) {
            assert_eq!(read_frame_number(&frame), Some(number));
            assert_eq!(read_frame_number(&frame.scale_to(1280, 720).unwrap()), Some(number));
        }
    }
}

/// The flash and the blip mark the same moment.
#[test]
fn picture_and_sound_meet_at_whole_seconds() {
    let video = pattern::Video::new(640, 360, (30, 1)).unwrap();
    let mut tone = pattern::Tone::new(1);
    for number in 0..60 {
        let frame = video.frame(number);
        let flash = frame.y()[30 * 640 + 600] == 235;
        let mut samples = [0; 1_600];
        assert_eq!(tone.pts_us(), frame.pts_us);
        tone.fill(&mut samples);
        let blip = samples.iter().any(|sample| sample.unsigned_abs() > 10_000);
        assert_eq!((flash, blip), (number % 30 == 0, number % 30 < 2), "picture {number}");
    }
}
