//! Whatever arrives in place of a proof ends in a typed error and a closed connection.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod common;

use common::{DIALER, Host, Raw, bundle, framed, proof};
use edge_crypto::Random;
use edge_crypto::random::Seeded;
use edge_identity::KeyBundle;
use edge_net::{Error, Expect, ProofError};

/// What a proof looks like on the wire, before it is spoilt.
struct Genuine<'a> {
    host: &'a Host,
    raw: Raw,
    keys: &'a KeyBundle,
}

impl Genuine<'_> {
    /// Sends the proof's frame as `spoil` leaves it, ends the stream, and returns the host's verdict.
    async fn send(&self, spoil: impl FnOnce(&mut Vec<u8>)) -> Error {
        let conn = self.raw.dial(self.host.addr()).await.unwrap();
        let (mut send, _recv) = conn.open_bi().await.unwrap();
        let mut frame = framed(&proof(&conn, self.keys, self.keys, DIALER, self.host.keys.public().transport()));
        spoil(&mut frame);
        send.write_all(&frame).await.unwrap();
        send.finish().unwrap();
        let error = self.host.failure().await;
        conn.closed().await;
        error
    }
}

fn is_typed(error: &Error) -> bool {
    matches!(error, Error::HandshakeFailed(_) | Error::TooLarge { .. })
}

#[tokio::test]
async fn every_field_is_checked() {
    let (host, keys) = (Host::new(1), bundle(2));
    let peer = Genuine { host: &host, raw: Raw::new(keys.transport_seed()), keys: &keys };
    let cut = peer.send(|frame| frame.truncate(3)).await;
    assert!(matches!(cut, Error::HandshakeFailed(ProofError::Cut)), "{cut:?}");
    let cut = peer.send(|frame| frame.truncate(frame.len() - 1)).await;
    assert!(matches!(cut, Error::HandshakeFailed(ProofError::Cut)), "{cut:?}");
    let huge = peer.send(|frame| frame[..4].fill(0xff)).await;
    assert!(matches!(huge, Error::TooLarge { len: 0xffff_ffff, .. }), "{huge:?}");
    for (at, value) in [(4, 0), (4, 2), (5, 2), (5, 0), (6, 0xff), (8, 9)] {
        let error = peer.send(|frame| frame[at] = value).await;
        assert!(is_typed(&error), "byte {at} = {value}: {error:?}");
    }
    let trailing = peer
        .send(|frame| {
            frame.push(0);
            let len = u32::try_from(frame.len() - 4).unwrap().to_be_bytes();
            frame[..4].copy_from_slice(&len);
        })
        .await;
    assert!(is_typed(&trailing), "{trailing:?}");
    let empty = peer.send(|frame| *frame = vec![0; 4]).await;
    assert!(matches!(empty, Error::HandshakeFailed(ProofError::Wire(_))), "{empty:?}");
}

#[tokio::test]
async fn mutated_proofs_never_make_a_session() {
    let (host, keys) = (Host::new(1), bundle(2));
    let peer = Genuine { host: &host, raw: Raw::new(keys.transport_seed()), keys: &keys };
    let mut random = Seeded::new(7);
    for round in 0..120 {
        let [kind, a, b, c, value, ..] = random.array::<8>();
        let pick = usize::from(u16::from_be_bytes([a, b]));
        let error = peer
            .send(|frame| {
                let at = pick % frame.len();
                match kind % 4 {
                    0 => frame[at] ^= value | 1,
                    1 => frame.truncate(at),
                    2 => frame[at..].iter_mut().for_each(|byte| *byte = byte.wrapping_add(c | 1)),
                    _ => {
                        let from = at / 2;
                        frame.copy_within(from..at, 4);
                        frame[4] ^= value | 1;
                    }
                }
            })
            .await;
        assert!(is_typed(&error), "round {round}: {error:?}");
    }
}

#[tokio::test]
async fn a_dialer_survives_garbage_from_the_acceptor() {
    let (host, keys) = (Host::new(1), bundle(2));
    let raw = Raw::new(keys.transport_seed());
    let addr = raw.endpoint.local_addr().unwrap();
    let mut random = Seeded::new(8);
    for round in 0..20 {
        let garbage: [u8; 64] = random.array();
        let accepting = async {
            let conn = raw.accept().await.unwrap();
            let (mut send, _recv) = conn.accept_bi().await.unwrap();
            send.write_all(&framed(&garbage)).await.unwrap();
            conn.closed().await
        };
        let dialing = host.endpoint.connect(addr, *keys.public().transport(), Expect::Any);
        let (_, dialed) = tokio::join!(accepting, dialing);
        assert!(matches!(&dialed, Err(Error::HandshakeFailed(ProofError::Wire(_)))), "round {round}: {dialed:?}");
    }
}
