//! Who gets a place with a relay, and who gives one up for another when there is none left.
//!
//! A child that is sent everything takes a whole place; one that only stands by, with the base layer, takes a quarter,
//! for its main parent may die any moment. Standing by can be done anywhere, so whoever needs the whole stream goes
//! before those who stand by; and who carries the stream on goes before those who only watch, standing by or not, as
//! its place is worth many. Some places stay with those who watch, whatever newcomers say of themselves.

use edge_wire::control::Role;

/// Children that stand by in one place.
pub const SPARES_A_PLACE: u64 = 4;
/// Part of the uplink that those who stand by may take, one in so many; one of them is always taken.
pub const SPARES_SHARE: u64 = 4;
/// How long children that were promoted may crowd a relay, in ms, before some that stand by have to go.
pub const CROWDED_MS: u64 = 1_000;
/// How long they may be more than there is room for, in ms, before one that is sent everything has to go.
pub const OVERRUN_MS: u64 = 5_000;
/// One child in this many may stay although it only watches.
pub const LEAVES_KEPT: usize = 4;

/// What a child is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Share {
    /// The base only, beside another parent.
    Spare,
    /// All that it wants.
    Whole,
}

/// What a child takes and what for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Claim {
    /// Whether it carries the stream on.
    pub role: Role,
    /// What it is sent.
    pub share: Share,
}

/// A child's place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seat {
    /// What it is for.
    pub claim: Claim,
    /// What its layers take, in kbit/s; 0 if that is not known.
    pub kbps: u64,
}

/// What a relay gives away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Room {
    /// To all children together, in kbit/s.
    pub uplink_kbps: u64,
    /// Whole places.
    pub places: u32,
    /// What the whole stream takes, in kbit/s; 0 if that is not known.
    pub stream_kbps: u64,
}

/// Whether a child that only watches may be given up at this time for one that carries on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Leaves {
    /// None.
    Stay,
    /// One.
    Yield,
}

/// Whole places that a full relay makes for a newcomer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Yields {
    /// For one that only watches.
    pub leaf: u16,
    /// For one that carries the stream on.
    pub carrier: u16,
}

impl Yields {
    /// Those for a newcomer with this claim.
    pub fn to(self, claim: Claim) -> u16 {
        match (claim.share, claim.role) {
            (Share::Spare, _) => 0,
            (Share::Whole, Role::Leaf) => self.leaf,
            (Share::Whole, Role::Carrier) => self.carrier,
        }
    }
}

impl Room {
    /// Whether a child fits beside the others. All who stand by may be promoted at the same moment, so that only some
    /// do beside those that are sent everything.
    pub fn fits(&self, seats: impl Iterator<Item = Seat> + Clone, newcomer: Seat) -> bool {
        let is_spare = |seat: &Seat| seat.claim.share == Share::Spare;
        let spares = seats.clone().filter(is_spare).map(|seat| self.taken_kbps(seat)).fold(0, u64::saturating_add);
        let is_crowded = spares.saturating_add(self.taken_kbps(newcomer)) > self.uplink_kbps / SPARES_SHARE;
        let is_one_too_many = is_spare(&newcomer) && spares > 0 && is_crowded;
        !is_one_too_many && self.holds(seats.chain([newcomer]))
    }

    /// Whether all these children together are within the limits.
    pub fn holds(&self, seats: impl Iterator<Item = Seat>) -> bool {
        self.bears(self.load(seats))
    }

    /// Children to give up for a newcomer: none if it fits, `None` if it has to go elsewhere. Of equals those with the
    /// least key go; it must not be one that a child can choose.
    pub fn admit<K: Ord + Copy>(&self, seats: &[(K, Seat)], newcomer: Seat, leaves: Leaves) -> Option<Vec<K>> {
        let all = || seats.iter().map(|(_, seat)| *seat);
        if self.fits(all(), newcomer) {
            return Some(Vec::new());
        }
        self.without_spares(seats, Some(newcomer)).or_else(|| {
            let is_leaf = |seat: &Seat| seat.claim == Claim { role: Role::Leaf, share: Share::Whole };
            let watching = seats.iter().filter(|(_, seat)| is_leaf(seat));
            let may = newcomer.claim == Claim { role: Role::Carrier, share: Share::Whole } && leaves == Leaves::Yield;
            if !may {
                return None;
            }
            // Those that were promoted here may be more than there are places, so that one is not enough.
            let mut watching: Vec<(K, Seat)> = watching.copied().collect();
            let most = watching.len().saturating_sub(kept(seats.len()));
            watching.sort_unstable_by_key(|(key, _)| *key);
            watching.truncate(most);
            let load = self.load(all().chain([newcomer]));
            // What the uplink carries is an estimate: a low one costs one of those who watch at most.
            let for_places = self.fewest(&watching, Load { kbps: 0, ..load })?.len();
            self.fewest(&watching, load).filter(|gone| gone.len() <= for_places)
        })
    }

    /// Children to give up because those that stood by are sent everything now: only such as still stand by, and as
    /// few as may be.
    pub fn relieve<K: Ord + Copy>(&self, seats: &[(K, Seat)]) -> Vec<K> {
        if self.holds(seats.iter().map(|(_, seat)| *seat)) {
            return Vec::new();
        }
        let all = || seats.iter().filter(|(_, seat)| seat.claim.share == Share::Spare).map(|(key, _)| *key).collect();
        self.without_spares(seats, None).unwrap_or_else(all)
    }

    /// A child to give up although it is sent everything, when nobody stands by any more: rather one that only watches,
    /// unless no more of them are left than may stay.
    fn surplus<K: Ord + Copy>(seats: &[(K, Seat)]) -> Option<K> {
        let leaves = seats.iter().filter(|(_, seat)| seat.claim.role == Role::Leaf).count();
        let first = if leaves > kept(seats.len().saturating_sub(1)) { Role::Leaf } else { Role::Carrier };
        seats.iter().map(|(key, seat)| (seat.claim.role != first, *key)).min().map(|(_, key)| key)
    }

    /// Whole places taken, the last one perhaps in part.
    pub fn taken(seats: impl Iterator<Item = Seat>) -> u16 {
        let quarters = seats.map(quarters_of).fold(0_u64, u64::saturating_add);
        u16::try_from(quarters.div_ceil(SPARES_A_PLACE)).unwrap_or(u16::MAX)
    }

    /// Whole places among those taken that newcomers would get.
    pub fn yields(seats: &[Seat]) -> Yields {
        let all = Self::taken(seats.iter().copied());
        let whole = seats.iter().filter(|seat| seat.claim.share == Share::Whole);
        let firm = Self::taken(whole.clone().copied());
        let leaves = whole.filter(|seat| seat.claim.role == Role::Leaf).count();
        let leaf = all.saturating_sub(firm);
        let yielding = u16::try_from(leaves.saturating_sub(kept(seats.len()))).unwrap_or(u16::MAX);
        Yields { leaf, carrier: leaf.saturating_add(yielding) }
    }

    /// The fewest children that stand by, those that only watch first, without whom the rest is within the limits. One
    /// that stands by itself only gets the place of those that count less.
    fn without_spares<K: Ord + Copy>(&self, seats: &[(K, Seat)], newcomer: Option<Seat>) -> Option<Vec<K>> {
        let mut spares: Vec<(K, Seat)> = seats
            .iter()
            .filter(|(_, seat)| seat.claim.share == Share::Spare)
            .filter(|(_, seat)| newcomer.is_none_or(|newcomer| yields_to(seat.claim, newcomer.claim)))
            .copied()
            .collect();
        spares.sort_unstable_by_key(|(key, seat)| (seat.claim.role == Role::Carrier, *key));
        self.fewest(&spares, self.load(seats.iter().map(|(_, seat)| *seat).chain(newcomer)))
    }

    /// The fewest of these, taken in their order, without whom `load` is within the limits; `None` if even all of them
    /// are not enough. Newcomers cause this, so it takes one pass, however many children there are.
    fn fewest<K: Copy>(&self, order: &[(K, Seat)], mut load: Load) -> Option<Vec<K>> {
        let mut gone = Vec::new();
        for (key, seat) in order {
            load.quarters = load.quarters.saturating_sub(quarters_of(*seat));
            load.kbps = load.kbps.saturating_sub(self.taken_kbps(*seat));
            gone.push(*key);
            if self.bears(load) {
                return Some(gone);
            }
        }
        None
    }

    fn load(&self, seats: impl Iterator<Item = Seat>) -> Load {
        seats.fold(Load::default(), |load, seat| Load {
            quarters: load.quarters.saturating_add(quarters_of(seat)),
            kbps: load.kbps.saturating_add(self.taken_kbps(seat)),
        })
    }

    fn bears(&self, load: Load) -> bool {
        load.quarters <= u64::from(self.places).saturating_mul(SPARES_A_PLACE) && load.kbps <= self.uplink_kbps
    }

    fn taken_kbps(&self, seat: Seat) -> u64 {
        match seat.claim.share {
            // It may want everything any moment.
            Share::Spare => seat.kbps.max(self.stream_kbps / SPARES_A_PLACE),
            Share::Whole => seat.kbps,
        }
    }
}

/// What children take together.
#[derive(Debug, Clone, Copy, Default)]
struct Load {
    /// In parts of a whole place, [`SPARES_A_PLACE`] each.
    quarters: u64,
    kbps: u64,
}

/// Whether a child that stands by gives its place up for a newcomer.
fn yields_to(spare: Claim, newcomer: Claim) -> bool {
    newcomer.share == Share::Whole || (spare.role == Role::Leaf && newcomer.role == Role::Carrier)
}

/// Gives children up when more were promoted than there is room for: not at once, for those who lost the same parent
/// speak one after the other, and who is given up needs another parent first.
#[derive(Debug, Clone, Copy, Default)]
pub struct Relief {
    since_ms: Option<u64>,
}

impl Relief {
    /// Children to give up now; to be asked every quarter of a second or so.
    pub fn turn<K: Ord + Copy>(&mut self, now_ms: u64, room: &Room, seats: &[(K, Seat)]) -> Vec<K> {
        if room.holds(seats.iter().map(|(_, seat)| *seat)) {
            self.since_ms = None;
            return Vec::new();
        }
        let for_ms = now_ms.saturating_sub(*self.since_ms.get_or_insert(now_ms));
        let spares = if for_ms < CROWDED_MS { Vec::new() } else { room.relieve(seats) };
        // What an uplink carries is an estimate, that may be the lower the less is sent: it costs nobody the stream.
        let is_overrun = seats.len() as u64 > room.places.into() && for_ms >= OVERRUN_MS;
        if !spares.is_empty() || !is_overrun {
            return spares;
        }
        self.since_ms = Some(now_ms);
        Room::surplus(seats).into_iter().collect()
    }
}

fn quarters_of(seat: Seat) -> u64 {
    match seat.claim.share {
        Share::Spare => 1,
        Share::Whole => SPARES_A_PLACE,
    }
}

fn kept(seats: usize) -> usize {
    seats / LEAVES_KEPT
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROOM: Room = Room { uplink_kbps: 10_000, places: 3, stream_kbps: 1_000 };

    fn seat(role: Role, share: Share) -> Seat {
        Seat { claim: Claim { role, share }, kbps: if share == Share::Whole { 1_000 } else { 100 } }
    }

    fn watcher() -> Seat {
        seat(Role::Leaf, Share::Whole)
    }

    fn carrier() -> Seat {
        seat(Role::Carrier, Share::Whole)
    }

    fn spare(role: Role) -> Seat {
        seat(role, Share::Spare)
    }

    #[test]
    fn four_that_stand_by_take_one_place() {
        let seats =
            [(1, carrier()), (2, carrier()), (3, spare(Role::Leaf)), (4, spare(Role::Leaf)), (5, spare(Role::Leaf))];
        assert_eq!(ROOM.admit(&seats, spare(Role::Leaf), Leaves::Stay), Some(vec![]));
        assert_eq!(Room::taken(seats.iter().map(|(_, seat)| *seat)), 3);
        let full = [&seats[..], &[(6, spare(Role::Carrier))]].concat();
        assert_eq!(ROOM.admit(&full, spare(Role::Leaf), Leaves::Yield), None);
        assert_eq!(ROOM.admit(&full, spare(Role::Carrier), Leaves::Yield), Some(vec![3]));
        assert_eq!(ROOM.admit(&full, watcher(), Leaves::Stay), Some(vec![3, 4, 5, 6]));
    }

    #[test]
    fn as_few_are_given_up_as_make_room() {
        for case in 0..4_096_u32 {
            let claim = |at: u32| match case >> (2 * at) & 3 {
                0 => spare(Role::Leaf),
                1 => spare(Role::Carrier),
                2 => watcher(),
                _ => carrier(),
            };
            let seats: Vec<(u32, Seat)> = (0..6).map(|at| (at, claim(at))).collect();
            for newcomer in [spare(Role::Leaf), spare(Role::Carrier), watcher(), carrier()] {
                let room = Room { uplink_kbps: 2_500 + u64::from(case % 4) * 700, ..ROOM };
                let Some(gone) = room.admit(&seats, newcomer, Leaves::Yield) else { continue };
                let without = |gone: &[u32]| {
                    let left = seats.iter().filter(|(key, _)| !gone.contains(key)).map(|(_, seat)| *seat);
                    room.holds(left.chain([newcomer]))
                };
                assert!(without(&gone), "{seats:?} {newcomer:?} {gone:?}");
                assert!(gone.is_empty() || newcomer.claim.share == Share::Spare || !without(&gone[..gone.len() - 1]));
            }
        }
    }

    #[test]
    fn a_carrier_goes_before_those_who_watch_and_they_before_those_who_stand_by() {
        let seats = [(1, carrier()), (2, watcher()), (3, watcher())];
        assert_eq!(ROOM.admit(&seats, carrier(), Leaves::Yield), Some(vec![2]));
        assert_eq!(ROOM.admit(&seats, carrier(), Leaves::Stay), None);
        assert_eq!(ROOM.admit(&seats, watcher(), Leaves::Yield), None);
        assert_eq!(Room::yields(&seats.map(|(_, seat)| seat)), Yields { leaf: 0, carrier: 2 });
        let carriers = [(1, carrier()), (2, carrier()), (3, carrier())];
        assert_eq!(ROOM.admit(&carriers, carrier(), Leaves::Yield), None);
        assert_eq!(Room::yields(&carriers.map(|(_, seat)| seat)), Yields::default());
    }

    #[test]
    fn carriers_come_in_however_many_watchers_were_promoted() {
        let crowded: Vec<(u8, Seat)> = (0..5).map(|key| (key, watcher())).collect();
        assert_eq!(ROOM.admit(&crowded, carrier(), Leaves::Yield), Some(vec![0, 1, 2]));
        assert_eq!(ROOM.admit(&crowded, carrier(), Leaves::Stay), None);
        assert_eq!(ROOM.admit(&crowded, watcher(), Leaves::Yield), None);
    }

    #[test]
    fn who_stands_by_goes_after_a_while_and_one_that_watches_after_a_long_one() {
        let mut relief = Relief::default();
        let mut seats = vec![(1, watcher()), (2, carrier()), (3, carrier()), (4, carrier()), (5, spare(Role::Leaf))];
        assert!(relief.turn(0, &ROOM, &seats).is_empty());
        assert!(relief.turn(CROWDED_MS - 1, &ROOM, &seats).is_empty());
        assert_eq!(relief.turn(CROWDED_MS, &ROOM, &seats), [5]);
        seats.pop();
        assert!(relief.turn(OVERRUN_MS - 1, &ROOM, &seats).is_empty());
        assert_eq!(relief.turn(OVERRUN_MS, &ROOM, &seats), [1]);
        assert!(relief.turn(OVERRUN_MS + 1, &ROOM, &seats).is_empty(), "one at a time");
        assert!(relief.turn(OVERRUN_MS + 2, &ROOM, &seats[1..]).is_empty());
    }

    #[test]
    fn the_places_that_stay_with_those_who_watch_stay_when_others_are_promoted() {
        let mut seats: Vec<(u8, Seat)> = vec![(0, watcher()), (1, watcher())];
        seats.extend((2..9).map(|key| (key, carrier())));
        assert_eq!(Room::surplus(&seats), Some(2));
        seats.push((9, watcher()));
        assert_eq!(Room::surplus(&seats), Some(0));
    }

    #[test]
    fn a_low_estimate_of_the_uplink_costs_one_of_those_who_watch_at_most() {
        let room = Room { uplink_kbps: 4_000, places: 10, stream_kbps: 1_000 };
        let seats: Vec<(u8, Seat)> = (0..6).map(|key| (key, watcher())).collect();
        assert_eq!(room.admit(&seats, carrier(), Leaves::Yield), None, "three would have to go");
        assert_eq!(room.admit(&seats[..4], carrier(), Leaves::Yield), Some(vec![0]));
    }

    #[test]
    fn some_places_stay_with_those_who_watch() {
        let room = Room { places: 8, ..ROOM };
        let mut seats: Vec<(u8, Seat)> = (0..6).map(|key| (key, carrier())).collect();
        seats.extend([(6, watcher()), (7, watcher())]);
        assert_eq!(room.admit(&seats, carrier(), Leaves::Yield), None);
        let seats: Vec<Seat> = seats.into_iter().map(|(_, seat)| seat).collect();
        assert_eq!(Room::yields(&seats), Yields::default());
    }

    #[test]
    fn what_is_sent_counts_as_well_as_who_is_there() {
        let narrow = Room { uplink_kbps: 2_100, ..ROOM };
        let seats = [(1, carrier()), (2, spare(Role::Leaf)), (3, spare(Role::Leaf))];
        assert!(!narrow.fits(seats.iter().map(|(_, seat)| *seat), watcher()), "250 are set aside for each spare");
        assert_eq!(narrow.admit(&seats, watcher(), Leaves::Stay), Some(vec![2, 3]));
    }

    #[test]
    fn whoever_stands_by_goes_when_others_are_promoted_and_nobody_else_does() {
        let promoted =
            [(1, watcher()), (2, watcher()), (3, carrier()), (4, spare(Role::Carrier)), (5, spare(Role::Leaf))];
        assert_eq!(ROOM.relieve(&promoted), [5, 4]);
        let crowded: Vec<(u8, Seat)> = (0..5).map(|key| (key, watcher())).collect();
        assert!(ROOM.relieve(&crowded).is_empty());
        assert!(ROOM.relieve(&promoted[..3]).is_empty());
    }
}
