use super::Error;

/// What an encoder is made for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EncoderConfig {
    /// 8 000, 12 000, 16 000, 24 000 or 48 000 Hz.
    pub sample_rate_hz: u32,
    /// 1 or 2, interleaved.
    pub channels: u8,
    /// What the sound is.
    pub application: Application,
    /// 6 to 510 kbit/s; none = the library chooses by rate and channels.
    pub bitrate_kbps: Option<u32>,
    /// Length of the sound in one packet.
    pub frame_duration: FrameDuration,
    /// Share of packets, 0 to 100 %, that receivers lose; how much forward error correction is worth depends on it.
    pub expected_loss_percent: u8,
}

impl EncoderConfig {
    /// Allowed bit rates in kbit/s.
    pub const BITRATE_KBPS: std::ops::RangeInclusive<u32> = 6..=510;

    /// Live voice: 48 kHz mono, 20 ms, 32 kbit/s, corrects scattered losses.
    pub const VOICE: Self = Self {
        sample_rate_hz: 48_000,
        channels: 1,
        application: Application::Voip,
        bitrate_kbps: Some(32),
        frame_duration: FrameDuration::Ms20,
        expected_loss_percent: 15,
    };

    /// Samples that one packet takes, over all channels.
    pub fn samples(&self) -> usize {
        self.frame_duration.samples(self.sample_rate_hz) * usize::from(self.channels)
    }

    pub(super) fn check(&self) -> Result<(), Error> {
        check_format(self.sample_rate_hz, self.channels)?;
        check_loss(self.expected_loss_percent)?;
        self.bitrate_kbps.map_or(Ok(()), check_bitrate)
    }
}

impl Default for EncoderConfig {
    fn default() -> Self {
        Self::VOICE
    }
}

/// What the encoder tunes itself for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Application {
    /// Speech.
    #[default]
    Voip,
    /// Music and mixed sound.
    Audio,
    /// Lowest delay; has no forward error correction.
    LowDelay,
}

/// Length of the sound in one packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum FrameDuration {
    /// 2.5 ms.
    Ms2_5,
    /// 5 ms.
    Ms5,
    /// 10 ms.
    Ms10,
    /// 20 ms.
    #[default]
    Ms20,
    /// 40 ms.
    Ms40,
    /// 60 ms.
    Ms60,
}

impl FrameDuration {
    const ALL: [Self; 6] = [Self::Ms2_5, Self::Ms5, Self::Ms10, Self::Ms20, Self::Ms40, Self::Ms60];

    /// From the one-byte form: whole milliseconds, where 0 stands for 2.5 ms; others are [`Error::InvalidConfig`].
    pub fn from_hint(hint: u8) -> Result<Self, Error> {
        let known = Self::ALL.into_iter().find(|duration| duration.hint() == hint);
        let (field, value, requirement) = ("frame_duration_ms", hint.into(), "0 (2.5 ms), 5, 10, 20, 40 or 60");
        known.ok_or(Error::InvalidConfig { field, value, requirement })
    }

    /// The one-byte form: whole milliseconds, where 0 stands for 2.5 ms.
    pub const fn hint(self) -> u8 {
        match self {
            Self::Ms2_5 => 0,
            Self::Ms5 => 5,
            Self::Ms10 => 10,
            Self::Ms20 => 20,
            Self::Ms40 => 40,
            Self::Ms60 => 60,
        }
    }

    /// The length in µs.
    pub const fn micros(self) -> u32 {
        match self {
            Self::Ms2_5 => 2_500,
            whole => whole.hint() as u32 * 1_000,
        }
    }

    /// Samples of one channel at a rate.
    pub const fn samples(self, sample_rate_hz: u32) -> usize {
        samples(self.micros(), sample_rate_hz)
    }
}

/// Samples of one channel in `micros` of sound.
pub(super) const fn samples(micros: u32, sample_rate_hz: u32) -> usize {
    (micros as u64 * sample_rate_hz as u64 / 1_000_000) as usize
}

pub(super) fn check_format(sample_rate_hz: u32, channels: u8) -> Result<(), Error> {
    if !super::opus::RATES_HZ.contains(&sample_rate_hz) {
        let requirement = "8000, 12000, 16000, 24000 or 48000";
        return Err(Error::InvalidConfig { field: "sample_rate_hz", value: sample_rate_hz, requirement });
    }
    match channels {
        1 | 2 => Ok(()),
        _ => Err(Error::InvalidConfig { field: "channels", value: channels.into(), requirement: "1 or 2" }),
    }
}

pub(super) fn check_loss(percent: u8) -> Result<(), Error> {
    match percent {
        0..=100 => Ok(()),
        _ => {
            let (field, requirement) = ("expected_loss_percent", "0 to 100");
            Err(Error::InvalidConfig { field, value: percent.into(), requirement })
        }
    }
}

pub(super) fn check_bitrate(kbps: u32) -> Result<(), Error> {
    match EncoderConfig::BITRATE_KBPS.contains(&kbps) {
        true => Ok(()),
        false => Err(Error::InvalidConfig { field: "bitrate_kbps", value: kbps, requirement: "6 to 510" }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_their_samples_and_hints() {
        let at_8k: Vec<_> = FrameDuration::ALL.iter().map(|duration| duration.samples(8_000)).collect();
        let at_48k: Vec<_> = FrameDuration::ALL.iter().map(|duration| duration.samples(48_000)).collect();
        assert_eq!(at_8k, [20, 40, 80, 160, 320, 480]);
        assert_eq!(at_48k, [120, 240, 480, 960, 1920, 2880]);
        assert_eq!(FrameDuration::from_hint(0).unwrap(), FrameDuration::Ms2_5);
        for hint in [1, 3, 30, 80, 255] {
            let refused = FrameDuration::from_hint(hint).unwrap_err();
            assert!(refused.to_string().contains(&hint.to_string()), "{refused}");
        }
    }
}
