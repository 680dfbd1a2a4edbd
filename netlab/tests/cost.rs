//! The emulator carries what twenty hosts of live video send, in a small part of one core.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod common;

use std::net::UdpSocket;
use std::time::{Duration, Instant};

use common::{lab, ms, say, socket};
use edge_netlab::Host;

const HOSTS: usize = 20;
const DATAGRAM: usize = 1_000;
/// 2.5 Mbit/s.
const PER_SECOND: u32 = 312;
const LENGTH: Duration = Duration::from_secs(5);

#[test]
fn twenty_hosts_at_live_rates_cost_less_than_half_a_core_or_skipped() {
    let Some(alone) = lab("cost", HOSTS, ms(20)) else { return };
    let lab = &alone.lab;
    let sockets: Vec<UdpSocket> = lab.hosts().map(|host| socket(lab, host)).collect();
    let begin = Instant::now();
    let cpu_before = lab.usage().cpu;
    std::thread::scope(|scope| {
        for (number, socket) in sockets.iter().enumerate() {
            let target = sockets[(number + 1) % HOSTS].local_addr().unwrap();
            scope.spawn(move || send(socket, target, begin));
        }
    });
    let took = begin.elapsed();
    let share = (lab.usage().cpu - cpu_before).as_secs_f64() / took.as_secs_f64();
    let sent = u64::from(PER_SECOND) * LENGTH.as_secs() * HOSTS as u64;
    let counted: u64 = (0..HOSTS).map(|from| lab.counters(Host(from), Host((from + 1) % HOSTS)).offered).sum();
    say(&format!("cost: {:.0} packets/s for {:.1} % of a core", sent as f64 / took.as_secs_f64(), share * 100.0));
    say(&lab.usage().to_string());
    assert_eq!(counted, sent);
    assert!(share < 0.5, "{share}");
}

/// Sends at an even pace.
fn send(socket: &UdpSocket, target: std::net::SocketAddr, begin: Instant) {
    let datagram = [1; DATAGRAM];
    for number in 0..PER_SECOND * u32::try_from(LENGTH.as_secs()).unwrap() {
        let due = begin + Duration::from_secs(1) * number / PER_SECOND;
        std::thread::sleep(due.saturating_duration_since(Instant::now()));
        socket.send_to(&datagram, target).unwrap();
    }
}
