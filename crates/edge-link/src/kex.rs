//! Agreement on a transit key in one message from initiator to responder.
//!
//! Both sides derive 32 bytes that are used as the transit key. The message authenticates neither side and a wrong key
//! gives a different result, not an error: carry it inside a signed, addressed, fresh envelope.

mod message;
mod replay;

pub use message::{Algorithm, MESSAGE_LEN_MAX};
pub use replay::{HANDSHAKES_MAX, ReplayCache};

use edge_crypto::hash::hkdf_sha256;
use edge_crypto::kem::{MlKemPrivate, MlKemPublic, X25519_LEN, X25519Private};
use edge_crypto::{Random, Secret};
use edge_wire::domain;

use message::{Body, Message};

/// Which algorithms a side accepts. Media and group keys travel under [`HybridRequired`](Self::HybridRequired) only.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Policy {
    /// Hybrid or nothing.
    #[default]
    HybridRequired,
    /// Hybrid when the peer has an ML-KEM key, else classical: a silent downgrade, for old peers without media.
    HybridOrClassical,
    /// Classical only.
    Classical,
}

/// The responder's static public keys, as the initiator knows them.
#[derive(Debug, Clone)]
pub struct PeerKeys {
    /// X25519 public key.
    pub x25519: [u8; X25519_LEN],
    /// ML-KEM-768 encapsulation key, if the peer has one.
    pub mlkem: Option<MlKemPublic>,
}

/// The responder's static private keys.
#[derive(Debug)]
pub struct OwnKeys {
    /// X25519 private key.
    pub x25519: X25519Private,
    /// ML-KEM-768 private key, if there is one.
    pub mlkem: Option<MlKemPrivate>,
}

/// What only this handshake knows; used up by it.
#[derive(Debug)]
pub struct Ephemeral {
    /// The initiator's one-time X25519 key.
    pub x25519: X25519Private,
    /// Randomness of the encapsulation.
    pub mlkem_coins: Secret<32>,
}

impl Ephemeral {
    /// Fresh values.
    pub fn generate(random: &mut dyn Random) -> Self {
        Self { x25519: X25519Private::generate(random), mlkem_coins: Secret::random(random) }
    }
}

/// The initiator's result.
#[derive(Debug)]
pub struct Initiated {
    /// The message for the responder, compact JSON.
    pub message: Vec<u8>,
    /// The transit key.
    pub key: Secret<32>,
    /// What was agreed on.
    pub algorithm: Algorithm,
}

/// Why no key was agreed on.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A key was malformed or the agreement degenerate.
    #[error("key agreement failed")]
    Crypto(#[from] edge_crypto::Error),
    /// The peer has an ML-KEM key but an all-zero X25519 key: half a hybrid is none.
    #[error("peer offers ML-KEM without X25519")]
    MlKemOnlyRejected,
    /// The message is for another algorithm than the policy wants.
    #[error("message is for {observed}, this side accepts {expected}")]
    AlgorithmMismatch {
        /// Named by the message.
        observed: Algorithm,
        /// Wanted by the policy.
        expected: Algorithm,
    },
    /// A hybrid message reached a responder without an ML-KEM key.
    #[error("hybrid handshake, but this side has no ML-KEM key; generate a hybrid key file")]
    HybridResponderMissingMlkem,
    /// The policy wants hybrid and the peer cannot.
    #[error("peer has no ML-KEM key; a hybrid link is required")]
    HybridRequiredButPeerLacksMlkem,
    /// The message is longer than any handshake.
    #[error("handshake message of {got} bytes is longer than {MESSAGE_LEN_MAX}")]
    TooLong {
        /// Bytes given.
        got: usize,
    },
    /// The message is not the JSON object of a handshake.
    #[error("handshake message is malformed")]
    Json(#[from] serde_json::Error),
    /// The message names no algorithm that exists.
    #[error("handshake message names no known algorithm")]
    UnknownAlgorithm,
    /// A field is missing or has the wrong length.
    #[error("handshake field {0} is missing or has the wrong length")]
    Field(&'static str),
    /// The same handshake was answered before.
    #[error("handshake was already answered")]
    Replayed,
    /// The static key has answered as many handshakes as are remembered.
    #[error("static key has answered {HANDSHAKES_MAX} handshakes; rotate it")]
    StaticKeyWorn,
}

/// Starts an agreement with `peer`; uses up `ephemeral`.
#[expect(clippy::needless_pass_by_value, reason = "an ephemeral serves one handshake")]
pub fn initiate(policy: Policy, peer: &PeerKeys, ephemeral: Ephemeral) -> Result<Initiated, Error> {
    if peer.mlkem.is_some() && peer.x25519 == [0; X25519_LEN] {
        return Err(Error::MlKemOnlyRejected);
    }
    match (policy, &peer.mlkem) {
        (Policy::HybridRequired, None) => Err(Error::HybridRequiredButPeerLacksMlkem),
        (Policy::HybridRequired | Policy::HybridOrClassical, Some(mlkem)) => {
            initiate_hybrid(&peer.x25519, mlkem, &ephemeral)
        }
        (Policy::HybridOrClassical, None) | (Policy::Classical, _) => initiate_classical(&peer.x25519, &ephemeral),
    }
}

/// The responding end: static keys with the memory of the handshakes that they answered.
#[derive(Debug)]
pub struct Responder {
    policy: Policy,
    keys: OwnKeys,
    answered: ReplayCache,
}

impl Responder {
    /// A responder that has answered nothing; make a new one only with new static keys.
    pub fn new(policy: Policy, keys: OwnKeys) -> Self {
        Self { policy, keys, answered: ReplayCache::default() }
    }

    /// Answers one message, once.
    pub fn respond(&mut self, message: &[u8]) -> Result<Secret<32>, Error> {
        let message = Message::parse(message)?;
        let key = derive(self.policy, &self.keys, &message)?;
        self.answered.admit(message.digest())?;
        Ok(key)
    }
}

/// Answers one message without remembering it, for vectors and tools. A live peer uses [`Responder`].
pub fn respond(policy: Policy, keys: &OwnKeys, message: &[u8]) -> Result<Secret<32>, Error> {
    derive(policy, keys, &Message::parse(message)?)
}

fn initiate_hybrid(x25519: &[u8; 32], mlkem: &MlKemPublic, ephemeral: &Ephemeral) -> Result<Initiated, Error> {
    let eph_public = ephemeral.x25519.public()?;
    let shared_x = ephemeral.x25519.agree(x25519)?;
    let (ciphertext, shared_mlkem) = mlkem.encapsulate(*ephemeral.mlkem_coins.expose());
    let salt = [&eph_public[..], x25519, &ciphertext, mlkem.as_bytes()].concat();
    let key = hybrid_key(&shared_x, &shared_mlkem, &salt)?;
    let message = Message { x25519: eph_public, body: Body::Hybrid { ciphertext: Box::new(ciphertext) } };
    Ok(Initiated { message: message.to_json()?, key, algorithm: Algorithm::Hybrid })
}

fn initiate_classical(x25519: &[u8; 32], ephemeral: &Ephemeral) -> Result<Initiated, Error> {
    let eph_public = ephemeral.x25519.public()?;
    let shared_x = ephemeral.x25519.agree(x25519)?;
    let key = classical_key(&shared_x, &[&eph_public[..], x25519].concat())?;
    let message = Message { x25519: eph_public, body: Body::Classical };
    Ok(Initiated { message: message.to_json()?, key, algorithm: Algorithm::Classical })
}

fn derive(policy: Policy, keys: &OwnKeys, message: &Message) -> Result<Secret<32>, Error> {
    let observed = message.algorithm();
    match (policy, observed) {
        (Policy::HybridRequired, Algorithm::Classical) => {
            return Err(Error::AlgorithmMismatch { observed, expected: Algorithm::Hybrid });
        }
        (Policy::Classical, Algorithm::Hybrid) => {
            return Err(Error::AlgorithmMismatch { observed, expected: Algorithm::Classical });
        }
        _ => {}
    }
    let own_x = keys.x25519.public()?;
    let shared_x = keys.x25519.agree(&message.x25519)?;
    match &message.body {
        Body::Classical => classical_key(&shared_x, &[message.x25519, own_x].concat()),
        Body::Hybrid { ciphertext } => {
            let mlkem = keys.mlkem.as_ref().ok_or(Error::HybridResponderMissingMlkem)?;
            let salt = [&message.x25519[..], &own_x, &ciphertext[..], mlkem.public().as_bytes()].concat();
            hybrid_key(&shared_x, &mlkem.decapsulate(ciphertext), &salt)
        }
    }
}

fn hybrid_key(shared_x: &Secret<32>, shared_mlkem: &Secret<32>, salt: &[u8]) -> Result<Secret<32>, Error> {
    let mut ikm = [0; 64];
    ikm[..32].copy_from_slice(shared_x.expose());
    ikm[32..].copy_from_slice(shared_mlkem.expose());
    let ikm = Secret::take(&mut ikm);
    Ok(hkdf_sha256(ikm.expose(), salt, &[domain::LINK_KEX_HYBRID])?)
}

fn classical_key(shared_x: &Secret<32>, salt: &[u8]) -> Result<Secret<32>, Error> {
    Ok(hkdf_sha256(shared_x.expose(), salt, &[domain::LINK_KEX_CLASSICAL])?)
}
