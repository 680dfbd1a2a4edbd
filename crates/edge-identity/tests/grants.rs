//! Key grants tell an attacker nothing, and refuse what is not a key.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use edge_crypto::kem::{MlKemPrivate, X25519Private};
use edge_crypto::random::Seeded;
use edge_crypto::{Secret, aead, hash};
use edge_identity::grant::{
    CLASSICAL_ALGORITHM, Classical, Error, Grant, HYBRID_ALGORITHM, Hybrid, MAX_LEN, Recipient,
};
use serde_json::{Value, json};

fn keys(seed: u64) -> (X25519Private, MlKemPrivate) {
    let mut random = Seeded::new(seed);
    (X25519Private::generate(&mut random), MlKemPrivate::generate(&mut random))
}

fn hybrid(x25519: &X25519Private, mlkem: &MlKemPrivate) -> Hybrid {
    let public = (x25519.public().unwrap(), mlkem.public());
    let to = Recipient { x25519: &public.0, mlkem: &public.1 };
    Hybrid::wrap(&Secret::from([9; 32]), to, &mut Seeded::new(77)).unwrap()
}

#[test]
fn every_failure_to_open_looks_the_same() {
    let (x25519, mlkem) = keys(1);
    let good = hybrid(&x25519, &mlkem);
    assert_eq!(good.unwrap(&x25519, &mlkem).unwrap(), Secret::from([9; 32]));
    let (other_x25519, other_mlkem) = keys(2);
    assert!(matches!(good.unwrap(&other_x25519, &mlkem), Err(Error::Unwrap)));
    assert!(matches!(good.unwrap(&x25519, &other_mlkem), Err(Error::Unwrap)));

    let record = serde_json::to_value(&good).unwrap();
    for field in ["ephemeral_x25519_public_key", "ml_kem_ciphertext", "nonce", "ciphertext"] {
        let mut flipped = record.clone();
        flipped[field][0] = json!(flipped[field][0].as_u64().unwrap() ^ 1);
        let mut short = record.clone();
        short[field].as_array_mut().unwrap().pop();
        let mut empty = record.clone();
        empty[field] = json!([]);
        for bad in [flipped, short, empty] {
            let bad: Hybrid = serde_json::from_value(bad).unwrap();
            assert!(matches!(bad.unwrap(&x25519, &mlkem), Err(Error::Unwrap)), "{field}");
        }
    }
    let mut degenerate = record;
    degenerate["ephemeral_x25519_public_key"] = json!(vec![0; 32]);
    let degenerate: Hybrid = serde_json::from_value(degenerate).unwrap();
    assert!(matches!(degenerate.unwrap(&x25519, &mlkem), Err(Error::Unwrap)));
}

#[test]
fn a_grant_that_holds_no_key_says_so() {
    let (x25519, _) = keys(3);
    let public = x25519.public().unwrap();
    let ephemeral = X25519Private::new(Secret::from([5; 32]));
    let salt = [ephemeral.public().unwrap(), public].concat();
    let shared = ephemeral.agree(&public).unwrap();
    let key = aead::Key::new(&hash::hkdf_sha256(shared.expose(), &salt, &[b"cewp-key-grant/v1"]).unwrap());
    for len in [0, 31, 33] {
        let grant: Classical = serde_json::from_value(json!({
            "ephemeral_public_key": ephemeral.public().unwrap(),
            "nonce": vec![0; 12],
            "ciphertext": key.seal([0; 12], &vec![1; len]).unwrap(),
        }))
        .unwrap();
        assert!(matches!(grant.unwrap(&x25519), Err(Error::DekLength { got }) if got == len));
    }
}

#[test]
fn a_stream_never_takes_a_classical_grant() {
    let (x25519, mlkem) = keys(4);
    let classical = Classical::wrap(&Secret::from([9; 32]), &x25519.public().unwrap(), &mut Seeded::new(1)).unwrap();
    let json = Grant::Classical(classical).to_json().unwrap();
    let received = Grant::parse(CLASSICAL_ALGORITHM, &json).unwrap();
    assert!(matches!(received.for_stream(), Err(Error::ClassicalRefused)));
    // Relabelled as hybrid it lacks the fields; a hybrid record stripped of its post-quantum part too.
    assert!(matches!(Grant::parse(HYBRID_ALGORITHM, &json), Err(Error::Parse(_))));
    let mut stripped = serde_json::to_value(hybrid(&x25519, &mlkem)).unwrap();
    stripped.as_object_mut().unwrap().remove("ml_kem_ciphertext");
    assert!(matches!(Grant::parse(HYBRID_ALGORITHM, stripped.to_string().as_bytes()), Err(Error::Parse(_))));
    assert!(matches!(Grant::parse("rot13", &json), Err(Error::UnknownAlgorithm)));
}

#[test]
fn records_are_bounded_and_hold_bytes() {
    assert!(matches!(Grant::parse(HYBRID_ALGORITHM, &vec![b' '; MAX_LEN + 1]), Err(Error::TooLong { .. })));
    let (x25519, mlkem) = keys(5);
    let good = Grant::Hybrid(hybrid(&x25519, &mlkem));
    let json = good.to_json().unwrap();
    assert_eq!(Grant::parse(good.algorithm(), &json).unwrap(), good);
    let mut wide: Value = serde_json::from_slice(&json).unwrap();
    wide["nonce"][0] = json!(256);
    assert!(matches!(Grant::parse(HYBRID_ALGORITHM, wide.to_string().as_bytes()), Err(Error::Parse(_))));
}
