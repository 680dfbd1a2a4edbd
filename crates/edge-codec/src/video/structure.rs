//! Which pictures predict which: the reference structure of every mode, within AV1's eight slots.
//!
//! Slots 0–2 hold the newest picture of temporal layer 0, one a spatial layer; slots 4–6 the same of temporal layer 1;
//! slot 3 carries a picture of the highest temporal layer up to the next spatial layer and no further; slot 7 is the
//! long-term reference, a base-layer picture. A temporal layer above 0 references nothing older than the last
//! temporal-layer-0 picture but the long-term reference, so that dropping temporal layers never breaks what is left.
//! Slot 3 is shared by two sizes that differ by at most a factor of two, which AV1 allows for a mapped slot.

use super::{Mode, unit_id};

/// Slots of an AV1 decoder.
pub(super) const SLOTS: usize = 8;

const LONG_TERM: u8 = 7;
const PASSING: u8 = 3;
const TEMPORAL_1: u8 = 4;

/// How a picture starts over, if it does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Start {
    /// It continues the stream.
    Continue,
    /// Upper spatial layers are predicted from the layer below only.
    Switch,
    /// The base is predicted from the long-term reference only, upper layers as with `Switch`.
    LongTerm,
    /// The base is predicted from nothing, upper layers as with `Switch`.
    Key,
}

/// One picture of the stream, before its layers are planned.
#[derive(Debug, Clone, Copy)]
pub(super) struct Picture {
    pub(super) number: u64,
    pub(super) start: Start,
    /// Place in the temporal pattern; 0 is temporal layer 0.
    pub(super) phase: u8,
    /// Whether its base becomes the long-term reference.
    pub(super) keep: bool,
}

/// What one layer frame references and refreshes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Plan {
    pub(super) last: Option<u8>,
    pub(super) golden: Option<u8>,
    /// One bit a slot.
    pub(super) refresh: u8,
}

/// The slots' contents by unit id, and the rules of one mode.
#[derive(Debug)]
pub(super) struct Structure {
    mode: Mode,
    slots: [Option<u64>; SLOTS],
}

impl Structure {
    pub(super) fn new(mode: Mode) -> Self {
        Self { mode, slots: [None; SLOTS] }
    }

    /// Temporal layer of a place in the pattern.
    pub(super) fn temporal(&self, phase: u8) -> u8 {
        pattern(self.mode).get(usize::from(phase)).copied().unwrap_or_default()
    }

    /// The place after `phase`.
    pub(super) fn next_phase(&self, phase: u8) -> u8 {
        (phase + 1) % pattern(self.mode).len() as u8
    }

    /// What layer `spatial` of `picture` references and refreshes.
    pub(super) fn plan(&self, picture: &Picture, spatial: u8) -> Plan {
        let upper = spatial + 1 < self.mode.spatial_layers();
        match self.temporal(picture.phase) {
            0 => plan_base(picture, spatial),
            1 => {
                let needed = upper || self.mode.temporal_layers() > 2;
                let golden = below(spatial, TEMPORAL_1).or(Some(LONG_TERM));
                Plan { last: Some(spatial), golden, refresh: bit_if(needed, TEMPORAL_1 + spatial) }
            }
            _ => {
                let last = if picture.phase == 1 { spatial } else { TEMPORAL_1 + spatial };
                let golden = (spatial > 0).then_some(PASSING).or(Some(0));
                Plan { last: Some(last), golden, refresh: bit_if(upper, PASSING) }
            }
        }
    }

    /// The distinct units that `plan` references, ascending.
    pub(super) fn references(&self, plan: &Plan) -> Vec<u64> {
        let unit = |slot: Option<u8>| slot.and_then(|slot| self.slots.get(usize::from(slot)).copied().flatten());
        let mut units: Vec<u64> = [unit(plan.last), unit(plan.golden)].into_iter().flatten().collect();
        units.sort_unstable();
        units.dedup();
        units
    }

    /// Notes that the layer frame was encoded.
    pub(super) fn commit(&mut self, picture: &Picture, spatial: u8, plan: &Plan) {
        let unit = unit_id(picture.number, spatial);
        for (slot, held) in self.slots.iter_mut().enumerate() {
            if plan.refresh >> slot & 1 == 1 {
                *held = Some(unit);
            }
        }
    }
}

fn pattern(mode: Mode) -> &'static [u8] {
    match mode.temporal_layers() {
        1 => &[0],
        2 => &[0, 1],
        _ => &[0, 2, 1, 2],
    }
}

fn plan_base(picture: &Picture, spatial: u8) -> Plan {
    let keep = if picture.keep { 1 << LONG_TERM } else { 0 };
    match (picture.start, spatial) {
        (Start::Key, 0) => Plan { last: None, golden: None, refresh: u8::MAX },
        (Start::LongTerm, 0) => Plan { last: Some(LONG_TERM), golden: None, refresh: 1 },
        (_, 0) => Plan { last: Some(0), golden: Some(LONG_TERM), refresh: 1 | keep },
        (Start::Continue, _) => Plan { last: Some(spatial), golden: Some(spatial - 1), refresh: 1 << spatial },
        (_, _) => Plan { last: None, golden: Some(spatial - 1), refresh: 1 << spatial },
    }
}

fn below(spatial: u8, first_slot: u8) -> Option<u8> {
    spatial.checked_sub(1).map(|below| first_slot + below)
}

fn bit_if(set: bool, slot: u8) -> u8 {
    if set { 1 << slot } else { 0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(mode: Mode, pictures: u64) -> Vec<(u64, u8, u8, Vec<u64>)> {
        let (mut structure, mut phase, mut out) = (Structure::new(mode), 0, Vec::new());
        for number in 0..pictures {
            let start = if number == 0 { Start::Key } else { Start::Continue };
            let picture = Picture { number, start, phase, keep: phase == 0 && number % 12 == 0 };
            for spatial in 0..mode.spatial_layers() {
                let plan = structure.plan(&picture, spatial);
                out.push((number, spatial, structure.temporal(phase), structure.references(&plan)));
                structure.commit(&picture, spatial, &plan);
            }
            phase = structure.next_phase(phase);
        }
        out
    }

    /// A frame may only reference layers that every receiver of its own layer has.
    #[test]
    fn references_never_point_to_a_higher_layer() {
        for mode in Mode::ALL {
            let frames = run(mode, 100);
            let layer_of = |unit: u64| {
                let found = frames.iter().find(|(number, spatial, ..)| unit_id(*number, *spatial) == unit);
                found.map(|(_, spatial, temporal, _)| (*spatial, *temporal)).unwrap()
            };
            for (number, spatial, temporal, references) in &frames {
                assert!(references.iter().all(|unit| *unit < unit_id(*number, *spatial)));
                for (below_spatial, below_temporal) in references.iter().map(|unit| layer_of(*unit)) {
                    assert!(below_spatial <= *spatial && below_temporal <= *temporal, "{mode} {number} {spatial}");
                }
            }
        }
    }

    /// The rule that lets temporal layers be dropped and taken up again at any time.
    #[test]
    fn nothing_references_an_upper_temporal_layer_from_before_the_last_base() {
        let frames = run(Mode::L3T3, 100);
        let mut last_base = 0;
        for (number, spatial, temporal, references) in frames {
            if temporal == 0 && spatial == 0 {
                last_base = number;
            }
            let old = references.iter().filter(|unit| **unit < unit_id(last_base, 0));
            assert!(old.into_iter().all(|unit| unit / 4 % 4 == 0), "picture {number} layer {spatial}");
        }
    }
}
