//! The handshake message: compact JSON with byte strings as arrays of integers.

use std::fmt;

use edge_crypto::hash::sha256;
use edge_crypto::kem::{MLKEM_CIPHERTEXT_LEN, X25519_LEN};
use serde::{Deserialize, Serialize};

use super::Error;

/// Longest message that is looked at, in bytes; a hybrid one has at most 4 600 and unknown keys are tolerated.
pub const MESSAGE_LEN_MAX: usize = 8192;

/// What two sides agree on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Algorithm {
    /// X25519 and ML-KEM-768.
    Hybrid,
    /// X25519 alone.
    Classical,
}

impl Algorithm {
    /// The name on the wire.
    pub const fn id(self) -> &'static str {
        match self {
            Self::Hybrid => "hybrid-x25519-mlkem768-hkdf-sha256-v1",
            Self::Classical => "classical-x25519-hkdf-sha256-v1",
        }
    }

    fn from_id(id: &str) -> Option<Self> {
        [Self::Hybrid, Self::Classical].into_iter().find(|algorithm| algorithm.id() == id)
    }
}

impl fmt::Display for Algorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.id())
    }
}

/// A parsed message.
pub(super) struct Message {
    pub(super) x25519: [u8; X25519_LEN],
    pub(super) body: Body,
}

/// What depends on the algorithm.
pub(super) enum Body {
    Hybrid { ciphertext: Box<[u8; MLKEM_CIPHERTEXT_LEN]> },
    Classical,
}

impl Message {
    pub(super) fn parse(json: &[u8]) -> Result<Self, Error> {
        if json.len() > MESSAGE_LEN_MAX {
            return Err(Error::TooLong { got: json.len() });
        }
        let wire: Wire = serde_json::from_slice(json)?;
        let algorithm = wire.algorithm.as_deref().and_then(Algorithm::from_id).ok_or(Error::UnknownAlgorithm)?;
        let x25519 = field("x25519_ephemeral_pub", wire.x25519_ephemeral_pub)?;
        let body = match algorithm {
            Algorithm::Classical => Body::Classical,
            Algorithm::Hybrid => {
                Body::Hybrid { ciphertext: Box::new(field("mlkem768_ciphertext", wire.mlkem768_ciphertext)?) }
            }
        };
        Ok(Self { x25519, body })
    }

    pub(super) fn to_json(&self) -> Result<Vec<u8>, Error> {
        let ciphertext = match &self.body {
            Body::Hybrid { ciphertext } => Some(ciphertext.to_vec()),
            Body::Classical => None,
        };
        let wire = Wire {
            algorithm: Some(self.algorithm().id().to_owned()),
            x25519_ephemeral_pub: Some(self.x25519.to_vec()),
            mlkem768_ciphertext: ciphertext,
        };
        Ok(serde_json::to_vec(&wire)?)
    }

    pub(super) fn algorithm(&self) -> Algorithm {
        match self.body {
            Body::Hybrid { .. } => Algorithm::Hybrid,
            Body::Classical => Algorithm::Classical,
        }
    }

    /// Names the handshake by what enters the key, so that another spelling of the same JSON is the same handshake.
    pub(super) fn digest(&self) -> [u8; 32] {
        match &self.body {
            Body::Hybrid { ciphertext } => sha256(&[&self.x25519, &ciphertext[..]]),
            Body::Classical => sha256(&[&self.x25519]),
        }
    }
}

/// The JSON object; field order is part of the format.
#[derive(Serialize, Deserialize)]
struct Wire {
    algorithm: Option<String>,
    x25519_ephemeral_pub: Option<Vec<u8>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    mlkem768_ciphertext: Option<Vec<u8>>,
}

fn field<const N: usize>(name: &'static str, value: Option<Vec<u8>>) -> Result<[u8; N], Error> {
    value.and_then(|bytes| bytes.try_into().ok()).ok_or(Error::Field(name))
}
