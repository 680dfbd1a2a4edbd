//! A peer's children: who sits where, what they are sent, and how much room is left.

use std::collections::BTreeMap;

use edge_crypto::Secret;
use edge_relay::{Handle, Limits, Need, Relay, Start, Subscription};
use edge_wire::chunk::InnerSealed;
use edge_wire::control::{MAX_CHAIN, Refusal};
use edge_wire::id::{Fingerprint, KeyId, StreamId};
use edge_wire::layer::Policy;
use edge_wire::link::Hint;

use crate::ledger::KeyTag;
use crate::space::Index;

/// A child that takes less than this share of the stream may want all of it any moment: it counts as this much.
const STANDBY_SHARE: u64 = 4;
/// Share of the uplink that standbys may take, one in so many; one standby is always taken.
const STANDBYS_SHARE: u64 = 4;
/// How much nearer a child must be to get another's place, in µs of round trip.
const YIELD_MARGIN_US: u64 = 12_000;
/// How long a child keeps its place in any case, in ms.
const YIELD_AFTER_MS: u64 = 12_000;
/// Shortest time between two children that have to go, in ms.
const YIELD_EVERY_MS: u64 = 2_000;
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
    /// Round trip to it, in µs.
    rtt_us: u64,
    since_ms: u64,
}

/// What a child asks for.
pub(crate) struct Wish {
    pub(crate) child: Index,
    pub(crate) name: Fingerprint,
    pub(crate) connection: u64,
    pub(crate) policy: Policy,
    pub(crate) key: [u8; 32],
    /// Round trip to it, in µs.
    pub(crate) rtt_us: u64,
    /// Whether it passes on what it gets.
    pub(crate) feeds: bool,
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

    /// What is set aside for a child with `policy`.
    fn taken(&self, policy: Policy) -> u64 {
        self.of(policy).max(self.whole() / STANDBY_SHARE)
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
    yielded_ms: Option<u64>,
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
            yielded_ms: None,
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
        if !self.has_room(wish.child, wish.policy, rates) {
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
        let &Wish { child, connection, policy, rtt_us, ref key, .. } = wish;
        self.seats
            .insert(child, Seat { connection, handle, policy, key: KeyTag::of(key), name, rtt_us, since_ms: now_ms });
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

    /// Round trip that a newcomer must stay below to get the place of the farthest child, in ms; none while there is
    /// room or nobody is to go.
    pub(crate) fn yields_ms(&self, now_ms: u64, rates: Rates) -> Option<u32> {
        let farthest = self.farthest(now_ms).filter(|_| !self.has_room_for_one(rates))?.1;
        u32::try_from(farthest.rtt_us.saturating_sub(YIELD_MARGIN_US) / 1000).ok().filter(|rtt_ms| *rtt_ms > 0)
    }

    /// Who has to go so that a nearer child can come that passes on what it gets; the seat is given up.
    pub(crate) fn yield_to(&mut self, wish: &Wish, rates: Rates, now_ms: u64) -> Option<(Index, u64)> {
        let is_early = self.yielded_ms.is_some_and(|at_ms| now_ms < at_ms + YIELD_EVERY_MS);
        if is_early || !wish.feeds || rates.of(wish.policy) < rates.whole() || self.chain.contains(&wish.name) {
            return None;
        }
        if self.has_room(wish.child, wish.policy, rates) {
            return None;
        }
        let (child, seat) = self.farthest(now_ms)?;
        let (child, connection) = (*child, seat.connection);
        if wish.rtt_us + YIELD_MARGIN_US > seat.rtt_us {
            return None;
        }
        self.yielded_ms = Some(now_ms);
        self.leave(child, connection);
        Some((child, connection))
    }

    /// Of the children with all layers that have had their place for a while, the one with the longest round trip.
    fn farthest(&self, now_ms: u64) -> Option<(&Index, &Seat)> {
        let is_settled = |seat: &Seat| now_ms >= seat.since_ms + YIELD_AFTER_MS && seat.policy.max_temporal >= 2;
        self.seats.iter().filter(|(_, seat)| is_settled(seat)).max_by_key(|(_, seat)| seat.rtt_us)
    }

    /// Whether one more child with all layers fits.
    pub(crate) fn has_room_for_one(&self, rates: Rates) -> bool {
        self.has_room(Index::MAX, Policy::UNCAPPED, rates)
    }

    /// What all children take, in kbit/s.
    pub(crate) fn taken_kbps(&self, rates: Rates) -> u64 {
        self.seats.values().map(|seat| rates.taken(seat.policy)).sum()
    }

    /// Whether one more child with `policy` fits; `child` itself does not count. Standbys leave room for those that
    /// take everything.
    fn has_room(&self, child: Index, policy: Policy, rates: Rates) -> bool {
        let (mut count, mut taken, mut standbys) = (0, 0, 0);
        for seat in self.seats.iter().filter(|(other, _)| **other != child).map(|(_, seat)| seat) {
            let takes = rates.taken(seat.policy);
            (count, taken) = (count + 1, taken + takes);
            standbys += if takes < rates.whole() { takes } else { 0 };
        }
        let takes = rates.taken(policy);
        let crowded =
            takes < rates.whole() && standbys > 0 && standbys + takes > self.room.uplink_kbps / STANDBYS_SHARE;
        count < usize::from(self.room.children_max) && taken + takes <= self.room.uplink_kbps && !crowded
    }
}
