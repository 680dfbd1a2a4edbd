//! How much may be in flight to one peer: about one bandwidth-delay product, found from delay.
//!
//! Model: while the path's queue is empty the round-trip time stays at its base, and the window grows if it is in the
//! way. A longer round trip means a queue; by Little's law the product is then `in flight × base ÷ round trip`, and
//! the window goes there at once, but never below what the path carried lately with a tolerable queue: a stall of
//! either machine looks like a queue, too, and a sender of a steady stream must not skip for it. Congestion windows do
//! not serve for this: a live sender is nearly always below its own, and an unused window grows without bound.
//!
//! The base is the shortest round trip of the last one to two [`BASE_MEMORY_US`], so that a longer way is learned. To
//! tell a longer way from an own standing queue, a sender that was held back makes room for a moment at every turn.

use crate::outbox::MAX_IN_FLIGHT_BYTES;

/// Window of a new session, in bytes.
const INITIAL: usize = 64 << 10;
/// Queueing delay that is no reason to shrink; at least this, and a share of the base.
const QUEUE_US: u64 = 25_000;
const QUEUE_SHARE: u64 = 4;
/// Use of the window that counts as such: one in this many parts.
const USED_PART: usize = 4;
/// Shortest time between two looks at the path.
const STEP_MIN_US: u64 = 5_000;
/// Growth per round trip, once the first queue was seen: this share of the window and a message.
const GROWTH_SHARE: usize = 8;
/// Messages that fit beside a full window.
const MESSAGES_BEYOND: usize = 2;
/// Time after which the older half of the memory of the base is forgotten.
const BASE_MEMORY_US: u64 = 10_000_000;
/// Round trips for which a sender that was held back makes room.
const PROBE_ROUND_TRIPS: u64 = 2;

/// The window of one session. Times are microseconds since the session began.
#[derive(Debug)]
pub(crate) struct Window {
    bytes: usize,
    /// No queue was seen yet: the window doubles.
    starting: bool,
    /// A message did not fit since the last look.
    limited: bool,
    base: Base,
    next_us: u64,
    probe_until_us: u64,
}

/// The shortest round trip of this memory period and of the one before.
#[derive(Debug)]
struct Base {
    current_us: u64,
    previous_us: u64,
    turn_us: u64,
    /// A message did not fit within this period.
    limited: bool,
}

/// What is known of the path at one moment.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Look {
    /// Now.
    pub(crate) now_us: u64,
    /// Smoothed round-trip time.
    pub(crate) rtt_us: u64,
    /// Bytes in flight.
    pub(crate) in_flight: usize,
    /// Bytes of a message, as recently seen.
    pub(crate) message: usize,
    /// Bytes a second that the path carried lately.
    pub(crate) carried_per_s: u64,
}

impl Default for Window {
    fn default() -> Self {
        Self {
            bytes: INITIAL,
            starting: true,
            limited: false,
            base: Base { current_us: u64::MAX, previous_us: u64::MAX, turn_us: BASE_MEMORY_US, limited: false },
            next_us: 0,
            probe_until_us: 0,
        }
    }
}

impl Window {
    /// Whether [`look`](Self::look) would do anything now.
    pub(crate) fn is_due(&self, now_us: u64) -> bool {
        now_us >= self.next_us
    }

    /// A message did not fit.
    pub(crate) fn held_back(&mut self) {
        self.limited = true;
        self.base.limited = true;
    }

    /// The shortest round trip of the last while, if one was seen.
    pub(crate) fn base_us(&self) -> Option<u64> {
        Some(self.base.shortest_us()).filter(|base_us| *base_us < u64::MAX)
    }

    /// Adjusts the window, once per round trip.
    pub(crate) fn look(&mut self, look: Look) {
        if !self.is_due(look.now_us) {
            return;
        }
        let rtt_us = look.rtt_us.max(1);
        self.next_us = look.now_us.saturating_add(rtt_us.max(STEP_MIN_US));
        if self.base.note(look.now_us, rtt_us) {
            self.probe_until_us = look.now_us.saturating_add(rtt_us.saturating_mul(PROBE_ROUND_TRIPS));
        }
        let base_us = self.base.shortest_us();
        let queue_us = QUEUE_US.max(base_us / QUEUE_SHARE);
        // Who hardly uses the window makes no queue: a longer round trip is somebody else's, and says nothing about it.
        let uses = self.limited || look.in_flight >= self.bytes / USED_PART;
        if rtt_us > base_us.saturating_add(queue_us) {
            if !uses {
                self.limited = false;
                return;
            }
            let carried = carried(look.carried_per_s, base_us.saturating_add(queue_us));
            self.bytes = self.bytes.min(share(look.in_flight, base_us, rtt_us).max(carried));
            self.starting = false;
        } else if self.limited && !self.is_probing(look.now_us) {
            let growth = match self.starting {
                true => self.bytes,
                false => self.bytes.saturating_add(look.message) / GROWTH_SHARE,
            };
            self.bytes = self.bytes.saturating_add(growth).min(MAX_IN_FLIGHT_BYTES);
        }
        self.limited = false;
    }

    /// Bytes that may be in flight now, beside a congestion window of `cwnd` bytes.
    pub(crate) fn budget(&self, now_us: u64, message: usize, cwnd: usize) -> usize {
        let budget = match self.is_probing(now_us) {
            true => (self.bytes / 2).min(cwnd).max(message),
            false => self.bytes.min(cwnd).saturating_add(message.saturating_mul(MESSAGES_BEYOND)),
        };
        budget.min(MAX_IN_FLIGHT_BYTES)
    }

    fn is_probing(&self, now_us: u64) -> bool {
        now_us < self.probe_until_us
    }
}

impl Base {
    fn shortest_us(&self) -> u64 {
        self.current_us.min(self.previous_us)
    }

    /// Takes a sample; true when the memory turns over and the sender should make room for a fresh look.
    fn note(&mut self, now_us: u64, rtt_us: u64) -> bool {
        let turns = now_us >= self.turn_us;
        let probe = turns && self.limited;
        if turns {
            self.turn_us = now_us.saturating_add(BASE_MEMORY_US);
            self.previous_us = self.current_us;
            self.current_us = u64::MAX;
            self.limited = false;
        }
        self.current_us = self.current_us.min(rtt_us);
        probe
    }
}

/// Bytes that are carried in some time.
fn carried(per_s: u64, time_us: u64) -> usize {
    let bytes = u128::from(per_s).saturating_mul(u128::from(time_us)) / 1_000_000;
    usize::try_from(bytes).unwrap_or(usize::MAX)
}

/// `bytes × part ÷ whole`, for `part ≤ whole`.
fn share(bytes: usize, part: u64, whole: u64) -> usize {
    let product = (bytes as u128).saturating_mul(u128::from(part));
    usize::try_from(product / u128::from(whole.max(1))).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::VecDeque;

    /// A path with a rate, a base delay and an endless queue, and a sender that offers a message at every tick.
    struct Path {
        now_us: u64,
        bytes_per_ms: u64,
        base_us: u64,
        free_us: u64,
        rtt_us: u64,
        /// When each message was sent and will be acknowledged, and its bytes.
        flying: VecDeque<(u64, u64, usize)>,
        /// When each message of the last second was acknowledged, and its bytes.
        acked: VecDeque<(u64, usize)>,
    }

    #[derive(Debug, Default)]
    struct Outcome {
        delivered: u64,
        latency_max_us: u64,
        skipped: u64,
    }

    const TICK_US: u64 = 16_667;

    impl Path {
        fn new(bytes_per_ms: u64, base_us: u64) -> Self {
            Self {
                now_us: 0,
                bytes_per_ms,
                base_us,
                free_us: 0,
                rtt_us: base_us,
                flying: VecDeque::new(),
                acked: VecDeque::new(),
            }
        }

        fn run(&mut self, window: &mut Window, seconds: u64, message: usize) -> Outcome {
            let mut outcome = Outcome::default();
            for _ in 0..seconds * 1_000_000 / TICK_US {
                self.now_us += TICK_US;
                while let Some(&(sent, acked, len)) = self.flying.front().filter(|flight| flight.1 <= self.now_us) {
                    self.rtt_us = (self.rtt_us * 3 + (acked - sent)) / 4;
                    outcome.latency_max_us = outcome.latency_max_us.max(acked - sent);
                    outcome.delivered += len as u64;
                    self.flying.pop_front();
                    self.acked.push_back((self.now_us, len));
                }
                self.acked.retain(|(at_us, _)| self.now_us - at_us < 1_000_000);
                let carried_per_s = self.acked.iter().map(|(_, len)| *len as u64).sum();
                let in_flight = self.flying.iter().map(|flight| flight.2).sum();
                let rtt_us = self.rtt_us;
                window.look(Look { now_us: self.now_us, rtt_us, in_flight, message, carried_per_s });
                if in_flight + message <= window.budget(self.now_us, message, usize::MAX) {
                    self.free_us = self.free_us.max(self.now_us) + message as u64 * 1000 / self.bytes_per_ms;
                    self.flying.push_back((self.now_us, self.free_us + self.base_us, message));
                } else {
                    window.held_back();
                    outcome.skipped += 1;
                }
            }
            outcome
        }
    }

    #[test]
    fn an_unloaded_path_skips_nothing() {
        let (mut path, mut window) = (Path::new(2500, 50_000), Window::default());
        let outcome = path.run(&mut window, 30, 16_384);
        assert_eq!(outcome.skipped, 0, "{outcome:?}");
    }

    #[test]
    fn an_overloaded_path_is_kept_full_and_its_queue_short() {
        // 983 bytes/ms are offered.
        for (bytes_per_ms, base_us) in [(750, 50_000), (500, 20_000), (250, 100_000), (125, 50_000)] {
            let (mut path, mut window) = (Path::new(bytes_per_ms, base_us), Window::default());
            path.run(&mut window, 5, 16_384);
            let outcome = path.run(&mut window, 60, 16_384);
            let used = outcome.delivered as f64 / (bytes_per_ms * 60_000) as f64;
            let queue_us = outcome.latency_max_us - base_us;
            let message_us = 16_384_000 / bytes_per_ms;
            assert!(used > 0.85, "{bytes_per_ms}/ms: {used:.2} used, {outcome:?}");
            assert!(queue_us < QUEUE_US + 5 * message_us, "{bytes_per_ms}/ms: queue of {queue_us} us, {outcome:?}");
        }
    }

    #[test]
    fn a_path_that_gets_slower_does_not_build_a_queue_for_long() {
        let (mut path, mut window) = (Path::new(2500, 50_000), Window::default());
        path.run(&mut window, 30, 16_384);
        path.bytes_per_ms = 250;
        path.run(&mut window, 2, 16_384);
        let outcome = path.run(&mut window, 10, 16_384);
        assert!(outcome.latency_max_us < 50_000 + 5 * 65_536, "{outcome:?}");
    }

    #[test]
    fn a_path_that_gets_longer_is_learned() {
        let (mut path, mut window) = (Path::new(2500, 20_000), Window::default());
        path.run(&mut window, 30, 16_384);
        path.base_us = 200_000;
        path.run(&mut window, 25, 16_384);
        let outcome = path.run(&mut window, 20, 16_384);
        assert!(outcome.skipped < 60, "{outcome:?}");
    }

    #[test]
    fn a_path_that_gets_faster_is_used() {
        let (mut path, mut window) = (Path::new(250, 50_000), Window::default());
        path.run(&mut window, 20, 16_384);
        path.bytes_per_ms = 2500;
        path.run(&mut window, 5, 16_384);
        let outcome = path.run(&mut window, 5, 16_384);
        assert_eq!(outcome.skipped, 0, "{outcome:?}");
    }

    #[test]
    fn stalls_of_a_machine_do_not_make_a_steady_stream_skip_for_long() {
        let (mut path, mut window) = (Path::new(2500, 50_000), Window::default());
        path.run(&mut window, 12, 10_240);
        let mut skipped = 0;
        for _ in 0..20 {
            path.flying.iter_mut().for_each(|flight| flight.1 += 150_000);
            let outcome = path.run(&mut window, 2, 10_240);
            assert!(outcome.latency_max_us > 200_000, "there was no stall: {outcome:?}");
            skipped += outcome.skipped;
        }
        assert!(skipped <= 20 * 9, "{skipped} skipped in 20 stalls");
    }

    #[test]
    fn jitter_before_the_first_picture_leaves_room_for_it() {
        let mut window = Window::default();
        for round in 0..100_u64 {
            let rtt_us = 60_000 + (round % 3) * 40_000;
            let look = Look { now_us: round * 150_000, rtt_us, in_flight: 300, message: 150, carried_per_s: 8_000 };
            window.look(look);
        }
        assert!(window.budget(15_000_000, 150, usize::MAX) >= INITIAL);
    }

    #[test]
    fn the_largest_window_is_a_bound() {
        let mut window = Window::default();
        for step in 1..200 {
            window.held_back();
            let (now_us, in_flight, message) = (step * 10_000, 1 << 20, 1 << 20);
            window.look(Look { now_us, rtt_us: 1000, in_flight, message, carried_per_s: 1 << 30 });
        }
        assert_eq!(window.budget(2_000_000, 1 << 20, usize::MAX), MAX_IN_FLIGHT_BYTES);
    }
}
