//! One RFC 6330 source block: the only place where the codec is called, and where its demands are met.

use std::panic::{AssertUnwindSafe, catch_unwind};

use raptorq::{EncodingPacket, ObjectTransmissionInformation, PayloadId, SourceBlockDecoder, SourceBlockEncoder};

/// Most source symbols of one block (K'max of RFC 6330).
pub(crate) const SOURCE_MAX: u32 = 56_403;
/// Symbol ids are below this: they have 24 bits.
pub(crate) const ID_END: u32 = 1 << 24;

/// The only source block of an object.
const BLOCK: u8 = 0;

/// Why the codec was not asked, or did not answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Error {
    #[error("a block of {source_symbols} symbols with {repair} repair symbols cannot be coded")]
    Shape { source_symbols: usize, repair: u32 },
    #[error("symbol {id} does not belong to the block")]
    Symbol { id: u32 },
    #[error("the codec stopped on this block")]
    Stopped,
}

/// Repair symbols `n..n + repair` of a block that is already padded to whole symbols.
pub(crate) fn repair(block: &[u8], symbol_len: u16, repair: u32) -> Result<Vec<Vec<u8>>, Error> {
    let source = check_block(block.len(), symbol_len, repair)?;
    if repair == 0 {
        return Ok(Vec::new());
    }
    let config = config(source, symbol_len);
    let packets = guard(|| SourceBlockEncoder::new(BLOCK, &config, block).repair_packets(0, repair))?;
    Ok(packets.into_iter().map(|packet| packet.split().1).collect())
}

/// The block of `source` symbols from distinct symbols, or nothing if they do not determine it.
pub(crate) fn rebuild<'a>(
    source: u32,
    symbol_len: u16,
    symbols: impl Iterator<Item = (u32, &'a [u8])>,
) -> Result<Option<Vec<u8>>, Error> {
    let block_len = u64::from(source) * u64::from(symbol_len);
    check_block(usize::try_from(block_len).unwrap_or(usize::MAX), symbol_len, 0)?;
    let mut packets = Vec::new();
    for (id, bytes) in symbols {
        if bytes.len() != usize::from(symbol_len) || id >= ID_END {
            return Err(Error::Symbol { id });
        }
        packets.push(EncodingPacket::new(PayloadId::new(BLOCK, id), bytes.to_vec()));
    }
    let config = config(source, symbol_len);
    guard(|| SourceBlockDecoder::new(BLOCK, &config, block_len).decode(packets))
}

/// How many source symbols a padded block has. The codec counts them in 16 bits, and asserts everything else here.
fn check_block(len: usize, symbol_len: u16, repair: u32) -> Result<u32, Error> {
    let wrong = Error::Shape { source_symbols: len / usize::from(symbol_len.max(1)), repair };
    if symbol_len == 0 || len == 0 || !len.is_multiple_of(usize::from(symbol_len)) {
        return Err(wrong);
    }
    let source = u32::try_from(len / usize::from(symbol_len)).map_err(|_| wrong)?;
    let ids_fit = source.checked_add(repair).is_some_and(|symbols| symbols <= ID_END);
    if source <= SOURCE_MAX && ids_fit { Ok(source) } else { Err(wrong) }
}

fn config(source: u32, symbol_len: u16) -> ObjectTransmissionInformation {
    ObjectTransmissionInformation::new(u64::from(source) * u64::from(symbol_len), symbol_len, 1, 1, 1)
}

/// The codec checks its arguments by assertion. All known demands are met above; one that is not must cost a message,
/// not the process. Nothing that a stopped call touched is used again.
fn guard<T>(call: impl FnOnce() -> T) -> Result<T, Error> {
    catch_unwind(AssertUnwindSafe(call)).map_err(|_| Error::Stopped)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_that_panics_ends_as_an_error() {
        let stopped: Result<(), Error> = guard(|| assert_eq!(1, 2, "a demand of the codec"));
        assert_eq!(stopped, Err(Error::Stopped));
    }

    #[test]
    fn shapes_that_the_codec_would_panic_on_are_refused() {
        assert!(check_block(0, 8, 0).is_err());
        assert!(check_block(8, 0, 0).is_err());
        assert!(check_block(9, 8, 0).is_err());
        assert!(check_block(56_404, 1, 0).is_err());
        assert!(check_block(56_403, 1, ID_END - 56_403).is_ok());
        assert!(check_block(56_403, 1, ID_END - 56_402).is_err());
        assert!(check_block(8, 1, u32::MAX).is_err());
        let short: [(u32, &[u8]); 1] = [(3, &[0; 7])];
        assert_eq!(rebuild(1, 8, short.into_iter()), Err(Error::Symbol { id: 3 }));
        let far: [(u32, &[u8]); 1] = [(ID_END, &[0; 8])];
        assert_eq!(rebuild(1, 8, far.into_iter()), Err(Error::Symbol { id: ID_END }));
    }
}
