//! Link framing between our own peers: what surrounds a chunk on one hop. Specified in `docs/spec/link-framing.md`.

use crate::chunk;
use crate::id::LinkSeq;
use crate::{Error, Reader};

/// Bytes before the chunk: kind, hint, link_seq.
pub const PREFIX_LEN: usize = 1 + 2 + 8;

const KIND_MEDIA: u8 = 0x01;

/// What the publisher tells relays about a chunk, so that they can thin, queue and cache without opening it.
///
/// Authenticated only hop by hop; a relay that lies about it harms delivery, never confidentiality or integrity.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Hint {
    /// Decoding can start with the frame that this chunk belongs to.
    pub key: bool,
    /// First chunk of its frame.
    pub frame_start: bool,
    /// A relay may begin to send this chunk's spatial layer here.
    pub switch: bool,
    /// No later chunk depends on this one.
    pub discardable: bool,
    /// A sound chunk: never thinned, sent first.
    pub audio: bool,
    /// Low eight bits of the position of this frame in its temporal group, so that a relay keeps dependent
    /// frames together.
    pub temporal_index: u8,
}

impl Hint {
    const KEY: u8 = 1;
    const FRAME_START: u8 = 1 << 1;
    const SWITCH: u8 = 1 << 2;
    const DISCARDABLE: u8 = 1 << 3;
    const AUDIO: u8 = 1 << 4;

    /// The two bytes on the link.
    pub fn to_bytes(self) -> [u8; 2] {
        let bit = |on: bool, bit: u8| if on { bit } else { 0 };
        let flags = bit(self.key, Self::KEY)
            | bit(self.frame_start, Self::FRAME_START)
            | bit(self.switch, Self::SWITCH)
            | bit(self.discardable, Self::DISCARDABLE)
            | bit(self.audio, Self::AUDIO);
        [flags, self.temporal_index]
    }

    /// From the two bytes on the link; unknown flags are refused.
    pub fn from_bytes([flags, temporal_index]: [u8; 2]) -> Result<Self, Error> {
        let known = Self::KEY | Self::FRAME_START | Self::SWITCH | Self::DISCARDABLE | Self::AUDIO;
        if flags & !known != 0 {
            return Err(Error::Unknown { field: "hint", got: u64::from(flags) });
        }
        let has = |bit: u8| flags & bit != 0;
        Ok(Self {
            key: has(Self::KEY),
            frame_start: has(Self::FRAME_START),
            switch: has(Self::SWITCH),
            discardable: has(Self::DISCARDABLE),
            audio: has(Self::AUDIO),
            temporal_index,
        })
    }
}

/// One media message on a link: the hint, the link counter and the whole sealed chunk, borrowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Media<'a> {
    /// What a relay may know about the chunk.
    pub hint: Hint,
    /// Counter of the outer seal.
    pub seq: LinkSeq,
    /// The chunk as [`chunk::Sealed::parse`] takes it.
    pub chunk: &'a [u8],
}

impl<'a> Media<'a> {
    /// Parses one message; the chunk itself is not looked at beyond its length.
    pub fn parse(message: &'a [u8]) -> Result<Self, Error> {
        let mut reader = Reader::new(message);
        let kind = reader.u8("kind")?;
        if kind != KIND_MEDIA {
            return Err(Error::Unknown { field: "kind", got: u64::from(kind) });
        }
        let hint = Hint::from_bytes(reader.array("hint")?)?;
        let seq = LinkSeq(reader.u64("link_seq")?);
        let chunk = reader.rest();
        if chunk.len() > chunk::MAX_LEN {
            return Err(Error::TooLong { field: "chunk", got: chunk.len(), bound: chunk::MAX_LEN });
        }
        Ok(Self { hint, seq, chunk })
    }

    /// The bytes before the chunk.
    pub fn prefix(hint: Hint, seq: LinkSeq) -> [u8; PREFIX_LEN] {
        let mut out = [0; PREFIX_LEN];
        out[0] = KIND_MEDIA;
        out[1..3].copy_from_slice(&hint.to_bytes());
        out[3..].copy_from_slice(&seq.0.to_be_bytes());
        out
    }
}
