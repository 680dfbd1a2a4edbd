//! The only door to libopus: its encoder and decoder behind types that own their state.
#![allow(unsafe_code)]

use std::ffi::c_int;
use std::ptr::{self, NonNull};

use opusic_sys as sys;

use super::{Application, Cause};

/// Sampling rates that libopus takes, in Hz.
pub(super) const RATES_HZ: [u32; 5] = [8_000, 12_000, 16_000, 24_000, 48_000];

/// An integer setting of an encoder.
#[derive(Debug, Clone, Copy)]
pub(super) enum Setting {
    BitrateBps(i32),
    InbandFec(bool),
    LossPercent(u8),
    Dtx(bool),
    Vbr(bool),
    VbrConstraint(bool),
}

/// A libopus encoder.
pub(super) struct RawEncoder {
    state: NonNull<sys::OpusEncoder>,
    channels: u8,
}

// SAFETY: the state is reached only through this value, `&mut self` on every call keeps uses apart, and libopus ties no
// state to the thread that made it.
unsafe impl Send for RawEncoder {}

impl RawEncoder {
    /// `sample_rate_hz` and `channels` are checked by the library as well.
    pub(super) fn new(sample_rate_hz: u32, channels: u8, application: Application) -> Result<Self, Cause> {
        let application = match application {
            Application::Voip => sys::OPUS_APPLICATION_VOIP,
            Application::Audio => sys::OPUS_APPLICATION_AUDIO,
            Application::LowDelay => sys::OPUS_APPLICATION_RESTRICTED_LOWDELAY,
        };
        let rate = i32::try_from(sample_rate_hz).map_err(|_| Cause::Status(sys::OPUS_BAD_ARG))?;
        let mut status = sys::OPUS_OK;
        // SAFETY: `status` is valid for the call; the library refuses rates, channels and applications that it lacks.
        let state = unsafe { sys::opus_encoder_create(rate, c_int::from(channels), application, &mut status) };
        Ok(Self { state: created(state, status)?, channels })
    }

    pub(super) fn set(&mut self, setting: Setting) -> Result<(), Cause> {
        let (request, value) = match setting {
            Setting::BitrateBps(bps) => (sys::OPUS_SET_BITRATE_REQUEST, bps),
            Setting::InbandFec(on) => (sys::OPUS_SET_INBAND_FEC_REQUEST, on.into()),
            Setting::LossPercent(percent) => (sys::OPUS_SET_PACKET_LOSS_PERC_REQUEST, percent.into()),
            Setting::Dtx(on) => (sys::OPUS_SET_DTX_REQUEST, on.into()),
            Setting::Vbr(on) => (sys::OPUS_SET_VBR_REQUEST, on.into()),
            Setting::VbrConstraint(on) => (sys::OPUS_SET_VBR_CONSTRAINT_REQUEST, on.into()),
        };
        // SAFETY: the state is live, and each of these requests reads exactly one 32-bit integer.
        succeeded(unsafe { sys::opus_encoder_ctl(self.state.as_ptr(), request, value) }).map(drop)
    }

    /// Samples of one channel by which the decoded sound lags.
    pub(super) fn lookahead(&mut self) -> Result<u32, Cause> {
        let mut samples: sys::opus_int32 = 0;
        let request = sys::OPUS_GET_LOOKAHEAD_REQUEST;
        // SAFETY: the state is live, and this request writes one 32-bit integer to the pointer that it is given.
        succeeded(unsafe { sys::opus_encoder_ctl(self.state.as_ptr(), request, &raw mut samples) })?;
        Ok(u32::try_from(samples).unwrap_or(0))
    }

    /// Encodes all of `pcm` into `out` and returns the packet's length; the length must be one that Opus has.
    pub(super) fn encode(&mut self, pcm: &[i16], out: &mut [u8]) -> Result<usize, Cause> {
        let samples = int(pcm.len() / usize::from(self.channels))?;
        // SAFETY: `pcm` holds `samples` samples of each channel, `out` is as long as said, and the state is live.
        let len =
            unsafe { sys::opus_encode(self.state.as_ptr(), pcm.as_ptr(), samples, out.as_mut_ptr(), int(out.len())?) };
        succeeded(len)
    }
}

impl Drop for RawEncoder {
    fn drop(&mut self) {
        // SAFETY: the state came from the matching create and is not used again.
        unsafe { sys::opus_encoder_destroy(self.state.as_ptr()) }
    }
}

/// A libopus decoder.
pub(super) struct RawDecoder {
    state: NonNull<sys::OpusDecoder>,
    channels: u8,
}

// SAFETY: as for the encoder.
unsafe impl Send for RawDecoder {}

impl RawDecoder {
    pub(super) fn new(sample_rate_hz: u32, channels: u8) -> Result<Self, Cause> {
        let rate = i32::try_from(sample_rate_hz).map_err(|_| Cause::Status(sys::OPUS_BAD_ARG))?;
        let mut status = sys::OPUS_OK;
        // SAFETY: `status` is valid for the call; the library refuses rates and channels that it lacks.
        let state = unsafe { sys::opus_decoder_create(rate, c_int::from(channels), &mut status) };
        Ok(Self { state: created(state, status)?, channels })
    }

    /// Decodes `packet` into `pcm` and returns the samples of one channel.
    pub(super) fn decode(&mut self, packet: &[u8], pcm: &mut [i16]) -> Result<usize, Cause> {
        self.call(Some(packet), pcm, 0)
    }

    /// Fills `pcm` with the frame before `next`, from the copy that `next` carries.
    pub(super) fn decode_fec(&mut self, next: &[u8], pcm: &mut [i16]) -> Result<usize, Cause> {
        self.call(Some(next), pcm, 1)
    }

    /// Fills `pcm` with a guess of how the sound goes on.
    pub(super) fn conceal(&mut self, pcm: &mut [i16]) -> Result<usize, Cause> {
        self.call(None, pcm, 0)
    }

    fn call(&mut self, packet: Option<&[u8]>, pcm: &mut [i16], fec: c_int) -> Result<usize, Cause> {
        let (data, len) = packet.map_or((ptr::null(), 0), |packet| (packet.as_ptr(), packet.len()));
        let samples = int(pcm.len() / usize::from(self.channels))?;
        // SAFETY: `data` is null with length 0 (which asks for concealment) or as long as said, `pcm` has room for
        // `samples` samples of each channel, and the state is live.
        succeeded(unsafe { sys::opus_decode(self.state.as_ptr(), data, int(len)?, pcm.as_mut_ptr(), samples, fec) })
    }
}

impl Drop for RawDecoder {
    fn drop(&mut self) {
        // SAFETY: the state came from the matching create and is not used again.
        unsafe { sys::opus_decoder_destroy(self.state.as_ptr()) }
    }
}

/// Samples of one channel in `packet` at `sample_rate_hz`, from its first bytes.
pub(super) fn packet_samples(packet: &[u8], sample_rate_hz: u32) -> Result<usize, Cause> {
    let rate = i32::try_from(sample_rate_hz).map_err(|_| Cause::Status(sys::OPUS_BAD_ARG))?;
    // SAFETY: `packet` is as long as said, and the call reads no further.
    succeeded(unsafe { sys::opus_packet_get_nb_samples(packet.as_ptr(), int(packet.len())?, rate) })
}

/// Checks every length inside `packet`.
pub(super) fn packet_parse(packet: &[u8]) -> Result<usize, Cause> {
    const MAX_FRAMES: usize = 48;
    let mut sizes = [0i16; MAX_FRAMES];
    // SAFETY: `packet` is as long as said, `sizes` has room for the most frames that a packet can have, and the call
    // skips each of the other outputs when its pointer is null.
    succeeded(unsafe {
        let (none, nothing) = (ptr::null_mut(), ptr::null_mut());
        sys::opus_packet_parse(packet.as_ptr(), int(packet.len())?, none, nothing, sizes.as_mut_ptr(), ptr::null_mut())
    })
}

/// Whether a packet that [`packet_parse`] accepted carries a copy of the frame before it.
pub(super) fn packet_has_fec(packet: &[u8]) -> Result<bool, Cause> {
    // SAFETY: `packet` is as long as said, and the call reads no further.
    Ok(succeeded(unsafe { sys::opus_packet_has_lbrr(packet.as_ptr(), int(packet.len())?) })? > 0)
}

fn created<T>(state: *mut T, status: c_int) -> Result<NonNull<T>, Cause> {
    succeeded(status)?;
    NonNull::new(state).ok_or(Cause::OutOfMemory)
}

/// A negative return of libopus is a status, any other a count.
fn succeeded(returned: c_int) -> Result<usize, Cause> {
    usize::try_from(returned).map_err(|_| match returned {
        sys::OPUS_INVALID_PACKET => Cause::InvalidPacket,
        sys::OPUS_ALLOC_FAIL => Cause::OutOfMemory,
        other => Cause::Status(other),
    })
}

fn int(len: usize) -> Result<c_int, Cause> {
    c_int::try_from(len).map_err(|_| Cause::TooLong { len })
}
