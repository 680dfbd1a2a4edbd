//! Opus voice and music: encoder, decoder, and the buffer that turns packets from a network into even sound.
//!
//! [`Encoder`] makes one packet of each block of samples. [`Jitter`] takes packets as a network delivers them and gives
//! one block of samples a tick, filling holes from the next packet's forward error correction or by concealment.
//! [`Decoder`] is the plain codec under it.

mod conceal;
mod config;
mod decoder;
mod encoder;
mod error;
mod jitter;
mod opus;
mod packet;

pub use conceal::{Concealed, Concealer, MAX_CONCEALED_US};
pub use config::{Application, EncoderConfig, FrameDuration};
pub use decoder::Decoder;
pub use encoder::{Encoder, MAX_ENCODED_LEN};
pub use error::{Cause, Error};
pub use jitter::{Arrival, Counters, Jitter, JitterConfig, MAX_WAITING, Origin, Played};
pub use packet::{MAX_PACKET_LEN, MAX_PACKET_US, Packet, has_fec, packet_duration_us};

/// Opus' own sampling rate, in Hz: pre-skip and container times count in it.
pub const OPUS_RATE_HZ: u32 = 48_000;
