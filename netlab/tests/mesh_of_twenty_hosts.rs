//! Twenty hosts on a lossy, slow network: a publisher, five relays, fourteen viewers. Every viewer gets the picture,
//! whether the tree was laid by hand or the mesh built itself, and goes on when relays die.
//!
//! Needs the program: `cargo build --release -p edge`. With `EDGE_NETLAB_LOGS=FOLDER`, what every process printed and
//! every trace stays there.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod common;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use common::roles::{Role, Shown, trace};
use common::{Alone, lab, say};
use edge_netlab::{Host, Lab};
use edge_sim::link::{Loss, Model, Queue};
use edge_sim::rng::Rng;
use tempfile::TempDir;

const RELAYS: usize = 5;
const VIEWERS: usize = 14;
const HOSTS: usize = 1 + RELAYS + VIEWERS;
/// Each picture has a base layer, so that pictures and base frames are the same number.
const SOURCE: [&str; 4] = ["publish", "pattern:320x180@30", "--svc", "L2T1"];
/// Names a folder that keeps the files of a run.
const LOGS: &str = "EDGE_NETLAB_LOGS";
const SECONDS: u64 = 30;
/// One packet in a hundred, each way.
const LOSS_PPM: u32 = 10_000;
const START: Duration = Duration::from_secs(60);
const END: Duration = Duration::from_secs(SECONDS + 60);
/// Media before the first kill and between two.
const PAUSE: Duration = Duration::from_secs(8);
/// Time after a kill in which a gap counts as its doing.
const AFTERMATH_US: u64 = 4_000_000;
/// How late the emulator may be, but for one packet in a hundred.
const LATE: Duration = Duration::from_millis(5);
/// Pictures that may be missing at the end of a trace: what was on its way when the publisher left.
const TAIL: u64 = 60;

/// Who decides on parents.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Layout {
    /// The test: two relays at the publisher, three behind them, all viewers behind these.
    ByHand,
    /// The peers, who know the publisher's ticket alone.
    ByItself,
}

#[derive(Debug, Clone, Copy)]
enum Death {
    /// SIGKILL; the host's kernel says that nobody listens there.
    Process,
    /// Nothing answers any more.
    Host,
}

struct Stage {
    // Processes end before their hosts.
    publisher: Role,
    relays: Vec<Role>,
    viewers: Vec<Role>,
    alone: Alone,
    folder: Folder,
}

/// Where files of one run are.
enum Folder {
    Kept(PathBuf),
    Temporary(TempDir),
}

impl Folder {
    fn new(test: &str) -> Self {
        let Some(kept) = std::env::var_os(LOGS) else { return Self::Temporary(tempfile::tempdir().unwrap()) };
        let folder = PathBuf::from(kept).join(test.replace(' ', "-"));
        std::fs::create_dir_all(&folder).unwrap();
        Self::Kept(folder)
    }

    fn path(&self) -> &Path {
        match self {
            Self::Kept(folder) => folder,
            Self::Temporary(folder) => folder.path(),
        }
    }
}

/// Round-trip times of 20 to 80 ms, 1 % loss each way, 10 to 20 Mbit/s, a queue of 100 packets.
fn set_links(lab: &Lab) {
    let mut rng = Rng::new(20);
    for one in lab.hosts() {
        for other in lab.hosts().filter(|other| *other > one) {
            let model = Model {
                delay_us: 10_000 + rng.below(30_000),
                jitter_us: 1_000,
                loss: Loss::Uniform { ppm: LOSS_PPM },
                rate_kbps: 10_000 + rng.below(10_000),
                queue: Queue::Packets(100),
                ..Model::default()
            };
            lab.set(one, other, model);
        }
    }
}

impl Stage {
    /// Everybody is started and every viewer is admitted; media begins then.
    fn open(test: &str, layout: Layout) -> Option<Self> {
        let alone = lab(test, HOSTS, Model::default())?;
        let folder = Folder::new(test);
        set_links(&alone.lab);
        let publisher = publisher(&alone.lab, &folder, layout);
        let (relays, viewers) = (Vec::new(), Vec::new());
        let mut stage = Self { publisher, relays, viewers, alone, folder };
        stage.start_relays(layout);
        stage.start_viewers(layout);
        for viewer in &mut stage.viewers {
            viewer.wait("first_frame", START);
        }
        Some(stage)
    }

    fn start_relays(&mut self, layout: Layout) {
        let above = self.publisher.told("relay_ticket", START);
        for number in 0..RELAYS {
            let host = Host(1 + number);
            let listen = host.socket(0).to_string();
            let ticket = match (layout, number) {
                (Layout::ByHand, 2..) => self.relays[number % 2].told("relay_ticket", START),
                _ => above.clone(),
            };
            let mut arguments = vec!["relay", &ticket, "--listen", &listen, "--max-children", "12", "--uplink", "50"];
            arguments.extend((layout == Layout::ByHand).then_some("--fixed"));
            let mut relay = Role::start(&self.alone.lab, host, self.folder.path(), &arguments);
            relay.wait("connected", START);
            self.relays.push(relay);
        }
    }

    fn start_viewers(&mut self, layout: Layout) {
        let ticket = self.publisher.told("ticket", START);
        for number in 0..VIEWERS {
            let trace = self.trace_of(number).display().to_string();
            let via = self.relays[2 + number % 3].told("relay_ticket", START);
            let mut arguments = vec!["watch", &ticket, "--trace", &trace];
            if layout == Layout::ByHand {
                arguments.extend(["--via", &via]);
            }
            let host = Host(1 + RELAYS + number);
            self.viewers.push(Role::start(&self.alone.lab, host, self.folder.path(), &arguments));
        }
    }

    fn trace_of(&self, viewer: usize) -> PathBuf {
        self.folder.path().join(format!("viewer-{viewer}.trace"))
    }

    /// The living relay that feeds the most, and how many it feeds.
    fn busiest(&mut self) -> (usize, u64) {
        let fed = |relay: &Role| relay.latest("stats").and_then(|stats| stats["children"].as_u64()).unwrap_or(0);
        let living =
            self.relays.iter_mut().enumerate().filter_map(|(at, relay)| relay.lives().then(|| (at, fed(relay))));
        living.max_by_key(|(_, children)| *children).unwrap()
    }

    /// Kills the busiest relay; returns when, in µs since 1970.
    fn kill_a_relay(&mut self, death: Death) -> u64 {
        let (victim, children) = self.busiest();
        assert!(children > 0, "nobody needs the relays");
        let relay = &mut self.relays[victim];
        match death {
            Death::Process => relay.child.kill().unwrap(),
            Death::Host => self.alone.lab.kill(relay.host),
        }
        let at_us = unix_us();
        relay.child.wait().unwrap();
        say(&format!("{death:?} of relay {} died, which fed {children}", victim + 1));
        at_us
    }

    /// Waits for the end of all who live, and tells what there was.
    fn close(&mut self) -> Outcome {
        let until = Instant::now() + END;
        let living = self.relays.iter_mut().filter_map(|relay| relay.lives().then_some(relay));
        let all: Vec<&mut Role> = [&mut self.publisher].into_iter().chain(living).chain(&mut self.viewers).collect();
        let bad_ends: Vec<String> = all.into_iter().filter_map(|role| role.finish(until).err()).collect();
        bad_ends.iter().for_each(|end| say(end));
        let usage = self.alone.lab.usage();
        say(&usage.to_string());
        self.relays.iter().chain(&self.viewers).for_each(tell);
        let published = self.publisher.latest("stats").unwrap()["frames_published"].as_u64().unwrap();
        let traces = (0..VIEWERS).map(|viewer| trace(&self.trace_of(viewer))).collect();
        Outcome { published, traces, bad_ends, late: usage.late(0.99) }
    }
}

/// What is left of a run.
struct Outcome {
    /// Pictures that were published.
    published: u64,
    /// Of each viewer.
    traces: Vec<Vec<Shown>>,
    /// Processes that failed or did not end, and their last words.
    bad_ends: Vec<String>,
    /// How late the emulator delivered, but for one packet in a hundred.
    late: Duration,
}

impl Outcome {
    /// Prints what each viewer saw.
    fn tell(&self) {
        for (viewer, trace) in self.traces.iter().enumerate() {
            let mut latencies: Vec<u64> =
                trace.iter().map(|one| one.decoded_us.saturating_sub(one.captured_us) / 1000).collect();
            latencies.sort_unstable();
            say(&format!(
                "viewer {viewer}: pictures {:?} to {:?}, {} of {}; latency p50 {} ms, p95 {} ms",
                trace.first().map(|one| one.frame),
                trace.last().map(|one| one.frame),
                trace.len(),
                self.published,
                percentile(&latencies, 50),
                percentile(&latencies, 95),
            ));
        }
    }

    /// Pictures of each viewer from number `from` on, as a share of those that were published.
    fn shares(&self, from: impl Fn(&[Shown]) -> u64) -> Vec<f64> {
        self.traces.iter().map(|trace| trace.len() as f64 / (self.published - from(trace)) as f64).collect()
    }

    /// What follows would judge this machine, not the program, if the machine could not keep up.
    fn check_the_machine(&self) {
        assert!(self.late <= LATE, "void: this machine is too busy, the emulator was {:?} late", self.late);
        let due = SECONDS * 30;
        assert!(self.published >= due * 9 / 10, "void: the publisher captured {} of {due}", self.published);
    }
}

/// How one relay or viewer was connected.
fn tell(role: &Role) {
    let Some(stats) = role.latest("stats") else { return };
    let up = &stats["uplink"];
    let (kind, accused, disconnected) = (&stats["role"], role.count("accused"), role.count("disconnected"));
    say(&format!(
        "host {} {kind}: depth {}, heals {}, switches {}, duplicates {}, accused {accused}, disconnected {disconnected}",
        role.host.0, up["depth"], up["heals"], up["switches"], up["duplicates"]
    ));
}

fn publisher(lab: &Lab, folder: &Folder, layout: Layout) -> Role {
    let listen = Host(0).socket(0).to_string();
    let (seconds, viewers) = (SECONDS.to_string(), VIEWERS.to_string());
    let mut arguments = SOURCE.to_vec();
    arguments.extend(["--listen", &listen, "--duration", &seconds, "--wait-for", &viewers]);
    if layout == Layout::ByItself {
        // So that the relays are needed.
        arguments.extend(["--max-children", "3"]);
    }
    Role::start(lab, Host(0), folder.path(), &arguments)
}

/// The longest time between two pictures that touches the aftermath of a kill, in ms.
fn gap_ms(trace: &[Shown], killed_us: u64) -> u64 {
    let touches = |pair: &&[Shown]| pair[1].decoded_us > killed_us && pair[0].decoded_us < killed_us + AFTERMATH_US;
    let gaps = trace.windows(2).filter(touches).map(|pair| pair[1].decoded_us.saturating_sub(pair[0].decoded_us));
    gaps.max().map_or(u64::MAX, |gap_us| gap_us / 1000)
}

/// Nearest rank of sorted `values`; 0 without any.
fn percentile(values: &[u64], percent: usize) -> u64 {
    let rank = (values.len() * percent).div_ceil(100);
    values.get(rank.saturating_sub(1)).copied().unwrap_or(0)
}

fn unix_us() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_micros().try_into().unwrap()
}

#[test]
fn all_viewers_of_a_tree_laid_by_hand_decode_nearly_all_base_frames_or_skipped() {
    let Some(mut stage) = Stage::open("tree laid by hand", Layout::ByHand) else { return };
    let outcome = stage.close();
    outcome.tell();
    outcome.check_the_machine();
    for (viewer, share) in outcome.shares(|_| 0).into_iter().enumerate() {
        assert!(share >= 0.95, "viewer {viewer} decoded {share}");
    }
    assert_eq!(outcome.bad_ends.len(), 0, "{:?}", outcome.bad_ends);
}

#[test]
fn a_mesh_that_built_itself_survives_the_death_of_two_relays_or_skipped() {
    let Some(mut stage) = Stage::open("self-built mesh", Layout::ByItself) else { return };
    let kills = [Death::Process, Death::Host].map(|death| {
        std::thread::sleep(PAUSE);
        stage.kill_a_relay(death)
    });
    let outcome = stage.close();
    outcome.tell();
    let mut gaps = Vec::new();
    for at_us in kills {
        let mut after: Vec<u64> = outcome.traces.iter().map(|trace| gap_ms(trace, at_us)).collect();
        after.sort_unstable();
        say(&format!("longest gap of each viewer after a kill, ms: {after:?}"));
        gaps.append(&mut after);
    }
    gaps.sort_unstable();
    let [half, most, nearly_all] = [50, 95, 99].map(|percent| percentile(&gaps, percent));
    say(&format!("over both: p50 {half} ms, p95 {most} ms, p99 {nearly_all} ms"));
    outcome.check_the_machine();
    let since_the_first = |trace: &[Shown]| trace.first().map_or(0, |one| one.frame);
    for (viewer, share) in outcome.shares(since_the_first).into_iter().enumerate() {
        let last = outcome.traces[viewer].last().map_or(0, |one| one.frame);
        assert!(last + TAIL >= outcome.published, "viewer {viewer} did not recover: {last} of {}", outcome.published);
        assert!(share >= 0.95, "viewer {viewer} decoded {share} since its first picture");
    }
    assert!(nearly_all <= 1_000, "a gap of {nearly_all} ms");
    assert_eq!(outcome.bad_ends.len(), 0, "{:?}", outcome.bad_ends);
}
