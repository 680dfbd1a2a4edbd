//! The relay itself: rosters, forwarding and polling.

use std::collections::BTreeMap;
use std::fmt;

use bytes::Bytes;
use edge_link::{Incoming, Receiver, Secret, Sender};
use edge_wire::chunk::{self, CodecId, InnerSealed};
use edge_wire::id::{KeyId, StreamId};
use edge_wire::layer::Policy;
use edge_wire::link::Hint;

use crate::Error;
use crate::arena::Arena;
use crate::cache::{Cache, Content};
use crate::child::{Child, Stats, Transmit};
use crate::keys::Keys;
use crate::limits::Limits;
use crate::queue::{Chunk, Tracking};

/// Names one running subscription; a replaced or ended one is not found by its old handle.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Handle {
    index: u32,
    generation: u32,
}

/// What a subscription begins with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Start {
    /// With what the stream keeps since its last key frame, so that there is a picture at once.
    #[default]
    Cached,
    /// With the next chunk that the subscriber can use.
    Live,
}

/// One subscriber's wish for one stream. Whether it may have the stream is decided before it gets here.
#[derive(Debug)]
pub struct Subscription {
    /// The stream.
    pub stream: StreamId,
    /// Who; its bytes are also the link's name.
    pub subscriber: KeyId,
    /// Fresh key of this direction of this link, for this stream alone.
    pub transit_key: Secret<32>,
    /// Layers wanted.
    pub policy: Policy,
    /// What to begin with.
    pub start: Start,
}

/// A frame that the publisher should be asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Need {
    /// A switch frame, so that this spatial layer can begin.
    Switch {
        /// The layer.
        spatial: u8,
    },
    /// A key frame.
    Key,
}

/// Forwards sealed chunks to children. One caller at a time; no call waits for anything.
pub struct Relay {
    limits: Limits,
    streams: BTreeMap<StreamId, Stream>,
    children: Children,
    keys: Keys,
}

impl Relay {
    /// A relay that carries nothing.
    pub fn new(limits: Limits) -> Self {
        Self { limits, streams: BTreeMap::new(), children: Children::default(), keys: Keys::default() }
    }

    /// Keeps a stream, and its cache for newcomers, also while nobody subscribes.
    pub fn pin(&mut self, stream: StreamId) -> Result<(), Error> {
        self.stream_or_new(stream)?.pinned = true;
        Ok(())
    }

    /// Ends [`pin`](Self::pin); the stream goes when its last subscriber has gone.
    pub fn unpin(&mut self, stream: StreamId) {
        if let Some(entry) = self.streams.get_mut(&stream) {
            entry.pinned = false;
        }
        self.drop_if_unused(stream);
    }

    /// Adds a subscriber, or replaces it: new key, counter 0, empty queue. The old key is wiped.
    pub fn subscribe(&mut self, wish: Subscription, now_ms: u64) -> Result<Handle, Error> {
        let Subscription { stream, subscriber, transit_key, policy, start } = wish;
        let sender = Sender::new(transit_key, subscriber.as_bytes());
        let fingerprint = sender.key_fingerprint();
        if self.keys.was_used(fingerprint) {
            return Err(Error::KeyReuse { subscriber });
        }
        self.make_room(stream, &subscriber)?;
        let mut child = Child::new(stream, subscriber, sender, policy);
        self.stream_or_new(stream)?;
        if let Some(entry) = self.streams.get(&stream).filter(|_| start == Start::Cached) {
            entry.replay(&mut child, &self.limits, now_ms);
        }
        self.keys.install(fingerprint);
        Ok(self.insert(child))
    }

    /// Removes a subscriber and wipes its key; the stream goes with its last one unless pinned.
    pub fn unsubscribe(&mut self, stream: StreamId, subscriber: &KeyId) -> Result<(), Error> {
        self.remove(stream, subscriber)?;
        self.drop_if_unused(stream);
        Ok(())
    }

    /// Changes the wanted layers; key, counter and queue stay. A higher spatial layer begins at its next switch or key
    /// frame, see [`need`](Self::need).
    pub fn set_policy(&mut self, stream: StreamId, subscriber: &KeyId, policy: Policy) -> Result<(), Error> {
        let index = self.find(stream, subscriber).ok_or_else(|| not_found(stream, subscriber))?;
        if let Some(child) = self.children.get_mut(index) {
            child.set_policy(policy);
        }
        Ok(())
    }

    /// Offers one chunk to every subscriber of its stream; how many queued it. The bytes are shared, not copied.
    pub fn forward(&mut self, stream: StreamId, inner: InnerSealed, hint: Hint, now_ms: u64) -> Result<usize, Error> {
        let entry = self.streams.get_mut(&stream).ok_or(Error::StreamNotFound(stream))?;
        check(stream, &inner, &self.limits)?;
        let chunk = Chunk { inner, hint };
        let tracking = entry.take_note(&chunk, &self.limits, now_ms);
        let mut admitted = 0;
        for &index in &entry.children {
            if let Some(child) = self.children.get_mut(index) {
                admitted += usize::from(child.offer(&chunk, tracking, &self.limits.queue, now_ms));
            }
        }
        Ok(admitted)
    }

    /// Opens a message from upstream in its own buffer and forwards the chunk. `upstream` keeps the replay window of
    /// the link it came on.
    pub fn forward_message<B>(
        &mut self,
        stream: StreamId,
        message: Incoming<B>,
        upstream: &mut Receiver,
        now_ms: u64,
    ) -> Result<usize, Error>
    where
        B: AsMut<[u8]> + Into<Bytes>,
    {
        if !self.streams.contains_key(&stream) {
            return Err(Error::StreamNotFound(stream));
        }
        check_header(stream, message.header())?;
        let hint = message.hint();
        let inner = upstream.open_in_place(message).map_err(Error::OuterOpenFailed)?;
        self.forward(stream, inner, hint, now_ms)
    }

    /// Seals the next chunk for one subscriber, or `None` when it has none that may go now. Call it when the transport
    /// has room; what waits meanwhile is thinned by the drop policy.
    pub fn poll(&mut self, handle: Handle, now_ms: u64, arena: &Arena) -> Result<Option<Transmit>, Error> {
        let child = self.children.find_mut(handle).ok_or(Error::SubscriptionEnded)?;
        child
            .poll(&self.limits, now_ms, arena)
            .map_err(|source| Error::OuterSealFailed { subscriber: child.subscriber.clone(), source })
    }

    /// Whether a running subscription has something to send.
    pub fn has_output(&self, handle: Handle) -> bool {
        self.children.find(handle).is_some_and(Child::has_output)
    }

    /// The subscriptions that have something to send, by stream and then by subscriber, ascending.
    pub fn ready(&self) -> impl Iterator<Item = Handle> + '_ {
        let indices = self.streams.values().flat_map(|stream| stream.children.iter().copied());
        indices
            .filter(|&index| self.children.get(index).is_some_and(Child::has_output))
            .map(|i| self.children.handle(i))
    }

    /// All subscriptions of a stream, ascending by subscriber.
    pub fn handles(&self, stream: StreamId) -> impl Iterator<Item = Handle> + '_ {
        let indices = self.streams.get(&stream).into_iter().flat_map(|stream| stream.children.iter().copied());
        indices.map(|index| self.children.handle(index))
    }

    /// Stream and name of a running subscription.
    pub fn subscriber(&self, handle: Handle) -> Option<(StreamId, &KeyId)> {
        self.children.find(handle).map(|child| (child.stream, &child.subscriber))
    }

    /// Whether `subscriber` is on `stream`.
    pub fn is_subscribed(&self, stream: StreamId, subscriber: &KeyId) -> bool {
        self.find(stream, subscriber).is_some()
    }

    /// Subscribers of a stream; 0 for one that is not known.
    pub fn subscriber_count(&self, stream: StreamId) -> usize {
        self.streams.get(&stream).map_or(0, |entry| entry.children.len())
    }

    /// Counters of a running subscription.
    pub fn stats(&self, handle: Handle) -> Option<Stats> {
        self.children.find(handle).map(Child::stats)
    }

    /// The frame that this subscriber waits for, if only the publisher can end its wait.
    pub fn need(&self, handle: Handle, now_ms: u64) -> Option<Need> {
        let child = self.children.find(handle)?;
        let entry = self.streams.get(&child.stream).filter(|entry| entry.framed)?;
        match child.waits_for_key() {
            true => Some(Need::Key),
            false => child.waits_for_switch(entry.spatial.seen(), now_ms).map(|spatial| Need::Switch { spatial }),
        }
    }

    /// The frame that serves the most of a stream's subscribers: a key frame if one waits for that, else the switch
    /// frame of the lowest layer that one waits for.
    pub fn stream_need(&self, stream: StreamId, now_ms: u64) -> Option<Need> {
        let rank = |need: &Need| match need {
            Need::Key => 0,
            Need::Switch { spatial } => u16::from(*spatial) + 1,
        };
        self.handles(stream).filter_map(|handle| self.need(handle, now_ms)).min_by_key(rank)
    }

    fn stream_or_new(&mut self, stream: StreamId) -> Result<&mut Stream, Error> {
        let bound = self.limits.streams_max;
        if self.streams.len() >= bound && !self.streams.contains_key(&stream) {
            return Err(Error::TooManyStreams { bound });
        }
        Ok(self.streams.entry(stream).or_default())
    }

    /// Removes the subscription that is to be replaced, or checks that one more fits.
    fn make_room(&mut self, stream: StreamId, subscriber: &KeyId) -> Result<(), Error> {
        if self.is_subscribed(stream, subscriber) {
            return self.remove(stream, subscriber);
        }
        let bound = self.limits.subscribers_per_stream_max;
        match self.subscriber_count(stream) < bound {
            true => Ok(()),
            false => Err(Error::TooManySubscribers { stream, bound }),
        }
    }

    fn insert(&mut self, child: Child) -> Handle {
        let stream = child.stream;
        let at = self.position(stream, &child.subscriber).unwrap_or_else(|at| at);
        let handle = self.children.insert(child);
        self.streams.entry(stream).or_default().children.insert(at, handle.index);
        handle
    }

    fn remove(&mut self, stream: StreamId, subscriber: &KeyId) -> Result<(), Error> {
        let at = self.position(stream, subscriber).map_err(|_| not_found(stream, subscriber))?;
        let index = self.streams.get_mut(&stream).map(|entry| entry.children.remove(at));
        if let Some(child) = index.and_then(|index| self.children.remove(index)) {
            self.keys.retire(child.sender.key_fingerprint());
        }
        Ok(())
    }

    fn drop_if_unused(&mut self, stream: StreamId) {
        if self.streams.get(&stream).is_some_and(|entry| entry.children.is_empty() && !entry.pinned) {
            self.streams.remove(&stream);
        }
    }

    fn find(&self, stream: StreamId, subscriber: &KeyId) -> Option<u32> {
        let at = self.position(stream, subscriber).ok()?;
        self.streams.get(&stream)?.children.get(at).copied()
    }

    /// Where `subscriber` is in its stream's ascending order, or where it would be.
    fn position(&self, stream: StreamId, subscriber: &KeyId) -> Result<usize, usize> {
        let entry = self.streams.get(&stream).ok_or(0usize)?;
        entry
            .children
            .binary_search_by(|&index| self.children.get(index).map(|child| &child.subscriber).cmp(&Some(subscriber)))
    }
}

impl fmt::Debug for Relay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Relay").field("streams", &self.streams.len()).finish_non_exhaustive()
    }
}

/// One stream's roster and what its chunks have told so far.
#[derive(Default)]
struct Stream {
    pinned: bool,
    /// Whether a frame start was ever announced. Before that, and with publishers that never do, chunks are thinned by
    /// layer alone.
    framed: bool,
    spatial: SpatialSeen,
    /// Ascending by subscriber.
    children: Vec<u32>,
    cache: Cache,
}

impl Stream {
    /// Learns from a chunk before it is offered to the children.
    fn take_note(&mut self, chunk: &Chunk, limits: &Limits, now_ms: u64) -> Tracking {
        if chunk.inner.header.codec == CodecId::OPAQUE && !chunk.hint.audio {
            return Tracking::Untracked;
        }
        self.cache.record(chunk, &limits.cache, now_ms);
        if chunk.hint.audio {
            return Tracking::Untracked;
        }
        self.framed |= chunk.hint.frame_start;
        self.spatial.note(chunk);
        match self.framed {
            true => Tracking::Tracked,
            false => Tracking::Untracked,
        }
    }

    /// Gives a newcomer what the stream has kept.
    fn replay(&self, child: &mut Child, limits: &Limits, now_ms: u64) {
        for chunk in self.cache.audio(&limits.cache, now_ms) {
            child.offer(chunk, Tracking::Untracked, &limits.queue, now_ms);
        }
        for chunk in self.cache.video() {
            child.offer(chunk, Tracking::Tracked, &limits.queue, now_ms);
        }
        if self.cache.content() == Content::Base {
            child.missed_temporal_layers();
        }
    }
}

/// The highest spatial layer of the current and the previous group of pictures.
#[derive(Default)]
struct SpatialSeen {
    current: u8,
    previous: u8,
}

impl SpatialSeen {
    fn note(&mut self, chunk: &Chunk) {
        if chunk.starts_key_frame() {
            self.previous = std::mem::take(&mut self.current);
        }
        self.current = self.current.max(chunk.layer().spatial);
    }

    fn seen(&self) -> u8 {
        self.current.max(self.previous)
    }
}

/// Children by index; an index is reused with the next generation.
#[derive(Default)]
struct Children {
    slots: Vec<Slot>,
    free: Vec<u32>,
}

#[derive(Default)]
struct Slot {
    generation: u32,
    child: Option<Child>,
}

impl Children {
    fn insert(&mut self, child: Child) -> Handle {
        let index = self.free.pop().unwrap_or_else(|| {
            self.slots.push(Slot::default());
            (self.slots.len() - 1) as u32
        });
        if let Some(slot) = self.slots.get_mut(index as usize) {
            slot.child = Some(child);
        }
        self.handle(index)
    }

    fn remove(&mut self, index: u32) -> Option<Child> {
        let slot = self.slots.get_mut(index as usize)?;
        let child = slot.child.take()?;
        slot.generation = slot.generation.wrapping_add(1);
        self.free.push(index);
        Some(child)
    }

    fn handle(&self, index: u32) -> Handle {
        Handle { index, generation: self.slots.get(index as usize).map_or(0, |slot| slot.generation) }
    }

    fn get(&self, index: u32) -> Option<&Child> {
        self.slots.get(index as usize)?.child.as_ref()
    }

    fn get_mut(&mut self, index: u32) -> Option<&mut Child> {
        self.slots.get_mut(index as usize)?.child.as_mut()
    }

    fn find(&self, handle: Handle) -> Option<&Child> {
        self.get(handle.index).filter(|_| self.handle(handle.index) == handle)
    }

    fn find_mut(&mut self, handle: Handle) -> Option<&mut Child> {
        match self.handle(handle.index) == handle {
            true => self.get_mut(handle.index),
            false => None,
        }
    }
}

fn check(stream: StreamId, inner: &InnerSealed, limits: &Limits) -> Result<(), Error> {
    check_header(stream, &inner.header)?;
    let got = inner.ciphertext.len().saturating_add(chunk::PREFIX_LEN + chunk::TAG_LEN);
    match got > limits.chunk_len_max.min(chunk::MAX_LEN) {
        true => Err(chunk::Error::TooLong { got }.into()),
        false => Ok(()),
    }
}

fn check_header(stream: StreamId, header: &chunk::Header) -> Result<(), Error> {
    if header.stream != stream {
        return Err(Error::StreamMismatch { expected: stream, got: header.stream });
    }
    Ok(header.check()?)
}

fn not_found(stream: StreamId, subscriber: &KeyId) -> Error {
    Error::SubscriberNotFound { stream, subscriber: subscriber.clone() }
}
