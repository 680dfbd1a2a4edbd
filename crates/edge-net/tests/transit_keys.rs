//! Transit keys: the same at both ends, different for everything else.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod common;

use common::pair;
use edge_net::{Direction, Limits};

#[tokio::test]
async fn both_ends_derive_the_same_keys_and_no_two_are_alike() {
    let (_a, _b, dialed, accepted) = pair(&Limits::default()).await;
    assert_eq!((dialed.outbound(), dialed.inbound()), (accepted.inbound(), accepted.outbound()));
    let mut seen = Vec::new();
    for direction in [Direction::DialerToAcceptor, Direction::AcceptorToDialer] {
        for context in [&b""[..], b"stream 1", b"stream 2", &[1], &[2]] {
            let key = dialed.transit_key(direction, context).unwrap();
            assert_eq!(key, accepted.transit_key(direction, context).unwrap());
            seen.push(*key.expose());
        }
    }
    let all = seen.len();
    seen.sort_unstable();
    seen.dedup();
    assert_eq!(seen.len(), all);
}

#[tokio::test]
async fn another_session_has_other_keys() {
    let (dialer, acceptor, first, _held) = pair(&Limits::default()).await;
    let (second, _accepted) = tokio::join!(dialer.dial(&acceptor), acceptor.session());
    let key = |session: &edge_net::Session| session.transit_key(Direction::DialerToAcceptor, b"stream").unwrap();
    assert_ne!(key(&first), key(&second.unwrap()));
}
