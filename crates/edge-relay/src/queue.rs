//! What waits for one child, and what is given up when it waits too long.

use std::collections::VecDeque;

use edge_wire::chunk::InnerSealed;
use edge_wire::layer::Layer;
use edge_wire::link::Hint;

use crate::chain::{Chain, Cut};
use crate::child::Stats;
use crate::limits::QueueLimits;

/// A chunk with its hint; clones share the bytes.
#[derive(Debug, Clone)]
pub(crate) struct Chunk {
    pub(crate) inner: InnerSealed,
    pub(crate) hint: Hint,
}

impl Chunk {
    pub(crate) fn len(&self) -> usize {
        self.inner.ciphertext.len()
    }

    pub(crate) fn layer(&self) -> Layer {
        self.inner.header.layer
    }

    /// Whether a child with nothing can start here.
    pub(crate) fn starts_key_frame(&self) -> bool {
        self.hint.key && self.hint.frame_start && self.layer() == Layer::BASE
    }
}

/// Whether a chunk takes part in dependency tracking: opaque chunks and streams without frame hints do not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tracking {
    Tracked,
    Untracked,
}

struct Entry {
    chunk: Chunk,
    at_ms: u64,
    tracking: Tracking,
}

/// Two lanes in order of arrival: sound, which goes first and is bounded by age, and everything else.
#[derive(Default)]
pub(crate) struct Queue {
    audio: Lane,
    main: Lane,
    /// No further layer is dropped for age before this time.
    patient_until_ms: u64,
}

/// What shedding did to the child.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shed {
    Nothing,
    /// Spatial or quality layers were given up.
    Layers,
}

impl Queue {
    pub(crate) fn push_audio(&mut self, chunk: Chunk, now_ms: u64) {
        self.audio.push_back(Entry { chunk, at_ms: now_ms, tracking: Tracking::Untracked });
    }

    pub(crate) fn push(&mut self, chunk: Chunk, tracking: Tracking, now_ms: u64) {
        self.main.push_back(Entry { chunk, at_ms: now_ms, tracking });
    }

    /// The chunk to send next.
    pub(crate) fn front(&self) -> Option<&Chunk> {
        self.audio.front().or(self.main.front()).map(|entry| &entry.chunk)
    }

    /// Removes the chunk that [`front`](Self::front) gave.
    pub(crate) fn pop(&mut self) {
        if self.audio.pop_front().is_none() {
            self.main.pop_front();
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.audio.is_empty() && self.main.is_empty()
    }

    pub(crate) fn len(&self) -> usize {
        self.audio.len() + self.main.len()
    }

    pub(crate) fn bytes(&self) -> usize {
        self.audio.bytes + self.main.bytes
    }

    /// Brings the queue back within its limits and takes note in `chain` of what will be missing.
    pub(crate) fn shed(&mut self, limits: &QueueLimits, now_ms: u64, chain: &mut Chain, stats: &mut Stats) -> Shed {
        self.shed_audio(limits, now_ms, stats);
        let mut shed = Shed::Nothing;
        while let Some(pressure) = self.pressure(limits, now_ms) {
            match (self.top_enhancement(), pressure) {
                (Some(cut), _) => {
                    self.patient_until_ms = now_ms.saturating_add(limits.step_ms);
                    self.remove(cut, stats);
                    chain.cut(cut);
                    if !matches!(cut, Cut::Temporal(_)) {
                        shed = Shed::Layers;
                    }
                }
                (None, Pressure::Everything) => self.skip_to_key(chain, stats),
                (None, Pressure::Enhancement) => break,
            }
        }
        shed
    }

    fn shed_audio(&mut self, limits: &QueueLimits, now_ms: u64, stats: &mut Stats) {
        while let Some(oldest) = self.audio.front() {
            let within = self.audio.len() <= limits.audio_messages_max
                && self.audio.bytes <= limits.audio_bytes_max
                && now_ms.saturating_sub(oldest.at_ms) <= limits.audio_age_ms_max;
            if within {
                return;
            }
            self.audio.pop_front();
            stats.dropped.audio += 1;
        }
    }

    fn pressure(&self, limits: &QueueLimits, now_ms: u64) -> Option<Pressure> {
        let age_ms = |entry: &Entry| now_ms.saturating_sub(entry.at_ms);
        let oldest_ms = age_ms(self.main.front()?);
        if self.main.bytes > limits.bytes_max || self.main.len() > limits.messages_max || oldest_ms > limits.age_ms_max
        {
            return Some(Pressure::Everything);
        }
        // The front is the oldest, so a fresh front spares the scan.
        let late = oldest_ms > limits.enhancement_age_ms_max
            && now_ms >= self.patient_until_ms
            && self
                .main
                .iter()
                .take_while(|entry| age_ms(entry) > limits.enhancement_age_ms_max)
                .any(|entry| entry.chunk.layer() != Layer::BASE);
        late.then_some(Pressure::Enhancement)
    }

    /// The layers to give up next: fidelity, then size, then frame rate, each from the top.
    fn top_enhancement(&self) -> Option<Cut> {
        let mut top = Layer::BASE;
        for layer in self.main.iter().map(|entry| entry.chunk.layer()) {
            top.quality = top.quality.max(layer.quality);
            top.spatial = top.spatial.max(layer.spatial);
            top.temporal = top.temporal.max(layer.temporal);
        }
        match top {
            Layer { quality: 1.., .. } => Some(Cut::Quality(top.quality)),
            Layer { spatial: 1.., .. } => Some(Cut::Spatial(top.spatial)),
            Layer { temporal: 1.., .. } => Some(Cut::Temporal(top.temporal)),
            Layer { .. } => None,
        }
    }

    fn remove(&mut self, cut: Cut, stats: &mut Stats) {
        self.main.retain(|entry| {
            let keep = !cut.covers(entry.chunk.layer());
            if !keep {
                stats.dropped.count(entry.chunk.layer());
            }
            keep
        });
    }

    /// Only base chunks are left. Drops them up to the newest key frame, or all of them when there is none to go on
    /// from.
    fn skip_to_key(&mut self, chain: &mut Chain, stats: &mut Stats) {
        if self.main.front().is_some_and(|entry| entry.tracking == Tracking::Untracked) {
            self.drop_front(1, stats);
            return;
        }
        let starts = |(at, entry): (usize, &Entry)| entry.chunk.starts_key_frame().then_some(at);
        let key = self.main.iter().enumerate().filter_map(starts).last().filter(|&at| at > 0);
        stats.skipped_to_key += 1;
        self.drop_front(key.unwrap_or(self.main.len()), stats);
        if key.is_none() {
            chain.cut_all();
        }
    }

    fn drop_front(&mut self, count: usize, stats: &mut Stats) {
        for entry in (0..count).map_while(|_| self.main.pop_front()) {
            stats.dropped.count(entry.chunk.layer());
        }
    }
}

/// Entries for which an empty lane keeps room. What a burst needed beyond that is given back.
const ROOM_KEPT: usize = 32;

/// Entries in order of arrival. The first has its place in the lane itself: most children hold one chunk at a time, and
/// memory of its own for that is cold whenever a relay with many children comes by.
#[derive(Default)]
struct Lane {
    first: Option<Entry>,
    /// Empty while there is no first.
    rest: VecDeque<Entry>,
    /// Bytes of all entries.
    bytes: usize,
}

impl Lane {
    fn push_back(&mut self, entry: Entry) {
        self.bytes += entry.chunk.len();
        match &self.first {
            None => self.first = Some(entry),
            Some(_) => self.rest.push_back(entry),
        }
    }

    fn pop_front(&mut self) -> Option<Entry> {
        let entry = std::mem::replace(&mut self.first, self.rest.pop_front())?;
        self.bytes -= entry.chunk.len();
        self.give_back();
        Some(entry)
    }

    fn front(&self) -> Option<&Entry> {
        self.first.as_ref()
    }

    fn iter(&self) -> impl Iterator<Item = &Entry> {
        self.first.iter().chain(&self.rest)
    }

    fn len(&self) -> usize {
        usize::from(self.first.is_some()) + self.rest.len()
    }

    fn is_empty(&self) -> bool {
        self.first.is_none()
    }

    fn retain(&mut self, mut keep: impl FnMut(&Entry) -> bool) {
        self.first.take_if(|entry| !keep(entry));
        self.rest.retain(keep);
        if self.first.is_none() {
            self.first = self.rest.pop_front();
        }
        self.bytes = self.iter().map(|entry| entry.chunk.len()).sum();
        self.give_back();
    }

    /// Shrinks an empty lane: most subscribers are idle most of the time.
    fn give_back(&mut self) {
        if self.rest.is_empty() && self.rest.capacity() > ROOM_KEPT {
            self.rest.shrink_to(ROOM_KEPT);
        }
    }
}

/// How much has to go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Pressure {
    /// Enhancement that is too late; the base may stay.
    Enhancement,
    /// Whatever it takes.
    Everything,
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use edge_wire::chunk::{CodecId, Header};
    use edge_wire::id::{ChunkSeq, Epoch, StreamId};

    use super::*;

    fn chunk(seq: u64) -> Chunk {
        let (stream, epoch, seq) = (StreamId([1; 32]), Epoch(1), ChunkSeq(seq));
        let header = Header { stream, epoch, seq, codec: CodecId::AV1_SVC, layer: Layer::BASE };
        Chunk { inner: InnerSealed { header, ciphertext: Bytes::from_static(b"chunk") }, hint: Hint::default() }
    }

    #[test]
    fn the_room_that_a_burst_needed_is_given_back_when_it_is_over() {
        let (limits, mut queue) = (QueueLimits::default(), Queue::default());
        let (mut chain, mut stats) = (Chain::new(), Stats::default());
        for seq in 0..200 {
            queue.push(chunk(seq), Tracking::Untracked, 0);
            queue.push_audio(chunk(seq), 0);
        }
        while !queue.is_empty() {
            queue.pop();
        }
        assert!(queue.main.rest.capacity().max(queue.audio.rest.capacity()) <= ROOM_KEPT);
        for seq in 0..200 {
            queue.push(chunk(seq), Tracking::Untracked, 0);
            queue.push_audio(chunk(seq), 0);
        }
        queue.shed(&limits, 60_000, &mut chain, &mut stats);
        assert!(queue.is_empty());
        assert!(queue.main.rest.capacity().max(queue.audio.rest.capacity()) <= ROOM_KEPT);
    }
}
