//! Announce attestations: a federation key vouches for a transport key.
//!
//! [`Announce`] is what arrives; only [`Announce::verify`] with the directory's key makes it [`Attested`].

use data_encoding::BASE64;
use edge_crypto::sign::{self, ED25519_PUBLIC_LEN, ED25519_SIGNATURE_LEN, Ed25519Private};
use edge_wire::id::KeyId;
use edge_wire::{Writer, domain};
use serde::{Deserialize, Serialize};

/// Largest app-data record in bytes.
pub const MAX_LEN: usize = 4096;

/// Why an announce was refused.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The app data is not the JSON record.
    #[error("announce is not the expected JSON record")]
    Parse(#[from] serde_json::Error),
    /// The app data is longer than [`MAX_LEN`].
    #[error("announce of {got} bytes is longer than {bound}", bound = MAX_LEN)]
    TooLong {
        /// Bytes given.
        got: usize,
    },
    /// A field does not decode to its type.
    #[error("announce field {0} does not decode")]
    FieldDecode(&'static str),
    /// The signature is not the directory key's.
    #[error("announce is not signed by the key that the directory holds for it")]
    SignatureMismatch,
}

/// A received announce: decoded, not verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Announce {
    /// The transport key being vouched for.
    pub transport: [u8; ED25519_PUBLIC_LEN],
    /// Name of the federation identity.
    pub key_id: KeyId,
    /// The federation key that the record claims; never used to verify it.
    pub claimed_ed25519: [u8; ED25519_PUBLIC_LEN],
    /// Monotonic per key id.
    pub epoch: u64,
    /// Ed25519 over [`canonical`].
    pub signature: [u8; ED25519_SIGNATURE_LEN],
}

/// An announce that the directory's key signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attested {
    transport: [u8; ED25519_PUBLIC_LEN],
    key_id: KeyId,
    epoch: u64,
}

/// The bytes that the federation key signs.
pub fn canonical(transport: &[u8; ED25519_PUBLIC_LEN], key_id: &KeyId, epoch: u64) -> Vec<u8> {
    let mut out = Writer::new();
    out.raw(domain::ANNOUNCE_ATTESTATION)
        .u64(ED25519_PUBLIC_LEN as u64)
        .raw(transport)
        .u64(key_id.as_bytes().len() as u64)
        .raw(key_id.as_bytes())
        .u64(epoch);
    out.finish()
}

impl Announce {
    /// Vouches for `transport` with the federation key.
    pub fn sign(
        federation: &Ed25519Private,
        transport: [u8; ED25519_PUBLIC_LEN],
        key_id: KeyId,
        epoch: u64,
    ) -> Result<Self, edge_crypto::Error> {
        let signature = federation.sign(&canonical(&transport, &key_id, epoch));
        Ok(Self { transport, key_id, claimed_ed25519: federation.public()?, epoch, signature })
    }

    /// Decodes app data.
    pub fn parse(app_data: &[u8]) -> Result<Self, Error> {
        if app_data.len() > MAX_LEN {
            return Err(Error::TooLong { got: app_data.len() });
        }
        let record: Record = serde_json::from_slice(app_data)?;
        Ok(Self {
            transport: base64(&record.transport_identity_pubkey, "transport_identity_pubkey")?,
            key_id: KeyId::new(record.federation_key_id).map_err(|_| Error::FieldDecode("federation_key_id"))?,
            claimed_ed25519: base64(&record.federation_pubkey_ed25519_base64, "federation_pubkey_ed25519_base64")?,
            epoch: record.epoch,
            signature: base64(&record.signature, "signature")?,
        })
    }

    /// The app data: compact JSON in the defined field order.
    pub fn to_json(&self) -> Result<Vec<u8>, Error> {
        let record = Record {
            transport_identity_pubkey: BASE64.encode(&self.transport),
            federation_key_id: self.key_id.as_str().to_owned(),
            federation_pubkey_ed25519_base64: BASE64.encode(&self.claimed_ed25519),
            epoch: self.epoch,
            signature: BASE64.encode(&self.signature),
        };
        Ok(serde_json::to_vec(&record)?)
    }

    /// Verifies with the key that the directory holds for [`key_id`](Self::key_id).
    pub fn verify(self, directory_key: &[u8; ED25519_PUBLIC_LEN]) -> Result<Attested, Error> {
        let message = canonical(&self.transport, &self.key_id, self.epoch);
        sign::verify_ed25519(directory_key, &message, &self.signature).map_err(|_| Error::SignatureMismatch)?;
        Ok(Attested { transport: self.transport, key_id: self.key_id, epoch: self.epoch })
    }
}

impl Attested {
    /// The transport key.
    pub fn transport(&self) -> &[u8; ED25519_PUBLIC_LEN] {
        &self.transport
    }

    /// Name of the federation identity that vouches for it.
    pub fn key_id(&self) -> &KeyId {
        &self.key_id
    }

    /// The attestation's epoch.
    pub fn epoch(&self) -> u64 {
        self.epoch
    }

    /// Whether this may take the place of `rooted`: the same identity, and not an older epoch.
    pub fn supersedes(&self, rooted: &Self) -> bool {
        self.key_id == rooted.key_id && self.epoch >= rooted.epoch
    }
}

/// The JSON form; the order of fields is the wire's.
#[derive(Serialize, Deserialize)]
struct Record {
    transport_identity_pubkey: String,
    federation_key_id: String,
    federation_pubkey_ed25519_base64: String,
    epoch: u64,
    signature: String,
}

fn base64<const N: usize>(text: &str, field: &'static str) -> Result<[u8; N], Error> {
    let bytes = BASE64.decode(text.as_bytes()).map_err(|_| Error::FieldDecode(field))?;
    bytes.try_into().map_err(|_| Error::FieldDecode(field))
}
