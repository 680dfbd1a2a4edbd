//! The control channel: ordered, bounded, and no way to grow memory.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod common;

use common::{Host, bundle, framed, pair, proven_raw};
use edge_net::{CloseCode, Error, Limits, MAX_CONTROL, SendError};

#[tokio::test]
async fn messages_arrive_in_order_and_both_ways() {
    let (_a, _b, dialed, accepted) = pair(&Limits::default()).await;
    for number in 0..100u32 {
        dialed.send_control(&number.to_be_bytes()).await.unwrap();
        accepted.try_send_control(&[]).unwrap();
    }
    for number in 0..100u32 {
        assert_eq!(accepted.recv_control().await.unwrap(), &number.to_be_bytes()[..]);
        assert!(dialed.recv_control().await.unwrap().is_empty());
    }
}

#[tokio::test]
async fn the_largest_message_passes_and_a_larger_one_is_not_sent() {
    let (_a, _b, dialed, accepted) = pair(&Limits::default()).await;
    let largest = vec![7; MAX_CONTROL];
    let (sent, received) = tokio::join!(dialed.send_control(&largest), accepted.recv_control());
    sent.unwrap();
    assert_eq!(received.unwrap(), largest);
    let refused = dialed.send_control(&vec![7; MAX_CONTROL + 1]).await;
    assert!(matches!(refused, Err(SendError::TooLarge { .. })), "{refused:?}");
}

#[tokio::test]
async fn an_announced_length_above_the_bound_ends_the_session() {
    let host = Host::new(1);
    let (_raw, conn, mut send, _recv) = proven_raw(&host, &bundle(2)).await;
    let session = host.session().await;
    send.write_all(&framed(b"fine")).await.unwrap();
    send.write_all(&u32::try_from(MAX_CONTROL + 1).unwrap().to_be_bytes()).await.unwrap();
    assert_eq!(session.recv_control().await.unwrap(), &b"fine"[..]);
    let error = session.recv_control().await.unwrap_err();
    assert!(matches!(error, Error::TooLarge { bound: MAX_CONTROL, .. }), "{error:?}");
    match conn.closed().await {
        quinn::ConnectionError::ApplicationClosed(close) => {
            assert_eq!(close.error_code, quinn::VarInt::from_u32(CloseCode::TOO_LARGE.0));
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_peer_that_does_not_read_fills_its_own_queue_and_nothing_else() {
    let (_a, _b, dialed, _unread) = pair(&Limits::default()).await;
    let message = vec![1; MAX_CONTROL / 4];
    // Far more than the queue, the stream's window and the connection's window hold together.
    let taken = (0..1000).take_while(|_| dialed.try_send_control(&message).is_ok()).count();
    assert!(taken < 100, "{taken} messages of {} bytes were taken", message.len());
    assert!(matches!(dialed.try_send_control(&message), Err(SendError::Full)));
    let tiny = (0..10_000).take_while(|_| dialed.try_send_control(&[1]).is_ok()).count();
    assert!(tiny < 1000, "{tiny} one-byte messages were taken");
}

#[tokio::test]
async fn reading_can_be_cancelled_within_a_message() {
    let host = Host::new(1);
    let (_raw, _conn, mut send, _recv) = proven_raw(&host, &bundle(2)).await;
    let session = host.session().await;
    let frame = framed(&[9; 5000]);
    for part in frame.chunks(700) {
        send.write_all(part).await.unwrap();
        // Polled once and dropped, whatever has arrived by then.
        tokio::select! {
            biased;
            received = session.recv_control() => assert_eq!(received.unwrap(), &[9; 5000][..]),
            () = tokio::task::yield_now() => continue,
        }
        return;
    }
    assert_eq!(session.recv_control().await.unwrap(), &[9; 5000][..]);
}
