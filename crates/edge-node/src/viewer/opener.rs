//! Opens chunks as soon as their key is there, and keeps the few that come before it.

use std::collections::VecDeque;

use edge_crypto::Secret;
use edge_seal::payload::Origin;
use edge_seal::receiver::{Error, Received, Receiver};
use edge_seal::{EpochDek, Payload, open_inner};
use edge_wire::chunk::InnerSealed;
use edge_wire::id::{Epoch, Fingerprint, StreamId};

use super::AfterRemoval;
use crate::{clock, description};

/// Chunks and bytes kept until this viewer is admitted.
const MAX_EARLY: usize = 512;
const MAX_EARLY_BYTES: usize = 8 << 20;
/// Keys kept by a removed viewer that goes on trying.
const MAX_OLD_KEYS: usize = 64;

/// Counts of chunks.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Counts {
    pub(super) received: u64,
    pub(super) opened: u64,
    pub(super) relabelled: u64,
    pub(super) unopened: u64,
    pub(super) offered_after_removal: u64,
    pub(super) opened_after_removal: u64,
}

/// What became of a chunk.
pub(super) enum Opened {
    /// It opened.
    Payload(Payload),
    /// It waits for a key that this viewer, being a member, should have soon.
    Waiting,
    /// It waits for this viewer's admission.
    Early,
    /// It came before, or is of no use to this viewer any more.
    Dropped,
    /// It is not what the publisher sealed.
    Forged,
}

/// One stream's chunks on their way to the decoder.
pub(super) struct Opener {
    /// The whole stream, then its descriptions if it is cut.
    streams: Vec<StreamId>,
    origin: Origin,
    /// In the same order; empty before this viewer is admitted.
    receivers: Vec<Receiver>,
    early: VecDeque<InnerSealed>,
    early_bytes: usize,
    after_removal: AfterRemoval,
    old_keys: Vec<EpochDek>,
    newest: Option<Epoch>,
    removed: bool,
    counts: Counts,
}

impl Opener {
    /// Accepts chunks of `publisher` only.
    pub(super) fn new(stream: StreamId, publisher: Fingerprint, after_removal: AfterRemoval) -> Self {
        Self {
            streams: vec![stream],
            origin: Origin::from(publisher),
            receivers: Vec::new(),
            early: VecDeque::new(),
            early_bytes: 0,
            after_removal,
            old_keys: Vec::new(),
            newest: None,
            removed: false,
            counts: Counts::default(),
        }
    }

    /// The stream is cut into `lanes`. What the first key opens is settled with its installation.
    pub(super) fn cut(&mut self, lanes: Vec<StreamId>) {
        if self.receivers.is_empty() {
            self.streams.truncate(1);
            self.streams.extend(lanes);
        }
    }

    /// Opens one chunk, or keeps it.
    pub(super) fn push(&mut self, chunk: InnerSealed) -> Opened {
        self.counts.received += 1;
        if self.removed && Some(chunk.header.epoch) > self.newest {
            self.try_old_keys(&chunk);
            return Opened::Dropped;
        }
        self.open(chunk)
    }

    /// Installs an epoch's key; gives back what waited for it, each payload with its description.
    pub(super) fn install(&mut self, epoch: Epoch, dek: &EpochDek) -> Vec<(u8, Payload)> {
        self.remember(dek);
        self.newest = Some(epoch);
        self.removed = false;
        let first = self.receivers.is_empty();
        if first {
            let receiver = |stream: &StreamId| Receiver::new(*stream, epoch).pinned_to(self.origin);
            self.receivers = self.streams.iter().map(receiver).collect();
        }
        let now_ms = clock::now_ms();
        let mut opened = Vec::new();
        for (place, receiver) in self.receivers.iter_mut().enumerate() {
            let payloads = receiver.install(epoch, description::copy(dek), now_ms).unwrap_or_default();
            opened.extend(payloads.into_iter().map(|payload| (description_at(place), payload)));
        }
        if first {
            self.early_bytes = 0;
            let early = std::mem::take(&mut self.early);
            for chunk in early {
                let description = description_at(self.place(chunk.header.stream).unwrap_or(0));
                if let Opened::Payload(payload) = self.open(chunk) {
                    opened.push((description, payload));
                }
            }
        }
        self.counts.opened += if first { 0 } else { u64::try_from(opened.len()).unwrap_or(0) };
        opened
    }

    /// From now on the group goes on without this viewer.
    pub(super) fn remove(&mut self) {
        self.removed = true;
    }

    /// Counts so far.
    pub(super) fn counts(&self) -> Counts {
        self.counts
    }

    fn open(&mut self, chunk: InnerSealed) -> Opened {
        if self.receivers.is_empty() {
            self.keep(chunk);
            return Opened::Early;
        }
        let place = self.place(chunk.header.stream);
        let Some(receiver) = place.and_then(|place| self.receivers.get_mut(place)) else { return Opened::Dropped };
        match receiver.push(chunk, clock::now_ms()) {
            Ok(Received::Opened(payload)) => {
                self.counts.opened += 1;
                Opened::Payload(payload)
            }
            Ok(Received::Held) => Opened::Waiting,
            Err(Error::Relabelled { .. }) => {
                self.counts.relabelled += 1;
                Opened::Forged
            }
            Err(error) => {
                self.counts.unopened += 1;
                tracing::debug!(%error, "a chunk did not open");
                match error {
                    Error::InnerAead | Error::Chunk(_) | Error::Payload(_) => Opened::Forged,
                    _ => Opened::Dropped,
                }
            }
        }
    }

    fn place(&self, stream: StreamId) -> Option<usize> {
        self.streams.iter().position(|known| *known == stream)
    }

    fn keep(&mut self, chunk: InnerSealed) {
        self.early_bytes += chunk.ciphertext.len();
        self.early.push_back(chunk);
        while self.early.len() > MAX_EARLY || self.early_bytes > MAX_EARLY_BYTES {
            let Some(dropped) = self.early.pop_front() else { break };
            self.early_bytes -= dropped.ciphertext.len();
            self.counts.unopened += 1;
        }
    }

    fn remember(&mut self, dek: &EpochDek) {
        if self.after_removal == AfterRemoval::KeepTrying {
            if self.old_keys.len() >= MAX_OLD_KEYS {
                self.old_keys.remove(0);
            }
            self.old_keys.extend(Secret::from_slice(dek.secret().expose()).map(EpochDek::new));
        }
    }

    fn try_old_keys(&mut self, chunk: &InnerSealed) {
        self.counts.offered_after_removal += 1;
        let opens = self.old_keys.iter().any(|dek| open_inner(dek, chunk).is_ok());
        self.counts.opened_after_removal += u64::from(opens);
    }
}

/// The whole stream counts as the first description, which it has if it is not cut.
fn description_at(place: usize) -> u8 {
    u8::try_from(place.saturating_sub(1)).unwrap_or(u8::MAX)
}
