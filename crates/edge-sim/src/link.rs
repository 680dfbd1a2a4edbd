//! One direction of a network path as a pure function of time: delay, jitter, loss, rate, queue, order, duplicates.
//!
//! The caller asks when a packet that it hands over now comes out at the far end. A [`Link`] keeps no packet and no
//! clock, so the same type serves the simulator and an emulator that moves real bytes.

use std::collections::VecDeque;

use crate::rng::Rng;

/// Most packets that a queue counted in packets may hold; larger models are cut to it.
pub const QUEUE_PACKETS_MAX: u32 = 65_536;
/// Most copies of one packet that come out.
pub const COPIES_MAX: usize = 2;

/// What a path does to packets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Model {
    /// Time on the wire, in µs.
    pub delay_us: u64,
    /// Largest deviation from `delay_us` either way, in µs, evenly distributed. It never changes the order.
    pub jitter_us: u64,
    /// Which packets are lost on the wire.
    pub loss: Loss,
    /// Sending rate in kbit/s; 0 = unlimited.
    pub rate_kbps: u64,
    /// What may wait for the rate.
    pub queue: Queue,
    /// Packets in a million that come late enough for others to overtake them.
    pub reorder_ppm: u32,
    /// Packets in a million that come out twice.
    pub duplicate_ppm: u32,
}

/// Which packets are lost on the wire. Lost packets have used the rate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Loss {
    /// None.
    #[default]
    None,
    /// Each one independently, so many in a million.
    Uniform {
        /// Packets in a million.
        ppm: u32,
    },
    /// In bursts: two states, the state changes before each packet. All numbers are chances in a million.
    GilbertElliott {
        /// From good to bad.
        to_bad_ppm: u32,
        /// From bad to good; the mean burst has `1_000_000 / to_good_ppm` packets.
        to_good_ppm: u32,
        /// Loss in the good state.
        good_ppm: u32,
        /// Loss in the bad state.
        bad_ppm: u32,
    },
}

impl Loss {
    /// Bursts of `burst` packets on average, all of them lost, such that `ppm` in a million are lost in the long run.
    pub fn bursts(ppm: u32, burst: u32) -> Self {
        let to_good_ppm = MILLION / burst.max(1);
        let good_share = MILLION.saturating_sub(ppm).max(1);
        let to_bad = u64::from(to_good_ppm) * u64::from(ppm) / u64::from(good_share);
        let to_bad_ppm = u32::try_from(to_bad).unwrap_or(MILLION).min(MILLION);
        Self::GilbertElliott { to_bad_ppm, to_good_ppm, good_ppm: 0, bad_ppm: MILLION }
    }
}

/// What may wait while the link is busy; more is dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Queue {
    /// Anything.
    #[default]
    Unlimited,
    /// At most so many bytes, the packet being sent included. A packet that finds the link idle always goes.
    Bytes(u64),
    /// At most so many packets, the one being sent included.
    Packets(u32),
}

/// What became of one packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sent {
    /// It comes out at these times.
    Delivered(Deliveries),
    /// It does not come out.
    Dropped(Drop),
}

impl Sent {
    /// When the first copy comes out, in µs.
    pub fn first_us(&self) -> Option<u64> {
        match self {
            Self::Delivered(deliveries) => deliveries.times().first().copied(),
            Self::Dropped(_) => None,
        }
    }
}

/// Why a packet does not come out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Drop {
    /// The queue was full; the packet used no rate.
    Queue,
    /// Lost on the wire.
    Loss,
    /// The path is cut.
    Partition,
}

/// One or two times at which copies of a packet come out, ascending.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Deliveries {
    times_us: [u64; COPIES_MAX],
    count: usize,
}

impl Deliveries {
    /// The times in µs: one, or two when the packet was duplicated.
    pub fn times(&self) -> &[u64] {
        self.times_us.get(..self.count).unwrap_or(&[])
    }
}

/// Whether a path carries anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Path {
    /// It does.
    #[default]
    Up,
    /// Everything handed over is dropped; what is on the wire still arrives.
    Cut,
}

/// Counters of one link since its start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counters {
    /// Packets handed over.
    pub offered: u64,
    /// Packets that came out at least once.
    pub delivered: u64,
    /// Dropped by the full queue.
    pub queue_drops: u64,
    /// Lost on the wire.
    pub losses: u64,
    /// Dropped by a cut path.
    pub cut_drops: u64,
    /// Second copies.
    pub duplicates: u64,
    /// Packets held back for others to overtake.
    pub reordered: u64,
}

/// The state of one direction of a path. Times handed in must not go backwards.
#[derive(Debug, Clone)]
pub struct Link {
    model: Model,
    rng: Rng,
    path: Path,
    burst: Burst,
    free_at_us: u64,
    newest_us: u64,
    departures: VecDeque<u64>,
    counters: Counters,
}

impl Link {
    /// An idle link; equal models and seeds behave equally.
    pub fn new(model: Model, seed: u64) -> Self {
        Self {
            model,
            rng: Rng::new(seed),
            path: Path::Up,
            burst: Burst::Good,
            free_at_us: 0,
            newest_us: 0,
            departures: VecDeque::new(),
            counters: Counters::default(),
        }
    }

    /// Hands over a packet of `len` bytes at `now_us`.
    pub fn send(&mut self, now_us: u64, len: usize) -> Sent {
        self.counters.offered += 1;
        match self.transmit(now_us, len) {
            Ok(deliveries) => {
                self.counters.delivered += 1;
                Sent::Delivered(deliveries)
            }
            Err(why) => {
                *match why {
                    Drop::Queue => &mut self.counters.queue_drops,
                    Drop::Loss => &mut self.counters.losses,
                    Drop::Partition => &mut self.counters.cut_drops,
                } += 1;
                Sent::Dropped(why)
            }
        }
    }

    /// Cuts or restores the path.
    pub fn set_path(&mut self, path: Path) {
        self.path = path;
    }

    /// Changes what the path does from the next packet on; what waits keeps its time.
    pub fn set_model(&mut self, model: Model) {
        self.model = model;
    }

    /// What the path does now.
    pub fn model(&self) -> Model {
        self.model
    }

    /// Counters since the start.
    pub fn counters(&self) -> Counters {
        self.counters
    }

    /// How long a packet handed over now waits before it is sent, in µs.
    pub fn backlog_us(&self, now_us: u64) -> u64 {
        self.free_at_us.saturating_sub(now_us)
    }

    fn transmit(&mut self, now_us: u64, len: usize) -> Result<Deliveries, Drop> {
        if self.path == Path::Cut {
            return Err(Drop::Partition);
        }
        let sent_us = self.enqueue(now_us, len)?;
        if self.loses() {
            return Err(Drop::Loss);
        }
        let first = self.arrival(sent_us);
        let twice = self.rng.chance(self.model.duplicate_ppm);
        self.counters.duplicates += u64::from(twice);
        let second = first.saturating_add(DUPLICATE_LAG_US);
        Ok(Deliveries { times_us: [first, second], count: 1 + usize::from(twice) })
    }

    /// When the last bit leaves; refuses what finds the queue full.
    fn enqueue(&mut self, now_us: u64, len: usize) -> Result<u64, Drop> {
        let rate = self.model.rate_kbps;
        if rate == 0 {
            return Ok(now_us);
        }
        while self.departures.front().is_some_and(|&at| at <= now_us) {
            self.departures.pop_front();
        }
        if !self.has_room(now_us, len) {
            return Err(Drop::Queue);
        }
        let end = self.free_at_us.max(now_us).saturating_add(airtime_us(len, rate));
        self.free_at_us = end;
        if matches!(self.model.queue, Queue::Packets(_)) {
            self.departures.push_back(end);
        }
        Ok(end)
    }

    fn has_room(&self, now_us: u64, len: usize) -> bool {
        let backlog_us = self.backlog_us(now_us);
        match self.model.queue {
            Queue::Unlimited => true,
            Queue::Bytes(bound) => {
                let waiting = u128::from(backlog_us) * u128::from(self.model.rate_kbps) / BITS_US_PER_KBPS_BYTE;
                backlog_us == 0 || waiting + len as u128 <= u128::from(bound)
            }
            Queue::Packets(bound) => self.departures.len() < bound.min(QUEUE_PACKETS_MAX) as usize,
        }
    }

    fn loses(&mut self) -> bool {
        match self.model.loss {
            Loss::None => false,
            Loss::Uniform { ppm } => self.rng.chance(ppm),
            Loss::GilbertElliott { to_bad_ppm, to_good_ppm, good_ppm, bad_ppm } => {
                let (leave, other) = match self.burst {
                    Burst::Good => (to_bad_ppm, Burst::Bad),
                    Burst::Bad => (to_good_ppm, Burst::Good),
                };
                if self.rng.chance(leave) {
                    self.burst = other;
                }
                self.rng.chance(if self.burst == Burst::Bad { bad_ppm } else { good_ppm })
            }
        }
    }

    /// When a packet that left at `sent_us` arrives. Jitter keeps the order; a reordered packet is late by one to two
    /// jitters (at least [`REORDER_LAG_US`]) and does not hold back its successors.
    fn arrival(&mut self, sent_us: u64) -> u64 {
        let Model { delay_us, jitter_us, reorder_ppm, .. } = self.model;
        let jitter = if jitter_us > 0 { self.rng.below(jitter_us.saturating_mul(2).saturating_add(1)) } else { 0 };
        let plain = sent_us.saturating_add(delay_us).saturating_add(jitter).saturating_sub(jitter_us).max(sent_us);
        if self.rng.chance(reorder_ppm) {
            self.counters.reordered += 1;
            let lag = jitter_us.max(REORDER_LAG_US);
            return plain.max(self.newest_us).saturating_add(lag).saturating_add(self.rng.below(lag));
        }
        self.newest_us = self.newest_us.max(plain);
        self.newest_us
    }
}

/// Shortest time by which a reordered packet is late.
pub const REORDER_LAG_US: u64 = 2_000;

/// How far a second copy is behind the first.
const DUPLICATE_LAG_US: u64 = 50;
const MILLION: u32 = 1_000_000;
/// µs · kbit/s in a byte.
const BITS_US_PER_KBPS_BYTE: u128 = 8_000;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Burst {
    Good,
    Bad,
}

/// How long `len` bytes take at `rate_kbps`, in µs, rounded up.
pub fn airtime_us(len: usize, rate_kbps: u64) -> u64 {
    let bits = len as u128 * BITS_US_PER_KBPS_BYTE;
    u64::try_from(bits.div_ceil(u128::from(rate_kbps.max(1)))).unwrap_or(u64::MAX)
}
