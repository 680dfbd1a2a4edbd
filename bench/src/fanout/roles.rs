//! What the processes of the fan-out do: publish synthetic frames, relay, watch without opening the inner seal.

use std::io::Write;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use edge_alm::mesh::Opens;
use edge_crypto::random::System;
use edge_identity::KeyBundle;
use edge_net::{Endpoint, Limits, Session};
use edge_node::event::Reporter;
use edge_node::hub::{self, Board, Hub, Room, Upward};
use edge_node::relay;
use edge_node::ticket::{Ticket, own_hops};
use edge_node::uplink::{Gauge, Handler, Layers, Parents, Taken, Uplink};
use edge_node::{Error, clock};
use edge_wire::chunk::{CodecId, Header, InnerSealed};
use edge_wire::control::{Message, Role};
use edge_wire::id::{ChunkSeq, Epoch, Fingerprint, StreamId};
use edge_wire::layer::{Layer, Policy};
use edge_wire::link::Hint;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::sync::{mpsc, watch};

use super::{Outcome, bare};

/// First argument of a process in a role.
pub(crate) const FLAG: &str = "--fanout-role";
/// Rate of the stream.
pub(super) const KBPS: u32 = 2_500;
/// Length of a key frame in bytes: three times the mean, as the encoder limits it.
pub(super) const KEY_LEN: u32 = 31_250;

/// Rate of frames.
pub(super) const FRAMES_PER_SECOND: u32 = 30;
/// Frames from key to key: 2 s.
pub(super) const KEY_EVERY: u64 = 60;
/// Frames of the three temporal layers, such that all together make the rate.
const LAYER_LENS: [u32; 3] = [16_266, 11_183, 6_608];
/// Temporal layers in the order in which they come.
const PATTERN: [u8; 4] = [0, 2, 1, 2];
const STREAM: StreamId = StreamId([9; 32]);
/// Bytes in front of a frame's padding: when it was published.
const STAMP_LEN: usize = 8;
/// Frames that one process records.
const MAX_RECORDED: usize = 1 << 20;

/// Plays the role that the arguments after [`FLAG`] say.
pub(crate) fn play(words: &[&str]) -> Outcome<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    match words {
        ["publish"] => runtime.block_on(publish()),
        ["bare-send", count] => runtime.block_on(bare::send(count.parse()?)),
        ["bare-watch", server, count, addr] => {
            runtime.block_on(bare::watch(server.parse()?, count.parse()?, addr.parse()?))
        }
        ["relay", ticket] => runtime.block_on(carry(ticket.parse()?)),
        ["watch", ticket, count, addr] => runtime.block_on(watch(ticket.parse()?, count.parse()?, addr.parse()?)),
        _ => Err("unknown role".into()),
    }
}

fn bundle() -> Outcome<Arc<KeyBundle>> {
    Ok(Arc::new(KeyBundle::generate(None, &mut System)?))
}

pub(super) fn loopback() -> SocketAddr {
    SocketAddr::new(Ipv4Addr::LOCALHOST.into(), 0)
}

async fn publish() -> Outcome<()> {
    let bundle = bundle()?;
    let endpoint = Arc::new(Endpoint::bind(bundle.clone(), loopback(), &Limits::default())?);
    let (reporter, _events) = Reporter::channel();
    let limits = edge_relay::Limits::default();
    let room = Room::default();
    let (hub, mut wishes) = Hub::new(hub::Settings { stream: STREAM, limits, room, neighbours: None, reporter })?;
    hub.set_chain(vec![bundle.fingerprint()]);
    let hops = own_hops(&bundle, endpoint.local_addr()?, &[]);
    let ticket = Ticket { stream: STREAM, publisher: bundle.fingerprint(), hops, secret: None };
    println!("{}", ticket.to_text().as_str());
    let (board, _wanted) = Board::new(hub.clone());
    tokio::spawn(board.accept(endpoint));
    let mut ticks = tokio::time::interval(Duration::from_secs(1) / FRAMES_PER_SECOND);
    let (mut seq, mut since_key) = (0, 0);
    loop {
        ticks.tick().await;
        while let Ok(wish) = wishes.try_recv() {
            if matches!(wish, Upward::Recover(_)) {
                since_key = 0;
            }
        }
        let (chunk, hint) = frame(seq, since_key);
        hub.forward(chunk, hint);
        (seq, since_key) = (seq + 1, (since_key + 1) % KEY_EVERY);
    }
}

/// A frame that no relay can tell from a sealed one.
pub(super) fn frame(seq: u64, since_key: u64) -> (InnerSealed, Hint) {
    let key = since_key == 0;
    let index = (since_key % PATTERN.len() as u64) as u8;
    let temporal = PATTERN[usize::from(index)];
    let len = if key { KEY_LEN } else { LAYER_LENS[usize::from(temporal)] };
    let mut bytes = vec![0x5a; len as usize];
    bytes[..STAMP_LEN].copy_from_slice(&clock::unix_us().to_be_bytes());
    let header = Header {
        stream: STREAM,
        epoch: Epoch(1),
        seq: ChunkSeq(seq),
        codec: CodecId::AV1_SVC,
        layer: Layer::new(0, temporal, 0),
    };
    let hint =
        Hint { key, frame_start: true, switch: key, discardable: temporal == 2, audio: false, temporal_index: index };
    (InnerSealed { header, ciphertext: Bytes::from(bytes) }, hint)
}

/// The role of `edge relay`, with its reports as JSON lines.
async fn carry(ticket: Ticket) -> Outcome<()> {
    let (reporter, mut events) = Reporter::channel();
    let (_stop, shutdown) = watch::channel(false);
    let options = relay::Options {
        bundle: bundle()?,
        listen: loopback(),
        advertise: Vec::new(),
        ticket,
        parents: Parents::Any,
        room: Room::default(),
    };
    tokio::spawn(relay::run(options, reporter, shutdown));
    while let Some(event) = events.recv().await {
        println!("{}", serde_json::to_string(&event)?);
    }
    Ok(())
}

/// Viewers of one process: how many have media, and what they record.
#[derive(Default)]
struct Watched {
    with_media: AtomicUsize,
    recorded: Mutex<Option<Vec<(u32, u32)>>>,
}

async fn watch(ticket: Ticket, count: usize, addr: IpAddr) -> Outcome<()> {
    let watched = Arc::<Watched>::default();
    for _ in 0..count {
        tokio::spawn(view(ticket.for_relays(), addr, watched.clone()));
        // A relay takes a bounded number of newcomers at a time.
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    while watched.with_media.load(Ordering::Relaxed) < count {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    println!("ready");
    let mut words = BufReader::new(tokio::io::stdin()).lines();
    while let Some(word) = words.next_line().await? {
        let mut recorded = watched.recorded.lock().unwrap_or_else(PoisonError::into_inner);
        match word.as_str() {
            "record" => *recorded = Some(Vec::new()),
            _ => writeln!(std::io::stdout(), "{}", serde_json::to_string(&recorded.take().unwrap_or_default())?)?,
        }
    }
    Ok(())
}

async fn view(ticket: Ticket, addr: IpAddr, watched: Arc<Watched>) -> Outcome<()> {
    let bundle = bundle()?;
    let own = bundle.fingerprint();
    let uplink = Uplink {
        endpoint: Arc::new(Endpoint::bind(bundle, SocketAddr::new(addr, 0), &Limits::default())?),
        own,
        stream: ticket.stream,
        publisher: ticket.publisher,
        hops: ticket.hops,
        layers: Layers::Pinned(Policy::UNCAPPED),
        opens: Opens::OuterOnly,
        role: Role::Leaf,
        mesh: None,
        gauge: Gauge::default(),
    };
    let (_outgoing, mut requests) = mpsc::channel(1);
    let (_stop, shutdown) = watch::channel(false);
    let mut viewer = Viewer { watched, has_media: false };
    Ok(uplink.run(&mut viewer, &mut requests, shutdown).await?)
}

struct Viewer {
    watched: Arc<Watched>,
    has_media: bool,
}

impl Handler for Viewer {
    fn connected(&mut self, _session: &Session, _chain: &[Fingerprint], _why: &str) {}

    fn media(&mut self, chunk: InnerSealed, _hint: Hint) -> Taken {
        if !std::mem::replace(&mut self.has_media, true) {
            self.watched.with_media.fetch_add(1, Ordering::Relaxed);
        }
        let stamp = chunk.ciphertext.first_chunk::<STAMP_LEN>().map_or(0, |stamp| u64::from_be_bytes(*stamp));
        let age_us = u32::try_from(clock::unix_us().saturating_sub(stamp)).unwrap_or(u32::MAX);
        let len = u32::try_from(chunk.ciphertext.len()).unwrap_or(u32::MAX);
        let mut recorded = self.watched.recorded.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(recorded) = recorded.as_mut().filter(|recorded| recorded.len() < MAX_RECORDED) {
            recorded.push((len, age_us));
        }
        Taken::Good { age_ms: None }
    }

    fn refused(&mut self) {}

    fn control(&mut self, _message: Message) {}

    fn disconnected(&mut self, _reason: &Error) {}
}
