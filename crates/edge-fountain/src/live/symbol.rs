//! A symbol as a datagram: `F7 01 | message_seq u32 | len u32 | n u16 | k u16 | id u16 | symbol`, big-endian.

use edge_wire::{Error, Reader, Writer};

/// First bytes of every symbol: kind and layout.
pub const MAGIC: [u8; 2] = [0xf7, 0x01];
/// Bytes in front of the symbol.
pub const HEADER_LEN: usize = 16;
/// Longest message, in bytes.
pub const MESSAGE_LEN_MAX: usize = 1 << 20;
/// Most source symbols of a message.
pub const SOURCE_MAX: u16 = 1024;
/// Most repair symbols of a message.
pub const REPAIR_MAX: u16 = 2048;
/// Longest symbol, in bytes.
pub const SYMBOL_LEN_MAX: usize = u16::MAX as usize;

/// Whether a datagram says that it is a symbol.
pub fn is_symbol(datagram: &[u8]) -> bool {
    datagram.starts_with(&MAGIC)
}

/// What every symbol of a message repeats, and its own id. The counts and lengths agree with each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// Counter of messages on this hop; wraps.
    pub seq: u32,
    /// Bytes of the message.
    pub len: u32,
    /// Source symbols.
    pub source: u16,
    /// Repair symbols.
    pub repair: u16,
    /// Which symbol: below `source` a piece of the message, above it a repair symbol.
    pub id: u16,
}

impl Header {
    /// Reads a datagram into its header and symbol; refuses what [`Encoder`](super::Encoder) never writes.
    pub fn parse(datagram: &[u8]) -> Result<(Self, &[u8]), Error> {
        let mut reader = Reader::new(datagram);
        let magic: [u8; 2] = reader.array("magic")?;
        if magic != MAGIC {
            return Err(Error::Unknown { field: "magic", got: u64::from(u16::from_be_bytes(magic)) });
        }
        let header = Self {
            seq: reader.u32("message_seq")?,
            len: reader.u32("len")?,
            source: reader.u16("n")?,
            repair: reader.u16("k")?,
            id: reader.u16("id")?,
        };
        header.check()?;
        match reader.rest() {
            symbol if symbol.len() == header.symbol_len() => Ok((header, symbol)),
            _ => Err(Error::Invalid { field: "symbol", rule: "must be as long as the message divided by n" }),
        }
    }

    /// The header's bytes.
    pub fn to_bytes(self) -> Vec<u8> {
        let mut writer = Writer::with_capacity(HEADER_LEN);
        writer.raw(&MAGIC).u32(self.seq).u32(self.len);
        writer.u16(self.source).u16(self.repair).u16(self.id);
        writer.finish()
    }

    /// Bytes of each symbol of the message.
    pub fn symbol_len(&self) -> usize {
        self.message_len().div_ceil(usize::from(self.source.max(1)))
    }

    /// Bytes of the message.
    pub fn message_len(&self) -> usize {
        usize::try_from(self.len).unwrap_or(usize::MAX)
    }

    /// Whether the symbol is a piece of the message itself.
    pub fn is_source(&self) -> bool {
        self.id < self.source
    }

    /// Whether two symbols are of one message.
    pub(super) fn same_message(&self, other: &Self) -> bool {
        Self { id: other.id, ..*self } == *other
    }

    fn check(&self) -> Result<(), Error> {
        let bounds = [
            ("len", self.message_len(), MESSAGE_LEN_MAX),
            ("n", usize::from(self.source), usize::from(SOURCE_MAX)),
            ("k", usize::from(self.repair), usize::from(REPAIR_MAX)),
            ("symbol", self.symbol_len(), SYMBOL_LEN_MAX),
        ];
        for (field, got, bound) in bounds {
            if got > bound {
                return Err(Error::TooLong { field, got, bound });
            }
        }
        if self.len == 0 || self.source == 0 {
            return Err(Error::Invalid { field: "len and n", rule: "must not be zero" });
        }
        if self.message_len().div_ceil(self.symbol_len()) != usize::from(self.source) {
            return Err(Error::Invalid { field: "n", rule: "must not leave a symbol that is all padding" });
        }
        if u32::from(self.id) >= u32::from(self.source) + u32::from(self.repair) {
            return Err(Error::Invalid { field: "id", rule: "must be below n + k" });
        }
        Ok(())
    }
}
