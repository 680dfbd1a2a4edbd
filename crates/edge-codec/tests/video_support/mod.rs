//! What the video tests share: encoded clips, the loss-free decode of each layer, and quality.
#![allow(dead_code)]

use edge_codec::pattern;
use edge_codec::video::{Decoder, Encoder, EncoderConfig, Frame, LayerFrame, Mode, Recovery};

/// The clip size: its smallest of three layers, 80x45, is not even and gets rounded.
pub(crate) const SIZE: (u32, u32) = (320, 180);
/// 30 frames a second.
pub(crate) const FRAME_US: u64 = 33_333;

/// Pictures of the built-in pattern.
pub(crate) fn clip(size: (u32, u32), count: u32) -> Vec<Frame> {
    let video = pattern::Video::new(size.0, size.1, (30, 1)).unwrap();
    (0..count).map(|number| video.frame(number)).collect()
}

/// A live configuration that never starts anything by itself in a short clip.
pub(crate) fn quiet(size: (u32, u32), mode: Mode) -> EncoderConfig {
    EncoderConfig {
        key_interval_ms: 600_000,
        switch_interval_ms: 600_000,
        ..EncoderConfig::live(size.0, size.1, 300).with_mode(mode)
    }
}

/// Encodes the pattern and makes each request before its picture.
pub(crate) fn encode(config: &EncoderConfig, count: u32, requests: &[(u32, Recovery)]) -> Vec<Vec<LayerFrame>> {
    let mut encoder = Encoder::new(config.clone()).unwrap();
    let frames = clip((config.width, config.height), count);
    let encode = |(number, frame): (u32, Frame)| {
        requests.iter().filter(|(at, _)| *at == number).for_each(|(_, recovery)| encoder.request(*recovery));
        encoder.encode(&frame).unwrap()
    };
    (0..).zip(frames).map(encode).collect()
}

/// One temporal unit of the layers up to `top`.
pub(crate) fn unit(layers: &[LayerFrame], top: u8) -> Vec<u8> {
    layers.iter().filter(|layer| layer.spatial <= top).flat_map(|layer| layer.data.to_vec()).collect()
}

/// Decodes every picture's layers up to `top`, one picture a unit.
pub(crate) fn decode_all(stream: &[Vec<LayerFrame>], top: u8) -> Vec<Frame> {
    let mut decoder = Decoder::new(1).unwrap();
    let decode = |layers: &Vec<LayerFrame>| {
        let mut frames = decoder.decode(&unit(layers, top), layers[0].pts_us).unwrap();
        assert_eq!(frames.len(), 1, "one unit is one picture, at once");
        frames.remove(0)
    };
    stream.iter().map(decode).collect()
}

/// Luma peak signal-to-noise ratio over all pictures, in dB.
pub(crate) fn psnr(source: &[Frame], decoded: &[Frame]) -> f64 {
    assert_eq!(source.len(), decoded.len());
    let squares = source.iter().zip(decoded).map(|(one, other)| {
        let other = other.scale_to(one.width(), one.height()).unwrap();
        let pixels = one.y().iter().zip(other.y());
        pixels.map(|(one, other)| f64::from(one.abs_diff(*other)).powi(2)).sum::<f64>()
    });
    let count: usize = source.iter().map(|frame| frame.y().len()).sum();
    10.0 * (255.0 * 255.0 * count as f64 / squares.sum::<f64>()).log10()
}
