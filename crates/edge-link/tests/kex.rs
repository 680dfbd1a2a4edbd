//! The link key exchange: vectors, the downgrade matrix, degenerate and replayed handshakes, malformed messages.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod common;

use common::{config, hex, secret, vectors};
use edge_crypto::hash::sha256;
use edge_crypto::kem::{MlKemPrivate, X25519Private};
use edge_crypto::random::Seeded;
use edge_link::Secret;
use edge_link::kex::{self, Algorithm, Ephemeral, Error, OwnKeys, PeerKeys, Policy, Responder, initiate, respond};
use proptest::prelude::*;
use serde_json::{Value, json};

#[test]
fn hybrid_vectors() {
    for case in vectors("link_kex_hybrid") {
        let keys = OwnKeys {
            x25519: X25519Private::new(secret(&case["responder_x25519_priv"])),
            mlkem: Some(MlKemPrivate::new(secret(&case["responder_mlkem768_seed_d_z"]))),
        };
        let peer = peer_of(&keys);
        assert_eq!(peer.mlkem.as_ref().unwrap().as_bytes().to_vec(), hex(&case["responder_mlkem768_pub"]));
        let ephemeral = Ephemeral {
            x25519: X25519Private::new(secret(&case["initiator_x25519_eph_priv"])),
            mlkem_coins: secret(&case["encaps_m"]),
        };
        let started = initiate(Policy::HybridRequired, &peer, ephemeral).unwrap();
        assert_eq!(started.algorithm, Algorithm::Hybrid);
        assert_eq!(started.key, secret(&case["session_key"]));
        assert_eq!(started.message.len() as u64, case["message_json_len"].as_u64().unwrap());
        assert_eq!(sha256(&[&started.message]).to_vec(), hex(&case["message_json_sha256"]));
        assert_eq!(respond(Policy::HybridRequired, &keys, &started.message).unwrap(), started.key);
    }
}

#[test]
fn classical_vectors() {
    for case in vectors("link_kex_classical") {
        let keys = OwnKeys { x25519: X25519Private::new(secret(&case["responder_x25519_priv"])), mlkem: None };
        let ephemeral = Ephemeral {
            x25519: X25519Private::new(secret(&case["initiator_x25519_eph_priv"])),
            mlkem_coins: Secret::from([0; 32]),
        };
        let started = initiate(Policy::Classical, &peer_of(&keys), ephemeral).unwrap();
        assert_eq!(started.message, case["message_json"].as_str().unwrap().as_bytes());
        assert_eq!(started.key, secret(&case["session_key"]));
        assert_eq!(respond(Policy::Classical, &keys, &started.message).unwrap(), started.key);
    }
}

#[test]
fn downgrade_matrix() {
    let (hybrid, classical) = (peer_of(&own(1)), PeerKeys { mlkem: None, ..peer_of(&own(1)) });
    let outcome = |policy, peer| initiate(policy, peer, ephemeral(2)).map(|started| started.algorithm);
    assert!(matches!(outcome(Policy::HybridRequired, &hybrid), Ok(Algorithm::Hybrid)));
    assert!(matches!(outcome(Policy::HybridRequired, &classical), Err(Error::HybridRequiredButPeerLacksMlkem)));
    assert!(matches!(outcome(Policy::HybridOrClassical, &hybrid), Ok(Algorithm::Hybrid)));
    assert!(matches!(outcome(Policy::HybridOrClassical, &classical), Ok(Algorithm::Classical)));
    assert!(matches!(outcome(Policy::Classical, &hybrid), Ok(Algorithm::Classical)));
    assert!(matches!(outcome(Policy::Classical, &classical), Ok(Algorithm::Classical)));
    assert_eq!(Policy::default(), Policy::HybridRequired);
}

#[test]
fn a_message_for_another_mode_is_refused() {
    let peer = peer_of(&own(1));
    let hybrid = initiate(Policy::HybridRequired, &peer, ephemeral(2)).unwrap().message;
    let classical = initiate(Policy::Classical, &peer, ephemeral(2)).unwrap().message;
    assert!(matches!(
        respond(Policy::HybridRequired, &own(1), &classical),
        Err(Error::AlgorithmMismatch { observed: Algorithm::Classical, expected: Algorithm::Hybrid })
    ));
    assert!(matches!(
        respond(Policy::Classical, &own(1), &hybrid),
        Err(Error::AlgorithmMismatch { observed: Algorithm::Hybrid, expected: Algorithm::Classical })
    ));
    assert!(respond(Policy::HybridOrClassical, &own(1), &classical).is_ok());
    let without = OwnKeys { mlkem: None, ..own(1) };
    assert!(matches!(respond(Policy::HybridRequired, &without, &hybrid), Err(Error::HybridResponderMissingMlkem)));
}

#[test]
fn half_and_degenerate_keys_are_refused() {
    let zero = PeerKeys { x25519: [0; 32], ..peer_of(&own(1)) };
    for policy in [Policy::HybridRequired, Policy::HybridOrClassical, Policy::Classical] {
        assert!(matches!(initiate(policy, &zero, ephemeral(2)), Err(Error::MlKemOnlyRejected)));
    }
    let zero_classical = PeerKeys { mlkem: None, ..zero };
    for policy in [Policy::HybridOrClassical, Policy::Classical] {
        let error = initiate(policy, &zero_classical, ephemeral(2)).unwrap_err();
        assert!(matches!(error, Error::Crypto(edge_crypto::Error::Degenerate)));
    }
    // Small-order points other than zero lead to the same all-zero secret.
    let small_order = PeerKeys { x25519: core::array::from_fn(|at| u8::from(at == 0)), ..peer_of(&own(1)) };
    let error = initiate(Policy::HybridRequired, &small_order, ephemeral(2)).unwrap_err();
    assert!(matches!(error, Error::Crypto(edge_crypto::Error::Degenerate)));
    let message = edited(|object| object["x25519_ephemeral_pub"] = json!(vec![0; 32]));
    let error = respond(Policy::HybridRequired, &own(1), &message).unwrap_err();
    assert!(matches!(error, Error::Crypto(edge_crypto::Error::Degenerate)));
}

#[test]
fn a_handshake_is_answered_once_however_it_is_spelt() {
    let mut responder = Responder::new(Policy::HybridRequired, own(1));
    let message = hybrid_message();
    responder.respond(&message).unwrap();
    assert!(matches!(responder.respond(&message), Err(Error::Replayed)));
    let respelt = edited(|object| object["extra"] = json!({"ignored": [1, 2]}));
    assert!(matches!(responder.respond(&respelt), Err(Error::Replayed)));
    let other = initiate(Policy::HybridRequired, &peer_of(&own(1)), ephemeral(3)).unwrap();
    assert_eq!(responder.respond(&other.message).unwrap(), other.key);
}

#[test]
fn a_full_memory_refuses_instead_of_forgetting() {
    let mut cache = kex::ReplayCache::default();
    for count in 0..kex::HANDSHAKES_MAX {
        cache.admit(sha256(&[&count.to_be_bytes()])).unwrap();
    }
    assert!(matches!(cache.admit([0; 32]), Err(Error::StaticKeyWorn)));
    assert!(matches!(cache.admit(sha256(&[&0usize.to_be_bytes()])), Err(Error::Replayed)));
}

#[test]
fn wrong_keys_and_changed_fields_give_another_key_not_an_error() {
    let started = initiate(Policy::HybridRequired, &peer_of(&own(1)), ephemeral(2)).unwrap();
    assert_ne!(respond(Policy::HybridRequired, &own(9), &started.message).unwrap(), started.key);
    let bent = edited(|object| {
        let byte = object["mlkem768_ciphertext"][5].as_u64().unwrap();
        object["mlkem768_ciphertext"][5] = json!(byte ^ 1);
    });
    assert_ne!(respond(Policy::HybridRequired, &own(1), &bent).unwrap(), started.key);
}

#[test]
fn malformed_messages_are_typed_errors() {
    let outcome = |message: &[u8]| respond(Policy::HybridRequired, &own(1), message).unwrap_err();
    assert!(matches!(outcome(b""), Error::Json(_)));
    assert!(matches!(outcome(b"[1]"), Error::Json(_)));
    assert!(matches!(outcome(b"{}"), Error::UnknownAlgorithm));
    assert!(matches!(outcome(&vec![b' '; kex::MESSAGE_LEN_MAX + 1]), Error::TooLong { .. }));
    assert!(matches!(outcome(&edited(|o| o["algorithm"] = json!("rot13"))), Error::UnknownAlgorithm));
    assert!(matches!(outcome(&edited(|o| o["algorithm"] = json!(7))), Error::Json(_)));
    for (field, len) in [("x25519_ephemeral_pub", 32), ("mlkem768_ciphertext", 1088)] {
        for wrong in [json!(null), json!(vec![1; len - 1]), json!(vec![1; len + 1]), json!([])] {
            assert!(matches!(outcome(&edited(|o| o[field] = wrong.clone())), Error::Field(name) if name == field));
        }
        for wrong in [json!(vec![256; len]), json!(vec![-1; len]), json!(vec![1.5; len]), json!("AA==")] {
            assert!(matches!(outcome(&edited(|o| o[field] = wrong.clone())), Error::Json(_)));
        }
    }
}

proptest! {
    #![proptest_config(config(0x5eed_0003))]

    #[test]
    fn damaged_messages_never_panic(
        edits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
        cut in any::<prop::sample::Index>(),
        whole in any::<bool>(),
    ) {
        let mut message = hybrid_message();
        for (at, byte) in edits {
            let at = at.index(message.len());
            message[at] = byte;
        }
        if !whole {
            message.truncate(cut.index(message.len()));
            prop_assert!(respond(Policy::HybridRequired, &own(1), &message).is_err());
        } else {
            let _ = respond(Policy::HybridRequired, &own(1), &message);
        }
    }
}

fn own(seed: u64) -> OwnKeys {
    let mut random = Seeded::new(seed);
    OwnKeys { x25519: X25519Private::generate(&mut random), mlkem: Some(MlKemPrivate::generate(&mut random)) }
}

fn peer_of(keys: &OwnKeys) -> PeerKeys {
    PeerKeys { x25519: keys.x25519.public().unwrap(), mlkem: keys.mlkem.as_ref().map(MlKemPrivate::public) }
}

fn ephemeral(seed: u64) -> Ephemeral {
    Ephemeral::generate(&mut Seeded::new(seed))
}

fn hybrid_message() -> Vec<u8> {
    initiate(Policy::HybridRequired, &peer_of(&own(1)), ephemeral(2)).unwrap().message
}

fn edited(edit: impl FnOnce(&mut Value)) -> Vec<u8> {
    let mut object = serde_json::from_slice(&hybrid_message()).unwrap();
    edit(&mut object);
    serde_json::to_vec(&object).unwrap()
}
