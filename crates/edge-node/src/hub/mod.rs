//! The hub: feeds children, whoever feeds the hub. It carries what it cannot read.

mod board;
mod child;
mod memory;
mod share;

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use edge_alm::bucket::{Bucket, Rate};
use edge_alm::seats::{self, Claim, Leaves, Relief, Room as Places, Share, Yields};
use edge_net::{CloseCode, Session};
use edge_relay::{Arena, Handle, Limits, Need, Relay};
use edge_wire::chunk::InnerSealed;
use edge_wire::control::{ChunkId, Message, Recovery, Refusal, Role};
use edge_wire::id::{Epoch, Fingerprint, KeyId, StreamId};
use edge_wire::layer::Policy;
use edge_wire::link::Hint;
use tokio::sync::{Notify, mpsc};

use crate::clock;
use crate::event::{Event, Reporter};
use crate::neighbours::{MAX_EPOCHS_AHEAD, Neighbours};
use crate::rates::Rates;
pub use board::{Board, MAX_WANTED, sub_streams};
use memory::Memory;

/// Requests from below that may wait for the parent or the publisher; more are dropped, and asked again by who needs
/// them.
pub const MAX_UPWARD: usize = 256;
/// Time between two requests for the same frame, commit or tree.
pub const MERGE_INTERVAL_MS: u64 = 250;

/// Wishes of one interval that are told apart.
const MAX_ASKED: usize = 64;
/// Requests that go up at once, and every second after that; below what [`child`] takes.
const PASSED: Rate = Rate::per_second(48, 96);

/// Silence of a child that was sent something, after which it takes no place any more.
const QUIET_MS: u64 = 750;
/// Newcomers for whom children are given up at once although they are sent everything, and every minute after that: all
/// who carry the stream on may have lost the same parent.
const YIELDED: Rate = Rate::per_minute(30, 3);
/// How long a child that is given up may take to hear of it.
const MAKE_ROOM_WITHIN: Duration = Duration::from_millis(500);
/// How long a child that was told the end of the stream may take to part by itself.
const PART_WITHIN: Duration = Duration::from_secs(1);
const DRAIN_STEP: Duration = Duration::from_millis(10);

/// What children want from above.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Upward {
    /// An end-to-end message to the publisher.
    Request {
        /// The peer that speaks.
        from: Fingerprint,
        /// Opaque.
        body: Bytes,
    },
    /// A frame that helps.
    Recover(Recovery),
    /// Accepted commits made in this epoch and later.
    Commits(Epoch),
    /// The ratchet tree of an epoch.
    Tree(Epoch),
    /// A chunk was forged.
    Doubt(ChunkId),
}

impl Upward {
    /// The control message for a parent.
    pub fn into_message(self, stream: StreamId) -> Message {
        match self {
            Self::Request { from, body } => Message::Up { stream, from, body },
            Self::Recover(need) => Message::Recover { stream, need },
            Self::Commits(from) => Message::CommitsWanted { stream, from },
            Self::Tree(epoch) => Message::TreeWanted { stream, epoch },
            Self::Doubt(chunk) => Message::Doubt { stream, chunk },
        }
    }
}

/// Totals since the start.
#[derive(Debug, Clone, Copy, Default)]
pub struct Counters {
    /// Chunks given to the transport.
    pub forwarded: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Chunks that a child lost to thinning.
    pub dropped: u64,
    /// Chunks refused by the relay core.
    pub refused: u64,
}

impl Counters {
    /// The sums.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self {
            forwarded: self.forwarded.saturating_add(other.forwarded),
            bytes: self.bytes.saturating_add(other.bytes),
            dropped: self.dropped.saturating_add(other.dropped),
            refused: self.refused.saturating_add(other.refused),
        }
    }
}

/// How much a node carries for others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Room {
    /// Media to all children together, in kbit/s.
    pub uplink_kbps: u32,
    /// Children that are sent the whole stream; four that stand by with its base count as one.
    pub children_max: u16,
}

impl Default for Room {
    /// What a wired host carries easily.
    fn default() -> Self {
        Self { uplink_kbps: 1_000_000, children_max: 1024 }
    }
}

/// What a hub is made of.
#[derive(Debug)]
pub struct Settings {
    /// The stream.
    pub stream: StreamId,
    /// Bounds of the relay core.
    pub limits: Limits,
    /// What the hub may give away.
    pub room: Room,
    /// Passes offers of capacity on, if this node takes part in that; the hub of a sub-stream only tells the epoch.
    pub neighbours: Option<Neighbours>,
    /// Takes reports.
    pub reporter: Reporter,
}

/// Why a hub ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// Nothing more is published.
    StreamOver,
    /// This node leaves; its children find other parents.
    Leaving,
}

impl Ending {
    fn words(self) -> &'static str {
        match self {
            Self::StreamOver => "the stream is over",
            Self::Leaving => "this peer leaves",
        }
    }
}

/// One stream's hub; clones share it.
#[derive(Clone, Debug)]
pub struct Hub(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    stream: StreamId,
    relay: Mutex<Relay>,
    arena: Arena,
    children: Mutex<BTreeMap<Fingerprint, Seat>>,
    writers: Mutex<BTreeMap<Handle, Arc<Notify>>>,
    memory: Mutex<Memory>,
    /// What the publisher signed about the end of the stream.
    ended: Mutex<Option<Message>>,
    chain: Mutex<Vec<Fingerprint>>,
    room: Mutex<Room>,
    yielding: Mutex<Bucket>,
    relief: Mutex<Relief>,
    rates: Mutex<Rates>,
    neighbours: Option<Neighbours>,
    upward: mpsc::Sender<Upward>,
    asked: Mutex<BTreeMap<Upward, u64>>,
    allowance: Mutex<Bucket>,
    reporter: Reporter,
    epoch: AtomicU64,
    forwarded: AtomicU64,
    bytes: AtomicU64,
    dropped: AtomicU64,
    refused: AtomicU64,
}

/// A child's place: its link, by which control messages reach it.
#[derive(Debug, Clone)]
struct Seat {
    session: Session,
    serial: u64,
    /// What it subscribed to, and what for.
    subscribed: Option<Seated>,
    /// Bytes that came from it, and when that changed last.
    heard: (u64, u64),
}

impl Seat {
    fn new(session: Session, serial: u64) -> Self {
        Self { session, serial, subscribed: None, heard: (0, clock::now_ms()) }
    }

    /// The subscription of a child that lives: one that acknowledges nothing of what it is sent is as good as gone,
    /// long before its link times out, and must not keep others out meanwhile.
    fn living(&self, now_ms: u64) -> Option<Seated> {
        let is_quiet = now_ms.saturating_sub(self.heard.1) >= QUIET_MS && self.session.in_flight().messages > 0;
        self.subscribed.filter(|_| !is_quiet)
    }
}

/// A child among those that may have to go: the latest first, so that nobody can choose to be another.
type Name = (Reverse<u64>, Fingerprint);

/// A child's subscription.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Seated {
    policy: Policy,
    role: Role,
}

impl Hub {
    /// A hub, and the end that reads what its children want.
    pub fn new(settings: Settings) -> Result<(Self, mpsc::Receiver<Upward>), edge_relay::Error> {
        let Settings { stream, limits, room, neighbours, reporter } = settings;
        let (upward, wishes) = mpsc::channel(MAX_UPWARD);
        let mut relay = Relay::new(limits);
        relay.pin(stream)?;
        let inner = Inner {
            stream,
            relay: Mutex::new(relay),
            arena: Arena::new(),
            children: Mutex::default(),
            writers: Mutex::default(),
            memory: Mutex::default(),
            ended: Mutex::default(),
            chain: Mutex::default(),
            room: Mutex::new(room),
            yielding: Mutex::new(Bucket::new(YIELDED, clock::now_ms())),
            relief: Mutex::default(),
            rates: Mutex::default(),
            neighbours,
            upward,
            asked: Mutex::default(),
            allowance: Mutex::new(Bucket::new(PASSED, clock::now_ms())),
            reporter,
            epoch: AtomicU64::new(0),
            forwarded: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
            dropped: AtomicU64::new(0),
            refused: AtomicU64::new(0),
        };
        Ok((Self(Arc::new(inner)), wishes))
    }

    /// Sets the peers from the publisher down to and including this node.
    pub fn set_chain(&self, chain: Vec<Fingerprint>) {
        if !chain.is_empty() {
            // A publisher that came back goes on.
            lock(&self.0.ended).take();
        }
        let replaced = std::mem::replace(&mut *lock(&self.0.chain), chain.clone());
        if replaced != chain {
            tracing::debug!(depth = chain.len(), "the way to the publisher changed");
            self.broadcast(&Message::Rerouted { stream: self.0.stream, chain });
        }
    }

    /// The peers from the publisher down to and including this node; empty before there is a way.
    pub fn chain(&self) -> Vec<Fingerprint> {
        lock(&self.0.chain).clone()
    }

    /// Sets how much this node gives away from now on. Children that are there stay.
    pub fn set_room(&self, room: Room) {
        *lock(&self.0.room) = room;
    }

    /// How much this node gives away.
    pub fn room(&self) -> Room {
        *lock(&self.0.room)
    }

    /// What the whole stream takes, in kbit/s; 0 before media flowed for a while.
    pub fn stream_kbps(&self) -> u64 {
        lock(&self.0.rates).of(Policy::UNCAPPED)
    }

    /// Rate of each layer of the stream in kbit/s, the base first; 0 for layers that there are not.
    pub fn layers_kbps(&self) -> Vec<u32> {
        lock(&self.0.rates).layers()
    }

    /// The stream.
    pub fn stream(&self) -> StreamId {
        self.0.stream
    }

    /// Whether `other` is a handle of this same hub.
    pub fn same_as(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// Links to children that live, for measurements: what a dead one delivers says nothing about this node.
    pub fn sessions(&self) -> Vec<Session> {
        let now_ms = clock::now_ms();
        lock(&self.0.children)
            .values()
            .filter(|seat| seat.living(now_ms).is_some())
            .map(|seat| seat.session.clone())
            .collect()
    }

    /// Gives `peer` a place, if need be by giving up others; `false` when it has to go elsewhere. Newcomers are dealt
    /// with one after the other, so that no two get the same place.
    fn admit(&self, peer: Fingerprint, seated: Seated) -> bool {
        self.listen();
        let now_ms = clock::now_ms();
        let mut yielding = lock(&self.0.yielding);
        let leaves = if yielding.has_one(clock::now_ms()) { Leaves::Yield } else { Leaves::Stay };
        let (places, mut seats) = self.places(now_ms);
        seats.retain(|((_, other), _)| *other != peer);
        let Some(gone) = places.admit(&seats, self.seat(seated), leaves) else { return false };
        let watched = |(name, seat): &(Name, seats::Seat)| gone.contains(name) && seat.claim.share == Share::Whole;
        if seats.iter().any(watched) {
            yielding.take(clock::now_ms());
        }
        self.give_up(&gone);
        if let Some(seat) = lock(&self.0.children).get_mut(&peer) {
            seat.subscribed = Some(seated);
        }
        true
    }

    /// Gives up children, rather such as stand by, when others have been sent more than there is room for; to be called
    /// every quarter of a second or so.
    pub fn relieve(&self) {
        let now_ms = clock::now_ms();
        let (places, seats) = self.places(now_ms);
        let gone = lock(&self.0.relief).turn(now_ms, &places, &seats);
        self.give_up(&gone);
    }

    /// What may be given away, and who has what of it: children that live.
    fn places(&self, now_ms: u64) -> (Places, Vec<(Name, seats::Seat)>) {
        let room = *lock(&self.0.room);
        let living: Vec<(Name, Seated)> = {
            let children = lock(&self.0.children);
            let name = |peer: &Fingerprint, seat: &Seat| (Reverse(seat.serial), *peer);
            children.iter().filter_map(|(peer, seat)| Some((name(peer, seat), seat.living(now_ms)?))).collect()
        };
        let stream_kbps = self.stream_kbps();
        let places = Places { uplink_kbps: room.uplink_kbps.into(), places: room.children_max.into(), stream_kbps };
        (places, living.into_iter().map(|(name, seated)| (name, self.seat(seated))).collect())
    }

    /// What a child takes.
    fn seat(&self, Seated { policy, role }: Seated) -> seats::Seat {
        let share = if policy == Policy::BLINKING_DOT { Share::Spare } else { Share::Whole };
        seats::Seat { claim: Claim { role, share }, kbps: lock(&self.0.rates).of(policy) }
    }

    /// Tells children that their place is needed, and ends their links.
    fn give_up(&self, gone: &[Name]) {
        for (_, peer) in gone {
            let session = lock(&self.0.children).get_mut(peer).map(|seat| {
                seat.subscribed = None;
                seat.session.clone()
            });
            let Some(session) = session else { continue };
            let detail = "a peer that needs the place more has it now".to_owned();
            send(&session, &Message::Refused { stream: self.0.stream, reason: Refusal::Full, detail }.to_bytes());
            tokio::spawn(async move {
                session.finish(CloseCode::DONE, "the place is needed", MAKE_ROOM_WITHIN).await;
            });
        }
    }

    /// Looks, every quarter of a second or so, which children still say anything.
    pub fn listen(&self) {
        let now_ms = clock::now_ms();
        for seat in lock(&self.0.children).values_mut() {
            let received = seat.session.stats().received_bytes;
            if received != seat.heard.0 {
                seat.heard = (received, now_ms);
            }
        }
    }

    /// Whole places that children take, and those among them that newcomers would get.
    pub fn taken(&self) -> (u16, Yields) {
        let seats: Vec<seats::Seat> = self.places(clock::now_ms()).1.into_iter().map(|(_, seat)| seat).collect();
        (Places::taken(seats.iter().copied()), Places::yields(&seats))
    }

    /// Offers one sealed chunk to every child.
    pub fn forward(&self, chunk: InnerSealed, hint: Hint) {
        let now_ms = clock::now_ms();
        lock(&self.0.rates).count(chunk.header.layer, chunk.ciphertext.len(), now_ms);
        self.turn(chunk.header.epoch);
        let (ready, need) = {
            let mut relay = lock(&self.0.relay);
            if let Err(error) = relay.forward(self.0.stream, chunk, hint, now_ms) {
                self.0.refused.fetch_add(1, Ordering::Relaxed);
                tracing::debug!(%error, "a chunk was not forwarded");
                return;
            }
            (relay.ready().collect::<Vec<_>>(), relay.stream_need(self.0.stream, now_ms))
        };
        let writers = lock(&self.0.writers);
        ready.iter().filter_map(|handle| writers.get(handle)).for_each(|writer| writer.notify_one());
        drop(writers);
        match need {
            Some(Need::Key) => self.want(Upward::Recover(Recovery::KeyFrame)),
            Some(Need::Switch { .. }) => self.want(Upward::Recover(Recovery::Switch)),
            None => {}
        }
    }

    /// The neighbours, for a hub of the whole stream: offers travel over its links only.
    fn company(&self) -> Option<&Neighbours> {
        self.0.neighbours.as_ref().filter(|neighbours| neighbours.stream() == self.0.stream)
    }

    /// Remembers the epoch of the media that is carried. What a node with parents believes about it, its uplink
    /// decides; a publisher makes the epochs.
    fn turn(&self, epoch: Epoch) {
        let have = self.0.epoch.load(Ordering::Relaxed);
        if epoch.0 <= have || (have > 0 && epoch.0 - have > MAX_EPOCHS_AHEAD) {
            return;
        }
        self.0.epoch.store(epoch.0, Ordering::Relaxed);
        if let (Some(neighbours), [_]) = (&self.0.neighbours, &self.chain()[..]) {
            neighbours.turn(epoch, &[]);
        }
    }

    /// Counts a chunk from the parent that was not authentic.
    pub fn refuse(&self) {
        self.0.refused.fetch_add(1, Ordering::Relaxed);
    }

    /// Carries a message from above: to one child, to those who asked, or to all.
    pub fn carry(&self, message: &Message) {
        match message {
            Message::Down { to, .. } => self.send_down(*to, message),
            Message::Commit { epoch, .. } => {
                lock(&self.0.memory).keep_commit((*epoch, self.epoch()), message.clone());
                self.broadcast(message);
            }
            Message::Tree { epoch, .. } => {
                let waiting = lock(&self.0.memory).keep_tree((*epoch, self.epoch()), message.clone());
                waiting.into_iter().for_each(|child| self.send_to(child, message));
            }
            // Children hear of it when they have all media, and those who come later at once.
            Message::Ended { .. } => *lock(&self.0.ended) = Some(message.clone()),
            _ => tracing::debug!("the parent sent what only children send"),
        }
    }

    /// The publisher's word that the stream is over, if it is.
    fn ended(&self) -> Option<Message> {
        lock(&self.0.ended).clone()
    }

    /// Of the media that is carried; 0 before there was any.
    fn epoch(&self) -> Epoch {
        Epoch(self.0.epoch.load(Ordering::Relaxed))
    }

    /// Children fed now.
    pub fn children(&self) -> usize {
        lock(&self.0.relay).subscriber_count(self.0.stream)
    }

    /// Totals.
    pub fn counters(&self) -> Counters {
        let total = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let live: u64 = {
            let relay = lock(&self.0.relay);
            relay.handles(self.0.stream).filter_map(|handle| relay.stats(handle)).map(|stats| lost(&stats)).sum()
        };
        Counters {
            forwarded: total(&self.0.forwarded),
            bytes: total(&self.0.bytes),
            dropped: total(&self.0.dropped) + live,
            refused: total(&self.0.refused),
        }
    }

    /// Waits until every child has what was forwarded, tells them why nothing more comes, and ends their links.
    pub async fn finish(&self, ending: Ending, patience: Duration) {
        let _ = tokio::time::timeout(patience, self.drained()).await;
        if ending == Ending::StreamOver
            && let Some(ended) = self.ended()
        {
            self.broadcast(&ended);
        }
        let seats: Vec<Seat> = lock(&self.0.children).values().cloned().collect();
        let mut endings = tokio::task::JoinSet::new();
        for seat in seats {
            endings.spawn(async move {
                if ending == Ending::StreamOver {
                    // What was acknowledged was not read yet; a child that has read it parts by itself.
                    let _ = tokio::time::timeout(patience.min(PART_WITHIN), seat.session.closed()).await;
                }
                seat.session.finish(CloseCode::DONE, ending.words(), patience).await;
            });
        }
        while endings.join_next().await.is_some() {}
    }

    async fn drained(&self) {
        loop {
            let queued = lock(&self.0.relay).ready().next().is_some();
            self.listen();
            let now_ms = clock::now_ms();
            let waits = |seat: &Seat| seat.living(now_ms).is_some() && seat.session.in_flight().messages > 0;
            let in_flight = lock(&self.0.children).values().any(waits);
            if !queued && !in_flight {
                return;
            }
            tokio::time::sleep(DRAIN_STEP).await;
        }
    }

    /// Asks above for what many children want alike: each frame, commit and tree at most once an interval.
    fn want(&self, wish: Upward) {
        let now_ms = clock::now_ms();
        let mut asked = lock(&self.0.asked);
        asked.retain(|_, last| now_ms.saturating_sub(*last) < MERGE_INTERVAL_MS);
        // What was dropped is not on its way: the next who wants it asks.
        if asked.len() < MAX_ASKED && !asked.contains_key(&wish) && self.ask(wish.clone()) {
            asked.insert(wish, now_ms);
        }
    }

    /// Passes a wish on, below the rate at which a parent would take this node for a nuisance; `false` when it was
    /// dropped.
    fn ask(&self, wish: Upward) -> bool {
        let passed = lock(&self.0.allowance).take(clock::now_ms()) && self.0.upward.try_send(wish).is_ok();
        if !passed {
            tracing::debug!("too many requests from below: one was dropped");
        }
        passed
    }

    fn broadcast(&self, message: &Message) {
        let seats: Vec<Seat> =
            lock(&self.0.children).values().filter(|seat| seat.subscribed.is_some()).cloned().collect();
        let bytes = message.to_bytes();
        seats.iter().for_each(|seat| send(&seat.session, &bytes));
    }

    fn send_down(&self, to: Fingerprint, message: &Message) {
        let ways = match self.feeds(to) {
            true => vec![to],
            false => lock(&self.0.memory).routes(to),
        };
        ways.into_iter().for_each(|child| self.send_to(child, message));
    }

    /// Whether `peer` is a child that subscribed here.
    fn feeds(&self, peer: Fingerprint) -> bool {
        lock(&self.0.children).get(&peer).is_some_and(|seat| seat.subscribed.is_some())
    }

    fn send_to(&self, child: Fingerprint, message: &Message) {
        let session = lock(&self.0.children).get(&child).map(|seat| seat.session.clone());
        if let Some(session) = session {
            send(&session, &message.to_bytes());
        }
    }

    /// Sub-streams are fed to the same children.
    fn report_child(&self, session: &Session, present: bool) {
        if self.0.neighbours.is_some() && self.company().is_none() {
            return;
        }
        self.0.reporter.send(Event::Child { key_id: session.peer().key_id().to_string(), present });
    }
}

/// The relay's name of a child: the fingerprint, which unlike a key id nobody else can claim.
pub fn subscriber_id(peer: Fingerprint) -> Result<KeyId, edge_wire::Error> {
    KeyId::new(peer.to_string())
}

/// What the transit key of a subscription is bound to, beyond the link itself.
pub fn transit_context(stream: StreamId, subscription: u32) -> [u8; 36] {
    let mut out = [0; 36];
    out[..32].copy_from_slice(&stream.0);
    out[32..].copy_from_slice(&subscription.to_be_bytes());
    out
}

/// A control queue that is full belongs to a peer that does not read: it asks again or is cut off by its idle timeout.
fn send(session: &Session, bytes: &[u8]) {
    if let Err(error) = session.try_send_control(bytes) {
        tracing::debug!(%error, "a control message was not sent");
    }
}

fn lost(stats: &edge_relay::Stats) -> u64 {
    let dropped = stats.dropped;
    dropped.dependency + dropped.spatial + dropped.temporal + dropped.base + dropped.audio
}

/// No code panics while it holds one of these locks, so a poisoned one is as good as any.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wish_that_was_dropped_may_be_said_again() {
        let settings = Settings {
            stream: StreamId([1; 32]),
            limits: Limits::default(),
            room: Room::default(),
            neighbours: None,
            reporter: Reporter::channel().0,
        };
        let (hub, mut wishes) = Hub::new(settings).unwrap();
        *lock(&hub.0.allowance) = Bucket::new(Rate::per_second(0, 0), 0);
        hub.want(Upward::Tree(Epoch(1)));
        *lock(&hub.0.allowance) = Bucket::new(Rate::per_second(0, 8), 0);
        (0..2).for_each(|_| hub.want(Upward::Tree(Epoch(1))));
        assert_eq!(wishes.try_recv(), Ok(Upward::Tree(Epoch(1))));
        assert!(wishes.try_recv().is_err(), "it is on its way");
    }
}
