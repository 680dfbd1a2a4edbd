//! Opens chunks as soon as their key is there, and keeps the few that come before it.

use std::collections::VecDeque;

use edge_crypto::Secret;
use edge_seal::payload::Origin;
use edge_seal::receiver::{Error, Received, Receiver};
use edge_seal::{EpochDek, Payload, open_inner};
use edge_wire::chunk::InnerSealed;
use edge_wire::id::{Epoch, Fingerprint, StreamId};

use super::AfterRemoval;
use crate::clock;

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
    stream: StreamId,
    origin: Origin,
    receiver: Option<Receiver>,
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
            stream,
            origin: Origin::from(publisher),
            receiver: None,
            early: VecDeque::new(),
            early_bytes: 0,
            after_removal,
            old_keys: Vec::new(),
            newest: None,
            removed: false,
            counts: Counts::default(),
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

    /// Installs an epoch's key; gives back what waited for it.
    pub(super) fn install(&mut self, epoch: Epoch, dek: EpochDek) -> Vec<Payload> {
        self.remember(&dek);
        self.newest = Some(epoch);
        self.removed = false;
        let first = self.receiver.is_none();
        let receiver = self.receiver.get_or_insert_with(|| Receiver::new(self.stream, epoch).pinned_to(self.origin));
        let mut opened = receiver.install(epoch, dek, clock::now_ms()).unwrap_or_default();
        if first {
            self.early_bytes = 0;
            let early = std::mem::take(&mut self.early);
            opened.extend(early.into_iter().filter_map(|chunk| match self.open(chunk) {
                Opened::Payload(payload) => Some(payload),
                Opened::Waiting | Opened::Early | Opened::Dropped | Opened::Forged => None,
            }));
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
        let Some(receiver) = &mut self.receiver else {
            self.keep(chunk);
            return Opened::Early;
        };
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
