use std::fmt;
use std::str::FromStr;

use super::{Error, MAX_FRAME_NUMBER, MAX_HEIGHT, MAX_WIDTH, MIN_SIDE};

/// How many spatial and temporal layers a stream has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Mode {
    /// One layer.
    L1T1,
    /// One size, two frame rates.
    L1T2,
    /// One size, three frame rates: needs less bit rate than one layer, so it is the default.
    L1T3,
    /// Two sizes.
    L2T1,
    /// Two sizes, two frame rates.
    L2T2,
    /// Two sizes, three frame rates.
    L2T3,
    /// Three sizes.
    L3T1,
    /// Three sizes, two frame rates.
    L3T2,
    /// Three sizes, three frame rates.
    L3T3,
}

impl Mode {
    /// Every mode, fewest layers first.
    pub const ALL: [Self; 9] =
        [Self::L1T1, Self::L1T2, Self::L1T3, Self::L2T1, Self::L2T2, Self::L2T3, Self::L3T1, Self::L3T2, Self::L3T3];

    /// Picture sizes, 1 to 3; each layer doubles both sides.
    pub const fn spatial_layers(self) -> u8 {
        self as u8 / 3 + 1
    }

    /// Frame rates, 1 to 3; each layer doubles the rate.
    pub const fn temporal_layers(self) -> u8 {
        self as u8 % 3 + 1
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "L{}T{}", self.spatial_layers(), self.temporal_layers())
    }
}

impl FromStr for Mode {
    type Err = Error;

    /// Reads `L1T1` to `L3T3`, in either case.
    fn from_str(text: &str) -> Result<Self, Error> {
        let named = |mode: &Self| mode.to_string().eq_ignore_ascii_case(text);
        Self::ALL.into_iter().find(named).ok_or(invalid("mode", "one of L1T1, L1T2, L1T3, L2T1 … L3T3"))
    }
}

/// What an [`Encoder`](super::Encoder) is made for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EncoderConfig {
    /// Columns of the highest layer; a multiple of 2 with one spatial layer, else of 4.
    pub width: u32,
    /// Rows of the highest layer; as `width`.
    pub height: u32,
    /// Rate of all layers together, in kbit/s.
    pub bitrate_kbps: u32,
    /// Frames a second as a fraction, numerator and denominator.
    pub frame_rate: (u32, u32),
    /// Layers.
    pub mode: Mode,
    /// Effort: 5 best to 11 fastest, others are clamped.
    pub speed: u8,
    /// Threads of the encoder library, 1 to [`EncoderConfig::MAX_THREADS`].
    pub threads: u8,
    /// Longest time between key frames, in ms.
    pub key_interval_ms: u32,
    /// Longest time between pictures at which a receiver may start an upper spatial layer, in ms.
    pub switch_interval_ms: u32,
    /// Time between refreshes of the long-term reference, in ms.
    pub long_term_interval_ms: u32,
    /// Number of the first picture: an encoder that replaces another one in the same stream goes on counting.
    pub first_frame_number: u64,
}

impl EncoderConfig {
    /// Most threads of one encoder.
    pub const MAX_THREADS: u8 = 16;
    /// Bounds of `bitrate_kbps`.
    pub const BITRATE_KBPS: std::ops::RangeInclusive<u32> = 16..=100_000;

    /// A live stream of the given size with three frame rates: speed 9, a key frame at least every 2 s.
    pub fn live(width: u32, height: u32, bitrate_kbps: u32) -> Self {
        Self {
            width,
            height,
            bitrate_kbps,
            frame_rate: (30, 1),
            mode: Mode::L1T3,
            speed: 9,
            threads: if u64::from(width) * u64::from(height) > 640 * 360 { 2 } else { 1 },
            key_interval_ms: 2_000,
            switch_interval_ms: 2_000,
            long_term_interval_ms: 1_000,
            first_frame_number: 0,
        }
    }

    /// The same stream with other layers.
    pub fn with_mode(self, mode: Mode) -> Self {
        Self { mode, ..self }
    }

    pub(super) fn check(&self) -> Result<(), Error> {
        let layers = self.mode.spatial_layers();
        let step = if layers == 1 { 2 } else { 4 };
        let smallest = MIN_SIDE << (layers - 1);
        let side = |side: u32, most| (smallest..=most).contains(&side) && side.is_multiple_of(step);
        require(side(self.width, MAX_WIDTH), "width", SIDE)?;
        require(side(self.height, MAX_HEIGHT), "height", SIDE)?;
        require(Self::BITRATE_KBPS.contains(&self.bitrate_kbps), "bitrate_kbps", "16 to 100000")?;
        let (num, den) = self.frame_rate;
        let rate = den > 0 && num >= den && num <= den.saturating_mul(240) && num <= MAX_RATE_TERM;
        require(rate, "frame_rate", "1 to 240 frames a second, as a fraction of numbers up to 1000000")?;
        require((1..=Self::MAX_THREADS).contains(&self.threads), "threads", "1 to 16")?;
        require(INTERVAL_MS.contains(&self.key_interval_ms), "key_interval_ms", INTERVAL)?;
        require(INTERVAL_MS.contains(&self.switch_interval_ms), "switch_interval_ms", INTERVAL)?;
        require(LONG_TERM_MS.contains(&self.long_term_interval_ms), "long_term_interval_ms", "100 to 5000 ms")?;
        let countable = self.first_frame_number <= MAX_FRAME_NUMBER / 2;
        require(countable, "first_frame_number", "low enough to count on from")
    }
}

const SIDE: &str = "even (a multiple of 4 with several sizes), and from 16 pixels in the smallest layer to 4096x2304";
const INTERVAL: &str = "100 to 600000 ms";
const INTERVAL_MS: std::ops::RangeInclusive<u32> = 100..=600_000;
/// Receivers remember that they have the long-term reference for a bounded time.
const LONG_TERM_MS: std::ops::RangeInclusive<u32> = 100..=5_000;
const MAX_RATE_TERM: u32 = 1_000_000;

fn require(holds: bool, field: &'static str, requirement: &'static str) -> Result<(), Error> {
    if holds { Ok(()) } else { Err(invalid(field, requirement)) }
}

const fn invalid(field: &'static str, requirement: &'static str) -> Error {
    Error::InvalidConfig { field, requirement }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modes_read_as_they_print() {
        for mode in Mode::ALL {
            assert_eq!(mode.to_string().parse(), Ok(mode));
            assert_eq!(mode.to_string().to_lowercase().parse(), Ok(mode));
        }
        assert_eq!((Mode::L2T3.spatial_layers(), Mode::L2T3.temporal_layers()), (2, 3));
        assert!("L4T1".parse::<Mode>().is_err());
    }

    #[test]
    fn each_bound_is_named() {
        let good = EncoderConfig::live(640, 360, 600);
        assert_eq!(good.check(), Ok(()));
        let refused = |change: fn(&mut EncoderConfig)| {
            let mut config = good.clone();
            change(&mut config);
            match config.check() {
                Err(Error::InvalidConfig { field, .. }) => field,
                other => panic!("{other:?}"),
            }
        };
        assert_eq!(refused(|config| config.width = 639), "width");
        assert_eq!(refused(|config| config.height = 14), "height");
        assert_eq!(refused(|config| (config.width, config.mode) = (642, Mode::L2T1)), "width");
        assert_eq!(refused(|config| (config.height, config.mode) = (60, Mode::L3T1)), "height");
        assert_eq!(refused(|config| config.bitrate_kbps = 0), "bitrate_kbps");
        assert_eq!(refused(|config| config.frame_rate = (30, 0)), "frame_rate");
        assert_eq!(refused(|config| config.frame_rate = (0, 1)), "frame_rate");
        assert_eq!(refused(|config| config.frame_rate = (241, 1)), "frame_rate");
        assert_eq!(refused(|config| config.threads = 0), "threads");
        assert_eq!(refused(|config| config.key_interval_ms = 0), "key_interval_ms");
        assert_eq!(refused(|config| config.first_frame_number = u64::MAX), "first_frame_number");
    }
}
