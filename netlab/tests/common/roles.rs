//! Roles of the `edge` program on hosts of a laboratory.

use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use edge_netlab::{Child, Host, Lab};
use serde_json::Value;

/// Overrides where the program is.
const PROGRAM: &str = "EDGE_BIN";
/// Events that are kept of one process.
const EVENTS_MAX: usize = 8192;
const TICK: Duration = Duration::from_millis(10);

/// A running `edge`, killed when dropped, and what it reported.
pub struct Role {
    pub host: Host,
    pub child: Child,
    events: Arc<Mutex<Vec<Value>>>,
    log: PathBuf,
}

/// One decoded picture of a viewer's trace.
#[derive(Clone, Copy)]
pub struct Shown {
    pub frame: u64,
    pub captured_us: u64,
    pub decoded_us: u64,
}

/// The program beside this test's folder, built with `cargo build --release -p edge`.
pub fn program() -> PathBuf {
    let beside = || std::env::current_exe().unwrap().parent().unwrap().with_file_name("edge");
    let program = std::env::var_os(PROGRAM).map_or_else(beside, PathBuf::from);
    assert!(program.is_file(), "{} is missing: cargo build --release -p edge", program.display());
    program
}

impl Role {
    /// Starts `edge` on `host`; what it prints goes to files in `folder` too.
    pub fn start(lab: &Lab, host: Host, folder: &Path, arguments: &[&str]) -> Self {
        let log = folder.join(format!("{}.log", host.0));
        let mut command = lab.command(host, program());
        command.args(["--json"]).args(arguments).arg("--ephemeral").env("HOME", folder);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(File::create(&log).unwrap());
        let mut child = lab.spawn(&mut command).unwrap();
        let events = Arc::new(Mutex::new(Vec::new()));
        let (lines, kept) = (BufReader::new(child.stdout.take().unwrap()).lines(), Arc::clone(&events));
        let mut file = File::create(folder.join(format!("{}.events", host.0))).unwrap();
        std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                writeln!(file, "{line}").unwrap();
                let Ok(event) = serde_json::from_str(&line) else { continue };
                let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
                if kept.len() < EVENTS_MAX {
                    kept.push(event);
                }
            }
        });
        Self { host, child, events, log }
    }

    /// The newest event of a kind; counters are `stats`.
    pub fn latest(&self, kind: &str) -> Option<Value> {
        let events = self.events.lock().unwrap_or_else(PoisonError::into_inner);
        events.iter().rev().find(|event| event["event"] == kind).cloned()
    }

    /// Waits until there is an event of a kind.
    pub fn wait(&mut self, kind: &str, patience: Duration) -> Value {
        let until = Instant::now() + patience;
        loop {
            if let Some(event) = self.latest(kind) {
                return event;
            }
            let ended = self.child.try_wait().unwrap();
            let what = format!("host {}: no `{kind}`, {ended:?}", self.host.0);
            assert!(ended.is_none() && Instant::now() < until, "{what}\n{}", self.last_words());
            std::thread::sleep(TICK);
        }
    }

    /// A text of its `ready` event.
    pub fn told(&mut self, field: &str, patience: Duration) -> String {
        self.wait("ready", patience)[field].as_str().unwrap().to_owned()
    }

    /// Whether the process is still there.
    pub fn lives(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    /// Waits for the end; tells what was bad about it.
    pub fn finish(&mut self, until: Instant) -> Result<(), String> {
        while self.lives() {
            if Instant::now() >= until {
                return Err(format!("host {} does not end\n{}", self.host.0, self.last_words()));
            }
            std::thread::sleep(TICK);
        }
        let status = self.child.wait().unwrap();
        if status.success() { Ok(()) } else { Err(format!("host {}: {status}\n{}", self.host.0, self.last_words())) }
    }

    /// How many events of a kind there were.
    pub fn count(&self, kind: &str) -> usize {
        let events = self.events.lock().unwrap_or_else(PoisonError::into_inner);
        events.iter().filter(|event| event["event"] == kind).count()
    }

    fn last_words(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }
}

/// Reads a viewer's trace; a line that was cut by a kill is no picture.
pub fn trace(path: &Path) -> Vec<Shown> {
    let text = std::fs::read_to_string(path).unwrap();
    let shown = |line: &str| {
        let fields: Vec<u64> = line.split(' ').filter_map(|field| field.parse().ok()).collect();
        let &[frame, captured_us, decoded_us, _, _] = &fields[..] else { return None };
        Some(Shown { frame, captured_us, decoded_us })
    };
    text.lines().filter_map(shown).collect()
}
