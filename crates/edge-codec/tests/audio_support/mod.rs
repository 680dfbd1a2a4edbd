//! Sound for the audio tests.

use edge_codec::audio::{Encoder, EncoderConfig};

/// A voice-like sound: a gliding fundamental with harmonics in syllables, so that the encoder takes it for speech.
pub(crate) fn voice(samples: usize, rate: u32, channels: usize) -> Vec<i16> {
    let mut phase = 0.0f64;
    (0..samples)
        .flat_map(|at| {
            let seconds = at as f64 / f64::from(rate);
            phase += (140.0 + 30.0 * (seconds * 5.0).sin()) / f64::from(rate);
            let tone: f64 = (1..8).map(|harmonic| (phase * f64::from(harmonic) * std::f64::consts::TAU).sin()).sum();
            let swell = 0.55 + 0.45 * (seconds * 25.0).sin();
            vec![(tone * swell * 2_500.0) as i16; channels]
        })
        .collect()
}

/// `count` packets of that sound.
pub(crate) fn packets(config: EncoderConfig, count: usize) -> Vec<Vec<u8>> {
    let mut encoder = Encoder::new(config).unwrap();
    let per_channel = config.frame_duration.samples(config.sample_rate_hz);
    let pcm = voice(per_channel * count, config.sample_rate_hz, config.channels.into());
    pcm.chunks(config.samples()).map(|block| encoder.encode(block).unwrap().data).collect()
}
