use super::config::{check_bitrate, check_loss};
use super::opus::{RawEncoder, Setting};
use super::{Cause, EncoderConfig, Error, OPUS_RATE_HZ, Packet};

/// Room for one encoded packet, in bytes.
pub const MAX_ENCODED_LEN: usize = 4_000;

/// An Opus encoder: one block of samples in, one packet out, with forward error correction in each.
pub struct Encoder {
    raw: RawEncoder,
    config: EncoderConfig,
}

impl Encoder {
    /// Makes an encoder. A field out of bounds is [`Error::InvalidConfig`], a refusal of the library
    /// [`Error::EncodeFailed`].
    pub fn new(config: EncoderConfig) -> Result<Self, Error> {
        config.check()?;
        let raw = prepared(&config).map_err(Error::EncodeFailed)?;
        Ok(Self { raw, config })
    }

    /// Encodes exactly [`EncoderConfig::samples`] interleaved samples.
    pub fn encode(&mut self, pcm: &[i16]) -> Result<Packet, Error> {
        let expected = self.config.samples();
        if pcm.len() != expected {
            return Err(Error::PcmSizeMismatch { expected, actual: pcm.len() });
        }
        let mut data = vec![0; MAX_ENCODED_LEN];
        let len = self.raw.encode(pcm, &mut data).map_err(Error::EncodeFailed)?;
        data.truncate(len);
        data.shrink_to_fit();
        Ok(Packet { data, duration_us: self.config.frame_duration.micros() })
    }

    /// Tells the encoder the share of packets that receivers report lost, 0 to 100 %.
    pub fn set_expected_loss(&mut self, percent: u8) -> Result<(), Error> {
        check_loss(percent)?;
        self.raw.set(Setting::LossPercent(percent)).map_err(Error::EncodeFailed)?;
        self.config.expected_loss_percent = percent;
        Ok(())
    }

    /// Changes the bit rate from the next packet on; bounds as in [`EncoderConfig::BITRATE_KBPS`].
    pub fn set_bitrate(&mut self, kbps: u32) -> Result<(), Error> {
        check_bitrate(kbps)?;
        self.raw.set(bitrate(kbps)).map_err(Error::EncodeFailed)?;
        self.config.bitrate_kbps = Some(kbps);
        Ok(())
    }

    /// Samples at 48 kHz that a player drops at the start because the encoder adds them.
    pub fn pre_skip(&mut self) -> Result<u16, Error> {
        let samples = self.raw.lookahead().map_err(Error::EncodeFailed)?;
        let at_48k = samples.saturating_mul(OPUS_RATE_HZ / self.config.sample_rate_hz);
        Ok(u16::try_from(at_48k).unwrap_or(u16::MAX))
    }

    /// What the encoder was made for, with the current bit rate and expected loss.
    pub fn config(&self) -> &EncoderConfig {
        &self.config
    }
}

fn prepared(config: &EncoderConfig) -> Result<RawEncoder, Cause> {
    let mut raw = RawEncoder::new(config.sample_rate_hz, config.channels, config.application)?;
    for setting in [
        Setting::Vbr(true),
        Setting::VbrConstraint(true),
        Setting::InbandFec(true),
        Setting::LossPercent(config.expected_loss_percent),
        Setting::Dtx(false),
    ] {
        raw.set(setting)?;
    }
    if let Some(kbps) = config.bitrate_kbps {
        raw.set(bitrate(kbps))?;
    }
    Ok(raw)
}

fn bitrate(kbps: u32) -> Setting {
    Setting::BitrateBps(i32::try_from(kbps.saturating_mul(1_000)).unwrap_or(i32::MAX))
}
