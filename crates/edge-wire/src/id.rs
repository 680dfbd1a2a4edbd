//! Ids: each kind is its own type, so that one cannot be passed for another.

use std::fmt;

use crate::{Error, Reader};

/// Names one publisher's stream; opaque, compared only for equality.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct StreamId(pub [u8; 32]);

/// MLS group epoch; a group key belongs to exactly one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Epoch(pub u64);

/// Counter of sealed chunks within one (stream, epoch); a nonce input, so never repeated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ChunkSeq(pub u64);

/// Counter of outer seals within one transit key; a nonce input, so never repeated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LinkSeq(pub u64);

/// SHA-256 over a whole public key bundle: the name of a peer that nobody else can hold.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Fingerprint(pub [u8; 32]);

/// A federation identity name: 1 to 256 bytes of UTF-8. Also the MLS credential identity and the relay's subscriber id.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct KeyId(String);

impl KeyId {
    /// Longest name in bytes.
    pub const MAX_LEN: usize = 256;

    /// Accepts 1 to [`MAX_LEN`](Self::MAX_LEN) bytes without control characters.
    pub fn new(name: impl Into<String>) -> Result<Self, Error> {
        let name = name.into();
        if name.is_empty() {
            return Err(Error::Invalid { field: "key_id", rule: "must not be empty" });
        }
        if name.len() > Self::MAX_LEN {
            return Err(Error::TooLong { field: "key_id", got: name.len(), bound: Self::MAX_LEN });
        }
        if name.chars().any(char::is_control) {
            return Err(Error::Invalid { field: "key_id", rule: "must not hold control characters" });
        }
        Ok(Self(name))
    }

    /// Reads a 16-bit length and that many bytes.
    pub fn read(reader: &mut Reader<'_>) -> Result<Self, Error> {
        let bytes = reader.bytes16("key_id", Self::MAX_LEN)?;
        let name = std::str::from_utf8(bytes).map_err(|_| Error::Invalid { field: "key_id", rule: "must be UTF-8" })?;
        Self::new(name)
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The name's UTF-8 bytes.
    pub fn as_bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeyId({})", self.0)
    }
}

/// Writes bytes as lower-case hexadecimal.
fn hex(bytes: &[u8], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    bytes.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
}

macro_rules! hex_id {
    ($name:ident, $debug_len:expr) => {
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                hex(&self.0, f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "("))?;
                hex(&self.0[..$debug_len], f)?;
                write!(f, "…)")
            }
        }
    };
}

hex_id!(StreamId, 4);
hex_id!(Fingerprint, 4);
