//! The identity handshake: both ends prove a hybrid identity over the TLS exporter. Bytes in `docs/spec/handshake.md`.

use edge_crypto::sign::Signature;
use edge_identity::{KeyBundle, Peer, PublicBundle, bundle};
use edge_wire::id::Fingerprint;
use edge_wire::{Reader, Writer, domain};
use quinn::{Connection, ConnectionError, SendStream};

use crate::error::{Error, ProofError};
use crate::frame::{self, Ended, Frames};
use crate::tls;

const VERSION: u8 = 1;
/// Largest proof in bytes.
const MAX_PROOF: usize = 1 + 1 + 2 + bundle::MAX_LEN + Signature::LEN;

/// Which end of the connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    Dialer,
    Acceptor,
}

/// A proven peer, and the stream that the proofs used and the control channel goes on with.
#[derive(Debug)]
pub(crate) struct Proven {
    pub(crate) peer: Peer,
    pub(crate) send: SendStream,
    pub(crate) frames: Frames,
}

/// Proves first: the dialer already knows, from TLS, that it speaks to the key that it dialed.
pub(crate) async fn dial(conn: &Connection, own: &KeyBundle, acceptor_key: &[u8; 32]) -> Result<Proven, Error> {
    let exporter = exporter(conn)?;
    let (mut send, recv) = conn.open_bi().await?;
    let claim = statement(Role::Dialer, &exporter, own.fingerprint(), acceptor_key);
    send_proof(&mut send, own, Role::Dialer, &claim).await?;
    let mut frames = Frames::new(recv);
    let peer = read_proof(conn, &mut frames, Role::Acceptor, |acceptor| {
        statement(Role::Acceptor, &exporter, acceptor.fingerprint(), &own.fingerprint().0)
    })
    .await?;
    Ok(Proven { peer, send, frames })
}

/// Proves second: it signs nothing, and shows no identity, before the dialer's proof has verified.
pub(crate) async fn accept(conn: &Connection, own: &KeyBundle) -> Result<Proven, Error> {
    let exporter = exporter(conn)?;
    let (mut send, recv) = conn.accept_bi().await?;
    let mut frames = Frames::new(recv);
    let own_key = own.public().transport();
    let peer = read_proof(conn, &mut frames, Role::Dialer, |dialer| {
        statement(Role::Dialer, &exporter, dialer.fingerprint(), own_key)
    })
    .await?;
    let claim = statement(Role::Acceptor, &exporter, own.fingerprint(), &peer.fingerprint().0);
    send_proof(&mut send, own, Role::Acceptor, &claim).await?;
    Ok(Proven { peer, send, frames })
}

impl Role {
    fn code(self) -> u8 {
        match self {
            Self::Dialer => 1,
            Self::Acceptor => 2,
        }
    }
}

fn exporter(conn: &Connection) -> Result<[u8; 32], Error> {
    let mut out = [0; 32];
    conn.export_keying_material(&mut out, domain::HANDSHAKE_EXPORTER, b"").map_err(|_| Error::Exporter)?;
    Ok(out)
}

/// What a proof signs. `other` is what the signer knows of the other end: its TLS key, or its proven fingerprint.
fn statement(signer: Role, exporter: &[u8; 32], own: Fingerprint, other: &[u8; 32]) -> Vec<u8> {
    let mut out = Writer::with_capacity(domain::HANDSHAKE.len() + 1 + 3 * 32);
    out.raw(domain::HANDSHAKE).u8(signer.code()).raw(exporter).raw(&own.0).raw(other);
    out.finish()
}

async fn send_proof(send: &mut SendStream, own: &KeyBundle, role: Role, statement: &[u8]) -> Result<(), Error> {
    let signature = own.sign(statement).map_err(ProofError::Signature)?;
    let mut proof = Writer::with_capacity(MAX_PROOF);
    proof.u8(VERSION).u8(role.code()).bytes16(&own.public().to_bytes()).raw(&signature.to_bytes());
    let proof = proof.finish();
    let bytes = [&frame::prefix(proof.len())[..], &proof].concat();
    send.write_all(&bytes).await.map_err(|error| match error {
        quinn::WriteError::ConnectionLost(error) => error.into(),
        _ => Error::from(ProofError::Cut),
    })
}

async fn read_proof(
    conn: &Connection,
    frames: &mut Frames,
    role: Role,
    statement: impl FnOnce(&PublicBundle) -> Vec<u8>,
) -> Result<Peer, Error> {
    let proof = match frames.next(MAX_PROOF).await {
        Ok(proof) => proof,
        Err(ended) => return Err(unread(conn, ended)),
    };
    let (bundle, signature) = parse(&proof, role)?;
    if tls::peer_key(conn).as_ref() != Some(bundle.transport()) {
        return Err(ProofError::ForeignTransportKey.into());
    }
    let statement = statement(&bundle);
    Ok(Peer::prove(bundle, &statement, &signature).map_err(ProofError::Identity)?)
}

/// Parses a dialer's proof as an acceptor does, without a connection to verify it over: for fuzzing and inspection.
pub fn parse_proof(proof: &[u8]) -> Result<(PublicBundle, Signature), ProofError> {
    parse(proof, Role::Dialer)
}

fn parse(proof: &[u8], role: Role) -> Result<(PublicBundle, Signature), ProofError> {
    let unknown = |field, got: u8| edge_wire::Error::Unknown { field, got: u64::from(got) };
    let mut reader = Reader::new(proof);
    let version = reader.u8("version")?;
    if version != VERSION {
        return Err(unknown("version", version).into());
    }
    let code = reader.u8("role")?;
    if code != role.code() {
        return Err(unknown("role", code).into());
    }
    let bundle = reader.bytes16("bundle", bundle::MAX_LEN)?;
    let signature = reader.take("signature", Signature::LEN)?;
    reader.finish()?;
    Ok((PublicBundle::parse(bundle)?, Signature::from_slice(signature)?))
}

/// A peer that closes instead of proving says why in its close; that reason comes first.
fn unread(conn: &Connection, ended: Ended) -> Error {
    match (ended, conn.close_reason()) {
        (Ended::Lost(error), _) | (_, Some(error @ ConnectionError::ApplicationClosed(_))) => error.into(),
        (Ended::Cut, _) => ProofError::Cut.into(),
        (Ended::TooLarge(len), _) => Error::TooLarge { len, bound: MAX_PROOF },
    }
}

#[cfg(test)]
mod tests {
    use edge_crypto::random::Seeded;

    use super::*;

    fn genuine() -> Vec<u8> {
        let keys = KeyBundle::generate(None, &mut Seeded::new(1)).unwrap();
        let signature = keys.sign(b"anything").unwrap();
        let mut proof = Writer::new();
        proof.u8(VERSION).u8(Role::Dialer.code()).bytes16(&keys.public().to_bytes()).raw(&signature.to_bytes());
        proof.finish()
    }

    #[test]
    fn a_genuine_proof_parses() {
        let proof = genuine();
        let (bundle, signature) = parse_proof(&proof).unwrap();
        assert!(proof.len() <= MAX_PROOF);
        assert_eq!(&proof[4..], [bundle.to_bytes(), signature.to_bytes()].concat());
    }

    #[test]
    fn every_cut_and_every_trailing_byte_is_refused() {
        let mut proof = genuine();
        for len in 0..proof.len() {
            assert!(matches!(parse_proof(&proof[..len]), Err(ProofError::Wire(_))), "{len}");
        }
        proof.push(0);
        assert!(matches!(parse_proof(&proof), Err(ProofError::Wire(edge_wire::Error::Trailing { left: 1 }))));
    }

    #[test]
    fn the_other_role_is_refused() {
        let role = parse(&genuine(), Role::Acceptor).unwrap_err();
        assert_eq!(role, ProofError::Wire(edge_wire::Error::Unknown { field: "role", got: 1 }));
    }
}
