//! WebM: AV1 and Opus, written live to a pipe or as a finished file, read from either.

mod ebml;
mod read;
mod write;

pub use read::Reader;
pub use write::{FileWriter, LiveWriter, Tracks};

/// First bytes of a WebM stream.
pub const MAGIC: &[u8] = &[0x1a, 0x45, 0xdf, 0xa3];

const FORMAT: &str = "WebM";
const AV1: &[u8] = b"V_AV1";
const OPUS: &[u8] = b"A_OPUS";
const OPUS_HEAD: &[u8] = b"OpusHead";
const VIDEO_TYPE: u64 = 1;
const AUDIO_TYPE: u64 = 2;
