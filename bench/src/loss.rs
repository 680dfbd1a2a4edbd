//! Live messages over a path that loses packets: streams, protected datagrams, both, and what the policy chooses, side
//! by side in the same run.

use std::error::Error;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use edge_crypto::random::System;
use edge_fountain::live::{HEADER_LEN, repair_for};
use edge_identity::KeyBundle;
use edge_net::delivery::{self, Kind, LATE_PPM_BASE};
use edge_net::{Endpoint, Expect, Limits, Path, Session, Way};
use edge_sim::link::{Loss, Model, Queue};
use serde_json::{Value, json};
use tokio::task::JoinSet;

mod wire;

use wire::Wire;

type Outcome<T> = Result<T, Box<dyn Error + Send + Sync>>;

const LOOPBACK: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);
const DELAY_US: u64 = 25_000;
const JITTER_US: u64 = 2_000;
const RATE_KBPS: u64 = 20_000;
const QUEUE_PACKETS: u32 = 200;
const LOSSES_PCT: [u32; 4] = [0, 1, 5, 10];
const LOADS: [Load; 2] = [Load { per_second: 60, len: 4 << 10 }, Load { per_second: 30, len: 10 << 10 }];
const METHODS: [Method; 4] = [Method::Streams, Method::Protected, Method::Both, Method::Chosen];
/// Time in which the path is measured and nothing counts.
const WARM_UP_S: u32 = 6;
const SECONDS: u32 = 60;
const LINGER: Duration = Duration::from_secs(2);
const SEED: u64 = 20;
/// Bytes in front of a message's padding: its number.
const NUMBER_LEN: usize = 4;
/// Target of the symbols beside a stream, in a million: the stream covers the rest.
const BOTH_PPM: u32 = 950_000;

/// Runs everything; about five minutes. The ways of one loss run at the same time, each on a path of its own.
pub(crate) fn run() -> Value {
    match table() {
        Ok(rows) => json!({
            "rtt_ms": 2 * DELAY_US / 1000, "jitter_ms": JITTER_US / 1000, "rate_kbps": RATE_KBPS,
            "queue_packets": QUEUE_PACKETS, "seconds": SECONDS, "seed": SEED, "loss": "each way", "rows": rows,
        }),
        Err(error) => json!({ "error": error.to_string() }),
    }
}

#[derive(Debug, Clone, Copy)]
struct Load {
    per_second: u32,
    len: usize,
}

#[derive(Debug, Clone, Copy)]
enum Method {
    Streams,
    Protected,
    Both,
    Chosen,
}

impl Method {
    fn way(self, path: &Path, len: usize) -> Way {
        let source = u16::try_from(len.div_ceil(path.datagram_len.saturating_sub(HEADER_LEN).max(1))).unwrap_or(1);
        let repair = |target_ppm| repair_for(source, path.loss_ppm, target_ppm, 0);
        match self {
            Self::Streams => Way::Stream,
            Self::Protected => Way::Protected { repair: repair(1_000_000 - LATE_PPM_BASE) },
            Self::Both => Way::Both { repair: repair(BOTH_PPM) },
            Self::Chosen => delivery::choose(path, Kind::Base, len),
        }
    }
}

/// One way at one loss under one load.
#[derive(Debug, Clone, Copy)]
struct Cell {
    loss_pct: u32,
    load: Load,
    method: Method,
}

/// What became of the messages of a cell.
struct Figures {
    /// Milliseconds each; infinite for what never came.
    latencies: Vec<f64>,
    skipped: usize,
    sent_bytes: u64,
    path: Path,
    way: Way,
}

fn table() -> Outcome<Vec<Value>> {
    println!("RTT 50 ms, jitter 2 ms, 20 Mbit/s; loss each way; {SECONDS} s a row");
    println!(
        "{:>5} {:>12} {:>10} {:>18}  {:>8} {:>8}  {:>6} {:>6} {:>6}  {:>7} {:>5}",
        "loss %", "load", "method", "way", "<=150 ms", "<=200 ms", "p50", "p95", "p99", "bytes x", "skip"
    );
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let mut rows = Vec::new();
    for loss_pct in LOSSES_PCT {
        let cells = LOADS.into_iter().flat_map(|load| METHODS.map(|method| Cell { loss_pct, load, method }));
        let figures = runtime.block_on(async {
            let mut running: Vec<_> = Vec::new();
            for cell in cells {
                running.push((cell, tokio::spawn(cell.measure())));
            }
            let mut figures = Vec::new();
            for (cell, task) in running {
                figures.push((cell, task.await??));
            }
            Outcome::Ok(figures)
        })?;
        rows.extend(figures.into_iter().map(|(cell, figures)| cell.row(figures)));
    }
    Ok(rows)
}

impl Cell {
    async fn measure(self) -> Outcome<Figures> {
        let ppm = self.loss_pct * 10_000;
        let model = Model {
            delay_us: DELAY_US,
            jitter_us: JITTER_US,
            loss: if ppm == 0 { Loss::None } else { Loss::Uniform { ppm } },
            rate_kbps: RATE_KBPS,
            queue: Queue::Packets(QUEUE_PACKETS),
            ..Model::default()
        };
        let keys = Arc::new(KeyBundle::generate(None, &mut System)?);
        let (key, expect) = (*keys.public().transport(), Expect::Fingerprint(keys.fingerprint()));
        let receiver = Endpoint::bind(keys, LOOPBACK, &Limits::default())?;
        let wire = Wire::to(receiver.local_addr()?, model, SEED + u64::from(ppm))?;
        let own = Arc::new(KeyBundle::generate(None, &mut System)?);
        let sender = Endpoint::bind(own, LOOPBACK, &Limits::default())?;
        let dialed = sender.connect(wire.addr, key, expect).await?;
        let accepted = receiver.accept().await.ok_or("endpoint closed")??;
        let count = (WARM_UP_S + SECONDS) * self.load.per_second;
        let mut tasks = JoinSet::new();
        tasks.spawn(receive(accepted, count));
        let sent = self.send(&dialed, count).await?;
        tokio::time::sleep(LINGER).await;
        let sent_bytes = sent.bytes(&dialed);
        let path = sent.path;
        dialed.close(edge_net::CloseCode::DONE, "over");
        let arrived = tasks.join_next().await.ok_or("no receiver")??;
        let first = usize::try_from(WARM_UP_S * self.load.per_second)?;
        let latency = |(sent, arrived): (&Option<Instant>, &Option<Instant>)| match (sent, arrived) {
            (Some(sent), Some(arrived)) => arrived.duration_since(*sent).as_secs_f64() * 1e3,
            _ => f64::INFINITY,
        };
        let latencies = sent.times.iter().zip(&arrived).skip(first).map(latency).collect();
        let skipped = sent.times.iter().skip(first).filter(|time| time.is_none()).count();
        Ok(Figures { latencies, skipped, sent_bytes, path, way: sent.way })
    }

    async fn send(self, session: &Session, count: u32) -> Outcome<Sent> {
        let mut ticks = tokio::time::interval(Duration::from_secs(1) / self.load.per_second);
        let mut sent = Sent { times: Vec::new(), bytes_before: 0, path: Path::default(), way: Way::Stream };
        for number in 0..count {
            ticks.tick().await;
            if number == WARM_UP_S * self.load.per_second {
                sent.bytes_before = session.stats().sent_bytes;
            }
            sent.path = session.path();
            sent.way = self.method.way(&sent.path, self.load.len);
            let mut message = vec![7; self.load.len];
            message[..NUMBER_LEN].copy_from_slice(&number.to_be_bytes());
            let now = Instant::now();
            sent.times.push(match session.try_send_by(message, 0, sent.way) {
                Ok(()) => Some(now),
                Err(edge_net::SendError::Full) => None,
                Err(error) => return Err(error.into()),
            });
        }
        Ok(sent)
    }

    fn row(self, figures: Figures) -> Value {
        let Self { loss_pct, load, method } = self;
        let Figures { mut latencies, skipped, sent_bytes, path, way } = figures;
        latencies.sort_by(f64::total_cmp);
        let count = latencies.len().max(1);
        let within = |ms: f64| latencies.iter().filter(|latency| **latency <= ms).count() as f64 * 100.0 / count as f64;
        let at = |share: f64| latencies.get((count as f64 * share) as usize).copied().unwrap_or(f64::INFINITY);
        let overhead = sent_bytes as f64 / (load.len * count) as f64;
        let name = format!("{}/s {} KiB", load.per_second, load.len >> 10);
        let way = format!("{way:?}").replace(" { repair: ", "+").replace(" }", "");
        println!(
            "{loss_pct:>5}  {name:>12} {:>10} {way:>18}  {:>8.2} {:>8.2}  {:>6.1} {:>6.1} {:>6.1}  {overhead:>7.2} {skipped:>5}",
            format!("{method:?}"),
            within(150.0),
            within(200.0),
            at(0.5),
            at(0.95),
            at(0.99),
        );
        json!({
            "loss_pct": loss_pct, "messages_per_second": load.per_second, "message_bytes": load.len,
            "method": format!("{method:?}"), "last_way": way, "messages": count,
            "within_150_ms_pct": round(within(150.0)), "within_200_ms_pct": round(within(200.0)),
            "p50_ms": round(at(0.5)), "p95_ms": round(at(0.95)), "p99_ms": round(at(0.99)),
            "bytes_per_payload_byte": round(overhead), "skipped": skipped, "measured_loss_ppm": path.loss_ppm,
        })
    }
}

/// When messages left, and what that took.
struct Sent {
    times: Vec<Option<Instant>>,
    bytes_before: u64,
    path: Path,
    way: Way,
}

impl Sent {
    fn bytes(&self, session: &Session) -> u64 {
        session.stats().sent_bytes.saturating_sub(self.bytes_before)
    }
}

/// First arrivals by number, until the session ends.
async fn receive(session: Session, count: u32) -> Vec<Option<Instant>> {
    let mut arrived = vec![None; usize::try_from(count).unwrap_or(0)];
    while let Ok(message) = session.recv_message().await {
        let number = message.first_chunk::<NUMBER_LEN>().map(|number| u32::from_be_bytes(*number));
        let slot = number.and_then(|number| arrived.get_mut(usize::try_from(number).ok()?));
        if let Some(slot) = slot {
            slot.get_or_insert_with(Instant::now);
        }
    }
    arrived
}

fn round(figure: f64) -> f64 {
    (figure * 1000.0).round() / 1000.0
}
