//! Both halves of the KEM agree with the other side and refuse keys that would make the secret known.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use edge_crypto::kem::{self, MLKEM_PUBLIC_LEN, MlKemPrivate, MlKemPublic, X25519Private};
use edge_crypto::random::Seeded;
use edge_crypto::{Error, Random, Secret};

fn array<const N: usize>(hex: &str) -> [u8; N] {
    let bytes: Vec<u8> =
        (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect();
    bytes.try_into().unwrap()
}

/// Every point of low order in its canonical and non-canonical encodings.
fn low_order_points() -> Vec<[u8; 32]> {
    let mut points: Vec<[u8; 32]> = [
        "0000000000000000000000000000000000000000000000000000000000000000",
        "0100000000000000000000000000000000000000000000000000000000000000",
        "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
        "5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
        "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    ]
    .map(array)
    .into();
    let high_bit_set = points.clone().into_iter().map(|mut point| {
        point[31] |= 0x80;
        point
    });
    points.extend(high_bit_set);
    points
}

#[test]
fn x25519_agrees_and_matches_the_published_example() {
    let alice = X25519Private::generate(&mut Seeded::new(0));
    let bob = X25519Private::generate(&mut Seeded::new(1));
    let ours = alice.agree(&bob.public().unwrap()).unwrap();
    assert_eq!(ours, bob.agree(&alice.public().unwrap()).unwrap());

    let scalar = Secret::from(array("a546e36bf0527c9d3b16154b82465edd62144c0ac1fc5a18506a2244ba449ac4"));
    let point = array("e6db6867583030db3594c1a424b15f7c726624ec26b3353b10a903a6d0ab1c4c");
    let expected = array("c3da55379de9c6908e94ea4df28d084f32eccf03491c71f754b4075577a28552");
    assert_eq!(X25519Private::new(scalar).agree(&point).unwrap(), Secret::from(expected));
}

#[test]
fn low_order_points_are_refused() {
    let mut random = Seeded::new(2);
    for point in low_order_points() {
        let private = X25519Private::generate(&mut random);
        assert_eq!(private.agree(&point).unwrap_err(), Error::Degenerate, "{point:02x?}");
        assert_eq!(kem::check_x25519(&point), Err(Error::Degenerate), "{point:02x?}");
        kem::check_x25519(&private.public().unwrap()).unwrap();
    }
}

#[test]
fn mlkem_decapsulates_what_was_encapsulated() {
    let mut random = Seeded::new(3);
    let private = MlKemPrivate::generate(&mut random);
    let (mut ciphertext, shared) = private.public().encapsulate(random.array());
    assert_eq!(private.decapsulate(&ciphertext), shared);
    ciphertext[0] ^= 1;
    assert_ne!(private.decapsulate(&ciphertext), shared);
    assert_ne!(MlKemPrivate::generate(&mut random).decapsulate(&ciphertext), shared);
}

#[test]
fn malformed_encapsulation_keys_are_refused() {
    let good = *MlKemPrivate::generate(&mut Seeded::new(4)).public().as_bytes();
    assert!(MlKemPublic::from_slice(&good).is_ok());
    assert_eq!(MlKemPublic::from_slice(&good[1..]), Err(Error::Key("ML-KEM-768")));
    assert_eq!(MlKemPublic::from_slice(&[]), Err(Error::Key("ML-KEM-768")));
    // 0xfff is above the modulus, so the first coefficient is not reduced.
    let mut unreduced: [u8; MLKEM_PUBLIC_LEN] = good;
    unreduced[..2].copy_from_slice(&[0xff, 0xff]);
    assert_eq!(MlKemPublic::from_slice(&unreduced), Err(Error::Key("ML-KEM-768")));
}
