//! One relay on one core, in memory: forward a chunk and seal it for every child, against bare AES-256-GCM over the
//! same buffers in the same run.

use std::hint::black_box;
use std::time::Instant;

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use bytes::Bytes;
use edge_link::{Incoming, Receiver, Sender};
use edge_relay::{Arena, Buffer, Handle, Limits, Relay, Start, Subscription, Transmit};
use edge_wire::chunk::{self, CodecId, Header, InnerSealed};
use edge_wire::id::{ChunkSeq, Epoch, KeyId, StreamId};
use edge_wire::layer::{Layer, Policy};
use edge_wire::link::{self, Hint};
use serde_json::{Value, json};

use crate::alloc::Counting;

type Outcome<T> = Result<T, Box<dyn std::error::Error + Send + Sync>>;

const STREAM: StreamId = StreamId([7; 32]);
const CHUNK_LEN: usize = 16 << 10;
const CHILDREN: [usize; 2] = [32, 500];
const ROUNDS: usize = 21;
/// Seals in one timed stretch; about 30 ms.
const SEALS_PER_ROUND: usize = 16_000;
const CHUNKS: usize = 32;
const FRAME_MS: u64 = 33;
const GIB: f64 = (1u64 << 30) as f64;

/// Runs everything and prints the table; a few seconds. Each figure is the median of interleaved rounds.
pub(crate) fn run() -> Value {
    match table() {
        Ok(rows) => {
            print(&rows);
            let rows: Vec<_> = rows.iter().map(Row::to_json).collect();
            json!({ "chunk_bytes": CHUNK_LEN, "rounds": ROUNDS, "rows": rows })
        }
        Err(error) => json!({ "error": error.to_string() }),
    }
}

struct Row {
    children: usize,
    relay_gib_s: f64,
    limit_gib_s: f64,
    ratio: f64,
    allocations_per_chunk: f64,
    allocations_per_upstream_chunk: f64,
}

impl Row {
    fn to_json(&self) -> Value {
        json!({
            "children": self.children,
            "relay_gib_s": self.relay_gib_s,
            "aead_limit_gib_s": self.limit_gib_s,
            "ratio": self.ratio,
            "allocations_per_chunk": self.allocations_per_chunk,
            "allocations_per_upstream_chunk": self.allocations_per_upstream_chunk,
        })
    }
}

fn print(rows: &[Row]) {
    println!("relay, {CHUNK_LEN}-byte chunks, one core");
    println!("children  relay GiB/s  AES-256-GCM GiB/s  ratio  allocations a chunk (forwarded / opened and forwarded)");
    for row in rows {
        println!(
            "{:>8}  {:>11.2}  {:>17.2}  {:>5.3}  {} / {}",
            row.children,
            row.relay_gib_s,
            row.limit_gib_s,
            row.ratio,
            row.allocations_per_chunk,
            row.allocations_per_upstream_chunk
        );
    }
}

fn table() -> Outcome<Vec<Row>> {
    CHILDREN.into_iter().map(measure).collect()
}

fn measure(children: usize) -> Outcome<Row> {
    let mut bench = Bench::new(children)?;
    let chunks = SEALS_PER_ROUND / children;
    bench.relay_seconds(chunks)?;
    bench.limit_seconds(chunks)?;
    let (mut relay, mut limit, mut ratio) = (Vec::new(), Vec::new(), Vec::new());
    let gib = (chunks * children * CHUNK_LEN) as f64 / GIB;
    for _ in 0..ROUNDS {
        let limit_s = bench.limit_seconds(chunks)?;
        let relay_s = bench.relay_seconds(chunks)?;
        relay.push(gib / relay_s);
        limit.push(gib / limit_s);
        ratio.push(limit_s / relay_s);
    }
    Ok(Row {
        children,
        relay_gib_s: median(relay),
        limit_gib_s: median(limit),
        ratio: median(ratio),
        allocations_per_chunk: bench.allocations(chunks)?,
        allocations_per_upstream_chunk: bench.upstream_allocations(CHUNKS)?,
    })
}

struct Bench {
    relay: Relay,
    handles: Vec<Handle>,
    arena: Arena,
    chunks: Vec<InnerSealed>,
    keys: Vec<LessSafeKey>,
    out: Vec<Transmit>,
    raw: Vec<Buffer>,
    forwarded: u64,
    nonce: u64,
}

impl Bench {
    fn new(children: usize) -> Outcome<Self> {
        let limits = Limits { subscriber_bytes_per_second_max: u64::MAX, ..Limits::default() };
        let mut relay = Relay::new(limits);
        let mut keys = Vec::new();
        for child in 0..children {
            let mut key = [3; 32];
            key[..8].copy_from_slice(&(child as u64).to_be_bytes());
            keys.push(LessSafeKey::new(UnboundKey::new(&AES_256_GCM, &key)?));
            let subscriber = KeyId::new(format!("child-{child:04}"))?;
            let transit_key = key.into();
            let policy = Policy::UNCAPPED;
            relay.subscribe(Subscription { stream: STREAM, subscriber, transit_key, policy, start: Start::Live }, 0)?;
        }
        Ok(Self {
            handles: relay.handles(STREAM).collect(),
            relay,
            arena: Arena::new(),
            chunks: (0..CHUNKS as u64).map(inner).collect(),
            keys,
            out: Vec::with_capacity(children),
            raw: Vec::with_capacity(children),
            forwarded: 0,
            nonce: 0,
        })
    }

    /// Forwards and drains to all children; a round's messages are held together, as sends in flight are.
    fn relay_seconds(&mut self, chunks: usize) -> Outcome<f64> {
        let start = Instant::now();
        for _ in 0..chunks {
            self.forward_and_drain()?;
        }
        Ok(start.elapsed().as_secs_f64())
    }

    fn forward_and_drain(&mut self) -> Outcome<()> {
        let now_ms = self.forwarded * FRAME_MS;
        let at = self.forwarded as usize % CHUNKS;
        self.relay.forward(STREAM, self.chunks[at].clone(), hint(at), now_ms)?;
        self.forwarded += 1;
        self.drain(now_ms)
    }

    fn drain(&mut self, now_ms: u64) -> Outcome<()> {
        for &handle in &self.handles {
            while let Some(transmit) = self.relay.poll(handle, now_ms, &self.arena)? {
                self.out.push(transmit);
            }
        }
        if self.out.len() != self.handles.len() {
            return Err(format!("{} messages for {} children", self.out.len(), self.handles.len()).into());
        }
        black_box(&self.out);
        self.out.clear();
        Ok(())
    }

    /// The same seals into the same buffers, by the library alone.
    fn limit_seconds(&mut self, chunks: usize) -> Outcome<f64> {
        self.raw
            .extend(self.keys.iter().map(|_| self.arena.take(link::PREFIX_LEN + chunk::PREFIX_LEN + CHUNK_LEN + 16)));
        let start = Instant::now();
        for at in 0..chunks {
            let input = &self.chunks[at % CHUNKS].ciphertext;
            for (key, buffer) in self.keys.iter().zip(&mut self.raw) {
                let mut nonce = [0; 12];
                nonce[..8].copy_from_slice(&self.nonce.to_be_bytes());
                let (body, tag) = buffer[link::PREFIX_LEN + chunk::PREFIX_LEN..].split_at_mut(CHUNK_LEN);
                let nonce = Nonce::assume_unique_for_key(nonce);
                key.seal_out_of_place_scatter(nonce, Aad::empty(), input, body, &[], tag)?;
            }
            self.nonce += 1;
            black_box(&self.raw);
        }
        let elapsed = start.elapsed().as_secs_f64();
        self.raw.clear();
        Ok(elapsed)
    }

    fn allocations(&mut self, chunks: usize) -> Outcome<f64> {
        let before = Counting::taken();
        for _ in 0..chunks {
            self.forward_and_drain()?;
        }
        Ok((Counting::taken() - before) as f64 / chunks as f64)
    }

    /// Allocations when the chunks come sealed from upstream; sealing them is not counted.
    fn upstream_allocations(&mut self, chunks: usize) -> Outcome<f64> {
        let mut upstream = Sender::new([9; 32].into(), b"relay");
        let mut receiver = Receiver::new([9; 32].into(), b"relay");
        let mut taken = 0;
        for _ in 0..chunks {
            let at = self.forwarded as usize % CHUNKS;
            let now_ms = self.forwarded * FRAME_MS;
            self.forwarded += 1;
            let mut message = Vec::new();
            upstream.seal_media_into(&self.chunks[at], hint(at), &mut message)?;
            let before = Counting::taken();
            self.relay.forward_message(STREAM, Incoming::parse(message)?, &mut receiver, now_ms)?;
            self.drain(now_ms)?;
            taken += Counting::taken() - before;
        }
        Ok(taken as f64 / chunks as f64)
    }
}

fn inner(seq: u64) -> InnerSealed {
    let header =
        Header { stream: STREAM, epoch: Epoch(1), seq: ChunkSeq(seq), codec: CodecId::AV1_SVC, layer: Layer::BASE };
    InnerSealed { header, ciphertext: Bytes::from(vec![seq as u8; CHUNK_LEN]) }
}

/// Each pass over the chunks is one group of pictures.
fn hint(at: usize) -> Hint {
    Hint { key: at == 0, frame_start: true, ..Hint::default() }
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
