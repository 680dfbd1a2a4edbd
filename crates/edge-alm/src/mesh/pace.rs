//! The silence after which a parent counts as dead, learned from how regularly it speaks.

/// Least silence that counts, in ms.
pub(super) const SILENCE_MS_MIN: u64 = 60;
/// Silence that always counts, in ms.
pub(super) const SILENCE_MS_MAX: u64 = 1500;
/// Silence that counts while nothing was learned, in ms.
const SILENCE_MS_UNKNOWN: u64 = 500;
/// Intervals that are remembered.
const INTERVALS: usize = 256;
/// Intervals after which the threshold is learned, and then learned anew.
const LEARN_EVERY: usize = 16;
/// Chunks closer than this, in ms, are one burst: the layers of a frame say nothing about the time between frames.
const BURST_MS: u64 = 4;
/// The threshold is this many times the interval that 99 of 100 stay below.
const FACTOR: u64 = 3;

/// The intervals of one parent.
#[derive(Debug)]
pub(super) struct Pace {
    intervals: Vec<u16>,
    next: usize,
    burst_ms: Option<u64>,
    silence_ms: u64,
}

impl Pace {
    pub(super) fn new() -> Self {
        Self { intervals: Vec::new(), next: 0, burst_ms: None, silence_ms: SILENCE_MS_UNKNOWN }
    }

    /// Takes note of a chunk.
    pub(super) fn note(&mut self, now_ms: u64) {
        let Some(burst_ms) = self.burst_ms else {
            self.burst_ms = Some(now_ms);
            return;
        };
        let interval_ms = now_ms.saturating_sub(burst_ms);
        if interval_ms < BURST_MS {
            return;
        }
        self.burst_ms = Some(now_ms);
        let interval_ms = u16::try_from(interval_ms).unwrap_or(u16::MAX);
        match self.intervals.get_mut(self.next % INTERVALS) {
            Some(place) => *place = interval_ms,
            None => self.intervals.push(interval_ms),
        }
        self.next = (self.next + 1) % (INTERVALS * LEARN_EVERY);
        if self.next.is_multiple_of(LEARN_EVERY) {
            self.learn();
        }
    }

    /// Forgets the intervals because other layers come from now on; the threshold stays until new ones are learned.
    pub(super) fn restart(&mut self) {
        self.intervals.clear();
        self.next = 0;
    }

    /// Silence that counts, in ms.
    pub(super) fn silence_ms(&self) -> u64 {
        self.silence_ms
    }

    fn learn(&mut self) {
        let mut sorted = self.intervals.clone();
        let at = (sorted.len().saturating_sub(1)) * 99 / 100;
        if at < sorted.len() {
            let (_, interval_ms, _) = sorted.select_nth_unstable(at);
            self.silence_ms = (u64::from(*interval_ms) * FACTOR).clamp(SILENCE_MS_MIN, SILENCE_MS_MAX);
        }
    }
}

/// Time over which base chunks are counted, in ms.
const WINDOW_MS: u64 = 500;
/// Counts are kept in this many parts.
const PARTS: u32 = 16;
/// Base chunks of a window, in [`PARTS`], below which nothing is said about the next one.
const USUAL_MIN: u32 = 2 * PARTS;

/// How often something new of the base comes, whoever sends it.
#[derive(Debug, Default)]
pub(super) struct Cadence {
    since_ms: u64,
    count: u32,
    /// Chunks of a window when all is well, in [`PARTS`].
    usual: u32,
    is_sparse: bool,
}

impl Cadence {
    /// Takes note of a base chunk that opened.
    pub(super) fn note(&mut self) {
        self.count = self.count.saturating_add(1);
    }

    /// Ends the window when its time is over.
    pub(super) fn roll(&mut self, now_ms: u64) {
        if now_ms.saturating_sub(self.since_ms) < WINDOW_MS {
            return;
        }
        self.since_ms = now_ms;
        let count = std::mem::take(&mut self.count).saturating_mul(PARTS);
        self.is_sparse = self.usual >= USUAL_MIN && count.saturating_mul(2) < self.usual;
        if !self.is_sparse {
            self.usual = if self.usual == 0 { count } else { (self.usual.saturating_mul(7).saturating_add(count)) / 8 };
        } else {
            // What stays sparse is usual in the end.
            self.usual -= self.usual / 16;
        }
    }

    /// Whether much less came than usual.
    pub(super) fn is_sparse(&self) -> bool {
        self.is_sparse
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_of_what_is_usual_is_sparse_until_it_is_usual() {
        let mut cadence = Cadence::default();
        let mut window = |at: u64, count: u32| {
            (0..count).for_each(|_| cadence.note());
            cadence.roll(at * WINDOW_MS);
            cadence.is_sparse()
        };
        assert!((1..20).all(|at| !window(at, 3 + (at % 2) as u32)));
        assert!(window(20, 1));
        assert!(!window(21, 2));
        assert!(window(22, 0));
        let until = (23..200).find(|at| !window(*at, 1)).unwrap();
        assert!((30..60).contains(&until), "{until}");
    }

    #[test]
    fn bursts_are_one_and_the_rare_interval_does_not_count() {
        let mut pace = Pace::new();
        let mut now_ms = 0;
        for frame in 0..300 {
            now_ms += if frame == 200 { 900 } else { 33 };
            (0..3).for_each(|layer| pace.note(now_ms + layer));
        }
        assert_eq!(pace.silence_ms(), 99);
    }

    #[test]
    fn the_threshold_has_both_ends() {
        let silence_ms = |interval_ms: u64| {
            let mut pace = Pace::new();
            (0..40).for_each(|at| pace.note(at * interval_ms));
            pace.silence_ms()
        };
        assert_eq!([silence_ms(5), silence_ms(20), silence_ms(133), silence_ms(5_000)], [60, 60, 399, 1500]);
    }

    #[test]
    fn nothing_learned_and_nothing_forgotten() {
        let mut pace = Pace::new();
        assert_eq!(pace.silence_ms(), SILENCE_MS_UNKNOWN);
        (0..40).for_each(|at| pace.note(at * 20));
        pace.restart();
        pace.note(10_000);
        assert_eq!(pace.silence_ms(), 60);
    }
}
