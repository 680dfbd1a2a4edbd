//! What a hostile relay does to what it carries.

use std::collections::VecDeque;

use bytes::Bytes;
use edge_wire::chunk::{Header, InnerSealed};
use edge_wire::id::ChunkSeq;
use edge_wire::layer::Layer;
use edge_wire::link::Hint;

use crate::rng::Rng;

/// How long a delaying relay keeps each chunk, in ms.
pub const DELAY_MS: u64 = 700;
/// Of so many chunks a starving relay passes one on.
pub const STARVE_ONE_IN: u64 = 8;
/// How many pictures ahead garbage claims to be.
pub const AHEAD: u64 = 3;

/// Chunks that a replaying relay keeps.
const KEPT_MAX: usize = 64;

/// One way to do harm. The hostile relay still takes part in everything else, and its links are its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Malice {
    /// Rewrites the clear header: another layer, or another number.
    Relabel,
    /// Sends old chunks again, as new messages of the link.
    Replay,
    /// Keeps every chunk for [`DELAY_MS`].
    Delay,
    /// Passes on one chunk of [`STARVE_ONE_IN`].
    Starve,
    /// Sends junk under numbers that are still to come, so that the true chunks look like repeats.
    GarbageFirst,
}

impl Malice {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Relabel, Self::Replay, Self::Delay, Self::Starve, Self::GarbageFirst];
}

/// A hostile relay's state.
#[derive(Debug)]
pub(crate) struct Mischief {
    malice: Malice,
    count: u64,
    kept: VecDeque<(InnerSealed, Hint)>,
}

/// What is passed on instead of a chunk.
#[derive(Debug)]
pub(crate) struct Passed {
    pub(crate) chunk: InnerSealed,
    pub(crate) hint: Hint,
    pub(crate) after_ms: u64,
}

impl Mischief {
    pub(crate) fn new(malice: Malice) -> Self {
        Self { malice, count: 0, kept: VecDeque::new() }
    }

    pub(crate) fn turn(&mut self, chunk: InnerSealed, hint: Hint, rng: &mut Rng) -> Vec<Passed> {
        self.count += 1;
        let plain = |chunk| Passed { chunk, hint, after_ms: 0 };
        match self.malice {
            Malice::Relabel => vec![plain(self.relabelled(chunk))],
            Malice::Replay => self.replayed(chunk, hint, rng),
            Malice::Delay => vec![Passed { chunk, hint, after_ms: DELAY_MS }],
            Malice::Starve => match self.count.is_multiple_of(STARVE_ONE_IN) {
                true => vec![plain(chunk)],
                false => Vec::new(),
            },
            Malice::GarbageFirst => vec![plain(garbage(&chunk, rng)), plain(chunk)],
        }
    }

    fn relabelled(&self, chunk: InnerSealed) -> InnerSealed {
        let Header { layer, seq, .. } = chunk.header;
        let header = match self.count % 2 {
            0 => Header { layer: Layer::new(0, 2 - layer.temporal.min(2), 1), ..chunk.header },
            _ => Header { seq: ChunkSeq(seq.0 + 1), ..chunk.header },
        };
        InnerSealed { header, ..chunk }
    }

    fn replayed(&mut self, chunk: InnerSealed, hint: Hint, rng: &mut Rng) -> Vec<Passed> {
        let at = rng.below(self.kept.len() as u64) as usize;
        let old = self.kept.get(at).cloned().map(|(chunk, hint)| Passed { chunk, hint, after_ms: 0 });
        self.kept.push_back((chunk.clone(), hint));
        if self.kept.len() > KEPT_MAX {
            self.kept.pop_front();
        }
        old.into_iter().chain([Passed { chunk, hint, after_ms: 0 }]).collect()
    }
}

fn garbage(chunk: &InnerSealed, rng: &mut Rng) -> InnerSealed {
    let mut junk = vec![0; chunk.ciphertext.len()];
    edge_crypto::Random::fill(rng, &mut junk);
    let header = Header { seq: ChunkSeq(chunk.header.seq.0 + AHEAD), layer: Layer::BASE, ..chunk.header };
    InnerSealed { header, ciphertext: Bytes::from(junk) }
}
