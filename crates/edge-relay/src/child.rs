//! One subscriber of one stream: its link, its policy, its queue and what it can decode.

use edge_link::Sender;
use edge_wire::chunk::{CodecId, Header};
use edge_wire::id::{KeyId, LinkSeq, StreamId};
use edge_wire::layer::{Layer, Policy};
use edge_wire::link::{self, Hint};

use crate::arena::{Arena, Buffer};
use crate::chain::{Chain, Resume};
use crate::limits::{Limits, QueueLimits};
use crate::queue::{Chunk, Queue, Shed, Tracking};

/// One sealed message, ready for the transport.
#[derive(Debug)]
pub struct Transmit {
    /// Link framing, then the sealed chunk.
    pub message: Buffer,
    /// Counter of the seal.
    pub seq: LinkSeq,
    /// The chunk's clear part.
    pub header: Header,
    /// What is known about the chunk.
    pub hint: Hint,
}

impl Transmit {
    /// The sealed chunk alone, for a peer that takes no link framing.
    pub fn chunk(&self) -> &[u8] {
        self.message.get(link::PREFIX_LEN..).unwrap_or_default()
    }
}

/// Counters of one subscription since its start, and the depth of its queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Stats {
    /// Chunks sealed.
    pub forwarded: u64,
    /// Message bytes sealed.
    pub bytes: u64,
    /// Chunks that were not sent.
    pub dropped: Dropped,
    /// How often everything up to a key frame was given up.
    pub skipped_to_key: u64,
    /// Chunks that wait now.
    pub queued: usize,
    /// Inner ciphertext bytes that wait now.
    pub queued_bytes: usize,
}

/// Chunks that were not sent, by reason and layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Dropped {
    /// Above the child's policy.
    pub policy: u64,
    /// Not decodable without something dropped before.
    pub dependency: u64,
    /// Spatial or quality enhancement, for lack of room or time.
    pub spatial: u64,
    /// Temporal enhancement, for lack of room or time.
    pub temporal: u64,
    /// Base layer, for lack of room or time.
    pub base: u64,
    /// Sound, for lack of room or time.
    pub audio: u64,
}

impl Dropped {
    /// Counts a chunk that left the queue unsent.
    pub(crate) fn count(&mut self, layer: Layer) {
        match layer {
            Layer { spatial: 1.., .. } | Layer { quality: 1.., .. } => self.spatial += 1,
            Layer { temporal: 1.., .. } => self.temporal += 1,
            Layer { .. } => self.base += 1,
        }
    }
}

pub(crate) struct Child {
    pub(crate) stream: StreamId,
    pub(crate) subscriber: KeyId,
    pub(crate) sender: Sender,
    policy: Policy,
    chain: Chain,
    queue: Queue,
    stats: Stats,
    hold_until_ms: u64,
    rate: Rate,
}

impl Child {
    pub(crate) fn new(stream: StreamId, subscriber: KeyId, sender: Sender, policy: Policy) -> Self {
        Self {
            stream,
            subscriber,
            sender,
            policy,
            chain: Chain::new(),
            queue: Queue::default(),
            stats: Stats::default(),
            hold_until_ms: 0,
            rate: Rate::default(),
        }
    }

    pub(crate) fn set_policy(&mut self, policy: Policy) {
        self.policy = policy;
    }

    /// Queues the chunk if the child wants it and can use it; whether it did.
    pub(crate) fn offer(&mut self, chunk: &Chunk, tracking: Tracking, limits: &QueueLimits, now_ms: u64) -> bool {
        let (layer, hint) = (chunk.layer(), chunk.hint);
        let tracked = tracking == Tracking::Tracked;
        if chunk.inner.header.codec != CodecId::OPAQUE && !self.policy.admits(layer) {
            self.stats.dropped.policy += 1;
            if tracked {
                self.chain.lose(layer, hint);
            }
            return false;
        }
        if tracked && !self.chain.offer(layer, hint, self.resume(now_ms)) {
            self.stats.dropped.dependency += 1;
            return false;
        }
        match hint.audio {
            true => self.queue.push_audio(chunk.clone(), now_ms),
            false => self.queue.push(chunk.clone(), tracking, now_ms),
        }
        self.shed(limits, now_ms);
        true
    }

    /// Ends a replay that left out enhancement layers of the current frames.
    pub(crate) fn missed_temporal_layers(&mut self) {
        self.chain.cut(crate::chain::Cut::Temporal(1));
    }

    /// Seals the next chunk that is still worth sending.
    pub(crate) fn poll(
        &mut self,
        limits: &Limits,
        now_ms: u64,
        arena: &Arena,
    ) -> Result<Option<Transmit>, edge_link::Error> {
        self.shed(&limits.queue, now_ms);
        let Some(Chunk { inner, hint }) = self.queue.front() else { return Ok(None) };
        let len = Sender::media_len(inner)?;
        if !self.rate.allows(limits.subscriber_bytes_per_second_max, now_ms) {
            return Ok(None);
        }
        let mut message = arena.take(len);
        let seq = self.sender.seal_media_to(inner, *hint, &mut message)?;
        let transmit = Transmit { message, seq, header: inner.header, hint: *hint };
        self.queue.pop();
        self.rate.spend(len as u64);
        self.stats.forwarded += 1;
        self.stats.bytes += len as u64;
        Ok(Some(transmit))
    }

    pub(crate) fn has_output(&self) -> bool {
        !self.queue.is_empty()
    }

    pub(crate) fn stats(&self) -> Stats {
        Stats { queued: self.queue.len(), queued_bytes: self.queue.bytes(), ..self.stats }
    }

    pub(crate) fn waits_for_key(&self) -> bool {
        self.chain.waits_for_key()
    }

    /// The lowest spatial layer that the child is to get, does not get, and could take again.
    pub(crate) fn waits_for_switch(&self, spatial_max: u8, now_ms: u64) -> Option<u8> {
        match self.resume(now_ms) {
            Resume::Held => None,
            Resume::Allowed => self.chain.waits_for_switch(spatial_max.min(self.policy.max_spatial)),
        }
    }

    fn resume(&self, now_ms: u64) -> Resume {
        match now_ms < self.hold_until_ms {
            true => Resume::Held,
            false => Resume::Allowed,
        }
    }

    fn shed(&mut self, limits: &QueueLimits, now_ms: u64) {
        if self.queue.shed(limits, now_ms, &mut self.chain, &mut self.stats) == Shed::Layers {
            self.hold_until_ms = now_ms.saturating_add(limits.resume_hold_ms);
        }
    }
}

/// A token bucket of one second's worth. It may go into debt by one message, so that a message longer than the whole
/// bucket still passes.
#[derive(Default)]
struct Rate {
    spent: u64,
    at_ms: u64,
}

impl Rate {
    fn allows(&mut self, bytes_per_second: u64, now_ms: u64) -> bool {
        let earned = u128::from(now_ms.saturating_sub(self.at_ms)) * u128::from(bytes_per_second) / 1000;
        self.spent = self.spent.saturating_sub(u64::try_from(earned).unwrap_or(u64::MAX));
        self.at_ms = self.at_ms.max(now_ms);
        self.spent < bytes_per_second
    }

    fn spend(&mut self, bytes: u64) {
        self.spent = self.spent.saturating_add(bytes);
    }
}
