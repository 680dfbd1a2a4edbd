//! The whole federation on one clock: every peer runs the cores that a real one runs, and only the network is made up.

mod deeds;
mod down;
mod host;
mod malice;
mod offers;
mod talk;
mod up;

pub use deeds::{Accusation, Deed, Move, Upset};
pub use malice::{AHEAD, DELAY_MS, Malice, STARVE_ONE_IN};

use bytes::Bytes;
use edge_crypto::hash::sha256;
use edge_relay::Arena;
use edge_wire::control::{MAX_CHAIN, Refusal, Role};
use edge_wire::id::Fingerprint;
use edge_wire::layer::Policy;

use crate::engine::Queue;
use crate::ledger::Ledger;
use crate::measure::Seen;
use crate::media::{INTERVAL_US, Sizes, Source};
use crate::net::{Net, Profile, Traffic};
use crate::rng::Rng;
use crate::space::{Index, Shape, Space};
use down::{Down, Rates, Room};
use host::{Host, Tally};
use talk::{Names, Said, Talk};

/// Share of its uplink that a peer offers to others, in percent.
pub const OFFERED_PERCENT: u64 = 75;
/// Most children of one peer unless a scenario says otherwise.
pub const CHILDREN_MAX: u16 = 64;
/// Silence after which a connection is given up, in µs.
pub const IDLE_US: u64 = 10_000_000;

/// How far ahead of its rate an uplink is filled.
const PACE_US: u64 = 10_000;
/// Unix time at the start of each run, in ms.
const EPOCH_UNIX_MS: u64 = 1_800_000_000_000;

/// What a run is made of.
#[derive(Debug, Clone)]
pub struct Setup {
    /// Viewers; the publisher comes on top.
    pub viewers: usize,
    /// Seed of everything.
    pub seed: u64,
    /// How long the run takes, in µs.
    pub duration_us: u64,
    /// Where peers are.
    pub shape: Shape,
    /// What paths do.
    pub profile: Profile,
    /// What is published.
    pub sizes: Sizes,
    /// The publisher's uplink, in multiples of the stream's rate.
    pub publisher_uplink: u64,
    /// Uplinks of viewers: percent of the viewers, and multiple of the stream's rate. The last one takes the rest.
    pub uplinks: Vec<(u64, u64)>,
    /// Uplinks of the first viewers, as multiples of the stream's rate, whatever the shares say.
    pub fixed_uplinks: Vec<u64>,
    /// Most children of one peer.
    pub children_max: u16,
    /// Most children of the first peers, the publisher first, whatever the rest may have.
    pub fixed_children: Vec<u16>,
    /// Time between two epochs of the group, in µs; 0 = one epoch.
    pub epoch_us: u64,
    /// What happens when.
    pub deeds: Vec<(u64, Deed)>,
}

impl Default for Setup {
    fn default() -> Self {
        Self {
            viewers: 100,
            seed: 1,
            duration_us: 60_000_000,
            shape: Shape::default(),
            profile: Profile::default(),
            sizes: Sizes::default(),
            publisher_uplink: 20,
            uplinks: vec![(20, 20), (40, 10), (40, 4)],
            fixed_uplinks: Vec::new(),
            children_max: CHILDREN_MAX,
            fixed_children: Vec::new(),
            epoch_us: 10_000_000,
            deeds: Vec::new(),
        }
    }
}

/// Why a run cannot go on: an error in the simulator or in a core, never in what peers do to each other.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The inner seal failed.
    #[error("the publisher cannot seal")]
    Seal(#[from] edge_seal::Error),
    /// A receiver did not take a key.
    #[error("a viewer cannot take an epoch's key")]
    Key(#[from] edge_seal::receiver::Error),
    /// The relay refused what it must not.
    #[error("a relay failed")]
    Relay(#[from] edge_relay::Error),
}

/// What happens at a moment.
pub(crate) enum Event {
    Capture,
    Epoch,
    Media { from: Index, to: Index, connection: u64, message: Bytes },
    Word { from: Index, to: Index, connection: u64, word: Word },
    Dialed { child: Index, parent: Index, connection: u64, policy: Policy },
    Failed { child: Index, parent: Index, connection: u64 },
    Wake { peer: Index },
    Pump { peer: Index },
    Flush { peer: Index },
    Tick { peer: Index, lives: u32 },
    Late { peer: Index, lives: u32, passed: malice::Passed },
    Closed { peer: Index, other: Index, connection: u64 },
    Deed(Deed),
}

/// What neighbours say to each other besides media.
pub(crate) enum Word {
    Subscribe { policy: Policy },
    Subscribed { chain: Vec<Fingerprint> },
    Refused(Refusal),
    SetPolicy(Policy),
    Finish,
    Rerouted { chain: Vec<Fingerprint> },
    NeedKey,
    Held(Vec<(Index, u64)>),
    Wanted(Vec<Index>),
    Offers(Vec<Said>),
}

/// Bytes of one signed advertisement with its framing: both signatures in base64, capacity and chain.
const ADVERT_LEN: usize = 5_400;

impl Word {
    /// Bytes on the control channel.
    fn len(&self) -> usize {
        33 + match self {
            Self::Subscribe { .. } => 7,
            Self::Subscribed { chain } | Self::Rerouted { chain } => 5 + 32 * chain.len(),
            Self::Refused(_) => 35,
            Self::SetPolicy(_) => 3,
            Self::Finish | Self::NeedKey => 1,
            Self::Held(offers) => 1 + 40 * offers.len(),
            Self::Wanted(wanted) => 1 + 33 * wanted.len(),
            Self::Offers(offers) => ADVERT_LEN * offers.len(),
        }
    }
}

/// A run in progress.
pub struct World {
    setup: Setup,
    queue: Queue<Event>,
    net: Net,
    hosts: Vec<Host>,
    names: Names,
    names_of: Vec<Fingerprint>,
    source: Source,
    rates: Rates,
    ledger: Ledger,
    arena: Arena,
    rng: Rng,
    connections: u64,
    trace: Trace,
    upsets: Vec<Upset>,
    accusations: Vec<Accusation>,
    moves: Vec<Move>,
    gossip_bytes: u64,
    failure: Option<Error>,
}

impl World {
    /// A federation in which only the publisher is there yet.
    pub fn new(setup: Setup) -> Result<Self, Error> {
        let peers = setup.viewers + 1;
        let space = Space::new(peers, setup.shape, setup.seed);
        let kbps = uplinks(&setup);
        let net = Net::new(space, &kbps, setup.profile, setup.seed);
        let names: Vec<Fingerprint> = (0..peers as u64).map(|at| name(setup.seed, at)).collect();
        let publisher = names.first().copied().unwrap_or(Fingerprint([0; 32]));
        let source = Source::new(setup.seed, publisher, setup.sizes);
        let mut hosts = Vec::with_capacity(peers);
        for ((index, name), kbps) in (0..).zip(&names).zip(&kbps) {
            let down = Down::new(source.stream(), room(&setup, index, *kbps))?;
            hosts.push(Host::new(*name, down, Talk::new(index, setup.seed)));
        }
        let names_of = names.clone();
        let names = names.into_iter().zip(0..).collect();
        let mut world = Self {
            queue: Queue::new(),
            net,
            hosts,
            names,
            names_of,
            rates: Rates(setup.sizes.layers_kbps()),
            source,
            ledger: Ledger::new(),
            arena: Arena::new(),
            rng: Rng::labelled(setup.seed, 0x5eed),
            connections: 0,
            trace: Trace::default(),
            upsets: Vec::new(),
            accusations: Vec::new(),
            moves: Vec::new(),
            gossip_bytes: 0,
            failure: None,
            setup,
        };
        world.begin();
        Ok(world)
    }

    /// Runs to the end, telling `progress` the share that is done, in thousandths, each time it grows.
    pub fn run(&mut self, progress: &mut dyn FnMut(u64)) -> Result<(), Error> {
        let end_us = self.setup.duration_us;
        let mut told = 0;
        while self.queue.next_us().is_some_and(|at| at < end_us) {
            let Some(event) = self.queue.step() else { break };
            self.happen(event);
            if let Some(failure) = self.failure.take() {
                return Err(failure);
            }
            let done = self.queue.now_us() * 1000 / end_us.max(1);
            if done > told {
                told = done;
                progress(done);
            }
        }
        self.close();
        Ok(())
    }

    /// Settings of the run.
    pub fn setup(&self) -> &Setup {
        &self.setup
    }

    /// What was published.
    pub fn source(&self) -> &Source {
        &self.source
    }

    /// What was sealed.
    pub fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// What went over the network.
    pub fn traffic(&self) -> Traffic {
        self.net.traffic()
    }

    /// Bytes of offers, and of words about them, sent.
    pub fn gossip_bytes(&self) -> u64 {
        self.gossip_bytes
    }

    /// Where peers are.
    pub fn space(&self) -> &Space {
        self.net.space()
    }

    /// Events that happened.
    pub fn events(&self) -> u64 {
        self.queue.planned()
    }

    /// Upsets so far.
    pub fn upsets(&self) -> &[Upset] {
        &self.upsets
    }

    /// Parents that were found to do harm.
    pub fn accusations(&self) -> &[Accusation] {
        &self.accusations
    }

    /// SHA-256 over every delivery so far.
    pub fn digest(&self) -> [u8; 32] {
        self.trace.finish()
    }

    /// Peers, the publisher first.
    pub fn peers(&self) -> impl Iterator<Item = Index> + use<> {
        0..self.hosts.len() as Index
    }

    /// What a viewer opened.
    pub fn seen(&self, peer: Index) -> Option<&Seen> {
        self.host(peer).map(|host| &host.seen)
    }

    /// Whether a peer is there.
    pub fn is_here(&self, peer: Index) -> bool {
        self.host(peer).is_some_and(Host::is_here)
    }

    /// How long a peer waited for its first picture in its present or last life, in µs.
    pub fn first_picture_us(&self, peer: Index) -> Option<u64> {
        let host = self.host(peer)?;
        host.first_picture_us.map(|at| at - host.joined_us)
    }

    /// The primary parent of a peer.
    pub fn parent(&self, peer: Index) -> Option<Index> {
        let primary = self.host(peer)?.mesh.as_ref()?.parent()?;
        self.names.get(&primary).copied()
    }

    /// Whom a peer takes media from, the primary included.
    pub fn parents(&self, peer: Index) -> Vec<Index> {
        let lines = self.host(peer).into_iter().flat_map(|host| &host.lines);
        lines.filter(|(_, line)| line.receiver.is_some()).map(|(parent, _)| *parent).collect()
    }

    /// The way up, from the parent to the publisher; `None` when it does not end there.
    pub fn way(&self, peer: Index) -> Option<Vec<Index>> {
        let mut way = Vec::new();
        let mut at = peer;
        while at != 0 {
            at = self.parent(at).filter(|parent| self.is_here(*parent))?;
            way.push(at);
            if way.len() > MAX_CHAIN * 2 {
                return None;
            }
        }
        Some(way)
    }

    /// Children that a peer feeds, standbys included, and of these the ones that get all layers.
    pub fn children(&self, peer: Index) -> (usize, usize) {
        let seats = self.host(peer).map(|host| &host.down.seats);
        let whole = seats.into_iter().flatten().filter(|(_, seat)| seat.policy.max_temporal >= 2).count();
        (seats.map_or(0, std::collections::BTreeMap::len), whole)
    }

    /// Children with all layers that a peer can feed.
    pub fn slots(&self, peer: Index) -> u32 {
        let room = self.host(peer).map(|host| host.down.room).unwrap_or_default();
        let whole = self.rates.of(Policy::UNCAPPED).max(1);
        u32::try_from(room.uplink_kbps / whole).unwrap_or(u32::MAX).min(u32::from(room.children_max))
    }

    /// Whether a peer passes on what it gets.
    pub(crate) fn role(&self, peer: Index) -> Role {
        if self.slots(peer) > 0 { Role::Carrier } else { Role::Leaf }
    }

    /// Every change of a primary parent, the first ones of each life included.
    pub fn moves(&self) -> &[Move] {
        &self.moves
    }

    /// Sums over all peers.
    pub fn totals(&self) -> Totals {
        let mut totals = Totals::default();
        self.hosts.iter().for_each(|host| totals.add(&host.tally));
        totals
    }

    fn host(&self, peer: Index) -> Option<&Host> {
        self.hosts.get(peer as usize)
    }

    fn host_mut(&mut self, peer: Index) -> Option<&mut Host> {
        self.hosts.get_mut(peer as usize)
    }

    fn begin(&mut self) {
        if let Some(publisher) = self.hosts.first_mut() {
            publisher.life = host::Life::Here;
            publisher.down.chain = vec![publisher.name];
        }
        self.queue.plan(0, Event::Capture);
        self.queue.plan(0, Event::Tick { peer: 0, lives: 0 });
        if self.setup.epoch_us > 0 {
            self.queue.plan(self.setup.epoch_us, Event::Epoch);
        }
        for (at_us, deed) in std::mem::take(&mut self.setup.deeds) {
            self.queue.plan(at_us, Event::Deed(deed));
        }
    }

    fn close(&mut self) {
        let next = self.source.sheets().len() as u64;
        // Pictures of the last second may still be on their way.
        let closed = next.saturating_sub(crate::media::FPS);
        self.hosts.iter_mut().for_each(|host| host.seen.leave(closed));
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Capture => self.capture(),
            Event::Epoch => self.rotate(),
            Event::Media { from, to, connection, message } => self.media(from, to, connection, &message),
            Event::Word { from, to, connection, word } => self.hear(from, to, connection, word),
            Event::Dialed { child, parent, connection, policy } => self.dialed(child, parent, connection, policy),
            Event::Failed { child, parent, connection } => self.dial_failed(child, parent, connection),
            Event::Wake { peer } => self.wake(peer),
            Event::Pump { peer } => {
                self.hosts[peer as usize].pumping = false;
                self.pump(peer);
            }
            Event::Flush { peer } => self.flush(peer),
            Event::Tick { peer, lives } => self.tick(peer, lives),
            Event::Late { peer, lives, passed } => self.pass_late(peer, lives, passed),
            Event::Closed { peer, other, connection } => self.closed(peer, other, connection),
            Event::Deed(deed) => self.deed(deed),
        }
    }

    fn capture(&mut self) {
        let now_us = self.queue.now_us();
        self.queue.plan(now_us + INTERVAL_US, Event::Capture);
        match self.source.capture(now_us, &mut self.ledger) {
            Ok(frame) => {
                let now_ms = self.queue.now_ms();
                if let Some(publisher) = self.hosts.first_mut() {
                    if publisher.down.forward(frame.inner, frame.hint, now_ms) {
                        self.source.want_key();
                    }
                    self.pump(0);
                }
            }
            Err(error) => self.failure = Some(error.into()),
        }
    }

    fn rotate(&mut self) {
        let next = self.queue.now_us() + self.setup.epoch_us;
        self.queue.plan(next, Event::Epoch);
        if let Err(error) = self.source.rotate() {
            self.failure = Some(error.into());
        }
    }

    /// Sends what a peer's children wait for, as far as its uplink is free.
    fn pump(&mut self, peer: Index) {
        let now_us = self.queue.now_us();
        while self.net.backlog_us(now_us, peer) < PACE_US {
            if !self.send_one(peer) {
                return;
            }
        }
        let free_us = now_us + self.net.backlog_us(now_us, peer) - PACE_US / 2;
        if let Some(host) = self.hosts.get_mut(peer as usize).filter(|host| !host.pumping) {
            host.pumping = true;
            self.queue.plan(free_us, Event::Pump { peer });
        }
    }

    /// Seals and sends one chunk to the child whose turn it is; whether there was one.
    fn send_one(&mut self, peer: Index) -> bool {
        let (now_us, now_ms) = (self.queue.now_us(), self.queue.now_ms());
        let Some(host) = self.hosts.get_mut(peer as usize).filter(|host| host.is_here()) else { return false };
        let Some((child, seat)) = host.down.next_ready() else { return false };
        let sent = match host.down.relay.poll(seat.handle, now_ms, &self.arena) {
            Ok(sent) => sent,
            Err(error) => {
                self.failure = Some(error.into());
                return false;
            }
        };
        // What waited has been thinned away.
        let Some(transmit) = sent else { return true };
        self.ledger.record(seat.key, edge_link::nonce(seat.name.as_bytes(), transmit.seq));
        let len = self.source.wire_len(&transmit.header);
        if let Some(at_us) = self.net.media(now_us, peer, child, len) {
            let message = transmit.message.into_bytes();
            self.queue.plan(at_us, Event::Media { from: peer, to: child, connection: seat.connection, message });
        }
        true
    }

    fn say(&mut self, from: Index, to: Index, connection: u64, word: Word) {
        let now_us = self.queue.now_us();
        if matches!(word, Word::Offers(_) | Word::Held(_) | Word::Wanted(_)) {
            self.gossip_bytes += word.len() as u64;
        }
        if let Some(at_us) = self.net.control(now_us, from, to, word.len()) {
            self.queue.plan(at_us, Event::Word { from, to, connection, word });
        }
    }

    fn unix_ms(&self) -> u64 {
        EPOCH_UNIX_MS + self.queue.now_ms()
    }
}

/// Sums over all peers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Totals {
    /// Opened chunks that are not what was published.
    pub forged_accepted: u64,
    /// Pictures handed up twice.
    pub handed_up_twice: u64,
    /// Chunks found forged.
    pub forged_refused: u64,
    /// Repeats kept away.
    pub duplicates: u64,
    /// Media messages that came.
    pub messages: u64,
    /// Times that a peer had no parent left.
    pub stranded: u64,
    /// Refused subscriptions.
    pub refusals: u64,
}

impl Totals {
    fn add(&mut self, tally: &Tally) {
        self.forged_accepted += tally.forged_accepted;
        self.handed_up_twice += tally.handed_up_twice;
        self.forged_refused += tally.forged_refused;
        self.duplicates += tally.duplicates;
        self.messages += tally.messages;
        self.stranded += tally.stranded;
        self.refusals += tally.refusals;
    }
}

/// A hash over all deliveries, taken in blocks.
#[derive(Debug, Default)]
struct Trace {
    digest: [u8; 32],
    block: Vec<u8>,
}

/// Bytes that are hashed at once.
const BLOCK: usize = 1 << 16;

impl Trace {
    fn note(&mut self, words: [u64; 4]) {
        words.iter().for_each(|word| self.block.extend_from_slice(&word.to_be_bytes()));
        if self.block.len() >= BLOCK {
            self.digest = self.finish();
            self.block.clear();
        }
    }

    fn finish(&self) -> [u8; 32] {
        sha256(&[&self.digest, &self.block])
    }
}

fn name(seed: u64, at: u64) -> Fingerprint {
    Fingerprint(sha256(&[b"edge/sim/peer", &seed.to_be_bytes(), &at.to_be_bytes()]))
}

fn uplinks(setup: &Setup) -> Vec<u64> {
    let rate: u64 = setup.sizes.layers_kbps().iter().sum();
    let mut rng = Rng::labelled(setup.seed, 0x0b11);
    let mut multiples = Vec::with_capacity(setup.viewers);
    for (percent, multiple) in &setup.uplinks {
        let share = setup.viewers * *percent as usize / 100;
        multiples.extend(std::iter::repeat_n(*multiple, share));
    }
    let rest = setup.uplinks.last().map_or(0, |(_, multiple)| *multiple);
    multiples.resize(setup.viewers, rest);
    rng.shuffle(&mut multiples);
    multiples.iter_mut().zip(&setup.fixed_uplinks).for_each(|(multiple, fixed)| *multiple = *fixed);
    std::iter::once(setup.publisher_uplink).chain(multiples).map(|multiple| multiple * rate).collect()
}

fn room(setup: &Setup, peer: Index, uplink_kbps: u64) -> Room {
    let children_max = setup.fixed_children.get(peer as usize).copied().unwrap_or(setup.children_max);
    Room { uplink_kbps: uplink_kbps * OFFERED_PERCENT / 100, children_max }
}
