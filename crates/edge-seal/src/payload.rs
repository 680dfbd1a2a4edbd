//! The frame payload: what the inner plaintext holds, a fixed header of ours and then the codec's bytes.
//!
//! The byte layout and the reasons for it are in `docs/spec/frame-payload.md`.

use std::ops::BitOr;

use bytes::Bytes;
use edge_wire::chunk::CodecId;
use edge_wire::id::Fingerprint;
use edge_wire::layer::Layer;
use edge_wire::{Reader, Writer};

/// First byte of every payload: our mark and the layout's version in one.
pub const VERSION: u8 = 0xe1;
/// Most units that one unit may reference.
pub const MAX_REFERENCES: usize = 8;
/// Header bytes before the reference list.
pub const FIXED_LEN: usize = 60;
/// Longest header, in bytes.
pub const MAX_HEADER_LEN: usize = FIXED_LEN + 4 * MAX_REFERENCES;

/// Why bytes are not a frame payload, or a header cannot be written as one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A field is missing, unknown or out of bounds.
    #[error("frame payload: {0}")]
    Malformed(#[from] edge_wire::Error),
    /// An opaque payload claims a layer.
    #[error("frame payload: an opaque frame must be in the base layer")]
    OpaqueLayer,
    /// References must be distances 1 and up, ascending, and none may point before unit 0.
    #[error("frame payload: references must ascend from 1 and stay within the track")]
    References,
    /// A key frame in the base layer references something.
    #[error("frame payload: a base layer key frame references nothing")]
    KeyReferences,
}

/// A parsed frame payload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Payload {
    /// What the codec bytes are and what they need.
    pub header: Header,
    /// The codec's bytes: one layer frame.
    pub data: Bytes,
}

impl Payload {
    /// Parses an opened plaintext; `data` shares its buffer.
    pub fn parse(plaintext: &Bytes) -> Result<Self, Error> {
        let mut reader = Reader::new(plaintext);
        let header = Header::read(&mut reader)?;
        let data = plaintext.slice(plaintext.len() - reader.left()..);
        Ok(Self { header, data })
    }
}

/// Everything a receiver must know about one layer frame before it touches the codec's bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// Properties of the frame.
    pub flags: Flags,
    /// Which of the stream's tracks.
    pub track: Track,
    /// The codec of `data`; must equal the clear header's.
    pub codec: CodecId,
    /// The layer of `data`; must equal the clear header's.
    pub layer: Layer,
    /// The publisher.
    pub sender: Origin,
    /// Picture or audio frame number within the track; the layer frames of one picture share it.
    pub frame_number: u64,
    /// Presentation time in the stream's media time, in µs.
    pub pts_us: u64,
    /// When the frame was captured, in µs of the publisher's Unix clock; 0 = unknown.
    pub captured_us: u64,
    /// How long the frame is shown or played, in µs; 0 = unknown.
    pub duration_us: u32,
    /// Counter of layer frames within the track.
    pub unit_id: u64,
    /// The units that must have been decoded before.
    pub references: References,
}

impl Header {
    /// The header's bytes followed by `data`: a whole plaintext.
    pub fn prepend_to(&self, data: &[u8]) -> Result<Vec<u8>, Error> {
        self.check()?;
        let mut out = Writer::with_capacity(MAX_HEADER_LEN + data.len());
        out.u8(VERSION).u8(self.flags.0).u8(self.track.0).u8(self.codec.0);
        out.raw(&self.layer.to_bytes()).raw(&self.sender.0);
        out.u64(self.frame_number).u64(self.pts_us).u64(self.captured_us).u32(self.duration_us).u64(self.unit_id);
        out.u8(self.references.len);
        for distance in self.references.distances() {
            out.u32(*distance);
        }
        out.raw(data);
        Ok(out.finish())
    }

    /// Ids of the referenced units, nearest first.
    pub fn referenced_units(&self) -> impl Iterator<Item = u64> + '_ {
        self.references.distances().iter().filter_map(|distance| self.unit_id.checked_sub(u64::from(*distance)))
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, Error> {
        let version = reader.u8("version")?;
        if version != VERSION {
            return Err(edge_wire::Error::Unknown { field: "version", got: version.into() }.into());
        }
        let header = Self {
            flags: Flags::from_bits(reader.u8("flags")?)?,
            track: Track(reader.u8("track")?),
            codec: CodecId(reader.u8("codec_id")?),
            layer: Layer::read(reader)?,
            sender: Origin(reader.array("sender")?),
            frame_number: reader.u64("frame_number")?,
            pts_us: reader.u64("pts_us")?,
            captured_us: reader.u64("captured_us")?,
            duration_us: reader.u32("duration_us")?,
            unit_id: reader.u64("unit_id")?,
            references: References::read(reader)?,
        };
        header.check().map(|()| header)
    }

    fn check(&self) -> Result<(), Error> {
        if self.codec == CodecId::OPAQUE && self.layer != Layer::BASE {
            return Err(Error::OpaqueLayer);
        }
        if self.references.farthest().is_some_and(|distance| u64::from(distance) > self.unit_id) {
            return Err(Error::References);
        }
        let key_base = self.flags.contains(Flags::KEY_FRAME) && self.layer == Layer::BASE;
        match key_base && self.references != References::NONE {
            true => Err(Error::KeyReferences),
            false => Ok(()),
        }
    }
}

/// Properties of a layer frame; bits that have no meaning yet are refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Flags(u8);

impl Flags {
    /// No property.
    pub const NONE: Self = Self(0);
    /// Belongs to a key picture: decoding can start with that picture's base layer.
    pub const KEY_FRAME: Self = Self(1);
    /// An upper spatial layer that needs only the layer below: a receiver may switch up here.
    pub const SWITCH_POINT: Self = Self(1 << 1);
    /// The last layer frame of its picture.
    pub const END_OF_UNIT: Self = Self(1 << 2);
    /// Nothing references this frame.
    pub const DISCARDABLE: Self = Self(1 << 3);

    const KNOWN: u8 = 0x0f;

    /// Whether every property of `other` is set.
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    fn from_bits(bits: u8) -> Result<Self, Error> {
        match bits & !Self::KNOWN {
            0 => Ok(Self(bits)),
            _ => Err(edge_wire::Error::Unknown { field: "flags", got: bits.into() }.into()),
        }
    }
}

impl BitOr for Flags {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

/// A track of a stream. Unknown tracks are carried, and receivers that do not play them drop them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Track(pub u8);

impl Track {
    /// The picture.
    pub const VIDEO: Self = Self(0);
    /// The sound.
    pub const AUDIO: Self = Self(1);
}

/// The first 16 bytes of the publisher's fingerprint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Origin(pub [u8; 16]);

impl From<Fingerprint> for Origin {
    fn from(fingerprint: Fingerprint) -> Self {
        let mut out = [0; 16];
        out.copy_from_slice(&fingerprint.0[..16]);
        Self(out)
    }
}

/// Backward distances, in units of the same track, to the frames that this one is predicted from: ascending, at most
/// [`MAX_REFERENCES`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct References {
    len: u8,
    distances: [u32; MAX_REFERENCES],
}

impl References {
    /// Predicted from nothing.
    pub const NONE: Self = Self { len: 0, distances: [0; MAX_REFERENCES] };

    /// Accepts at most [`MAX_REFERENCES`] distances that ascend strictly from 1 up.
    pub fn new(distances: &[u32]) -> Result<Self, Error> {
        let mut out = Self::NONE;
        let slots = out.distances.get_mut(..distances.len()).ok_or(edge_wire::Error::TooLong {
            field: "references",
            got: distances.len(),
            bound: MAX_REFERENCES,
        })?;
        slots.copy_from_slice(distances);
        let ascending = distances.windows(2).all(|pair| pair[0] < pair[1]);
        if !ascending || distances.first() == Some(&0) {
            return Err(Error::References);
        }
        out.len = u8::try_from(distances.len()).unwrap_or(u8::MAX);
        Ok(out)
    }

    /// The distances, nearest first.
    pub fn distances(&self) -> &[u32] {
        self.distances.get(..usize::from(self.len)).unwrap_or(&[])
    }

    fn farthest(&self) -> Option<u32> {
        self.distances().last().copied()
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, Error> {
        let count = usize::from(reader.u8("references")?);
        if count > MAX_REFERENCES {
            return Err(edge_wire::Error::TooLong { field: "references", got: count, bound: MAX_REFERENCES }.into());
        }
        let mut distances = [0; MAX_REFERENCES];
        for slot in distances.iter_mut().take(count) {
            *slot = reader.u32("reference")?;
        }
        Self::new(distances.get(..count).unwrap_or(&[]))
    }
}
