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

/// Copies of one chunk that are told apart by who sent them.
const MAX_COPIES: usize = 6;

/// How a chunk compares with the first one of the same number.
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
    },
}

/// How a chunk compares with all that came under its number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Compared {
    /// With the first one.
    pub(crate) known: Known,
    /// Who sent it sent another one before, and never these bytes.
    pub(crate) varies: bool,
}

/// Content of the latest chunks.
#[derive(Debug, Clone, Default)]
pub(crate) struct Contents {
    keys: RandomState,
    chunks: BTreeMap<(u64, u64), Copies>,
    /// In the order in which they came: whoever made numbers up cannot have its own outlast true ones.
    order: VecDeque<(u64, u64)>,
}

#[derive(Debug, Clone)]
struct Copies {
    hash: u64,
    first: Fingerprint,
    /// A second one was passed on.
    passed: bool,
    /// Who sent what, as keyed hashes, in the order in which it came; zeros where nothing did.
    sent: [(u32, u32); MAX_COPIES],
}

impl Copies {
    /// Notes that the sender `who` sent `what`; whether that is another chunk than it sent before.
    fn note(&mut self, who: u32, what: u32) -> bool {
        let entry = (who, what);
        if self.sent.contains(&entry) {
            return false;
        }
        let varies = self.sent.iter().any(|(other, _)| *other == who);
        if let Some(free) = self.sent.iter_mut().find(|free| **free == (0, 0)) {
            *free = entry;
            return varies;
        }
        // So many copies of one chunk come from no honest parent: the next one counts as the same again.
        false
    }
}

impl Contents {
    /// Compares `chunk` with what came under its number, and remembers it.
    pub(crate) fn compare(&mut self, number: (u64, u64), from: Fingerprint, chunk: &InnerSealed) -> Compared {
        let hash = self.keys.hash_one((chunk.header.to_bytes(), &chunk.ciphertext));
        let who = short(self.keys.hash_one(from)).max(1);
        if let Some(copies) = self.chunks.get_mut(&number) {
            let known = if copies.hash == hash { Known::Same } else { Known::Other { first: copies.first } };
            return Compared { known, varies: copies.note(who, short(hash)) };
        }
        let mut copies = Copies { hash, first: from, passed: false, sent: [(0, 0); MAX_COPIES] };
        copies.note(who, short(hash));
        self.chunks.insert(number, copies);
        self.order.push_back(number);
        if self.order.len() > MAX_CHUNKS
            && let Some(oldest) = self.order.pop_front()
        {
            self.chunks.remove(&oldest);
        }
        Compared { known: Known::New, varies: false }
    }

    /// Whether a second chunk of this number may be passed on; it may once.
    pub(crate) fn pass(&mut self, number: (u64, u64)) -> bool {
        self.chunks.get_mut(&number).is_some_and(|copies| !std::mem::replace(&mut copies.passed, true))
    }

    /// Who brought the only chunk of this number that was passed on.
    pub(crate) fn supplier(&self, number: (u64, u64)) -> Option<Fingerprint> {
        self.chunks.get(&number).filter(|copies| !copies.passed).map(|copies| copies.first)
    }
}

fn short(hash: u64) -> u32 {
    (hash >> 32) as u32
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use edge_wire::chunk::{CodecId, Header};
    use edge_wire::id::{ChunkSeq, Epoch, StreamId};
    use edge_wire::layer::Layer;

    use super::*;

    fn chunk(byte: u8) -> InnerSealed {
        let header = Header {
            stream: StreamId([1; 32]),
            epoch: Epoch(1),
            seq: ChunkSeq(5),
            codec: CodecId::AV1_SVC,
            layer: Layer::BASE,
        };
        InnerSealed { header, ciphertext: Bytes::from(vec![byte; 32]) }
    }

    #[test]
    fn numbers_that_somebody_made_up_do_not_outlast_true_ones() {
        let mut contents = Contents::default();
        let [liar, honest] = [1, 2].map(|byte| Fingerprint([byte; 32]));
        (0..MAX_CHUNKS as u64).for_each(|seq| _ = contents.compare((u64::MAX, seq), liar, &chunk(1)));
        assert_eq!(contents.compare((1, 5), honest, &chunk(7)).known, Known::New);
        assert_eq!(contents.compare((1, 5), liar, &chunk(8)).known, Known::Other { first: honest });
    }

    #[test]
    fn of_one_number_two_chunks_pass_and_it_is_known_who_sent_which() {
        let (mut contents, number) = (Contents::default(), (1, 5));
        let [near, far] = [1, 2].map(|byte| Fingerprint([byte; 32]));
        let mut compare = |from, byte| contents.compare(number, from, &chunk(byte));
        assert_eq!(compare(near, 7), Compared { known: Known::New, varies: false });
        assert_eq!(compare(near, 7), Compared { known: Known::Same, varies: false }, "a replay");
        let other = Known::Other { first: near };
        assert_eq!(compare(far, 8), Compared { known: other, varies: false });
        assert_eq!(compare(far, 7), Compared { known: Known::Same, varies: true });
        assert_eq!(compare(far, 8), Compared { known: other, varies: false }, "a replay");
        assert_eq!(compare(near, 9), Compared { known: other, varies: true });
        (10..100).for_each(|byte| _ = compare(near, byte));
        assert!(!compare(near, 100).varies, "there is no end to it: replays");
        assert_eq!(contents.supplier(number), Some(near));
        assert!(contents.pass(number) && !contents.pass(number), "two pass, and no more");
        assert_eq!(contents.supplier(number), None, "either may have been the wrong one");
    }

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
