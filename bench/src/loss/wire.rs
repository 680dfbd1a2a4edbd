//! A lossy path between two sockets of this machine: real datagrams through two seeded links, one each way.

use std::net::{SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, OnceLock};
use std::thread;
use std::time::{Duration, Instant};

use edge_sim::link::{Link, Model};

use super::{LOOPBACK, Outcome};

/// Packets on the way in one direction.
const MAX_ON_WAY: usize = 8192;
const MAX_PACKET: usize = 65_535;
/// What UDP and IP add to a datagram on the wire.
const HEADERS: usize = 28;
const LOOK_UP_EVERY: Duration = Duration::from_millis(100);
/// Separates the randomness of the two directions.
const BACKWARD: u64 = 0x5bd1_e995;

/// Where to dial instead of the real address; the path ends when this is dropped.
pub(super) struct Wire {
    pub(super) addr: SocketAddr,
    over: Arc<AtomicBool>,
}

impl Wire {
    /// A path of `model` each way to `server`.
    pub(super) fn to(server: SocketAddr, model: Model, seed: u64) -> Outcome<Self> {
        let (front, back) = (UdpSocket::bind(LOOPBACK)?, UdpSocket::bind(LOOPBACK)?);
        back.connect(server)?;
        let addr = front.local_addr()?;
        let over = Arc::<AtomicBool>::default();
        let dialer = Arc::<OnceLock<SocketAddr>>::default();
        let ways = [
            Direction { from: front.try_clone()?, to: back.try_clone()?, dialer: dialer.clone(), is_forward: true },
            Direction { from: back, to: front, dialer, is_forward: false },
        ];
        for (way, seed) in ways.into_iter().zip([seed, seed ^ BACKWARD]) {
            way.start(Link::new(model, seed), over.clone())?;
        }
        Ok(Self { addr, over })
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
    }
}

struct Direction {
    from: UdpSocket,
    to: UdpSocket,
    /// The first that sent something.
    dialer: Arc<OnceLock<SocketAddr>>,
    is_forward: bool,
}

type Packet = (Instant, Vec<u8>);

impl Direction {
    fn start(self, link: Link, over: Arc<AtomicBool>) -> Outcome<()> {
        let (on_way, arrivals) = sync_channel(MAX_ON_WAY);
        let (to, dialer) = (self.to.try_clone()?, (!self.is_forward).then(|| self.dialer.clone()));
        self.from.set_read_timeout(Some(LOOK_UP_EVERY))?;
        thread::Builder::new().name("wire-in".into()).spawn(move || self.take(link, &on_way, &over))?;
        thread::Builder::new().name("wire-out".into()).spawn(move || give(&to, dialer.as_deref(), &arrivals))?;
        Ok(())
    }

    fn take(self, mut link: Link, on_way: &SyncSender<Packet>, over: &AtomicBool) {
        let started = Instant::now();
        let mut buffer = vec![0; MAX_PACKET];
        while !over.load(Ordering::Relaxed) {
            let Ok((len, from)) = self.from.recv_from(&mut buffer) else { continue };
            if self.is_forward {
                self.dialer.get_or_init(|| from);
            }
            let now_us = u64::try_from(started.elapsed().as_micros()).unwrap_or(u64::MAX);
            if let Some(at_us) = link.send(now_us, len + HEADERS).first_us() {
                // A full channel is a full queue.
                let _ = on_way.try_send((started + Duration::from_micros(at_us), buffer[..len].to_vec()));
            }
        }
    }
}

fn give(to: &UdpSocket, dialer: Option<&OnceLock<SocketAddr>>, arrivals: &Receiver<Packet>) {
    while let Ok((at, packet)) = arrivals.recv() {
        thread::sleep(at.saturating_duration_since(Instant::now()));
        // A datagram that the kernel does not take is a lost one.
        let _ = match dialer.map(OnceLock::get) {
            None => to.send(&packet),
            Some(Some(addr)) => to.send_to(&packet, addr),
            Some(None) => Ok(0),
        };
    }
}
