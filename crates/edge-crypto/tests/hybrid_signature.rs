//! The bound hybrid signature reproduces its vectors, and neither half can be changed, swapped or left out.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use edge_crypto::random::Seeded;
use edge_crypto::sign::{self, Ed25519Private, Signature, SigningKey, VerifyingKey};
use edge_crypto::{Error, Secret};
use serde_json::Value;

fn vectors() -> Vec<Value> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../conformance/media/hybrid_signature.json");
    let file: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    file["vectors"].as_array().unwrap().clone()
}

fn bytes(case: &Value, field: &str) -> Vec<u8> {
    let hex = case[field].as_str().unwrap();
    (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect()
}

fn secret(case: &Value, field: &str) -> Secret<32> {
    Secret::from_slice(&bytes(case, field)).unwrap()
}

#[test]
fn vectors_reproduce() {
    let vectors = vectors();
    assert_eq!(vectors.len(), 3);
    for case in vectors {
        let key = SigningKey::from_seeds(secret(&case, "ed25519_seed"), secret(&case, "ml_dsa_65_seed")).unwrap();
        let public = key.verifying_key().unwrap();
        assert_eq!(public.ed25519().as_slice(), bytes(&case, "ed25519_pub"));
        assert_eq!(public.ml_dsa().as_slice(), bytes(&case, "ml_dsa_65_pub"));

        let message = bytes(&case, "message");
        assert_eq!(key.sign_ed25519(&message).as_slice(), bytes(&case, "ed25519_signature"));
        let example = [bytes(&case, "ed25519_signature"), bytes(&case, "ml_dsa_65_signature_example")].concat();
        public.verify(&message, &Signature::from_slice(&example).unwrap()).unwrap();
        public.verify(&message, &key.sign(&message).unwrap()).unwrap();
    }
}

#[test]
fn every_byte_of_both_halves_counts() {
    let key = SigningKey::generate(&mut Seeded::new(1)).unwrap();
    let public = key.verifying_key().unwrap();
    let good = key.sign(b"message").unwrap().to_bytes();
    for at in (0..64).chain((64..good.len()).step_by(97)) {
        let mut bad = good.clone();
        bad[at] ^= 1;
        let signature = Signature::from_slice(&bad).unwrap();
        assert_eq!(public.verify(b"message", &signature), Err(Error::Signature), "byte {at}");
    }
    assert_eq!(public.verify(b"massage", &Signature::from_slice(&good).unwrap()), Err(Error::Signature));
}

#[test]
fn halves_of_two_signatures_do_not_mix() {
    let key = SigningKey::generate(&mut Seeded::new(2)).unwrap();
    let other = SigningKey::generate(&mut Seeded::new(3)).unwrap();
    let ours = key.sign(b"message").unwrap();
    let theirs = other.sign(b"message").unwrap();
    let public = key.verifying_key().unwrap();
    let mixed = VerifyingKey::from_slices(public.ed25519(), other.verifying_key().unwrap().ml_dsa()).unwrap();

    let stripped = Signature { ed25519: theirs.ed25519, ml_dsa: ours.ml_dsa.clone() };
    assert_eq!(public.verify(b"message", &stripped), Err(Error::Signature));
    // Both halves are genuine, each by its own key, but the second one does not cover the first one.
    let spliced = Signature { ed25519: ours.ed25519, ml_dsa: theirs.ml_dsa };
    assert_eq!(mixed.verify(b"message", &spliced), Err(Error::Signature));
}

#[test]
fn lengths_are_exact() {
    let key = SigningKey::generate(&mut Seeded::new(4)).unwrap();
    let wire = key.sign(b"").unwrap().to_bytes();
    assert_eq!(wire.len(), Signature::LEN);
    assert_eq!(Signature::from_slice(&wire[..wire.len() - 1]), Err(Error::Signature));
    assert_eq!(Signature::from_slice(&[&wire[..], &[0]].concat()), Err(Error::Signature));
    assert_eq!(Signature::from_slice(&wire[..10]), Err(Error::Signature));

    let public = key.verifying_key().unwrap();
    let (ed25519, ml_dsa) = (public.ed25519().as_slice(), public.ml_dsa().as_slice());
    assert_eq!(VerifyingKey::from_slices(&ed25519[1..], ml_dsa), Err(Error::Key("Ed25519")));
    assert_eq!(VerifyingKey::from_slices(ed25519, &ml_dsa[1..]), Err(Error::Key("ML-DSA-65")));
}

#[test]
fn ed25519_alone_verifies_what_it_signed() {
    let key = Ed25519Private::generate(&mut Seeded::new(5)).unwrap();
    let public = key.public().unwrap();
    let signature = key.sign(b"record");
    sign::verify_ed25519(&public, b"record", &signature).unwrap();
    assert_eq!(sign::verify_ed25519(&public, b"recorD", &signature), Err(Error::Signature));
    assert_eq!(sign::verify_ed25519(&public, b"record", &signature[1..]), Err(Error::Signature));
    assert_eq!(sign::verify_ed25519(&[0xff; 32], b"record", &signature), Err(Error::Signature));
}
