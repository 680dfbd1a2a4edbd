//! TLS 1.3 with raw Ed25519 keys (RFC 7250) and one key-exchange group.

use std::sync::{Arc, OnceLock};

use edge_crypto::Secret;
use quinn::crypto::rustls::{QuicClientConfig, QuicServerConfig};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{AlwaysResolvesClientRawPublicKeys, Resumption};
use rustls::crypto::{CryptoProvider, WebPkiSupportedAlgorithms, aws_lc_rs, verify_tls13_signature_with_raw_key};
use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer, ServerName, SubjectPublicKeyInfoDer, UnixTime};
use rustls::server::AlwaysResolvesServerRawPublicKeys;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::sign::CertifiedKey;
use rustls::{CertificateError, DigitallySignedStruct, DistinguishedName, PeerIncompatible, SignatureScheme};

use crate::error::BindError;

/// Application protocol name in TLS.
pub const ALPN: &[u8] = b"edge/1";

/// Name in dialing; never sent, because peers are known by key.
pub(crate) const SERVER_NAME: &str = "peer.invalid";

/// DER before the 32 bytes of an Ed25519 SubjectPublicKeyInfo.
const SPKI_PREFIX: [u8; 12] = [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];
/// DER before the 32-byte seed of an Ed25519 PKCS #8 key.
const PKCS8_PREFIX: [u8; 16] =
    [0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20];

/// This peer's TLS identity and the one provider both roles use.
#[derive(Debug, Clone)]
pub(crate) struct Tls {
    key: Arc<CertifiedKey>,
    provider: Arc<CryptoProvider>,
}

/// The key that answered a dial, when it was not the expected one.
#[derive(Debug, Clone, Default)]
pub(crate) struct Stranger(Arc<OnceLock<[u8; 32]>>);

impl Stranger {
    pub(crate) fn key(&self) -> Option<[u8; 32]> {
        self.0.get().copied()
    }
}

impl Tls {
    pub(crate) fn new(seed: &Secret<32>, public: &[u8; 32]) -> Result<Self, BindError> {
        let mut der = [0; PKCS8_PREFIX.len() + 32];
        der[..PKCS8_PREFIX.len()].copy_from_slice(&PKCS8_PREFIX);
        der[PKCS8_PREFIX.len()..].copy_from_slice(seed.expose());
        let der = Secret::take(&mut der);
        let signer = aws_lc_rs::sign::any_eddsa_type(&PrivatePkcs8KeyDer::from(&der.expose()[..]))?;
        let spki = CertificateDer::from(spki(public).to_vec());
        let provider =
            CryptoProvider { kx_groups: vec![aws_lc_rs::kx_group::X25519MLKEM768], ..aws_lc_rs::default_provider() };
        Ok(Self { key: Arc::new(CertifiedKey::new(vec![spki], signer)), provider: Arc::new(provider) })
    }

    /// Configuration that accepts any raw key; whose it is, the identity handshake decides.
    pub(crate) fn server(&self) -> Result<QuicServerConfig, BindError> {
        let mut config = rustls::ServerConfig::builder_with_provider(self.provider.clone())
            .with_protocol_versions(&[&rustls::version::TLS13])?
            .with_client_cert_verifier(Arc::new(RawKey::any(&self.provider)))
            .with_cert_resolver(Arc::new(AlwaysResolvesServerRawPublicKeys::new(self.key.clone())));
        config.alpn_protocols = vec![ALPN.to_vec()];
        config.max_early_data_size = 0;
        config.send_tls13_tickets = 0;
        Ok(QuicServerConfig::try_from(config)?)
    }

    /// Configuration that accepts only `key`; another one is noted in the [`Stranger`].
    pub(crate) fn client(&self, key: [u8; 32]) -> Result<(QuicClientConfig, Stranger), BindError> {
        let stranger = Stranger::default();
        let verifier = RawKey { pin: Some((key, stranger.clone())), ..RawKey::any(&self.provider) };
        let mut config = rustls::ClientConfig::builder_with_provider(self.provider.clone())
            .with_protocol_versions(&[&rustls::version::TLS13])?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(verifier))
            .with_client_cert_resolver(Arc::new(AlwaysResolvesClientRawPublicKeys::new(self.key.clone())));
        config.alpn_protocols = vec![ALPN.to_vec()];
        config.enable_sni = false;
        config.resumption = Resumption::disabled();
        Ok((QuicClientConfig::try_from(config)?, stranger))
    }
}

/// The Ed25519 key that the other end of a connection used in TLS.
pub(crate) fn peer_key(conn: &quinn::Connection) -> Option<[u8; 32]> {
    let chain = conn.peer_identity()?.downcast::<Vec<CertificateDer<'static>>>().ok()?;
    match chain.as_slice() {
        [only] => key_of(only),
        _ => None,
    }
}

fn spki(key: &[u8; 32]) -> [u8; SPKI_PREFIX.len() + 32] {
    let mut out = [0; SPKI_PREFIX.len() + 32];
    out[..SPKI_PREFIX.len()].copy_from_slice(&SPKI_PREFIX);
    out[SPKI_PREFIX.len()..].copy_from_slice(key);
    out
}

fn key_of(spki: &[u8]) -> Option<[u8; 32]> {
    spki.strip_prefix(&SPKI_PREFIX)?.try_into().ok()
}

/// Verifies Ed25519 raw keys, of one peer or of any.
#[derive(Debug)]
struct RawKey {
    pin: Option<([u8; 32], Stranger)>,
    algorithms: WebPkiSupportedAlgorithms,
}

impl RawKey {
    fn any(provider: &CryptoProvider) -> Self {
        Self { pin: None, algorithms: provider.signature_verification_algorithms }
    }

    fn admit(&self, presented: &CertificateDer<'_>) -> Result<(), rustls::Error> {
        let key = key_of(presented).ok_or(CertificateError::BadEncoding)?;
        match &self.pin {
            Some((pin, stranger)) if *pin != key => {
                // A second key on one connection cannot happen; the first one is what matters.
                let _ = stranger.0.set(key);
                Err(CertificateError::UnknownIssuer.into())
            }
            _ => Ok(()),
        }
    }

    fn verify(
        &self,
        message: &[u8],
        key: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let key = SubjectPublicKeyInfoDer::from(key.as_ref());
        verify_tls13_signature_with_raw_key(message, &key, signed, &self.algorithms)
    }
}

fn no_tls12() -> rustls::Error {
    PeerIncompatible::Tls13RequiredForQuic.into()
}

impl ServerCertVerifier for RawKey {
    fn verify_server_cert(
        &self,
        key: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        self.admit(key).map(|()| ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Err(no_tls12())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        key: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.verify(message, key, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![SignatureScheme::ED25519]
    }

    fn requires_raw_public_keys(&self) -> bool {
        true
    }
}

impl ClientCertVerifier for RawKey {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        key: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        self.admit(key).map(|()| ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Err(no_tls12())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        key: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.verify(message, key, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![SignatureScheme::ED25519]
    }

    fn requires_raw_public_keys(&self) -> bool {
        true
    }
}
