//! Which layers to ask for: down quickly when chunks come late or are missing, up slowly.

use edge_wire::layer::{Layer, Policy};

use super::{Arrival, Media, Why};

/// Time over which chunks are counted, in ms.
pub(super) const WINDOW_MS: u64 = 500;
/// Chunks that are this much older than they have to be, in ms, stand in a queue.
const QUEUED_MS: u64 = 150;
/// The same for a queue that is no key frame's.
const STANDING_MS: u64 = 250;
/// Chunks that are this much older than they have to be, in ms, are worth another parent to compare with.
const LATE_MS: u64 = 300;
/// How long a queue explains missing layers, in ms: a relay gives up layers for a child whose chunks wait.
const QUEUE_MS: u64 = 2_000;
/// Windows in a row with missing layers that count although nothing shows how long chunks waited.
const GAPS_MIN: u32 = 8;
/// How long the least age of a way is remembered, in ms: twice this at most.
const AGE_MS: u64 = 5_000;
/// The same for the least age over any parent.
const BEST_AGE_MS: u64 = 30_000;
/// How long upper layers may take to come after they were asked for, in ms: until the next key frame and a little.
const GRACE_MS: u64 = 3_000;
/// Time without trouble before a first step up, in ms.
const CLIMB_MS_MIN: u64 = 2_000;
/// The same after several failed ones.
const CLIMB_MS_MAX: u64 = 16_000;
/// A step up failed if trouble comes within this time, in ms.
const TRIAL_MS: u64 = 4_000;
/// Steps that are told apart on each axis; what is above counts as the highest.
const AXIS: u8 = 4;
const CELLS: usize = 64;
/// Shares are counted in this many parts.
const PARTS: u32 = 16;

/// Steps between everything that is wanted and the base, and where the receiver stands among them.
#[derive(Debug)]
pub(super) struct Layers {
    wanted: Policy,
    pinned: Option<Policy>,
    /// Steps given up.
    shed: u16,
    top: Layer,
    counts: [u32; CELLS],
    /// Chunks of a cell for each base picture, in [`PARTS`], when all is well.
    usual: [u32; CELLS],
    age: Age,
    /// Whichever parent they came from.
    best_age: Age,
    excess_ms: u64,
    /// How much later than over the best parent of late chunks come, in ms.
    late_ms: u64,
    /// When chunks last stood in a queue.
    queued_ms: Option<u64>,
    /// Windows in a row in which layers were missing.
    gaps: u32,
    window_ms: u64,
    /// Missing layers are no trouble before this time.
    grace_until_ms: u64,
    changed_ms: u64,
    climb_wait_ms: u64,
    last: Step,
    recovering: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    None,
    Down,
    Up,
}

/// What a window led to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Moved {
    No,
    Down,
    Up,
}

impl Layers {
    pub(super) fn new(wanted: Policy, now_ms: u64) -> Self {
        Self {
            wanted,
            pinned: None,
            shed: 0,
            top: Layer::BASE,
            counts: [0; CELLS],
            usual: [0; CELLS],
            age: Age::new(AGE_MS),
            best_age: Age::new(BEST_AGE_MS),
            excess_ms: 0,
            late_ms: 0,
            queued_ms: None,
            gaps: 0,
            window_ms: now_ms,
            grace_until_ms: now_ms.saturating_add(GRACE_MS),
            changed_ms: now_ms,
            climb_wait_ms: CLIMB_MS_MIN,
            last: Step::None,
            recovering: false,
        }
    }

    pub(super) fn want(&mut self, now_ms: u64, wanted: Policy) {
        if wanted != self.wanted {
            self.wanted = wanted;
            self.shed = self.shed.min(self.steps());
            self.grace_until_ms = now_ms.saturating_add(GRACE_MS);
        }
    }

    pub(super) fn pin(&mut self, now_ms: u64, policy: Option<Policy>) {
        self.pinned = policy;
        self.shed = 0;
        self.last = Step::None;
        self.changed_ms = now_ms;
        self.grace_until_ms = now_ms.saturating_add(GRACE_MS);
    }

    /// Whether chunks come so late that every parent may be at fault.
    pub(super) fn is_late(&self) -> bool {
        self.excess_ms >= LATE_MS || self.late_ms >= LATE_MS
    }

    pub(super) fn wanted(&self) -> Policy {
        self.wanted
    }

    /// What to ask the primary for.
    pub(super) fn policy(&self) -> Policy {
        if let Some(pinned) = self.pinned {
            return Policy::new(
                pinned.max_spatial.min(self.wanted.max_spatial),
                pinned.max_temporal.min(self.wanted.max_temporal),
                pinned.max_quality.min(self.wanted.max_quality),
            );
        }
        let top = self.reachable();
        let mut left = self.shed;
        let mut lower = |wanted: u8, top: u8| {
            let steps = left.min(u16::from(top));
            left -= steps;
            match u8::try_from(steps).unwrap_or(u8::MAX) {
                0 => wanted,
                steps => top.saturating_sub(steps),
            }
        };
        let max_quality = lower(self.wanted.max_quality, top.quality);
        let max_spatial = lower(self.wanted.max_spatial, top.spatial);
        Policy { max_spatial, max_temporal: lower(self.wanted.max_temporal, top.temporal), max_quality }
    }

    pub(super) fn why(&self) -> Why {
        match (self.pinned, self.shed, self.last) {
            (Some(_), _, _) => Why::Pinned,
            (None, 0, _) if self.recovering => Why::Recovering,
            (None, 0, _) => Why::Wanted,
            (None, _, Step::Up) => Why::Climbing,
            (None, ..) => Why::LinkFull,
        }
    }

    /// Whether nothing but the base is left, so that layers cannot help.
    pub(super) fn is_at_base(&self) -> bool {
        self.pinned.is_some() || self.shed >= self.steps()
    }

    /// Another parent is the primary from now on: its ages are its own, and its layers take their time.
    pub(super) fn switched(&mut self, now_ms: u64) {
        self.age = Age::new(AGE_MS);
        self.excess_ms = 0;
        self.queued_ms = None;
        self.gaps = 0;
        self.counts = [0; CELLS];
        self.window_ms = now_ms;
        self.grace_until_ms = now_ms.saturating_add(GRACE_MS);
        self.climb_wait_ms = CLIMB_MS_MIN;
        self.recovering = self.top != Layer::BASE;
    }

    /// The primary found another way to the source: ages are other ones, and its layers take their time.
    pub(super) fn rerouted(&mut self, now_ms: u64) {
        self.age = Age::new(AGE_MS);
        self.excess_ms = 0;
        self.grace_until_ms = now_ms.saturating_add(GRACE_MS);
        self.gaps = 0;
    }

    /// The trouble was the former parent's own.
    pub(super) fn restore(&mut self, now_ms: u64) {
        self.shed = 0;
        self.last = Step::None;
        self.changed_ms = now_ms;
    }

    /// A proven chunk came from the primary.
    pub(super) fn note(&mut self, now_ms: u64, arrival: &Arrival) {
        if let Some(age_ms) = arrival.age_ms {
            self.age.note(now_ms, age_ms);
            self.best_age.note(now_ms, age_ms);
        }
        if arrival.media == Media::Sound {
            return;
        }
        let layer = clamp(arrival.layer);
        self.top = Layer {
            spatial: self.top.spatial.max(layer.spatial),
            temporal: self.top.temporal.max(layer.temporal),
            quality: self.top.quality.max(layer.quality),
        };
        if layer != Layer::BASE {
            self.recovering = false;
        }
        if let Some(count) = self.counts.get_mut(cell(layer)) {
            *count = count.saturating_add(1);
        }
    }

    /// Ends the window when its time is over. `lag_ms` is how much later than another parent the primary delivers.
    pub(super) fn tick(&mut self, now_ms: u64, lag_ms: u64) -> Moved {
        if now_ms.saturating_sub(self.window_ms) < WINDOW_MS {
            return Moved::No;
        }
        self.window_ms = now_ms;
        self.gaps = if self.end_counts(now_ms) { self.gaps.saturating_add(1) } else { 0 };
        let age_ms = self.age.end_window();
        if let Some(late_ms) = self.best_age.end_window() {
            self.late_ms = late_ms;
        }
        let excess_ms = age_ms.unwrap_or(0).max(lag_ms);
        if excess_ms > QUEUED_MS {
            self.queued_ms = Some(now_ms);
        }
        // Without a queue it is the parent that lacks the layers, and asking for less would only keep them away.
        let was_queued = self.queued_ms.is_some_and(|at_ms| now_ms.saturating_sub(at_ms) <= QUEUE_MS);
        let has_gaps = self.gaps > 0 && (was_queued || (age_ms.is_none() && self.gaps >= GAPS_MIN));
        // A key frame fills a queue that is gone a window later. A queue that shrinks needs no second step.
        let stays = excess_ms > STANDING_MS || (excess_ms > QUEUED_MS && self.excess_ms > QUEUED_MS);
        let is_queued = stays && (self.last != Step::Down || excess_ms >= self.excess_ms);
        self.excess_ms = excess_ms;
        if self.pinned.is_some() {
            return Moved::No;
        }
        if is_queued || has_gaps {
            return self.step_down(now_ms);
        }
        self.step_up(now_ms, excess_ms)
    }

    fn step_down(&mut self, now_ms: u64) -> Moved {
        if self.last == Step::Up && now_ms.saturating_sub(self.changed_ms) < TRIAL_MS {
            self.climb_wait_ms = (self.climb_wait_ms * 2).min(CLIMB_MS_MAX);
        }
        self.changed_ms = now_ms;
        if self.shed >= self.steps() {
            return Moved::No;
        }
        self.shed += 1;
        self.last = Step::Down;
        Moved::Down
    }

    fn step_up(&mut self, now_ms: u64, excess_ms: u64) -> Moved {
        let clean_ms = now_ms.saturating_sub(self.changed_ms);
        if self.shed == 0 {
            if clean_ms >= CLIMB_MS_MAX {
                self.climb_wait_ms = CLIMB_MS_MIN;
                self.last = Step::None;
            }
            return Moved::No;
        }
        if clean_ms < self.climb_wait_ms || excess_ms > QUEUED_MS {
            return Moved::No;
        }
        self.shed -= 1;
        self.last = Step::Up;
        self.changed_ms = now_ms;
        self.grace_until_ms = now_ms.saturating_add(GRACE_MS);
        Moved::Up
    }

    /// Starts new counts; whether an admitted layer stayed away although base pictures came.
    fn end_counts(&mut self, now_ms: u64) -> bool {
        let counts = std::mem::replace(&mut self.counts, [0; CELLS]);
        let base = counts.first().copied().unwrap_or(0);
        if base < 2 {
            return false;
        }
        let policy = self.policy();
        let mut has_gaps = false;
        for (at, (count, usual)) in counts.into_iter().zip(self.usual.iter_mut()).enumerate() {
            if at == 0 || !policy.admits(layer_of(at)) {
                continue;
            }
            let expected = base.saturating_mul(*usual) / PARTS;
            let is_gap = expected >= 2 && count < expected.div_ceil(2);
            has_gaps |= is_gap;
            let share = count.saturating_mul(PARTS) / base;
            if !is_gap {
                *usual = if share > *usual { share } else { *usual - (*usual - share) / 8 };
            }
        }
        has_gaps && now_ms >= self.grace_until_ms
    }

    fn steps(&self) -> u16 {
        let top = self.reachable();
        u16::from(top.quality) + u16::from(top.spatial) + u16::from(top.temporal)
    }

    /// The highest layers that exist and are wanted.
    fn reachable(&self) -> Layer {
        Layer {
            spatial: self.top.spatial.min(self.wanted.max_spatial),
            temporal: self.top.temporal.min(self.wanted.max_temporal),
            quality: self.top.quality.min(self.wanted.max_quality),
        }
    }
}

/// The least age of late, as a floor under the ages of a window.
#[derive(Debug)]
struct Age {
    span_ms: u64,
    now: Option<u32>,
    half: Option<(u64, u32)>,
    former: Option<u32>,
}

impl Age {
    fn new(span_ms: u64) -> Self {
        Self { span_ms, now: None, half: None, former: None }
    }

    fn note(&mut self, now_ms: u64, age_ms: u32) {
        self.now = Some(self.now.map_or(age_ms, |least| least.min(age_ms)));
        self.half = match self.half {
            Some((since_ms, least)) if now_ms.saturating_sub(since_ms) < self.span_ms => {
                Some((since_ms, least.min(age_ms)))
            }
            other => {
                self.former = other.map(|(_, least)| least);
                Some((now_ms, age_ms))
            }
        };
    }

    /// How much older than they have to be the chunks of the window were, in ms, if they told their age.
    fn end_window(&mut self) -> Option<u64> {
        let half = self.half.map(|(_, least)| least);
        let floor = match (half, self.former) {
            (Some(half), Some(former)) => half.min(former),
            (half, former) => half.or(former).unwrap_or(0),
        };
        self.now.take().map(|least| u64::from(least.saturating_sub(floor)))
    }
}

fn clamp(layer: Layer) -> Layer {
    let axis = |step: u8| step.min(AXIS - 1);
    Layer { spatial: axis(layer.spatial), temporal: axis(layer.temporal), quality: axis(layer.quality) }
}

fn cell(layer: Layer) -> usize {
    let axis = usize::from(AXIS);
    (usize::from(layer.spatial) * axis + usize::from(layer.temporal)) * axis + usize::from(layer.quality)
}

fn layer_of(cell: usize) -> Layer {
    let axis = usize::from(AXIS);
    let step = |value: usize| u8::try_from(value % axis).unwrap_or(0);
    Layer::new(step(cell / axis / axis), step(cell / axis), step(cell))
}
