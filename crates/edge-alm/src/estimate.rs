//! What a relay has demonstrably sustained, as a claim that it may sign: in whole layers, lowered at once, raised late.
//!
//! A congested link delivers all that it can, so only then is its capacity measured from above; a sender that had no
//! more to send shows a floor, and sending less shows nothing. Everything is in whole kbit/s.

use std::collections::VecDeque;

/// Window over which deliveries are judged, in ms.
pub const WINDOW_MS: u64 = 30_000;
/// How long what was measured stands, in ms.
pub const FRESH_MS: u64 = 60_000;
/// How long it then takes to fade, in ms.
pub const FADE_MS: u64 = 60_000;
/// Part of the window that samples must cover before they show a floor, in ms.
pub const COVERED_MS: u64 = 20_000;
/// Samples of a full link in the window before they may show more than was known.
pub const CONGESTED_MIN: usize = 3;
/// Windows in a row that must allow more before more is claimed.
pub const GOOD_WINDOWS: u64 = 3;
/// Age at which a claim is made again, in ms.
pub const RENEW_MS: u64 = 20_000;
/// Most samples that are kept; the oldest go first.
pub const SAMPLES_MAX: usize = 1024;
/// Most layers of a stream.
pub const LAYERS_MAX: usize = 32;

/// Part of what was sustained that is claimed.
const CLAIMED: (u64, u64) = (3, 4);
/// Share of samples that may be lower than what counts as sustained: one in this many.
const PERCENTILE_PARTS: usize = 10;

/// Why an estimator cannot be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A stream has 1 to [`LAYERS_MAX`] layers.
    #[error("{got} layers, from 1 to {LAYERS_MAX} are allowed")]
    Layers {
        /// Layers given.
        got: usize,
    },
    /// A layer has a bitrate above 0.
    #[error("a layer without a bitrate")]
    Bitrate,
}

/// What held a sender back while a sample was taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Limit {
    /// There was no more to send.
    Application,
    /// The link was full.
    Congestion,
}

/// What may be signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Claim {
    /// A number of whole streams and one of their layers, in kbit/s.
    pub uplink_kbps: u64,
    /// Why it is made now.
    pub cause: Cause,
}

impl Claim {
    /// The claim as an advertisement holds it.
    pub fn uplink_mbps(&self) -> f32 {
        (self.uplink_kbps as f64 / 1000.0) as f32
    }
}

/// Why a claim is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// It is the first one.
    First,
    /// Less was sustained.
    Lowered,
    /// More was sustained for [`GOOD_WINDOWS`] windows.
    Raised,
    /// The one before is [`RENEW_MS`] old.
    Renewed,
}

/// Measures one relay's uplink. Times are ms of one monotonic clock; one that goes back stands still.
#[derive(Debug)]
pub struct Estimator {
    layers_kbps: Vec<u64>,
    prior_kbps: u64,
    now_ms: u64,
    samples: VecDeque<Sample>,
    floor: Option<Measured>,
    ceiling: Option<Measured>,
    claimed: Option<Claimed>,
    good: Option<Good>,
}

#[derive(Debug, Clone, Copy)]
struct Sample {
    at_ms: u64,
    kbps: u64,
    limit: Limit,
}

/// A rate that was sustained, and when it was last seen to be.
#[derive(Debug, Clone, Copy)]
struct Measured {
    kbps: u64,
    at_ms: u64,
}

impl Measured {
    /// What is left of it at `now_ms`: all of it while it is fresh, then less and less of it and more of `base_kbps`.
    fn faded_to(self, base_kbps: u64, now_ms: u64) -> u64 {
        let age_ms = now_ms.saturating_sub(self.at_ms);
        let faded_ms = age_ms.saturating_sub(FRESH_MS).min(FADE_MS);
        let part = |kbps: u64, ms: u64| u128::from(kbps) * u128::from(ms) / u128::from(FADE_MS);
        let blend = part(self.kbps, FADE_MS - faded_ms) + part(base_kbps, faded_ms);
        u64::try_from(blend).unwrap_or(u64::MAX)
    }
}

#[derive(Debug, Clone, Copy)]
struct Claimed {
    kbps: u64,
    at_ms: u64,
}

/// A run of polls that allowed more than is claimed.
#[derive(Debug, Clone, Copy)]
struct Good {
    since_ms: u64,
    least_kbps: u64,
}

impl Estimator {
    /// For a stream with these bitrates by layer, the base first. Until the link was ever full, `prior_kbps` counts as
    /// sustained: what its owner answers for; 0 claims nothing but what was measured.
    pub fn new(layers_kbps: &[u32], prior_kbps: u64) -> Result<Self, Error> {
        if layers_kbps.is_empty() || layers_kbps.len() > LAYERS_MAX {
            return Err(Error::Layers { got: layers_kbps.len() });
        }
        if layers_kbps.contains(&0) {
            return Err(Error::Bitrate);
        }
        Ok(Self {
            layers_kbps: layers_kbps.iter().map(|kbps| u64::from(*kbps)).collect(),
            prior_kbps,
            now_ms: 0,
            samples: VecDeque::new(),
            floor: None,
            ceiling: None,
            claimed: None,
            good: None,
        })
    }

    /// Takes what the transport delivered over its last interval.
    pub fn sample(&mut self, now_ms: u64, delivered_kbps: u64, limit: Limit) {
        self.advance(now_ms);
        if self.samples.len() == SAMPLES_MAX {
            self.samples.pop_front();
        }
        if limit == Limit::Congestion {
            self.refute(delivered_kbps);
        }
        self.samples.push_back(Sample { at_ms: self.now_ms, kbps: delivered_kbps, limit });
        match limit {
            Limit::Congestion => self.measure_ceiling(),
            Limit::Application => self.measure_floor(),
        }
    }

    /// A claim to sign, when there is one: the first, a changed one, or the same again.
    pub fn poll(&mut self, now_ms: u64) -> Option<Claim> {
        self.advance(now_ms);
        let allowed_kbps = self.allowed_kbps();
        let Some(claimed) = self.claimed else { return Some(self.claim(allowed_kbps, Cause::First)) };
        if allowed_kbps < claimed.kbps {
            return Some(self.claim(allowed_kbps, Cause::Lowered));
        }
        if let Some(raised_kbps) = self.raised_kbps(allowed_kbps, claimed.kbps) {
            return Some(self.claim(raised_kbps, Cause::Raised));
        }
        let is_old = self.now_ms.saturating_sub(claimed.at_ms) >= RENEW_MS;
        is_old.then(|| self.renew(claimed))
    }

    /// What counts as sustained at the last time that was told, in kbit/s.
    pub fn sustained_kbps(&self) -> u64 {
        let floor = self.floor_kbps();
        let open = floor.max(self.prior_kbps);
        let measured = self.ceiling.map_or(open, |ceiling| ceiling.faded_to(open, self.now_ms));
        floor.max(measured)
    }

    fn floor_kbps(&self) -> u64 {
        self.floor.map_or(0, |floor| floor.faded_to(0, self.now_ms))
    }

    fn advance(&mut self, now_ms: u64) {
        self.now_ms = self.now_ms.max(now_ms);
        let oldest_ms = self.now_ms.saturating_sub(WINDOW_MS);
        while self.samples.front().is_some_and(|sample| sample.at_ms < oldest_ms) {
            self.samples.pop_front();
        }
    }

    /// A full link that delivers less than before has shown that the earlier rate is not to be had any more.
    fn refute(&mut self, delivered_kbps: u64) {
        let unlimited = self.samples.iter_mut().filter(|sample| sample.limit == Limit::Application);
        unlimited.for_each(|sample| sample.kbps = sample.kbps.min(delivered_kbps));
        if let Some(floor) = &mut self.floor {
            floor.kbps = floor.kbps.min(delivered_kbps);
        }
    }

    fn measure_ceiling(&mut self) {
        let is_congested = |sample: &Sample| sample.limit == Limit::Congestion;
        let kbps = self.sustained(is_congested);
        let enough = self.samples.iter().filter(|sample| is_congested(sample)).count() >= CONGESTED_MIN;
        if enough || kbps <= self.sustained_kbps() {
            self.ceiling = Some(Measured { kbps, at_ms: self.now_ms });
        }
    }

    fn measure_floor(&mut self) {
        let covered_ms = self.samples.front().map_or(0, |first| self.now_ms.saturating_sub(first.at_ms));
        let kbps = self.sustained(|_| true);
        if covered_ms >= COVERED_MS && kbps >= self.floor_kbps() {
            self.floor = Some(Measured { kbps, at_ms: self.now_ms });
        }
    }

    /// What all but a tenth of the chosen samples of the window reach.
    fn sustained(&self, chosen: impl Fn(&Sample) -> bool) -> u64 {
        let mut rates: Vec<u64> = self.samples.iter().filter(|it| chosen(it)).map(|it| it.kbps).collect();
        rates.sort_unstable();
        rates.get(rates.len() / PERCENTILE_PARTS).copied().unwrap_or(0)
    }

    /// Most that may be claimed: whole streams, and of one more as many whole layers as fit.
    fn allowed_kbps(&self) -> u64 {
        let (part, whole) = CLAIMED;
        let sustained = self.sustained_kbps();
        let most = sustained / whole * part + sustained % whole * part / whole;
        let stream: u64 = self.layers_kbps.iter().sum();
        let streams_kbps = most.checked_div(stream).unwrap_or(0).saturating_mul(stream);
        self.layers_kbps
            .iter()
            .fold((streams_kbps, true), |(sum, whole), layer| {
                let next = sum.saturating_add(*layer);
                if whole && next <= most { (next, true) } else { (sum, false) }
            })
            .0
    }

    fn raised_kbps(&mut self, allowed_kbps: u64, claimed_kbps: u64) -> Option<u64> {
        if allowed_kbps <= claimed_kbps {
            self.good = None;
            return None;
        }
        let good = self.good.get_or_insert(Good { since_ms: self.now_ms, least_kbps: allowed_kbps });
        good.least_kbps = good.least_kbps.min(allowed_kbps);
        let (since_ms, least_kbps) = (good.since_ms, good.least_kbps);
        (self.now_ms.saturating_sub(since_ms) >= GOOD_WINDOWS * WINDOW_MS).then_some(least_kbps)
    }

    fn claim(&mut self, kbps: u64, cause: Cause) -> Claim {
        self.claimed = Some(Claimed { kbps, at_ms: self.now_ms });
        self.good = None;
        Claim { uplink_kbps: kbps, cause }
    }

    /// The same again, which does not interrupt a run of good polls.
    fn renew(&mut self, claimed: Claimed) -> Claim {
        self.claimed = Some(Claimed { at_ms: self.now_ms, ..claimed });
        Claim { uplink_kbps: claimed.kbps, cause: Cause::Renewed }
    }
}
