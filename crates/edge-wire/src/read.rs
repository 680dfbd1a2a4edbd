//! The one reader over borrowed bytes.

/// Why bytes could not be read as the structure they were said to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The input ended inside a field.
    #[error("{field}: needs {need} bytes, {left} left")]
    Short {
        /// Name of the field that was being read.
        field: &'static str,
        /// Bytes the field needs.
        need: usize,
        /// Bytes that were left.
        left: usize,
    },
    /// Bytes were left over after the last field.
    #[error("{left} bytes after the end")]
    Trailing {
        /// How many.
        left: usize,
    },
    /// A length or count was above its bound.
    #[error("{field}: {got} is above the bound {bound}")]
    TooLong {
        /// Name of the field.
        field: &'static str,
        /// Value found.
        got: usize,
        /// Largest allowed value.
        bound: usize,
    },
    /// A field held a value that its type does not have.
    #[error("{field}: {got} is not a known value")]
    Unknown {
        /// Name of the field.
        field: &'static str,
        /// Value found.
        got: u64,
    },
    /// A field broke a rule of its structure.
    #[error("{field}: {rule}")]
    Invalid {
        /// Name of the field.
        field: &'static str,
        /// The rule, as a phrase.
        rule: &'static str,
    },
}

/// Reads big-endian fields from a borrowed slice; each call names its field for the error.
#[derive(Debug, Clone)]
pub struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    /// Starts at the first byte of `bytes`.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// Takes exactly `len` bytes.
    pub fn take(&mut self, field: &'static str, len: usize) -> Result<&'a [u8], Error> {
        match self.rest.split_at_checked(len) {
            Some((head, rest)) => {
                self.rest = rest;
                Ok(head)
            }
            None => Err(Error::Short { field, need: len, left: self.rest.len() }),
        }
    }

    /// Takes an array of `N` bytes.
    pub fn array<const N: usize>(&mut self, field: &'static str) -> Result<[u8; N], Error> {
        let mut out = [0; N];
        out.copy_from_slice(self.take(field, N)?);
        Ok(out)
    }

    /// Takes one byte.
    pub fn u8(&mut self, field: &'static str) -> Result<u8, Error> {
        Ok(u8::from_be_bytes(self.array(field)?))
    }

    /// Takes a 16-bit integer.
    pub fn u16(&mut self, field: &'static str) -> Result<u16, Error> {
        Ok(u16::from_be_bytes(self.array(field)?))
    }

    /// Takes a 32-bit integer.
    pub fn u32(&mut self, field: &'static str) -> Result<u32, Error> {
        Ok(u32::from_be_bytes(self.array(field)?))
    }

    /// Takes a 64-bit integer.
    pub fn u64(&mut self, field: &'static str) -> Result<u64, Error> {
        Ok(u64::from_be_bytes(self.array(field)?))
    }

    /// Takes a 16-bit length and that many bytes, at most `bound`.
    pub fn bytes16(&mut self, field: &'static str, bound: usize) -> Result<&'a [u8], Error> {
        let len = usize::from(self.u16(field)?);
        self.bounded(field, len, bound)
    }

    /// Takes a 32-bit length and that many bytes, at most `bound`.
    pub fn bytes32(&mut self, field: &'static str, bound: usize) -> Result<&'a [u8], Error> {
        let len = usize::try_from(self.u32(field)?).unwrap_or(usize::MAX);
        self.bounded(field, len, bound)
    }

    /// Takes everything that is left.
    pub fn rest(&mut self) -> &'a [u8] {
        std::mem::take(&mut self.rest)
    }

    /// How many bytes are left.
    pub fn left(&self) -> usize {
        self.rest.len()
    }

    /// Ends the structure: refuses trailing bytes.
    pub fn finish(self) -> Result<(), Error> {
        match self.rest.len() {
            0 => Ok(()),
            left => Err(Error::Trailing { left }),
        }
    }

    fn bounded(&mut self, field: &'static str, len: usize, bound: usize) -> Result<&'a [u8], Error> {
        if len > bound {
            return Err(Error::TooLong { field, got: len, bound });
        }
        self.take(field, len)
    }
}
