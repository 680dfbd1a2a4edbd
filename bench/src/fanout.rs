//! One relay process between a publisher and a hundred viewers over real QUIC, each in processes of their own: what the
//! relay costs, and what it adds to the age of a frame. A process that only sends the same frames over bare QUIC is
//! measured before and after, on the same machine under the same load: it is the limit.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use edge_node::event::{Event, RelayStats, Stats};
use serde_json::{Value, json};

mod bare;
mod roles;

pub(crate) use roles::{FLAG, play};

type Outcome<T> = Result<T, Box<dyn std::error::Error + Send + Sync>>;

const VIEWERS: usize = 100;
/// Processes that the viewers share; each has an address of its own, because a relay limits sessions by address.
const VIEWER_PROCESSES: usize = 2;
const SETTLE: Duration = Duration::from_secs(4);
const SECONDS: u64 = 30;
const BARE_SECONDS: u64 = 10;
const PATIENCE: Duration = Duration::from_secs(60);
const GIB: f64 = (1u64 << 30) as f64;
/// Lines of one child that may wait.
const MAX_LINES: usize = 4096;

/// Runs it once; about a minute.
pub(crate) fn run() -> Value {
    match compared() {
        Ok(value) => {
            print(&value);
            value
        }
        Err(error) => {
            println!("failed: {error}");
            json!({ "error": error.to_string() })
        }
    }
}

fn print(value: &Value) {
    println!("one relay, {VIEWERS} viewers at 2.5 Mbit/s (720p30, L1T3), publisher and viewers in other processes");
    let row = |name: &str, figure: &Value, bar: &str| println!("{name:>28} {figure:>10}   {bar}");
    row("CPU-s per GiB forwarded", &value["cpu_s_per_gib"], "bar: 4");
    row("the same over bare QUIC", &value["bare_quic_cpu_s_per_gib"], "same run, sending only");
    row("load average", &value["load_average"], "");
    row("ratio", &value["over_bare_quic"], "");
    row("share of one core, %", &value["cpu_pct"], "");
    row("latency p50, ms", &value["latency_ms"]["p50"], "");
    row("latency p95, ms", &value["latency_ms"]["p95"], "");
    row("latency p99, ms", &value["latency_ms"]["p99"], "bar: 12");
    row("latency p99 without keys, ms", &value["latency_ms"]["p99_without_keys"], "");
    row("RSS, MiB", &value["rss_mib"], "bar: 64");
    row("frames lost", &value["frames_lost"], "");
}

fn compared() -> Outcome<Value> {
    let before = bare_cpu_s_per_gib()?;
    let mut value = measure()?;
    let bare = (before + bare_cpu_s_per_gib()?) / 2.0;
    value["bare_quic_cpu_s_per_gib"] = round(bare).into();
    // More than the number of cores means that others had the machine, too; the ratio holds, latencies do not.
    value["load_average"] = std::fs::read_to_string("/proc/loadavg")?.split(' ').next().unwrap_or("").into();
    value["over_bare_quic"] = round(value["cpu_s_per_gib"].as_f64().unwrap_or(f64::NAN) / bare).into();
    Ok(value)
}

/// Totals of a process that sends over bare QUIC.
#[derive(serde::Serialize, serde::Deserialize)]
struct Bare {
    cpu_s: f64,
    bytes: u64,
}

fn bare_cpu_s_per_gib() -> Outcome<f64> {
    let mut sender = Role::start(&["bare-send", &VIEWERS.to_string()])?;
    let server = sender.next("address")?;
    let count = (VIEWERS / VIEWER_PROCESSES).to_string();
    let mut viewers = Vec::new();
    for process in 0..VIEWER_PROCESSES {
        viewers.push(Role::start(&["bare-watch", &server, &count, &format!("127.0.0.{}", process + 2)])?);
    }
    sender.next("first frame")?;
    thread::sleep(SETTLE);
    let read = |sender: &mut Role| Outcome::Ok(serde_json::from_str::<Bare>(&sender.latest("totals")?)?);
    let before = read(&mut sender)?;
    thread::sleep(Duration::from_secs(BARE_SECONDS));
    let after = read(&mut sender)?;
    Ok((after.cpu_s - before.cpu_s) / ((after.bytes - before.bytes) as f64 / GIB))
}

fn measure() -> Outcome<Value> {
    let mut publisher = Role::start(&["publish"])?;
    let ticket = publisher.next("ticket")?;
    let mut relay = Role::start(&["relay", &ticket])?;
    let ticket = loop {
        if let Event::Ready { relay_ticket: Some(ticket), .. } = relay.event()? {
            break ticket;
        }
    };
    let count = (VIEWERS / VIEWER_PROCESSES).to_string();
    let mut viewers = Vec::new();
    for process in 0..VIEWER_PROCESSES {
        viewers.push(Role::start(&["watch", &ticket, &count, &format!("127.0.0.{}", process + 2)])?);
    }
    for viewer in &mut viewers {
        viewer.next("every viewer has media")?;
    }
    thread::sleep(SETTLE);
    let before = relay.stats()?;
    let started = Instant::now();
    for viewer in &mut viewers {
        viewer.say("record")?;
    }
    thread::sleep(Duration::from_secs(SECONDS));
    let after = relay.stats()?;
    let wall_s = started.elapsed().as_secs_f64();
    let mut seen = Vec::new();
    for viewer in &mut viewers {
        viewer.say("stop")?;
        seen.extend(serde_json::from_str::<Vec<(u32, u32)>>(&viewer.next("latencies")?)?);
    }
    Ok(figures(&before, &after, wall_s, &seen))
}

/// `seen` is the frame's length in bytes and its age in µs.
fn figures(before: &RelayStats, after: &RelayStats, wall_s: f64, seen: &[(u32, u32)]) -> Value {
    let gib = after.bytes_forwarded.saturating_sub(before.bytes_forwarded) as f64 / GIB;
    let cpu_s = after.cpu_s - before.cpu_s;
    let at = |keys: bool, share: f64| {
        let wanted = seen.iter().filter(|(len, _)| keys || *len < roles::KEY_LEN);
        let mut ages: Vec<u32> = wanted.map(|(_, age_us)| *age_us).collect();
        ages.sort_unstable();
        round(f64::from(ages.get((ages.len() as f64 * share) as usize).copied().unwrap_or(u32::MAX)) / 1e3)
    };
    json!({
        "viewers": after.children, "viewer_kbps": roles::KBPS, "seconds": SECONDS, "frames_seen": seen.len(),
        "gib_forwarded": round(gib), "cpu_s_per_gib": round(cpu_s / gib), "cpu_pct": round(cpu_s * 100.0 / wall_s),
        "rss_mib": round(after.rss_kib as f64 / 1024.0),
        "frames_lost": after.chunks_dropped - before.chunks_dropped,
        "frames_refused": after.chunks_refused - before.chunks_refused,
        "latency_ms": {
            "p50": at(true, 0.5), "p95": at(true, 0.95), "p99": at(true, 0.99), "max": at(true, 0.999_999),
            "p99_without_keys": at(false, 0.99),
        },
    })
}

/// One process of this program in a role; it ends with this value.
struct Role {
    process: Child,
    input: ChildStdin,
    lines: Receiver<String>,
}

impl Role {
    fn start(arguments: &[&str]) -> Outcome<Self> {
        let mut process = Command::new(std::env::current_exe()?)
            .arg(roles::FLAG)
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let input = process.stdin.take().ok_or("no input")?;
        let output = process.stdout.take().ok_or("no output")?;
        let (sender, lines) = sync_channel(MAX_LINES);
        thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    return;
                }
            }
        });
        Ok(Self { process, input, lines })
    }

    fn say(&mut self, word: &str) -> Outcome<()> {
        Ok(writeln!(self.input, "{word}")?)
    }

    fn next(&mut self, what: &str) -> Outcome<String> {
        self.lines.recv_timeout(PATIENCE).map_err(|error| match error {
            RecvTimeoutError::Timeout => format!("waited too long for: {what}").into(),
            RecvTimeoutError::Disconnected => format!("a process ended before: {what}").into(),
        })
    }

    /// The next line that is said from now on.
    fn latest(&mut self, what: &str) -> Outcome<String> {
        while self.lines.try_recv().is_ok() {}
        self.next(what)
    }

    fn event(&mut self) -> Outcome<Event> {
        Ok(serde_json::from_str(&self.next("an event")?)?)
    }

    /// The next figures of a relay, said from now on.
    fn stats(&mut self) -> Outcome<RelayStats> {
        while self.lines.try_recv().is_ok() {}
        loop {
            if let Event::Stats(Stats::Relay(stats)) = self.event()? {
                return Ok(stats);
            }
        }
    }
}

impl Drop for Role {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn round(figure: f64) -> f64 {
    (figure * 1000.0).round() / 1000.0
}
