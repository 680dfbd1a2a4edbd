use std::f64::consts::TAU;

/// A quiet sine with a higher, louder blip at the start of each second, 16 bits at 48 kHz.
#[derive(Debug, Clone)]
pub struct Tone {
    channels: u8,
    position: u64,
}

impl Tone {
    /// Samples a second.
    pub const SAMPLE_RATE: u32 = 48_000;

    /// Starts at media time 0 with 1 or 2 channels; other numbers are clamped.
    pub fn new(channels: u8) -> Self {
        Self { channels: channels.clamp(1, 2), position: 0 }
    }

    /// Channels, 1 or 2.
    pub fn channels(&self) -> u8 {
        self.channels
    }

    /// Time of the next sample, in µs of media time.
    pub fn pts_us(&self) -> u64 {
        let time = u128::from(self.position) * 1_000_000 / u128::from(Self::SAMPLE_RATE);
        u64::try_from(time).unwrap_or(u64::MAX)
    }

    /// Fills `out` with interleaved samples and moves on; a last incomplete pair of a stereo buffer is left alone.
    pub fn fill(&mut self, out: &mut [i16]) {
        for group in out.chunks_exact_mut(self.channels.into()) {
            group.fill(sample(self.position));
            self.position = self.position.wrapping_add(1);
        }
    }
}

const TONE_HZ: f64 = 440.0;
const TONE_LEVEL: f64 = 2_000.0;
const BLIP_HZ: f64 = 1_000.0;
const BLIP_LEVEL: f64 = 12_000.0;
const BLIP_SAMPLES: u64 = 2_400;

fn sample(position: u64) -> i16 {
    let within = position % u64::from(Tone::SAMPLE_RATE);
    let (hz, level) = if within < BLIP_SAMPLES { (BLIP_HZ, BLIP_LEVEL) } else { (TONE_HZ, TONE_LEVEL) };
    // Both frequencies fit a whole number of periods into a second, so the second's start is a fine origin.
    (level * (TAU * hz * within as f64 / f64::from(Tone::SAMPLE_RATE)).sin()) as i16
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peak(samples: &[i16]) -> u16 {
        samples.iter().map(|sample| sample.unsigned_abs()).max().unwrap()
    }

    #[test]
    fn each_second_starts_with_a_blip() {
        let mut samples = vec![0; 96_000];
        Tone::new(1).fill(&mut samples);
        for second in [0, 48_000] {
            assert!(peak(&samples[second..second + 2_400]) > 11_000);
            assert!((1_500..2_500).contains(&peak(&samples[second + 2_400..second + 48_000])));
        }
    }

    #[test]
    fn blocks_join_without_a_seam_and_channels_agree() {
        let (mut whole, mut pieces) = (vec![0; 1_920], vec![0; 1_920]);
        Tone::new(2).fill(&mut whole);
        let mut tone = Tone::new(2);
        pieces.chunks_mut(960).for_each(|block| tone.fill(block));
        assert_eq!(whole, pieces);
        assert!(whole.chunks(2).all(|pair| pair[0] == pair[1]));
        assert_eq!(tone.pts_us(), 20_000);
    }
}
