//! The key exchange is X25519MLKEM768 or there is no connection.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod common;

use std::sync::atomic::Ordering::SeqCst;

use common::{ACCEPTOR, DIALER, Host, Raw, bundle, counting, framed, proof, read_frame};
use edge_net::{Error, Expect};
use rustls::crypto::aws_lc_rs::kx_group::{X25519, X25519MLKEM768};

#[tokio::test]
async fn an_acceptor_takes_the_hybrid_group_though_the_dialer_prefers_x25519() {
    let host = Host::new(1);
    let keys = bundle(2);
    let ((hybrid, hybrid_used), (classical, classical_used)) = (counting(X25519MLKEM768), counting(X25519));
    let raw = Raw::with(keys.transport_seed(), vec![classical, hybrid]);
    let conn = raw.dial(host.addr()).await.unwrap();
    let (mut send, _recv) = conn.open_bi().await.unwrap();
    let proof = proof(&conn, &keys, &keys, DIALER, host.keys.public().transport());
    send.write_all(&framed(&proof)).await.unwrap();
    assert_eq!(host.session().await.peer().fingerprint(), keys.fingerprint());
    assert_eq!((hybrid_used.load(SeqCst), classical_used.load(SeqCst)), (1, 0));
}

#[tokio::test]
async fn a_dialer_offers_only_the_hybrid_group() {
    let host = Host::new(1);
    let keys = bundle(2);
    let ((hybrid, hybrid_used), (classical, classical_used)) = (counting(X25519MLKEM768), counting(X25519));
    let raw = Raw::with(keys.transport_seed(), vec![classical, hybrid]);
    let accepting = async {
        let conn = raw.accept().await.unwrap();
        let (mut send, mut recv) = conn.accept_bi().await.unwrap();
        read_frame(&mut recv).await;
        let proof = proof(&conn, &keys, &keys, ACCEPTOR, &host.keys.fingerprint().0);
        send.write_all(&framed(&proof)).await.unwrap();
        (conn, send, recv)
    };
    let addr = raw.endpoint.local_addr().unwrap();
    let dialing = host.endpoint.connect(addr, *keys.public().transport(), Expect::Fingerprint(keys.fingerprint()));
    let (_held, session) = tokio::join!(accepting, dialing);
    assert_eq!(session.unwrap().peer().fingerprint(), keys.fingerprint());
    assert_eq!((hybrid_used.load(SeqCst), classical_used.load(SeqCst)), (1, 0));
}

#[tokio::test]
async fn a_classical_dialer_is_refused() {
    let host = Host::new(1);
    let raw = Raw::with(bundle(2).transport_seed(), vec![X25519]);
    let (dialed, failure) = tokio::join!(raw.dial(host.addr()), host.failure());
    assert!(matches!(failure, Error::NotPostQuantum), "{failure:?}");
    match dialed.unwrap_err() {
        quinn::ConnectionError::ConnectionClosed(close) => {
            assert_eq!(close.error_code, quinn::TransportErrorCode::crypto(40));
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_classical_acceptor_is_told_apart() {
    let host = Host::new(1);
    let keys = bundle(2);
    let raw = Raw::with(keys.transport_seed(), vec![X25519]);
    let addr = raw.endpoint.local_addr().unwrap();
    let dialing = host.endpoint.connect(addr, *keys.public().transport(), Expect::Any);
    let (dialed, accepted) = tokio::join!(dialing, raw.accept());
    assert!(matches!(dialed, Err(Error::NotPostQuantum)), "{dialed:?}");
    accepted.unwrap_err();
}
