//! Every seal of a run: whether any key ever met a nonce twice.

use std::collections::HashSet;
use std::hash::{BuildHasherDefault, Hasher};

/// Most seals that are checked; further ones are counted as unchecked, and the report shows that.
pub const SEALS_MAX: usize = 1 << 25;

/// Names a key without holding it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct KeyTag(pub [u8; 16]);

impl KeyTag {
    /// The tag of a key's bytes.
    pub fn of(key: &[u8; 32]) -> Self {
        let digest = edge_crypto::hash::sha256(&[b"edge/sim/key-tag", key]);
        let mut tag = [0; 16];
        tag.copy_from_slice(&digest[..16]);
        Self(tag)
    }
}

/// The pairs of key and nonce that were used, as 64-bit digests in one set: 9 to 18 bytes a seal, at most about
/// 600 MiB. A repeat is never missed; among 2²⁵ different pairs two look equal by chance in 1 of 30,000 runs.
#[derive(Debug, Default)]
pub struct Ledger {
    seen: HashSet<u64, BuildHasherDefault<Digested>>,
    seals: u64,
    repeats: u64,
    unchecked: u64,
}

impl Ledger {
    /// An empty ledger.
    pub fn new() -> Self {
        Self::default()
    }

    /// Notes one seal.
    pub fn record(&mut self, key: KeyTag, nonce: [u8; 12]) {
        self.seals += 1;
        if self.seen.len() >= SEALS_MAX {
            self.unchecked += 1;
        } else if !self.seen.insert(digest(key, nonce)) {
            self.repeats += 1;
        }
    }

    /// Seals noted.
    pub fn seals(&self) -> u64 {
        self.seals
    }

    /// Seals whose key had met their nonce before.
    pub fn repeats(&self) -> u64 {
        self.repeats
    }

    /// Seals that came after the ledger was full.
    pub fn unchecked(&self) -> u64 {
        self.unchecked
    }
}

/// Tag and nonce are hashes already, so mixing them is enough.
fn digest(KeyTag(tag): KeyTag, nonce: [u8; 12]) -> u64 {
    let word = |bytes: &[u8]| bytes.iter().fold(0u64, |word, byte| word << 8 | u64::from(*byte));
    let (high, low) = (word(&tag[..8]), word(&tag[8..]));
    let (first, rest) = (word(&nonce[..8]), word(&nonce[8..]));
    let mixed = (first ^ high).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(31) ^ low;
    (mixed ^ rest).wrapping_mul(0xd6e8_feb8_6659_fd93)
}

/// Passes on what is spread evenly already.
#[derive(Debug, Default)]
struct Digested(u64);

impl Hasher for Digested {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        self.0 = bytes.iter().fold(self.0, |word, byte| word.rotate_left(8) ^ u64::from(*byte));
    }

    fn write_u64(&mut self, word: u64) {
        self.0 = word;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_repeat_is_seen_and_other_pairs_are_not() {
        let mut ledger = Ledger::new();
        let (one, two) = (KeyTag::of(&[1; 32]), KeyTag::of(&[2; 32]));
        for counter in 0..10_000u64 {
            for key in [one, two] {
                ledger.record(key, edge_link::nonce(b"peer", edge_wire::id::LinkSeq(counter)));
            }
        }
        assert_eq!((ledger.seals(), ledger.repeats()), (20_000, 0));
        ledger.record(one, edge_link::nonce(b"peer", edge_wire::id::LinkSeq(77)));
        assert_eq!((ledger.repeats(), ledger.unchecked()), (1, 0));
    }
}
