//! Whole messages over lossy paths: what a transport makes of packets.
//!
//! Every peer has one uplink that all its paths share: a rate and a queue. Every pair of peers has a path with the
//! delay of the space, jitter and loss. Downlinks are not modelled: a receiver takes whatever arrives. Messages are cut
//! into packets; a message on a stream is there when its last packet is, each lost packet being sent again one and an
//! eighth round trips later (the loss timer of QUIC), and that costs the uplink when the loss happens rather than when
//! it is noticed. A protected message is sent once, with repair symbols, and is there when enough symbols are.

use std::collections::HashMap;

use edge_fountain::live::{EXACT_DECODE_PPM, RepairTable};

use crate::link::{Drop, Link, Loss, Model, Path, Queue, Sent};
use crate::rng::Rng;
use crate::space::{Index, Space};

/// Payload bytes of one packet.
pub const PACKET: usize = 1_200;
/// Bytes around a packet's payload: IP, UDP, QUIC.
pub const PACKET_OVERHEAD: usize = 60;
/// Most times that one packet is sent again before the message counts as lost.
pub const RETRIES_MAX: u32 = 8;
/// Most packets of one message.
pub const PACKETS_MAX: usize = 1_024;

/// How a message is carried.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Carriage {
    /// On its own stream: what is lost is sent again.
    #[default]
    Stream,
    /// As datagrams with repair symbols sized for the path's loss.
    Protected,
}

/// What all paths of a run have in common.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Profile {
    /// Loss on every path, each way.
    pub loss: Loss,
    /// Largest jitter, in µs.
    pub jitter_us: u64,
    /// How long an uplink's queue is, in ms of its rate.
    pub queue_ms: u64,
    /// How media goes.
    pub carriage: Carriage,
    /// Chance in a million that a protected message gets through, from which its repair is sized.
    pub target_ppm: u32,
}

impl Default for Profile {
    fn default() -> Self {
        Self {
            loss: Loss::Uniform { ppm: 1_000 },
            jitter_us: 1_000,
            queue_ms: 200,
            carriage: Carriage::Stream,
            target_ppm: 999_000,
        }
    }
}

/// What was put on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Traffic {
    /// Media messages sent.
    pub messages: u64,
    /// Media messages that did not arrive.
    pub lost: u64,
    /// Media bytes, without what follows.
    pub media_bytes: u64,
    /// Bytes of repair symbols.
    pub repair_bytes: u64,
    /// Bytes sent again.
    pub resent_bytes: u64,
    /// Control messages sent.
    pub control_messages: u64,
    /// Bytes of control messages.
    pub control_bytes: u64,
}

/// All uplinks and paths of a run.
pub struct Net {
    space: Space,
    profile: Profile,
    seed: u64,
    rng: Rng,
    uplinks: Vec<Link>,
    paths: HashMap<(Index, Index), Pair>,
    sides: Vec<u8>,
    cut: bool,
    repair: RepairTable,
    /// When the latest control message of each direction arrives: the channel keeps the order.
    spoken_us: HashMap<(Index, Index), u64>,
    traffic: Traffic,
}

/// One direction between two peers: first sendings and later ones, so that neither waits for the other.
struct Pair {
    first: Link,
    again: Link,
}

impl Net {
    /// A network between the peers of `space`, with each one's uplink in kbit/s.
    pub fn new(space: Space, uplinks_kbps: &[u64], profile: Profile, seed: u64) -> Self {
        let uplinks = uplinks_kbps.iter().zip(0u64..);
        let uplinks = uplinks.map(|(kbps, at)| Link::new(uplink(*kbps, profile), seed ^ (at << 20) ^ 0x0b1e)).collect();
        let repair = RepairTable::new(loss_ppm(profile.loss), profile.target_ppm, burst(profile.loss));
        Self {
            sides: vec![0; space.peers()],
            space,
            profile,
            seed,
            rng: Rng::labelled(seed, 0x4e37),
            uplinks,
            paths: HashMap::new(),
            cut: false,
            repair,
            spoken_us: HashMap::new(),
            traffic: Traffic::default(),
        }
    }

    /// Where the peers are.
    pub fn space(&self) -> &Space {
        &self.space
    }

    /// What was sent so far.
    pub fn traffic(&self) -> Traffic {
        self.traffic
    }

    /// Splits the peers by `side`, or heals the split when `cut` is [`Path::Up`].
    pub fn set_partition(&mut self, side: impl Fn(Index) -> u8, cut: Path) {
        self.cut = cut == Path::Cut;
        self.sides = (0..self.space.peers() as Index).map(side).collect();
    }

    /// Changes the rate of a peer's uplink.
    pub fn set_uplink(&mut self, peer: Index, kbps: u64) {
        let model = uplink(kbps, self.profile);
        if let Some(link) = self.uplinks.get_mut(peer as usize) {
            link.set_model(model);
        }
    }

    /// Rate of a peer's uplink, in kbit/s.
    pub fn uplink_kbps(&self, peer: Index) -> u64 {
        self.uplinks.get(peer as usize).map_or(0, |link| link.model().rate_kbps)
    }

    /// How long what a peer sends now waits at its uplink, in µs.
    pub fn backlog_us(&self, now_us: u64, peer: Index) -> u64 {
        self.uplinks.get(peer as usize).map_or(0, |link| link.backlog_us(now_us))
    }

    /// When a media message arrives, if it does.
    pub fn media(&mut self, now_us: u64, from: Index, to: Index, len: usize) -> Option<u64> {
        self.traffic.messages += 1;
        self.traffic.media_bytes += len as u64;
        let arrived = match self.profile.carriage {
            Carriage::Stream => self.stream(now_us, from, to, len),
            Carriage::Protected => self.protected(now_us, from, to, len),
        };
        self.traffic.lost += u64::from(arrived.is_none());
        arrived
    }

    /// When a control message arrives. Control messages are small, go ahead of media, and are sent again until they
    /// arrive or the peer is cut off.
    pub fn control(&mut self, now_us: u64, from: Index, to: Index, len: usize) -> Option<u64> {
        self.traffic.control_messages += 1;
        self.traffic.control_bytes += len as u64;
        if self.is_cut(from, to) {
            return None;
        }
        let rtt_us = self.space.rtt_us(from, to);
        let jitter_us = self.rng.below(self.profile.jitter_us.saturating_add(1));
        let tries = (0..=u64::from(RETRIES_MAX)).find(|_| !self.rng.chance(loss_ppm(self.profile.loss)));
        let again_us = rtt_us + rtt_us / 8 + LOSS_TIMER_US;
        let at_us = now_us + rtt_us / 2 + jitter_us + tries? * again_us;
        let latest = self.spoken_us.entry((from, to)).or_default();
        *latest = at_us.max(*latest);
        Some(*latest)
    }

    /// Round trip of a probe, if it comes back.
    pub fn probe_us(&mut self, from: Index, to: Index) -> Option<u64> {
        let jitter = self.rng.below(self.profile.jitter_us.saturating_mul(2).saturating_add(1));
        (!self.is_cut(from, to)).then(|| self.space.rtt_us(from, to).saturating_add(jitter))
    }

    fn is_cut(&self, from: Index, to: Index) -> bool {
        self.cut && self.sides.get(from as usize) != self.sides.get(to as usize)
    }

    fn stream(&mut self, now_us: u64, from: Index, to: Index, len: usize) -> Option<u64> {
        let rtt_us = self.space.rtt_us(from, to);
        let mut last = now_us;
        for part in packets(len) {
            let left_us = self.leave(now_us, from, part);
            last = last.max(self.carry(left_us, (from, to), part, rtt_us)?);
        }
        Some(last)
    }

    /// One packet after it left the uplink, sent again until it arrives.
    fn carry(&mut self, left_us: u64, way: (Index, Index), len: usize, rtt_us: u64) -> Option<u64> {
        if self.is_cut(way.0, way.1) {
            return None;
        }
        if let Some(at) = self.pair(way.0, way.1).first.send(left_us, len).first_us() {
            return Some(at);
        }
        let mut at_us = left_us;
        for _ in 0..RETRIES_MAX {
            at_us = at_us.saturating_add(rtt_us + rtt_us / 8).saturating_add(LOSS_TIMER_US);
            self.traffic.resent_bytes += len as u64;
            self.occupy(left_us, way.0, len);
            let sent = self.pair(way.0, way.1).again.send(at_us, len).first_us();
            if sent.is_some() {
                return sent;
            }
        }
        None
    }

    fn protected(&mut self, now_us: u64, from: Index, to: Index, len: usize) -> Option<u64> {
        let source = len.div_ceil(SYMBOL).clamp(1, PACKETS_MAX) as u16;
        let repair = self.repair.repair(source);
        self.traffic.repair_bytes += u64::from(repair) * SYMBOL as u64;
        let size = len.div_ceil(usize::from(source)) + edge_fountain::live::HEADER_LEN;
        let mut arrived = Vec::with_capacity(usize::from(source) + usize::from(repair));
        for _ in 0..source + repair {
            let left_us = self.leave(now_us, from, size);
            if !self.is_cut(from, to) {
                arrived.extend(self.pair(from, to).first.send(left_us, size).first_us());
            }
        }
        arrived.sort_unstable();
        let exact = source == 1 || repair == 0 || self.rng.chance(EXACT_DECODE_PPM);
        let needed = usize::from(source) - 1 + usize::from(!exact);
        arrived.get(needed).copied()
    }

    /// When a packet has left the uplink. A full queue holds it back until there is room, as a paced transport would.
    fn leave(&mut self, now_us: u64, from: Index, len: usize) -> u64 {
        let Some(link) = self.uplinks.get_mut(from as usize) else { return now_us };
        match link.send(now_us, len + PACKET_OVERHEAD) {
            Sent::Delivered(times) => times.times().first().copied().unwrap_or(now_us),
            Sent::Dropped(Drop::Queue | Drop::Loss | Drop::Partition) => now_us + link.backlog_us(now_us),
        }
    }

    fn occupy(&mut self, now_us: u64, from: Index, len: usize) {
        if let Some(link) = self.uplinks.get_mut(from as usize) {
            link.send(now_us, len + PACKET_OVERHEAD);
        }
    }

    fn pair(&mut self, from: Index, to: Index) -> &mut Pair {
        let (profile, seed, space) = (self.profile, self.seed, &self.space);
        self.paths.entry((from, to)).or_insert_with(|| {
            let rtt_us = space.rtt_us(from, to);
            let model = Model {
                delay_us: rtt_us / 2,
                jitter_us: profile.jitter_us.min(rtt_us / 4),
                loss: profile.loss,
                ..Model::default()
            };
            let name = (u64::from(from) << 32) | u64::from(to);
            let seed = seed ^ name.wrapping_mul(0x9e37_79b9_7f4a_7c15);
            Pair { first: Link::new(model, seed), again: Link::new(model, !seed) }
        })
    }
}

/// Payload bytes of one symbol.
const SYMBOL: usize = PACKET - edge_fountain::live::HEADER_LEN;
/// Granularity of loss timers.
const LOSS_TIMER_US: u64 = 1_000;

fn packets(len: usize) -> impl Iterator<Item = usize> {
    let whole = (len / PACKET).min(PACKETS_MAX);
    let rest = len % PACKET;
    std::iter::repeat_n(PACKET, whole).chain((rest > 0).then_some(rest))
}

fn uplink(kbps: u64, profile: Profile) -> Model {
    let bytes = kbps * profile.queue_ms / 8;
    Model { rate_kbps: kbps, queue: Queue::Bytes(bytes), ..Model::default() }
}

/// Loss in the long run.
fn loss_ppm(loss: Loss) -> u32 {
    match loss {
        Loss::None => 0,
        Loss::Uniform { ppm } => ppm,
        Loss::GilbertElliott { to_bad_ppm, to_good_ppm, good_ppm, bad_ppm } => {
            let (bad, good) = (u64::from(to_bad_ppm), u64::from(to_good_ppm));
            let lost = (bad * u64::from(bad_ppm) + good * u64::from(good_ppm)) / (bad + good).max(1);
            u32::try_from(lost).unwrap_or(u32::MAX)
        }
    }
}

/// Symbols that are lost together beyond what chance alone does.
fn burst(loss: Loss) -> u16 {
    match loss {
        Loss::GilbertElliott { to_good_ppm, .. } => (1_000_000 / to_good_ppm.max(1)).min(64) as u16,
        Loss::None | Loss::Uniform { .. } => 0,
    }
}
