//! An object comes back from any symbols that its manifest names, and never as something else.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod common;

use common::{config, message, shuffle};
use edge_crypto::hash::sha256;
use edge_crypto::random::Seeded;
use edge_fountain::content::{
    Config, Content, Encoded, Error, LIVE_BLOCK_LEN_MAX, Manifest, Padding, STORED_BLOCK_LEN_MAX, Symbol, decode,
    encode, fec_payload_id, pieces,
};
use edge_fountain::policy::recommended_policy;
use proptest::prelude::*;

const TUPLE: Config = Config { n_source: 20, k_repair: 6, symbol_size: 64, min_viable_symbols: 5 };

fn wrapped(len: usize) -> (Vec<u8>, Encoded, Manifest) {
    let content = message(len, len as u64);
    let encoded = encode(&content, &TUPLE).unwrap();
    let manifest = Manifest::new(TUPLE, &encoded);
    (content, encoded, manifest)
}

fn read(symbols: &[Symbol], manifest: &Manifest) -> Result<Content, Error> {
    decode(symbols, manifest, LIVE_BLOCK_LEN_MAX)
}

#[test]
fn source_symbols_are_the_padded_content() {
    let (content, encoded, manifest) = wrapped(1_243);
    let padded = [content.as_slice(), &[0; 37]].concat();
    for (symbol, piece) in encoded.symbols.iter().zip(padded.chunks(64)) {
        assert_eq!((symbol.bytes.as_slice(), symbol.sha256_hash), (piece, sha256(&[piece])));
    }
    assert_eq!((encoded.symbols.len(), encoded.original_content_length), (26, 1_243));
    assert_eq!(read(&encoded.symbols, &manifest).unwrap(), Content { bytes: content, padding: Padding::Zero });
}

#[test]
fn configs_are_checked_in_their_order() {
    let refused = |config: Config, len: usize| encode(&vec![0; len], &config).unwrap_err();
    let nothing = Error::PayloadTooLarge { len: 0, cap: 0 };
    assert_eq!(refused(Config { symbol_size: 0, n_source: 0, ..TUPLE }, 100), nothing);
    assert_eq!(refused(Config { n_source: 0, ..TUPLE }, 100), nothing);
    let floor = |floor| Error::PayloadTooSmall { len: 0, floor };
    assert_eq!(refused(Config { min_viable_symbols: 21, ..TUPLE }, 100), floor(21 * 64));
    assert_eq!(refused(Config { min_viable_symbols: 0, ..TUPLE }, 100), floor(0));
    assert_eq!(refused(TUPLE, 319), Error::PayloadTooSmall { len: 319, floor: 320 });
    assert_eq!(refused(TUPLE, 1_281), Error::PayloadTooLarge { len: 1_281, cap: 1_280 });
    let wide = Config { symbol_size: 65_536, ..TUPLE };
    assert_eq!(refused(wide, 5 * 65_536), Error::PayloadTooLarge { len: 0, cap: 20 * 65_536 });
    for beyond in [
        Config { n_source: 56_404, symbol_size: 1, ..TUPLE },
        Config { k_repair: (1 << 24) - 19, ..TUPLE },
        Config { k_repair: u32::MAX, ..TUPLE },
        Config { symbol_size: u32::MAX, ..TUPLE },
        Config { k_repair: 1 << 20, ..TUPLE },
    ] {
        assert!(matches!(refused(beyond, 1_000), Error::PayloadTooLarge { .. }), "{beyond:?}");
    }
    assert!(encode(&message(500, 1), &Config { k_repair: 0, ..TUPLE }).unwrap().symbols.len() == 20);
}

#[test]
fn hostile_manifests_are_refused_before_memory_is_taken() {
    let (_, encoded, manifest) = wrapped(1_000);
    for config in [
        Config { n_source: 56_404, ..TUPLE },
        Config { n_source: u32::MAX, symbol_size: u32::MAX, ..TUPLE },
        Config { n_source: 56_403, symbol_size: 65_535, ..TUPLE },
        Config { k_repair: u32::MAX, ..TUPLE },
    ] {
        let refused = read(&encoded.symbols, &Manifest { config, ..manifest.clone() });
        assert!(matches!(refused, Err(Error::PayloadTooLarge { .. })), "{config:?}");
    }
    let large = Config { symbol_size: 1 << 20, ..TUPLE };
    assert!(matches!(read(&[], &Manifest { config: large, ..manifest.clone() }), Err(Error::PayloadTooLarge { .. })));
    let stored = decode(&[], &Manifest { config: large, ..manifest }, STORED_BLOCK_LEN_MAX);
    assert_eq!(stored, Err(Error::InsufficientSymbols { have: 0, floor: 5 }));
}

#[test]
fn distinct_symbols_are_counted() {
    let (_, encoded, manifest) = wrapped(1_000);
    let same = vec![encoded.symbols[3].clone(); 30];
    assert_eq!(read(&same, &manifest), Err(Error::InsufficientSymbols { have: 1, floor: 5 }));
    let nineteen = [&encoded.symbols[..19], &same].concat();
    assert!(matches!(read(&nineteen, &manifest), Err(Error::DecodeFailed(_))));
    assert!(matches!(read(&encoded.symbols[..5], &manifest), Err(Error::DecodeFailed(_))));
}

#[test]
fn bad_symbols_are_left_out_and_blamed_when_too_few_are_left() {
    let (content, encoded, manifest) = wrapped(1_280);
    let junk = |id: u32, len: usize| Symbol::new(id, vec![7; len]);
    let junk = [junk(3, 64), junk(4, 63), junk(25, 65), junk(26, 64), junk(1 << 24, 64), junk(u32::MAX, 0)];
    for bad in &junk {
        let set = [std::slice::from_ref(bad), &encoded.symbols[..10], &encoded.symbols[11..23]].concat();
        assert_eq!(read(&set, &manifest).unwrap().bytes, content);
        let few = [&encoded.symbols[..10], std::slice::from_ref(bad), &junk[..1]].concat();
        assert_eq!(read(&few, &manifest), Err(Error::SymbolHashMismatch { id: bad.symbol_id }));
    }
}

#[test]
fn a_signed_hash_of_a_short_symbol_does_not_reach_the_codec() {
    let (_, mut encoded, mut manifest) = wrapped(1_280);
    for id in [2usize, 24] {
        encoded.symbols[id] = Symbol::new(id as u32, vec![1; 63]);
        manifest.symbol_hashes[id] = encoded.symbols[id].sha256_hash;
    }
    assert!(read(&encoded.symbols, &manifest).is_err(), "the piece that comes out is not the one that was signed");
    assert_eq!(read(&encoded.symbols[..5], &manifest), Err(Error::SymbolHashMismatch { id: 2 }));
}

#[test]
fn repair_symbols_of_other_content_do_not_make_a_second_content() {
    let (content, mut encoded, _) = wrapped(1_280);
    let other = encode(&message(1_280, 99), &TUPLE).unwrap();
    encoded.symbols[20..].clone_from_slice(&other.symbols[20..]);
    encoded.symbol_hashes[20..].clone_from_slice(&other.symbol_hashes[20..]);
    let manifest = Manifest::new(TUPLE, &encoded);
    assert!(matches!(read(&encoded.symbols[6..], &manifest), Err(Error::SymbolHashMismatch { id: 0..6 })));
    assert_eq!(read(&encoded.symbols[..20], &manifest).unwrap().bytes, content);
}

#[test]
fn lengths_that_lie_are_refused_and_padding_is_told() {
    let (content, encoded, manifest) = wrapped(1_280);
    let with_len = |len| read(&encoded.symbols, &Manifest { original_content_length: len, ..manifest.clone() });
    assert_eq!(with_len(0), Err(Error::PayloadTooSmall { len: 0, floor: 1 }));
    assert_eq!(with_len(1_281), Err(Error::PayloadTooLarge { len: 1_281, cap: 1_280 }));
    assert_eq!(with_len(1).unwrap(), Content { bytes: content[..1].to_vec(), padding: Padding::Other });
}

#[test]
fn pieces_can_be_read_below_the_number_that_decodes() {
    let (content, mut encoded, manifest) = wrapped(1_243);
    encoded.symbols[2].bytes[0] ^= 1;
    let some = [&encoded.symbols[18..22], &encoded.symbols[1..3]].concat();
    let read = pieces(&some, &manifest).unwrap();
    let expected: Vec<(u64, &[u8])> =
        vec![(64, &content[64..128]), (1_152, &content[1_152..1_216]), (1_216, &content[1_216..])];
    assert_eq!(read.iter().map(|piece| (piece.offset, piece.bytes)).collect::<Vec<_>>(), expected);
}

#[test]
fn the_default_policy_cuts_content_of_5_to_1310700_bytes() {
    let cut = |len| Config::for_content(len, &recommended_policy());
    assert_eq!(cut(5).unwrap().symbol_size, 1);
    assert_eq!(cut(1_243).unwrap(), Config { symbol_size: 63, ..TUPLE });
    assert_eq!(cut(1_310_700).unwrap().symbol_size, 65_535);
    assert!(cut(4).is_err() && cut(0).is_err() && cut(1_310_701).is_err() && cut(u64::MAX).is_err());
}

#[test]
fn payload_ids_have_24_bits() {
    assert_eq!(fec_payload_id(7), Some([0, 0, 0, 7]));
    assert_eq!(fec_payload_id((1 << 24) - 1), Some([0, 0xff, 0xff, 0xff]));
    assert_eq!(fec_payload_id(1 << 24), None);
}

proptest! {
    #![proptest_config(config(0x5eed_f004, 128))]

    #[test]
    fn any_good_set_gives_the_content_back(
        len in 1usize..5_000, n_source in 1u32..40, k_repair in 0u32..20, seed in any::<u64>(), junk in 0usize..6,
    ) {
        let symbol_size = (len as u32).div_ceil(n_source);
        let config = Config { n_source, k_repair, symbol_size, min_viable_symbols: 1 };
        prop_assume!(len as u64 <= config.block_len() && len as u32 >= symbol_size);
        let content = message(len, seed);
        let encoded = encode(&content, &config).unwrap();
        let manifest = Manifest::new(config, &encoded);
        let mut symbols = encoded.symbols;
        let mut random = Seeded::new(seed);
        shuffle(&mut symbols, &mut random);
        symbols.truncate((n_source as usize + 2).min(symbols.len()));
        symbols.extend((0..junk as u32).map(|id| Symbol::new(id * 9, message(symbol_size as usize, seed ^ 1))));
        shuffle(&mut symbols, &mut random);
        prop_assert_eq!(decode(&symbols, &manifest, LIVE_BLOCK_LEN_MAX).map(|content| content.bytes), Ok(content));
    }

    #[test]
    fn whatever_a_producer_and_a_supplier_make_up_ends_in_an_answer(
        n_source in 0u32..30, k_repair in 0u32..10, symbol_size in 0u32..12, min_viable_symbols in 0u32..30,
        original_content_length in 0u64..300,
        ids in prop::collection::vec((0u32..45, 0usize..14), 0..60),
        signed in any::<bool>(),
    ) {
        let config = Config { n_source, k_repair, symbol_size, min_viable_symbols };
        let symbols: Vec<Symbol> =
            ids.iter().map(|(id, len)| Symbol::new(*id, message(*len, u64::from(*id)))).collect();
        let mut symbol_hashes = vec![[0; 32]; 40];
        for symbol in symbols.iter().filter(|symbol| signed && symbol.symbol_id < 40) {
            symbol_hashes[symbol.symbol_id as usize] = symbol.sha256_hash;
        }
        let manifest = Manifest { config, original_content_length, symbol_hashes };
        if let Ok(content) = decode(&symbols, &manifest, LIVE_BLOCK_LEN_MAX) {
            prop_assert_eq!(content.bytes.len() as u64, original_content_length);
        }
        prop_assert!(pieces(&symbols, &manifest).map_or(0, |pieces| pieces.len()) <= symbols.len());
    }
}
