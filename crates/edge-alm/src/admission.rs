//! Whether a relay has room: the predicates that planners share, and the ledger that a relay holds itself to.

use std::collections::BTreeMap;

use edge_wire::id::{Fingerprint, StreamId};

use crate::advert::{COMMITMENTS_MAX, Capacity, Commitment};
use crate::path::{RawPath, SubStreamPath};

/// Most subscriptions in one ledger.
pub const SEATS_MAX: usize = 16_384;

const KBPS_PER_MBPS: f64 = 1000.0;

/// Whether one more subscriber of the whole stream fits beside `current` others; all in binary32.
pub fn has_room_for(capacity: &Capacity, stream_bitrate_mbps: f32, current: u16) -> bool {
    current < capacity.max_subscribers_per_stream && egress_mbps(current, stream_bitrate_mbps) <= capacity.uplink_mbps
}

/// The same for one path: the first commitment to exactly this path decides alone. Without any commitments the whole
/// stream's numbers decide; with others only, there is no room.
pub fn has_room_for_substream(capacity: &Capacity, path: &[u8], stream_bitrate_mbps: f32, current: u16) -> bool {
    let commitments = &capacity.sub_stream_commitments;
    match commitments.iter().find(|entry| entry.sub_stream_path.as_bytes() == path) {
        Some(Commitment { max_subscribers, uplink_budget_mbps, .. }) => {
            current < *max_subscribers && egress_mbps(current, stream_bitrate_mbps) <= *uplink_budget_mbps
        }
        None => commitments.is_empty() && has_room_for(capacity, stream_bitrate_mbps, current),
    }
}

/// Whole kbit/s in `mbps`; 0 for what is negative or not finite.
pub fn whole_kbps(mbps: f32) -> u64 {
    match mbps.is_finite() {
        // The cast keeps a negative number at 0.
        true => (f64::from(mbps) * KBPS_PER_MBPS).floor() as u64,
        false => 0,
    }
}

/// Not a number counts as 0, as a negative bitrate does.
fn egress_mbps(current: u16, stream_bitrate_mbps: f32) -> f32 {
    (u32::from(current) + 1) as f32 * stream_bitrate_mbps.max(0.0)
}

/// Why a subscription was not admitted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A limit would be passed.
    #[error("no room: {0}")]
    InsufficientCapacity(Limit),
    /// A subscription needs a bitrate above 0.
    #[error("bitrate must be above 0")]
    Bitrate,
}

/// Which limit a subscription would pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Limit {
    /// Egress over all streams and paths.
    #[error("uplink")]
    Uplink,
    /// Streams at once.
    #[error("streams")]
    Streams,
    /// Distinct subscribers of the stream.
    #[error("subscribers of the stream")]
    Subscribers,
    /// The stream has commitments and none for this path.
    #[error("path is not served")]
    Path,
    /// Egress reserved for the path.
    #[error("budget of the path")]
    PathBudget,
    /// Subscribers of the path.
    #[error("subscribers of the path")]
    PathSubscribers,
    /// Entries of the ledger.
    #[error("subscriptions")]
    Seats,
}

/// What a relay holds itself to over all streams.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Egress over everything, in kbit/s.
    pub uplink_kbps: u64,
    /// Streams at once.
    pub max_streams: u16,
    /// Distinct subscribers of each stream.
    pub max_subscribers_per_stream: u16,
}

impl From<&Capacity> for Limits {
    fn from(capacity: &Capacity) -> Self {
        Self {
            uplink_kbps: whole_kbps(capacity.uplink_mbps),
            max_streams: capacity.max_streams,
            max_subscribers_per_stream: capacity.max_subscribers_per_stream,
        }
    }
}

/// One subscription.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Seat {
    /// The stream, by the id that advertisements name.
    pub stream: StreamId,
    /// Which description of it.
    pub path: SubStreamPath,
    /// Who subscribes.
    pub subscriber: Fingerprint,
}

/// Who was admitted to what, in whole kbit/s. A peer that pulls several paths of a stream is one subscriber of it.
#[derive(Debug)]
pub struct Ledger {
    limits: Limits,
    streams: BTreeMap<StreamId, Stream>,
    budgets: BTreeMap<StreamId, Vec<Budget>>,
    egress_kbps: u64,
    seats: usize,
}

/// Rates by subscriber and path.
type Stream = BTreeMap<Fingerprint, BTreeMap<SubStreamPath, u64>>;

/// A commitment in whole kbit/s.
#[derive(Debug)]
struct Budget {
    path: RawPath,
    kbps: u64,
    max_subscribers: u16,
}

impl Ledger {
    /// An empty ledger.
    pub fn new(limits: Limits) -> Self {
        Self { limits, streams: BTreeMap::new(), budgets: BTreeMap::new(), egress_kbps: 0, seats: 0 }
    }

    /// Changes the limits. Who was admitted stays; nobody else is until there is room again.
    pub fn set_limits(&mut self, limits: Limits) {
        self.limits = limits;
    }

    /// Replaces what a stream's paths have reserved; none at all serves every path. Past [`COMMITMENTS_MAX`] entries
    /// or `max_streams` streams nothing is kept, which serves less.
    pub fn commit(&mut self, stream: StreamId, commitments: &[Commitment]) {
        self.budgets.remove(&stream);
        let room = self.budgets.len() < usize::from(self.limits.max_streams);
        if !commitments.is_empty() && room {
            let kept = commitments.iter().take(COMMITMENTS_MAX).map(|entry| Budget {
                path: entry.sub_stream_path.clone(),
                kbps: whole_kbps(entry.uplink_budget_mbps),
                max_subscribers: entry.max_subscribers,
            });
            self.budgets.insert(stream, kept.collect());
        }
    }

    /// Admits a subscription at `kbps`, or changes the rate of one; on an error everything stays as it was.
    pub fn admit(&mut self, seat: Seat, kbps: u64) -> Result<(), Error> {
        if kbps == 0 {
            return Err(Error::Bitrate);
        }
        let held = self.rate(&seat);
        self.check(&seat, kbps, held).map_err(Error::InsufficientCapacity)?;
        self.egress_kbps = self.egress_kbps.saturating_sub(held.unwrap_or(0)).saturating_add(kbps);
        self.seats += usize::from(held.is_none());
        self.streams.entry(seat.stream).or_default().entry(seat.subscriber).or_default().insert(seat.path, kbps);
        Ok(())
    }

    /// Ends a subscription.
    pub fn release(&mut self, seat: &Seat) {
        let Some(stream) = self.streams.get_mut(&seat.stream) else { return };
        let Some(paths) = stream.get_mut(&seat.subscriber) else { return };
        let Some(kbps) = paths.remove(&seat.path) else { return };
        self.egress_kbps = self.egress_kbps.saturating_sub(kbps);
        self.seats = self.seats.saturating_sub(1);
        if paths.is_empty() {
            stream.remove(&seat.subscriber);
        }
        if stream.is_empty() {
            self.streams.remove(&seat.stream);
        }
    }

    /// Ends every subscription of a peer.
    pub fn release_all(&mut self, subscriber: Fingerprint) {
        let seats: Vec<Seat> = self.seats_of(subscriber).collect();
        seats.iter().for_each(|seat| self.release(seat));
    }

    /// Egress over everything, in kbit/s.
    pub fn egress_kbps(&self) -> u64 {
        self.egress_kbps
    }

    /// Egress that is left, in kbit/s.
    pub fn spare_kbps(&self) -> u64 {
        self.limits.uplink_kbps.saturating_sub(self.egress_kbps)
    }

    /// Distinct subscribers of a stream.
    pub fn subscribers(&self, stream: StreamId) -> usize {
        self.streams.get(&stream).map_or(0, BTreeMap::len)
    }

    /// Streams that have subscribers.
    pub fn streams(&self) -> usize {
        self.streams.len()
    }

    /// What a subscription was admitted at, in kbit/s.
    pub fn rate(&self, seat: &Seat) -> Option<u64> {
        self.streams.get(&seat.stream)?.get(&seat.subscriber)?.get(&seat.path).copied()
    }

    fn seats_of(&self, subscriber: Fingerprint) -> impl Iterator<Item = Seat> {
        self.streams.iter().flat_map(move |(stream, subscribers)| {
            let paths = subscribers.get(&subscriber).into_iter().flat_map(BTreeMap::keys);
            paths.map(move |path| Seat { stream: *stream, path: *path, subscriber })
        })
    }

    fn check(&self, seat: &Seat, kbps: u64, held: Option<u64>) -> Result<(), Limit> {
        let others_kbps = self.egress_kbps.saturating_sub(held.unwrap_or(0));
        let stream = self.streams.get(&seat.stream);
        let is_subscriber = stream.is_some_and(|stream| stream.contains_key(&seat.subscriber));
        let subscribers = self.subscribers(seat.stream);
        if others_kbps.saturating_add(kbps) > self.limits.uplink_kbps {
            return Err(Limit::Uplink);
        }
        if stream.is_none() && self.streams.len() >= usize::from(self.limits.max_streams) {
            return Err(Limit::Streams);
        }
        if !is_subscriber && subscribers >= usize::from(self.limits.max_subscribers_per_stream) {
            return Err(Limit::Subscribers);
        }
        if held.is_none() && self.seats >= SEATS_MAX {
            return Err(Limit::Seats);
        }
        self.check_path(seat, kbps)
    }

    fn check_path(&self, seat: &Seat, kbps: u64) -> Result<(), Limit> {
        let Some(budgets) = self.budgets.get(&seat.stream) else { return Ok(()) };
        let budget = budgets.iter().find(|budget| budget.path.as_bytes() == seat.path.as_bytes());
        let budget = budget.ok_or(Limit::Path)?;
        let others = self.streams.get(&seat.stream).into_iter().flatten();
        let others = others.filter(|(subscriber, _)| **subscriber != seat.subscriber);
        let rates = others.filter_map(|(_, paths)| paths.get(&seat.path));
        let (count, sum) = rates.fold((0_usize, 0_u64), |(n, sum), rate| (n + 1, sum.saturating_add(*rate)));
        if count >= usize::from(budget.max_subscribers) {
            return Err(Limit::PathSubscribers);
        }
        match sum.saturating_add(kbps) > budget.kbps {
            true => Err(Limit::PathBudget),
            false => Ok(()),
        }
    }
}
