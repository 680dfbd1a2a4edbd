//! Reads that tell a clean end from a cut, and that grow with the bytes that come, not with what a length claims.

use std::io::{self, Read};

use super::Error;

/// Room that is made before any byte has come.
const FIRST_ROOM: usize = 64 * 1024;

/// A reader with the name of the format it reads, for errors.
pub(super) struct Input<R> {
    reader: R,
    format: &'static str,
}

impl<R: Read> Input<R> {
    pub(super) fn new(format: &'static str, reader: R) -> Self {
        Self { reader, format }
    }

    /// Fills `out`; false when the input had ended before its first byte.
    pub(super) fn fill_or_end(&mut self, field: &'static str, out: &mut [u8]) -> Result<bool, Error> {
        let mut filled = 0;
        while let Some(rest) = out.get_mut(filled..).filter(|rest| !rest.is_empty()) {
            match self.reader.read(rest) {
                Ok(0) if filled == 0 => return Ok(false),
                Ok(0) => return Err(self.truncated(field)),
                Ok(len) => filled += len,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(Error::Io(error)),
            }
        }
        Ok(true)
    }

    /// Takes an array of `N` bytes.
    pub(super) fn array<const N: usize>(&mut self, field: &'static str) -> Result<[u8; N], Error> {
        self.array_or_end(field)?.ok_or(self.truncated(field))
    }

    /// Takes an array of `N` bytes; none when the input had ended before.
    pub(super) fn array_or_end<const N: usize>(&mut self, field: &'static str) -> Result<Option<[u8; N]>, Error> {
        let mut out = [0; N];
        Ok(self.fill_or_end(field, &mut out)?.then_some(out))
    }

    /// Takes `len` bytes, at most `bound`.
    pub(super) fn bytes(&mut self, field: &'static str, len: u64, bound: usize) -> Result<Vec<u8>, Error> {
        self.bytes_or_end(field, len, bound)?.ok_or(self.truncated(field))
    }

    /// Takes `len` bytes, at most `bound`; none when the input had ended before and `len` is not 0.
    pub(super) fn bytes_or_end(
        &mut self,
        field: &'static str,
        len: u64,
        bound: usize,
    ) -> Result<Option<Vec<u8>>, Error> {
        let wanted = match usize::try_from(len) {
            Ok(wanted) if wanted <= bound => wanted,
            _ => return Err(Error::TooLong { format: self.format, field, got: len, bound: bound as u64 }),
        };
        let mut out = Vec::with_capacity(wanted.min(FIRST_ROOM));
        (&mut self.reader).take(len).read_to_end(&mut out)?;
        match out.len() {
            got if got == wanted => Ok(Some(out)),
            0 => Ok(None),
            _ => Err(self.truncated(field)),
        }
    }

    /// Takes and forgets `len` bytes; an input that ends before is truncated.
    pub(super) fn skip(&mut self, field: &'static str, len: u64) -> Result<(), Error> {
        match io::copy(&mut (&mut self.reader).take(len), &mut io::sink())? {
            skipped if skipped == len => Ok(()),
            _ => Err(self.truncated(field)),
        }
    }

    pub(super) fn reader(&mut self) -> &mut R {
        &mut self.reader
    }

    pub(super) fn truncated(&self, field: &'static str) -> Error {
        Error::Truncated { format: self.format, field }
    }

    pub(super) fn malformed(&self, rule: &'static str) -> Error {
        Error::Malformed { format: self.format, rule }
    }
}
