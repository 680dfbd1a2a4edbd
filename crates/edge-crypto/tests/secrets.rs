//! Secrets do not print themselves, are taken and not copied, and compare by value.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use edge_crypto::kem::{MlKemPrivate, X25519Private};
use edge_crypto::sign::{Ed25519Private, SigningKey};
use edge_crypto::{Secret, aead};

const BYTE: u8 = 0xa7;

#[test]
fn debug_shows_no_byte_of_any_secret() {
    let secret = || Secret::from([BYTE; 32]);
    let shown = [
        format!("{:?}", secret()),
        format!("{:#?}", aead::Key::new(&secret())),
        format!("{:#?}", X25519Private::new(secret())),
        format!("{:#?}", MlKemPrivate::new(Secret::from([BYTE; 64]))),
        format!("{:#?}", Ed25519Private::from_seed(secret()).unwrap()),
        format!("{:#?}", SigningKey::from_seeds(secret(), secret()).unwrap()),
    ];
    for text in shown {
        assert!(text.contains("redacted"), "{text}");
        assert!(!text.contains("a7") && !text.contains("167"), "{text}");
    }
}

#[test]
fn taking_wipes_the_source() {
    let mut source = [BYTE; 32];
    let secret = Secret::take(&mut source);
    assert_eq!(source, [0; 32]);
    assert_eq!(secret.expose(), &[BYTE; 32]);
}

#[test]
fn only_the_exact_length_becomes_a_secret() {
    assert!(Secret::<32>::from_slice(&[1; 31]).is_none());
    assert!(Secret::<32>::from_slice(&[1; 33]).is_none());
    assert!(Secret::<32>::from_slice(&[]).is_none());
    assert_eq!(Secret::<32>::from_slice(&[1; 32]), Some(Secret::from([1; 32])));
}

#[test]
fn secrets_compare_by_value() {
    assert_eq!(Secret::from([1; 32]), Secret::from([1; 32]));
    assert_ne!(Secret::from([1; 32]), Secret::from([2; 32]));
}
