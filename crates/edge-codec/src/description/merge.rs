use std::collections::{BTreeMap, VecDeque};

use super::{MAX_DESCRIPTIONS, Split};

/// How long a picture waits for an earlier one of another description, in µs, unless told otherwise.
pub const DEFAULT_MAX_WAIT_US: u64 = 40_000;

/// Most decoded pictures held back at once; beyond that the earliest is shown.
const MAX_HELD: usize = 16;
/// After this many pictures in a row that were waited for in vain, nothing waits for that description.
const MAX_MISSED: u8 = 2;
/// Most passed-over pictures of which the time is remembered, for each description.
const MAX_PASSED: usize = 32;
/// Most shown pictures of the last second that are counted.
const MAX_RECENT: usize = 256;
const SECOND_US: u64 = 1_000_000;

/// A picture whose time to be shown has come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shown<T> {
    /// Number of the picture in the whole stream.
    pub number: u64,
    /// The description that it came from.
    pub description: u8,
    /// Pictures of the stream between the one shown before and this one: the one before stood for each of them.
    pub repeated: u64,
    /// The picture.
    pub picture: T,
}

/// What happened to pictures so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counters {
    /// Pictures shown, by description.
    pub shown: [u64; MAX_DESCRIPTIONS],
    /// Pictures of the stream that were not shown, the one before standing for them.
    pub repeated: u64,
    /// Pictures that came when a later one was shown already.
    pub late: u64,
    /// Pictures of a description that the stream does not have, or that came out of order within theirs.
    pub refused: u64,
}

/// Puts decoded pictures of several descriptions into the order of the stream.
///
/// Model: each description delivers its pictures in ascending order. A picture is shown at once unless an earlier one
/// of a description that keeps up is still expected; it waits for that at most a fixed time, and not at all for a
/// description that is absent or frozen. What comes too late is dropped, never shown out of order.
#[derive(Debug)]
pub struct Merge<T> {
    split: Split,
    max_wait_us: u64,
    lanes: [Lane; MAX_DESCRIPTIONS],
    held: BTreeMap<u64, Held<T>>,
    last: Option<u64>,
    recent: VecDeque<(u64, u8)>,
    counters: Counters,
}

impl<T> Merge<T> {
    /// Merges the descriptions of `split`; a picture waits up to `max_wait_us` for an earlier one.
    pub fn new(split: Split, max_wait_us: u64) -> Self {
        Self {
            split,
            max_wait_us,
            lanes: Default::default(),
            held: BTreeMap::new(),
            last: None,
            recent: VecDeque::new(),
            counters: Counters::default(),
        }
    }

    /// Takes picture `counter` of `description`, as soon as it is decoded.
    pub fn push(&mut self, description: u8, counter: u64, picture: T, now_us: u64) {
        let number = self.split.number(description, counter);
        let lane = self.lanes.get_mut(usize::from(description));
        let (Some(number), Some(lane)) = (number, lane) else {
            self.counters.refused += 1;
            return;
        };
        if lane.last.is_some_and(|last| counter <= last) {
            self.counters.refused += 1;
            return;
        }
        lane.advance(counter);
        if self.last.is_some_and(|last| number < last) {
            self.counters.late += 1;
            lane.came_late(counter, now_us, self.max_wait_us);
            return;
        }
        lane.missed = 0;
        self.held.insert(number, Held { description, since_us: now_us, picture });
    }

    /// The next picture that is to be shown now; call until `None`.
    pub fn poll(&mut self, now_us: u64) -> Option<Shown<T>> {
        let (number, held) = self.held.first_key_value()?;
        let (number, waited_us) = (*number, now_us.saturating_sub(held.since_us));
        let expected = self.expected_before(number);
        if expected && waited_us < self.max_wait_us && self.held.len() <= MAX_HELD {
            return None;
        }
        let held = self.held.remove(&number)?;
        self.pass_over(number, &held);
        let repeated = self.last.map_or(0, |last| number.saturating_sub(last).saturating_sub(1));
        self.counters.repeated = self.counters.repeated.saturating_add(repeated);
        if let Some(shown) = self.counters.shown.get_mut(usize::from(held.description)) {
            *shown += 1;
        }
        self.recent.push_back((now_us, held.description));
        if self.recent.len() > MAX_RECENT {
            self.recent.pop_front();
        }
        self.last = Some(number);
        Some(Shown { number, description: held.description, repeated, picture: held.picture })
    }

    /// When [`poll`](Self::poll) has something even if nothing comes; `None` while nothing waits.
    pub fn deadline_us(&self) -> Option<u64> {
        self.held.first_key_value().map(|(_, held)| held.since_us.saturating_add(self.max_wait_us))
    }

    /// Pictures shown within the last second, by description.
    pub fn shown_lately(&self, now_us: u64) -> [u16; MAX_DESCRIPTIONS] {
        let mut counts = [0_u16; MAX_DESCRIPTIONS];
        for (_, description) in self.recent.iter().filter(|(at, _)| now_us.saturating_sub(*at) < SECOND_US) {
            if let Some(count) = counts.get_mut(usize::from(*description)) {
                *count = count.saturating_add(1);
            }
        }
        counts
    }

    /// How many descriptions contributed within the last second.
    pub fn contributing(&self, now_us: u64) -> u8 {
        self.shown_lately(now_us).iter().map(|count| u8::from(*count > 0)).sum()
    }

    /// Counts so far.
    pub fn counters(&self) -> Counters {
        self.counters
    }

    fn expected_before(&self, number: u64) -> bool {
        (0..)
            .zip(&self.lanes)
            .any(|(description, lane)| lane.missed < MAX_MISSED && lane.owes(self.split, description, number))
    }

    /// Notes what is given up because `number` is shown now.
    fn pass_over(&mut self, number: u64, held: &Held<T>) {
        let split = self.split;
        for (description, lane) in (0..).zip(&mut self.lanes) {
            if lane.owes(split, description, number) {
                lane.pass_over(held.since_us);
            }
        }
    }
}

#[derive(Debug)]
struct Held<T> {
    description: u8,
    since_us: u64,
    picture: T,
}

/// What is known about one description.
#[derive(Debug, Default)]
struct Lane {
    /// The latest picture that came or was given up.
    settled: Option<u64>,
    /// The latest picture that came.
    last: Option<u64>,
    /// The last two distances between pictures that came: more than one where temporal layers are left out.
    steps: [u64; 2],
    missed: u8,
    /// Pictures given up, each with the time from which a later one waited.
    passed: VecDeque<(u64, u64)>,
}

impl Lane {
    fn advance(&mut self, counter: u64) {
        if let Some(last) = self.last {
            self.steps = [self.steps[1], counter.saturating_sub(last)];
        }
        self.last = Some(counter);
        self.settled = self.settled.max(Some(counter));
    }

    /// The next picture that should come.
    fn next(&self) -> Option<u64> {
        let step = self.steps[0].min(self.steps[1]).max(1);
        self.settled?.checked_add(step)
    }

    fn owes(&self, split: Split, description: u8, before: u64) -> bool {
        let next = self.next().and_then(|counter| split.number(description, counter));
        next.is_some_and(|number| number < before)
    }

    fn pass_over(&mut self, since_us: u64) {
        self.missed = self.missed.saturating_add(1);
        let Some(counter) = self.next() else { return };
        self.settled = Some(counter);
        self.passed.push_back((counter, since_us));
        if self.passed.len() > MAX_PASSED {
            self.passed.pop_front();
        }
    }

    /// A description that comes back within the wait is waited for again.
    fn came_late(&mut self, counter: u64, now_us: u64, max_wait_us: u64) {
        let since_us = self.passed.iter().find(|(passed, _)| *passed == counter).map(|(_, since_us)| *since_us);
        if since_us.is_some_and(|since_us| now_us.saturating_sub(since_us) <= max_wait_us) {
            self.missed = 0;
        }
        self.passed.retain(|(passed, _)| *passed > counter);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FRAME_US: u64 = 33_333;

    fn merge(count: u8) -> Merge<()> {
        Merge::new(Split::new(count).unwrap(), DEFAULT_MAX_WAIT_US)
    }

    /// Delivers pictures of two descriptions, the second later by `behind_us` and only where `sent` says so; gives
    /// back what was shown and when.
    fn run(merge: &mut Merge<()>, behind_us: u64, sent: impl Fn(u64) -> bool) -> Vec<(u64, u64)> {
        let delay_us = |number: u64| (number % 2) * behind_us;
        let arrivals = (0..90_u64).filter(|number| sent(*number));
        let arrivals: BTreeMap<_, _> = arrivals.map(|number| (number * FRAME_US + delay_us(number), number)).collect();
        let mut shown = Vec::new();
        for now_us in (0..100 * FRAME_US).step_by(1_000) {
            for number in arrivals.range(now_us..now_us + 1_000).map(|(_, number)| *number) {
                merge.push((number % 2) as u8, number / 2, (), now_us);
            }
            while let Some(picture) = merge.poll(now_us) {
                shown.push((picture.number, now_us));
            }
        }
        shown
    }

    fn numbers(shown: &[(u64, u64)]) -> Vec<u64> {
        shown.iter().map(|(number, _)| *number).collect()
    }

    #[test]
    fn whole_streams_pass_without_delay() {
        let mut merge = merge(2);
        let shown = run(&mut merge, 0, |_| true);
        assert_eq!(numbers(&shown), (0..90).collect::<Vec<_>>());
        assert!(shown.iter().all(|(number, at)| at.abs_diff(number * FRAME_US) <= 1_000));
        assert_eq!(merge.counters(), Counters { shown: [45, 45, 0, 0], ..Counters::default() });
    }

    #[test]
    fn a_slower_path_within_the_wait_loses_nothing() {
        let mut merge = merge(2);
        let shown = run(&mut merge, FRAME_US + 20_000, |_| true);
        let from_third: Vec<u64> = numbers(&shown).into_iter().skip_while(|number| *number < 3).collect();
        assert_eq!(from_third, (3..90).collect::<Vec<_>>());
    }

    #[test]
    fn a_path_slower_than_the_wait_does_not_hold_the_others_up() {
        let mut merge = merge(2);
        let shown = run(&mut merge, 300_000, |_| true);
        let (prompt, tail) = shown.split_at(45);
        let delayed = prompt.iter().filter(|(number, at)| at.abs_diff(number * FRAME_US) > 1_000).count();
        assert!(delayed <= usize::from(MAX_MISSED) && prompt.iter().all(|(number, _)| number % 2 == 0), "{delayed}");
        assert_eq!(numbers(tail), [89], "nothing follows the last one, so it is not late");
        assert_eq!(merge.counters().late, 44);
    }

    #[test]
    fn a_description_that_stops_costs_two_short_waits_and_comes_back_at_once() {
        let mut merge = merge(2);
        let shown = run(&mut merge, 0, |number| number % 2 == 0 || !(30..60).contains(&number));
        let expected: Vec<u64> = (0..90).filter(|number| number % 2 == 0 || !(30..60).contains(number)).collect();
        assert_eq!(numbers(&shown), expected);
        let delayed = shown.iter().filter(|(number, at)| at.abs_diff(number * FRAME_US) > 1_000).count();
        assert!((1..=2).contains(&delayed), "{delayed}");
        assert_eq!(merge.counters().repeated, 15);
    }

    #[test]
    fn temporal_layers_left_out_are_not_waited_for() {
        let mut merge = merge(2);
        let shown = run(&mut merge, 0, |number| number / 2 % 4 == 0);
        let delayed = shown.iter().filter(|(number, at)| at.abs_diff(number * FRAME_US) > 1_000).count();
        assert_eq!((shown.len(), delayed <= 2), (24, true), "{delayed}");
    }

    #[test]
    fn one_description_alone_is_shown_at_once() {
        let mut merge = merge(4);
        for counter in 0..30 {
            let now_us = counter * 4 * FRAME_US;
            merge.push(1, counter, (), now_us);
            let shown = merge.poll(now_us).unwrap();
            assert_eq!((shown.number, shown.repeated), (counter * 4 + 2, if counter == 0 { 0 } else { 3 }));
        }
        assert_eq!(merge.shown_lately(29 * 4 * FRAME_US), [0, 8, 0, 0]);
    }

    #[test]
    fn nonsense_is_refused_and_what_is_held_is_bounded() {
        let mut merge = merge(2);
        merge.push(2, 0, (), 0);
        merge.push(0, u64::MAX, (), 0);
        merge.push(1, 0, (), 0);
        merge.push(1, 0, (), 0);
        assert_eq!(merge.counters().refused, 3);
        for counter in 1..1_000 {
            merge.push(0, counter, (), 0);
            while merge.poll(0).is_some() {}
            assert!(merge.held.len() <= MAX_HELD);
        }
    }
}
