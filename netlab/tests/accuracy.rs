//! Links do what their model says: never early, on time, lossy and slow as asked, each pair by itself.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod common;

use std::net::UdpSocket;
use std::time::{Duration, Instant};

use common::{lab, ms, say, socket};
use edge_netlab::{Host, Lab};
use edge_sim::link::{Loss, Model, Queue};

const PINGS: u32 = 300;
const PAUSE: Duration = Duration::from_millis(5);

/// Round-trip times between two hosts, sorted, in µs; `PINGS` at most.
fn round_trips(lab: &Lab, from: Host, to: Host) -> Vec<u64> {
    let (here, there) = (socket(lab, from), socket(lab, to));
    let target = there.local_addr().unwrap();
    let begin = Instant::now();
    let echo = move || {
        let mut buffer = [0; 64];
        while let Ok((len, sender)) = there.recv_from(&mut buffer) {
            there.send_to(&buffer[..len], sender).unwrap();
        }
    };
    let send = |here: &UdpSocket| {
        for _ in 0..PINGS {
            let sent_us = u64::try_from(begin.elapsed().as_micros()).unwrap();
            here.send_to(&sent_us.to_le_bytes(), target).unwrap();
            std::thread::sleep(PAUSE);
        }
    };
    let mut times = std::thread::scope(|scope| {
        scope.spawn(echo);
        scope.spawn(|| send(&here));
        let mut buffer = [0; 8];
        let mut times = Vec::new();
        while times.len() < PINGS as usize && here.recv(&mut buffer).is_ok() {
            let now_us = u64::try_from(begin.elapsed().as_micros()).unwrap();
            times.push(now_us - u64::from_le_bytes(buffer));
        }
        times
    });
    times.sort_unstable();
    times
}

/// Datagrams of `len` bytes sent at once, and when each that came came, since the first.
fn burst(lab: &Lab, count: usize, len: usize) -> Vec<Duration> {
    let (from, to) = (socket(lab, Host(0)), socket(lab, Host(1)));
    let target = to.local_addr().unwrap();
    std::thread::scope(|scope| {
        scope.spawn(move || {
            let datagram = vec![1; len];
            for _ in 0..count {
                from.send_to(&datagram, target).unwrap();
            }
        });
        let mut buffer = [0; 2048];
        let mut first = None;
        std::iter::from_fn(|| to.recv(&mut buffer).ok().map(|_| first.get_or_insert_with(Instant::now).elapsed()))
            .collect()
    })
}

#[test]
fn delay_is_kept_to_a_millisecond_between_all_of_twenty_hosts_or_skipped() {
    let Some(alone) = lab("delay", 20, ms(25)) else { return };
    let lab = &alone.lab;
    lab.set(Host(3), Host(19), ms(60));
    lab.set_one_way(Host(5), Host(6), ms(5));
    for (from, to, wanted_us) in [(0, 1, 50_000), (3, 19, 120_000), (5, 6, 30_000), (18, 17, 50_000)] {
        let times = round_trips(lab, Host(from), Host(to));
        assert_eq!(times.len(), PINGS as usize, "nothing is lost");
        let [least, median, high] = [0, PINGS / 2, PINGS * 95 / 100].map(|at| times[at as usize]);
        say(&format!("ping {from} to {to}, wanted {wanted_us} µs: min {least}, p50 {median}, p95 {high}"));
        assert!(least >= wanted_us, "early: {least}");
        assert!(median <= wanted_us + 1_000, "late: {median}");
    }
    say(&lab.usage().to_string());
}

#[test]
fn jitter_spreads_around_the_delay_or_skipped() {
    let jitter = Model { jitter_us: 10_000, ..ms(40) };
    let Some(alone) = lab("jitter", 2, jitter) else { return };
    let times = round_trips(&alone.lab, Host(0), Host(1));
    let (least, most) = (times[0], times[times.len() - 1]);
    say(&format!("jitter: min {least} µs, max {most} µs"));
    assert!((60_000..78_000).contains(&least), "{least}");
    assert!(most > 85_000, "{most}");
}

#[test]
fn the_packets_that_are_lost_are_those_that_were_counted_or_skipped() {
    let lossy = Model { loss: Loss::Uniform { ppm: 100_000 }, ..ms(5) };
    let Some(alone) = lab("loss", 2, lossy) else { return };
    let came = round_trips(&alone.lab, Host(0), Host(1)).len() as u64;
    let (there, back) = (alone.lab.counters(Host(0), Host(1)), alone.lab.counters(Host(1), Host(0)));
    assert_eq!(there.offered, u64::from(PINGS));
    assert_eq!(there.offered - there.losses, back.offered);
    assert_eq!(back.offered - back.losses, came);
    assert!((5..60).contains(&there.losses), "{}", there.losses);
}

#[test]
fn a_slow_link_spaces_packets_and_its_queue_overflows_or_skipped() {
    let slow = Model { rate_kbps: 8_224, queue: Queue::Packets(50), ..ms(10) };
    let Some(alone) = lab("rate", 2, slow) else { return };
    // 1,000 bytes and 28 of headers take one millisecond.
    let came = burst(&alone.lab, 200, 1_000);
    let counters = alone.lab.counters(Host(0), Host(1));
    assert_eq!((counters.offered, counters.delivered), (200, came.len() as u64));
    assert!((50..80).contains(&came.len()), "the queue and what left meanwhile: {}", came.len());
    let spacing_us = came[came.len() - 1].as_micros() / (came.len() as u128 - 1);
    say(&format!("rate: {} of 200 came, {spacing_us} µs apart", came.len()));
    assert!((950..1_100).contains(&spacing_us), "{spacing_us}");
}
