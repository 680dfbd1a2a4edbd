use super::config::{check_format, samples};
use super::opus::RawDecoder;
use super::packet::check;
use super::{Cause, Error, FrameDuration, MAX_PACKET_US, has_fec, opus, packet_duration_us};

/// An Opus decoder. Packets, corrections and concealments must come in the order of the sound.
pub struct Decoder {
    raw: RawDecoder,
    sample_rate_hz: u32,
    channels: u8,
}

impl Decoder {
    /// Makes a decoder to any rate and channels that Opus has, whatever the packets were encoded from.
    pub fn new(sample_rate_hz: u32, channels: u8) -> Result<Self, Error> {
        check_format(sample_rate_hz, channels)?;
        let raw = RawDecoder::new(sample_rate_hz, channels).map_err(Error::DecodeFailed)?;
        Ok(Self { raw, sample_rate_hz, channels })
    }

    /// Decodes a packet to interleaved samples, as many as the packet itself says. An empty packet is
    /// [`Error::DecodeFailed`], not a loss.
    pub fn decode(&mut self, packet: &[u8]) -> Result<Vec<i16>, Error> {
        check(packet).map_err(Error::DecodeFailed)?;
        let samples = opus::packet_samples(packet, self.sample_rate_hz).map_err(Error::DecodeFailed)?;
        self.fill(samples, |raw, pcm| raw.decode(packet, pcm))
    }

    /// Decodes the frame that was lost just before `next`, from the copy inside `next`; then decode `next` itself.
    /// Without a copy it is [`Error::DecodeFailed`] with [`Cause::NoFec`].
    pub fn decode_fec(&mut self, next: &[u8]) -> Result<Vec<i16>, Error> {
        let duration_us = packet_duration_us(next)?;
        if !has_fec(next) {
            return Err(Error::DecodeFailed(Cause::NoFec));
        }
        self.fill(samples(duration_us, self.sample_rate_hz), |raw, pcm| raw.decode_fec(next, pcm))
    }

    /// Continues the sound over a lost frame; silence before the first packet.
    pub fn conceal(&mut self, duration: FrameDuration) -> Result<Vec<i16>, Error> {
        self.conceal_us(duration.micros())
    }

    /// Conceals a whole number of 2.5 ms steps, at most [`MAX_PACKET_US`].
    pub(super) fn conceal_us(&mut self, micros: u32) -> Result<Vec<i16>, Error> {
        let samples = samples(micros.min(MAX_PACKET_US), self.sample_rate_hz);
        self.fill(samples, RawDecoder::conceal)
    }

    /// Samples of one channel a second.
    pub fn sample_rate_hz(&self) -> u32 {
        self.sample_rate_hz
    }

    /// Channels of the interleaved output.
    pub fn channels(&self) -> u8 {
        self.channels
    }

    fn fill(
        &mut self,
        samples: usize,
        call: impl FnOnce(&mut RawDecoder, &mut [i16]) -> Result<usize, Cause>,
    ) -> Result<Vec<i16>, Error> {
        let channels = usize::from(self.channels);
        let mut pcm = vec![0; samples * channels];
        let decoded = call(&mut self.raw, &mut pcm).map_err(Error::DecodeFailed)?;
        pcm.truncate(decoded.saturating_mul(channels));
        Ok(pcm)
    }
}
