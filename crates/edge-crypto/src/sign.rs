//! The bound hybrid signature: `ed = Ed25519(m)`, `pq = ML-DSA-65(m || ed)` with empty context; both must verify.

use std::fmt;

use aws_lc_rs::signature::{
    ED25519, Ed25519KeyPair, KeyPair, ML_DSA_65, ML_DSA_65_SIGNING, ParsedPublicKey, PqdsaKeyPair,
};

use crate::{Error, Random, Secret};

/// Bytes of an Ed25519 public key.
pub const ED25519_PUBLIC_LEN: usize = 32;
/// Bytes of an Ed25519 signature.
pub const ED25519_SIGNATURE_LEN: usize = 64;
/// Bytes of an ML-DSA-65 public key.
pub const ML_DSA_PUBLIC_LEN: usize = 1952;
/// Bytes of an ML-DSA-65 signature.
pub const ML_DSA_SIGNATURE_LEN: usize = 3309;

/// An Ed25519 private key on its own, for records and certificates that are defined with it alone.
pub struct Ed25519Private {
    seed: Secret<32>,
    pair: Ed25519KeyPair,
}

impl Ed25519Private {
    /// Derives the key pair from its seed.
    pub fn from_seed(seed: Secret<32>) -> Result<Self, Error> {
        let pair = Ed25519KeyPair::from_seed_unchecked(seed.expose()).map_err(|_| Error::Key("Ed25519"))?;
        Ok(Self { seed, pair })
    }

    /// A fresh key.
    pub fn generate(random: &mut dyn Random) -> Result<Self, Error> {
        Self::from_seed(Secret::random(random))
    }

    /// The seed, for key files and certificates.
    pub fn seed(&self) -> &Secret<32> {
        &self.seed
    }

    /// The public key.
    pub fn public(&self) -> Result<[u8; ED25519_PUBLIC_LEN], Error> {
        self.pair.public_key().as_ref().try_into().map_err(|_| Error::Key("Ed25519"))
    }

    /// Signs `message`.
    pub fn sign(&self, message: &[u8]) -> [u8; ED25519_SIGNATURE_LEN] {
        let mut out = [0; ED25519_SIGNATURE_LEN];
        out.copy_from_slice(self.pair.sign(message).as_ref());
        out
    }
}

impl fmt::Debug for Ed25519Private {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Ed25519Private(redacted)")
    }
}

/// Verifies an Ed25519 signature alone, for records that are defined that way.
pub fn verify_ed25519(public: &[u8; ED25519_PUBLIC_LEN], message: &[u8], signature: &[u8]) -> Result<(), Error> {
    let key = ParsedPublicKey::new(&ED25519, public).map_err(|_| Error::Key("Ed25519"))?;
    key.verify_sig(message, signature).map_err(|_| Error::Signature)
}

/// Both private halves, from their 32-byte seeds.
pub struct SigningKey {
    ed25519: Ed25519Private,
    ml_dsa_seed: Secret<32>,
    ml_dsa: PqdsaKeyPair,
}

impl SigningKey {
    /// Derives the key pairs from the two seeds.
    pub fn from_seeds(ed25519_seed: Secret<32>, ml_dsa_seed: Secret<32>) -> Result<Self, Error> {
        let ed25519 = Ed25519Private::from_seed(ed25519_seed)?;
        let ml_dsa =
            PqdsaKeyPair::from_seed(&ML_DSA_65_SIGNING, ml_dsa_seed.expose()).map_err(|_| Error::Key("ML-DSA-65"))?;
        Ok(Self { ed25519, ml_dsa_seed, ml_dsa })
    }

    /// A fresh pair of keys.
    pub fn generate(random: &mut dyn Random) -> Result<Self, Error> {
        Self::from_seeds(Secret::random(random), Secret::random(random))
    }

    /// The Ed25519 seed, for key files.
    pub fn ed25519_seed(&self) -> &Secret<32> {
        self.ed25519.seed()
    }

    /// The ML-DSA-65 seed, for key files.
    pub fn ml_dsa_seed(&self) -> &Secret<32> {
        &self.ml_dsa_seed
    }

    /// The public halves.
    pub fn verifying_key(&self) -> Result<VerifyingKey, Error> {
        VerifyingKey::from_slices(&self.ed25519.public()?, self.ml_dsa.public_key().as_ref())
    }

    /// Signs `message` with both halves.
    pub fn sign(&self, message: &[u8]) -> Result<Signature, Error> {
        let mut out = Signature { ed25519: self.sign_ed25519(message), ml_dsa: Box::new([0; ML_DSA_SIGNATURE_LEN]) };
        let bound = [message, &out.ed25519].concat();
        match self.ml_dsa.sign(&bound, out.ml_dsa.as_mut()) {
            Ok(ML_DSA_SIGNATURE_LEN) => Ok(out),
            _ => Err(Error::Signature),
        }
    }

    /// Signs with the Ed25519 half only, for the records that are defined that way.
    pub fn sign_ed25519(&self, message: &[u8]) -> [u8; ED25519_SIGNATURE_LEN] {
        self.ed25519.sign(message)
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SigningKey(redacted)")
    }
}

/// Both public halves, parsed once.
#[derive(Clone)]
pub struct VerifyingKey {
    ed25519_bytes: [u8; ED25519_PUBLIC_LEN],
    ml_dsa_bytes: Box<[u8; ML_DSA_PUBLIC_LEN]>,
    ed25519: ParsedPublicKey,
    ml_dsa: ParsedPublicKey,
}

impl VerifyingKey {
    /// Parses both keys; wrong lengths and malformed points are refused.
    pub fn from_slices(ed25519: &[u8], ml_dsa: &[u8]) -> Result<Self, Error> {
        let bad_ed = |_| Error::Key("Ed25519");
        let bad_pq = |_| Error::Key("ML-DSA-65");
        Ok(Self {
            ed25519_bytes: ed25519.try_into().map_err(|_| Error::Key("Ed25519"))?,
            ml_dsa_bytes: Box::new(ml_dsa.try_into().map_err(|_| Error::Key("ML-DSA-65"))?),
            ed25519: ParsedPublicKey::new(&ED25519, ed25519).map_err(bad_ed)?,
            ml_dsa: ParsedPublicKey::new(&ML_DSA_65, ml_dsa).map_err(bad_pq)?,
        })
    }

    /// The Ed25519 public key.
    pub fn ed25519(&self) -> &[u8; ED25519_PUBLIC_LEN] {
        &self.ed25519_bytes
    }

    /// The ML-DSA-65 public key.
    pub fn ml_dsa(&self) -> &[u8; ML_DSA_PUBLIC_LEN] {
        &self.ml_dsa_bytes
    }

    /// Requires both halves to verify over `message`.
    pub fn verify(&self, message: &[u8], signature: &Signature) -> Result<(), Error> {
        self.verify_ed25519(message, &signature.ed25519)?;
        let bound = [message, &signature.ed25519].concat();
        self.ml_dsa.verify_sig(&bound, signature.ml_dsa.as_ref()).map_err(|_| Error::Signature)
    }

    /// Verifies an Ed25519-only record.
    pub fn verify_ed25519(&self, message: &[u8], signature: &[u8]) -> Result<(), Error> {
        self.ed25519.verify_sig(message, signature).map_err(|_| Error::Signature)
    }
}

impl fmt::Debug for VerifyingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "VerifyingKey({:02x}{:02x}…)", self.ed25519_bytes[0], self.ed25519_bytes[1])
    }
}

impl PartialEq for VerifyingKey {
    fn eq(&self, other: &Self) -> bool {
        self.ed25519_bytes == other.ed25519_bytes && self.ml_dsa_bytes == other.ml_dsa_bytes
    }
}

impl Eq for VerifyingKey {}

/// A hybrid signature; on the wire `ed25519 (64) || ml_dsa (3309)`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signature {
    /// Ed25519 half over the message.
    pub ed25519: [u8; ED25519_SIGNATURE_LEN],
    /// ML-DSA-65 half over the message and the Ed25519 half.
    pub ml_dsa: Box<[u8; ML_DSA_SIGNATURE_LEN]>,
}

impl Signature {
    /// Bytes on the wire.
    pub const LEN: usize = ED25519_SIGNATURE_LEN + ML_DSA_SIGNATURE_LEN;

    /// The wire bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        [&self.ed25519[..], self.ml_dsa.as_slice()].concat()
    }

    /// From exactly [`LEN`](Self::LEN) bytes.
    pub fn from_slice(bytes: &[u8]) -> Result<Self, Error> {
        let wrong = |_| Error::Signature;
        let (ed25519, ml_dsa) = bytes.split_at_checked(ED25519_SIGNATURE_LEN).ok_or(Error::Signature)?;
        Ok(Self { ed25519: ed25519.try_into().map_err(wrong)?, ml_dsa: Box::new(ml_dsa.try_into().map_err(wrong)?) })
    }
}
