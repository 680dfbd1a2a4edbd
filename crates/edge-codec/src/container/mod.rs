//! Files and pipes: Y4M, raw I420, IVF, WebM, MP4 and WAV in; Y4M, IVF, WebM and WAV out.
//!
//! Readers hold one frame or packet at a time and check every length against a named bound before they believe it.
//! [`source::open`] tells a file's format from its first bytes. What is AV1 or Opus already passes through as packets;
//! what is neither is refused with the command that converts it.

mod error;
mod input;
pub mod ivf;
pub mod mp4;
pub mod obu;
pub mod raw;
pub mod source;
pub mod wav;
pub mod webm;
pub mod y4m;

pub use error::{Error, Remedy};

/// Longest encoded video unit that is read or written, in bytes.
pub const MAX_UNIT_LEN: usize = crate::video::MAX_UNIT_BYTES;
/// Longest Opus packet that is read or written, in bytes.
pub const MAX_OPUS_LEN: usize = crate::audio::MAX_PACKET_LEN;

/// One temporal unit of AV1 in low-overhead form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EncodedUnit {
    /// Open bitstream units, temporal delimiter first.
    pub data: Vec<u8>,
    /// Whether decoding can start here.
    pub key: bool,
    /// Presentation time, in µs from the start of the stream.
    pub pts_us: u64,
}

/// One Opus packet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpusPacket {
    /// The packet, table of contents first.
    pub data: Vec<u8>,
    /// Presentation time, in µs from the start of the stream.
    pub pts_us: u64,
}

/// What a demuxer gives, in the order of the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Packet {
    /// Of the video track.
    Video(EncodedUnit),
    /// Of the audio track.
    Audio(OpusPacket),
}

/// A temporal unit as a container keeps it, made complete, and whether decoding can start there. Pictures other than
/// 8-bit 4:2:0 are [`Error::Unsupported`]: a viewer could not decode them.
fn complete_unit(unit: &[u8], config: &[u8]) -> Result<(Vec<u8>, bool), Error> {
    let (data, key) = obu::complete(unit, config)?;
    if key {
        check_i420(&data)?;
    }
    Ok((data, key))
}

fn check_i420(unit: &[u8]) -> Result<(), Error> {
    match obu::SequenceHeader::parse(obu::sequence_header(unit)?.payload)?.is_i420() {
        true => Ok(()),
        false => {
            let what = "a picture format other than 8-bit 4:2:0".into();
            Err(Error::Unsupported { format: "AV1", what, remedy: Remedy::Y4m })
        }
    }
}

/// An AV1 track.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VideoTrack {
    /// Luma columns.
    pub width: u32,
    /// Luma rows.
    pub height: u32,
    /// The configuration record `av1C`: four bytes, then the sequence header as a unit. Empty when the container has
    /// none: then the first key unit carries it.
    pub config: Vec<u8>,
}

impl VideoTrack {
    /// The track that begins with the key unit `unit`. A unit without a sequence header is [`Error::Malformed`].
    pub fn from_key_unit(unit: &[u8]) -> Result<Self, Error> {
        let header = obu::sequence_header(unit)?;
        let sequence = obu::SequenceHeader::parse(header.payload)?;
        let config = obu::config_record(&sequence, header);
        Ok(Self { width: sequence.max_width, height: sequence.max_height, config })
    }

    /// A track that a container describes; `config` may be empty.
    fn described(width: u32, height: u32, config: &[u8]) -> Result<Self, Error> {
        match config.get(obu::RECORD_LEN..) {
            None | Some([]) => {}
            Some(units) => check_i420(units)?,
        }
        Ok(Self { width, height, config: config.to_vec() })
    }
}

/// An Opus track.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AudioTrack {
    /// 1 or 2.
    pub channels: u8,
    /// Samples at 48 kHz that a player drops at the start.
    pub pre_skip: u16,
    /// Rate that the encoder was given, in Hz; only informative.
    pub sample_rate_hz: u32,
}

/// A frame rate, as a fraction of frames a second.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    num: u32,
    den: u32,
}

impl Rate {
    /// `num / den` frames a second; none when either is 0.
    pub const fn new(num: u32, den: u32) -> Option<Self> {
        match num == 0 || den == 0 {
            true => None,
            false => Some(Self { num, den }),
        }
    }

    /// Numerator.
    pub const fn num(self) -> u32 {
        self.num
    }

    /// Denominator.
    pub const fn den(self) -> u32 {
        self.den
    }

    /// Time at which frame number `frame` begins, in µs.
    pub fn time_us(self, frame: u64) -> u64 {
        let micros = u128::from(frame) * u128::from(self.den) * 1_000_000 / u128::from(self.num);
        u64::try_from(micros).unwrap_or(u64::MAX)
    }
}
