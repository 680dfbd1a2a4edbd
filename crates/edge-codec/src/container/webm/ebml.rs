//! EBML elements: the ids in use, and their bytes.

use std::io::Read;

use super::super::Error;
use super::super::input::Input;

/// An element id with its length marker, as it stands in the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Id(pub(super) u32);

impl Id {
    pub(super) const EBML: Self = Self(0x1a45_dfa3);
    pub(super) const EBML_VERSION: Self = Self(0x4286);
    pub(super) const EBML_READ_VERSION: Self = Self(0x42f7);
    pub(super) const EBML_MAX_ID_LENGTH: Self = Self(0x42f2);
    pub(super) const EBML_MAX_SIZE_LENGTH: Self = Self(0x42f3);
    pub(super) const DOC_TYPE: Self = Self(0x4282);
    pub(super) const DOC_TYPE_VERSION: Self = Self(0x4287);
    pub(super) const DOC_TYPE_READ_VERSION: Self = Self(0x4285);
    pub(super) const VOID: Self = Self(0xec);
    pub(super) const SEGMENT: Self = Self(0x1853_8067);
    pub(super) const SEEK_HEAD: Self = Self(0x114d_9b74);
    pub(super) const SEEK: Self = Self(0x4dbb);
    pub(super) const SEEK_ID: Self = Self(0x53ab);
    pub(super) const SEEK_POSITION: Self = Self(0x53ac);
    pub(super) const INFO: Self = Self(0x1549_a966);
    pub(super) const TIMESTAMP_SCALE: Self = Self(0x2a_d7b1);
    pub(super) const DURATION: Self = Self(0x4489);
    pub(super) const MUXING_APP: Self = Self(0x4d80);
    pub(super) const WRITING_APP: Self = Self(0x5741);
    pub(super) const TRACKS: Self = Self(0x1654_ae6b);
    pub(super) const TRACK_ENTRY: Self = Self(0xae);
    pub(super) const TRACK_NUMBER: Self = Self(0xd7);
    pub(super) const TRACK_UID: Self = Self(0x73c5);
    pub(super) const TRACK_TYPE: Self = Self(0x83);
    pub(super) const FLAG_LACING: Self = Self(0x9c);
    pub(super) const CODEC_ID: Self = Self(0x86);
    pub(super) const CODEC_PRIVATE: Self = Self(0x63a2);
    pub(super) const CODEC_DELAY: Self = Self(0x56aa);
    pub(super) const SEEK_PRE_ROLL: Self = Self(0x56bb);
    pub(super) const CONTENT_ENCODINGS: Self = Self(0x6d80);
    pub(super) const VIDEO: Self = Self(0xe0);
    pub(super) const PIXEL_WIDTH: Self = Self(0xb0);
    pub(super) const PIXEL_HEIGHT: Self = Self(0xba);
    pub(super) const AUDIO: Self = Self(0xe1);
    pub(super) const SAMPLING_FREQUENCY: Self = Self(0xb5);
    pub(super) const CHANNELS: Self = Self(0x9f);
    pub(super) const CLUSTER: Self = Self(0x1f43_b675);
    pub(super) const TIMESTAMP: Self = Self(0xe7);
    pub(super) const SIMPLE_BLOCK: Self = Self(0xa3);
    pub(super) const BLOCK_GROUP: Self = Self(0xa0);
    pub(super) const BLOCK: Self = Self(0xa1);
    pub(super) const CUES: Self = Self(0x1c53_bb6b);
    pub(super) const CUE_POINT: Self = Self(0xbb);
    pub(super) const CUE_TIME: Self = Self(0xb3);
    pub(super) const CUE_TRACK_POSITIONS: Self = Self(0xb7);
    pub(super) const CUE_TRACK: Self = Self(0xf7);
    pub(super) const CUE_CLUSTER_POSITION: Self = Self(0xf1);

    /// The id without leading zeros.
    pub(super) fn bytes(self) -> Vec<u8> {
        self.0.to_be_bytes().into_iter().skip_while(|byte| *byte == 0).collect()
    }
}

/// Size field of an element that runs on until something that cannot be inside it; eight bytes, so that a known size
/// fits in its place.
pub(super) const UNKNOWN_SIZE: [u8; 8] = [0x01, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff];

/// An element with its contents.
pub(super) fn element(id: Id, contents: &[u8]) -> Vec<u8> {
    let mut out = id.bytes();
    out.extend_from_slice(&size(contents.len() as u64));
    out.extend_from_slice(contents);
    out
}

/// An element made of elements.
pub(super) fn master(id: Id, children: &[Vec<u8>]) -> Vec<u8> {
    element(id, &children.concat())
}

/// An unsigned number in as few bytes as hold it.
pub(super) fn unsigned(id: Id, value: u64) -> Vec<u8> {
    let bytes = value.to_be_bytes();
    let used = bytes.iter().skip_while(|byte| **byte == 0).count().max(1);
    element(id, bytes.get(bytes.len() - used..).unwrap_or(&bytes))
}

/// An unsigned number in eight bytes, to be overwritten later.
pub(super) fn unsigned_fixed(id: Id, value: u64) -> Vec<u8> {
    element(id, &value.to_be_bytes())
}

/// A double.
pub(super) fn float(id: Id, value: f64) -> Vec<u8> {
    element(id, &value.to_be_bytes())
}

/// A size field of eight bytes; sizes stay far below its 56 bits.
pub(super) fn size_fixed(size: u64) -> [u8; 8] {
    const MARKER: u64 = 1 << 56;
    (MARKER | size & (MARKER - 1)).to_be_bytes()
}

fn size(value: u64) -> Vec<u8> {
    let len = (1..8usize).find(|len| value < (1 << (7 * len)) - 1).unwrap_or(8);
    let bytes = (value | 1 << (7 * len)).to_be_bytes();
    bytes.get(8 - len..).unwrap_or(&bytes).to_vec()
}

/// An element's start: its id and, unless it runs on, its size.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Start {
    pub(super) id: Id,
    pub(super) size: Option<u64>,
}

/// Reads the start of the next element; none at a clean end.
pub(super) fn read_start<R: Read>(input: &mut Input<R>) -> Result<Option<Start>, Error> {
    const MAX_ID_LEN: usize = 4;
    let Some([first]) = input.array_or_end("an element id")? else { return Ok(None) };
    let id_len = first.leading_zeros() as usize + 1;
    if id_len > MAX_ID_LEN {
        return Err(input.malformed("an element id must have at most 4 bytes"));
    }
    let id = read_rest(input, first.into(), id_len)? as u32;
    let [first] = input.array("an element size")?;
    let size_len = first.leading_zeros() as usize + 1;
    if size_len > 8 {
        return Err(input.malformed("an element size must have at most 8 bytes"));
    }
    let all_set = (1u64 << (7 * size_len)) - 1;
    let size = read_rest(input, first.into(), size_len)? & all_set;
    Ok(Some(Start { id: Id(id), size: (size != all_set).then_some(size) }))
}

fn read_rest<R: Read>(input: &mut Input<R>, first: u64, len: usize) -> Result<u64, Error> {
    (1..len).try_fold(first, |value, _| Ok(value << 8 | u64::from(input.array::<1>("an element")?[0])))
}

/// The elements inside a master that was read whole; ends early at bytes that are none.
pub(super) fn children(data: &[u8]) -> impl Iterator<Item = (Id, &[u8])> {
    let mut rest = data;
    std::iter::from_fn(move || {
        let mut input = Input::new("", rest);
        let start = read_start(&mut input).ok().flatten()?;
        let body = *input.reader();
        let (contents, after) = body.split_at_checked(usize::try_from(start.size?).ok()?)?;
        rest = after;
        Some((start.id, contents))
    })
}

/// An unsigned number of at most eight bytes.
pub(super) fn as_unsigned(data: &[u8]) -> Option<u64> {
    (data.len() <= 8).then(|| data.iter().fold(0, |value, byte| value << 8 | u64::from(*byte)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_short_and_never_the_reserved_value() {
        assert_eq!(size(0), [0x80]);
        assert_eq!(size(126), [0xfe]);
        assert_eq!(size(127), [0x40, 127]);
        assert_eq!(size(16_382), [0x7f, 0xfe]);
        assert_eq!(size(16_383), [0x20, 0x3f, 0xff]);
        assert_eq!(size_fixed(300), [1, 0, 0, 0, 0, 0, 1, 44]);
    }

    #[test]
    fn what_is_written_is_read() {
        for len in [0usize, 1, 126, 127, 128, 16_383, 70_000] {
            let bytes = element(Id::SEEK_PRE_ROLL, &vec![7; len]);
            let mut input = Input::new("", &bytes[..]);
            let start = read_start(&mut input).unwrap().unwrap();
            assert_eq!(start, Start { id: Id::SEEK_PRE_ROLL, size: Some(len as u64) });
            assert_eq!(children(&bytes).next().unwrap().1.len(), len);
        }
        let mut unknown = Id::SEGMENT.bytes();
        unknown.extend(UNKNOWN_SIZE);
        let start = read_start(&mut Input::new("", &unknown[..])).unwrap().unwrap();
        assert_eq!(start, Start { id: Id::SEGMENT, size: None });
    }
}
