//! `edge demo --churn`: a mesh that nobody lays out, whose relays are killed under load.
//!
//! Every peer gets the publisher's ticket and nothing else. The publisher feeds few children itself, so that the relays
//! are needed. On a schedule, the relay with the most children is killed without a word, and a fresh one comes.

mod gaps;
mod report;

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use tempfile::TempDir;
use tokio::time::{Instant, sleep};

use super::child::{Child, Record};
use super::error::Error;
use super::trace::{self, Shown};
use crate::args::Demo;
use crate::console::Console;
pub(super) use report::Report;

/// Children that the publisher feeds itself.
const PUBLISHER_CHILDREN: u16 = 3;
/// Children that one relay feeds.
const RELAY_CHILDREN: u16 = 6;
/// Patience for the start of everybody.
const START_LIMIT: Duration = Duration::from_secs(40);
/// Patience for the end, beyond the length of the media: a viewer that found no parent gives up after half a minute,
/// and is part of the verdict.
const END_LIMIT: Duration = Duration::from_secs(45);
const TICK: Duration = Duration::from_millis(20);
/// Media before the first kill: the mesh settles.
const SETTLE: Duration = Duration::from_secs(6);
/// Media between two kills.
const PAUSE: Duration = Duration::from_secs(6);
/// Media after the last kill: the last heal is watched to its end.
const CALM: Duration = Duration::from_secs(5);
const PATTERN: &str = "pattern:640x360@30";

/// One kill.
#[derive(Debug, Clone)]
pub(super) struct Kill {
    /// Who died.
    pub(super) relay: String,
    /// When, in µs since 1970.
    pub(super) at_unix_us: u64,
    /// Viewers that followed it.
    pub(super) bereaved: Vec<String>,
}

/// One viewer and what it left.
#[derive(Debug)]
pub(super) struct Viewer {
    pub(super) name: String,
    pub(super) record: Record,
    pub(super) trace: Vec<Shown>,
}

/// What was played.
#[derive(Debug)]
pub(super) struct Performance {
    pub(super) kills: Vec<Kill>,
    pub(super) viewers: Vec<Viewer>,
    /// Relays that were not killed, with their exit status.
    pub(super) survivors: Vec<(String, Record)>,
    pub(super) publisher: Record,
    pub(super) length: Duration,
}

struct Actor {
    name: String,
    child: Child,
    killed: bool,
}

struct Stage<'a> {
    program: PathBuf,
    demo: &'a Demo,
    console: &'a Console,
    folder: TempDir,
    publisher: Option<Actor>,
    relays: Vec<Actor>,
    viewers: Vec<Actor>,
    begun: Instant,
}

/// Plays from the first process to the end of the last.
pub(super) async fn perform(demo: &Demo, console: &Console) -> Result<Performance, Error> {
    let program = std::env::current_exe().map_err(|source| Error::Start { name: "edge".into(), source })?;
    let folder = tempfile::Builder::new().prefix("edge-churn-").tempdir();
    let folder = folder.map_err(|source| Error::file("create a folder in", &std::env::temp_dir(), source))?;
    let (relays, viewers) = (Vec::new(), Vec::new());
    let begun = Instant::now();
    let mut stage = Stage { program, demo, console, folder, publisher: None, relays, viewers, begun };
    stage.open().await?;
    let kills = stage.play().await?;
    stage.close().await?;
    stage.gather(kills)
}

impl Stage<'_> {
    async fn open(&mut self) -> Result<(), Error> {
        self.publisher = Some(self.start("publisher", self.publisher_args())?);
        self.wait("the publisher's start", |stage| stage.ticket().is_some()).await?;
        for number in 1..=self.demo.relays {
            self.start_relay(usize::from(number))?;
        }
        self.wait("the start of the relays", |stage| stage.relays.iter().all(|relay| linked(&relay.child))).await?;
        for number in 1..=self.demo.viewers {
            let name = format!("viewer-{number}");
            let args = self.viewer_args(&name)?;
            let viewer = self.start(&name, args)?;
            self.viewers.push(viewer);
        }
        let admitted = |viewer: &Actor| viewer.child.record().admitted_unix_us.is_some();
        self.wait("the admission of the viewers", |stage| stage.viewers.iter().all(admitted)).await?;
        self.begun = Instant::now();
        self.console.line(&format!(
            "{} relays and {} viewers found their parents; {} s of media",
            self.relays.len(),
            self.viewers.len(),
            self.demo.seconds
        ));
        Ok(())
    }

    async fn play(&mut self) -> Result<Vec<Kill>, Error> {
        let length = Duration::from_secs(self.demo.seconds.into());
        let mut kills = Vec::new();
        let mut next = SETTLE;
        while next + CALM <= length {
            self.until(self.begun + next).await?;
            if let Some(kill) = self.kill().await {
                self.console.line(&format!(
                    "{:5.1} s  {} killed; bereaved: {}",
                    self.begun.elapsed().as_secs_f64(),
                    kill.relay,
                    if kill.bereaved.is_empty() { "nobody".to_owned() } else { kill.bereaved.join(", ") }
                ));
                kills.push(kill);
                self.start_relay(self.relays.len() + 1)?;
            }
            next += PAUSE;
        }
        Ok(kills)
    }

    /// Kills the living relay that most viewers follow.
    async fn kill(&mut self) -> Option<Kill> {
        let bereaved: Vec<Vec<String>> = self.relays.iter().map(|relay| self.followers(relay)).collect();
        let living = self.relays.iter().zip(&bereaved).enumerate().filter(|(_, (relay, _))| !relay.killed);
        let at = living.max_by_key(|(_, (_, bereaved))| bereaved.len()).map(|(at, _)| at)?;
        let busiest = self.relays.get_mut(at)?;
        busiest.killed = true;
        busiest.child.kill().await;
        let (relay, at_unix_us) = (busiest.name.clone(), edge_node::clock::unix_us());
        Some(Kill { relay, at_unix_us, bereaved: bereaved.into_iter().nth(at).unwrap_or_default() })
    }

    /// Viewers whose pictures come from `relay`.
    fn followers(&self, relay: &Actor) -> Vec<String> {
        let fingerprint = relay.child.record().fingerprint.clone();
        let follows = |viewer: &&Actor| fingerprint.is_some() && viewer.child.record().parent == fingerprint;
        self.viewers.iter().filter(follows).map(|viewer| viewer.name.clone()).collect()
    }

    async fn until(&self, instant: Instant) -> Result<(), Error> {
        while Instant::now() < instant {
            self.look_after()?;
            sleep(TICK).await;
        }
        Ok(())
    }

    async fn close(&self) -> Result<(), Error> {
        let deadline = self.begun + Duration::from_secs(self.demo.seconds.into()) + END_LIMIT;
        loop {
            let lives = |actor: &&Actor| actor.child.record().ended.is_none();
            let missing: Vec<&str> = self.everybody().filter(lives).map(|actor| actor.name.as_str()).collect();
            if missing.is_empty() {
                return Ok(());
            }
            if Instant::now() >= deadline {
                let what = "the end of all processes";
                return Err(Error::TimedOut { what, limit: END_LIMIT, missing: missing.join(", ") });
            }
            sleep(TICK).await;
        }
    }

    fn gather(self, kills: Vec<Kill>) -> Result<Performance, Error> {
        let viewer = |actor: &Actor| {
            let trace = trace::read(&self.file(&actor.name, "trace"))?;
            Ok(Viewer { name: actor.name.clone(), record: actor.child.record().clone(), trace })
        };
        let viewers = self.viewers.iter().map(viewer).collect::<Result<_, Error>>()?;
        let survivors = self.relays.iter().filter(|relay| !relay.killed);
        let survivors = survivors.map(|relay| (relay.name.clone(), relay.child.record().clone())).collect();
        let publisher = self.publisher.as_ref().map(|actor| actor.child.record().clone()).unwrap_or_default();
        let length = Duration::from_secs(self.demo.seconds.into());
        Ok(Performance { kills, viewers, survivors, publisher, length })
    }

    /// Waits until `there` holds; nobody may end meanwhile.
    async fn wait(&self, what: &'static str, there: impl Fn(&Self) -> bool) -> Result<(), Error> {
        let deadline = Instant::now() + START_LIMIT;
        while !there(self) {
            self.look_after()?;
            if Instant::now() >= deadline {
                return Err(Error::TimedOut { what, limit: START_LIMIT, missing: String::new() });
            }
            sleep(TICK).await;
        }
        Ok(())
    }

    fn look_after(&self) -> Result<(), Error> {
        for actor in self.everybody().filter(|actor| !actor.killed) {
            let record = actor.child.record();
            if let (Some(status), None) = (record.ended, &record.done) {
                let last_words = record.last_words();
                return Err(Error::Ended { name: actor.name.clone(), exit: status.to_string(), last_words });
            }
        }
        Ok(())
    }

    fn everybody(&self) -> impl Iterator<Item = &Actor> {
        self.publisher.iter().chain(&self.relays).chain(&self.viewers)
    }

    fn start(&self, name: &str, mut args: Vec<OsString>) -> Result<Actor, Error> {
        args.extend(["--json".into(), "--ephemeral".into()]);
        let child = Child::start(&self.program, name, &args)?;
        Ok(Actor { name: name.to_owned(), child, killed: false })
    }

    fn start_relay(&mut self, number: usize) -> Result<(), Error> {
        let ticket = self.told(|record| record.relay_ticket.clone())?;
        let mut args: Vec<OsString> = vec!["relay".into(), ticket];
        args.extend(["--listen", "127.0.0.1:0", "--max-children"].map(OsString::from));
        args.push(RELAY_CHILDREN.to_string().into());
        let relay = self.start(&format!("relay-{number}"), args)?;
        self.relays.push(relay);
        Ok(())
    }

    fn publisher_args(&self) -> Vec<OsString> {
        let source = self.demo.input.as_ref().map_or(PATTERN.into(), |input| input.clone().into_os_string());
        let mut args: Vec<OsString> = vec!["publish".into(), source];
        args.extend(["--listen", "127.0.0.1:0", "--svc", "L3T3", "--max-children"].map(OsString::from));
        args.extend([
            PUBLISHER_CHILDREN.to_string().into(),
            "--wait-for".into(),
            self.demo.viewers.to_string().into(),
            "--duration".into(),
            self.demo.seconds.to_string().into(),
        ]);
        args.extend(self.demo.input.is_some().then(|| "--loop".into()));
        args
    }

    fn viewer_args(&self, name: &str) -> Result<Vec<OsString>, Error> {
        let ticket = self.told(|record| record.ticket.clone())?;
        Ok(vec!["watch".into(), ticket, "--trace".into(), self.file(name, "trace").into()])
    }

    fn ticket(&self) -> Option<String> {
        self.publisher.as_ref()?.child.record().ticket.clone()
    }

    fn told(&self, what: impl Fn(&Record) -> Option<String>) -> Result<OsString, Error> {
        let told = self.publisher.as_ref().and_then(|publisher| what(&publisher.child.record()));
        told.map(Into::into).ok_or(Error::Silent { name: "publisher".into(), what: "tell a ticket" })
    }

    fn file(&self, name: &str, ending: &str) -> PathBuf {
        self.folder.path().join(format!("{name}.{ending}"))
    }
}

fn linked(child: &Child) -> bool {
    let record = child.record();
    record.relay_ticket.is_some() && record.depth.is_some()
}
