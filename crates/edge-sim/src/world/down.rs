//! A peer's children: who sits where, what they are sent, and how much room is left.

use std::collections::BTreeMap;

use edge_alm::seats::{self, Claim, Leaves, Relief, Room as Places, Share, Yields};
use edge_crypto::Secret;
use edge_relay::{Handle, Limits, Need, Relay, Start, Subscription};
use edge_wire::chunk::InnerSealed;
use edge_wire::control::{MAX_CHAIN, Refusal, Role};
use edge_wire::id::{Fingerprint, KeyId, StreamId};
use edge_wire::layer::Policy;
use edge_wire::link::Hint;

use crate::ledger::KeyTag;
use crate::space::Index;

/// Time in which only so many children have to go although they watch, in ms.
const YIELD_WITHIN_MS: u64 = 6_000;
const YIELDS_MAX: usize = 3;
/// How long it takes to notice that a child is gone, in ms.
const QUIET_MS: u64 = 1_000;
/// Time between two requests for the same frame.
const MERGE_INTERVAL_MS: u64 = 250;

/// How much a peer gives away.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Room {
    /// Media to all children together, in kbit/s.
    pub(crate) uplink_kbps: u64,
    /// Children.
    pub(crate) children_max: u16,
}

/// One child's place.
#[derive(Debug, Clone)]
pub(crate) struct Seat {
    pub(crate) connection: u64,
    pub(crate) handle: Handle,
    pub(crate) policy: Policy,
    pub(crate) key: KeyTag,
    pub(crate) name: KeyId,
    role: Role,
    /// Since when it has taken nothing, in ms, because it is gone without a word.
    gone_ms: Option<u64>,
}

/// What a child asks for.
pub(crate) struct Wish {
    pub(crate) child: Index,
    pub(crate) name: Fingerprint,
    pub(crate) connection: u64,
    pub(crate) policy: Policy,
    pub(crate) key: [u8; 32],
    /// Whether it passes on what it gets.
    pub(crate) role: Role,
}

/// What the layers of the stream take, in kbit/s.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rates(pub(crate) [u64; 3]);

impl Rates {
    /// What a child with `policy` takes.
    pub(crate) fn of(&self, policy: Policy) -> u64 {
        self.0.iter().take(usize::from(policy.max_temporal) + 1).sum()
    }

    /// What everything takes; at least 1.
    pub(crate) fn whole(&self) -> u64 {
        self.0.iter().sum::<u64>().max(1)
    }
}

pub(crate) struct Down {
    stream: StreamId,
    pub(crate) relay: Relay,
    pub(crate) room: Room,
    /// Peers from the publisher down to and including this one; empty without a way.
    pub(crate) chain: Vec<Fingerprint>,
    pub(crate) seats: BTreeMap<Index, Seat>,
    /// Whose turn it is to be sent something.
    turn: usize,
    asked_ms: Option<u64>,
    yielded_ms: Vec<u64>,
    relief: Relief,
}

impl Down {
    pub(crate) fn new(stream: StreamId, room: Room) -> Result<Self, edge_relay::Error> {
        let mut relay = Relay::new(Limits::default());
        relay.pin(stream)?;
        Ok(Self {
            stream,
            relay,
            room,
            chain: Vec::new(),
            seats: BTreeMap::new(),
            turn: 0,
            asked_ms: None,
            yielded_ms: Vec::new(),
            relief: Relief::default(),
        })
    }

    /// Gives a child a seat, and tells it the way from the publisher.
    pub(crate) fn subscribe(&mut self, wish: &Wish, rates: Rates, now_ms: u64) -> Result<Vec<Fingerprint>, Refusal> {
        if self.chain.contains(&wish.name) {
            return Err(Refusal::Loop);
        }
        if self.chain.is_empty() || self.chain.len() >= MAX_CHAIN {
            return Err(Refusal::TooDeep);
        }
        if !self.has_room(wish.child, wish.policy, rates, now_ms) {
            return Err(Refusal::Full);
        }
        let name = KeyId::new(wish.name.to_string()).map_err(|_| Refusal::Protocol)?;
        let subscription = Subscription {
            stream: self.stream,
            subscriber: name.clone(),
            transit_key: Secret::from(wish.key),
            policy: wish.policy,
            start: Start::Cached,
        };
        let handle = self.relay.subscribe(subscription, now_ms).map_err(|_| Refusal::Full)?;
        let &Wish { child, connection, policy, role, ref key, .. } = wish;
        self.seats.insert(child, Seat { connection, handle, policy, key: KeyTag::of(key), name, role, gone_ms: None });
        Ok(self.chain.clone())
    }

    /// A standby that becomes the main child is granted even beyond the room: its other parent has just died.
    pub(crate) fn set_policy(&mut self, child: Index, policy: Policy) {
        if let Some(seat) = self.seats.get_mut(&child)
            && self.relay.set_policy(self.stream, &seat.name, policy).is_ok()
        {
            seat.policy = policy;
        }
    }

    /// Takes the seat of a child whose connection ended, unless it has come back on a newer one.
    pub(crate) fn leave(&mut self, child: Index, connection: u64) -> bool {
        let seated = self.seats.get(&child).is_some_and(|seat| seat.connection == connection);
        if let Some(seat) = seated.then(|| self.seats.remove(&child)).flatten() {
            // It was subscribed as long as it had its seat.
            let _ = self.relay.unsubscribe(self.stream, &seat.name);
        }
        seated
    }

    /// Offers one chunk to all children; whether one of them waits for a key frame that should be asked.
    pub(crate) fn forward(&mut self, inner: InnerSealed, hint: Hint, now_ms: u64) -> bool {
        // A refused chunk is one that no honest peer sends; nobody gets it.
        let _ = self.relay.forward(self.stream, inner, hint, now_ms);
        self.relay.stream_need(self.stream, now_ms) == Some(Need::Key) && self.may_ask(now_ms)
    }

    /// Whether a key frame may be asked for at this time: requests of one interval are one.
    pub(crate) fn may_ask(&mut self, now_ms: u64) -> bool {
        let may = self.asked_ms.is_none_or(|asked| now_ms >= asked + MERGE_INTERVAL_MS);
        if may {
            self.asked_ms = Some(now_ms);
        }
        may
    }

    /// The child that is served next.
    pub(crate) fn next_ready(&mut self) -> Option<(Index, Seat)> {
        let waiting = |seat: &Seat| self.relay.stats(seat.handle).is_some_and(|stats| stats.queued > 0);
        let count = self.seats.len();
        let order = self.seats.iter().skip(self.turn).chain(self.seats.iter().take(self.turn));
        let found = order.enumerate().find(|(_, (_, seat))| waiting(seat));
        let (at, child, seat) = found.map(|(at, (child, seat))| (at, *child, seat.clone()))?;
        self.turn = (self.turn + at + 1) % count.max(1);
        Some((child, seat))
    }

    /// Whole places among those taken that newcomers would get.
    pub(crate) fn yields(&self, rates: Rates, now_ms: u64) -> Yields {
        Places::yields(&self.seated(None, rates, now_ms).into_iter().map(|(_, seat)| seat).collect::<Vec<_>>())
    }

    /// Who has to go so that this child can come; their seats are given up. None of them, if it fits or cannot come.
    pub(crate) fn make_room(&mut self, wish: &Wish, rates: Rates, now_ms: u64) -> Vec<(Index, u64)> {
        if self.chain.contains(&wish.name) || self.chain.is_empty() {
            return Vec::new();
        }
        self.yielded_ms.retain(|at_ms| now_ms < at_ms + YIELD_WITHIN_MS);
        let leaves = if self.yielded_ms.len() < YIELDS_MAX { Leaves::Yield } else { Leaves::Stay };
        let seated = self.seated(Some(wish.child), rates, now_ms);
        let newcomer = seat(wish.policy, wish.role, rates);
        let gone = self.places(rates).admit(&seated, newcomer, leaves).unwrap_or_default();
        let watched = |child: &Index| self.seats.get(child).is_some_and(|seat| share(seat.policy) == Share::Whole);
        if gone.iter().any(watched) {
            self.yielded_ms.push(now_ms);
        }
        self.give_up(&gone)
    }

    /// Who has to go because others that stood by are sent everything now.
    pub(crate) fn relieve(&mut self, rates: Rates, now_ms: u64) -> Vec<(Index, u64)> {
        let (places, seated) = (self.places(rates), self.seated(None, rates, now_ms));
        let gone = self.relief.turn(now_ms, &places, &seated);
        self.give_up(&gone)
    }

    fn give_up(&mut self, gone: &[Index]) -> Vec<(Index, u64)> {
        let connection = |child: &Index| Some((*child, self.seats.get(child)?.connection));
        let gone: Vec<(Index, u64)> = gone.iter().filter_map(connection).collect();
        gone.iter().for_each(|(child, connection)| _ = self.leave(*child, *connection));
        gone
    }

    fn places(&self, rates: Rates) -> Places {
        let Room { uplink_kbps, children_max } = self.room;
        let slots = u32::try_from(uplink_kbps / rates.whole()).unwrap_or(u32::MAX);
        Places { uplink_kbps, places: slots.min(children_max.into()), stream_kbps: rates.whole() }
    }

    /// A child is gone without a word: its seat is held until that is noticed.
    pub(crate) fn gone(&mut self, child: Index, connection: u64, now_ms: u64) {
        if let Some(seat) = self.seats.get_mut(&child).filter(|seat| seat.connection == connection) {
            seat.gone_ms.get_or_insert(now_ms);
        }
    }

    fn seated(&self, but: Option<Index>, rates: Rates, now_ms: u64) -> Vec<(Index, seats::Seat)> {
        let lives = |seat: &Seat| seat.gone_ms.is_none_or(|at_ms| now_ms < at_ms + QUIET_MS);
        let others = self.seats.iter().filter(|(child, seat)| Some(**child) != but && lives(seat));
        others.map(|(child, held)| (*child, seat(held.policy, held.role, rates))).collect()
    }

    /// Whether one more child with all layers fits.
    pub(crate) fn has_room_for_one(&self, rates: Rates, now_ms: u64) -> bool {
        self.has_room(Index::MAX, Policy::UNCAPPED, rates, now_ms)
    }

    /// Whole places taken.
    pub(crate) fn taken(&self, rates: Rates, now_ms: u64) -> u16 {
        Places::taken(self.seated(None, rates, now_ms).into_iter().map(|(_, seat)| seat))
    }

    /// Whether one more child with `policy` fits; `child` itself does not count.
    fn has_room(&self, child: Index, policy: Policy, rates: Rates, now_ms: u64) -> bool {
        let others = self.seated(Some(child), rates, now_ms).into_iter().map(|(_, seat)| seat);
        self.places(rates).fits(others, seat(policy, Role::Leaf, rates))
    }
}

/// What a child takes.
fn seat(policy: Policy, role: Role, rates: Rates) -> seats::Seat {
    seats::Seat { claim: Claim { role, share: share(policy) }, kbps: rates.of(policy) }
}

fn share(policy: Policy) -> Share {
    if policy == Policy::BLINKING_DOT { Share::Spare } else { Share::Whole }
}
