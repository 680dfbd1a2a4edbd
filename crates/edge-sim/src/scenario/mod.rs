//! Scenarios by name: what is done to the federation, and what must come out of it.

mod attack;
mod crowd;
mod steady;
mod summary;
mod upset;

use crate::report::{Parameter, Report};
use crate::rng::Rng;
use crate::space::Index;
use crate::world::{Deed, Error, Setup, World};

/// Fewest viewers of one run.
pub const VIEWERS_MIN: usize = 4;
/// Most viewers of one run.
pub const VIEWERS_MAX: usize = 20_000;
/// Longest run, in seconds.
pub const DURATION_S_MAX: u64 = 3_600;
/// Shortest run, in seconds: joining and settling take most of it.
pub const DURATION_S_MIN: u64 = 25;

/// One scenario.
#[derive(Clone, Copy)]
pub struct Scenario {
    /// Name on the command line.
    pub name: &'static str,
    /// What it shows, in one line.
    pub about: &'static str,
    /// Viewers unless the caller says otherwise.
    pub viewers: usize,
    /// Seconds unless the caller says otherwise.
    pub duration_s: u64,
    play: fn(&mut Stage<'_>) -> Result<(), Error>,
}

/// What the caller chose.
#[derive(Debug, Clone, Copy, Default)]
pub struct Options {
    /// Viewers; `None` = the scenario's own number.
    pub viewers: Option<usize>,
    /// Seed of everything random.
    pub seed: u64,
    /// Seconds; `None` = the scenario's own number.
    pub duration_s: Option<u64>,
}

/// All scenarios, in the order in which they are listed.
pub const ALL: &[Scenario] = &[
    steady::STEADY,
    upset::KILL,
    upset::RELAYS,
    upset::CHURN,
    upset::FLASH,
    crowd::STORM,
    crowd::HERD,
    upset::PARTITION,
    upset::LEAK,
    attack::LOSS,
    attack::BYZANTINE,
];

/// The scenario of that name.
pub fn find(name: &str) -> Option<&'static Scenario> {
    ALL.iter().find(|scenario| scenario.name == name)
}

impl Scenario {
    /// Plays the scenario. `progress` is told the share that is done, in thousandths. Viewers and seconds out of bounds
    /// are moved to the nearest bound.
    pub fn run(&self, options: Options, progress: &mut dyn FnMut(u64)) -> Result<Report, Error> {
        let viewers = options.viewers.unwrap_or(self.viewers).clamp(VIEWERS_MIN, VIEWERS_MAX);
        let duration_s = options.duration_s.unwrap_or(self.duration_s).clamp(DURATION_S_MIN, DURATION_S_MAX);
        let report = Report {
            scenario: self.name,
            about: self.about,
            peers: viewers,
            seed: options.seed,
            duration_s,
            parameters: Vec::new(),
            figures: Vec::new(),
            bars: Vec::new(),
            digest: String::new(),
            charts: Vec::new(),
        };
        let mut stage = Stage { report, digests: Vec::new(), progress, part: 0, parts: 1 };
        (self.play)(&mut stage)?;
        stage.report.digest = stage.digests.join("-");
        Ok(stage.report)
    }
}

impl std::fmt::Debug for Scenario {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Scenario").field("name", &self.name).finish_non_exhaustive()
    }
}

/// Where a scenario plays: its report, and who wants to know how far it is.
struct Stage<'a> {
    report: Report,
    digests: Vec<String>,
    progress: &'a mut dyn FnMut(u64),
    part: u64,
    parts: u64,
}

impl Stage<'_> {
    fn viewers(&self) -> usize {
        self.report.peers
    }

    fn duration_us(&self) -> u64 {
        self.report.duration_s * 1_000_000
    }

    /// A setup with the caller's choices, in which everybody joins within the [`ramp_us`].
    fn setup(&self) -> Setup {
        let mut rng = Rng::labelled(self.report.seed, 0x7a11);
        let ramp_us = ramp_us(self.viewers());
        let deeds = viewers(self.viewers()).map(|peer| (rng.below(ramp_us), Deed::Join(peer))).collect();
        Setup {
            viewers: self.viewers(),
            seed: self.report.seed,
            duration_us: self.duration_us(),
            deeds,
            ..Setup::default()
        }
    }

    /// When everybody has joined and settled, in µs.
    fn settled_us(&self) -> u64 {
        ramp_us(self.viewers()) + SETTLE_US
    }

    fn parameter(&mut self, name: &'static str, value: &str) {
        self.report.parameters.push(Parameter { name, value: value.to_owned() });
    }

    /// Runs one federation to its end and notes its digest.
    fn play(&mut self, setup: Setup) -> Result<World, Error> {
        let mut world = World::new(setup)?;
        let (part, parts) = (self.part, self.parts.max(1));
        world.run(&mut |done| (self.progress)((part * 1000 + done) / parts))?;
        self.part += 1;
        let digest = world.digest();
        let hex: String = digest.iter().take(16).map(|byte| format!("{byte:02x}")).collect();
        self.digests.push(hex);
        Ok(world)
    }
}

/// How long the tree may settle after the last one joined, in µs.
const SETTLE_US: u64 = 8_000_000;

/// Over which time viewers join at the beginning, in µs: at most a hundred each second.
fn ramp_us(viewers: usize) -> u64 {
    (viewers as u64 * 10_000).clamp(2_000_000, 60_000_000)
}

fn viewers(count: usize) -> impl Iterator<Item = Index> {
    (1..).take(count)
}
