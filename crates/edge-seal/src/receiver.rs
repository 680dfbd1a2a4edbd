//! The opening end of one stream: keys by epoch, chunks that wait for their key, duplicates and relabelled chunks.

use std::collections::{BTreeSet, VecDeque};

use edge_wire::chunk::{self, InnerSealed};
use edge_wire::id::{ChunkSeq, Epoch, StreamId};

use crate::dek::open_inner;
use crate::payload::{self, Origin, Payload};
use crate::{EpochDek, MAX_PLAINTEXT_LEN};

/// How long a replaced key still opens chunks that were in flight, in ms.
pub const GRACE_MS: u64 = 2_000;
/// How long a chunk waits for its epoch's key, in ms.
pub const HOLD_MS: u64 = 2_000;
/// Most chunks that wait for a key.
pub const MAX_HELD_CHUNKS: usize = 512;
/// Most ciphertext bytes that wait for a key.
pub const MAX_HELD_BYTES: usize = 8 << 20;
/// Counter values remembered per epoch; everything below the lowest of them counts as seen.
pub const MAX_SEEN: usize = 1024;
/// How far ahead of the newest key an epoch may be and still be worth holding.
pub const MAX_EPOCHS_AHEAD: u64 = 64;

/// What became of a chunk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Received {
    /// Opened, checked and seen for the first time.
    Opened(Payload),
    /// Kept until its epoch's key is installed.
    Held,
}

impl Received {
    /// The payload, if the chunk was opened.
    pub fn opened(self) -> Option<Payload> {
        match self {
            Self::Opened(payload) => Some(payload),
            Self::Held => None,
        }
    }
}

/// The clear header field that contradicts the sealed one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Field {
    /// Payload kind.
    Codec,
    /// Layer.
    Layer,
    /// Publisher, against the one this receiver is pinned to.
    Sender,
}

/// Why a chunk was dropped. Nothing but a counter has changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The chunk belongs to another stream.
    #[error("the chunk belongs to another stream")]
    WrongStream,
    /// The chunk's clear header or length is one that no honest sender writes.
    #[error(transparent)]
    Chunk(#[from] chunk::Error),
    /// The inner seal does not open.
    #[error("the inner seal does not open")]
    InnerAead,
    /// The chunk was received before, or is too old to tell.
    #[error("chunk {seq} of epoch {epoch} was received before")]
    Duplicate {
        /// Epoch of the chunk.
        epoch: u64,
        /// Counter of the chunk.
        seq: u64,
    },
    /// The epoch is past and its key is wiped, or it is older than this member.
    #[error("epoch {got} is past, the oldest open one is {oldest}")]
    StaleEpoch {
        /// Epoch of the chunk.
        got: u64,
        /// Oldest epoch that is accepted now.
        oldest: u64,
    },
    /// The epoch is too far ahead to be held.
    #[error("epoch {got} is too far ahead of {have}")]
    EpochTooFar {
        /// Epoch of the chunk.
        got: u64,
        /// Newest epoch with a key.
        have: u64,
    },
    /// Too much waits for a key already.
    #[error("too many chunks wait for an epoch key")]
    HoldFull,
    /// The chunk opened, but a hop rewrote its clear header.
    #[error("a hop relabelled the chunk: {field:?} differs from the sealed header")]
    Relabelled {
        /// The first field that differs.
        field: Field,
    },
    /// The chunk opened, but does not hold a frame payload.
    #[error(transparent)]
    Payload(#[from] payload::Error),
    /// A key must belong to a higher epoch than the newest one.
    #[error("epoch {got} is not above epoch {have}")]
    EpochNotHigher {
        /// Newest epoch with a key.
        have: u64,
        /// Epoch offered.
        got: u64,
    },
}

/// What happened so far, as counts of chunks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counters {
    /// Opened and handed out.
    pub opened: u64,
    /// Received again after a successful open.
    pub duplicates: u64,
    /// Did not open.
    pub failed: u64,
    /// Opened, with a rewritten clear header.
    pub relabelled: u64,
    /// Malformed in the clear header or in the payload.
    pub malformed: u64,
    /// Of an epoch that is past or too far ahead, or of another stream.
    pub misplaced: u64,
    /// Put aside to wait for a key.
    pub held: u64,
    /// Dropped while waiting or because too many waited.
    pub hold_dropped: u64,
}

/// The key of one epoch and the counter values that it has opened.
#[derive(Debug)]
struct Keyed {
    epoch: Epoch,
    dek: EpochDek,
    seen: Seen,
}

/// Opens one stream for one member.
#[derive(Debug)]
pub struct Receiver {
    stream: StreamId,
    first_epoch: Epoch,
    pinned: Option<Origin>,
    current: Option<Keyed>,
    previous: Option<(Keyed, u64)>,
    held: VecDeque<(InnerSealed, u64)>,
    held_bytes: usize,
    counters: Counters,
}

impl Receiver {
    /// A receiver for a member whose Welcome was for `first_epoch`; it never accepts an older one.
    pub fn new(stream: StreamId, first_epoch: Epoch) -> Self {
        Self {
            stream,
            first_epoch,
            pinned: None,
            current: None,
            previous: None,
            held: VecDeque::new(),
            held_bytes: 0,
            counters: Counters::default(),
        }
    }

    /// Accepts payloads of this publisher only.
    pub fn pinned_to(mut self, sender: Origin) -> Self {
        self.pinned = Some(sender);
        self
    }

    /// Takes one chunk: opens it, or keeps it until its key comes.
    pub fn push(&mut self, chunk: InnerSealed, now_ms: u64) -> Result<Received, Error> {
        self.poll_expired(now_ms);
        let result = self.admit(&chunk).and_then(|place| match place {
            Place::Keyed => self.open(&chunk).map(Received::Opened),
            Place::Future => self.hold(chunk, now_ms).map(|()| Received::Held),
        });
        self.count(&result);
        result
    }

    /// Installs the key of a higher epoch, lets the present one live on for [`GRACE_MS`], and gives back what waited
    /// for the new key, at most [`MAX_HELD_CHUNKS`] payloads in the order of arrival.
    pub fn install(&mut self, epoch: Epoch, dek: EpochDek, now_ms: u64) -> Result<Vec<Payload>, Error> {
        self.poll_expired(now_ms);
        if epoch < self.first_epoch {
            return Err(Error::StaleEpoch { got: epoch.0, oldest: self.first_epoch.0 });
        }
        match &self.current {
            Some(current) if epoch <= current.epoch => {
                return Err(Error::EpochNotHigher { have: current.epoch.0, got: epoch.0 });
            }
            _ => {}
        }
        let replaced = self.current.replace(Keyed { epoch, dek, seen: Seen::default() });
        self.previous = replaced.map(|keyed| (keyed, now_ms.saturating_add(GRACE_MS)));
        Ok(self.drain())
    }

    /// Wipes the previous key when its time is over and drops chunks that waited too long. Also run by every other
    /// call, so that no late call finds an expired key.
    pub fn poll_expired(&mut self, now_ms: u64) {
        if self.previous.as_ref().is_some_and(|(_, until_ms)| now_ms >= *until_ms) {
            self.previous = None;
        }
        while self.held.front().is_some_and(|(_, until_ms)| now_ms >= *until_ms) {
            if let Some((chunk, _)) = self.held.pop_front() {
                self.held_bytes -= chunk.ciphertext.len();
                self.counters.hold_dropped += 1;
            }
        }
    }

    /// When [`poll_expired`](Self::poll_expired) has something to do next, in ms.
    pub fn next_deadline_ms(&self) -> Option<u64> {
        let key = self.previous.as_ref().map(|(_, until_ms)| *until_ms);
        let chunk = self.held.front().map(|(_, until_ms)| *until_ms);
        [key, chunk].into_iter().flatten().min()
    }

    /// The newest epoch with a key.
    pub fn epoch(&self) -> Option<Epoch> {
        self.current.as_ref().map(|keyed| keyed.epoch)
    }

    /// Counts so far.
    pub fn counters(&self) -> Counters {
        self.counters
    }

    fn admit(&self, chunk: &InnerSealed) -> Result<Place, Error> {
        let header = chunk.header;
        if header.stream != self.stream {
            return Err(Error::WrongStream);
        }
        header.check()?;
        if chunk.ciphertext.len() > MAX_PLAINTEXT_LEN + chunk::TAG_LEN {
            return Err(chunk::Error::TooLong { got: chunk.ciphertext.len() + chunk::OVERHEAD }.into());
        }
        let newest = self.current.as_ref().map_or(self.first_epoch, |keyed| keyed.epoch);
        let oldest = self.previous.as_ref().map_or(newest, |(keyed, _)| keyed.epoch);
        match header.epoch {
            epoch if self.keyed(epoch).is_some() => Ok(Place::Keyed),
            // With the previous epoch's key in place a skipped epoch between the two has no key and gets none.
            Epoch(got) if got < newest.0 => Err(Error::StaleEpoch { got, oldest: oldest.0 }),
            Epoch(got) if got - newest.0 > MAX_EPOCHS_AHEAD => Err(Error::EpochTooFar { got, have: newest.0 }),
            _ => Ok(Place::Future),
        }
    }

    fn open(&mut self, chunk: &InnerSealed) -> Result<Payload, Error> {
        let pinned = self.pinned;
        let header = chunk.header;
        let keyed = self.keyed_mut(header.epoch).ok_or(Error::InnerAead)?;
        if keyed.seen.contains(header.seq) {
            return Err(Error::Duplicate { epoch: header.epoch.0, seq: header.seq.0 });
        }
        let plaintext = open_inner(&keyed.dek, chunk).map_err(|_| Error::InnerAead)?;
        let payload = Payload::parse(&plaintext)?;
        if let Some(field) = contradiction(&chunk.header, &payload.header, pinned) {
            return Err(Error::Relabelled { field });
        }
        // Only now: a relabelled copy must not use up the counter value of the honest copy from another parent.
        keyed.seen.insert(header.seq);
        Ok(payload)
    }

    fn hold(&mut self, chunk: InnerSealed, now_ms: u64) -> Result<(), Error> {
        let bytes = self.held_bytes + chunk.ciphertext.len();
        if self.held.len() >= MAX_HELD_CHUNKS || bytes > MAX_HELD_BYTES {
            return Err(Error::HoldFull);
        }
        self.held_bytes = bytes;
        self.held.push_back((chunk, now_ms.saturating_add(HOLD_MS)));
        Ok(())
    }

    fn drain(&mut self) -> Vec<Payload> {
        let mut payloads = Vec::new();
        for (chunk, until_ms) in std::mem::take(&mut self.held) {
            match self.admit(&chunk) {
                Ok(Place::Future) => {
                    self.held.push_back((chunk, until_ms));
                    continue;
                }
                Ok(Place::Keyed) => {
                    let result = self.open(&chunk).map(Received::Opened);
                    self.count(&result);
                    payloads.extend(result.ok().and_then(Received::opened));
                }
                Err(_) => self.counters.hold_dropped += 1,
            }
            self.held_bytes -= chunk.ciphertext.len();
        }
        payloads
    }

    fn count(&mut self, result: &Result<Received, Error>) {
        let counters = &mut self.counters;
        let counter = match result {
            Ok(Received::Opened(_)) => &mut counters.opened,
            Ok(Received::Held) => &mut counters.held,
            Err(Error::Duplicate { .. }) => &mut counters.duplicates,
            Err(Error::InnerAead) => &mut counters.failed,
            Err(Error::Relabelled { .. }) => &mut counters.relabelled,
            Err(Error::Chunk(_) | Error::Payload(_)) => &mut counters.malformed,
            Err(Error::HoldFull) => &mut counters.hold_dropped,
            Err(_) => &mut counters.misplaced,
        };
        *counter += 1;
    }

    fn keyed(&self, epoch: Epoch) -> Option<&Keyed> {
        let previous = self.previous.as_ref().map(|(keyed, _)| keyed);
        self.current.iter().chain(previous).find(|keyed| keyed.epoch == epoch)
    }

    fn keyed_mut(&mut self, epoch: Epoch) -> Option<&mut Keyed> {
        let previous = self.previous.as_mut().map(|(keyed, _)| keyed);
        self.current.iter_mut().chain(previous).find(|keyed| keyed.epoch == epoch)
    }
}

/// Where a chunk's epoch lies.
enum Place {
    Keyed,
    Future,
}

fn contradiction(clear: &chunk::Header, sealed: &payload::Header, pinned: Option<Origin>) -> Option<Field> {
    if clear.codec != sealed.codec {
        return Some(Field::Codec);
    }
    if clear.layer != sealed.layer {
        return Some(Field::Layer);
    }
    pinned.filter(|sender| *sender != sealed.sender).map(|_| Field::Sender)
}

/// The highest [`MAX_SEEN`] counter values, and a floor under which everything counts as seen. Dropping the lowest
/// value rather than the oldest keeps one wild counter value from lifting the floor over the honest ones.
#[derive(Debug, Default)]
struct Seen {
    values: BTreeSet<u64>,
    floor: u64,
}

impl Seen {
    fn contains(&self, seq: ChunkSeq) -> bool {
        seq.0 < self.floor || self.values.contains(&seq.0)
    }

    fn insert(&mut self, seq: ChunkSeq) {
        self.values.insert(seq.0);
        if self.values.len() > MAX_SEEN
            && let Some(lowest) = self.values.pop_first()
        {
            self.floor = lowest.saturating_add(1);
        }
    }
}
