//! Which chunks are here, which are being opened, who sent them, and since when.

use std::collections::{HashMap, VecDeque};

use edge_wire::layer::Layer;

use super::{Arrival, Key, Media};

/// Chunks that are remembered at least.
pub(super) const KEPT_MIN: usize = 1024;
/// Chunks that are remembered at most.
pub(super) const KEPT_MAX: usize = 16_384;
/// How long every chunk is remembered, in ms, as long as there is room.
pub(super) const KEPT_MS: u64 = 4_000;
/// Chunks under way to being opened at most.
pub(super) const IN_FLIGHT_MAX: usize = 1024;
/// How long opening a chunk may take, in ms: a little longer than chunks wait for a key.
const IN_FLIGHT_MS: u64 = 2_500;
/// From this age on, in ms, a chunk under way may be waiting for a key that it does not fit, so a copy is let through.
const TWIN_AFTER_MS: u64 = 20;
/// Epochs that are open at a time, the newest included.
pub(super) const EPOCHS: usize = 4;
/// When a base chunk is compared with what each parent sent, in ms after it first came.
pub(super) const SETTLE_MS: u64 = 500;

/// What a chunk is to the one who keeps account.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Belongs to what every parent is asked for.
    Base(Media),
    Upper,
}

impl Kind {
    pub(super) fn of(arrival: &Arrival) -> Self {
        match arrival.layer == Layer::BASE || arrival.media == Media::Sound {
            true => Self::Base(arrival.media),
            false => Self::Upper,
        }
    }
}

/// What a copy is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Seen {
    /// The first.
    First,
    /// Another parent's was first, this many ms ago, and is still being opened for too long.
    Overtaking { lag_ms: u64, first_by: u8 },
    /// Another parent's was first, this many ms ago.
    Twin { lag_ms: u64, first_by: u8 },
    /// The same parent sent it before.
    Repeat,
    /// It is below the floor.
    Late,
}

/// A base chunk that is due for comparison.
#[derive(Debug, Clone, Copy)]
pub(super) struct Settled {
    pub(super) key: Key,
    pub(super) first_ms: u64,
    pub(super) media: Media,
    /// Who sent it: one bit for each place.
    pub(super) sent: u8,
}

#[derive(Debug, Clone, Copy)]
struct Entry {
    first_ms: u64,
    first_by: u8,
    sent: u8,
    kind: Kind,
    is_open: bool,
}

/// The keys of one stream.
#[derive(Debug)]
pub(super) struct Window {
    entries: HashMap<Key, Entry>,
    /// Opened chunks by the time they opened.
    order: VecDeque<Key>,
    /// Chunks under way, some of which may be through already.
    in_flight: VecDeque<(Key, u64)>,
    /// Opened base chunks not compared yet.
    unsettled: VecDeque<Key>,
    /// Epochs and the lowest number that is not late, ascending by epoch.
    floors: Vec<(u64, u64)>,
}

impl Window {
    pub(super) fn new() -> Self {
        let (order, in_flight, unsettled) = (VecDeque::new(), VecDeque::new(), VecDeque::new());
        Self { entries: HashMap::new(), order, in_flight, unsettled, floors: Vec::new() }
    }

    /// Places a copy that the parent at `place` sent; a first one is under way from now on.
    pub(super) fn see(&mut self, now_ms: u64, place: u8, arrival: &Arrival) -> Seen {
        let (key, bit) = (arrival.key, bit(place));
        if self.is_late(key) {
            return Seen::Late;
        }
        let Some(entry) = self.entries.get_mut(&key) else {
            self.start(now_ms, place, arrival);
            return Seen::First;
        };
        if entry.sent & bit != 0 {
            return Seen::Repeat;
        }
        entry.sent |= bit;
        let (lag_ms, first_by) = (now_ms.saturating_sub(entry.first_ms), entry.first_by);
        match !entry.is_open && lag_ms > TWIN_AFTER_MS {
            true => Seen::Overtaking { lag_ms, first_by },
            false => Seen::Twin { lag_ms, first_by },
        }
    }

    /// A copy opened; whether it is the first that did. `proven` is the highest key that may lift the floor.
    pub(super) fn open(&mut self, now_ms: u64, place: u8, arrival: &Arrival, proven: Key) -> bool {
        let key = arrival.key;
        if self.is_late(key) {
            return false;
        }
        let fresh =
            Entry { first_ms: now_ms, first_by: place, sent: bit(place), kind: Kind::of(arrival), is_open: false };
        let entry = self.entries.entry(key).or_insert(fresh);
        if entry.is_open {
            return false;
        }
        // Only what opened is believed: a copy that was first but wrong must not name the kind.
        *entry = Entry { is_open: true, kind: Kind::of(arrival), ..*entry };
        if matches!(entry.kind, Kind::Base(_)) {
            if self.unsettled.len() >= KEPT_MAX {
                self.unsettled.pop_front();
            }
            self.unsettled.push_back(key);
        }
        self.order.push_back(key);
        self.evict(now_ms, proven);
        self.follow_epoch(proven);
        true
    }

    /// Lets another copy of a chunk be the first.
    pub(super) fn release(&mut self, key: Key) {
        if self.entries.get(&key).is_some_and(|entry| !entry.is_open) {
            self.entries.remove(&key);
        }
    }

    /// Releases what has been under way for too long.
    pub(super) fn expire(&mut self, now_ms: u64) {
        while let Some((key, since_ms)) = self.in_flight.front().copied() {
            if now_ms.saturating_sub(since_ms) < IN_FLIGHT_MS {
                return;
            }
            self.in_flight.pop_front();
            self.release_since(key, since_ms);
        }
    }

    /// The next base chunk that every parent had time to send.
    pub(super) fn settle(&mut self, now_ms: u64) -> Option<Settled> {
        while let Some(key) = self.unsettled.front().copied() {
            let entry = self.entries.get(&key).copied();
            if entry.is_some_and(|entry| now_ms.saturating_sub(entry.first_ms) < SETTLE_MS) {
                return None;
            }
            self.unsettled.pop_front();
            if let Some(Entry { first_ms, sent, kind: Kind::Base(media), .. }) = entry {
                return Some(Settled { key, first_ms, media, sent });
            }
        }
        None
    }

    /// Forgets what the parent at `place` sent, so that another can have the place.
    pub(super) fn clear(&mut self, place: u8) {
        self.entries.values_mut().for_each(|entry| entry.sent &= !bit(place));
    }

    /// Forgets which keys are late: those who lifted the floor were not to be believed.
    pub(super) fn lower_floor(&mut self) {
        self.floors.clear();
    }

    fn start(&mut self, now_ms: u64, place: u8, arrival: &Arrival) {
        if self.in_flight.len() >= IN_FLIGHT_MAX
            && let Some((key, since_ms)) = self.in_flight.pop_front()
        {
            self.release_since(key, since_ms);
        }
        let entry =
            Entry { first_ms: now_ms, first_by: place, sent: bit(place), kind: Kind::of(arrival), is_open: false };
        self.entries.insert(arrival.key, entry);
        self.in_flight.push_back((arrival.key, now_ms));
    }

    fn release_since(&mut self, key: Key, since_ms: u64) {
        if self.entries.get(&key).is_some_and(|entry| !entry.is_open && entry.first_ms == since_ms) {
            self.entries.remove(&key);
        }
    }

    fn is_late(&self, key: Key) -> bool {
        match self.floors.binary_search_by_key(&key.epoch, |(epoch, _)| *epoch) {
            Ok(at) => self.floors.get(at).is_some_and(|(_, floor)| key.seq < *floor),
            // An epoch below those that are followed is over; one between or above them is not.
            Err(0) => self.floors.len() >= EPOCHS,
            Err(_) => false,
        }
    }

    fn evict(&mut self, now_ms: u64, proven: Key) {
        while self.order.len() > KEPT_MIN {
            let Some(key) = self.order.front().copied() else { return };
            let first_ms = self.entries.get(&key).map_or(0, |entry| entry.first_ms);
            if self.order.len() <= KEPT_MAX && now_ms.saturating_sub(first_ms) < KEPT_MS {
                return;
            }
            self.order.pop_front();
            self.entries.remove(&key);
            if key <= proven {
                self.lift(key.epoch, key.seq.saturating_add(1));
            }
        }
    }

    fn follow_epoch(&mut self, proven: Key) {
        if self.floors.last().is_none_or(|(epoch, _)| *epoch < proven.epoch) {
            self.lift(proven.epoch, 0);
        }
    }

    fn lift(&mut self, epoch: u64, to: u64) {
        match self.floors.binary_search_by_key(&epoch, |(epoch, _)| *epoch) {
            Ok(at) => {
                if let Some((_, floor)) = self.floors.get_mut(at) {
                    *floor = (*floor).max(to);
                }
            }
            Err(0) if self.floors.len() >= EPOCHS => {}
            Err(at) => self.floors.insert(at, (epoch, to)),
        }
        if self.floors.len() > EPOCHS {
            self.floors.remove(0);
        }
    }
}

fn bit(place: u8) -> u8 {
    1_u8.checked_shl(u32::from(place)).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chunk(epoch: u64, seq: u64) -> Arrival {
        Arrival { key: Key { epoch, seq }, layer: Layer::BASE, media: Media::Picture, bytes: 100, age_ms: None }
    }

    fn receive(window: &mut Window, now_ms: u64, arrival: &Arrival) {
        assert_eq!(window.see(now_ms, 0, arrival), Seen::First);
        assert!(window.open(now_ms, 0, arrival, arrival.key));
    }

    #[test]
    fn four_seconds_are_kept_and_what_is_older_is_late() {
        let mut window = Window::new();
        // 1000 chunks a second.
        (0..8_000).for_each(|seq| receive(&mut window, seq, &chunk(1, seq)));
        assert_eq!(window.see(8_000, 1, &chunk(1, 4_001)), Seen::Twin { lag_ms: 3_999, first_by: 0 });
        assert_eq!(window.see(8_000, 1, &chunk(1, 3_000)), Seen::Late);
        assert!(window.entries.len() <= 4_100);
    }

    #[test]
    fn a_wild_number_lifts_no_floor_when_it_is_not_proven() {
        let mut window = Window::new();
        let proven = Key { epoch: 1, seq: 0 };
        for seq in 0..3_000 {
            let wild = chunk(1, u64::MAX - seq);
            assert_eq!(window.see(seq * 10, 0, &wild), Seen::First);
            assert!(window.open(seq * 10, 0, &wild, proven));
        }
        assert_eq!(window.see(30_001, 1, &chunk(1, 5)), Seen::First);
    }

    #[test]
    fn under_way_is_bounded_and_ends() {
        let mut window = Window::new();
        (0..5_000).for_each(|seq| assert_eq!(window.see(0, 0, &chunk(1, seq)), Seen::First));
        assert!(window.entries.len() <= IN_FLIGHT_MAX);
        window.expire(IN_FLIGHT_MS);
        assert!(window.entries.is_empty());
    }

    #[test]
    fn a_copy_overtakes_one_that_takes_too_long() {
        let mut window = Window::new();
        assert_eq!(window.see(0, 0, &chunk(1, 1)), Seen::First);
        assert_eq!(window.see(5, 1, &chunk(1, 1)), Seen::Twin { lag_ms: 5, first_by: 0 });
        assert_eq!(window.see(30, 2, &chunk(1, 1)), Seen::Overtaking { lag_ms: 30, first_by: 0 });
        assert!(window.open(31, 2, &chunk(1, 1), Key { epoch: 1, seq: 1 }));
        assert!(!window.open(32, 0, &chunk(1, 1), Key { epoch: 1, seq: 1 }));
    }

    #[test]
    fn old_epochs_end() {
        let mut window = Window::new();
        (1..=6).for_each(|epoch| receive(&mut window, epoch, &chunk(epoch, 9)));
        assert_eq!(window.see(10, 1, &chunk(2, 10)), Seen::Late);
        assert_eq!(window.see(10, 1, &chunk(3, 10)), Seen::First);
    }
}
