//! The script of a demo: starts the processes in order, follows the clock, gathers what they left.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use tempfile::TempDir;
use tokio::process::Command;
use tokio::time::{Instant, sleep, timeout};

use super::cast::{Actor, Part, cast};
use super::child::{Child, Record};
use super::error::Error;
use super::table::Table;
use super::trace::{self, Shown};
use crate::args::Demo;
use crate::console::Console;

/// Patience for one step of the start.
const START_LIMIT: Duration = Duration::from_secs(30);
/// Patience for the end, beyond the length of the media.
const END_LIMIT: Duration = Duration::from_secs(30);
/// Time between two looks at the processes.
const TICK: Duration = Duration::from_millis(50);
/// When the late viewer starts, as a share of the length.
const LATE_AT: f64 = 0.4;
/// When a viewer is removed, as a share of the length.
const REMOVE_AT: f64 = 0.6;
const PATTERN: &str = "pattern:640x360@30";
/// Viewer that also records.
const RECORDER: &str = "viewer-1";

/// What is to be played.
#[derive(Debug)]
pub(super) struct Script {
    /// This executable.
    program: PathBuf,
    actors: Vec<Actor>,
    length: Duration,
    input: Option<PathBuf>,
    /// Descriptions that the pictures are cut into.
    descriptions: usize,
    report: PathBuf,
    /// Keys and traces. It goes when the script goes, which is after the last process.
    folder: TempDir,
}

impl Script {
    /// The play that the command line describes.
    pub(super) fn new(demo: &Demo) -> Result<Self, Error> {
        let program = std::env::current_exe();
        let folder = tempfile::Builder::new().prefix("edge-demo-").tempdir();
        Ok(Self {
            program: program.map_err(|source| Error::Start { name: "edge".into(), source })?,
            actors: cast(demo.relays, demo.viewers),
            length: Duration::from_secs(demo.seconds.into()),
            input: demo.input.clone(),
            descriptions: demo.mdc.leaves().len(),
            report: demo.report.clone(),
            folder: folder.map_err(|source| Error::file("create a folder in", &std::env::temp_dir(), source))?,
        })
    }
}

/// What was played.
#[derive(Debug)]
pub(super) struct Performance {
    /// Everybody, parents before children.
    pub(super) played: Vec<Played>,
    /// What was published.
    pub(super) source: String,
    /// Length of the media.
    pub(super) length: Duration,
}

/// One process and what it left.
#[derive(Debug)]
pub(super) struct Played {
    /// Who it was.
    pub(super) actor: Actor,
    /// What it reported.
    pub(super) record: Record,
    /// Its pictures; empty for who does not watch.
    pub(super) trace: Vec<Shown>,
    /// PNG of its last picture.
    pub(super) picture: Option<Vec<u8>>,
}

/// Plays `script` from the first process to the end of the last.
pub(super) async fn perform(script: &Script, console: &Console) -> Result<Performance, Error> {
    let mut stage = Stage::new(script, console);
    stage.make_keys().await?;
    stage.enter("the publisher's start", |part| part == Part::Publisher, |record| record.ticket.is_some()).await?;
    for tier in [1, 2] {
        let carries = |record: &Record| record.relay_ticket.is_some() && record.depth.is_some();
        stage.enter("the start of the relays", |part| part == Part::Relay(tier), carries).await?;
    }
    stage.enter("the outsider's connection", |part| part == Part::Outsider, |record| record.depth.is_some()).await?;
    let early = |part: Part| part.watches() && part != Part::Late;
    stage.enter("the admission of the viewers", early, |record| record.admitted_unix_us.is_some()).await?;
    let begun = Instant::now();
    stage.until(begun + script.length.mul_f64(LATE_AT)).await?;
    stage.start(Part::Late)?;
    stage.until(begun + script.length.mul_f64(REMOVE_AT)).await?;
    stage.remove().await?;
    stage.finish(begun + script.length + END_LIMIT).await?;
    stage.gather()
}

struct Stage<'a> {
    script: &'a Script,
    /// By place in the cast; empty before the start.
    children: Vec<Option<Child>>,
    table: Table,
}

impl<'a> Stage<'a> {
    fn new(script: &'a Script, console: &Console) -> Self {
        let children = script.actors.iter().map(|_| None).collect();
        Self { script, children, table: Table::new(console, script.length) }
    }

    async fn make_keys(&self) -> Result<(), Error> {
        for actor in &self.script.actors {
            let mut keygen = Command::new(&self.script.program);
            keygen.args(["keygen", "--id", &actor.name, "--out"]).arg(self.file(actor, "key")).kill_on_drop(true);
            let name = format!("the key maker of {}", actor.name);
            let output = match timeout(START_LIMIT, keygen.output()).await {
                Ok(output) => output.map_err(|source| Error::Start { name: name.clone(), source })?,
                Err(_) => return Err(timed_out("making a key", START_LIMIT, name)),
            };
            if !output.status.success() {
                let last_words = String::from_utf8_lossy(&output.stderr).into_owned();
                return Err(Error::Ended { name, exit: output.status.to_string(), last_words });
            }
        }
        Ok(())
    }

    /// Starts everybody whose part is `wanted` and waits until all of them are `there`.
    async fn enter(
        &mut self,
        what: &'static str,
        wanted: impl Fn(Part) -> bool,
        there: impl Fn(&Record) -> bool,
    ) -> Result<(), Error> {
        let places: Vec<usize> = (0..self.children.len()).filter(|at| wanted(self.script.actors[*at].part)).collect();
        for at in &places {
            self.start_at(*at)?;
        }
        let deadline = Instant::now() + START_LIMIT;
        loop {
            self.look_after()?;
            let missing = |at: &&usize| self.children[**at].as_ref().is_none_or(|child| !there(&child.record()));
            let missing: Vec<&str> = places.iter().filter(missing).map(|at| self.name(*at)).collect();
            if missing.is_empty() {
                return Ok(());
            }
            if Instant::now() >= deadline {
                return Err(timed_out(what, START_LIMIT, missing.join(", ")));
            }
            sleep(TICK).await;
        }
    }

    fn start(&mut self, part: Part) -> Result<(), Error> {
        let places: Vec<usize> = (0..self.children.len()).filter(|at| self.script.actors[*at].part == part).collect();
        places.into_iter().try_for_each(|at| self.start_at(at))
    }

    fn start_at(&mut self, at: usize) -> Result<(), Error> {
        let actor = &self.script.actors[at];
        let args = self.args(actor)?;
        self.children[at] = Some(Child::start(&self.script.program, &actor.name, &args)?);
        Ok(())
    }

    fn args(&self, actor: &Actor) -> Result<Vec<OsString>, Error> {
        let mut args: Vec<OsString> = match actor.part {
            Part::Publisher => self.publisher_args(),
            Part::Relay(_) => {
                let mut args: Vec<OsString> = vec!["relay".into(), self.relay_ticket(actor)?];
                args.extend(["--fixed", "--listen", "127.0.0.1:0"].map(OsString::from));
                args
            }
            Part::Outsider => vec!["outsider".into(), self.relay_ticket(actor)?],
            Part::Present | Part::Direct | Part::Removed | Part::Late => self.viewer_args(actor)?,
        };
        args.extend(["--json".into(), "--key".into(), self.file(actor, "key").into()]);
        Ok(args)
    }

    fn publisher_args(&self) -> Vec<OsString> {
        let audience =
            self.script.actors.iter().filter(|actor| actor.part.watches() && actor.part != Part::Late).count();
        let source = self.script.input.as_ref().map_or(PATTERN.into(), |input| input.clone().into_os_string());
        let mut args: Vec<OsString> = vec!["publish".into(), source];
        args.extend(["--listen", "127.0.0.1:0", "--svc", "L3T3", "--commands", "--wait-for"].map(OsString::from));
        args.extend([
            audience.to_string().into(),
            "--duration".into(),
            self.script.length.as_secs().to_string().into(),
        ]);
        args.extend(self.script.input.is_some().then(|| "--loop".into()));
        args.extend(["--mdc".into(), self.script.descriptions.to_string().into()]);
        args
    }

    fn viewer_args(&self, actor: &Actor) -> Result<Vec<OsString>, Error> {
        let ticket = self.told(0, |record| record.ticket.clone())?;
        let mut args: Vec<OsString> = vec!["watch".into(), ticket];
        match actor.part {
            Part::Direct => args.push("--fixed".into()),
            _ => args.extend(["--via".into(), self.relay_ticket(actor)?]),
        }
        args.extend(["--trace".into(), self.file(actor, "trace").into()]);
        args.extend(["--picture".into(), self.file(actor, "png").into()]);
        if actor.part == Part::Removed {
            args.extend(["--after-removal", "keep-trying"].map(OsString::from));
        }
        if actor.name == RECORDER {
            args.extend(["--out".into(), self.script.report.join("viewer-1.webm").into()]);
        }
        Ok(args)
    }

    fn relay_ticket(&self, actor: &Actor) -> Result<OsString, Error> {
        self.told(actor.parent.unwrap_or(0), |record| record.relay_ticket.clone())
    }

    fn told(&self, at: usize, what: impl Fn(&Record) -> Option<String>) -> Result<OsString, Error> {
        let told = self.children[at].as_ref().and_then(|child| what(&child.record()));
        told.map(Into::into).ok_or_else(|| Error::Silent { name: self.name(at).into(), what: "tell a ticket" })
    }

    /// Waits until `instant`; nobody may end before it.
    async fn until(&mut self, instant: Instant) -> Result<(), Error> {
        while Instant::now() < instant {
            self.look_after()?;
            self.show();
            sleep(TICK).await;
        }
        Ok(())
    }

    async fn remove(&mut self) -> Result<(), Error> {
        let places: Vec<usize> =
            (0..self.children.len()).filter(|at| self.script.actors[*at].part == Part::Removed).collect();
        for at in places {
            let command = format!("remove {}", self.name(at));
            let told = match self.children.first_mut() {
                Some(Some(publisher)) => publisher.tell(&command).await,
                _ => Err(std::io::ErrorKind::NotConnected.into()),
            };
            told.map_err(|_| Error::Silent { name: self.name(0).into(), what: "take a command" })?;
        }
        Ok(())
    }

    /// Waits for the end of everybody; how each ended is part of the verdict.
    async fn finish(&mut self, deadline: Instant) -> Result<(), Error> {
        loop {
            self.show();
            let lives = |child: &&Child| child.record().ended.is_none();
            let missing: Vec<&str> = (0..self.children.len())
                .filter(|at| self.children[*at].as_ref().filter(lives).is_some())
                .map(|at| self.name(at))
                .collect();
            if missing.is_empty() {
                self.table.close();
                return Ok(());
            }
            if Instant::now() >= deadline {
                return Err(timed_out("the end of all processes", END_LIMIT, missing.join(", ")));
            }
            sleep(TICK).await;
        }
    }

    fn look_after(&self) -> Result<(), Error> {
        for (at, child) in self.children.iter().enumerate() {
            let Some(child) = child else { continue };
            let record = child.record();
            if let Some(status) = record.ended {
                return Err(Error::Ended {
                    name: self.name(at).into(),
                    exit: status.to_string(),
                    last_words: record.last_words(),
                });
            }
        }
        Ok(())
    }

    fn show(&mut self) {
        let children = self.children.iter().zip(&self.script.actors);
        self.table.show(children.filter_map(|(child, actor)| Some((actor, child.as_ref()?.record().clone()))));
    }

    fn gather(&self) -> Result<Performance, Error> {
        let played = self.children.iter().zip(&self.script.actors).filter_map(|(child, actor)| {
            let record = child.as_ref()?.record().clone();
            let trace = trace::read(&self.file(actor, "trace"));
            // Without a picture there is none to show; the checks tell why.
            let picture = std::fs::read(self.file(actor, "png")).ok();
            Some(trace.map(|trace| Played { actor: actor.clone(), record, trace, picture }))
        });
        let source = self.script.input.as_ref().map_or(PATTERN.into(), |input| input.display().to_string());
        Ok(Performance { played: played.collect::<Result<_, _>>()?, source, length: self.script.length })
    }

    fn file(&self, actor: &Actor, ending: &str) -> PathBuf {
        self.script.folder.path().join(format!("{}.{ending}", actor.name))
    }

    fn name(&self, at: usize) -> &str {
        self.script.actors.get(at).map_or("", |actor| &actor.name)
    }
}

fn timed_out(what: &'static str, limit: Duration, missing: String) -> Error {
    Error::TimedOut { what, limit, missing }
}
