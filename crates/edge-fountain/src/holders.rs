//! Who keeps which symbols of a content: by rendezvous, so that everybody who knows the holders knows the answer.

use std::collections::{BTreeMap, BTreeSet};

use edge_crypto::hash::sha256;
use edge_wire::domain;
use edge_wire::id::Fingerprint;

/// Most holders of one content.
pub const HOLDERS_MAX: usize = 4096;
/// Most symbols of one content.
pub const SYMBOLS_MAX: u32 = 16_384;

/// Why symbols cannot be assigned.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// More holders than [`HOLDERS_MAX`].
    #[error("{0} holders are more than {HOLDERS_MAX}")]
    Holders(usize),
    /// More symbols than [`SYMBOLS_MAX`].
    #[error("{0} symbols are more than {SYMBOLS_MAX}")]
    Symbols(u32),
}

/// Ids of the symbols that each holder keeps, ascending. Every symbol has a holder; no two holders differ by more than
/// one symbol, nor two symbols by more than one holder. The order and repetition of `holders` do not matter.
///
/// A holder takes the free symbol that follows a place hashed from itself and the content, so that most assignments
/// outlive the coming and going of others.
pub fn assign(
    content_id: &str,
    holders: &[Fingerprint],
    symbols: u32,
) -> Result<BTreeMap<Fingerprint, BTreeSet<u32>>, Error> {
    if holders.len() > HOLDERS_MAX {
        return Err(Error::Holders(holders.len()));
    }
    if symbols > SYMBOLS_MAX {
        return Err(Error::Symbols(symbols));
    }
    let mut assigned: BTreeMap<_, BTreeSet<u32>> = holders.iter().map(|holder| (*holder, BTreeSet::new())).collect();
    let order = in_order(content_id, assigned.keys());
    let turns = usize::try_from(symbols).unwrap_or(usize::MAX).max(order.len());
    let mut free: BTreeSet<u32> = (0..symbols).collect();
    let rounds = (0..).flat_map(|round| order.iter().map(move |holder| (round, *holder)));
    for (round, holder) in rounds.take(if symbols == 0 || order.is_empty() { 0 } else { turns }) {
        let place = score(content_id, &holder, round).1 % symbols;
        let taken = free.range(place..).next().or_else(|| free.first()).copied();
        assigned.entry(holder).or_default().extend(taken);
        taken.map(|id| free.remove(&id));
        if free.is_empty() {
            free = (0..symbols).collect();
        }
    }
    Ok(assigned)
}

fn in_order<'a>(content_id: &str, holders: impl Iterator<Item = &'a Fingerprint>) -> Vec<Fingerprint> {
    let mut scored: Vec<_> = holders.map(|holder| (score(content_id, holder, 0).0, *holder)).collect();
    scored.sort_unstable();
    scored.into_iter().map(|(_, holder)| holder).collect()
}

/// Rank of a holder and a place among the symbols.
fn score(content_id: &str, holder: &Fingerprint, round: u32) -> (u64, u32) {
    let len = u64::try_from(content_id.len()).unwrap_or(u64::MAX).to_be_bytes();
    let parts = [domain::SYMBOL_HOLDER, &len, content_id.as_bytes(), &holder.0, &round.to_be_bytes()];
    let hash = sha256(&parts);
    let word = |from: usize| hash.iter().skip(from).take(8).fold(0u64, |word, byte| word << 8 | u64::from(*byte));
    (word(0), u32::try_from(word(8) >> 32).unwrap_or(0))
}
