//! Capacity advertisements: what a relay says that it can carry for one stream, signed by it.
//!
//! [`Advert`] is what arrives, decoded and not verified; only [`Advert::verify`] with the directory's keys makes it
//! [`Verified`]. Its JSON bytes are kept, so that it is passed on exactly as it came.

mod book;
mod canonical;
mod extension;
mod json;
mod verify;

use std::sync::Arc;

use edge_crypto::hash::sha256;
use edge_crypto::sign::SigningKey;
use edge_identity::KeyBundle;
use edge_wire::id::{Epoch, KeyId, StreamId};
use edge_wire::layer::Policy;

use crate::path::{self, RawPath, SubStreamPath, check_disjoint};

pub use book::{
    ADVERTISERS_MAX, Accept, BUCKETS_MAX, Book, Candidate, Examined, Novelty, Offer, OfferError, PREVIOUS_EPOCH_MS,
    REFUSED_KEPT_MAX, Screened,
};
pub use canonical::Layout;
pub use extension::{ADDRESSES_MAX, CHAIN_MAX, Extension};
pub use json::DecodeError;
pub use verify::{Narrow, PublicKeys, Verified};

/// Longest JSON form, in bytes.
pub const JSON_LEN_MAX: usize = 16 << 10;
/// Age at which an advertisement is stale, in ms.
pub const STALE_AFTER_MS: u64 = 30_000;
/// How far ahead of ours an advertiser's clock may be, in ms.
pub const AHEAD_MS_MAX: u64 = 5_000;
/// Most commitments in one advertisement.
pub const COMMITMENTS_MAX: usize = 64;
/// Largest uplink or budget that is believed to be a number of Mbit/s.
pub const UPLINK_MBPS_MAX: f32 = 1_000_000.0;

/// Why an advertisement cannot be made, read or believed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// It is at least [`STALE_AFTER_MS`] old.
    #[error("advertisement is {age_ms} ms old, {STALE_AFTER_MS} ms is too old")]
    Stale {
        /// Its age, in ms.
        age_ms: u64,
    },
    /// It was measured in the future: a clock is wrong.
    #[error("advertisement was measured {ahead_ms} ms from now: check the clocks of both peers")]
    Ahead {
        /// By how much, in ms.
        ahead_ms: u64,
    },
    /// A signature, its encoding or what it is bound to is wrong. Deliberately without detail.
    #[error("advertisement is not signed by its advertiser")]
    SignatureInvalid,
    /// The JSON form cannot be read or written.
    #[error("malformed advertisement")]
    WireDecode(#[from] DecodeError),
    /// The directory holds no ML-DSA-65 key of the advertiser.
    #[error("the directory holds no post-quantum key of the advertiser")]
    PqcPubkeyMissing,
    /// The signer failed.
    #[error("advertisement could not be signed")]
    SignerError(#[source] edge_crypto::Error),
    /// A number is outside of what an advertisement may say.
    #[error("{field}: {rule}")]
    OutOfRange {
        /// The field.
        field: &'static str,
        /// The rule that it breaks, as a phrase.
        rule: &'static str,
    },
    /// A commitment of our own names a path that may not be emitted.
    #[error("commitment to a path that may not be emitted")]
    Path(#[from] path::Error),
}

/// What a relay can carry for one stream.
#[derive(Debug, Clone, PartialEq)]
pub struct Capacity {
    /// Mbit/s that it sustains for forwarding, as measured.
    pub uplink_mbps: f32,
    /// Streams that it relays at once.
    pub max_streams: u16,
    /// Distinct subscribers of one stream.
    pub max_subscribers_per_stream: u16,
    /// When it was measured, in ms since 1970 by the advertiser's clock.
    pub measured_at_unix_ms: u64,
    /// Highest layers that it forwards.
    pub max_layer_supported: Policy,
    /// What it reserves by path, in order; empty for a relay that does not look at paths.
    pub sub_stream_commitments: Vec<Commitment>,
}

/// What a relay reserves for one path.
#[derive(Debug, Clone, PartialEq)]
pub struct Commitment {
    /// The path, as its bytes came.
    pub sub_stream_path: RawPath,
    /// Mbit/s reserved.
    pub uplink_budget_mbps: f32,
    /// Subscribers of the path.
    pub max_subscribers: u16,
}

/// Who says what about which stream and epoch.
#[derive(Debug, Clone, PartialEq)]
pub struct Statement {
    /// Name of the relay's federation identity.
    pub advertiser: KeyId,
    /// What it can carry.
    pub capacity: Capacity,
    /// The stream.
    pub stream: StreamId,
    /// The epoch.
    pub epoch: Epoch,
}

/// An advertisement as received: decoded, not verified.
#[derive(Debug, Clone, PartialEq)]
pub struct Advert {
    statement: Statement,
    signature: Encoded,
    extension: Option<Extended>,
    json: Arc<[u8]>,
}

/// Both halves of a signature in base64, which the verifier decodes: a wrong encoding is a wrong signature.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Encoded {
    ed25519: String,
    ml_dsa: String,
}

/// What our peers add, with its own signature in base64.
#[derive(Debug, Clone, PartialEq)]
struct Extended {
    extension: Extension,
    signature: String,
}

impl Capacity {
    /// Refuses numbers that no honest relay says.
    pub fn check(&self) -> Result<(), Error> {
        check_mbps("uplink_mbps", self.uplink_mbps)?;
        if self.sub_stream_commitments.len() > COMMITMENTS_MAX {
            return Err(Error::OutOfRange { field: "sub_stream_commitments", rule: "must be at most 64" });
        }
        self.sub_stream_commitments.iter().try_for_each(Commitment::check)
    }

    /// How old it is at `now_unix_ms`; 0 for a time to come.
    pub fn age_ms(&self, now_unix_ms: u64) -> u64 {
        now_unix_ms.saturating_sub(self.measured_at_unix_ms)
    }

    /// Whether it is at least [`STALE_AFTER_MS`] old.
    pub fn is_stale(&self, now_unix_ms: u64) -> bool {
        self.age_ms(now_unix_ms) >= STALE_AFTER_MS
    }

    /// Demands that it is neither stale nor from the future.
    pub fn check_time(&self, now_unix_ms: u64) -> Result<(), Error> {
        let ahead_ms = self.measured_at_unix_ms.saturating_sub(now_unix_ms);
        match self.is_stale(now_unix_ms) {
            true => Err(Error::Stale { age_ms: self.age_ms(now_unix_ms) }),
            false if ahead_ms > AHEAD_MS_MAX => Err(Error::Ahead { ahead_ms }),
            false => Ok(()),
        }
    }

    /// Whether it forwards every layer that `policy` admits.
    pub fn covers(&self, policy: Policy) -> bool {
        let most = self.max_layer_supported;
        policy.max_spatial <= most.max_spatial
            && policy.max_temporal <= most.max_temporal
            && policy.max_quality <= most.max_quality
    }

    /// What we say ourselves is stricter than what we accept: paths are valid and do not overlap.
    fn check_own(&self) -> Result<(), Error> {
        self.check()?;
        let paths = self.sub_stream_commitments.iter().map(|entry| SubStreamPath::try_from(&entry.sub_stream_path));
        Ok(check_disjoint(&paths.collect::<Result<Vec<_>, _>>()?)?)
    }
}

impl Commitment {
    fn check(&self) -> Result<(), Error> {
        check_mbps("uplink_budget_mbps", self.uplink_budget_mbps)?;
        match self.sub_stream_path.as_bytes().len() > path::DEPTH_MAX {
            true => Err(Error::OutOfRange { field: "sub_stream_path", rule: "must be at most 8 long" }),
            false => Ok(()),
        }
    }
}

impl Advert {
    /// Reads the JSON form. Numbers are finite; whether they make sense is [`Capacity::check`].
    pub fn parse(json: &[u8]) -> Result<Self, Error> {
        Ok(json::parse(json)?)
    }

    /// Signs a statement and what our peers add to it, in the wide layout, under the bundle's own name.
    pub fn sign(statement: Statement, extension: Extension, keys: &KeyBundle) -> Result<Self, Error> {
        if &statement.advertiser != keys.key_id() {
            return Err(Error::OutOfRange { field: "advertiser_key_id", rule: "must be the signer's" });
        }
        extension.check()?;
        let preimage = extension.preimage(keys.fingerprint(), &statement)?;
        let signature = keys.sign(&preimage).map_err(Error::SignerError)?;
        let signature = json::encode(&signature.to_bytes());
        Self::finish(statement, Some(Extended { extension, signature }), keys.signing_key())
    }

    /// Signs a statement alone, in the wide layout.
    pub fn sign_plain(statement: Statement, key: &SigningKey) -> Result<Self, Error> {
        Self::finish(statement, None, key)
    }

    /// Who says what, as it was received.
    pub fn statement(&self) -> &Statement {
        &self.statement
    }

    /// What one of our peers added, as it was received.
    pub fn extension(&self) -> Option<&Extension> {
        self.extension.as_ref().map(|extended| &extended.extension)
    }

    /// The JSON form, as it was received or made; at most [`JSON_LEN_MAX`] bytes.
    pub fn json(&self) -> &[u8] {
        &self.json
    }

    /// SHA-256 over the JSON form.
    pub fn digest(&self) -> [u8; 32] {
        sha256(&[&self.json])
    }

    fn finish(statement: Statement, extension: Option<Extended>, key: &SigningKey) -> Result<Self, Error> {
        statement.capacity.check_own()?;
        let message = Layout::CapV2Wide.canonical(&statement)?;
        let signature = key.sign(&message).map_err(Error::SignerError)?;
        let signature =
            Encoded { ed25519: json::encode(&signature.ed25519), ml_dsa: json::encode(signature.ml_dsa.as_slice()) };
        let mut advert = Self { statement, signature, extension, json: Arc::default() };
        advert.json = json::write(&advert)?.into();
        Ok(advert)
    }
}

fn check_mbps(field: &'static str, mbps: f32) -> Result<(), Error> {
    match (0.0..=UPLINK_MBPS_MAX).contains(&mbps) {
        true => Ok(()),
        false => Err(Error::OutOfRange { field, rule: "must be from 0 to 1 000 000 Mbit/s" }),
    }
}
