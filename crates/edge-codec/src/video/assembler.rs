use std::collections::{BTreeMap, BTreeSet, VecDeque};

use bytes::{Bytes, BytesMut};
use edge_wire::layer::{Layer, Policy};

use super::rhythm::{Passed, Rhythm};
use super::{LayerFrame, MAX_FRAME_NUMBER, MAX_SPATIAL, MAX_UNIT_BYTES, Recovery, UNITS_PER_FRAME, unit_id};

/// Most references of one layer frame.
const MAX_REFERENCES: usize = 8;
/// Most pictures held at once; a newcomer gets everything since the last key frame in one go.
const MAX_PENDING: usize = 512;
/// Most bytes held at once.
const MAX_PENDING_BYTES: usize = 32 << 20;
/// Most units remembered as decoded: longer than the life of a long-term reference at any frame rate in use.
const MAX_HISTORY: usize = 4_096;
/// Most lost pictures reported for one gap.
const MAX_LOST_REPORTED: usize = 64;
/// Most later pictures looked at for one that is complete.
const MAX_LOOK_AHEAD: usize = 8;
/// Shortest time between two requests of the same kind.
const RECOVERY_INTERVAL_US: u64 = 200_000;
/// Requests for a long-term reference before a key frame is asked for.
const MAX_LONG_TERM_REQUESTS: u8 = 2;

/// What a receiver wants and how long it waits for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AssemblerConfig {
    /// Highest layers wanted; what is above them is dropped on arrival.
    pub policy: Policy,
    /// Longest wait for an upper layer or for a picture that later ones do not need, in µs.
    pub max_wait_us: u64,
    /// Longest wait for a picture without which nothing can be shown, in µs.
    pub base_wait_us: u64,
}

impl Default for AssemblerConfig {
    /// Everything, with 40 ms for what can be missed and 120 ms for what cannot.
    fn default() -> Self {
        Self { policy: Policy::UNCAPPED, max_wait_us: 40_000, base_wait_us: 120_000 }
    }
}

/// One layer frame as it arrived, opened and authenticated.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LayerInput {
    /// Number of the picture.
    pub frame_number: u64,
    /// [`unit_id`] of `frame_number` and `spatial`.
    pub unit_id: u64,
    /// Units that must have been decoded before.
    pub references: Vec<u64>,
    /// Picture size step.
    pub spatial: u8,
    /// Frame rate step.
    pub temporal: u8,
    /// Belongs to a key picture.
    pub key: bool,
    /// Belongs to a picture whose upper spatial layers need only the layer below.
    pub switch: bool,
    /// The highest layer of its picture.
    pub end_of_unit: bool,
    /// The codec's bytes.
    pub data: Bytes,
    /// Presentation time, in µs.
    pub pts_us: u64,
    /// Capture time, in µs; 0 = unknown.
    pub captured_us: u64,
}

impl From<LayerFrame> for LayerInput {
    fn from(frame: LayerFrame) -> Self {
        Self {
            frame_number: frame.frame_number,
            unit_id: frame.unit_id,
            references: frame.references,
            spatial: frame.spatial,
            temporal: frame.temporal,
            key: frame.key,
            switch: frame.switch,
            end_of_unit: frame.end_of_unit,
            data: frame.data,
            pts_us: frame.pts_us,
            captured_us: frame.captured_us,
        }
    }
}

/// A temporal unit that may be decoded now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unit {
    /// The layer frames one after the other.
    pub data: Bytes,
    /// Number of the picture.
    pub frame_number: u64,
    /// Presentation time, in µs.
    pub pts_us: u64,
    /// Capture time, in µs; 0 = unknown.
    pub captured_us: u64,
    /// Highest spatial layer in `data`.
    pub spatial: u8,
    /// Temporal layer of the picture.
    pub temporal: u8,
    /// Decoding could start here.
    pub key: bool,
}

/// What an [`Assembler`] has to say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Output {
    /// Feed this to the decoder.
    Unit(Unit),
    /// Ask the publisher for this.
    NeedRecovery(Recovery),
    /// A picture will not be shown.
    Lost {
        /// Its number.
        frame_number: u64,
        /// Whether it was in the base layer, so that others went with it; a guess when nothing of it arrived.
        base: bool,
    },
}

/// What happened to a stream's pictures so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counters {
    /// Units released for decoding.
    pub decoded: u64,
    /// Pictures lost in temporal layer 0.
    pub lost_base: u64,
    /// Pictures lost in upper temporal layers.
    pub lost_upper: u64,
    /// Layer frames missing from units that were released, by spatial layer.
    pub lost_layers: [u64; MAX_SPATIAL],
    /// Layer frames that came after their picture had passed.
    pub late: u64,
    /// Layer frames that came twice.
    pub duplicates: u64,
    /// Layer frames that contradict themselves or found no room.
    pub refused: u64,
    /// Requests for recovery.
    pub recoveries: u64,
}

/// Decides, for one stream, which layer frames may be decoded, and in which order.
///
/// Model: pictures pass in the order of their numbers, each with as many spatial layers, from the lowest up, as have
/// all their references decoded. A picture passes as soon as everything that the stream carried lately is there; it
/// waits a bounded time for what is not.
///
/// Laws: a frame whose references were not released before it is never released. Nothing passes twice. After a base
/// picture is lost nothing is released until a frame comes that does not need it. Memory is bounded by constants.
#[derive(Debug)]
pub struct Assembler {
    config: AssemblerConfig,
    pending: BTreeMap<u64, Pending>,
    pending_bytes: usize,
    passed: Option<u64>,
    decoded: BTreeSet<u64>,
    rhythm: Rhythm,
    requests: Requests,
    outbox: VecDeque<Output>,
    counters: Counters,
}

impl Assembler {
    /// Waits for a stream's first key frame.
    pub fn new(config: AssemblerConfig) -> Self {
        Self {
            config,
            pending: BTreeMap::new(),
            pending_bytes: 0,
            passed: None,
            decoded: BTreeSet::new(),
            rhythm: Rhythm::default(),
            requests: Requests::default(),
            outbox: VecDeque::new(),
            counters: Counters::default(),
        }
    }

    /// Takes a layer frame in, in any order.
    pub fn push(&mut self, input: LayerInput, now_us: u64) {
        if !self.config.policy.admits(Layer::new(input.spatial, input.temporal, 0)) {
            return;
        }
        if self.passed.is_some_and(|passed| input.frame_number <= passed) {
            self.counters.late += 1;
            self.rhythm.came_late(input.frame_number, input.spatial);
            return;
        }
        let room = self.pending.len() < MAX_PENDING || self.pending.contains_key(&input.frame_number);
        if !room || self.pending_bytes + input.data.len() > MAX_PENDING_BYTES || !consistent(&input) {
            self.counters.refused += 1;
            return;
        }
        let picture = self.pending.entry(input.frame_number).or_insert_with(|| Pending::new(now_us));
        let Some(slot) = picture.layers.get_mut(usize::from(input.spatial)) else { return };
        if slot.is_some() {
            self.counters.duplicates += 1;
            return;
        }
        self.pending_bytes += input.data.len();
        *slot = Some(input);
    }

    /// The next thing to do, if any; call until `None`, after each push and at [`Assembler::deadline_us`].
    pub fn poll(&mut self, now_us: u64) -> Option<Output> {
        loop {
            if let Some(output) = self.outbox.pop_front() {
                return Some(output);
            }
            let number = *self.pending.first_key_value()?.0;
            match self.judge(number, now_us) {
                Verdict::Wait => return None,
                Verdict::Release(top) => self.release(number, top, now_us),
                Verdict::GiveUp => self.give_up(number, now_us),
            }
        }
    }

    /// When [`Assembler::poll`] may have something to say without another push.
    pub fn deadline_us(&self) -> Option<u64> {
        let (number, picture) = self.pending.first_key_value()?;
        let wait = match self.reach(*number, picture, None) {
            Some(_) => self.config.max_wait_us,
            None => self.config.base_wait_us,
        };
        Some(picture.since_us.saturating_add(wait))
    }

    /// The decoder failed on a released unit: it lost its references, and only a key frame helps.
    pub fn decoder_failed(&mut self, now_us: u64) {
        self.decoded.clear();
        self.requests.long_term = MAX_LONG_TERM_REQUESTS;
        self.ask(Recovery::KeyFrame, now_us);
    }

    /// Changes what is wanted from now on.
    pub fn set_policy(&mut self, policy: Policy) {
        self.config.policy = policy;
    }

    /// What happened so far.
    pub fn counters(&self) -> Counters {
        self.counters
    }

    fn judge(&self, number: u64, now_us: u64) -> Verdict {
        let Some(picture) = self.pending.get(&number) else { return Verdict::Wait };
        let waited = now_us.saturating_sub(picture.since_us);
        let Some(top) = self.reach(number, picture, None) else {
            let hopeless = picture.base().is_some_and(|base| self.standing(base, None) == Standing::Hopeless);
            let overdue = waited >= self.config.base_wait_us || self.overtaken(number, None);
            return if hopeless || overdue { Verdict::GiveUp } else { Verdict::Wait };
        };
        let whole = self.complete(picture, top, None) && self.gap(number).is_empty();
        let patience = waited < self.config.max_wait_us && !self.overtaken(number, Some(unit_id(number, top)));
        if whole || !patience { Verdict::Release(top) } else { Verdict::Wait }
    }

    /// The highest layer up to which everything is there, if the base is. `assumed` is the highest unit of a picture
    /// that is taken as released too.
    fn reach(&self, number: u64, picture: &Pending, assumed: Option<u64>) -> Option<u8> {
        let mut top = None;
        for spatial in 0..MAX_SPATIAL as u8 {
            let layer = picture.layer(spatial)?;
            let released = top.map(|top| unit_id(number, top));
            let ready = |unit: &u64| self.has(*unit, assumed) || self.has_in(*unit, released);
            if !layer.references.iter().all(ready) {
                break;
            }
            top = Some(spatial);
            if picture.layer(spatial + 1).is_none() {
                break;
            }
        }
        top
    }

    /// Whether nothing above `top` is worth waiting for.
    fn complete(&self, picture: &Pending, top: u8, assumed: Option<u64>) -> bool {
        let ends = picture.layer(top).is_some_and(|layer| layer.end_of_unit);
        let above = picture.layer(top + 1);
        let useless = above.is_some_and(|above| self.standing(above, assumed) == Standing::Hopeless);
        ends || useless || top >= self.expected(picture)
    }

    /// The highest layer that should come: where receivers may start a layer, any that is wanted.
    fn expected(&self, picture: &Pending) -> u8 {
        let cap = self.config.policy.max_spatial.min(MAX_SPATIAL as u8 - 1);
        let starts = picture.layers.iter().flatten().any(|layer| layer.key || layer.switch);
        if starts { cap } else { cap.min(self.rhythm.top_spatial()) }
    }

    /// Whether a later picture is complete without anything more of this one than `assumed`.
    fn overtaken(&self, number: u64, assumed: Option<u64>) -> bool {
        let later = self.pending.range(number + 1..).take(MAX_LOOK_AHEAD);
        later.into_iter().any(|(later, picture)| {
            self.reach(*later, picture, assumed).is_some_and(|top| self.complete(picture, top, assumed))
        })
    }

    fn standing(&self, layer: &LayerInput, assumed: Option<u64>) -> Standing {
        let passed = |unit: u64| self.passed.is_some_and(|passed| unit / UNITS_PER_FRAME <= passed);
        let lower = |unit: u64| unit / UNITS_PER_FRAME == layer.frame_number;
        let missing = || layer.references.iter().filter(|unit| !lower(**unit) && !self.has(**unit, assumed));
        match (missing().next(), missing().any(|unit| passed(*unit))) {
            (None, _) => Standing::Ready,
            (Some(_), true) => Standing::Hopeless,
            (Some(_), false) => Standing::Open,
        }
    }

    fn has(&self, unit: u64, assumed: Option<u64>) -> bool {
        self.decoded.contains(&unit) || self.has_in(unit, assumed)
    }

    /// Whether `unit` is `top` or a lower layer of the same picture.
    fn has_in(&self, unit: u64, top: Option<u64>) -> bool {
        top.is_some_and(|top| unit <= top && unit / UNITS_PER_FRAME == top / UNITS_PER_FRAME)
    }

    fn release(&mut self, number: u64, top: u8, now_us: u64) {
        let Some(picture) = self.take(number) else { return };
        let Some(base) = picture.base() else { return };
        if !base.key && !base.switch {
            // Every frame needs the last temporal-layer-0 picture, so none of those is in the gap before this one.
            self.report_gap(number, |_| false);
        } else {
            self.report_gap(number, |temporal| temporal == 0);
        }
        let expected = self.expected(&picture);
        for lost in (top + 1..=expected).filter(|_| !picture.ends_at(top)) {
            if let Some(count) = self.counters.lost_layers.get_mut(usize::from(lost)) {
                *count += 1;
            }
        }
        let broken = picture.layer(top + 1).is_some_and(|above| above.temporal <= 1);
        self.requests.long_term = if base.temporal == 0 { 0 } else { self.requests.long_term };
        self.counters.decoded += 1;
        self.outbox.push_back(Output::Unit(picture.unit(top)));
        if broken {
            self.ask(Recovery::Switch, now_us);
        }
        self.remember(number, top);
        self.pass(number, &picture);
    }

    fn give_up(&mut self, number: u64, now_us: u64) {
        let Some(picture) = self.take(number) else { return };
        self.report_gap(number, |temporal| temporal == 0);
        let temporal = picture.layers.iter().flatten().next().map_or(0, |layer| layer.temporal);
        self.report_lost(number, temporal == 0);
        // Temporal layers 0 and 1 need only layer 0: if even that is not there, nothing will come by itself.
        if temporal <= 1 {
            let answered = picture.base().is_some_and(|base| base.switch && !base.key && base.temporal == 0);
            self.ask_for_base(answered, now_us);
        }
        self.pass(number, &picture);
    }

    fn ask_for_base(&mut self, answered: bool, now_us: u64) {
        if answered && self.requests.long_term > 0 {
            self.requests.long_term = MAX_LONG_TERM_REQUESTS;
        }
        let possible = !self.decoded.is_empty() && self.requests.long_term < MAX_LONG_TERM_REQUESTS;
        self.ask(if possible { Recovery::LongTermReference } else { Recovery::KeyFrame }, now_us);
    }

    fn ask(&mut self, recovery: Recovery, now_us: u64) {
        if !self.requests.allow(recovery, now_us) {
            return;
        }
        if recovery == Recovery::LongTermReference {
            self.requests.long_term += 1;
        }
        self.counters.recoveries += 1;
        self.outbox.push_back(Output::NeedRecovery(recovery));
    }

    fn report_gap(&mut self, number: u64, base: impl Fn(u8) -> bool) {
        for (lost, temporal) in self.gap(number) {
            self.report_lost(lost, base(temporal));
        }
    }

    /// Wanted pictures between the last that passed and `number`, each with its likely temporal layer.
    fn gap(&self, number: u64) -> Vec<(u64, u8)> {
        let mut gap = self.rhythm.missing(number, MAX_LOST_REPORTED);
        gap.retain(|(_, temporal)| *temporal <= self.config.policy.max_temporal);
        gap
    }

    /// Pictures from before the first key frame were never ours to lose.
    fn report_lost(&mut self, frame_number: u64, base: bool) {
        if self.counters.decoded == 0 {
            return;
        }
        let count = if base { &mut self.counters.lost_base } else { &mut self.counters.lost_upper };
        *count += 1;
        self.outbox.push_back(Output::Lost { frame_number, base });
    }

    fn take(&mut self, number: u64) -> Option<Pending> {
        let picture = self.pending.remove(&number)?;
        self.pending_bytes -= picture.layers.iter().flatten().map(|layer| layer.data.len()).sum::<usize>();
        Some(picture)
    }

    fn remember(&mut self, number: u64, top: u8) {
        self.decoded.extend((0..=top).map(|spatial| unit_id(number, spatial)));
        while self.decoded.len() > MAX_HISTORY {
            self.decoded.pop_first();
        }
    }

    fn pass(&mut self, number: u64, picture: &Pending) {
        let arrived = || picture.layers.iter().flatten();
        self.passed = Some(number);
        self.rhythm.pass(Passed {
            number,
            spatial: arrived().map(|layer| layer.spatial).max().unwrap_or_default(),
            temporal: arrived().map(|layer| layer.temporal).max().unwrap_or_default(),
            start: arrived().any(|layer| layer.key || layer.switch),
        });
    }
}

/// What to do with the lowest picture.
enum Verdict {
    Wait,
    /// Release it up to this spatial layer.
    Release(u8),
    GiveUp,
}

/// Whether a layer frame can be decoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Standing {
    Ready,
    /// Something that it needs may still come.
    Open,
    /// Something that it needs has passed without being decoded.
    Hopeless,
}

/// A picture that has not passed.
#[derive(Debug)]
struct Pending {
    layers: [Option<LayerInput>; MAX_SPATIAL],
    since_us: u64,
}

impl Pending {
    fn new(since_us: u64) -> Self {
        Self { layers: [const { None }; MAX_SPATIAL], since_us }
    }

    fn layer(&self, spatial: u8) -> Option<&LayerInput> {
        self.layers.get(usize::from(spatial))?.as_ref()
    }

    fn base(&self) -> Option<&LayerInput> {
        self.layer(0)
    }

    fn ends_at(&self, top: u8) -> bool {
        self.layer(top).is_some_and(|layer| layer.end_of_unit)
    }

    fn unit(&self, top: u8) -> Unit {
        let layers = || self.layers.iter().flatten().filter(|layer| layer.spatial <= top);
        let first = layers().next();
        let data = match (first, top) {
            (Some(only), 0) => only.data.clone(),
            _ => {
                let mut data = BytesMut::with_capacity(layers().map(|layer| layer.data.len()).sum());
                layers().for_each(|layer| data.extend_from_slice(&layer.data));
                data.freeze()
            }
        };
        Unit {
            data,
            frame_number: first.map_or(0, |layer| layer.frame_number),
            pts_us: first.map_or(0, |layer| layer.pts_us),
            captured_us: first.map_or(0, |layer| layer.captured_us),
            spatial: top,
            temporal: first.map_or(0, |layer| layer.temporal),
            key: first.is_some_and(|layer| layer.key),
        }
    }
}

/// When what was asked for, so that nobody is flooded.
#[derive(Debug, Default)]
struct Requests {
    last_us: [Option<u64>; 3],
    /// Requests for a long-term reference since the last base picture.
    long_term: u8,
}

impl Requests {
    fn allow(&mut self, recovery: Recovery, now_us: u64) -> bool {
        let kind = match recovery {
            Recovery::Switch => 0,
            Recovery::LongTermReference => 1,
            _ => 2,
        };
        // A base that is asked for comes with upper layers that start anew, so it also counts as a switch.
        let since = self.last_us.iter().skip(if kind == 0 { 0 } else { 1 }).flatten().max();
        if since.is_some_and(|last| now_us.saturating_sub(*last) < RECOVERY_INTERVAL_US) {
            return false;
        }
        if let Some(last) = self.last_us.get_mut(kind) {
            *last = Some(now_us);
        }
        true
    }
}

fn consistent(input: &LayerInput) -> bool {
    usize::from(input.spatial) < MAX_SPATIAL
        && input.frame_number <= MAX_FRAME_NUMBER
        && input.unit_id == unit_id(input.frame_number, input.spatial)
        && input.references.len() <= MAX_REFERENCES
        && input.references.iter().all(|unit| *unit < input.unit_id)
        && (1..=MAX_UNIT_BYTES / MAX_SPATIAL).contains(&input.data.len())
}
