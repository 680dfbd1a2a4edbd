//! Peers for the scenarios: honest endpoints of this crate, and raw QUIC peers that break its rules.
#![allow(dead_code)]

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use edge_crypto::Secret;
use edge_crypto::random::Seeded;
use edge_identity::KeyBundle;
use edge_net::{Endpoint, Error, Expect, Limits, Session};
use edge_wire::domain;
use quinn::crypto::rustls::{QuicClientConfig, QuicServerConfig};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{
    ActiveKeyExchange, CompletedKeyExchange, CryptoProvider, SupportedKxGroup, WebPkiSupportedAlgorithms, aws_lc_rs,
};
use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer, ServerName, SubjectPublicKeyInfoDer, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{DigitallySignedStruct, DistinguishedName, NamedGroup, SignatureScheme};

pub(crate) const LOOPBACK: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

pub(crate) fn bundle(seed: u64) -> Arc<KeyBundle> {
    Arc::new(KeyBundle::generate(None, &mut Seeded::new(seed)).unwrap())
}

pub(crate) struct Host {
    pub(crate) keys: Arc<KeyBundle>,
    pub(crate) endpoint: Endpoint,
}

impl Host {
    pub(crate) fn new(seed: u64) -> Self {
        Self::with(seed, &Limits::default())
    }

    pub(crate) fn with(seed: u64, limits: &Limits) -> Self {
        let keys = bundle(seed);
        let endpoint = Endpoint::bind(keys.clone(), LOOPBACK, limits).unwrap();
        Self { keys, endpoint }
    }

    pub(crate) fn addr(&self) -> SocketAddr {
        self.endpoint.local_addr().unwrap()
    }

    pub(crate) async fn dial(&self, other: &Host) -> Result<Session, Error> {
        let expect = Expect::Fingerprint(other.keys.fingerprint());
        self.endpoint.connect(other.addr(), *other.keys.public().transport(), expect).await
    }

    pub(crate) async fn session(&self) -> Session {
        self.endpoint.accept().await.unwrap().unwrap()
    }

    pub(crate) async fn failure(&self) -> Error {
        match self.endpoint.accept().await.unwrap() {
            Ok(session) => panic!("became a session with {:?}", session.peer().fingerprint()),
            Err(failed) => failed.error,
        }
    }
}

/// Two hosts and both ends of a session between them: the dialer's, then the acceptor's.
pub(crate) async fn pair(limits: &Limits) -> (Host, Host, Session, Session) {
    let (dialer, acceptor) = (Host::with(1, limits), Host::with(2, limits));
    let (dialed, accepted) = tokio::join!(dialer.dial(&acceptor), acceptor.session());
    (dialer, acceptor, dialed.unwrap(), accepted)
}

/// A key-exchange group that counts how often it was the negotiated one.
#[derive(Debug)]
pub(crate) struct Counting {
    pub(crate) inner: &'static dyn SupportedKxGroup,
    pub(crate) used: Arc<AtomicUsize>,
}

pub(crate) fn counting(inner: &'static dyn SupportedKxGroup) -> (&'static Counting, Arc<AtomicUsize>) {
    let used = Arc::new(AtomicUsize::new(0));
    // One leaked object per test: the provider wants a static reference.
    (Box::leak(Box::new(Counting { inner, used: used.clone() })), used)
}

impl SupportedKxGroup for Counting {
    fn start(&self) -> Result<Box<dyn ActiveKeyExchange>, rustls::Error> {
        Ok(Box::new(CountingExchange { inner: self.inner.start()?, used: self.used.clone() }))
    }

    fn start_and_complete(&self, peer: &[u8]) -> Result<CompletedKeyExchange, rustls::Error> {
        self.used.fetch_add(1, Ordering::SeqCst);
        self.inner.start_and_complete(peer)
    }

    fn name(&self) -> NamedGroup {
        self.inner.name()
    }
}

struct CountingExchange {
    inner: Box<dyn ActiveKeyExchange>,
    used: Arc<AtomicUsize>,
}

impl ActiveKeyExchange for CountingExchange {
    fn complete(self: Box<Self>, peer: &[u8]) -> Result<rustls::crypto::SharedSecret, rustls::Error> {
        self.used.fetch_add(1, Ordering::SeqCst);
        self.inner.complete(peer)
    }

    fn pub_key(&self) -> &[u8] {
        self.inner.pub_key()
    }

    fn group(&self) -> NamedGroup {
        self.inner.group()
    }
}

pub(crate) fn post_quantum() -> Vec<&'static dyn SupportedKxGroup> {
    vec![aws_lc_rs::kx_group::X25519MLKEM768]
}

/// A QUIC endpoint that speaks the network's TLS with a given transport key, and nothing above it.
pub(crate) struct Raw {
    pub(crate) endpoint: quinn::Endpoint,
    client: quinn::ClientConfig,
}

impl Raw {
    pub(crate) fn new(seed: &Secret<32>) -> Self {
        Self::with(seed, post_quantum())
    }

    pub(crate) fn with(seed: &Secret<32>, groups: Vec<&'static dyn SupportedKxGroup>) -> Self {
        let provider = Arc::new(CryptoProvider { kx_groups: groups, ..aws_lc_rs::default_provider() });
        let key = certified(seed);
        let any = Arc::new(AnyKey(provider.signature_verification_algorithms));
        let mut server = rustls::ServerConfig::builder_with_provider(provider.clone())
            .with_protocol_versions(&[&rustls::version::TLS13])
            .unwrap()
            .with_client_cert_verifier(any.clone())
            .with_cert_resolver(Arc::new(rustls::server::AlwaysResolvesServerRawPublicKeys::new(key.clone())));
        server.alpn_protocols = vec![edge_net::ALPN.to_vec()];
        let mut client = rustls::ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&rustls::version::TLS13])
            .unwrap()
            .dangerous()
            .with_custom_certificate_verifier(any)
            .with_client_cert_resolver(Arc::new(rustls::client::AlwaysResolvesClientRawPublicKeys::new(key)));
        client.alpn_protocols = vec![edge_net::ALPN.to_vec()];
        client.enable_sni = false;
        let server = quinn::ServerConfig::with_crypto(Arc::new(QuicServerConfig::try_from(server).unwrap()));
        let client = quinn::ClientConfig::new(Arc::new(QuicClientConfig::try_from(client).unwrap()));
        Self { endpoint: quinn::Endpoint::server(server, LOOPBACK).unwrap(), client }
    }

    pub(crate) async fn dial(&self, addr: SocketAddr) -> Result<quinn::Connection, quinn::ConnectionError> {
        self.endpoint.connect_with(self.client.clone(), addr, "peer.invalid").unwrap().await
    }

    pub(crate) async fn accept(&self) -> Result<quinn::Connection, quinn::ConnectionError> {
        self.endpoint.accept().await.unwrap().await
    }
}

fn certified(seed: &Secret<32>) -> Arc<rustls::sign::CertifiedKey> {
    let mut der = vec![0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20];
    der.extend_from_slice(seed.expose());
    let key = aws_lc_rs::sign::any_eddsa_type(&PrivatePkcs8KeyDer::from(der)).unwrap();
    let spki = CertificateDer::from(key.public_key().unwrap().as_ref().to_vec());
    Arc::new(rustls::sign::CertifiedKey::new(vec![spki], key))
}

#[derive(Debug)]
struct AnyKey(WebPkiSupportedAlgorithms);

impl ServerCertVerifier for AnyKey {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Err(rustls::Error::General("no TLS 1.2".into()))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        key: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let key = SubjectPublicKeyInfoDer::from(key.as_ref());
        rustls::crypto::verify_tls13_signature_with_raw_key(message, &key, signed, &self.0)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![SignatureScheme::ED25519]
    }

    fn requires_raw_public_keys(&self) -> bool {
        true
    }
}

impl ClientCertVerifier for AnyKey {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Err(rustls::Error::General("no TLS 1.2".into()))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        key: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        ServerCertVerifier::verify_tls13_signature(self, message, key, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![SignatureScheme::ED25519]
    }

    fn requires_raw_public_keys(&self) -> bool {
        true
    }
}

pub(crate) const DIALER: u8 = 1;
pub(crate) const ACCEPTOR: u8 = 2;

/// A proof as `docs/spec/handshake.md` writes it, without the frame prefix.
pub(crate) fn proof(
    conn: &quinn::Connection,
    signer: &KeyBundle,
    shown: &KeyBundle,
    role: u8,
    other: &[u8; 32],
) -> Vec<u8> {
    let mut exporter = [0; 32];
    conn.export_keying_material(&mut exporter, b"EXPORTER-edge-handshake-v1", b"").unwrap();
    assert_eq!(domain::HANDSHAKE, b"edge/handshake/v1");
    let statement = [b"edge/handshake/v1", &[role][..], &exporter, &shown.fingerprint().0, other].concat();
    let bundle = shown.public().to_bytes();
    let len = u16::try_from(bundle.len()).unwrap().to_be_bytes();
    [&[1, role][..], &len, &bundle, &signer.sign(&statement).unwrap().to_bytes()].concat()
}

pub(crate) fn framed(bytes: &[u8]) -> Vec<u8> {
    [&u32::try_from(bytes.len()).unwrap().to_be_bytes()[..], bytes].concat()
}

pub(crate) async fn read_frame(recv: &mut quinn::RecvStream) -> Vec<u8> {
    let mut len = [0; 4];
    recv.read_exact(&mut len).await.unwrap();
    let mut frame = vec![0; u32::from_be_bytes(len) as usize];
    recv.read_exact(&mut frame).await.unwrap();
    frame
}

/// A raw peer that is proven to `host`: for breaking rules after the handshake.
pub(crate) async fn proven_raw(
    host: &Host,
    keys: &KeyBundle,
) -> (Raw, quinn::Connection, quinn::SendStream, quinn::RecvStream) {
    let raw = Raw::new(keys.transport_seed());
    let conn = raw.dial(host.addr()).await.unwrap();
    let (mut send, mut recv) = conn.open_bi().await.unwrap();
    let proof = proof(&conn, keys, keys, DIALER, host.keys.public().transport());
    send.write_all(&framed(&proof)).await.unwrap();
    read_frame(&mut recv).await;
    (raw, conn, send, recv)
}
