//! What one parent's chunks say about it: spans of counts, and what they add up to.

use super::{Media, Misdeed};

/// Length of a span, in ms.
pub(super) const SPAN_MS: u64 = 500;
/// Spans that are looked back on.
const SPANS: usize = 5;
/// Forged chunks within the spans that prove a forger.
const FORGED_MIN: u32 = 3;
/// The same over the whole life of a link, if they are more than one of [`FORGED_SHARE`] chunks.
const FORGED_LONG_MIN: u64 = 8;
const FORGED_SHARE: u64 = 20;
/// Numbers under which it sent different chunks within the spans, and in how many of these at least, before it is left:
/// a relay that finds out by itself who misleads it needs less time than its children have patience.
const MIXED_MIN: u32 = 8;
/// Repeated chunks within the spans that prove a replayer: an honest link never sends a chunk twice.
const REPEATED_MIN: u32 = 16;
/// Base chunks missing within the spans, and their share as one of this many, that make a starver.
const MISSED_MIN: u32 = 6;
const MISSED_SHARE: u32 = 4;
/// A base chunk that comes this much later than another parent's, in ms, is slow.
pub(super) const SLOW_MS: u64 = 150;
/// A base chunk that comes this much later, in ms, is behind.
const BEHIND_MS: u64 = 10;
/// Comparisons without which nothing is said about slowness.
const COMPARED_MIN: u32 = 4;
/// Comparisons that show a parent to be as fast as the present one.
const READY_MIN: u32 = 8;

#[derive(Debug, Clone, Copy, Default)]
struct Span {
    start_ms: u64,
    opened: u32,
    forged: u32,
    repeated: u32,
    mixed: u32,
    got: [u32; 2],
    missed: [u32; 2],
    compared: u32,
    slow: u32,
    behind: u32,
    lag_ms_min: Option<u64>,
}

/// A misdeed as far as counts tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Charge {
    pub(super) misdeed: Misdeed,
    pub(super) count: u32,
    pub(super) first_ms: u64,
}

/// The counts of one parent.
#[derive(Debug)]
pub(super) struct Conduct {
    spans: [Span; SPANS],
    now: Span,
    opened: u64,
    forged: u64,
}

impl Conduct {
    pub(super) fn new(now_ms: u64) -> Self {
        let now = Span { start_ms: now_ms, ..Span::default() };
        Self { spans: [Span::default(); SPANS], now, opened: 0, forged: 0 }
    }

    pub(super) fn opened(&mut self) {
        self.now.opened = self.now.opened.saturating_add(1);
        self.opened = self.opened.saturating_add(1);
    }

    pub(super) fn forged(&mut self) {
        self.now.forged = self.now.forged.saturating_add(1);
        self.forged = self.forged.saturating_add(1);
    }

    pub(super) fn repeated(&mut self) {
        self.now.repeated = self.now.repeated.saturating_add(1);
    }

    /// One number, different chunks; or a child found forged what only this parent can have sent.
    pub(super) fn mixed(&mut self) {
        self.now.mixed = self.now.mixed.saturating_add(1);
    }

    /// A base chunk that was due from this parent.
    pub(super) fn settled(&mut self, media: Media, was_sent: bool) {
        let counts = if was_sent { &mut self.now.got } else { &mut self.now.missed };
        let [picture, sound] = counts;
        let count = if media == Media::Picture { picture } else { sound };
        *count = count.saturating_add(1);
    }

    /// A base chunk that another parent sent too, this much earlier; 0 if this one was first.
    pub(super) fn lagged(&mut self, lag_ms: u64) {
        let span = &mut self.now;
        span.compared = span.compared.saturating_add(1);
        span.slow = span.slow.saturating_add(u32::from(lag_ms > SLOW_MS));
        span.behind = span.behind.saturating_add(u32::from(lag_ms > BEHIND_MS));
        span.lag_ms_min = Some(span.lag_ms_min.map_or(lag_ms, |least| least.min(lag_ms)));
    }

    /// Ends the present span when its time is over, and says whether it did.
    pub(super) fn roll(&mut self, now_ms: u64) -> bool {
        if now_ms.saturating_sub(self.now.start_ms) < SPAN_MS {
            return false;
        }
        self.spans.rotate_right(1);
        let ended = std::mem::replace(&mut self.now, Span { start_ms: now_ms, ..Span::default() });
        if let Some(latest) = self.spans.first_mut() {
            *latest = ended;
        }
        true
    }

    /// The misdeed that the latest spans prove, the worst first. Slowness is not among them.
    pub(super) fn charge(&self) -> Option<Charge> {
        self.forgery().or_else(|| self.replay()).or_else(|| self.starvation())
    }

    /// The charge of sending different chunks under one number, in at least so many spans. It may be misled itself.
    pub(super) fn mixture(&self, spans_min: usize) -> Option<Charge> {
        let count = self.sum(|span| span.mixed);
        let spans = self.all().filter(|span| span.mixed > 0).count();
        let is_habit = count >= MIXED_MIN && spans >= spans_min;
        is_habit.then(|| self.charged(Misdeed::Equivocation, count, |span| span.mixed))
    }

    /// For how long, in ms, every span has been slow.
    pub(super) fn slow_ms(&self) -> u64 {
        let slow = || self.spans.iter().take_while(|span| span.is_slow());
        match slow().map(|span| span.compared).fold(0, u32::saturating_add) >= COMPARED_MIN {
            true => slow().count() as u64 * SPAN_MS,
            false => 0,
        }
    }

    /// The charge of slowness, for evidence.
    pub(super) fn delay(&self) -> Charge {
        let slow = || self.spans.iter().take_while(|span| span.is_slow());
        let count = slow().fold(0, |sum: u32, span| sum.saturating_add(span.slow));
        Charge { misdeed: Misdeed::Delay, count, first_ms: slow().map(|span| span.start_ms).min().unwrap_or(0) }
    }

    /// Least delay behind another parent in the latest span, in ms.
    pub(super) fn lag_ms(&self) -> u64 {
        self.spans.first().and_then(|span| span.lag_ms_min).unwrap_or(0)
    }

    /// Whether it was compared often enough and came no later than the other.
    pub(super) fn is_ready(&self) -> bool {
        let sum = |count: fn(&Span) -> u32| self.sum(count);
        sum(|span| span.compared) >= READY_MIN && sum(|span| span.behind).saturating_mul(5) <= sum(|span| span.compared)
    }

    /// Whether base chunks are missing or slow.
    pub(super) fn is_shaky(&self) -> bool {
        self.spans.first().is_some_and(|span| span.is_slow() || span.missed.iter().any(|missed| *missed > 1))
    }

    fn forgery(&self) -> Option<Charge> {
        let recent = self.sum(|span| span.forged);
        let total = self.opened.saturating_add(self.forged);
        let is_habit = self.forged >= FORGED_LONG_MIN && self.forged.saturating_mul(FORGED_SHARE) > total;
        let count = if is_habit { u32::try_from(self.forged).unwrap_or(u32::MAX) } else { recent };
        (recent >= FORGED_MIN || is_habit).then(|| self.charged(Misdeed::Forgery, count, |span| span.forged))
    }

    fn replay(&self) -> Option<Charge> {
        let count = self.sum(|span| span.repeated);
        (count >= REPEATED_MIN).then(|| self.charged(Misdeed::Replay, count, |span| span.repeated))
    }

    fn starvation(&self) -> Option<Charge> {
        self.starvation_of(|span| span.missed[0], |span| span.got[0])
            .or_else(|| self.starvation_of(|span| span.missed[1], |span| span.got[1]))
    }

    fn starvation_of(&self, missed: fn(&Span) -> u32, got: fn(&Span) -> u32) -> Option<Charge> {
        let lost = self.sum(missed);
        let all = lost.saturating_add(self.sum(got));
        let is_much = lost >= MISSED_MIN && lost.saturating_mul(MISSED_SHARE) >= all;
        is_much.then(|| self.charged(Misdeed::Starvation, lost, missed))
    }

    fn charged(&self, misdeed: Misdeed, count: u32, of: fn(&Span) -> u32) -> Charge {
        let first_ms = self.all().filter(|span| of(span) > 0).map(|span| span.start_ms).min();
        Charge { misdeed, count, first_ms: first_ms.unwrap_or(self.now.start_ms) }
    }

    fn sum(&self, of: fn(&Span) -> u32) -> u32 {
        self.all().fold(0, |sum, span| sum.saturating_add(of(span)))
    }

    fn all(&self) -> impl Iterator<Item = &Span> {
        self.spans.iter().chain([&self.now])
    }
}

impl Span {
    fn is_slow(&self) -> bool {
        self.compared > 0 && self.slow.saturating_mul(5) >= self.compared.saturating_mul(4)
    }
}
