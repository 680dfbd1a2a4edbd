//! Until it has proven itself, a peer can do nothing but prove itself.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod common;

use std::time::Duration;

use common::{Host, Raw, bundle, framed, proven_raw};
use edge_net::{CloseCode, Error, Limits, ProofError};

#[tokio::test]
async fn no_media_stream_can_be_opened() {
    let host = Host::new(1);
    let raw = Raw::new(bundle(2).transport_seed());
    let conn = raw.dial(host.addr()).await.unwrap();
    let (mut send, _recv) = conn.open_bi().await.unwrap();
    send.write_all(&framed(b"not a proof")).await.unwrap();
    tokio::select! {
        biased;
        opened = conn.open_uni() => assert!(opened.is_err(), "the host let an unproven peer open a stream"),
        _ = conn.closed() => {}
    }
    assert!(matches!(host.failure().await, Error::HandshakeFailed(ProofError::Wire(_))));
}

#[tokio::test]
async fn media_streams_open_with_the_proof() {
    let host = Host::new(1);
    let keys = bundle(2);
    let (_raw, conn, _send, _recv) = proven_raw(&host, &keys).await;
    let session = host.session().await;
    let mut stream = conn.open_uni().await.unwrap();
    stream.write_all(b"picture").await.unwrap();
    stream.finish().unwrap();
    assert_eq!(session.recv_message().await.unwrap(), &b"picture"[..]);
}

#[tokio::test]
async fn control_frames_do_not_pass_for_a_proof() {
    let host = Host::new(1);
    let raw = Raw::new(bundle(2).transport_seed());
    let conn = raw.dial(host.addr()).await.unwrap();
    let (mut send, _recv) = conn.open_bi().await.unwrap();
    for _ in 0..100 {
        if send.write_all(&framed(&[3; 100])).await.is_err() {
            break;
        }
    }
    let error = host.failure().await;
    assert!(matches!(error, Error::HandshakeFailed(ProofError::Wire(_))), "{error:?}");
}

#[tokio::test]
async fn a_second_control_stream_cannot_be_opened() {
    let host = Host::new(1);
    let (_raw, conn, _send, _recv) = proven_raw(&host, &bundle(2)).await;
    let session = host.session().await;
    session.close(CloseCode::DONE, "");
    tokio::select! {
        biased;
        opened = conn.open_bi() => assert!(opened.is_err(), "the host let a peer open a second control stream"),
        _ = conn.closed() => {}
    }
}

#[tokio::test]
async fn a_silent_newcomer_is_closed_at_the_deadline_and_delays_nobody() {
    let limits = Limits { handshake_timeout: Duration::from_secs(2), ..Limits::default() };
    let host = Host::with(1, &limits);
    let raw = Raw::new(bundle(2).transport_seed());
    let silent = raw.dial(host.addr()).await.unwrap();
    let prompt = Host::new(3);
    let (dialed, session) = tokio::join!(prompt.dial(&host), host.session());
    dialed.unwrap();
    assert_eq!(session.peer().fingerprint(), prompt.keys.fingerprint());
    let error = host.failure().await;
    assert!(matches!(error, Error::TimedOut), "{error:?}");
    match silent.closed().await {
        quinn::ConnectionError::ApplicationClosed(close) => {
            assert_eq!(close.error_code, quinn::VarInt::from_u32(CloseCode::TIMED_OUT.0));
        }
        other => panic!("{other:?}"),
    }
}
