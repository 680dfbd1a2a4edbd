//! Key bundles: the secret one of this peer, the public one of another, and the peer that has proven to hold it.

use data_encoding::BASE32_NOPAD;
use edge_crypto::kem::{self, MlKemPrivate, MlKemPublic, X25519Private};
use edge_crypto::sign::{ED25519_PUBLIC_LEN, Ed25519Private, ML_DSA_PUBLIC_LEN, Signature, SigningKey, VerifyingKey};
use edge_crypto::{Random, Secret};
use edge_wire::id::{Fingerprint, KeyId};
use edge_wire::{Reader, Writer, domain};

use crate::address;

/// Largest public bundle in bytes.
pub const MAX_LEN: usize =
    1 + 2 + KeyId::MAX_LEN + 2 * ED25519_PUBLIC_LEN + ML_DSA_PUBLIC_LEN + kem::X25519_LEN + kem::MLKEM_PUBLIC_LEN;

const VERSION: u8 = 1;
const DEFAULT_NAME_BYTES: usize = 10;

/// Why a bundle was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The bytes are not a bundle.
    #[error("malformed key bundle")]
    Wire(#[from] edge_wire::Error),
    /// A key in it is malformed or degenerate, or a signature does not verify.
    #[error("key bundle refused")]
    Crypto(#[from] edge_crypto::Error),
}

/// All secrets of this peer, with the public bundle they make. Not cloneable; wiped on drop.
#[derive(Debug)]
pub struct KeyBundle {
    sign: SigningKey,
    transport: Ed25519Private,
    x25519: X25519Private,
    mlkem: MlKemPrivate,
    public: PublicBundle,
}

/// The private keys of a bundle, before they are checked against each other.
#[derive(Debug)]
pub struct Secrets {
    /// Federation identity.
    pub sign: SigningKey,
    /// TLS key, bound to the identity only by the identity handshake.
    pub transport: Ed25519Private,
    /// Classical half of the key exchange.
    pub x25519: X25519Private,
    /// Post-quantum half of the key exchange.
    pub mlkem: MlKemPrivate,
}

impl Secrets {
    /// Four fresh keys.
    pub fn generate(random: &mut dyn Random) -> Result<Self, Error> {
        Ok(Self {
            sign: SigningKey::generate(random)?,
            transport: Ed25519Private::generate(random)?,
            x25519: X25519Private::generate(random),
            mlkem: MlKemPrivate::generate(random),
        })
    }
}

impl KeyBundle {
    /// Fresh keys under `key_id`; without one the name is `edge-` and the base32 of the federation identity hash.
    pub fn generate(key_id: Option<KeyId>, random: &mut dyn Random) -> Result<Self, Error> {
        let secrets = Secrets::generate(random)?;
        let key_id = match key_id {
            Some(key_id) => key_id,
            None => default_name(&secrets.sign.verifying_key()?)?,
        };
        Self::new(key_id, secrets)
    }

    /// From existing keys; computes and checks the public bundle.
    pub fn new(key_id: KeyId, secrets: Secrets) -> Result<Self, Error> {
        let Secrets { sign, transport, x25519, mlkem } = secrets;
        let keys = PublicKeys {
            verifying: sign.verifying_key()?,
            transport: transport.public()?,
            x25519: x25519.public()?,
            mlkem: mlkem.public(),
        };
        let public = PublicBundle::new(key_id, keys)?;
        Ok(Self { sign, transport, x25519, mlkem, public })
    }

    /// The public half.
    pub fn public(&self) -> &PublicBundle {
        &self.public
    }

    /// The peer's name.
    pub fn key_id(&self) -> &KeyId {
        self.public.key_id()
    }

    /// The name that nobody else can hold.
    pub fn fingerprint(&self) -> Fingerprint {
        self.public.fingerprint()
    }

    /// Signs `message` with both halves of the federation identity.
    pub fn sign(&self, message: &[u8]) -> Result<Signature, edge_crypto::Error> {
        self.sign.sign(message)
    }

    /// The federation identity's signing key.
    pub fn signing_key(&self) -> &SigningKey {
        &self.sign
    }

    /// The TLS key's private half.
    pub fn transport(&self) -> &Ed25519Private {
        &self.transport
    }

    /// The TLS key's 32-byte Ed25519 seed.
    pub fn transport_seed(&self) -> &Secret<32> {
        self.transport.seed()
    }

    /// The classical key-exchange key.
    pub fn x25519(&self) -> &X25519Private {
        &self.x25519
    }

    /// The post-quantum key-exchange key.
    pub fn mlkem(&self) -> &MlKemPrivate {
        &self.mlkem
    }
}

/// The public keys of a bundle, before they are checked against each other.
#[derive(Debug, Clone)]
pub struct PublicKeys {
    /// Federation identity.
    pub verifying: VerifyingKey,
    /// TLS key, Ed25519.
    pub transport: [u8; ED25519_PUBLIC_LEN],
    /// Classical half of the key exchange.
    pub x25519: [u8; kem::X25519_LEN],
    /// Post-quantum half of the key exchange.
    pub mlkem: MlKemPublic,
}

/// Another peer's public keys as received: well-formed, but nobody has proven yet to hold the private halves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublicBundle {
    key_id: KeyId,
    verifying: VerifyingKey,
    transport: [u8; ED25519_PUBLIC_LEN],
    x25519: [u8; kem::X25519_LEN],
    mlkem: MlKemPublic,
    fingerprint: Fingerprint,
}

impl PublicBundle {
    /// From parsed keys; refuses a degenerate X25519 key and a TLS key that is also the identity key.
    pub fn new(key_id: KeyId, keys: PublicKeys) -> Result<Self, Error> {
        let PublicKeys { verifying, transport, x25519, mlkem } = keys;
        kem::check_x25519(&x25519)?;
        if &transport == verifying.ed25519() {
            return Err(edge_wire::Error::Invalid { field: "transport", rule: "must not be the identity key" }.into());
        }
        let mut bundle = Self { key_id, verifying, transport, x25519, mlkem, fingerprint: Fingerprint([0; 32]) };
        bundle.fingerprint = Fingerprint(edge_crypto::hash::sha256(&[domain::FINGERPRINT, &bundle.to_bytes()]));
        Ok(bundle)
    }

    /// Parses canonical bytes and checks every key.
    pub fn parse(bytes: &[u8]) -> Result<Self, Error> {
        let mut reader = Reader::new(bytes);
        let version = reader.u8("version")?;
        if version != VERSION {
            return Err(edge_wire::Error::Unknown { field: "version", got: u64::from(version) }.into());
        }
        let key_id = KeyId::read(&mut reader)?;
        let ed25519 = reader.take("ed25519", ED25519_PUBLIC_LEN)?;
        let ml_dsa = reader.take("ml_dsa_65", ML_DSA_PUBLIC_LEN)?;
        let transport = reader.array("transport")?;
        let x25519 = reader.array("x25519")?;
        let mlkem = reader.take("mlkem768", kem::MLKEM_PUBLIC_LEN)?;
        reader.finish()?;
        let verifying = VerifyingKey::from_slices(ed25519, ml_dsa)?;
        let mlkem = MlKemPublic::from_slice(mlkem)?;
        Self::new(key_id, PublicKeys { verifying, transport, x25519, mlkem })
    }

    /// The canonical bytes, at most [`MAX_LEN`].
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = Writer::with_capacity(MAX_LEN);
        out.u8(VERSION)
            .bytes16(self.key_id.as_bytes())
            .raw(self.verifying.ed25519())
            .raw(self.verifying.ml_dsa())
            .raw(&self.transport)
            .raw(&self.x25519)
            .raw(self.mlkem.as_bytes());
        out.finish()
    }

    /// The name that the peer gave itself.
    pub fn key_id(&self) -> &KeyId {
        &self.key_id
    }

    /// The federation identity's keys.
    pub fn verifying(&self) -> &VerifyingKey {
        &self.verifying
    }

    /// The TLS key, Ed25519.
    pub fn transport(&self) -> &[u8; ED25519_PUBLIC_LEN] {
        &self.transport
    }

    /// The classical key-exchange key.
    pub fn x25519(&self) -> &[u8; kem::X25519_LEN] {
        &self.x25519
    }

    /// The post-quantum key-exchange key.
    pub fn mlkem(&self) -> &MlKemPublic {
        &self.mlkem
    }

    /// SHA-256 over a label and the canonical bytes.
    pub fn fingerprint(&self) -> Fingerprint {
        self.fingerprint
    }

    /// The hybrid federation identity hash.
    pub fn federation_identity_hash(&self) -> [u8; address::HASH_LEN] {
        identity_hash(&self.verifying)
    }
}

/// A peer that has proven to hold the identity keys of its bundle.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Peer(PublicBundle);

impl Peer {
    /// Demands that both halves of `signature` verify over `message`, which must bind whatever makes it fresh.
    pub fn prove(bundle: PublicBundle, message: &[u8], signature: &Signature) -> Result<Self, Error> {
        bundle.verifying.verify(message, signature)?;
        Ok(Self(bundle))
    }

    /// The proven bundle.
    pub fn bundle(&self) -> &PublicBundle {
        &self.0
    }

    /// The peer's name.
    pub fn key_id(&self) -> &KeyId {
        &self.0.key_id
    }

    /// The name that nobody else can hold.
    pub fn fingerprint(&self) -> Fingerprint {
        self.0.fingerprint
    }
}

fn identity_hash(key: &VerifyingKey) -> [u8; address::HASH_LEN] {
    address::federation_identity_hash(key.ed25519(), Some(key.ml_dsa()))
}

fn default_name(key: &VerifyingKey) -> Result<KeyId, Error> {
    let name = BASE32_NOPAD.encode(&identity_hash(key)[..DEFAULT_NAME_BYTES]).to_ascii_lowercase();
    Ok(KeyId::new(format!("edge-{name}"))?)
}
