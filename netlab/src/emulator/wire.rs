//! The event loop: reads what hosts send, keeps it as long as the model says, writes it.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::io::ErrorKind;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use edge_sim::link::Sent;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::setpriority_process;
use rustix::time::{ClockId, clock_gettime};

use super::usage::Usage;
use super::{Plug, Shared, lock};

/// Packets on their way at most; more are dropped.
const FLYING_MAX: usize = 131_072;
/// Packets that are read from one host before the others have their turn.
const BURST: usize = 64;
/// Longest sleep: how late a stop or the counters are seen.
const IDLE: Duration = Duration::from_millis(50);
/// How old the counters may be that others see.
const ACCOUNT_US: u64 = 10_000;
/// Below this, sleeping and waking costs more than it saves.
const SHORTEST_SLEEP_US: u64 = 20;
/// The network does not wait for the programs that use it.
const PRIORITY: i32 = -20;

/// Carries packets until the emulator is stopped.
pub(super) fn carry(plugs: &[Plug], shared: &Shared) {
    // Without the right to it, packets are late when the machine is busy, and the usage tells how late.
    let _ = setpriority_process(None, PRIORITY);
    let mtu = plugs.iter().map(|plug| usize::from(plug.mtu)).max().unwrap_or_default();
    let mut wire = Wire {
        ends: plugs.iter().map(|plug| End { plug, state: State::Open }).collect(),
        shared,
        start: Instant::now(),
        flying: BinaryHeap::new(),
        sequence: 0,
        buffer: vec![0; mtu],
        usage: Usage::default(),
        accounted_us: 0,
    };
    while !shared.stopped.load(Ordering::Relaxed) {
        wire.turn();
    }
}

struct Wire<'a> {
    ends: Vec<End<'a>>,
    shared: &'a Shared,
    start: Instant,
    flying: BinaryHeap<Reverse<Packet>>,
    sequence: u64,
    buffer: Vec<u8>,
    usage: Usage,
    accounted_us: u64,
}

struct End<'a> {
    plug: &'a Plug,
    state: State,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Open,
    /// The namespace was removed behind our back.
    Gone,
}

/// A packet on its way; ordered by time, then by the order in which it was sent.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Packet {
    at_us: u64,
    sequence: u64,
    leg: Leg,
    to: usize,
    bytes: Vec<u8>,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Leg {
    /// To the access line of the receiver.
    Between,
    /// Through it.
    Access,
}

impl Wire<'_> {
    fn turn(&mut self) {
        self.deliver();
        self.account();
        for host in self.wait() {
            self.read(host);
        }
    }

    /// Writes everything that is due.
    fn deliver(&mut self) {
        let now_us = self.now_us();
        while self.flying.peek().is_some_and(|Reverse(packet)| packet.at_us <= now_us) {
            let Some(Reverse(packet)) = self.flying.pop() else { return };
            match packet.leg {
                Leg::Between => {
                    let sent = lock(&self.shared.network).receive(packet.at_us, packet.to, packet.bytes.len());
                    self.launch(sent, Leg::Access, packet.to, &packet.bytes);
                }
                Leg::Access => self.write(&packet),
            }
        }
    }

    fn write(&mut self, packet: &Packet) {
        let Some(end) = self.ends.get(packet.to).filter(|end| end.state == State::Open) else { return };
        match end.plug.device.send(&packet.bytes) {
            Ok(_) => self.usage.count_delivery(self.now_us().saturating_sub(packet.at_us)),
            Err(_) => self.usage.overflows += 1,
        }
    }

    /// Sleeps until a packet is due or a host sent one; returns the hosts that did.
    fn wait(&self) -> Vec<usize> {
        let open: Vec<usize> = (0..self.ends.len()).filter(|at| self.ends[*at].state == State::Open).collect();
        let interest = |host: &usize| PollFd::new(&self.ends[*host].plug.device, PollFlags::IN);
        let mut ends: Vec<PollFd<'_>> = open.iter().map(interest).collect();
        let sleep_us = match self.flying.peek() {
            Some(Reverse(packet)) => packet.at_us.saturating_sub(self.now_us()),
            None => u64::MAX,
        };
        let sleep = if sleep_us < SHORTEST_SLEEP_US { Duration::ZERO } else { Duration::from_micros(sleep_us) };
        let sleep = Timespec::try_from(sleep.min(IDLE)).ok();
        if poll(&mut ends, sleep.as_ref()).is_err() {
            return Vec::new();
        }
        let ready = open.iter().zip(&ends).filter(|(_, end)| !end.revents().is_empty());
        ready.map(|(host, _)| *host).collect()
    }

    /// Takes what `host` sent.
    fn read(&mut self, host: usize) {
        let mut buffer = std::mem::take(&mut self.buffer);
        for _ in 0..BURST {
            let Some(end) = self.ends.get_mut(host) else { break };
            match end.plug.device.recv(&mut buffer) {
                Ok(len) => self.take(host, buffer.get(..len).unwrap_or_default()),
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => break,
                Err(_) => {
                    end.state = State::Gone;
                    break;
                }
            }
        }
        self.buffer = buffer;
    }

    fn take(&mut self, from: usize, packet: &[u8]) {
        let now_us = self.now_us();
        let mut network = lock(&self.shared.network);
        let Some(to) = network.destination(packet) else { return };
        let sent = network.send(now_us, from, to, packet.len());
        drop(network);
        self.usage.packets += 1;
        self.usage.bytes += packet.len() as u64;
        self.launch(sent, Leg::Between, to, packet);
    }

    fn launch(&mut self, sent: Option<Sent>, leg: Leg, to: usize, bytes: &[u8]) {
        let Some(Sent::Delivered(deliveries)) = sent else { return };
        for at_us in deliveries.times().iter().copied() {
            if self.flying.len() >= FLYING_MAX {
                self.usage.overflows += 1;
                return;
            }
            let sequence = self.sequence;
            self.sequence += 1;
            self.flying.push(Reverse(Packet { at_us, sequence, leg, to, bytes: bytes.to_vec() }));
        }
    }

    fn account(&mut self) {
        let now_us = self.now_us();
        if now_us < self.accounted_us + ACCOUNT_US {
            return;
        }
        self.accounted_us = now_us;
        let cpu = clock_gettime(ClockId::ThreadCPUTime);
        self.usage.cpu = Duration::try_from(cpu).unwrap_or_default();
        lock(&self.shared.usage).clone_from(&self.usage);
    }

    fn now_us(&self) -> u64 {
        u64::try_from(self.start.elapsed().as_micros()).unwrap_or(u64::MAX)
    }
}
