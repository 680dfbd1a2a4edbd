//! What came lately, so that what two parents bring is taken once.

use std::collections::{BTreeMap, VecDeque};
use std::hash::{BuildHasher, RandomState};

use edge_wire::chunk::InnerSealed;
use edge_wire::control::Message;
use edge_wire::id::Fingerprint;

/// Control messages remembered.
const MAX_MESSAGES: usize = 512;
/// For how long: two parents bring the same message within this time, and who missed one asks again later than that.
const REMEMBERED_MS: u64 = 250;
/// Chunks whose content is remembered.
const MAX_CHUNKS: usize = 4096;

/// Control messages of the last while, by a keyed hash that nobody outside can aim at.
#[derive(Debug, Default)]
pub(crate) struct Recent {
    keys: RandomState,
    seen: VecDeque<(u64, u64)>,
}

impl Recent {
    /// Whether `message` did not come lately. Only what is the same for everybody below is told apart.
    pub(crate) fn is_new(&mut self, now_ms: u64, message: &Message) -> bool {
        if !matches!(message, Message::Commit { .. } | Message::Tree { .. } | Message::Down { .. }) {
            return true;
        }
        let old = |(_, at_ms): &(u64, u64)| now_ms.saturating_sub(*at_ms) >= REMEMBERED_MS;
        while self.seen.front().is_some_and(old) || self.seen.len() >= MAX_MESSAGES {
            self.seen.pop_front();
        }
        let hash = self.keys.hash_one(message.to_bytes());
        let new = !self.seen.iter().any(|(seen, _)| *seen == hash);
        if new {
            self.seen.push_back((hash, now_ms));
        }
        new
    }
}

/// How a chunk compares with an earlier one of the same number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Known {
    /// There is no earlier one.
    New,
    /// It is the same.
    Same,
    /// `first` brought other bytes.
    Other {
        /// Who brought the first.
        first: Fingerprint,
        /// Whether a second one was passed on already.
        passed: bool,
    },
}

/// Content of the latest chunks.
#[derive(Debug, Clone, Default)]
pub(crate) struct Contents {
    keys: RandomState,
    chunks: BTreeMap<(u64, u64), (u64, Fingerprint, bool)>,
}

impl Contents {
    /// Compares `chunk` with what came under its number, and remembers it.
    pub(crate) fn compare(&mut self, number: (u64, u64), from: Fingerprint, chunk: &InnerSealed) -> Known {
        let hash = self.keys.hash_one((chunk.header.to_bytes(), &chunk.ciphertext));
        if let Some((first_hash, first, passed)) = self.chunks.get_mut(&number) {
            if *first_hash == hash {
                return Known::Same;
            }
            return Known::Other { first: *first, passed: std::mem::replace(passed, true) };
        }
        self.chunks.insert(number, (hash, from, false));
        while self.chunks.len() > MAX_CHUNKS {
            self.chunks.pop_first();
        }
        Known::New
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use edge_wire::id::{Epoch, StreamId};

    use super::*;

    #[test]
    fn a_commit_from_two_parents_is_taken_once_and_again_when_it_was_asked_for() {
        let mut recent = Recent::default();
        let commit = Message::Commit { stream: StreamId([1; 32]), epoch: Epoch(4), body: Bytes::from_static(b"x") };
        assert!(recent.is_new(0, &commit));
        assert!(!recent.is_new(100, &commit));
        assert!(recent.is_new(REMEMBERED_MS, &commit));
        assert!(recent.is_new(REMEMBERED_MS, &Message::Ended { stream: StreamId([1; 32]), notice: Bytes::new() }));
    }
}
