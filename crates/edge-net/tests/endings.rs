//! How sessions end: with the last word delivered, with a reason, or by silence.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod common;

use std::time::Duration;

use common::{Host, bundle, pair, proven_raw};
use edge_net::{CloseCode, Error, Expect, Limits, SendError};

const PATIENCE: Duration = Duration::from_secs(60);

#[tokio::test]
async fn finish_delivers_what_is_queued_and_in_flight() {
    let (_a, _b, dialed, accepted) = pair(&Limits::default()).await;
    for number in 0..50u8 {
        dialed.send_control(&[number; 3000]).await.unwrap();
        dialed.try_send_message(vec![number; 1000], 0).unwrap();
    }
    let receiving = async {
        for number in 0..50u8 {
            assert_eq!(accepted.recv_control().await.unwrap(), &[number; 3000][..]);
        }
        for _ in 0..50 {
            accepted.recv_message().await.unwrap();
        }
        accepted.recv_control().await.unwrap_err()
    };
    let (over, ()) = tokio::join!(receiving, dialed.finish(CloseCode(300), "good bye", PATIENCE));
    match over {
        Error::Closed { code, reason } => assert_eq!((code, reason.as_str()), (CloseCode(300), "good bye")),
        other => panic!("{other:?}"),
    }
    assert!(matches!(dialed.send_control(b"late").await, Err(SendError::Closed(Error::ClosedHere))));
}

#[tokio::test]
async fn every_call_on_a_closed_session_says_so() {
    let (_a, _b, dialed, accepted) = pair(&Limits::default()).await;
    dialed.close(CloseCode(256), "over\u{7}");
    match accepted.closed().await {
        Error::Closed { code, reason } => assert_eq!((code, reason.as_str()), (CloseCode(256), "over")),
        other => panic!("{other:?}"),
    }
    let closed = |error: &Error| matches!(error, Error::Closed { code: CloseCode(256), .. });
    assert!(accepted.close_reason().is_some_and(|error| closed(&error)));
    assert!(closed(&accepted.recv_control().await.unwrap_err()));
    assert!(closed(&accepted.recv_message().await.unwrap_err()));
    assert!(closed(&accepted.writable().await.unwrap_err()));
    assert!(matches!(accepted.try_send_control(b"x"), Err(SendError::Closed(error)) if closed(&error)));
    assert!(matches!(accepted.send_control(b"x").await, Err(SendError::Closed(error)) if closed(&error)));
    assert!(matches!(accepted.try_send_message(&b"x"[..], 0), Err(SendError::Closed(error)) if closed(&error)));
}

#[tokio::test]
async fn a_waiting_sender_hears_of_the_end() {
    let (_a, _b, dialed, accepted) = pair(&Limits::default()).await;
    while dialed.try_send_message(vec![0; 1 << 20], 0).is_ok() {}
    let (writable, ()) = tokio::join!(dialed.writable(), async {
        accepted.close(CloseCode(256), "");
    });
    assert!(matches!(writable, Err(Error::Closed { .. })), "{writable:?}");
}

#[tokio::test]
async fn the_last_clone_takes_the_session_with_it() {
    let (_a, _b, dialed, accepted) = pair(&Limits::default()).await;
    let clone = dialed.clone();
    drop(dialed);
    clone.send_control(b"still here").await.unwrap();
    assert_eq!(accepted.recv_control().await.unwrap(), &b"still here"[..]);
    drop(clone);
    let over = accepted.closed().await;
    assert!(matches!(over, Error::Closed { code: CloseCode::DROPPED, .. }), "{over:?}");
}

#[tokio::test]
async fn a_closed_endpoint_ends_its_sessions_and_accepts_no_more() {
    let (dialer, acceptor, dialed, _accepted) = pair(&Limits::default()).await;
    acceptor.endpoint.close(CloseCode(256), "maintenance");
    let over = dialed.closed().await;
    assert!(matches!(&over, Error::Closed { reason, .. } if reason == "maintenance"), "{over:?}");
    assert!(acceptor.endpoint.accept().await.is_none());
    acceptor.endpoint.wait_idle().await;
    drop(dialer);
}

#[tokio::test]
async fn a_silent_peer_times_out() {
    let limits =
        Limits { idle_timeout: Duration::from_secs(1), keep_alive: Duration::from_secs(100), ..Limits::default() };
    let host = Host::with(1, &limits);
    let (_raw, _conn, _send, _recv) = proven_raw(&host, &bundle(2)).await;
    let session = host.session().await;
    let over = session.closed().await;
    assert!(matches!(over, Error::TimedOut), "{over:?}");
}

#[tokio::test]
async fn signs_of_life_keep_a_quiet_session() {
    let limits =
        Limits { idle_timeout: Duration::from_secs(1), keep_alive: Duration::from_millis(100), ..Limits::default() };
    let (dialer, _acceptor, dialed, accepted) = pair(&limits).await;
    // QUIC waits three of its initial retransmission timeouts for a dial, about 3 s: meanwhile the session must stay.
    let void = std::net::UdpSocket::bind(common::LOOPBACK).unwrap();
    let nobody = bundle(9);
    let dialing = dialer.endpoint.connect(void.local_addr().unwrap(), *nobody.public().transport(), Expect::Any);
    assert!(matches!(dialing.await, Err(Error::TimedOut)));
    dialed.send_control(b"still here").await.unwrap();
    assert_eq!(accepted.recv_control().await.unwrap(), &b"still here"[..]);
}
