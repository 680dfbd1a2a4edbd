//! How much repair a loss asks for.

use super::symbol::{REPAIR_MAX, SOURCE_MAX};

/// One in parts per million.
pub const PPM: u32 = 1_000_000;
/// Highest loss that repair is sized for, in ppm; a path that loses more wants another path, not more symbols.
pub const LOSS_PPM_MAX: u32 = 500_000;
/// Share of blocks that exactly `n` symbols give back, in ppm; rounded down from the 0.993 to 0.996 that is measured.
/// One symbol more fails in 3 of 100,000 blocks, which is counted as never.
pub const EXACT_DECODE_PPM: u32 = 990_000;

/// Fewest repair symbols with which a message of `source` symbols arrives with probability `target_ppm`, each symbol
/// being lost alone with probability `loss_ppm`; and `burst` more, if any loss is expected, for losses that come
/// together. At most [`REPAIR_MAX`].
pub fn repair_for(source: u16, loss_ppm: u32, target_ppm: u32, burst: u16) -> u16 {
    if loss_ppm == 0 || source == 0 {
        return 0;
    }
    let loss = share(loss_ppm.min(LOSS_PPM_MAX));
    let target = share(target_ppm.min(PPM - 1));
    let repair = match source {
        1 => copies_for(loss, target),
        source => symbols_for(source.min(SOURCE_MAX), loss, target),
    };
    repair.saturating_add(burst).min(REPAIR_MAX)
}

/// [`repair_for`] under one set of conditions, each answer computed once.
#[derive(Debug, Clone)]
pub struct RepairTable {
    loss_ppm: u32,
    target_ppm: u32,
    burst: u16,
    by_source: Vec<Option<u16>>,
}

impl RepairTable {
    /// A table for a loss, a target and a burst as in [`repair_for`].
    pub fn new(loss_ppm: u32, target_ppm: u32, burst: u16) -> Self {
        Self { loss_ppm, target_ppm, burst, by_source: Vec::new() }
    }

    /// Repair symbols for a message of `source` symbols.
    pub fn repair(&mut self, source: u16) -> u16 {
        let index = usize::from(source.min(SOURCE_MAX));
        if self.by_source.len() <= index {
            self.by_source.resize(index + 1, None);
        }
        let (loss, target, burst) = (self.loss_ppm, self.target_ppm, self.burst);
        match self.by_source.get_mut(index) {
            Some(known) => *known.get_or_insert_with(|| repair_for(source, loss, target, burst)),
            None => repair_for(source, loss, target, burst),
        }
    }

    /// Changes the conditions; answers are kept if nothing changed.
    pub fn set(&mut self, loss_ppm: u32, target_ppm: u32, burst: u16) {
        if (self.loss_ppm, self.target_ppm, self.burst) != (loss_ppm, target_ppm, burst) {
            *self = Self::new(loss_ppm, target_ppm, burst);
        }
    }

    /// The loss that the answers are for, in ppm.
    pub fn loss_ppm(&self) -> u32 {
        self.loss_ppm
    }
}

/// One message, sent several times: any copy does.
fn copies_for(loss: f64, target: f64) -> u16 {
    let mut missed = loss;
    let mut copies = 0;
    while 1.0 - missed < target && copies < REPAIR_MAX {
        missed *= loss;
        copies += 1;
    }
    copies
}

fn symbols_for(source: u16, loss: f64, target: f64) -> u16 {
    let mut exact = Arrivals::new(source, loss);
    let mut more = Arrivals::new(source + 1, loss);
    if exact.probability() >= target {
        return 0;
    }
    let decodes = share(EXACT_DECODE_PPM);
    for repair in 1..REPAIR_MAX {
        exact.allow_one_more_loss();
        if decodes * exact.probability() + (1.0 - decodes) * more.probability() >= target {
            return repair;
        }
        more.allow_one_more_loss();
    }
    REPAIR_MAX
}

/// Probability that `need` symbols arrive before more than some number of losses: a sum of the negative binomial
/// distribution, by multiplication and addition only, so that every machine gets the same number.
struct Arrivals {
    need: f64,
    loss: f64,
    losses: f64,
    term: f64,
    sum: f64,
}

impl Arrivals {
    fn new(need: u16, loss: f64) -> Self {
        let all_arrive = (0..need).fold(1.0, |product, _| product * (1.0 - loss));
        Self { need: f64::from(need), loss, losses: 0.0, term: all_arrive, sum: all_arrive }
    }

    fn probability(&self) -> f64 {
        self.sum
    }

    fn allow_one_more_loss(&mut self) {
        self.losses += 1.0;
        self.term *= self.loss * (self.need + self.losses - 1.0) / self.losses;
        self.sum += self.term;
    }
}

fn share(ppm: u32) -> f64 {
    f64::from(ppm) / f64::from(PPM)
}
