//! `edge-fountain`: symbols of live messages, and symbols that a supplier sends for a manifest that a producer signed.

use edge_fountain::content::{self, LIVE_BLOCK_LEN_MAX, Manifest, Symbol};
use edge_fountain::live::{Decoder, Encoder, Header, Limits};
use edge_wire::{Error, Reader, Writer};

use super::{COPIES, SMALL, built};
use crate::{Cost, Target, Verdict};

pub(super) const TARGETS: &[Target] = &[
    Target { name: "live_symbol", cost: Cost::Parse, alloc_max: SMALL, run: symbol, seeds: symbols },
    Target { name: "live_decoder", cost: Cost::Crypto, alloc_max: COPIES, run: decoder, seeds: conversations },
    Target { name: "content_symbols", cost: Cost::Crypto, alloc_max: COPIES, run: object, seeds: objects },
];

/// Symbols of one made-up object.
const SYMBOLS_MAX: usize = 64;
/// Hashes that its producer signed: one for any id that 8-bit counts allow.
const HASHES_MAX: usize = 512;

fn symbol(input: &[u8]) -> Verdict {
    let parsed = Header::parse(input);
    if let Ok((header, symbol)) = &parsed {
        assert_eq!([header.to_bytes().as_slice(), symbol].concat(), input, "a parsed symbol writes back to its bytes");
    }
    parsed.into()
}

/// Datagrams one after the other, each behind its length.
fn decoder(input: &[u8]) -> Verdict {
    let limits = Limits { bytes: 1 << 20, ..Limits::default() };
    let mut decoder = Decoder::new(limits);
    let mut reader = Reader::new(input);
    let mut delivered = 0u64;
    while let Ok(datagram) = reader.bytes16("datagram", usize::from(u16::MAX)) {
        let Ok(Some(message)) = decoder.push(0, datagram) else { continue };
        let (header, _) = built(Header::parse(datagram));
        assert_eq!(message.len(), header.message_len(), "a message is as long as its symbols said");
        delivered += 1;
    }
    assert!(decoder.bytes() <= limits.bytes && decoder.in_progress() <= limits.messages, "a bound was passed");
    assert_eq!(decoder.stats().delivered, delivered);
    if delivered > 0 { Verdict::Accepted } else { Verdict::Refused }
}

/// A manifest whose hashes are those of the symbols that follow it, as a hostile producer would sign them.
fn object(input: &[u8]) -> Verdict {
    let Ok((manifest, symbols)) = read_object(input) else { return Verdict::Refused };
    let decoded = content::decode(&symbols, &manifest, LIVE_BLOCK_LEN_MAX);
    if let Ok(content) = &decoded {
        let len = u64::try_from(content.bytes.len());
        assert_eq!(len, Ok(manifest.original_content_length), "content is as long as was signed");
    }
    decoded.into()
}

fn read_object(input: &[u8]) -> Result<(Manifest, Vec<Symbol>), Error> {
    let mut reader = Reader::new(input);
    let mut small = |field| reader.u8(field).map(u32::from);
    let config = content::Config {
        n_source: small("n_source")?,
        k_repair: small("k_repair")?,
        symbol_size: small("symbol_size")?,
        min_viable_symbols: small("min_viable_symbols")?,
    };
    let original_content_length = u64::from(reader.u16("original_content_length")?);
    let mut symbols = Vec::new();
    while reader.left() > 0 && symbols.len() < SYMBOLS_MAX {
        let id = u32::from(reader.u16("symbol_id")?);
        symbols.push(Symbol::new(id, reader.bytes16("bytes", usize::from(u8::MAX) + 1)?.to_vec()));
    }
    let mut symbol_hashes = vec![[0; 32]; HASHES_MAX];
    for symbol in &symbols {
        let place = usize::try_from(symbol.symbol_id).ok().and_then(|id| symbol_hashes.get_mut(id));
        if let Some(hash) = place {
            *hash = symbol.sha256_hash;
        }
    }
    Ok((Manifest { config, original_content_length, symbol_hashes }, symbols))
}

fn datagrams(len: u8, repair: u16) -> Vec<Vec<u8>> {
    let message: Vec<u8> = (0..len).collect();
    let symbols = built(built(Encoder::new(12)).encode(&message, repair));
    symbols.map(Vec::from).collect()
}

fn symbols() -> Vec<Vec<u8>> {
    let one_and_repair = datagrams(100, 2).into_iter().skip(8);
    one_and_repair.chain(datagrams(5, 0)).collect()
}

fn conversations() -> Vec<Vec<u8>> {
    let with = |datagrams: &[Vec<u8>]| {
        let mut out = Writer::new();
        datagrams.iter().for_each(|datagram| {
            out.bytes16(datagram);
        });
        out.finish()
    };
    let many = datagrams(100, 6);
    vec![with(&many), with(many.get(4..).unwrap_or(&[])), with(&datagrams(5, 1))]
}

fn objects() -> Vec<Vec<u8>> {
    let config = content::Config { n_source: 4, k_repair: 3, symbol_size: 8, min_viable_symbols: 1 };
    let encoded = built(content::encode(b"independent-fountain-vec-01", &config));
    let with = |symbols: &[Symbol]| {
        let mut out = Writer::new();
        out.u8(4).u8(3).u8(8).u8(1).u16(27);
        for symbol in symbols {
            out.u16(u16::try_from(symbol.symbol_id).unwrap_or(u16::MAX)).bytes16(&symbol.bytes);
        }
        out.finish()
    };
    vec![with(&encoded.symbols), with(encoded.symbols.get(3..).unwrap_or(&[]))]
}
