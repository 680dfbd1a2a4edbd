//! Media chunks: the header that travels in clear, the inner-sealed chunk a relay may hold, and the link wire form.

use bytes::Bytes;

use crate::id::{ChunkSeq, Epoch, StreamId};
use crate::layer::Layer;
use crate::{Reader, Writer};

/// Bytes before the outer ciphertext.
pub const PREFIX_LEN: usize = 52;
/// Bytes of an AEAD tag, one for each seal.
pub const TAG_LEN: usize = 16;
/// Bytes a sealed chunk adds to its plaintext: prefix, inner tag, outer tag.
pub const OVERHEAD: usize = PREFIX_LEN + 2 * TAG_LEN;
/// Largest whole chunk that our peers send or accept, in bytes.
pub const MAX_LEN: usize = 1 << 20;

/// What a chunk's payload is. Unknown ids are carried unchanged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct CodecId(pub u8);

impl CodecId {
    /// AV1 with scalable layers.
    pub const AV1_SVC: Self = Self(0x01);
    /// Reserved: layered intra.
    pub const JPEG_XS: Self = Self(0x02);
    /// Reserved: multiple description.
    pub const MDC: Self = Self(0x03);
    /// No layer meaning; every policy admits it, and its layer is the base.
    pub const OPAQUE: Self = Self(0xff);
}

/// A chunk's clear part. Relays thin layers by it; only `stream`, `epoch` and `seq` are bound to the inner seal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Header {
    /// The publisher's stream.
    pub stream: StreamId,
    /// MLS epoch whose key sealed the payload.
    pub epoch: Epoch,
    /// Counter within (stream, epoch).
    pub seq: ChunkSeq,
    /// Payload kind, a hint.
    pub codec: CodecId,
    /// Layer, a hint.
    pub layer: Layer,
}

impl Header {
    /// The 52 bytes that open a chunk.
    pub fn to_bytes(&self) -> [u8; PREFIX_LEN] {
        let mut out = [0; PREFIX_LEN];
        out[..32].copy_from_slice(&self.stream.0);
        out[32..40].copy_from_slice(&self.epoch.0.to_be_bytes());
        out[40..48].copy_from_slice(&self.seq.0.to_be_bytes());
        out[48] = self.codec.0;
        out[49..].copy_from_slice(&self.layer.to_bytes());
        out
    }
}

/// A header with the inner ciphertext: what a relay holds. It cannot be opened without the group key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InnerSealed {
    /// The clear part.
    pub header: Header,
    /// Inner ciphertext with its tag; identical at every tier.
    pub ciphertext: Bytes,
}

/// A header with the outer ciphertext, borrowed from the bytes that a link carried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sealed<'a> {
    /// The clear part.
    pub header: Header,
    /// Outer ciphertext with its tag.
    pub ciphertext: &'a [u8],
}

/// Which read rule applies to chunks shorter than a full prefix.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Profile {
    /// A chunk has at least [`PREFIX_LEN`] bytes.
    #[default]
    Strict,
    /// A chunk of 48 to 51 bytes is a header-only probe: opaque codec, base layer.
    Release421,
}

/// Why a chunk could not be parsed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Fewer bytes than the profile's shortest chunk.
    #[error("chunk of {got} bytes is shorter than {need}")]
    WireTooShort {
        /// Bytes given.
        got: usize,
        /// Bytes of the shortest chunk.
        need: usize,
    },
    /// More bytes than [`MAX_LEN`].
    #[error("chunk of {got} bytes is longer than {bound}", bound = MAX_LEN)]
    TooLong {
        /// Bytes given.
        got: usize,
    },
    /// An opaque chunk that claims a layer.
    #[error("an opaque chunk must be in the base layer")]
    OpaqueLayer,
}

const KEY_LEN: usize = 48;

impl<'a> Sealed<'a> {
    /// Parses a chunk by the strict rule.
    pub fn parse(wire: &'a [u8]) -> Result<Self, Error> {
        Self::parse_as(wire, Profile::Strict)
    }

    /// Parses a chunk by the rule of `profile`. Metadata is taken as it stands: see [`Header::check`].
    pub fn parse_as(wire: &'a [u8], profile: Profile) -> Result<Self, Error> {
        let need = match profile {
            Profile::Strict => PREFIX_LEN,
            Profile::Release421 => KEY_LEN,
        };
        if wire.len() < need {
            return Err(Error::WireTooShort { got: wire.len(), need });
        }
        let short = |_| Error::WireTooShort { got: wire.len(), need };
        let mut reader = Reader::new(wire);
        let stream = StreamId(reader.array("stream_id").map_err(short)?);
        let epoch = Epoch(reader.u64("epoch").map_err(short)?);
        let seq = ChunkSeq(reader.u64("chunk_seq").map_err(short)?);
        let (codec, layer) = match wire.len() < PREFIX_LEN {
            true => (CodecId::OPAQUE, Layer::BASE),
            false => (CodecId(reader.u8("codec_id").map_err(short)?), Layer::read(&mut reader).map_err(short)?),
        };
        Ok(Self { header: Header { stream, epoch, seq, codec, layer }, ciphertext: reader.rest() })
    }

    /// The link wire form.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = Writer::with_capacity(PREFIX_LEN + self.ciphertext.len());
        out.raw(&self.header.to_bytes()).raw(self.ciphertext);
        out.finish()
    }
}

impl Header {
    /// Refuses metadata that no honest sender writes; run on every chunk from the network.
    pub fn check(&self) -> Result<(), Error> {
        match self.codec == CodecId::OPAQUE && self.layer != Layer::BASE {
            true => Err(Error::OpaqueLayer),
            false => Ok(()),
        }
    }
}
