//! One process of the demo and what it reported so far.

use std::collections::{BTreeMap, VecDeque};
use std::ffi::OsString;
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use edge_node::event::{Event, OutsiderStats, PublishStats, RelayStats, Stats, WatchStats};
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncWriteExt, BufReader};
use tokio::process::{ChildStdin, Command};
use tokio::sync::Notify;
use tokio::task::JoinSet;

use super::error::Error;

/// Lines of standard error that are kept.
const MAX_LAST_WORDS: usize = 12;
/// Epochs and warnings that are kept of one process.
const MAX_KEPT: usize = 4096;

/// A running process; dropping it kills it.
#[derive(Debug)]
pub(super) struct Child {
    record: Arc<Mutex<Record>>,
    stdin: Option<ChildStdin>,
    kill: Arc<Notify>,
    /// Owns the process.
    _listening: JoinSet<()>,
}

/// What one process reported.
#[derive(Debug, Clone, Default)]
pub(super) struct Record {
    /// Ticket for viewers.
    pub(super) ticket: Option<String>,
    /// Ticket for relays and `--via`.
    pub(super) relay_ticket: Option<String>,
    /// Its fingerprint.
    pub(super) fingerprint: Option<String>,
    /// Links to the publisher, once connected.
    pub(super) depth: Option<usize>,
    /// Fingerprint of the parent that it follows.
    pub(super) parent: Option<String>,
    /// Epochs by number.
    pub(super) epochs: BTreeMap<u64, Epoch>,
    /// When the Welcome opened, in µs since 1970.
    pub(super) admitted_unix_us: Option<u64>,
    /// Last epoch before a removal.
    pub(super) evicted: Option<u64>,
    /// Admission to first picture, in ms.
    pub(super) first_frame_ms: Option<f64>,
    /// Latest counters.
    pub(super) publish: Option<PublishStats>,
    /// Latest counters.
    pub(super) relay: Option<RelayStats>,
    /// Latest counters.
    pub(super) watch: Option<WatchStats>,
    /// Latest counters.
    pub(super) outsider: Option<OutsiderStats>,
    /// Warnings.
    pub(super) warnings: Vec<String>,
    /// Times that the parent was lost.
    pub(super) disconnections: usize,
    /// Why it says it ended.
    pub(super) done: Option<String>,
    /// How it ended.
    pub(super) ended: Option<ExitStatus>,
    last_words: VecDeque<String>,
}

/// One change of the group as a process saw it.
#[derive(Debug, Clone)]
pub(super) struct Epoch {
    /// Members after it.
    pub(super) members: usize,
    /// Who came.
    pub(super) added: Vec<String>,
    /// Who left.
    pub(super) removed: Vec<String>,
    /// What this process computed as safety code.
    pub(super) safety_code: String,
    /// Bytes of the commit.
    pub(super) commit_bytes: usize,
    /// When it was accepted, in µs since 1970.
    pub(super) at_unix_us: u64,
}

impl Child {
    /// Starts `program` as `name` and begins to listen to it.
    pub(super) fn start(program: &Path, name: &str, args: &[OsString]) -> Result<Self, Error> {
        let spawned = Command::new(program)
            .args(args)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn();
        let mut process = spawned.map_err(|source| Error::Start { name: name.to_owned(), source })?;
        let (stdin, stdout, stderr) = (process.stdin.take(), process.stdout.take(), process.stderr.take());
        let record = Arc::new(Mutex::new(Record::default()));
        let (events, words, end) = (record.clone(), record.clone(), record.clone());
        let kill = Arc::new(Notify::new());
        let killed = kill.clone();
        let mut listening = JoinSet::new();
        listening.spawn(async move {
            let reading = async {
                tokio::join!(
                    each_line(stdout, |line| lock(&events).take_line(&line)),
                    each_line(stderr, |line| lock(&words).take_words(&line)),
                );
            };
            tokio::select! {
                () = reading => {}
                () = killed.notified() => {
                    let _ = process.start_kill();
                }
            }
            if let Ok(status) = process.wait().await {
                lock(&end).ended = Some(status);
            }
        });
        Ok(Self { record, stdin, kill, _listening: listening })
    }

    /// What it reported so far.
    pub(super) fn record(&self) -> MutexGuard<'_, Record> {
        lock(&self.record)
    }

    /// Kills the process, which has no chance to say a word, and waits until it is dead.
    pub(super) async fn kill(&self) {
        self.kill.notify_one();
        while self.record().ended.is_none() {
            tokio::time::sleep(std::time::Duration::from_millis(1)).await;
        }
    }

    /// Writes a line to its standard input.
    pub(super) async fn tell(&mut self, line: &str) -> std::io::Result<()> {
        let Some(stdin) = &mut self.stdin else { return Err(std::io::ErrorKind::BrokenPipe.into()) };
        stdin.write_all(line.as_bytes()).await?;
        stdin.write_all(b"\n").await?;
        stdin.flush().await
    }
}

impl Record {
    /// The end of its standard error.
    pub(super) fn last_words(&self) -> String {
        match self.last_words.is_empty() {
            true => "  (nothing on standard error)".into(),
            false => self.last_words.iter().map(|line| format!("  {line}")).collect::<Vec<_>>().join("\n"),
        }
    }

    fn take_line(&mut self, line: &str) {
        match serde_json::from_str(line) {
            Ok(event) => self.take(event),
            Err(_) => self.take_words(line),
        }
    }

    fn take_words(&mut self, line: &str) {
        // With `--json` a failure is an object, too.
        let object: Option<serde_json::Value> = serde_json::from_str(line).ok();
        let message = object.as_ref().and_then(|object| object.get("message")?.as_str());
        if self.last_words.len() == MAX_LAST_WORDS {
            self.last_words.pop_front();
        }
        self.last_words.push_back(message.unwrap_or(line).to_owned());
    }

    fn take(&mut self, event: Event) {
        match event {
            Event::Ready { ticket, relay_ticket, fingerprint, .. } => {
                (self.ticket, self.relay_ticket, self.fingerprint) = (ticket, relay_ticket, Some(fingerprint));
            }
            Event::Connected { depth, fingerprint, .. } => {
                (self.depth, self.parent) = (Some(depth), Some(fingerprint));
            }
            Event::Disconnected { .. } => self.disconnections += 1,
            Event::Epoch { epoch, members, added, removed, safety_code, commit_bytes, at_unix_us }
                if self.epochs.len() < MAX_KEPT =>
            {
                let seen = Epoch { members, added, removed, safety_code, commit_bytes, at_unix_us };
                // A roster that is told again on request is not a change.
                self.epochs.entry(epoch).or_insert(seen);
            }
            Event::Admitted { at_unix_us, .. } => self.admitted_unix_us = Some(at_unix_us),
            Event::Evicted { epoch } => self.evicted = Some(epoch),
            Event::FirstFrame { since_admitted_ms, .. } => self.first_frame_ms = Some(since_admitted_ms),
            Event::Warning { message } if self.warnings.len() < MAX_KEPT => self.warnings.push(message),
            Event::Done { reason } => self.done = Some(reason),
            Event::Stats(stats) => self.count(stats),
            _ => {}
        }
    }

    fn count(&mut self, stats: Stats) {
        match stats {
            Stats::Publish(stats) => self.publish = Some(stats),
            Stats::Relay(stats) => self.relay = Some(stats),
            Stats::Watch(stats) => self.watch = Some(stats),
            Stats::Outsider(stats) => self.outsider = Some(stats),
            _ => {}
        }
    }
}

async fn each_line(from: Option<impl AsyncRead + Unpin>, mut take: impl FnMut(String)) {
    let Some(from) = from else { return };
    let mut lines = BufReader::new(from).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        take(line);
    }
}

fn lock(record: &Mutex<Record>) -> MutexGuard<'_, Record> {
    record.lock().unwrap_or_else(PoisonError::into_inner)
}
