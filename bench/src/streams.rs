//! Many streams through four tiers of relays in memory, every chunk sealed and opened on every link; and what a
//! subscriber costs that receives nothing.

use std::fs;
use std::ops::Range;
use std::time::Instant;

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use bytes::Bytes;
use edge_link::{Incoming, Receiver};
use edge_relay::{Arena, Handle, Limits, Relay, Start, Subscription, Transmit};
use edge_wire::chunk::{CodecId, Header, InnerSealed};
use edge_wire::id::{ChunkSeq, Epoch, KeyId, StreamId};
use edge_wire::layer::{Layer, Policy};
use edge_wire::link::Hint;
use serde_json::{Value, json};

use crate::alloc::Counting;

type Outcome<T> = Result<T, Box<dyn std::error::Error + Send + Sync>>;

const STREAMS: usize = 2_000;
const TIERS: usize = 4;
const VIEWERS: usize = 5;
const FRAMES_PER_S: u64 = 30;
/// Media played before the clock starts, so that caches and heap have their size.
const WARMUP_S: u64 = 2;
const SECONDS: u64 = 6;
/// Media for which the cipher alone is measured.
const LIMIT_S: u64 = 3;
/// Frames from one key frame to the next.
const GOP: u64 = 60;
/// Bytes of a key frame, and of other frames by temporal layer: together 2.5 Mbit/s.
const KEY_LEN: usize = 57_000;
const FRAME_LENS: [usize; 3] = [17_000, 10_000, 6_000];
/// Kernel ticks in a second of CPU time.
const TICKS_PER_S: f64 = 100.0;

const IDLE: usize = 20_000;
const IDLE_BYTES_MAX: u64 = 16 << 10;
/// Chunks that wait for a subscriber at once before it is idle.
const BURST: u64 = 700;

/// Runs everything and prints the tables; some ten seconds and 1.5 GiB.
pub(crate) fn run() -> Value {
    let idle = idle().unwrap_or_else(|error| json!({ "error": error.to_string() }));
    let live = live().unwrap_or_else(|error| json!({ "error": error.to_string() }));
    json!({ "live": live, "idle": idle })
}

/// The streams are spread over all cores; a chunk goes all the way before the next one of its core starts.
fn live() -> Outcome<Value> {
    let threads = std::thread::available_parallelism()?.get();
    let mut shards: Vec<Shard> = (0..threads).map(|shard| Shard::new(shard, threads)).collect::<Outcome<_>>()?;
    play(&mut shards, 0, WARMUP_S)?;
    let (start, cpu_before) = (Instant::now(), cpu_s()?);
    let worst_ms = play(&mut shards, WARMUP_S, SECONDS)?;
    let (wall_s, cpu_total_s) = (start.elapsed().as_secs_f64(), cpu_s()? - cpu_before);
    let limit_cores = limit_cores(threads)?;
    let rss_mib = status_kib("VmRSS")? as f64 / 1024.0;
    let delivered: u64 = shards.iter().map(|shard| shard.delivered).sum();
    let expected = (STREAMS * VIEWERS) as u64 * FRAMES_PER_S * (WARMUP_S + SECONDS);
    let realtime = SECONDS as f64 / wall_s;
    let cores = cpu_total_s / SECONDS as f64;
    println!("{STREAMS} streams of 2.5 Mbit/s, 720p30 in three temporal layers, {TIERS} tiers, {VIEWERS} viewers each");
    println!("  delivered in order {delivered} of {expected} chunks, {threads} threads, {SECONDS} s of media");
    println!(
        "  {realtime:.2}x real time, {cores:.2} cores at real time, worst frame interval {worst_ms:.1} ms of work"
    );
    println!("  AES-256-GCM alone, with as many keys, right after: {limit_cores:.2} cores");
    println!("  resident {rss_mib:.0} MiB");
    let met = delivered == expected && realtime >= 1.0;
    println!("  {}: all delivered in order at real time or better", if met { "met" } else { "MISSED" });
    Ok(json!({
        "streams": STREAMS, "tiers": TIERS, "viewers_per_stream": VIEWERS, "media_s": SECONDS,
        "stream_bits_per_s": stream_bits_per_s(), "threads": threads, "delivered_in_order": delivered,
        "expected": expected, "wall_s": wall_s, "realtime_ratio": realtime, "cpu_s": cpu_total_s,
        "cores_at_realtime": cores, "aead_cores_at_realtime": limit_cores,
        "worst_interval_ms": worst_ms, "rss_mib": rss_mib,
    }))
}

/// The same seals and opens, each link with its own key, by the library alone: cores at real time.
fn limit_cores(threads: usize) -> Outcome<f64> {
    let before = cpu_s()?;
    std::thread::scope(|scope| {
        let running: Vec<_> = (0..threads).map(|shard| scope.spawn(move || bare(shard, threads))).collect();
        running.into_iter().try_for_each(|thread| thread.join().expect("a thread does not panic"))
    })?;
    Ok((cpu_s()? - before) / LIMIT_S as f64)
}

fn bare(shard: usize, shards: usize) -> Outcome<()> {
    let links = TIERS - 1 + VIEWERS;
    let key = |at: usize| {
        let mut key = [0; 32];
        key[..8].copy_from_slice(&(at as u64).to_be_bytes());
        Ok(LessSafeKey::new(UnboundKey::new(&AES_256_GCM, &key)?))
    };
    let streams: Vec<usize> = (shard..STREAMS).step_by(shards).collect();
    // A link has a key at either end.
    let keys: Vec<LessSafeKey> = (0..streams.len() * links * 2).map(key).collect::<Outcome<_>>()?;
    let payload = Bytes::from(vec![0x5a; KEY_LEN]);
    let mut sealed = vec![0; KEY_LEN + 16];
    for frame in 0..LIMIT_S * FRAMES_PER_S {
        for (stream, keys) in streams.iter().zip(keys.chunks_exact(links * 2)) {
            let len = chunk(StreamId([0; 32]), frame, *stream as u64 % GOP, &payload).0.ciphertext.len();
            for key in keys {
                let mut nonce = [0; 12];
                nonce[..8].copy_from_slice(&frame.to_be_bytes());
                let (body, tag) = sealed[..len + 16].split_at_mut(len);
                let nonce = Nonce::assume_unique_for_key(nonce);
                // Half of these stand for opens, which cost as much as seals.
                key.seal_out_of_place_scatter(nonce, Aad::empty(), &payload[..len], body, &[], tag)?;
            }
        }
    }
    std::hint::black_box(&sealed);
    Ok(())
}

/// Plays on all cores as fast as it goes; the longest that one frame interval took, in ms.
fn play(shards: &mut [Shard], from_s: u64, seconds: u64) -> Outcome<f64> {
    let frames = from_s * FRAMES_PER_S..(from_s + seconds) * FRAMES_PER_S;
    std::thread::scope(|scope| {
        let play = |shard| {
            scope.spawn({
                let frames = frames.clone();
                move || Shard::play(shard, frames)
            })
        };
        let running: Vec<_> = shards.iter_mut().map(play).collect();
        let mut ended = running.into_iter().map(|thread| thread.join().expect("a shard does not panic"));
        ended.try_fold(0.0, |worst: f64, ms| Ok(worst.max(ms?)))
    })
}

/// One core's streams: a relay for each tier.
struct Shard {
    relays: Vec<Relay>,
    streams: Vec<Stream>,
    arena: Arena,
    payload: Bytes,
    delivered: u64,
}

/// One stream's links.
struct Stream {
    id: StreamId,
    /// Frames by which its key frames come earlier than those of the first stream.
    offset: u64,
    /// From each tier to the next.
    hops: Vec<(Handle, Receiver)>,
    viewers: Vec<Viewer>,
}

struct Viewer {
    handle: Handle,
    receiver: Receiver,
    next: u64,
}

impl Shard {
    fn new(shard: usize, shards: usize) -> Outcome<Self> {
        let limits = Limits { streams_max: STREAMS, ..Limits::default() };
        let mut relays: Vec<Relay> = (0..TIERS).map(|_| Relay::new(limits.clone())).collect();
        let streams =
            (shard..STREAMS).step_by(shards).map(|at| Stream::new(at, &mut relays)).collect::<Outcome<_>>()?;
        Ok(Self { relays, streams, arena: Arena::new(), payload: Bytes::from(vec![0x5a; KEY_LEN]), delivered: 0 })
    }

    fn play(&mut self, frames: Range<u64>) -> Outcome<f64> {
        let mut worst_ms: f64 = 0.0;
        for frame in frames {
            let start = Instant::now();
            let now_ms = frame * 1000 / FRAMES_PER_S;
            for stream in &mut self.streams {
                let (inner, hint) = chunk(stream.id, frame, stream.offset, &self.payload);
                self.relays[0].forward(stream.id, inner, hint, now_ms)?;
                self.delivered += stream.carry(&mut self.relays, now_ms, &self.arena)?;
            }
            worst_ms = worst_ms.max(start.elapsed().as_secs_f64() * 1e3);
        }
        Ok(worst_ms)
    }
}

impl Stream {
    fn new(at: usize, relays: &mut [Relay]) -> Outcome<Self> {
        let mut bytes = [0; 32];
        bytes[..8].copy_from_slice(&(at as u64).to_be_bytes());
        let id = StreamId(bytes);
        let mut links = relays.iter_mut().enumerate().map(|(tier, relay)| {
            let children = if tier + 1 == TIERS { VIEWERS } else { 1 };
            (0..children).map(|child| link(relay, id, Place { tier, child })).collect::<Outcome<Vec<_>>>()
        });
        let hops = links.by_ref().take(TIERS - 1).collect::<Outcome<Vec<_>>>()?.into_iter().flatten().collect();
        let viewers = links.next().ok_or("no last tier")??;
        let viewers = viewers.into_iter().map(|(handle, receiver)| Viewer { handle, receiver, next: 0 }).collect();
        Ok(Self { id, offset: at as u64 % GOP, hops, viewers })
    }

    /// Brings what the first tier holds to every viewer; how many chunks came in order.
    fn carry(&mut self, relays: &mut [Relay], now_ms: u64, arena: &Arena) -> Outcome<u64> {
        for (tier, (handle, receiver)) in self.hops.iter_mut().enumerate() {
            while let Some(Transmit { message, .. }) = relays[tier].poll(*handle, now_ms, arena)? {
                relays[tier + 1].forward_message(self.id, Incoming::parse(message)?, receiver, now_ms)?;
            }
        }
        let mut in_order = 0;
        for viewer in &mut self.viewers {
            while let Some(Transmit { message, .. }) = relays[TIERS - 1].poll(viewer.handle, now_ms, arena)? {
                let inner = viewer.receiver.open_in_place(Incoming::parse(message)?)?;
                in_order += u64::from(inner.header.seq == ChunkSeq(viewer.next));
                viewer.next += 1;
            }
        }
        Ok(in_order)
    }
}

struct Place {
    tier: usize,
    child: usize,
}

fn link(relay: &mut Relay, stream: StreamId, place: Place) -> Outcome<(Handle, Receiver)> {
    let name = format!("tier-{}-child-{}", place.tier, place.child);
    let mut key = stream.0;
    key[30] = place.tier as u8;
    key[31] = place.child as u8;
    let receiver = Receiver::new(key.into(), name.as_bytes());
    let subscriber = KeyId::new(name)?;
    let (transit_key, policy, start) = (key.into(), Policy::UNCAPPED, Start::Live);
    let handle = relay.subscribe(Subscription { stream, subscriber, transit_key, policy, start }, 0)?;
    Ok((handle, receiver))
}

/// One frame of three temporal layers; the first is a key frame wherever the stream stands in its group of pictures.
fn chunk(stream: StreamId, frame: u64, offset: u64, payload: &Bytes) -> (InnerSealed, Hint) {
    let at = (frame + offset) % GOP;
    let key = at == 0 || frame == 0;
    let temporal = match at % 4 {
        _ if key => 0,
        0 => 0,
        2 => 1,
        _ => 2,
    };
    let len = if key { KEY_LEN } else { FRAME_LENS[usize::from(temporal)] };
    let layer = Layer::new(0, temporal, 0);
    let header = Header { stream, epoch: Epoch(1), seq: ChunkSeq(frame), codec: CodecId::AV1_SVC, layer };
    let hint = Hint { key, frame_start: true, discardable: temporal == 2, ..Hint::default() };
    (InnerSealed { header, ciphertext: payload.slice(..len) }, hint)
}

fn stream_bits_per_s() -> u64 {
    let payload = Bytes::from(vec![0; KEY_LEN]);
    let gop = (GOP..2 * GOP).map(|frame| chunk(StreamId([0; 32]), frame, 0, &payload).0.ciphertext.len() as u64);
    gop.sum::<u64>() * 8 * FRAMES_PER_S / GOP
}

/// Subscribers of which one kind was never sent anything, and the other had a full queue once.
fn idle() -> Outcome<Value> {
    println!(
        "{IDLE} idle subscribers, bytes each: heap held, growth of the resident set (after a burst of all, its peak)"
    );
    let rows = [("new", 0), ("after a burst", BURST)].map(|(kind, burst)| {
        let row = idle_after(burst)?;
        let met = row.0 <= IDLE_BYTES_MAX && (burst > 0 || row.1 <= IDLE_BYTES_MAX);
        let verdict = if met { "met" } else { "MISSED" };
        println!("  {kind:>13}  {:>7}  {:>7}  {verdict}: at most {IDLE_BYTES_MAX}", row.0, row.1);
        Ok(json!({ "kind": kind, "burst_chunks": burst, "heap_bytes": row.0, "resident_bytes": row.1 }))
    });
    let rows = rows.into_iter().collect::<Outcome<Vec<Value>>>()?;
    Ok(json!({ "subscribers": IDLE, "bytes_max": IDLE_BYTES_MAX, "rows": rows }))
}

fn idle_after(burst: u64) -> Outcome<(u64, u64)> {
    let stream = StreamId([9; 32]);
    let arena = Arena::new();
    let payload = Bytes::from(vec![0; KEY_LEN]);
    let mut relay = Relay::new(Limits { subscribers_per_stream_max: IDLE, ..Limits::default() });
    relay.pin(stream)?;
    let (heap, resident) = (Counting::held(), status_kib("VmRSS")?);
    for child in 0..IDLE {
        let subscriber = KeyId::new(format!("child-{child:05}"))?;
        let mut key = [1; 32];
        key[..8].copy_from_slice(&(child as u64).to_be_bytes());
        let (transit_key, policy, start) = (key.into(), Policy::UNCAPPED, Start::Live);
        relay.subscribe(Subscription { stream, subscriber, transit_key, policy, start }, 0)?;
    }
    for frame in 0..burst {
        let (mut inner, mut hint) = chunk(stream, frame, 0, &payload);
        hint.key = frame == 0;
        inner.ciphertext.truncate(100);
        relay.forward(stream, inner, hint, 0)?;
    }
    let handles: Vec<Handle> = relay.handles(stream).collect();
    let mut sent = 0;
    for handle in &handles {
        while relay.poll(*handle, 0, &arena)?.is_some() {
            sent += 1;
        }
    }
    drop(handles);
    if sent != burst * IDLE as u64 {
        return Err(format!("{sent} chunks of a burst of {burst} were sent").into());
    }
    let grown = status_kib("VmRSS")?.saturating_sub(resident) * 1024;
    Ok(((Counting::held().saturating_sub(heap)) / IDLE as u64, grown / IDLE as u64))
}

/// A field of this process's status, in KiB.
fn status_kib(field: &str) -> Outcome<u64> {
    let status = fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find(|line| line.starts_with(field)).ok_or("no such field in the status")?;
    Ok(line.split_whitespace().nth(1).ok_or("no number in the status")?.parse()?)
}

/// CPU time of this process, user and system.
fn cpu_s() -> Outcome<f64> {
    let stat = fs::read_to_string("/proc/self/stat")?;
    let (_, fields) = stat.rsplit_once(')').ok_or("no name in the statistics")?;
    let ticks: Vec<f64> = fields.split_whitespace().skip(11).take(2).map(str::parse).collect::<Result<_, _>>()?;
    Ok(ticks.iter().sum::<f64>() / TICKS_PER_S)
}
