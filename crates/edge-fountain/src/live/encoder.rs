//! Messages into datagrams.

use bytes::{BufMut, Bytes, BytesMut};

use super::symbol::{HEADER_LEN, Header, MESSAGE_LEN_MAX, REPAIR_MAX, SOURCE_MAX, SYMBOL_LEN_MAX};
use crate::block;

/// Why a message cannot be sent as symbols.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Symbols of no bytes, or of more than [`SYMBOL_LEN_MAX`].
    #[error("symbols of {0} bytes do not exist; ask for 1 to {SYMBOL_LEN_MAX}")]
    SymbolLen(usize),
    /// A message without bytes.
    #[error("an empty message has no symbols")]
    Empty,
    /// The message is longer than a receiver takes; send it over a reliable stream.
    #[error("a message of {len} bytes is longer than {max}")]
    TooLong {
        /// Bytes of the message.
        len: usize,
        /// Most bytes at this symbol length.
        max: usize,
    },
    /// More repair symbols than a receiver takes.
    #[error("{0} repair symbols are more than {REPAIR_MAX}")]
    Repair(u16),
    /// The codec refused the block.
    #[error("the message cannot be coded")]
    Block(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// Cuts the messages of one hop into symbols and numbers them.
#[derive(Debug)]
pub struct Encoder {
    symbol_len_max: usize,
    next_seq: u32,
}

impl Encoder {
    /// Symbols of at most `symbol_len_max` bytes: a datagram's length less [`HEADER_LEN`].
    pub fn new(symbol_len_max: usize) -> Result<Self, Error> {
        Ok(Self { symbol_len_max: check_symbol_len(symbol_len_max)?, next_seq: 0 })
    }

    /// Follows a path whose datagrams became longer or shorter; holds from the next message on.
    pub fn set_symbol_len_max(&mut self, symbol_len_max: usize) -> Result<(), Error> {
        self.symbol_len_max = check_symbol_len(symbol_len_max)?;
        Ok(())
    }

    /// Source symbols of a message of `len` bytes: what [`repair_for`](super::repair_for) wants to know.
    pub fn source_count(&self, len: usize) -> Result<u16, Error> {
        let max = MESSAGE_LEN_MAX.min(self.symbol_len_max.saturating_mul(usize::from(SOURCE_MAX)));
        match u16::try_from(len.div_ceil(self.symbol_len_max)) {
            Ok(0) => Err(Error::Empty),
            Ok(source) if len <= max => Ok(source),
            _ => Err(Error::TooLong { len, max }),
        }
    }

    /// The datagrams of a message: its pieces, then `repair` symbols more (copies, if one datagram holds the message).
    pub fn encode(&mut self, message: &[u8], repair: u16) -> Result<Symbols, Error> {
        let source = self.source_count(message.len())?;
        if repair > REPAIR_MAX {
            return Err(Error::Repair(repair));
        }
        let len = u32::try_from(message.len()).unwrap_or(u32::MAX);
        let header = Header { seq: self.next_seq, len, source, repair, id: 0 };
        let symbols = if source == 1 { copies(header, message) } else { pieces(header, message)? };
        self.next_seq = self.next_seq.wrapping_add(1);
        Ok(symbols)
    }
}

/// Datagrams of one message, source symbols first. They share one allocation.
#[derive(Debug, Clone)]
pub struct Symbols {
    rest: Bytes,
    datagram_len: usize,
}

impl Iterator for Symbols {
    type Item = Bytes;

    fn next(&mut self) -> Option<Bytes> {
        (!self.rest.is_empty()).then(|| self.rest.split_to(self.datagram_len.min(self.rest.len())))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let left = self.rest.len() / self.datagram_len;
        (left, Some(left))
    }
}

impl ExactSizeIterator for Symbols {}

fn check_symbol_len(len: usize) -> Result<usize, Error> {
    if (1..=SYMBOL_LEN_MAX).contains(&len) { Ok(len) } else { Err(Error::SymbolLen(len)) }
}

fn copies(header: Header, message: &[u8]) -> Symbols {
    let mut out = Datagrams::new(header);
    (0..=header.repair).for_each(|_| out.push(message));
    out.finish()
}

fn pieces(header: Header, message: &[u8]) -> Result<Symbols, Error> {
    let symbol_len = header.symbol_len();
    let mut out = Datagrams::new(header);
    for piece in message.chunks(symbol_len) {
        out.push(piece);
    }
    for symbol in repair_symbols(header, message, symbol_len)? {
        out.push(&symbol);
    }
    Ok(out.finish())
}

fn repair_symbols(header: Header, message: &[u8], symbol_len: usize) -> Result<Vec<Vec<u8>>, Error> {
    if header.repair == 0 {
        return Ok(Vec::new());
    }
    let block_len = symbol_len * usize::from(header.source);
    let mut block = Vec::with_capacity(block_len);
    block.extend_from_slice(message);
    block.resize(block_len, 0);
    let symbol_len = u16::try_from(symbol_len).map_err(|_| Error::SymbolLen(symbol_len))?;
    block::repair(&block, symbol_len, u32::from(header.repair)).map_err(|error| Error::Block(error.into()))
}

/// Writes the datagrams of one message one after the other.
struct Datagrams {
    header: Header,
    datagram_len: usize,
    bytes: BytesMut,
}

impl Datagrams {
    fn new(header: Header) -> Self {
        let datagram_len = HEADER_LEN + header.symbol_len();
        let count = usize::from(header.source) + usize::from(header.repair);
        Self { header, datagram_len, bytes: BytesMut::with_capacity(datagram_len * count) }
    }

    /// Adds the next symbol; the message's last piece may be short.
    fn push(&mut self, symbol: &[u8]) {
        let end = self.bytes.len() + self.datagram_len;
        self.bytes.put_slice(&self.header.to_bytes());
        self.bytes.put_slice(symbol);
        self.bytes.resize(end, 0);
        self.header.id += 1;
    }

    fn finish(self) -> Symbols {
        Symbols { rest: self.bytes.freeze(), datagram_len: self.datagram_len }
    }
}
