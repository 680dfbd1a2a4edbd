//! The baseline: bare QUIC with the same TLS, windows and congestion control, and no accounting at all.

use std::sync::Arc;

use bytes::Bytes;
use edge_net::{ALPN, MAX_MESSAGE};
use quinn::crypto::rustls::{QuicClientConfig, QuicServerConfig};
use quinn::{ClientConfig, Connection, Endpoint, ServerConfig, TransportConfig, VarInt};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, WebPkiSupportedAlgorithms, aws_lc_rs};
use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer, ServerName, SubjectPublicKeyInfoDer, UnixTime};
use rustls::sign::CertifiedKey;
use rustls::{DigitallySignedStruct, SignatureScheme};
use tokio::runtime::Runtime;

use super::{Cost, LOOPBACK, Load, Outcome, Pace, RECEIVERS, all, ticks, timed};

pub(super) fn measure(sender: &Runtime, receivers: &Runtime, load: Load) -> Outcome<Cost> {
    let (server, client) = configs()?;
    let hub = sender.block_on(async { Endpoint::server(server, LOOPBACK) })?;
    let addr = hub.local_addr()?;
    let dialed = receivers.spawn(async move {
        let mut dialed = Vec::new();
        for _ in 0..RECEIVERS {
            let endpoint = Endpoint::client(LOOPBACK)?;
            dialed.push((endpoint.connect_with(client.clone(), addr, "peer.invalid")?.await?, endpoint));
        }
        Outcome::Ok(dialed)
    });
    let conns: Vec<Connection> = sender.block_on(async {
        let mut conns = Vec::new();
        while conns.len() < RECEIVERS {
            conns.push(hub.accept().await.ok_or("endpoint closed")?.await?);
        }
        Outcome::Ok(conns)
    })?;
    let dialed = receivers.block_on(dialed)??;
    timed(load, || {
        let receiving = receivers.spawn(receive(dialed.iter().map(|(conn, _)| conn.clone()).collect(), load));
        let sending = sender.spawn(send(conns.clone(), load));
        sender.block_on(sending)??;
        receivers.block_on(receiving)?
    })
}

async fn send(conns: Vec<Connection>, load: Load) -> Outcome<()> {
    let message = Bytes::from(vec![7; load.len]);
    match load.pace {
        Pace::Saturated => {
            let one = |conn: Connection, message: Bytes| async move {
                for _ in 0..load.count {
                    send_one(&conn, &message).await?;
                }
                Outcome::Ok(())
            };
            all(conns.into_iter().map(|conn| one(conn, message.clone()))).await
        }
        Pace::Live => {
            let mut ticks = ticks();
            for _ in 0..load.count {
                ticks.tick().await;
                for conn in &conns {
                    send_one(conn, &message).await?;
                }
            }
            Ok(())
        }
    }
}

async fn send_one(conn: &Connection, message: &Bytes) -> Outcome<()> {
    let mut stream = conn.open_uni().await?;
    stream.write_chunk(message.clone()).await?;
    Ok(stream.finish()?)
}

async fn receive(conns: Vec<Connection>, load: Load) -> Outcome<()> {
    let one = |conn: Connection| async move {
        for _ in 0..load.count {
            conn.accept_uni().await?.read_to_end(MAX_MESSAGE).await?;
        }
        Outcome::Ok(())
    };
    all(conns.into_iter().map(one)).await
}

/// Both ends' configuration.
pub(crate) fn configs() -> Outcome<(ServerConfig, ClientConfig)> {
    let provider =
        CryptoProvider { kx_groups: vec![aws_lc_rs::kx_group::X25519MLKEM768], ..aws_lc_rs::default_provider() };
    let any = Arc::new(AnyKey(provider.signature_verification_algorithms));
    let provider = Arc::new(provider);
    let mut server = rustls::ServerConfig::builder_with_provider(provider.clone())
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(rustls::server::AlwaysResolvesServerRawPublicKeys::new(key()?)));
    server.alpn_protocols = vec![ALPN.to_vec()];
    let mut client = rustls::ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .dangerous()
        .with_custom_certificate_verifier(any)
        .with_no_client_auth();
    client.alpn_protocols = vec![ALPN.to_vec()];
    let transport = Arc::new(transport());
    let mut server = ServerConfig::with_crypto(Arc::new(QuicServerConfig::try_from(server)?));
    let mut client = ClientConfig::new(Arc::new(QuicClientConfig::try_from(client)?));
    server.transport_config(transport.clone());
    client.transport_config(transport);
    Ok((server, client))
}

fn transport() -> TransportConfig {
    let mut transport = TransportConfig::default();
    transport
        .max_concurrent_uni_streams(VarInt::from_u32(512))
        .stream_receive_window(VarInt::from_u32((1 << 20) + (64 << 10)))
        .receive_window(VarInt::from_u32(8 << 20))
        .send_window(12 << 20)
        .send_fairness(false)
        .congestion_controller_factory(Arc::new(quinn::congestion::BbrConfig::default()));
    transport
}

fn key() -> Outcome<Arc<CertifiedKey>> {
    let pkcs8 = ::aws_lc_rs::signature::Ed25519KeyPair::generate_pkcs8(&::aws_lc_rs::rand::SystemRandom::new())?;
    let signer = aws_lc_rs::sign::any_eddsa_type(&PrivatePkcs8KeyDer::from(pkcs8.as_ref()))?;
    let spki = CertificateDer::from(signer.public_key().ok_or("no public key")?.as_ref().to_vec());
    Ok(Arc::new(CertifiedKey::new(vec![spki], signer)))
}

/// Accepts any raw key: the baseline measures transport, not trust.
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
        Err(rustls::PeerIncompatible::Tls13RequiredForQuic.into())
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
