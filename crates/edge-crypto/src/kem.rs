//! The two halves of the hybrid KEM: X25519 and ML-KEM-768. Combining them is the business of the protocol above.

use std::fmt;

use aws_lc_rs::agreement;
use libcrux_ml_kem::mlkem768;
use zeroize::Zeroize;

use crate::{Error, Random, Secret};

/// Bytes of an X25519 key or shared secret.
pub const X25519_LEN: usize = 32;
/// Bytes of an ML-KEM-768 encapsulation key.
pub const MLKEM_PUBLIC_LEN: usize = 1184;
/// Bytes of an ML-KEM-768 ciphertext.
pub const MLKEM_CIPHERTEXT_LEN: usize = 1088;
/// Bytes of an ML-KEM-768 private seed, `d || z`.
pub const MLKEM_SEED_LEN: usize = 64;

/// An X25519 private key.
#[derive(Debug)]
pub struct X25519Private(Secret<X25519_LEN>);

impl X25519Private {
    /// From 32 raw bytes; clamping happens inside the agreement.
    pub fn new(secret: Secret<X25519_LEN>) -> Self {
        Self(secret)
    }

    /// A fresh key.
    pub fn generate(random: &mut dyn Random) -> Self {
        Self(Secret::random(random))
    }

    /// The raw bytes, for key files.
    pub fn secret(&self) -> &Secret<X25519_LEN> {
        &self.0
    }

    /// The public key.
    pub fn public(&self) -> Result<[u8; X25519_LEN], Error> {
        let public = self.key()?.compute_public_key().map_err(|_| Error::Key("X25519"))?;
        public.as_ref().try_into().map_err(|_| Error::Key("X25519"))
    }

    /// The shared secret with `peer`; an all-zero result is refused as [`Error::Degenerate`].
    pub fn agree(&self, peer: &[u8; X25519_LEN]) -> Result<Secret<X25519_LEN>, Error> {
        let peer = agreement::UnparsedPublicKey::new(&agreement::X25519, peer);
        let shared = agreement::agree(&self.key()?, peer, Error::Degenerate, |bytes| {
            Secret::from_slice(bytes).ok_or(Error::Degenerate)
        })?;
        match crate::hash::equal(shared.expose(), &[0; X25519_LEN]) {
            true => Err(Error::Degenerate),
            false => Ok(shared),
        }
    }

    fn key(&self) -> Result<agreement::PrivateKey, Error> {
        agreement::PrivateKey::from_private_key(&agreement::X25519, self.0.expose()).map_err(|_| Error::Key("X25519"))
    }
}

/// Refuses an X25519 public key of low order: every agreement with it ends in the same, known secret.
pub fn check_x25519(public: &[u8; X25519_LEN]) -> Result<(), Error> {
    // Clamping makes any scalar a multiple of the cofactor, so one probe finds every point of low order.
    X25519Private::new(Secret::from([0x42; X25519_LEN])).agree(public).map(drop)
}

/// A checked ML-KEM-768 encapsulation key.
#[derive(Clone, PartialEq, Eq)]
pub struct MlKemPublic(Box<[u8; MLKEM_PUBLIC_LEN]>);

impl MlKemPublic {
    /// Accepts exactly 1 184 bytes that pass the encapsulation-key check of FIPS 203.
    pub fn from_slice(bytes: &[u8]) -> Result<Self, Error> {
        let bytes: [u8; MLKEM_PUBLIC_LEN] = bytes.try_into().map_err(|_| Error::Key("ML-KEM-768"))?;
        match mlkem768::validate_public_key(&bytes.into()) {
            true => Ok(Self(Box::new(bytes))),
            false => Err(Error::Key("ML-KEM-768")),
        }
    }

    /// The 1 184 bytes.
    pub fn as_bytes(&self) -> &[u8; MLKEM_PUBLIC_LEN] {
        &self.0
    }

    /// Encapsulates with the given 32 bytes of randomness: (ciphertext, shared secret).
    pub fn encapsulate(&self, mut coins: [u8; 32]) -> ([u8; MLKEM_CIPHERTEXT_LEN], Secret<32>) {
        let (ciphertext, mut shared) = mlkem768::encapsulate(&(*self.0).into(), coins);
        coins.zeroize();
        (*ciphertext.as_slice(), Secret::take(&mut shared))
    }
}

impl fmt::Debug for MlKemPublic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MlKemPublic({:02x}{:02x}…)", self.0[0], self.0[1])
    }
}

/// An ML-KEM-768 private key, held as its 64-byte seed `d || z`.
#[derive(Debug)]
pub struct MlKemPrivate(Secret<MLKEM_SEED_LEN>);

impl MlKemPrivate {
    /// From the 64-byte seed.
    pub fn new(seed: Secret<MLKEM_SEED_LEN>) -> Self {
        Self(seed)
    }

    /// A fresh key.
    pub fn generate(random: &mut dyn Random) -> Self {
        Self(Secret::random(random))
    }

    /// The seed, for key files.
    pub fn secret(&self) -> &Secret<MLKEM_SEED_LEN> {
        &self.0
    }

    /// The encapsulation key.
    pub fn public(&self) -> MlKemPublic {
        MlKemPublic(Box::new(*mlkem768::generate_key_pair(*self.0.expose()).pk()))
    }

    /// The shared secret. A wrong ciphertext gives a different secret, not an error.
    pub fn decapsulate(&self, ciphertext: &[u8; MLKEM_CIPHERTEXT_LEN]) -> Secret<32> {
        let pair = mlkem768::generate_key_pair(*self.0.expose());
        let mut shared = mlkem768::decapsulate(pair.private_key(), &(*ciphertext).into());
        Secret::take(&mut shared)
    }
}
