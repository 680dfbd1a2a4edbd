//! A session is with exactly the peer that proved itself over this connection.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod common;

use common::{ACCEPTOR, DIALER, Host, Raw, bundle, framed, pair, proof, read_frame};
use edge_identity::KeyBundle;
use edge_net::{CloseCode, Error, Expect, Limits, ProofError};

#[tokio::test]
async fn both_ends_know_each_other() {
    let (dialer, acceptor, dialed, accepted) = pair(&Limits::default()).await;
    assert_eq!(dialed.peer().bundle(), acceptor.keys.public());
    assert_eq!(accepted.peer().bundle(), dialer.keys.public());
    assert_eq!(accepted.remote_addr(), dialer.addr());
}

#[tokio::test]
async fn another_transport_key_is_refused() {
    let (dialer, acceptor) = (Host::new(1), Host::new(2));
    let wanted = *bundle(3).public().transport();
    let dialing = dialer.endpoint.connect(acceptor.addr(), wanted, Expect::Any);
    let (dialed, failure) = tokio::join!(dialing, acceptor.failure());
    match dialed.unwrap_err() {
        Error::TransportKey { expected, got } => {
            assert_eq!((expected, got), (wanted, *acceptor.keys.public().transport()));
        }
        other => panic!("{other:?}"),
    }
    assert!(matches!(failure, Error::Tls { .. }), "{failure:?}");
}

#[tokio::test]
async fn the_right_transport_key_with_another_fingerprint_is_refused() {
    let (dialer, acceptor) = (Host::new(1), Host::new(2));
    let wanted = bundle(3).fingerprint();
    let key = *acceptor.keys.public().transport();
    let dialing = dialer.endpoint.connect(acceptor.addr(), key, Expect::Fingerprint(wanted));
    let (dialed, accepted) = tokio::join!(dialing, acceptor.session());
    match dialed.unwrap_err() {
        Error::PeerMismatch { expected, got } => {
            assert_eq!((expected, got), (wanted, acceptor.keys.fingerprint()));
        }
        other => panic!("{other:?}"),
    }
    let over = accepted.closed().await;
    assert!(matches!(over, Error::Closed { code: CloseCode::WRONG_PEER, .. }), "{over:?}");
}

/// Dials a host with the TLS key of `tls`, shows `shown` signed by `signer`, and returns what the host says. The raw
/// peer must see a close before a single byte of the host's proof.
async fn impostor(tls: &KeyBundle, signer: &KeyBundle, shown: &KeyBundle) -> Error {
    let host = Host::new(1);
    let raw = Raw::new(tls.transport_seed());
    let conn = raw.dial(host.addr()).await.unwrap();
    let (mut send, mut recv) = conn.open_bi().await.unwrap();
    let proof = proof(&conn, signer, shown, DIALER, host.keys.public().transport());
    send.write_all(&framed(&proof)).await.unwrap();
    assert!(recv.read_chunk(1, true).await.is_err());
    host.failure().await
}

#[tokio::test]
async fn a_stolen_transport_key_does_not_make_its_owner() {
    let (owner, thief) = (bundle(2), bundle(3));
    let error = impostor(&owner, &thief, &owner).await;
    assert!(matches!(error, Error::HandshakeFailed(ProofError::Identity(_))), "{error:?}");
}

#[tokio::test]
async fn a_stolen_transport_key_cannot_be_claimed_by_another_identity() {
    let (owner, thief) = (bundle(2), bundle(3));
    let error = impostor(&owner, &thief, &thief).await;
    assert!(matches!(error, Error::HandshakeFailed(ProofError::ForeignTransportKey)), "{error:?}");
}

#[tokio::test]
async fn the_bundle_of_another_peer_needs_its_transport_key() {
    let (owner, thief) = (bundle(2), bundle(3));
    let error = impostor(&thief, &owner, &owner).await;
    assert!(matches!(error, Error::HandshakeFailed(ProofError::ForeignTransportKey)), "{error:?}");
}

#[tokio::test]
async fn an_acceptor_with_a_stolen_transport_key_is_refused() {
    let host = Host::new(1);
    let (owner, thief) = (bundle(2), bundle(3));
    let raw = Raw::new(owner.transport_seed());
    let accepting = async {
        let conn = raw.accept().await.unwrap();
        let (mut send, mut recv) = conn.accept_bi().await.unwrap();
        read_frame(&mut recv).await;
        let proof = proof(&conn, &thief, &owner, ACCEPTOR, &host.keys.fingerprint().0);
        send.write_all(&framed(&proof)).await.unwrap();
        conn.closed().await
    };
    let addr = raw.endpoint.local_addr().unwrap();
    let dialing = host.endpoint.connect(addr, *owner.public().transport(), Expect::Fingerprint(owner.fingerprint()));
    let (closed, dialed) = tokio::join!(accepting, dialing);
    assert!(matches!(dialed, Err(Error::HandshakeFailed(ProofError::Identity(_)))), "{dialed:?}");
    assert!(matches!(closed, quinn::ConnectionError::ApplicationClosed(_)), "{closed:?}");
}

/// The proof of `victim`, as an acceptor that it dialed has seen it.
async fn captured(victim: &Host, mallory: &KeyBundle) -> Vec<u8> {
    let raw = Raw::new(mallory.transport_seed());
    let addr = raw.endpoint.local_addr().unwrap();
    let accepting = async {
        let conn = raw.accept().await.unwrap();
        let (_send, mut recv) = conn.accept_bi().await.unwrap();
        read_frame(&mut recv).await
    };
    let dialing = victim.endpoint.connect(addr, *mallory.public().transport(), Expect::Any);
    let (proof, dialed) = tokio::join!(accepting, dialing);
    dialed.unwrap_err();
    proof
}

#[tokio::test]
async fn a_proof_is_worth_nothing_on_another_connection() {
    let (victim, target) = (Host::new(1), Host::new(2));
    let proof = captured(&victim, &bundle(3)).await;
    // Even with the victim's transport key, which Mallory would have to steal as well.
    let raw = Raw::new(victim.keys.transport_seed());
    let conn = raw.dial(target.addr()).await.unwrap();
    let (mut send, _recv) = conn.open_bi().await.unwrap();
    send.write_all(&framed(&proof)).await.unwrap();
    let error = target.failure().await;
    assert!(matches!(error, Error::HandshakeFailed(ProofError::Identity(_))), "{error:?}");
}

#[tokio::test]
async fn an_acceptor_cannot_answer_with_the_dialers_own_proof() {
    let host = Host::new(1);
    let mallory = bundle(2);
    let raw = Raw::new(mallory.transport_seed());
    let accepting = async {
        let conn = raw.accept().await.unwrap();
        let (mut send, mut recv) = conn.accept_bi().await.unwrap();
        let echo = read_frame(&mut recv).await;
        send.write_all(&framed(&echo)).await.unwrap();
        conn.closed().await
    };
    let addr = raw.endpoint.local_addr().unwrap();
    let dialing = host.endpoint.connect(addr, *mallory.public().transport(), Expect::Any);
    let (_, dialed) = tokio::join!(accepting, dialing);
    assert!(matches!(dialed, Err(Error::HandshakeFailed(ProofError::Wire(_)))), "{dialed:?}");
}
