//! The one writer: appends big-endian fields to a growing buffer.

/// Builds canonical bytes; the mirror of [`Reader`](crate::Reader).
#[derive(Debug, Default, Clone)]
pub struct Writer {
    out: Vec<u8>,
}

impl Writer {
    /// Starts empty.
    pub fn new() -> Self {
        Self::default()
    }

    /// Starts empty with room for `len` bytes.
    pub fn with_capacity(len: usize) -> Self {
        Self { out: Vec::with_capacity(len) }
    }

    /// Appends raw bytes.
    pub fn raw(&mut self, bytes: &[u8]) -> &mut Self {
        self.out.extend_from_slice(bytes);
        self
    }

    /// Appends one byte.
    pub fn u8(&mut self, value: u8) -> &mut Self {
        self.raw(&[value])
    }

    /// Appends a 16-bit integer.
    pub fn u16(&mut self, value: u16) -> &mut Self {
        self.raw(&value.to_be_bytes())
    }

    /// Appends a 32-bit integer.
    pub fn u32(&mut self, value: u32) -> &mut Self {
        self.raw(&value.to_be_bytes())
    }

    /// Appends a 64-bit integer.
    pub fn u64(&mut self, value: u64) -> &mut Self {
        self.raw(&value.to_be_bytes())
    }

    /// Appends a 16-bit length and the bytes. Bytes past 65 535 are the caller's error and are cut off together with
    /// their length, so that the output always parses.
    pub fn bytes16(&mut self, bytes: &[u8]) -> &mut Self {
        let len = u16::try_from(bytes.len()).unwrap_or(u16::MAX);
        self.u16(len).raw(&bytes[..usize::from(len)])
    }

    /// Appends a 32-bit length and the bytes, cut at 2^32−1 in the same way as [`bytes16`](Self::bytes16).
    pub fn bytes32(&mut self, bytes: &[u8]) -> &mut Self {
        let len = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
        self.u32(len).raw(&bytes[..len as usize])
    }

    /// The finished bytes.
    pub fn finish(self) -> Vec<u8> {
        self.out
    }
}
