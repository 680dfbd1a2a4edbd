//! The wrap of one object: source and repair symbols under a manifest of their hashes.

use std::collections::{BTreeMap, BTreeSet};

use edge_crypto::hash::sha256;

use crate::block;
use crate::policy::Policy;

/// Most bytes of a padded block that is decoded while people wait for it.
pub const LIVE_BLOCK_LEN_MAX: u64 = 16 << 20;
/// Most bytes of a padded block in a store.
pub const STORED_BLOCK_LEN_MAX: u64 = 64 << 20;
/// Most repair symbols that are made at once.
pub const REPAIR_MAX: u32 = 65_536;

/// Why content was not wrapped or unwrapped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Too few bytes for the number of symbols.
    #[error("{len} bytes are fewer than {floor}")]
    PayloadTooSmall {
        /// Bytes.
        len: u64,
        /// Fewest bytes.
        floor: u64,
    },
    /// Too many bytes or symbols; cut the content into several objects.
    #[error("{len} bytes are more than {cap}")]
    PayloadTooLarge {
        /// Bytes.
        len: u64,
        /// Most bytes.
        cap: u64,
    },
    /// Too few symbols to try.
    #[error("{have} symbols are fewer than {floor}")]
    InsufficientSymbols {
        /// Distinct symbols.
        have: u32,
        /// Fewest symbols.
        floor: u32,
    },
    /// A symbol is not the one that the manifest names; its supplier, or the producer, is to blame.
    #[error("symbol {id} is not the manifest's")]
    SymbolHashMismatch {
        /// The first such symbol.
        id: u32,
    },
    /// The symbols do not give the content back.
    #[error("cannot be decoded: {0}")]
    DecodeFailed(&'static str),
}

/// How an object is cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Config {
    /// Source symbols.
    pub n_source: u32,
    /// Repair symbols.
    pub k_repair: u32,
    /// Bytes of each symbol.
    pub symbol_size: u32,
    /// Fewest symbols that decoding is tried with.
    pub min_viable_symbols: u32,
}

impl Config {
    /// The cut of content of `len` bytes under a policy: symbols as short as they can be.
    pub fn for_content(len: u64, policy: &Policy) -> Result<Self, Error> {
        let symbol_size = u32::try_from(len.div_ceil(u64::from(policy.n_source.max(1)))).unwrap_or(u32::MAX);
        let Policy { n_source, k_repair, min_viable_symbols, .. } = *policy;
        let config = Self { n_source, k_repair, symbol_size, min_viable_symbols };
        config.check(STORED_BLOCK_LEN_MAX)?;
        config.check_content_len(len)?;
        Ok(config)
    }

    /// Bytes of all source symbols together.
    pub fn block_len(&self) -> u64 {
        u64::from(self.n_source) * u64::from(self.symbol_size)
    }

    /// Object transmission information in its RFC form, for files that want it. Peers rebuild it from the manifest.
    pub fn oti(&self) -> Option<[u8; 12]> {
        let [b0, b1, b2, f0, f1, f2, f3, f4] = self.block_len().to_be_bytes();
        let [t0, t1] = u16::try_from(self.symbol_size).ok()?.to_be_bytes();
        ([b0, b1, b2] == [0; 3]).then_some([f0, f1, f2, f3, f4, 0, t0, t1, 1, 0, 1, 1])
    }

    fn check(&self, block_len_max: u64) -> Result<(), Error> {
        if self.symbol_size == 0 || self.n_source == 0 {
            return Err(Error::PayloadTooLarge { len: 0, cap: 0 });
        }
        if self.min_viable_symbols > self.n_source || self.min_viable_symbols == 0 {
            return Err(Error::PayloadTooSmall { len: 0, floor: self.floor() });
        }
        let ids = u64::from(self.n_source) + u64::from(self.k_repair);
        let too_many = self.n_source > block::SOURCE_MAX || ids > u64::from(block::ID_END);
        if too_many || self.block_len() > block_len_max {
            return Err(Error::PayloadTooLarge { len: self.block_len(), cap: block_len_max });
        }
        Ok(())
    }

    fn check_content_len(&self, len: u64) -> Result<(), Error> {
        if len < self.floor() {
            return Err(Error::PayloadTooSmall { len, floor: self.floor() });
        }
        if len > self.block_len() {
            return Err(Error::PayloadTooLarge { len, cap: self.block_len() });
        }
        self.symbol_len().map(|_| ())
    }

    fn check_repair(&self) -> Result<(), Error> {
        let len = u64::from(self.k_repair) * u64::from(self.symbol_size);
        let cap = STORED_BLOCK_LEN_MAX.min(u64::from(REPAIR_MAX) * u64::from(self.symbol_size));
        if len > cap { Err(Error::PayloadTooLarge { len, cap }) } else { Ok(()) }
    }

    fn symbol_len(&self) -> Result<u16, Error> {
        u16::try_from(self.symbol_size).map_err(|_| Error::PayloadTooLarge { len: 0, cap: self.block_len() })
    }

    fn floor(&self) -> u64 {
        u64::from(self.min_viable_symbols) * u64::from(self.symbol_size)
    }
}

/// The 4-byte FEC payload id of a symbol: block 0 and a 24-bit id. None above 24 bits.
pub fn fec_payload_id(symbol_id: u32) -> Option<[u8; 4]> {
    (symbol_id < block::ID_END).then_some(symbol_id.to_be_bytes())
}

/// One symbol.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Symbol {
    /// Below `n_source` a piece of the content, above it a repair symbol.
    pub symbol_id: u32,
    /// As many bytes as the manifest says.
    pub bytes: Vec<u8>,
    /// SHA-256 of the bytes as the supplier gives it. Only the manifest's counts.
    pub sha256_hash: [u8; 32],
}

impl Symbol {
    /// A symbol of these bytes.
    pub fn new(symbol_id: u32, bytes: Vec<u8>) -> Self {
        Self { symbol_id, sha256_hash: sha256(&[&bytes]), bytes }
    }
}

/// A wrapped object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Encoded {
    /// Bytes of the content, without padding.
    pub original_content_length: u64,
    /// All source and repair symbols, by id.
    pub symbols: Vec<Symbol>,
    /// Their hashes, by id.
    pub symbol_hashes: Vec<[u8; 32]>,
}

/// The numbers and hashes that a producer signs. Its signature is verified before any of it is used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Manifest {
    /// How the content was cut.
    pub config: Config,
    /// Bytes of the content.
    pub original_content_length: u64,
    /// SHA-256 of every symbol, by id.
    pub symbol_hashes: Vec<[u8; 32]>,
}

/// Content as it came out of its symbols.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Content {
    /// The content.
    pub bytes: Vec<u8>,
    /// What stood behind it in the last symbols.
    pub padding: Padding,
}

/// Bytes between the end of the content and the end of its last source symbol.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Padding {
    /// Zeros, as an honest producer leaves them.
    Zero,
    /// Something else, which the producer signed.
    Other,
}

/// A verified part of the content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Piece<'a> {
    /// Position in the content, in bytes.
    pub offset: u64,
    /// The bytes.
    pub bytes: &'a [u8],
}

/// Wraps content. The same content and config give the same bytes everywhere.
pub fn encode(content: &[u8], config: &Config) -> Result<Encoded, Error> {
    config.check(STORED_BLOCK_LEN_MAX)?;
    let len = u64::try_from(content.len()).unwrap_or(u64::MAX);
    config.check_content_len(len)?;
    let symbol_len = config.symbol_len()?;
    config.check_repair()?;
    let padding = usize::try_from(config.block_len() - len).unwrap_or(0);
    let padded = [content, &vec![0; padding]].concat();
    let repair = block::repair(&padded, symbol_len, config.k_repair).map_err(|error| failed(&error))?;
    let source = padded.chunks(usize::from(symbol_len)).map(<[u8]>::to_vec);
    let symbols: Vec<_> = (0..).zip(source.chain(repair)).map(|(id, bytes)| Symbol::new(id, bytes)).collect();
    let symbol_hashes = symbols.iter().map(|symbol| symbol.sha256_hash).collect();
    Ok(Encoded { original_content_length: len, symbols, symbol_hashes })
}

/// Unwraps content from any symbols in any order; bad ones are left out, and told only if there are too few good ones.
/// `block_len_max` is the most bytes to decode: [`LIVE_BLOCK_LEN_MAX`] or [`STORED_BLOCK_LEN_MAX`].
pub fn decode(symbols: &[Symbol], manifest: &Manifest, block_len_max: u64) -> Result<Content, Error> {
    let config = &manifest.config;
    config.check(block_len_max)?;
    manifest.check_len()?;
    let have = symbols.iter().map(|symbol| symbol.symbol_id).collect::<BTreeSet<_>>().len();
    let have = u32::try_from(have).unwrap_or(u32::MAX);
    if have < config.min_viable_symbols {
        return Err(Error::InsufficientSymbols { have, floor: config.min_viable_symbols });
    }
    let (good, first_bad) = manifest.verified(symbols);
    let enough = u32::try_from(good.len()).is_ok_and(|good| good >= config.n_source);
    if let (false, Some(id)) = (enough, first_bad) {
        return Err(Error::SymbolHashMismatch { id });
    }
    let symbol_len = config.symbol_len()?;
    if !enough {
        return Err(Error::DecodeFailed("fewer symbols than the content has pieces"));
    }
    let rebuilt = block::rebuild(config.n_source, symbol_len, good.into_iter()).map_err(|error| failed(&error))?;
    let block = rebuilt.ok_or(Error::DecodeFailed("the symbols do not determine the content"))?;
    manifest.check_pieces(&block, usize::from(symbol_len))?;
    Ok(manifest.cut(block))
}

/// The parts of the content that verified source symbols hold, in order, however few they are.
pub fn pieces<'a>(symbols: &'a [Symbol], manifest: &Manifest) -> Result<Vec<Piece<'a>>, Error> {
    manifest.config.check(STORED_BLOCK_LEN_MAX)?;
    manifest.check_len()?;
    let (good, _) = manifest.verified(symbols);
    let source = good.into_iter().filter(|(id, _)| *id < manifest.config.n_source);
    Ok(source.filter_map(|(id, bytes)| manifest.piece(id, bytes)).collect())
}

impl Manifest {
    /// The manifest of an object that was just wrapped.
    pub fn new(config: Config, encoded: &Encoded) -> Self {
        let Encoded { original_content_length, ref symbol_hashes, .. } = *encoded;
        Self { config, original_content_length, symbol_hashes: symbol_hashes.clone() }
    }

    /// Whether a symbol is the one that this manifest names.
    pub fn names(&self, symbol: &Symbol) -> bool {
        let ids = u64::from(self.config.n_source) + u64::from(self.config.k_repair);
        let id = symbol.symbol_id;
        let len = u32::try_from(symbol.bytes.len());
        u64::from(id) < ids
            && len == Ok(self.config.symbol_size)
            && self.hash(id).is_some_and(|hash| *hash == sha256(&[&symbol.bytes]))
    }

    fn hash(&self, id: u32) -> Option<&[u8; 32]> {
        usize::try_from(id).ok().and_then(|id| self.symbol_hashes.get(id))
    }

    fn check_len(&self) -> Result<(), Error> {
        match self.original_content_length {
            0 => Err(Error::PayloadTooSmall { len: 0, floor: 1 }),
            len if len > self.config.block_len() => Err(Error::PayloadTooLarge { len, cap: self.config.block_len() }),
            _ => Ok(()),
        }
    }

    /// Good symbols by id, and the id of the first bad one.
    fn verified<'a>(&self, symbols: &'a [Symbol]) -> (BTreeMap<u32, &'a [u8]>, Option<u32>) {
        let mut good = BTreeMap::new();
        let mut first_bad = None;
        for symbol in symbols {
            if self.names(symbol) {
                good.insert(symbol.symbol_id, symbol.bytes.as_slice());
            } else {
                first_bad = first_bad.or(Some(symbol.symbol_id));
            }
        }
        (good, first_bad)
    }

    /// A producer can sign repair symbols of other content: then two sets of good symbols would give two contents.
    fn check_pieces(&self, block: &[u8], symbol_len: usize) -> Result<(), Error> {
        for (id, piece) in (0..).zip(block.chunks(symbol_len)) {
            if self.hash(id) != Some(&sha256(&[piece])) {
                return Err(Error::SymbolHashMismatch { id });
            }
        }
        Ok(())
    }

    fn cut(&self, mut block: Vec<u8>) -> Content {
        let len = usize::try_from(self.original_content_length).unwrap_or(usize::MAX);
        let zero = block.iter().skip(len).all(|byte| *byte == 0);
        block.truncate(len);
        Content { bytes: block, padding: if zero { Padding::Zero } else { Padding::Other } }
    }

    fn piece<'a>(&self, id: u32, bytes: &'a [u8]) -> Option<Piece<'a>> {
        let offset = u64::from(id) * u64::from(self.config.symbol_size);
        let left = usize::try_from(self.original_content_length.checked_sub(offset)?).unwrap_or(usize::MAX);
        let bytes = bytes.get(..left).unwrap_or(bytes);
        (!bytes.is_empty()).then_some(Piece { offset, bytes })
    }
}

fn failed(error: &block::Error) -> Error {
    match error {
        block::Error::Symbol { id } => Error::SymbolHashMismatch { id: *id },
        block::Error::Shape { .. } => Error::DecodeFailed("the codec has no such block"),
        block::Error::Stopped => Error::DecodeFailed("the codec stopped"),
    }
}
