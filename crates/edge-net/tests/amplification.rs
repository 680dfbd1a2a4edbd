//! Nobody can be flooded through us: an unvalidated address is sent no more bytes than it sent.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod common;

use std::time::Duration;

use common::{Host, bundle};
use edge_net::Expect;
use tokio::net::UdpSocket;

/// The first datagram of a real client.
async fn first_datagram() -> Vec<u8> {
    let recorder = UdpSocket::bind(common::LOOPBACK).await.unwrap();
    let client = Host::new(7);
    let keys = bundle(8);
    let addr = recorder.local_addr().unwrap();
    let mut datagram = vec![0; 2048];
    let len = tokio::select! {
        received = recorder.recv(&mut datagram) => received.unwrap(),
        dialed = client.endpoint.connect(addr, *keys.public().transport(), Expect::Any) => panic!("{dialed:?}"),
    };
    datagram.truncate(len);
    datagram
}

/// Sends `datagrams` from a fresh socket; returns bytes sent and bytes that came back before a genuine dial succeeded
/// after them, which shows that the host has dealt with all of them.
async fn spoofed(host: &Host, datagrams: &[Vec<u8>]) -> (usize, usize, Vec<Vec<u8>>) {
    let spoofer = UdpSocket::bind(common::LOOPBACK).await.unwrap();
    let mut sent = 0;
    for datagram in datagrams {
        sent += spoofer.send_to(datagram, host.addr()).await.unwrap();
    }
    let genuine = Host::new(9);
    for _ in 0..2 {
        let (dialed, _session) = tokio::join!(genuine.dial(host), host.session());
        dialed.unwrap();
    }
    let (mut replies, mut received) = (Vec::new(), 0);
    let mut buffer = vec![0; 65536];
    while let Ok(len) = spoofer.try_recv(&mut buffer) {
        received += len;
        replies.push(buffer[..len].to_vec());
    }
    (sent, received, replies)
}

#[tokio::test]
async fn a_first_packet_earns_a_retry_and_nothing_else() {
    let host = Host::new(1);
    let initial = first_datagram().await;
    let (sent, received, replies) = spoofed(&host, std::slice::from_ref(&initial)).await;
    assert!(received > 0, "no reply: the datagram was not a first packet");
    assert!(received <= sent, "{received} bytes for {sent}");
    assert_eq!(replies.len(), 1);
    // Long header of type Retry.
    assert_eq!(replies[0][0] & 0xf0, 0xf0);
}

#[tokio::test]
async fn repeated_and_truncated_first_packets_earn_less_than_they_cost() {
    let host = Host::new(1);
    let initial = first_datagram().await;
    let mut datagrams = vec![initial.clone(); 20];
    datagrams.extend((1..initial.len()).step_by(37).map(|len| initial[..len].to_vec()));
    let mut unknown_version = initial.clone();
    unknown_version[1..5].copy_from_slice(&[0x1a, 0x2a, 0x3a, 0x4a]);
    datagrams.push(unknown_version);
    datagrams.extend((0..initial.len()).step_by(53).map(|at| {
        let mut flipped = initial.clone();
        flipped[at] ^= 0x55;
        flipped
    }));
    for datagram in datagrams {
        let (sent, received, _) = spoofed(&host, std::slice::from_ref(&datagram)).await;
        assert!(
            received <= sent,
            "{received} bytes for {sent}: first bytes {:02x?}",
            &datagram[..datagram.len().min(8)]
        );
    }
}

#[tokio::test]
async fn a_retry_costs_the_host_no_session() {
    let host = Host::with(1, &edge_net::Limits { sessions: 1, half_open: 1, ..edge_net::Limits::default() });
    let initial = first_datagram().await;
    let spoofer = UdpSocket::bind(common::LOOPBACK).await.unwrap();
    for _ in 0..50 {
        spoofer.send_to(&initial, host.addr()).await.unwrap();
    }
    let genuine = Host::with(9, &edge_net::Limits { handshake_timeout: Duration::from_secs(60), ..Default::default() });
    let (dialed, _session) = tokio::join!(genuine.dial(&host), host.session());
    dialed.unwrap();
}
