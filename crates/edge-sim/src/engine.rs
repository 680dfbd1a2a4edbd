//! The virtual clock: events in the order of their time, and among equal times in the order they were planned.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// Most events that may wait; what is planned beyond it is refused and counted.
pub const WAITING_MAX: usize = 1 << 24;

/// Events that have not happened yet, and the time of the last one that has.
#[derive(Debug)]
pub struct Queue<E> {
    waiting: BinaryHeap<Reverse<Planned<E>>>,
    now_us: u64,
    serial: u64,
    refused: u64,
}

impl<E> Queue<E> {
    /// An empty queue at time 0.
    pub fn new() -> Self {
        Self { waiting: BinaryHeap::new(), now_us: 0, serial: 0, refused: 0 }
    }

    /// Plans an event; a time in the past means now.
    pub fn plan(&mut self, at_us: u64, event: E) {
        if self.waiting.len() >= WAITING_MAX {
            self.refused += 1;
            return;
        }
        self.serial += 1;
        self.waiting.push(Reverse(Planned { at_us: at_us.max(self.now_us), serial: self.serial, event }));
    }

    /// Moves the clock to the next event and returns it.
    pub fn step(&mut self) -> Option<E> {
        let Reverse(next) = self.waiting.pop()?;
        self.now_us = next.at_us;
        Some(next.event)
    }

    /// Time of the next event, in µs.
    pub fn next_us(&self) -> Option<u64> {
        self.waiting.peek().map(|Reverse(next)| next.at_us)
    }

    /// The time, in µs since the start of the run.
    pub fn now_us(&self) -> u64 {
        self.now_us
    }

    /// The time in whole ms, as the cores take it.
    pub fn now_ms(&self) -> u64 {
        self.now_us / 1000
    }

    /// Events planned so far.
    pub fn planned(&self) -> u64 {
        self.serial
    }

    /// Events that did not fit.
    pub fn refused(&self) -> u64 {
        self.refused
    }
}

impl<E> Default for Queue<E> {
    fn default() -> Self {
        Self::new()
    }
}

#[derive(Debug)]
struct Planned<E> {
    at_us: u64,
    serial: u64,
    event: E,
}

impl<E> Planned<E> {
    fn key(&self) -> (u64, u64) {
        (self.at_us, self.serial)
    }
}

impl<E> PartialEq for Planned<E> {
    fn eq(&self, other: &Self) -> bool {
        self.key() == other.key()
    }
}

impl<E> Eq for Planned<E> {}

impl<E> PartialOrd for Planned<E> {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl<E> Ord for Planned<E> {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.key().cmp(&other.key())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_come_by_time_and_then_as_planned_and_never_in_the_past() {
        let mut queue = Queue::new();
        queue.plan(20, "c");
        queue.plan(10, "a");
        queue.plan(10, "b");
        assert_eq!([queue.step(), queue.step()], [Some("a"), Some("b")]);
        queue.plan(3, "late");
        assert_eq!((queue.step(), queue.now_us()), (Some("late"), 10));
        assert_eq!((queue.step(), queue.step(), queue.now_us()), (Some("c"), None, 20));
    }
}
