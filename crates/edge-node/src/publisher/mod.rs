//! The publisher: captures, encodes once, seals once, keeps the group, feeds its children.

mod capture;
mod input;
mod keeper;
mod program;
mod sealer;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use edge_alm::path::{Descriptions, SubStreamPath};
use edge_codec::video::Mode;
use edge_crypto::random::System;
use edge_crypto::{Random, Secret, hash};
use edge_group::{Emission, Group, Incarnation, Restored};
use edge_identity::bundle::KeyBundle;
use edge_net::{CloseCode, Endpoint, Limits};
use edge_seal::EpochDek;
use edge_seal::payload::Origin;
use edge_wire::control::Message;
use edge_wire::id::{Epoch, StreamId};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;

use crate::admission::Keys;
use crate::event::{Event, PublishStats, Reporter, Stats};
use crate::hub::{Board, Ending, Hub, Room, Upward};
use crate::lane;
use crate::neighbours::Neighbours;
use crate::offering::Offering;
use crate::state::{Record, Vault};
use crate::ticket::{JoinSecret, Ticket};
use crate::{Error, Shutdown, clock, process};
use capture::Controls;
use keeper::Keeper;
use program::Program;
use sealer::{Sealer, Totals};

pub use keeper::{BATCH_WINDOW, MAX_BATCH, MAX_MEMBERS};

const FAREWELL: Duration = Duration::from_secs(2);
const REPORT_EVERY: Duration = Duration::from_secs(1);

/// Where picture and sound come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// The built-in moving test pattern with a tone.
    Pattern {
        /// Width in pixels, even.
        width: u32,
        /// Height in pixels, even.
        height: u32,
        /// Frames per second as (numerator, denominator).
        rate: (u32, u32),
    },
    /// A file, or `-` for standard input: Y4M, or AV1 in IVF, WebM or MP4, whose Opus sound passes through.
    Input(String),
    /// Raw I420 pictures from a file, or `-`.
    Raw {
        /// Path, or `-`.
        name: String,
        /// Width in pixels, even.
        width: u32,
        /// Height in pixels, even.
        height: u32,
        /// Frames per second as (numerator, denominator).
        rate: (u32, u32),
    },
}

/// What to publish and how.
#[derive(Debug, Clone)]
pub struct Options {
    /// Identity.
    pub bundle: Arc<KeyBundle>,
    /// Address to listen on; port 0 lets the system choose.
    pub listen: SocketAddr,
    /// Addresses to put into tickets; empty for the listening address itself.
    pub advertise: Vec<SocketAddr>,
    /// Picture and sound.
    pub source: Source,
    /// WAV file whose sound goes with the picture instead of the source's own.
    pub audio: Option<String>,
    /// Scalability of the encoded video; `None` picks by picture size.
    pub mode: Option<Mode>,
    /// Video bit rate; `None` picks by picture size.
    pub bitrate_kbps: Option<u32>,
    /// Into how many descriptions the pictures are cut; they share the bit rate.
    pub descriptions: Descriptions,
    /// Stop after this much media.
    pub duration: Option<Duration>,
    /// Repeat the input from its start until stopped.
    pub repeat: Repeat,
    /// Begin to play when this many viewers are members.
    pub wait_for: usize,
    /// How much to give away directly.
    pub room: Room,
    /// Folder for sealed group state; without one a restart is a new stream.
    pub state: Option<PathBuf>,
}

/// Whether an input starts again at its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Repeat {
    /// The stream ends with its input.
    #[default]
    Once,
    /// The input starts again.
    Forever,
}

/// What a person can tell a running publisher.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Command {
    /// Remove the member with this name, refuse it from now on, and invalidate the old ticket.
    Remove(String),
    /// Bring fresh keys without changing the roster.
    Rotate,
    /// Report the group again.
    Members,
}

/// Publishes until the source ends, the duration is over, or `shutdown`.
pub async fn run(
    options: Options,
    commands: mpsc::Receiver<Command>,
    reporter: Reporter,
    shutdown: Shutdown,
) -> Result<(), Error> {
    let stage = Stage::set(&options, &reporter)?;
    let outcome = stage.play(&options, commands, shutdown).await;
    let reason = outcome.as_ref().err().map_or("the stream is over".into(), ToString::to_string);
    reporter.send_last(Event::Done { reason }).await;
    outcome
}

/// The announcement of a publisher that listens.
fn ready(bundle: &KeyBundle, ticket: &Ticket) -> Event {
    Event::Ready {
        role: "publish".into(),
        key_id: bundle.key_id().to_string(),
        fingerprint: bundle.fingerprint().to_string(),
        listen: ticket.hops.first().map(|hop| hop.addr.to_string()),
        ticket: Some(ticket.to_text().to_string()),
        relay_ticket: Some(ticket.for_relays().to_text().to_string()),
    }
}

/// Everything that stands before the first frame.
struct Stage {
    endpoint: Arc<Endpoint>,
    hub: Hub,
    wishes: mpsc::Receiver<Upward>,
    board: Board,
    lanes: Vec<(Hub, mpsc::Receiver<Upward>)>,
    program: Program,
    opening: Opening,
    ticket: Ticket,
    offering: Offering,
    reporter: Reporter,
}

impl Stage {
    fn set(options: &Options, reporter: &Reporter) -> Result<Self, Error> {
        let bundle = &options.bundle;
        let endpoint = Arc::new(Endpoint::bind(bundle.clone(), options.listen, &Limits::default())?);
        let opening = Opening::new(options)?;
        let program = Program::open(options, opening.media_start_us())?;
        let stream = opening.group.stream();
        // A publisher has no parents: what it hears of others it only passes on.
        let neighbours = Neighbours::new(stream, bundle.fingerprint());
        let open = |path: &SubStreamPath| -> Result<_, Error> {
            let (hub, wishes) = lane::hub(path, &neighbours, options.room, reporter)?;
            hub.set_chain(vec![bundle.fingerprint()]);
            Ok((hub, wishes))
        };
        let (hub, wishes) = open(&SubStreamPath::WHOLE)?;
        // Every lane that there is is here; nobody listens for wishes for others.
        let (board, _) = Board::new(hub.clone());
        let paths = options.descriptions.leaves().into_iter().filter(|path| !path.is_whole());
        let lanes = paths.map(|path| open(&path)).collect::<Result<Vec<_>, _>>()?;
        lanes.iter().for_each(|(lane, _)| board.add(lane.clone()));
        let hops = crate::ticket::own_hops(bundle, endpoint.local_addr()?, &options.advertise);
        let secret = Secret::from_slice(opening.secret.expose());
        let ticket = Ticket { stream, publisher: bundle.fingerprint(), hops: hops.clone(), secret };
        let offering = Offering {
            bundle: bundle.clone(),
            hops,
            board: board.clone(),
            neighbours,
            room: options.room,
            gauge: None,
        };
        Ok(Self { endpoint, hub, wishes, board, lanes, program, opening, ticket, offering, reporter: reporter.clone() })
    }

    async fn play(self, options: &Options, commands: mpsc::Receiver<Command>, shutdown: Shutdown) -> Result<(), Error> {
        let Self { endpoint, hub, wishes, board, lanes, program, opening, ticket, offering, reporter } = self;
        reporter.send(ready(&options.bundle, &ticket));
        let Opening { group, dek, vault, unsent, born_us, desk, .. } = opening;
        for emission in &unsent {
            hub.carry(&keeper::accepted(emission, &options.bundle)?);
        }
        let totals = Arc::new(Totals::default());
        let controls = Arc::new(Controls::default());
        let (members, watching) = watch::channel(group.roster().len());
        let first = group.epoch();
        let (keys_in, keys_out) = mpsc::channel(sealer::MAX_KEYS);
        let mut tasks = JoinSet::new();
        let mut sealing = Vec::new();
        for (description, (hub, wishes)) in lanes.into_iter().enumerate() {
            let sender = edge_seal::Sender::new(hub.stream(), group.epoch(), crate::description::copy(&dek));
            sealing.push(sealer::Lane { sender, hub });
            tasks.spawn(recover(wishes, description, controls.clone()));
        }
        let sealer = Sealer {
            main: sealer::Lane { sender: edge_seal::Sender::new(group.stream(), group.epoch(), dek), hub: hub.clone() },
            lanes: sealing,
            origin: Origin::from(options.bundle.fingerprint()),
            frame_duration_us: program.frame_duration_us(),
            totals: totals.clone(),
        };
        let Some(secret) = &ticket.secret else { return Err(Error::NoSecret) };
        let keeper = Keeper {
            keys: Keys::new(secret, group.stream())?,
            older: VecDeque::new(),
            bundle: options.bundle.clone(),
            group,
            ticket,
            description: program.description(),
            hub: hub.clone(),
            sealer: keys_in,
            controls: controls.clone(),
            members,
            vault,
            reporter: reporter.clone(),
            desk,
            born_us,
        };
        let mut keeping = tokio::spawn(keeper.run(wishes, commands));
        tasks.spawn(board.clone().accept(endpoint.clone()));
        tasks.spawn(offering.run());
        let gauge = Gauge { totals, controls: controls.clone(), hub: hub.clone(), members: watching.clone() };
        tasks.spawn(gauge.clone().report(reporter.clone()));
        let outcome = tokio::select! {
            () = crate::ended(shutdown) => Ok(()),
            kept = &mut keeping => kept.unwrap_or(Err(Error::Crashed("the group's keeper"))),
            played = program.perform(&controls, watching, sealer, keys_out) => played,
        };
        controls.stop();
        let last = Epoch(first.0.max(gauge.totals.epoch.load(Ordering::Relaxed)));
        for hub in board.all() {
            let ending = edge_alm::ending::Ending { stream: hub.stream(), epoch: last, at_unix_ms: clock::unix_ms() };
            let notice = tokio::task::block_in_place(|| ending.sign(&options.bundle))?;
            hub.carry(&Message::Ended { stream: hub.stream(), notice: notice.into() });
        }
        board.finish(Ending::StreamOver, FAREWELL).await;
        keeping.abort();
        tasks.abort_all();
        reporter.send_last(Event::Stats(Stats::Publish(gauge.stats()))).await;
        endpoint.close(CloseCode::DONE, "the publisher ended");
        endpoint.wait_idle().await;
        outcome
    }
}

/// Passes on what children of one description want of its encoder; the rest goes by the whole stream.
async fn recover(mut wishes: mpsc::Receiver<Upward>, description: usize, controls: Arc<Controls>) {
    while let Some(wish) = wishes.recv().await {
        if let Upward::Recover(need) = wish {
            controls.request_of(description, need);
        }
    }
}

/// What a stream begins with: a new group, or the one of before the restart in a fresh epoch.
struct Opening {
    group: Group,
    dek: EpochDek,
    vault: Option<Vault>,
    born_us: u64,
    secret: JoinSecret,
    desk: keeper::Desk,
    /// Commits that members may not have seen before the restart.
    unsent: Vec<Emission>,
}

impl Opening {
    fn new(options: &Options) -> Result<Self, Error> {
        let bundle = &options.bundle;
        let Some(folder) = &options.state else {
            let stream = StreamId(System.array());
            return Self::fresh(stream, bundle, None);
        };
        // With a folder, the identity has one stream there, so that a restart finds it again.
        let stream = StreamId(hash::sha256(&[b"edge/stream/v1", &bundle.fingerprint().0]));
        let vault = Vault::new(folder, stream)?;
        match vault.load(bundle)? {
            None => Self::fresh(stream, bundle, Some(vault)),
            Some(record) => Self::resumed(record, bundle, vault),
        }
    }

    fn fresh(stream: StreamId, bundle: &KeyBundle, vault: Option<Vault>) -> Result<Self, Error> {
        let group = Group::create(stream, Incarnation(System.array()), bundle, clock::unix_s())?;
        let (dek, secret) = (group.dek()?, Ticket::new_secret(&mut System));
        let (born_us, desk) = (clock::unix_us(), keeper::Desk::default());
        if let Some(vault) = &vault {
            // Before the ticket is shown: it must stay good after a crash.
            let copy = Secret::from_slice(secret.expose()).ok_or(Error::NoSecret)?;
            let (names, removed, snapshot) = (BTreeMap::new(), BTreeSet::new(), group.snapshot()?);
            vault.store(&Record { born_us, secret: copy, names, removed, group: snapshot }, bundle)?;
        }
        Ok(Self { group, dek, vault, born_us, secret, desk, unsent: Vec::new() })
    }

    fn resumed(record: Record, bundle: &KeyBundle, vault: Vault) -> Result<Self, Error> {
        let restored = Restored::parse(&record.group, bundle)?;
        let mut unsent: Vec<Emission> = restored.resend().cloned().into_iter().collect();
        let rotating = restored.rotate()?;
        let record = Record { group: rotating.snapshot()?, ..record };
        vault.store(&record, bundle)?;
        unsent.push(rotating.emission().clone());
        let (group, dek) = rotating.merge()?;
        let Record { born_us, secret, names, removed, .. } = record;
        let desk = keeper::Desk::of(names, removed);
        Ok(Self { group, dek, vault: Some(vault), born_us, secret, desk, unsent })
    }

    /// Media time at which this run begins: 0 for a new stream.
    fn media_start_us(&self) -> u64 {
        match self.unsent.is_empty() {
            true => 0,
            false => clock::unix_us().saturating_sub(self.born_us),
        }
    }
}

/// Reads the publisher's counters.
#[derive(Clone)]
struct Gauge {
    totals: Arc<Totals>,
    controls: Arc<Controls>,
    hub: Hub,
    members: watch::Receiver<usize>,
}

impl Gauge {
    async fn report(self, reporter: Reporter) {
        let mut ticks = tokio::time::interval(REPORT_EVERY);
        loop {
            ticks.tick().await;
            reporter.send(Event::Stats(Stats::Publish(self.stats())));
        }
    }

    fn stats(&self) -> PublishStats {
        let total = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        PublishStats {
            frames_published: total(&self.totals.frames),
            audio_published: total(&self.totals.sounds),
            frames_skipped: total(&self.controls.skipped),
            chunks_sealed: total(&self.totals.chunks),
            bytes_sealed: total(&self.totals.bytes),
            encode_ms: self.controls.encode_ms(),
            epoch: total(&self.totals.epoch),
            members: *self.members.borrow(),
            children: self.hub.children(),
            cpu_s: process::cpu_s(),
        }
    }
}
