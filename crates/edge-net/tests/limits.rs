//! Limits on sessions: refused with a reason, given back when a session ends.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod common;

use std::time::Duration;

use common::{Host, Raw, bundle, pair};
use edge_net::{CloseCode, Congestion, Error, Limit, Limits};

#[tokio::test]
async fn sessions_beyond_the_limit_are_refused_and_places_come_back() {
    let host = Host::with(1, &Limits { sessions: 2, ..Limits::default() });
    let dialer = Host::new(2);
    let (first, held_first) = tokio::join!(dialer.dial(&host), host.session());
    let (second, _held_second) = tokio::join!(dialer.dial(&host), host.session());
    let (refused, failure) = tokio::join!(dialer.dial(&host), host.failure());
    assert!(matches!(refused, Err(Error::Refused)), "{refused:?}");
    assert!(matches!(failure, Error::LimitReached(Limit::Sessions(2))), "{failure:?}");
    let own = host.dial(&dialer).await;
    assert!(matches!(own, Err(Error::LimitReached(Limit::Sessions(2)))), "{own:?}");
    drop((first, held_first));
    let (third, _held) = tokio::join!(dialer.dial(&host), host.session());
    third.unwrap();
    second.unwrap();
}

#[tokio::test]
async fn sessions_with_one_address_are_limited() {
    let host = Host::with(1, &Limits { sessions_per_ip: 1, ..Limits::default() });
    let (dialer, other) = (Host::new(2), Host::new(3));
    let (first, _held) = tokio::join!(dialer.dial(&host), host.session());
    first.unwrap();
    let (refused, failure) = tokio::join!(other.dial(&host), host.failure());
    assert!(matches!(refused, Err(Error::Refused)), "{refused:?}");
    assert!(matches!(failure, Error::LimitReached(Limit::SessionsPerIp(1))), "{failure:?}");
    let outward = tokio::join!(host.dial(&other), other.session()).0;
    outward.unwrap();
}

#[tokio::test]
async fn unfinished_handshakes_are_limited_and_end() {
    let host =
        Host::with(1, &Limits { half_open: 2, handshake_timeout: Duration::from_secs(600), ..Limits::default() });
    let raw = Raw::new(bundle(2).transport_seed());
    let silent = [raw.dial(host.addr()).await.unwrap(), raw.dial(host.addr()).await.unwrap()];
    let prompt = Host::new(3);
    let (refused, failure) = tokio::join!(prompt.dial(&host), host.failure());
    assert!(matches!(refused, Err(Error::Refused)), "{refused:?}");
    assert!(matches!(failure, Error::LimitReached(Limit::HalfOpen(2))), "{failure:?}");
    for conn in silent {
        conn.close(quinn::VarInt::from_u32(300), b"");
        assert!(matches!(host.failure().await, Error::Closed { code: CloseCode(300), .. }));
    }
    let (dialed, _session) = tokio::join!(prompt.dial(&host), host.session());
    dialed.unwrap();
}

#[tokio::test]
async fn every_congestion_control_carries_messages() {
    for congestion in [Congestion::Bbr, Congestion::Cubic, Congestion::NewReno] {
        let (_a, _b, dialed, accepted) = pair(&Limits { congestion, ..Limits::default() }).await;
        dialed.try_send_message(vec![1; 100_000], 0).unwrap();
        assert_eq!(accepted.recv_message().await.unwrap(), vec![1; 100_000], "{congestion:?}");
    }
}
