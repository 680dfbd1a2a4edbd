//! A public bundle has one byte form, carries only checked keys, and becomes a peer by proof alone.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use edge_crypto::kem::X25519Private;
use edge_crypto::random::Seeded;
use edge_crypto::sign::Ed25519Private;
use edge_crypto::{Random, Secret};
use edge_identity::bundle::{Error, MAX_LEN, Secrets};
use edge_identity::{KeyBundle, Peer, PublicBundle};
use edge_wire::id::KeyId;
use edge_wire::{Error as WireError, domain};

fn bundle(seed: u64) -> KeyBundle {
    KeyBundle::generate(Some(KeyId::new("alice").unwrap()), &mut Seeded::new(seed)).unwrap()
}

const NAME_END: usize = 1 + 2 + 5;

#[test]
fn canonical_bytes_round_trip_and_name_the_peer() {
    let own = bundle(1);
    let bytes = own.public().to_bytes();
    let parsed = PublicBundle::parse(&bytes).unwrap();
    assert_eq!(&parsed, own.public());
    assert_eq!(parsed.to_bytes(), bytes);
    assert_eq!(parsed.fingerprint(), own.fingerprint());
    assert_eq!(parsed.fingerprint().0, edge_crypto::hash::sha256(&[domain::FINGERPRINT, &bytes]));
    assert_ne!(bundle(2).fingerprint(), own.fingerprint());

    let longest = KeyBundle::generate(Some(KeyId::new("n".repeat(KeyId::MAX_LEN)).unwrap()), &mut Seeded::new(1));
    assert_eq!(longest.unwrap().public().to_bytes().len(), MAX_LEN);
}

#[test]
fn the_default_name_is_derived_from_the_identity() {
    let own = KeyBundle::generate(None, &mut Seeded::new(1)).unwrap();
    let hash = own.public().federation_identity_hash();
    let name = data_encoding::BASE32_NOPAD.encode(&hash[..10]).to_lowercase();
    assert_eq!(own.key_id().as_str(), format!("edge-{name}"));
    assert_eq!(own.key_id().as_str().len(), "edge-".len() + 16);
}

#[test]
fn truncated_and_prolonged_bytes_are_refused() {
    let bytes = bundle(3).public().to_bytes();
    for len in (0..NAME_END).chain((NAME_END..bytes.len()).step_by(61)) {
        assert!(matches!(PublicBundle::parse(&bytes[..len]), Err(Error::Wire(WireError::Short { .. }))), "{len}");
    }
    let longer = [&bytes[..], &[0]].concat();
    assert!(matches!(PublicBundle::parse(&longer), Err(Error::Wire(WireError::Trailing { left: 1 }))));
}

#[test]
fn every_changed_byte_changes_the_name_or_is_refused() {
    let own = bundle(4);
    let bytes = own.public().to_bytes();
    for at in (0..NAME_END).chain((NAME_END..bytes.len()).step_by(37)) {
        let mut changed = bytes.clone();
        changed[at] ^= 0x10;
        if let Ok(other) = PublicBundle::parse(&changed) {
            assert_ne!(other.fingerprint(), own.fingerprint(), "byte {at}");
            assert_eq!(other.to_bytes(), changed, "byte {at}");
        }
    }
}

#[test]
fn bad_keys_are_refused() {
    let bytes = bundle(5).public().to_bytes();
    let identity: [u8; 32] = bytes[NAME_END..NAME_END + 32].try_into().unwrap();
    let transport_at = NAME_END + 32 + 1952;
    let x25519_at = transport_at + 32;
    let mlkem_at = x25519_at + 32;

    let mut shared = bytes.clone();
    shared[transport_at..x25519_at].copy_from_slice(&identity);
    assert!(matches!(PublicBundle::parse(&shared), Err(Error::Wire(WireError::Invalid { field: "transport", .. }))));
    let mut degenerate = bytes.clone();
    degenerate[x25519_at..mlkem_at].fill(0);
    assert!(matches!(PublicBundle::parse(&degenerate), Err(Error::Crypto(edge_crypto::Error::Degenerate))));
    let mut unreduced = bytes.clone();
    unreduced[mlkem_at..mlkem_at + 3].fill(0xff);
    assert!(matches!(PublicBundle::parse(&unreduced), Err(Error::Crypto(edge_crypto::Error::Key("ML-KEM-768")))));
    let mut version = bytes.clone();
    version[0] = 2;
    assert!(matches!(PublicBundle::parse(&version), Err(Error::Wire(WireError::Unknown { field: "version", .. }))));
    let mut control = bytes;
    control[NAME_END - 1] = b'\n';
    assert!(matches!(PublicBundle::parse(&control), Err(Error::Wire(WireError::Invalid { field: "key_id", .. }))));
}

#[test]
fn one_seed_cannot_serve_as_identity_and_transport() {
    let mut random = Seeded::new(6);
    let mut secrets = Secrets::generate(&mut random).unwrap();
    let seed: [u8; 32] = random.array();
    secrets.sign = edge_crypto::sign::SigningKey::from_seeds(Secret::from(seed), Secret::from([1; 32])).unwrap();
    secrets.transport = Ed25519Private::from_seed(Secret::from(seed)).unwrap();
    secrets.x25519 = X25519Private::generate(&mut random);
    let refused = KeyBundle::new(KeyId::new("alice").unwrap(), secrets).unwrap_err();
    assert!(matches!(refused, Error::Wire(WireError::Invalid { field: "transport", .. })));
}

#[test]
fn a_peer_exists_only_by_proof() {
    let own = bundle(7);
    let signature = own.sign(b"bound to this connection").unwrap();
    let received = PublicBundle::parse(&own.public().to_bytes()).unwrap();
    let peer = Peer::prove(received.clone(), b"bound to this connection", &signature).unwrap();
    assert_eq!((peer.fingerprint(), peer.key_id()), (own.fingerprint(), own.key_id()));
    assert_eq!(peer.bundle(), own.public());

    let replayed = Peer::prove(received, b"bound to another connection", &signature);
    assert_eq!(replayed, Err(Error::Crypto(edge_crypto::Error::Signature)));
    let stolen = Peer::prove(bundle(8).public().clone(), b"bound to this connection", &signature);
    assert_eq!(stolen, Err(Error::Crypto(edge_crypto::Error::Signature)));
}

#[test]
fn debug_shows_no_secret() {
    let shown = format!("{:?}", bundle(9));
    assert!(shown.contains("SigningKey(redacted)") && shown.contains("Secret<64>(redacted)"), "{shown}");
}
