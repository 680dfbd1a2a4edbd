//! AEAD, HMAC and HKDF give the published answers and report misuse as errors.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use edge_crypto::aead::{Key, TAG_LEN};
use edge_crypto::hash::{equal, hkdf_sha256, hmac_sha256, sha256};
use edge_crypto::random::{Seeded, System};
use edge_crypto::{Error, Random, Secret};
use proptest::prelude::*;
use proptest::test_runner::{RngAlgorithm, RngSeed};

fn hex(text: &str) -> Vec<u8> {
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
}

#[test]
fn published_answers() {
    let zeros = Key::new(&Secret::from([0; 32]));
    assert_eq!(zeros.seal([0; 12], &[]).unwrap(), hex("530f8afbc74536b9a963b4f1c4cb738b"));
    assert_eq!(
        zeros.seal([0; 12], &[0; 16]).unwrap(),
        hex("cea7403d4d606b6e074ec5d3baf39d18d0d1c8a799996bf0265b98b5d48ab919"),
    );
    assert_eq!(
        sha256(&[b"a", b"bc"]).to_vec(),
        hex("ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"),
    );
    assert_eq!(
        hmac_sha256(b"Jefe", &[b"what do ya want ", b"for nothing?"]).to_vec(),
        hex("5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"),
    );
    let okm = hkdf_sha256::<42>(&[0x0b; 22], &hex("000102030405060708090a0b0c"), &[&hex("f0f1f2f3f4f5f6f7f8f9")]);
    assert_eq!(
        okm.unwrap().expose().to_vec(),
        hex("3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865"),
    );
}

#[test]
fn wrong_buffers_are_errors() {
    let key = Key::new(&Secret::from([1; 32]));
    assert_eq!(key.seal_into([0; 12], b"abc", &mut [0; 18]), Err(Error::Buffer { got: 18, need: 3 + TAG_LEN }));
    let sealed = key.seal([0; 12], b"abc").unwrap();
    assert_eq!(key.open_into([0; 12], &sealed, &mut [0; 4]), Err(Error::Buffer { got: 4, need: 3 }));
    assert_eq!(key.open([0; 12], &sealed[..TAG_LEN - 1]), Err(Error::Aead));
    assert_eq!(key.open([0; 12], &[]), Err(Error::Aead));
    assert!(hkdf_sha256::<{ 255 * 32 + 1 }>(b"", b"", &[]).is_err());
}

#[test]
fn randomness_is_reproducible_only_when_seeded() {
    assert_eq!(Seeded::new(7).array::<40>(), Seeded::new(7).array::<40>());
    assert_ne!(Seeded::new(7).array::<40>(), Seeded::new(8).array::<40>());
    assert_ne!(System.array::<32>(), System.array::<32>());
    let mut random = Seeded::new(7);
    assert_ne!(random.array::<32>(), random.array::<32>());
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 64,
        rng_algorithm: RngAlgorithm::ChaCha,
        rng_seed: RngSeed::Fixed(0x0edc_0de5),
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn sealed_bytes_open_unless_anything_changed(
        plaintext in prop::collection::vec(any::<u8>(), 0..300),
        nonce in any::<[u8; 12]>(),
        at in any::<prop::sample::Index>(),
        bit in 0..8_u8,
    ) {
        let key = Key::new(&Secret::from([9; 32]));
        let sealed = key.seal(nonce, &plaintext).unwrap();
        prop_assert_eq!(key.open(nonce, &sealed).unwrap(), plaintext);
        let mut changed = sealed.clone();
        changed[at.index(sealed.len())] ^= 1 << bit;
        prop_assert_eq!(key.open(nonce, &changed), Err(Error::Aead));
        let mut other = nonce;
        other[at.index(12)] ^= 1 << bit;
        prop_assert_eq!(key.open(other, &sealed), Err(Error::Aead));
        prop_assert!(equal(&sealed, &sealed) && !equal(&sealed, &changed));
    }
}
