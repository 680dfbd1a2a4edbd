//! Media messages: whole or not at all, bounded in flight.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod common;

use std::collections::BTreeSet;

use common::{Host, bundle, pair, proven_raw};
use edge_net::{
    CloseCode, Error, InFlight, Limits, MAX_IN_FLIGHT_BYTES, MAX_IN_FLIGHT_MESSAGES, MAX_MESSAGE, SendError,
};

#[tokio::test]
async fn many_messages_arrive_whole() {
    let (_a, _b, dialed, accepted) = pair(&Limits::default()).await;
    let sending = async {
        for number in 0..500u32 {
            let message = number.to_be_bytes().repeat(1 + (number as usize * 37) % 6000);
            while let Err(error) = dialed.try_send_message(message.clone(), (number % 3).cast_signed()) {
                assert!(matches!(error, SendError::Full), "{error:?}");
                dialed.writable().await.unwrap();
            }
        }
    };
    let receiving = async {
        let mut seen = BTreeSet::new();
        while seen.len() < 500 {
            let message = accepted.recv_message().await.unwrap();
            let number = u32::from_be_bytes(message[..4].try_into().unwrap());
            assert_eq!(message, number.to_be_bytes().repeat(1 + (number as usize * 37) % 6000));
            assert!(seen.insert(number));
        }
    };
    tokio::join!(sending, receiving);
}

#[tokio::test]
async fn the_largest_message_passes_and_a_larger_one_is_not_sent() {
    let (_a, _b, dialed, accepted) = pair(&Limits::default()).await;
    let largest = vec![7; MAX_MESSAGE];
    dialed.try_send_message(largest.clone(), 0).unwrap();
    assert_eq!(accepted.recv_message().await.unwrap(), largest);
    let refused = dialed.try_send_message(vec![7; MAX_MESSAGE + 1], 0);
    assert!(matches!(refused, Err(SendError::TooLarge { .. })), "{refused:?}");
}

#[tokio::test]
async fn a_message_above_the_bound_ends_the_session() {
    let host = Host::new(1);
    let (_raw, conn, _send, _recv) = proven_raw(&host, &bundle(2)).await;
    let session = host.session().await;
    let mut stream = conn.open_uni().await.unwrap();
    let oversize = vec![1; MAX_MESSAGE + 1];
    let (_, received) = tokio::join!(stream.write_all(&oversize), session.recv_message());
    assert!(matches!(received, Err(Error::TooLarge { bound: MAX_MESSAGE, .. })), "{received:?}");
    match conn.closed().await {
        quinn::ConnectionError::ApplicationClosed(close) => {
            assert_eq!(close.error_code, quinn::VarInt::from_u32(CloseCode::TOO_LARGE.0));
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn abandoned_and_empty_streams_are_not_messages() {
    let host = Host::new(1);
    let (_raw, conn, _send, _recv) = proven_raw(&host, &bundle(2)).await;
    let session = host.session().await;
    for _ in 0..200 {
        let mut reset = conn.open_uni().await.unwrap();
        reset.write_all(b"half a pic").await.unwrap();
        reset.reset(quinn::VarInt::from_u32(1)).unwrap();
        conn.open_uni().await.unwrap().finish().unwrap();
    }
    let mut whole = conn.open_uni().await.unwrap();
    whole.write_all(b"picture").await.unwrap();
    whole.finish().unwrap();
    assert_eq!(session.recv_message().await.unwrap(), &b"picture"[..]);
}

#[tokio::test]
async fn a_message_overtakes_an_older_one_that_is_stuck() {
    let host = Host::new(1);
    let (_raw, conn, _send, _recv) = proven_raw(&host, &bundle(2)).await;
    let session = host.session().await;
    let mut slow = conn.open_uni().await.unwrap();
    slow.write_all(b"first half, ").await.unwrap();
    let mut quick = conn.open_uni().await.unwrap();
    quick.write_all(b"quick").await.unwrap();
    quick.finish().unwrap();
    assert_eq!(session.recv_message().await.unwrap(), &b"quick"[..]);
    slow.write_all(b"second half").await.unwrap();
    slow.finish().unwrap();
    assert_eq!(session.recv_message().await.unwrap(), &b"first half, second half"[..]);
}

#[tokio::test]
async fn what_is_in_flight_is_counted_and_bounded() {
    let (_a, _b, dialed, accepted) = pair(&Limits::default()).await;
    let mut taken = 0;
    // Nothing awaits here, so that no acknowledgement can be processed on this runtime.
    let full = loop {
        match dialed.try_send_message(vec![taken as u8; 1000], 0) {
            Ok(()) => taken += 1,
            Err(error) => break error,
        }
    };
    assert!(matches!(full, SendError::Full), "{full:?}");
    assert_eq!(dialed.in_flight(), InFlight { messages: taken, bytes: taken * 1000 });
    assert!(taken <= MAX_IN_FLIGHT_MESSAGES && taken * 1000 <= MAX_IN_FLIGHT_BYTES);
    let receiving = async {
        for _ in 0..taken {
            accepted.recv_message().await.unwrap();
        }
    };
    let (writable, ()) = tokio::join!(dialed.writable(), receiving);
    writable.unwrap();
    dialed.try_send_message(vec![0; 1000], 0).unwrap();
    accepted.recv_message().await.unwrap();
    while dialed.in_flight() != InFlight::default() {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn streams_that_the_peer_stops_give_their_room_back() {
    let host = Host::new(1);
    let (_raw, conn, _send, _recv) = proven_raw(&host, &bundle(2)).await;
    let session = host.session().await;
    while session.try_send_message(vec![1; 1000], 0).is_ok() {}
    let taken = session.in_flight().messages;
    conn.set_max_concurrent_uni_streams(quinn::VarInt::from_u32(1000));
    let stopping = async {
        for _ in 0..taken.min(90) {
            conn.accept_uni().await.unwrap().stop(quinn::VarInt::from_u32(5)).unwrap();
        }
    };
    tokio::join!(stopping, async { session.writable().await.unwrap() });
    session.try_send_message(vec![1; 1000], 0).unwrap();
}
