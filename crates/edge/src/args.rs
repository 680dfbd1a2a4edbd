//! The command line.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;

use clap::{Args, Parser, Subcommand, ValueEnum};
use edge_alm::path::Descriptions;
use edge_codec::video::Mode;
use edge_node::hub::Room;
use edge_node::publisher::Source;
use edge_node::ticket::Ticket;
use edge_node::viewer::AfterRemoval;
use edge_sim::scenario::{DURATION_S_MAX, DURATION_S_MIN};
use edge_wire::layer::Policy;

/// Live audio and video between people who trust each other and trust no server.
#[derive(Debug, Parser)]
#[command(version, about, after_help = EXAMPLES)]
pub(crate) struct Cli {
    #[command(flatten)]
    format: Format,
    /// Log more on standard error (twice for debug); RUST_LOG has the last word.
    #[arg(short, long, action = clap::ArgAction::Count, global = true)]
    pub(crate) verbose: u8,
    #[command(subcommand)]
    pub(crate) command: Command,
}

impl Cli {
    /// Whether `--json` was given, before or after the command's name.
    pub(crate) fn json(&self) -> bool {
        self.format.json || self.command.json()
    }
}

/// How results are printed.
#[derive(Debug, Clone, Copy, Args)]
pub(crate) struct Format {
    /// One JSON object a line instead of text.
    #[arg(long)]
    json: bool,
}

const EXAMPLES: &str = "Examples:
  edge demo                                    see it all work on this machine
  edge publish pattern                         publish the test pattern; prints a ticket
  ffmpeg -i talk.mp4 -pix_fmt yuv420p -f yuv4mpegpipe - | edge publish -
  edge relay RELAY_TICKET                      lend a relay; it cannot read what it carries
  edge watch TICKET --via RELAY_TICKET --out talk.webm
  edge watch TICKET --out - | ffplay -";

const PUBLISH_HELP: &str = "Commands on standard input, a line each: members, remove NAME, rotate

Examples:
  edge publish pattern
  edge publish pattern:1280x720@30 --svc L3T3 --listen 0.0.0.0:7400 --advertise 192.0.2.7:7400
  edge publish talk.y4m --loop --wait-for 2";

const RELAY_HELP: &str = "Example:
  edge relay RELAY_TICKET --listen 0.0.0.0:7401 --advertise 192.0.2.8:7401";

const WATCH_HELP: &str = "Examples:
  edge watch TICKET --stats --picture last.png
  edge watch TICKET --relay --uplink 20
  edge watch TICKET --via RELAY_TICKET --layers 1,2,0 --out talk.webm
  edge watch TICKET --out - | ffplay -";

const SIM_HELP: &str = "Exit code 1 when a bar is missed.

Examples:
  edge sim --list
  edge sim churn
  edge sim steady --peers 1000 --seed 7 --plot steady.svg
  edge sim byzantine --json";

const DEMO_HELP: &str = "Exit code 1 when a check fails.

Examples:
  edge demo
  edge demo --relays 4 --viewers 6 --seconds 60 --json numbers.json
  edge demo --churn
  edge demo --input talk.y4m --report my-report";

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Create an identity.
    #[command(
        after_help = "Examples:\n  edge keygen\n  edge keygen --id alice --out alice.key --passphrase-file secret.txt"
    )]
    Keygen(Keygen),
    /// Look at an identity.
    #[command(subcommand)]
    Key(KeyCommand),
    /// Publish a source and print a ticket to it.
    #[command(after_help = PUBLISH_HELP)]
    Publish(Publish),
    /// Carry a stream for others without being able to open it.
    #[command(after_help = RELAY_HELP)]
    Relay(Relay),
    /// Watch or record a stream.
    #[command(after_help = WATCH_HELP)]
    Watch(Watch),
    /// Be fed ciphertext without a ticket and try to open it; for the demo.
    #[command(hide = true)]
    Outsider(Outsider),
    /// Play a whole federation on this machine and check it.
    #[command(after_help = DEMO_HELP)]
    Demo(Demo),
    /// Play a scenario with many peers on a virtual clock and check it.
    #[command(after_help = SIM_HELP)]
    Sim(Sim),
    /// Check known-answer vectors.
    #[command(after_help = "Exit codes: 0 all passed, 1 a case failed, 3 a family is not covered by this build\n\n\
        Example:\n  edge conformance conformance/")]
    Conformance(Conformance),
    /// Check whether this machine can publish, relay and watch.
    #[command(after_help = "Exit code 1 when a line says fail; warnings do not matter for it")]
    Doctor(Doctor),
    /// Print a completion script.
    #[command(after_help = "Example:\n  edge completions bash > ~/.local/share/bash-completion/completions/edge")]
    Completions {
        /// The shell.
        shell: clap_complete::Shell,
    },
}

impl Command {
    fn json(&self) -> bool {
        let format = match self {
            Self::Keygen(keygen) => keygen.format,
            Self::Key(KeyCommand::Show(show)) => show.format,
            Self::Publish(publish) => publish.format,
            Self::Relay(relay) => relay.format,
            Self::Watch(watch) => watch.format,
            Self::Outsider(outsider) => outsider.format,
            Self::Conformance(conformance) => conformance.format,
            Self::Sim(sim) => sim.format,
            Self::Doctor(doctor) => doctor.format,
            Self::Demo(_) | Self::Completions { .. } => return false,
        };
        format.json
    }
}

/// What to simulate.
#[derive(Debug, Args)]
pub(crate) struct Sim {
    /// Name of the scenario; see --list.
    #[arg(required_unless_present = "list")]
    pub(crate) scenario: Option<String>,
    /// List the scenarios.
    #[arg(long, conflicts_with = "scenario")]
    pub(crate) list: bool,
    /// Viewers; the scenario has a number of its own.
    #[arg(long, value_name = "COUNT", value_parser = peers)]
    pub(crate) peers: Option<usize>,
    /// Seed of everything random; equal seeds give equal runs.
    #[arg(long, default_value_t = 1)]
    pub(crate) seed: u64,
    /// Seconds of the virtual clock; the scenario has a number of its own.
    #[arg(long, value_name = "SECONDS")]
    #[arg(value_parser = clap::value_parser!(u64).range(DURATION_S_MIN..=DURATION_S_MAX))]
    pub(crate) duration: Option<u64>,
    /// Draw what happened into this file.
    #[arg(long, value_name = "FILE.svg")]
    pub(crate) plot: Option<PathBuf>,
    #[command(flatten)]
    format: Format,
}

/// Viewers of a simulation.
fn peers(text: &str) -> Result<usize, String> {
    use edge_sim::scenario::{VIEWERS_MAX, VIEWERS_MIN};
    let count: usize = text.parse().map_err(|_| "must be a number".to_owned())?;
    match (VIEWERS_MIN..=VIEWERS_MAX).contains(&count) {
        true => Ok(count),
        false => Err(format!("must be {VIEWERS_MIN} to {VIEWERS_MAX}")),
    }
}

/// Which vectors.
#[derive(Debug, Args)]
pub(crate) struct Conformance {
    /// Folders with vector files.
    #[arg(required = true, value_name = "DIR")]
    pub(crate) folders: Vec<PathBuf>,
    #[command(flatten)]
    format: Format,
}

#[derive(Debug, Args)]
pub(crate) struct Doctor {
    /// Key file to look at; the default one without.
    #[arg(long, env = "EDGE_KEY")]
    pub(crate) key: Option<PathBuf>,
    #[command(flatten)]
    format: Format,
}

#[derive(Debug, Args)]
pub(crate) struct Keygen {
    /// Name of the identity; without one it is derived from the keys.
    #[arg(long)]
    pub(crate) id: Option<String>,
    /// Key file to create.
    #[arg(long)]
    pub(crate) out: Option<PathBuf>,
    /// File whose first line encrypts the key file.
    #[arg(long, env = "EDGE_PASSPHRASE_FILE")]
    pub(crate) passphrase_file: Option<PathBuf>,
    /// Replace an existing key file.
    #[arg(long)]
    pub(crate) force: bool,
    #[command(flatten)]
    format: Format,
}

#[derive(Debug, Subcommand)]
pub(crate) enum KeyCommand {
    /// Print name, fingerprint and public keys; never a secret.
    #[command(after_help = "Example:\n  edge key show\n  edge key show --json alice.key")]
    Show(KeyShow),
}

#[derive(Debug, Args)]
pub(crate) struct KeyShow {
    /// Key file; the default one without.
    #[arg(env = "EDGE_KEY")]
    pub(crate) path: Option<PathBuf>,
    /// File whose first line opens an encrypted key file.
    #[arg(long, env = "EDGE_PASSPHRASE_FILE")]
    pub(crate) passphrase_file: Option<PathBuf>,
    #[command(flatten)]
    format: Format,
}

/// Which identity a role uses.
#[derive(Debug, Args)]
pub(crate) struct Identity {
    /// Key file; without one the default is used, and created at first.
    #[arg(long, env = "EDGE_KEY")]
    pub(crate) key: Option<PathBuf>,
    /// File whose first line opens an encrypted key file.
    #[arg(long, env = "EDGE_PASSPHRASE_FILE")]
    pub(crate) passphrase_file: Option<PathBuf>,
    /// Use a throw-away identity instead.
    #[arg(long)]
    pub(crate) ephemeral: bool,
}

/// How much a peer gives away.
#[derive(Debug, Args)]
pub(crate) struct Carry {
    /// Media for all children together, in Mbit/s; what is offered is measured below this.
    #[arg(long, value_name = "MBITS", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    uplink: u32,
    /// Children that are sent the whole stream, at most; four that only stand by, with its base, count as one.
    #[arg(long, value_name = "COUNT", default_value_t = 256, value_parser = clap::value_parser!(u16).range(1..=1024))]
    max_children: u16,
}

impl Carry {
    /// The same for a hub.
    pub(crate) fn room(&self) -> Room {
        Room { uplink_kbps: self.uplink.saturating_mul(1000), children_max: self.max_children }
    }
}

#[derive(Debug, Args)]
pub(crate) struct Publish {
    /// `pattern`, `pattern:WIDTHxHEIGHT@FPS`, a file (Y4M, IVF, WebM, MP4 with AV1), or `-` for a pipe.
    #[arg(value_parser = source)]
    source: Source,
    /// The source is raw I420 pictures of this size and rate: WIDTHxHEIGHT@FPS.
    #[arg(long, value_name = "SHAPE", value_parser = shape)]
    raw: Option<Shape>,
    /// WAV file whose sound goes with the picture.
    #[arg(long, value_name = "FILE")]
    pub(crate) audio: Option<String>,
    /// Scalability, L1T1 to L3T3; by picture size without.
    #[arg(long, value_parser = Mode::from_str)]
    pub(crate) svc: Option<Mode>,
    /// Video bit rate in kbit/s; by picture size without.
    #[arg(long)]
    pub(crate) bitrate: Option<u32>,
    /// Cut the pictures into this many descriptions, 1, 2 or 4, that travel apart: with some of them the picture goes
    /// on at a lower rate.
    #[arg(long, value_name = "COUNT", default_value = "1", value_parser = descriptions)]
    pub(crate) mdc: Descriptions,
    /// Address to listen on.
    #[arg(long, default_value = "0.0.0.0:0")]
    pub(crate) listen: SocketAddr,
    /// Address to put into tickets; repeatable.
    #[arg(long)]
    pub(crate) advertise: Vec<SocketAddr>,
    #[command(flatten)]
    pub(crate) carry: Carry,
    /// Stop after this many seconds of media.
    #[arg(long)]
    pub(crate) duration: Option<f64>,
    /// Play a file again and again.
    #[arg(long = "loop")]
    pub(crate) repeat: bool,
    /// Begin when this many viewers are there.
    #[arg(long, default_value_t = 0)]
    pub(crate) wait_for: usize,
    /// Folder that keeps the group across restarts.
    #[arg(long)]
    pub(crate) state: Option<PathBuf>,
    /// Read commands from standard input also when it is no terminal.
    #[arg(long)]
    pub(crate) commands: bool,
    #[command(flatten)]
    pub(crate) identity: Identity,
    /// Serve Prometheus metrics here.
    #[arg(long, value_name = "ADDR")]
    pub(crate) metrics: Option<SocketAddr>,
    #[command(flatten)]
    format: Format,
}

impl Publish {
    /// The source, with its shape where it cannot tell that itself.
    pub(crate) fn source(&self) -> Result<Source, String> {
        match (self.source.clone(), self.raw) {
            (Source::Input(name), Some((width, height, fps))) => {
                Ok(Source::Raw { name, width, height, rate: (fps, 1) })
            }
            (_, Some(_)) => Err("--raw goes with a file or `-`, not with a pattern".to_owned()),
            (source, None) => Ok(source),
        }
    }
}

#[derive(Debug, Args)]
pub(crate) struct Relay {
    /// What to carry; a ticket without a join secret is enough.
    pub(crate) ticket: String,
    /// Address to listen on.
    #[arg(long, default_value = "0.0.0.0:0")]
    pub(crate) listen: SocketAddr,
    /// Address to put into the ticket and to offer; repeatable.
    #[arg(long)]
    pub(crate) advertise: Vec<SocketAddr>,
    #[command(flatten)]
    pub(crate) carry: Carry,
    /// Take no parents but the peers of the ticket.
    #[arg(long)]
    pub(crate) fixed: bool,
    #[command(flatten)]
    pub(crate) identity: Identity,
    /// Serve Prometheus metrics here.
    #[arg(long, value_name = "ADDR")]
    pub(crate) metrics: Option<SocketAddr>,
    #[command(flatten)]
    format: Format,
}

#[derive(Debug, Args)]
pub(crate) struct Watch {
    /// A viewer's ticket.
    pub(crate) ticket: String,
    /// Relay ticket of a peer to watch through, and no other; repeatable.
    #[arg(long)]
    pub(crate) via: Vec<String>,
    /// Take no parents but the peers of the ticket.
    #[arg(long)]
    pub(crate) fixed: bool,
    /// Carry the stream for others too.
    #[arg(long)]
    pub(crate) relay: bool,
    /// With --relay: address to listen on.
    #[arg(long, default_value = "0.0.0.0:0", requires = "relay")]
    pub(crate) listen: SocketAddr,
    /// With --relay: address to offer; repeatable.
    #[arg(long, requires = "relay")]
    pub(crate) advertise: Vec<SocketAddr>,
    #[command(flatten)]
    pub(crate) carry: Carry,
    /// Highest layers: SPATIAL,TEMPORAL,QUALITY. Fewer come when the link is too slow.
    #[arg(long, value_parser = policy, default_value = "255,255,255")]
    pub(crate) layers: Policy,
    /// Ask for exactly these layers, however slow the link.
    #[arg(long)]
    pub(crate) pin_layers: bool,
    /// Recording: .webm, .ivf, .y4m, .wav, or `-` for WebM on standard output.
    #[arg(long)]
    pub(crate) out: Option<PathBuf>,
    /// PNG of the last picture.
    #[arg(long)]
    pub(crate) picture: Option<PathBuf>,
    /// Text file with one line a picture.
    #[arg(long)]
    pub(crate) trace: Option<PathBuf>,
    /// Show counters while watching.
    #[arg(long)]
    pub(crate) stats: bool,
    /// What to do after a removal.
    #[arg(long, hide = true, default_value = "end")]
    pub(crate) after_removal: Removed,
    #[command(flatten)]
    pub(crate) identity: Identity,
    /// Serve Prometheus metrics here.
    #[arg(long, value_name = "ADDR")]
    pub(crate) metrics: Option<SocketAddr>,
    #[command(flatten)]
    format: Format,
}

/// [`AfterRemoval`] on the command line.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum Removed {
    /// End.
    End,
    /// Go on trying.
    KeepTrying,
}

impl From<Removed> for AfterRemoval {
    fn from(removed: Removed) -> Self {
        match removed {
            Removed::End => Self::End,
            Removed::KeepTrying => Self::KeepTrying,
        }
    }
}

#[derive(Debug, Args)]
pub(crate) struct Outsider {
    /// A ticket without a join secret.
    pub(crate) ticket: String,
    #[command(flatten)]
    pub(crate) identity: Identity,
    #[command(flatten)]
    format: Format,
}

#[derive(Debug, Args)]
pub(crate) struct Demo {
    /// Let a mesh build itself, kill its relays under load, and judge how the pictures went on.
    #[arg(long)]
    pub(crate) churn: bool,
    /// Relays, spread over two tiers; with --churn, those alive at any time.
    #[arg(long, default_value_t = 2, default_value_if("churn", "true", "4"))]
    #[arg(value_parser = clap::value_parser!(u16).range(2..=32))]
    pub(crate) relays: u16,
    /// Viewers behind the second tier, besides the late, the removed and the direct one.
    #[arg(long, default_value_t = 3, default_value_if("churn", "true", "8"))]
    #[arg(value_parser = clap::value_parser!(u16).range(1..=64))]
    pub(crate) viewers: u16,
    /// Seconds of media.
    #[arg(long, default_value_t = 20, default_value_if("churn", "true", "60"))]
    #[arg(value_parser = clap::value_parser!(u16).range(5..=3600))]
    pub(crate) seconds: u16,
    /// Your own video instead of the test pattern.
    #[arg(long)]
    pub(crate) input: Option<PathBuf>,
    /// Cut the pictures into this many descriptions: 1, 2 or 4.
    #[arg(long, value_name = "COUNT", default_value = "1", value_parser = descriptions, conflicts_with = "churn")]
    pub(crate) mdc: Descriptions,
    /// Write the report's numbers here too; to standard output without a path.
    #[arg(long, value_name = "PATH", num_args = 0..=1, default_missing_value = "-")]
    pub(crate) json: Option<PathBuf>,
    /// Folder for the report.
    #[arg(long, default_value = "report")]
    pub(crate) report: PathBuf,
}

/// Parses a ticket, with a message that says which one is bad.
pub(crate) fn ticket(text: &str, name: &str) -> Result<Ticket, crate::Failure> {
    text.parse().map_err(|error| format!("{name}: {error}").into())
}

fn source(text: &str) -> Result<Source, String> {
    let Some(shape) = text.strip_prefix("pattern") else { return Ok(Source::Input(text.to_owned())) };
    let pattern = |(width, height, fps)| Source::Pattern { width, height, rate: (fps, 1) };
    match shape.strip_prefix(':') {
        _ if shape.is_empty() => Ok(pattern((640, 360, 30))),
        Some(text) => self::shape(text).map(pattern).map_err(|_| "a pattern looks like pattern:1280x720@30".to_owned()),
        None => Ok(Source::Input(text.to_owned())),
    }
}

/// Width, height and whole frames a second.
type Shape = (u32, u32, u32);

fn shape(text: &str) -> Result<Shape, String> {
    let parse = || -> Option<Shape> {
        let (size, fps) = text.split_once('@')?;
        let (width, height) = size.split_once('x')?;
        Some((width.parse().ok()?, height.parse().ok()?, fps.parse().ok().filter(|fps| *fps > 0)?))
    };
    parse().ok_or_else(|| "a shape looks like 1280x720@30".to_owned())
}

fn descriptions(text: &str) -> Result<Descriptions, String> {
    match text {
        "1" => Ok(Descriptions::One),
        "2" => Ok(Descriptions::Two),
        "4" => Ok(Descriptions::Four),
        _ => Err("1, 2 or 4".to_owned()),
    }
}

fn policy(text: &str) -> Result<Policy, String> {
    let caps: Vec<u8> =
        text.split(',').map(|cap| cap.trim().parse().map_err(|_| WRONG_LAYERS.to_owned())).collect::<Result<_, _>>()?;
    match caps[..] {
        [spatial, temporal, quality] => Ok(Policy::new(spatial, temporal, quality)),
        _ => Err(WRONG_LAYERS.to_owned()),
    }
}

const WRONG_LAYERS: &str = "three numbers from 0 to 255, as in 1,2,0";
