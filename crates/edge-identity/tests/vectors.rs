//! Addresses, attestations and key grants reproduce the shared vectors.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use edge_crypto::kem::{MlKemPrivate, X25519Private};
use edge_crypto::sign::Ed25519Private;
use edge_crypto::{Random, Secret};
use edge_identity::grant::{self, Grant};
use edge_identity::{address, attest};
use edge_wire::id::KeyId;
use serde_json::Value;

fn vectors(family: &str) -> Vec<Value> {
    let path = format!("{}/../../conformance/media/{family}.json", env!("CARGO_MANIFEST_DIR"));
    let file: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    file["vectors"].as_array().unwrap().clone()
}

fn text<'a>(case: &'a Value, field: &str) -> &'a str {
    case[field].as_str().unwrap()
}

fn bytes(case: &Value, field: &str) -> Vec<u8> {
    data_encoding::HEXLOWER.decode(text(case, field).as_bytes()).unwrap()
}

fn array<const N: usize>(case: &Value, field: &str) -> [u8; N] {
    bytes(case, field).try_into().unwrap()
}

fn secret<const N: usize>(case: &Value, field: &str) -> Secret<N> {
    Secret::from(array(case, field))
}

/// Randomness that a vector prescribes.
struct Script(Vec<u8>);

impl Random for Script {
    fn fill(&mut self, out: &mut [u8]) {
        out.copy_from_slice(&self.0.drain(..out.len()).collect::<Vec<u8>>());
    }
}

#[test]
fn addresses() {
    for (start, case) in vectors("addressing").iter().enumerate() {
        let ed25519 = array(case, "ed25519_pub");
        let x25519 = array(case, "x25519_pub");
        let ml_dsa: Vec<u8> = (0..1952).map(|at| u8::try_from((start + at) % 256).unwrap()).collect();
        let app = text(case, "app_name");
        let aspects: Vec<&str> = case["aspects"].as_array().unwrap().iter().map(|it| it.as_str().unwrap()).collect();

        assert_eq!(address::destination16(&ed25519), array(case, "destination16"));
        let classical = address::federation_identity_hash(&ed25519, None);
        assert_eq!(classical, array(case, "federation_identity_hash_classical"));
        let hybrid = address::federation_identity_hash(&ed25519, Some(&ml_dsa));
        assert_eq!(hybrid, array(case, "federation_identity_hash_hybrid"));
        assert_eq!(address::rns_identity_hash(&x25519, &ed25519), array(case, "rns_identity_hash"));
        assert_eq!(address::rns_name_hash(app, &aspects), array(case, "rns_name_hash"));
        let destination = address::rns_destination_hash(app, &aspects, &x25519, &ed25519);
        assert_eq!(destination, array(case, "rns_destination_hash"));
    }
}

#[test]
fn attestations() {
    for case in &vectors("announce_attestation") {
        let federation = Ed25519Private::from_seed(secret(case, "federation_ed25519_seed")).unwrap();
        let directory_key = array(case, "federation_ed25519_pub");
        assert_eq!(federation.public().unwrap(), directory_key);
        let key_id = KeyId::new(text(case, "federation_key_id")).unwrap();
        let epoch = text(case, "epoch").parse().unwrap();
        let transport = array(case, "transport_ed25519_pub");

        assert_eq!(attest::canonical(&transport, &key_id, epoch), bytes(case, "canonical_bytes"));
        let announce = attest::Announce::sign(&federation, transport, key_id, epoch).unwrap();
        assert_eq!(announce.signature, array(case, "signature"));
        assert_eq!(announce.to_json().unwrap(), bytes(case, "app_data_json"));
        assert_eq!(attest::Announce::parse(&bytes(case, "app_data_json")).unwrap(), announce);
        let attested = announce.verify(&directory_key).unwrap();
        assert_eq!((attested.transport(), attested.epoch()), (&transport, epoch));
    }
}

#[test]
fn classical_grants() {
    let cases = vectors("key_grant");
    for case in cases.iter().filter(|case| text(case, "algorithm") == grant::CLASSICAL_ALGORITHM) {
        let recipient = X25519Private::new(secret(case, "recipient_x25519_priv"));
        let mut random = Script([bytes(case, "eph_x25519_priv"), bytes(case, "nonce")].concat());
        let wrapped = grant::Classical::wrap(&secret(case, "dek"), &recipient.public().unwrap(), &mut random).unwrap();
        let expected = serde_json::json!({
            "ephemeral_public_key": bytes(case, "ephemeral_public_key"),
            "nonce": bytes(case, "nonce"),
            "ciphertext": bytes(case, "ciphertext"),
        });
        assert_eq!(serde_json::to_value(&wrapped).unwrap(), expected);
        assert_eq!(wrapped.unwrap(&recipient).unwrap(), secret(case, "dek"));
        let refused = Grant::Classical(wrapped).for_stream();
        assert!(matches!(refused, Err(grant::Error::ClassicalRefused)));
    }
}

#[test]
fn hybrid_grants() {
    let cases = vectors("key_grant");
    let cases: Vec<_> = cases.iter().filter(|case| text(case, "algorithm") == grant::HYBRID_ALGORITHM).collect();
    assert_eq!(cases.len(), 3);
    for case in cases {
        let x25519 = X25519Private::new(secret(case, "recipient_x25519_priv"));
        let mlkem = MlKemPrivate::new(secret(case, "recipient_mlkem768_seed_d_z"));
        assert_eq!(mlkem.public().as_bytes().as_slice(), bytes(case, "recipient_mlkem768_pub"));
        let public = (x25519.public().unwrap(), mlkem.public());
        let recipient = grant::Recipient { x25519: &public.0, mlkem: &public.1 };
        let script = ["eph_x25519_priv", "encaps_m", "nonce"].map(|field| bytes(case, field)).concat();

        let wrapped = grant::Hybrid::wrap(&secret(case, "dek"), recipient, &mut Script(script)).unwrap();
        let expected = serde_json::json!({
            "ephemeral_x25519_public_key": bytes(case, "ephemeral_x25519_public_key"),
            "ml_kem_ciphertext": bytes(case, "ml_kem_ciphertext"),
            "nonce": bytes(case, "nonce"),
            "ciphertext": bytes(case, "ciphertext"),
        });
        assert_eq!(serde_json::to_value(&wrapped).unwrap(), expected);
        let json = Grant::Hybrid(wrapped).to_json().unwrap();
        let received = Grant::parse(text(case, "algorithm"), &json).unwrap().for_stream().unwrap();
        assert_eq!(received.unwrap(&x25519, &mlkem).unwrap(), secret(case, "dek"));
    }
}
