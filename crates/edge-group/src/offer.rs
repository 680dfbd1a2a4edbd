//! Key package offers: a joiner's key package under its federation identity, and the same after verification.

use edge_crypto::hash::sha256;
use edge_crypto::kem::{self, MlKemPublic};
use edge_crypto::sign::Signature;
use edge_identity::{KeyBundle, Peer, PublicBundle, bundle};
use edge_wire::id::{Fingerprint, KeyId, StreamId};
use edge_wire::{Reader, Writer, domain};
use openmls::prelude::{KeyPackage, MlsMessageBodyIn, OpenMlsProvider, ProtocolVersion};

use crate::gate::{self, Member};
use crate::mls::{self, LIFETIME_SPAN_S_MAX, Store};
use crate::suite::{SUITE, XWING_PUBLIC_LEN};
use crate::{Error, MAX_KEY_PACKAGE_LEN};

const VERSION: u8 = 1;
/// Length prefix of an MLS vector of 64 to 16 383 bytes.
const VECTOR_LEN_BYTES: usize = 2;

/// A received offer: well-formed, nothing about it proven.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyPackageOffer {
    stream: StreamId,
    joiner: PublicBundle,
    not_after_unix_s: u64,
    key_package: Vec<u8>,
    signature: Signature,
}

impl KeyPackageOffer {
    /// Longest offer in bytes.
    pub const MAX_LEN: usize = 1 + 32 + 8 + 4 + bundle::MAX_LEN + 4 + MAX_KEY_PACKAGE_LEN + Signature::LEN;

    /// Binds a key package to the joiner's identity.
    pub(crate) fn sign(
        stream: StreamId,
        joiner: &KeyBundle,
        not_after_unix_s: u64,
        key_package: Vec<u8>,
    ) -> Result<Self, Error> {
        let signature = joiner.sign(&message(stream, joiner.public(), &key_package, not_after_unix_s))?;
        Ok(Self { stream, joiner: joiner.public().clone(), not_after_unix_s, key_package, signature })
    }

    /// Parses the wire bytes.
    pub fn parse(bytes: &[u8]) -> Result<Self, Error> {
        let mut reader = Reader::new(bytes);
        let version = reader.u8("version")?;
        if version != VERSION {
            return Err(edge_wire::Error::Unknown { field: "version", got: version.into() }.into());
        }
        let stream = StreamId(reader.array("stream_id")?);
        let not_after_unix_s = reader.u64("not_after")?;
        let joiner = reader.bytes32("joiner", bundle::MAX_LEN)?;
        let key_package = reader.bytes32("key_package", MAX_KEY_PACKAGE_LEN)?.to_vec();
        let signature = Signature::from_slice(reader.take("signature", Signature::LEN)?)?;
        reader.finish()?;
        Ok(Self { stream, joiner: PublicBundle::parse(joiner)?, not_after_unix_s, key_package, signature })
    }

    /// The wire bytes, at most [`MAX_LEN`](Self::MAX_LEN).
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = Writer::new();
        out.u8(VERSION).raw(&self.stream.0).u64(self.not_after_unix_s).bytes32(&self.joiner.to_bytes());
        out.bytes32(&self.key_package).raw(&self.signature.to_bytes());
        out.finish()
    }

    /// The joiner as it calls itself; proven only after [`verify`](Self::verify).
    pub fn joiner(&self) -> &PublicBundle {
        &self.joiner
    }

    /// Proves the binding and every rule of a key package; the hybrid gate comes before any MLS code. Whether this
    /// joiner may have the stream is the caller's question, by its fingerprint.
    pub fn verify(self, stream: StreamId, now_unix_s: u64) -> Result<VerifiedOffer, Error> {
        if self.stream != stream {
            return Err(Error::WrongGroup);
        }
        gate::check([&Member::from(&self.joiner)])?;
        let signed = message(stream, &self.joiner, &self.key_package, self.not_after_unix_s);
        let peer = Peer::prove(self.joiner, &signed, &self.signature)
            .map_err(|_| rejected("its binding to the identity is not signed"))?;
        let ends_in_s = self.not_after_unix_s.checked_sub(now_unix_s).filter(|left_s| *left_s > 0);
        if ends_in_s.is_none_or(|left_s| left_s > LIFETIME_SPAN_S_MAX) {
            return Err(rejected("its binding has expired or lasts too long"));
        }
        let key_package = verified_key_package(&self.key_package)?;
        check_rules(&key_package, &peer, now_unix_s)?;
        if key_package.life_time().not_after() < self.not_after_unix_s {
            return Err(rejected("its binding outlives it"));
        }
        Ok(VerifiedOffer { stream, peer, hash: sha256(&[&self.key_package]), key_package })
    }
}

/// An offer whose binding, key package and hybrid keys were verified; what the committer adds.
#[derive(Debug, Clone, PartialEq)]
pub struct VerifiedOffer {
    stream: StreamId,
    peer: Peer,
    hash: [u8; 32],
    key_package: KeyPackage,
}

impl VerifiedOffer {
    /// The joiner, proven.
    pub fn peer(&self) -> &Peer {
        &self.peer
    }

    /// The joiner's name.
    pub fn key_id(&self) -> &KeyId {
        self.peer.key_id()
    }

    /// The joiner's fingerprint.
    pub fn fingerprint(&self) -> Fingerprint {
        self.peer.fingerprint()
    }

    pub(crate) fn stream(&self) -> StreamId {
        self.stream
    }

    pub(crate) fn hash(&self) -> [u8; 32] {
        self.hash
    }

    pub(crate) fn key_package(&self) -> &KeyPackage {
        &self.key_package
    }
}

/// The fingerprint covers the bundle's other keys too: without it somebody on the way could exchange those.
fn message(stream: StreamId, joiner: &PublicBundle, key_package: &[u8], not_after_unix_s: u64) -> Vec<u8> {
    let mut out = Writer::new();
    out.raw(domain::KEY_PACKAGE).raw(&stream.0).bytes16(joiner.key_id().as_bytes()).raw(&joiner.fingerprint().0);
    out.raw(&sha256(&[key_package])).u64(not_after_unix_s);
    out.finish()
}

fn verified_key_package(bytes: &[u8]) -> Result<KeyPackage, Error> {
    let MlsMessageBodyIn::KeyPackage(received) = mls::decode(bytes, MAX_KEY_PACKAGE_LEN)? else {
        return Err(rejected("it is another MLS message"));
    };
    let store = Store::new()?;
    let verified = received.validate(store.provider().crypto(), ProtocolVersion::Mls10);
    verified.map_err(|_| rejected("its signatures, lifetime or extensions are not valid"))
}

fn check_rules(key_package: &KeyPackage, peer: &Peer, now_unix_s: u64) -> Result<(), Error> {
    let (leaf, lifetime) = (key_package.leaf_node(), key_package.life_time());
    if key_package.ciphersuite() != SUITE {
        return Err(rejected("its ciphersuite is another one"));
    }
    if mls::key_id(leaf.credential()).as_ref() != Some(peer.key_id()) {
        return Err(rejected("its credential names somebody else"));
    }
    if lifetime.not_after().saturating_sub(lifetime.not_before()) > LIFETIME_SPAN_S_MAX {
        return Err(rejected("its lifetime is too long"));
    }
    if !(lifetime.not_before()..lifetime.not_after()).contains(&now_unix_s) {
        return Err(rejected("it is not valid now"));
    }
    if key_package.last_resort() {
        return Err(rejected("it is not for single use"));
    }
    // An unusable key would only fail inside the commit, and take the whole batch with it.
    let leaf_key = mls::encode(leaf.encryption_key())?;
    let leaf_key = leaf_key.get(VECTOR_LEN_BYTES..).unwrap_or_default();
    if !is_xwing(key_package.hpke_init_key().as_slice()) || !is_xwing(leaf_key) {
        return Err(rejected("its encryption keys are malformed"));
    }
    Ok(())
}

fn is_xwing(key: &[u8]) -> bool {
    let Some((post_quantum, classical)) = key.split_at_checked(kem::MLKEM_PUBLIC_LEN) else {
        return false;
    };
    let classical = <&[u8; kem::X25519_LEN]>::try_from(classical);
    key.len() == XWING_PUBLIC_LEN
        && MlKemPublic::from_slice(post_quantum).is_ok()
        && classical.is_ok_and(|key| kem::check_x25519(key).is_ok())
}

fn rejected(rule: &'static str) -> Error {
    Error::KeyPackageRejected { rule }
}
