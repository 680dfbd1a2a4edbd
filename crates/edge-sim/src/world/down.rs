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
}

/// What a child asks for.
pub(crate) struct Wish {
    pub(crate) child: Index,
    pub(crate) name: Fingerprint,
    pub(crate) connection: u64,
    pub(crate) policy: Policy,
    pub(crate) key: [u8; 32],
}

/// What the layers of the stream take, in kbit/s.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rates(pub(crate) [u64; 3]);

impl Rates {
    /// What a child with `policy` takes.
    pub(crate) fn of(&self, policy: Policy) -> u64 {
        self.0.iter().take(usize::from(policy.max_temporal) + 1).sum()
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
}

impl Down {
    pub(crate) fn new(stream: StreamId, room: Room) -> Result<Self, edge_relay::Error> {
        let mut relay = Relay::new(Limits::default());
        relay.pin(stream)?;
        Ok(Self { stream, relay, room, chain: Vec::new(), seats: BTreeMap::new(), turn: 0, asked_ms: None })
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
        let &Wish { child, connection, policy, ref key, .. } = wish;
        self.seats.insert(child, Seat { connection, handle, policy, key: KeyTag::of(key), name });
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

    /// Whether one more child with `policy` fits; `child` itself does not count.
    fn has_room(&self, child: Index, policy: Policy, rates: Rates) -> bool {
        let whole = rates.of(Policy::UNCAPPED);
        let takes = |policy: Policy| rates.of(policy).max(whole / STANDBY_SHARE);
        let others = self.seats.iter().filter(|(other, _)| **other != child);
        let (count, taken) = others.fold((0, 0), |(count, taken), (_, seat)| (count + 1, taken + takes(seat.policy)));
        count < usize::from(self.room.children_max) && taken + takes(policy) <= self.room.uplink_kbps
    }
}
