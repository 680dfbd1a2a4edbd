//! Sub-stream paths: which description of a stream is meant, and the stream id that it is sealed under.

use edge_crypto::hash::sha256;
use edge_wire::domain;
use edge_wire::id::StreamId;

/// Longest path that is emitted, in splits.
pub const DEPTH_MAX: usize = 8;

/// Why bytes are not a path that may be emitted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// More splits than [`DEPTH_MAX`].
    #[error("path of {got} splits, at most {DEPTH_MAX} are allowed")]
    TooDeep {
        /// Splits given.
        got: usize,
    },
    /// A split has two sides, 0 and 1.
    #[error("path holds {got} where 0 or 1 is needed")]
    Side {
        /// Byte found.
        got: u8,
    },
    /// Two paths are equal, or one leads to the other.
    #[error("a path is part of another one")]
    Overlap,
}

/// A path as we emit it: 0 to 8 splits, each 0 or 1. The empty path is the whole stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct SubStreamPath {
    sides: [u8; DEPTH_MAX],
    depth: u8,
}

/// Into how many descriptions a stream is split.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Descriptions {
    /// Not split.
    One,
    /// One split.
    Two,
    /// Two splits.
    Four,
}

impl Descriptions {
    /// Paths of all descriptions, ascending.
    pub fn leaves(self) -> Vec<SubStreamPath> {
        let depth: u8 = match self {
            Self::One => 0,
            Self::Two => 1,
            Self::Four => 2,
        };
        (0..1_u8 << depth).map(|leaf| SubStreamPath::leaf(leaf, depth)).collect()
    }
}

impl SubStreamPath {
    /// The whole stream.
    pub const WHOLE: Self = Self { sides: [0; DEPTH_MAX], depth: 0 };

    /// Accepts at most [`DEPTH_MAX`] bytes, each 0 or 1.
    pub fn new(sides: &[u8]) -> Result<Self, Error> {
        if let Some(got) = sides.iter().copied().find(|side| *side > 1) {
            return Err(Error::Side { got });
        }
        let mut path = Self::WHOLE;
        let to = path.sides.get_mut(..sides.len()).ok_or(Error::TooDeep { got: sides.len() })?;
        to.copy_from_slice(sides);
        path.depth = sides.len() as u8;
        Ok(path)
    }

    /// One byte a split.
    pub fn as_bytes(&self) -> &[u8] {
        self.sides.get(..usize::from(self.depth)).unwrap_or_default()
    }

    /// Whether this is the whole stream.
    pub fn is_whole(&self) -> bool {
        self.depth == 0
    }

    fn leaf(leaf: u8, depth: u8) -> Self {
        let mut path = Self { depth, ..Self::WHOLE };
        for (at, side) in path.sides.iter_mut().take(usize::from(depth)).enumerate() {
            *side = leaf >> (usize::from(depth) - 1 - at) & 1;
        }
        path
    }
}

/// A path as it was received: any bytes, kept because they are signed and compared as they are.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct RawPath(Vec<u8>);

impl RawPath {
    /// Keeps `bytes` as they are; whoever received them has bounded their number.
    pub fn new(bytes: impl Into<Vec<u8>>) -> Self {
        Self(bytes.into())
    }

    /// The bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl From<SubStreamPath> for RawPath {
    fn from(path: SubStreamPath) -> Self {
        Self(path.as_bytes().to_vec())
    }
}

impl TryFrom<&RawPath> for SubStreamPath {
    type Error = Error;

    fn try_from(path: &RawPath) -> Result<Self, Error> {
        Self::new(path.as_bytes())
    }
}

/// Demands that no path equals another one or leads to it, so that no frame belongs to two of them.
pub fn check_disjoint(paths: &[SubStreamPath]) -> Result<(), Error> {
    let mut sorted = paths.to_vec();
    sorted.sort_unstable_by(|a, b| a.as_bytes().cmp(b.as_bytes()));
    // Sorted by bytes, everything below a path follows it directly.
    let overlaps = sorted.windows(2).any(|pair| matches!(pair, [a, b] if b.as_bytes().starts_with(a.as_bytes())));
    if overlaps { Err(Error::Overlap) } else { Ok(()) }
}

/// The stream id of one description: its own nonce space, although all descriptions share the group's key.
pub fn stream_id(stream: StreamId, path: &SubStreamPath) -> StreamId {
    match path.is_whole() {
        true => stream,
        false => StreamId(sha256(&[domain::SUB_STREAM, &stream.0, &[path.depth], path.as_bytes()])),
    }
}
