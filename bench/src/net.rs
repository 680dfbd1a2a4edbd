//! Transport: one sender to eight receivers over loopback, CPU time per payload against bare QUIC in the same run.

use std::error::Error;
use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use edge_crypto::random::System;
use edge_identity::KeyBundle;
use edge_net::{Endpoint, Expect, Limits, SendError, Session};
use serde_json::{Value, json};
use tokio::runtime::{Builder, Runtime};
use tokio::task::JoinSet;

pub(crate) mod bare;

type Outcome<T> = Result<T, Box<dyn Error + Send + Sync>>;

const RECEIVERS: usize = 8;
const MESSAGE_LENS: [usize; 2] = [16 << 10, 4 << 10];
const SATURATED_BYTES: usize = 512 << 20;
const LIVE_SECONDS: usize = 4;
const LIVE_PER_SECOND: usize = 60;
const ROUNDS: usize = 3;
const GIB: f64 = (1u64 << 30) as f64;
const LOOPBACK: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);
const SENDER_THREADS: &str = "net-send";
const RECEIVER_THREADS: &str = "net-recv";

/// Runs everything; about a minute. Each figure is the median of interleaved rounds.
pub(crate) fn run() -> Value {
    match table() {
        Ok(rows) => {
            print(&rows);
            json!({ "receivers": RECEIVERS, "rounds": ROUNDS, "rows": rows })
        }
        Err(error) => json!({ "error": error.to_string() }),
    }
}

fn print(rows: &[Value]) {
    println!("CPU seconds per GiB forwarded (sent and received), one sender, {RECEIVERS} receivers on loopback");
    println!("{:>9} {:>9}  {:>8} {:>10} {:>7}", "pace", "message B", "edge-net", "bare QUIC", "ratio");
    for row in rows {
        let cost = |engine: &str| row[engine]["forward_cpu_s_per_gib"].as_f64().unwrap_or(f64::NAN);
        let (pace, len) = (row["pace"].as_str().unwrap_or(""), &row["message_bytes"]);
        let (edge, bare) = (cost("edge_net"), cost("bare_quic"));
        println!("{pace:>9} {len:>9}  {edge:>8.2} {bare:>10.2} {:>7.2}", edge / bare);
    }
}

/// How fast messages are offered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Pace {
    Saturated,
    Live,
}

/// What carries the messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Engine {
    Bare,
    Edge,
}

/// One measurement, per receiver `count` messages of `len` bytes.
#[derive(Debug, Clone, Copy)]
struct Load {
    pace: Pace,
    len: usize,
    count: usize,
}

/// CPU seconds per GiB of payload that left the sender.
#[derive(Debug, Clone, Copy, Default)]
struct Cost {
    send: f64,
    receive: f64,
    wall_s: f64,
}

impl Load {
    fn new(pace: Pace, len: usize) -> Self {
        let count = match pace {
            Pace::Saturated => SATURATED_BYTES / RECEIVERS / len,
            Pace::Live => LIVE_SECONDS * LIVE_PER_SECOND,
        };
        Self { pace, len, count }
    }

    fn bytes(self) -> f64 {
        (self.len * self.count * RECEIVERS) as f64
    }
}

fn table() -> Outcome<Vec<Value>> {
    let mut rows = Vec::new();
    for pace in [Pace::Saturated, Pace::Live] {
        for len in MESSAGE_LENS {
            let load = Load::new(pace, len);
            let (mut bare, mut edge) = (Vec::new(), Vec::new());
            for _ in 0..ROUNDS {
                bare.push(measure(Engine::Bare, load)?);
                edge.push(measure(Engine::Edge, load)?);
            }
            rows.push(row(load, &bare, &edge));
        }
    }
    Ok(rows)
}

fn row(load: Load, bare: &[Cost], edge: &[Cost]) -> Value {
    let of = |costs: &[Cost], figure: fn(&Cost) -> f64| median(costs.iter().map(figure).collect());
    let engine = |costs: &[Cost]| {
        json!({
            "send_cpu_s_per_gib": round(of(costs, |cost| cost.send)),
            "receive_cpu_s_per_gib": round(of(costs, |cost| cost.receive)),
            "forward_cpu_s_per_gib": round(of(costs, |cost| cost.send + cost.receive)),
            "mib_per_s": round(load.bytes() / f64::from(1 << 20) / of(costs, |cost| cost.wall_s)),
        })
    };
    json!({
        "pace": format!("{:?}", load.pace),
        "message_bytes": load.len,
        "bare_quic": engine(bare),
        "edge_net": engine(edge),
        "edge_over_bare": round(of(edge, |cost| cost.send + cost.receive) / of(bare, |cost| cost.send + cost.receive)),
    })
}

fn measure(engine: Engine, load: Load) -> Outcome<Cost> {
    let (sender, receivers) = (runtime(SENDER_THREADS)?, runtime(RECEIVER_THREADS)?);
    match engine {
        Engine::Edge => measure_edge(&sender, &receivers, load),
        Engine::Bare => bare::measure(&sender, &receivers, load),
    }
}

fn measure_edge(sender: &Runtime, receivers: &Runtime, load: Load) -> Outcome<Cost> {
    let keys = Arc::new(KeyBundle::generate(None, &mut System)?);
    let (key, expect) = (*keys.public().transport(), Expect::Fingerprint(keys.fingerprint()));
    let hub = sender.block_on(async { Endpoint::bind(keys, LOOPBACK, &Limits::default()) })?;
    let addr = hub.local_addr()?;
    let dialed = receivers.spawn(async move {
        let mut dialed = Vec::new();
        for _ in 0..RECEIVERS {
            let endpoint =
                Endpoint::bind(Arc::new(KeyBundle::generate(None, &mut System)?), LOOPBACK, &Limits::default())?;
            dialed.push((endpoint.connect(addr, key, expect).await?, endpoint));
        }
        Outcome::Ok(dialed)
    });
    let sessions: Vec<Session> = sender.block_on(async {
        let mut sessions = Vec::new();
        while sessions.len() < RECEIVERS {
            sessions.push(hub.accept().await.ok_or("endpoint closed")??);
        }
        Outcome::Ok(sessions)
    })?;
    let dialed = receivers.block_on(dialed)??;
    timed(load, || {
        let receiving =
            receivers.spawn(receive_edge(dialed.iter().map(|(session, _)| session.clone()).collect(), load));
        let sending = sender.spawn(send_edge(sessions.clone(), load));
        sender.block_on(sending)??;
        receivers.block_on(receiving)?
    })
}

async fn send_edge(sessions: Vec<Session>, load: Load) -> Outcome<()> {
    let message = Bytes::from(vec![7; load.len]);
    match load.pace {
        Pace::Saturated => {
            let one = |session: Session, message: Bytes| async move {
                for _ in 0..load.count {
                    send_one(&session, &message).await?;
                }
                Outcome::Ok(())
            };
            all(sessions.into_iter().map(|session| one(session, message.clone()))).await
        }
        Pace::Live => {
            let mut ticks = ticks();
            for _ in 0..load.count {
                ticks.tick().await;
                for session in &sessions {
                    send_one(session, &message).await?;
                }
            }
            Ok(())
        }
    }
}

async fn send_one(session: &Session, message: &Bytes) -> Outcome<()> {
    loop {
        match session.try_send_message(message.clone(), 0) {
            Ok(()) => return Ok(()),
            Err(SendError::Full) => session.writable().await?,
            Err(error) => return Err(error.into()),
        }
    }
}

async fn receive_edge(sessions: Vec<Session>, load: Load) -> Outcome<()> {
    let one = |session: Session| async move {
        for _ in 0..load.count {
            session.recv_message().await?;
        }
        Outcome::Ok(())
    };
    all(sessions.into_iter().map(one)).await
}

async fn all<F: Future<Output = Outcome<()>> + Send + 'static>(futures: impl Iterator<Item = F>) -> Outcome<()> {
    let mut tasks: JoinSet<Outcome<()>> = futures.collect();
    while let Some(done) = tasks.join_next().await {
        done??;
    }
    Ok(())
}

fn ticks() -> tokio::time::Interval {
    tokio::time::interval(Duration::from_secs(1) / u32::try_from(LIVE_PER_SECOND).unwrap_or(1))
}

fn runtime(threads: &str) -> std::io::Result<Runtime> {
    Builder::new_multi_thread().worker_threads(1).thread_name(threads).enable_all().build()
}

fn timed(load: Load, run: impl FnOnce() -> Outcome<()>) -> Outcome<Cost> {
    let (send, receive, wall) = (cpu_s(SENDER_THREADS)?, cpu_s(RECEIVER_THREADS)?, Instant::now());
    run()?;
    let per_gib = |cpu_s: f64| cpu_s / (load.bytes() / GIB);
    Ok(Cost {
        send: per_gib(cpu_s(SENDER_THREADS)? - send),
        receive: per_gib(cpu_s(RECEIVER_THREADS)? - receive),
        wall_s: wall.elapsed().as_secs_f64(),
    })
}

/// CPU seconds of this process's threads of one name, from the scheduler's own nanosecond counts.
fn cpu_s(threads: &str) -> Outcome<f64> {
    let mut nanos = 0.0;
    for task in fs::read_dir("/proc/self/task")? {
        let path = task?.path();
        // A thread may end between listing and reading; it is not one of ours then.
        let Ok(name) = fs::read_to_string(path.join("comm")) else { continue };
        if name.trim() == threads {
            let stat = fs::read_to_string(path.join("schedstat"))?;
            nanos += stat.split(' ').next().ok_or("empty schedstat")?.parse::<f64>()?;
        }
    }
    Ok(nanos / 1e9)
}

fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures.get(figures.len() / 2).copied().unwrap_or(f64::NAN)
}

fn round(figure: f64) -> f64 {
    (figure * 1000.0).round() / 1000.0
}
