//! Key grants: an epoch key wrapped to one recipient's static keys, outside MLS.
//!
//! A consumer that holds a streaming epoch key accepts [`Hybrid`] only: [`Grant::for_stream`] refuses the classical
//! form before anything is opened.

use edge_crypto::kem::{MLKEM_CIPHERTEXT_LEN, MlKemPrivate, MlKemPublic, X25519_LEN, X25519Private};
use edge_crypto::{Random, Secret, aead, hash};
use edge_wire::domain;
use serde::{Deserialize, Serialize};

/// Algorithm id of the classical form.
pub const CLASSICAL_ALGORITHM: &str = "x25519-aes256-gcm-hkdf-sha256";
/// Algorithm id of the hybrid form.
pub const HYBRID_ALGORITHM: &str = "x25519-mlkem768-aes256-gcm-hkdf-sha256";
/// Largest JSON record in bytes.
pub const MAX_LEN: usize = 16 * 1024;

const KEY_LEN: usize = 32;

/// Why a grant was refused.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The record is not the JSON of its algorithm.
    #[error("key grant is not the expected JSON record")]
    Parse(#[from] serde_json::Error),
    /// The record is longer than [`MAX_LEN`].
    #[error("key grant of {got} bytes is longer than {bound}", bound = MAX_LEN)]
    TooLong {
        /// Bytes given.
        got: usize,
    },
    /// No grant has this algorithm.
    #[error("unknown key grant algorithm")]
    UnknownAlgorithm,
    /// A streaming epoch key came in a grant without the post-quantum half.
    #[error("a streaming epoch key must come in a hybrid grant")]
    ClassicalRefused,
    /// The grant cannot be opened; what was wrong cannot be told apart.
    #[error("key grant cannot be opened")]
    Unwrap,
    /// The grant opened to something that is not a 32-byte key.
    #[error("key grant holds {got} bytes instead of 32")]
    DekLength {
        /// Bytes found.
        got: usize,
    },
    /// The grant could not be made.
    #[error("key grant cannot be made")]
    Crypto(#[from] edge_crypto::Error),
}

/// A grant of either form, with the fields of its JSON record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Grant {
    /// X25519 alone.
    Classical(Classical),
    /// X25519 and ML-KEM-768.
    Hybrid(Hybrid),
}

impl Grant {
    /// Decodes the record of `algorithm`.
    pub fn parse(algorithm: &str, json: &[u8]) -> Result<Self, Error> {
        if json.len() > MAX_LEN {
            return Err(Error::TooLong { got: json.len() });
        }
        match algorithm {
            CLASSICAL_ALGORITHM => Ok(Self::Classical(serde_json::from_slice(json)?)),
            HYBRID_ALGORITHM => Ok(Self::Hybrid(serde_json::from_slice(json)?)),
            _ => Err(Error::UnknownAlgorithm),
        }
    }

    /// The compact JSON record.
    pub fn to_json(&self) -> Result<Vec<u8>, Error> {
        Ok(match self {
            Self::Classical(grant) => serde_json::to_vec(grant)?,
            Self::Hybrid(grant) => serde_json::to_vec(grant)?,
        })
    }

    /// The algorithm id that travels beside the record.
    pub fn algorithm(&self) -> &'static str {
        match self {
            Self::Classical(_) => CLASSICAL_ALGORITHM,
            Self::Hybrid(_) => HYBRID_ALGORITHM,
        }
    }

    /// What a consumer of streaming epoch keys may open.
    pub fn for_stream(self) -> Result<Hybrid, Error> {
        match self {
            Self::Hybrid(grant) => Ok(grant),
            Self::Classical(_) => Err(Error::ClassicalRefused),
        }
    }
}

/// The classical record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Classical {
    ephemeral_public_key: Vec<u8>,
    nonce: Vec<u8>,
    ciphertext: Vec<u8>,
}

impl Classical {
    /// Wraps `dek` to an X25519 key; takes an ephemeral key, then a nonce from `random`.
    pub fn wrap(dek: &Secret<KEY_LEN>, to: &[u8; X25519_LEN], random: &mut dyn Random) -> Result<Self, Error> {
        let ephemeral = X25519Private::generate(random);
        let public = ephemeral.public()?;
        let shared = ephemeral.agree(to)?;
        let key = wrap_key(&[shared.expose()], &[&public, to], domain::KEY_GRANT_V1)?;
        let nonce = nonce(random);
        let ciphertext = key.seal(nonce, dek.expose())?;
        Ok(Self { ephemeral_public_key: public.to_vec(), nonce: nonce.to_vec(), ciphertext })
    }

    /// Opens the grant with the recipient's key.
    pub fn unwrap(&self, own: &X25519Private) -> Result<Secret<KEY_LEN>, Error> {
        let ephemeral = array(&self.ephemeral_public_key)?;
        let shared = own.agree(&ephemeral).map_err(opaque)?;
        let own_public = own.public().map_err(opaque)?;
        let key = wrap_key(&[shared.expose()], &[&ephemeral, &own_public], domain::KEY_GRANT_V1).map_err(opaque)?;
        open(&key, &self.nonce, &self.ciphertext)
    }
}

/// The hybrid record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hybrid {
    ephemeral_x25519_public_key: Vec<u8>,
    ml_kem_ciphertext: Vec<u8>,
    nonce: Vec<u8>,
    ciphertext: Vec<u8>,
}

/// The public keys a hybrid grant is wrapped to.
#[derive(Debug, Clone, Copy)]
pub struct Recipient<'a> {
    /// Classical half.
    pub x25519: &'a [u8; X25519_LEN],
    /// Post-quantum half.
    pub mlkem: &'a MlKemPublic,
}

impl Hybrid {
    /// Wraps `dek`; takes an ephemeral key, then encapsulation coins, then a nonce from `random`.
    pub fn wrap(dek: &Secret<KEY_LEN>, to: Recipient<'_>, random: &mut dyn Random) -> Result<Self, Error> {
        let ephemeral = X25519Private::generate(random);
        let public = ephemeral.public()?;
        let shared_x = ephemeral.agree(to.x25519)?;
        let (kem_ciphertext, shared_pq) = encapsulate(to.mlkem, random);
        let salt: [&[u8]; 4] = [&public, to.x25519, &kem_ciphertext, to.mlkem.as_bytes()];
        let key = wrap_key(&[shared_x.expose(), shared_pq.expose()], &salt, domain::KEY_GRANT_V2)?;
        let nonce = nonce(random);
        let ciphertext = key.seal(nonce, dek.expose())?;
        Ok(Self {
            ephemeral_x25519_public_key: public.to_vec(),
            ml_kem_ciphertext: kem_ciphertext.to_vec(),
            nonce: nonce.to_vec(),
            ciphertext,
        })
    }

    /// Opens the grant with the recipient's two keys.
    pub fn unwrap(&self, x25519: &X25519Private, mlkem: &MlKemPrivate) -> Result<Secret<KEY_LEN>, Error> {
        let ephemeral = array(&self.ephemeral_x25519_public_key)?;
        let kem_ciphertext = array(&self.ml_kem_ciphertext)?;
        let shared_x = x25519.agree(&ephemeral).map_err(opaque)?;
        let shared_pq = mlkem.decapsulate(&kem_ciphertext);
        let own_x25519 = x25519.public().map_err(opaque)?;
        let own_mlkem = mlkem.public();
        let salt: [&[u8]; 4] = [&ephemeral, &own_x25519, &kem_ciphertext, own_mlkem.as_bytes()];
        let key = wrap_key(&[shared_x.expose(), shared_pq.expose()], &salt, domain::KEY_GRANT_V2).map_err(opaque)?;
        open(&key, &self.nonce, &self.ciphertext)
    }
}

fn wrap_key(shared: &[&[u8]], salt: &[&[u8]], info: &[u8]) -> Result<aead::Key, edge_crypto::Error> {
    let ikm = zeroize::Zeroizing::new(shared.concat());
    Ok(aead::Key::new(&hash::hkdf_sha256::<32>(&ikm, &salt.concat(), &[info])?))
}

fn open(key: &aead::Key, nonce: &[u8], ciphertext: &[u8]) -> Result<Secret<KEY_LEN>, Error> {
    let plaintext = zeroize::Zeroizing::new(key.open(array(nonce)?, ciphertext).map_err(opaque)?);
    Secret::from_slice(&plaintext).ok_or(Error::DekLength { got: plaintext.len() })
}

fn encapsulate(to: &MlKemPublic, random: &mut dyn Random) -> ([u8; MLKEM_CIPHERTEXT_LEN], Secret<32>) {
    let mut coins = [0; 32];
    random.fill(&mut coins);
    to.encapsulate(coins)
}

fn nonce(random: &mut dyn Random) -> [u8; aead::NONCE_LEN] {
    let mut nonce = [0; aead::NONCE_LEN];
    random.fill(&mut nonce);
    nonce
}

fn array<const N: usize>(bytes: &[u8]) -> Result<[u8; N], Error> {
    bytes.try_into().map_err(|_| Error::Unwrap)
}

/// Everything that can go wrong while a grant is opened looks the same from outside.
fn opaque(_: edge_crypto::Error) -> Error {
    Error::Unwrap
}
