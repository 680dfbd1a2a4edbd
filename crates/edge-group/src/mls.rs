//! The MLS library behind one door: its store, its configuration, and its messages as bytes.

use std::collections::HashMap;
use std::sync::PoisonError;

use edge_wire::id::KeyId;
use openmls::prelude::tls_codec::{Deserialize as _, Serialize};
use openmls::prelude::{
    BasicCredential, Capabilities, Ciphersuite, Credential, CredentialType, CredentialWithKey, Lifetime,
    MlsGroupCreateConfig, MlsGroupJoinConfig, MlsMessageBodyIn, MlsMessageIn, PURE_CIPHERTEXT_WIRE_FORMAT_POLICY,
    ProtocolVersion, SenderRatchetConfiguration,
};
use openmls_basic_credential::SignatureKeyPair;
use openmls_libcrux_crypto::Provider;
use openmls_traits::OpenMlsProvider;
use openmls_traits::types::SignatureScheme;
use zeroize::Zeroize;

use crate::Error;
use crate::suite::SUITE;

/// How far before its making a leaf is valid, in s, for clocks that are behind.
pub(crate) const LIFETIME_SKEW_S: u64 = 3_600;
/// How long a leaf is valid, in s.
pub(crate) const LIFETIME_S: u64 = 7_257_600;
/// Longest accepted span of a leaf's validity, in s.
pub(crate) const LIFETIME_SPAN_S_MAX: u64 = LIFETIME_SKEW_S + LIFETIME_S;

const OUT_OF_ORDER_TOLERANCE: u32 = 5;
const MAX_FORWARD_DISTANCE: u32 = 1_000;

/// One session's private state inside the MLS library; wiped on drop.
pub(crate) struct Store(Provider);

impl Store {
    /// An empty store.
    pub(crate) fn new() -> Result<Self, Error> {
        Provider::new().map(Self).map_err(|_| Error::CiphersuiteNotAvailable)
    }

    /// A store with these entries.
    pub(crate) fn with_entries(entries: HashMap<Vec<u8>, Vec<u8>>) -> Result<Self, Error> {
        let store = Self::new()?;
        *store.0.storage().values.write().unwrap_or_else(PoisonError::into_inner) = entries;
        Ok(store)
    }

    /// The library's provider.
    pub(crate) fn provider(&self) -> &Provider {
        &self.0
    }

    /// Lets `read` see all entries.
    pub(crate) fn entries<T>(&self, read: impl FnOnce(&HashMap<Vec<u8>, Vec<u8>>) -> T) -> T {
        read(&self.0.storage().values.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Makes and keeps a fresh leaf signature key.
    pub(crate) fn new_signer(&self) -> Result<SignatureKeyPair, Error> {
        let failed = |error| Error::KeyPackageBuildFailed(Error::cause(error));
        let signer = SignatureKeyPair::new(SignatureScheme::ED25519).map_err(failed)?;
        let stored = signer.store(self.0.storage());
        stored.map_err(|error| Error::KeyPackageBuildFailed(Error::cause(error))).map(|()| signer)
    }

    /// The leaf signature key that was kept for `public`.
    pub(crate) fn signer(&self, public: &[u8]) -> Option<SignatureKeyPair> {
        SignatureKeyPair::read(self.0.storage(), public, SignatureScheme::ED25519)
    }

    /// Forgets everything.
    pub(crate) fn wipe(&self) {
        let mut values = self.0.storage().values.write().unwrap_or_else(PoisonError::into_inner);
        values.values_mut().for_each(Zeroize::zeroize);
        values.clear();
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        self.wipe();
    }
}

/// What a leaf of ours can do.
pub(crate) fn capabilities() -> Capabilities {
    let suites = [
        Ciphersuite::MLS_128_DHKEMX25519_AES128GCM_SHA256_Ed25519,
        Ciphersuite::MLS_128_DHKEMP256_AES128GCM_SHA256_P256,
        Ciphersuite::MLS_128_DHKEMX25519_CHACHA20POLY1305_SHA256_Ed25519,
        SUITE,
    ];
    let versions = [ProtocolVersion::Mls10];
    Capabilities::new(Some(&versions), Some(&suites), Some(&[]), Some(&[]), Some(&[CredentialType::Basic]))
}

/// The validity of a leaf made at `now_unix_s`.
pub(crate) fn lifetime(now_unix_s: u64) -> Lifetime {
    Lifetime::init(now_unix_s.saturating_sub(LIFETIME_SKEW_S), now_unix_s.saturating_add(LIFETIME_S))
}

/// The credential of a leaf: the peer's name and the leaf's own signature key.
pub(crate) fn credential(key_id: &KeyId, signer: &SignatureKeyPair) -> CredentialWithKey {
    let credential = BasicCredential::new(key_id.as_bytes().to_vec());
    CredentialWithKey { credential: credential.into(), signature_key: signer.to_public_vec().into() }
}

/// The name in a credential; `None` if it is not a basic one or not a name.
pub(crate) fn key_id(credential: &Credential) -> Option<KeyId> {
    let basic = BasicCredential::try_from(credential.clone()).ok()?;
    KeyId::new(std::str::from_utf8(basic.identity()).ok()?).ok()
}

/// How a new group behaves.
pub(crate) fn create_config(now_unix_s: u64) -> MlsGroupCreateConfig {
    MlsGroupCreateConfig::builder()
        .ciphersuite(SUITE)
        .wire_format_policy(PURE_CIPHERTEXT_WIRE_FORMAT_POLICY)
        .capabilities(capabilities())
        .lifetime(lifetime(now_unix_s))
        .padding_size(0)
        .max_past_epochs(0)
        .number_of_resumption_psks(0)
        .use_ratchet_tree_extension(false)
        .sender_ratchet_configuration(ratchet())
        .build()
}

/// How a joined group behaves.
pub(crate) fn join_config() -> MlsGroupJoinConfig {
    MlsGroupJoinConfig::builder()
        .wire_format_policy(PURE_CIPHERTEXT_WIRE_FORMAT_POLICY)
        .padding_size(0)
        .max_past_epochs(0)
        .number_of_resumption_psks(0)
        .use_ratchet_tree_extension(false)
        .sender_ratchet_configuration(ratchet())
        .build()
}

/// Parses an MLS message of at most `bound` bytes.
pub(crate) fn decode(bytes: &[u8], bound: usize) -> Result<MlsMessageBodyIn, Error> {
    if bytes.len() > bound {
        return Err(Error::WireDecodeFailed);
    }
    MlsMessageIn::tls_deserialize_exact(bytes).map(MlsMessageIn::extract).map_err(|_| Error::WireDecodeFailed)
}

/// The bytes of an MLS structure.
pub(crate) fn encode(message: &impl Serialize) -> Result<Vec<u8>, Error> {
    message.tls_serialize_detached().map_err(|_| Error::WireDecodeFailed)
}

fn ratchet() -> SenderRatchetConfiguration {
    SenderRatchetConfiguration::new(OUT_OF_ORDER_TOLERANCE, MAX_FORWARD_DISTANCE)
}
