//! Announces that do not decode or do not verify are refused with the error of their kind.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use edge_crypto::random::Seeded;
use edge_crypto::sign::Ed25519Private;
use edge_identity::attest::{Announce, Error, MAX_LEN};
use edge_wire::id::KeyId;

fn announce(seed: u64, epoch: u64) -> (Announce, [u8; 32]) {
    let key = Ed25519Private::generate(&mut Seeded::new(seed)).unwrap();
    let announce = Announce::sign(&key, [7; 32], KeyId::new("peer").unwrap(), epoch).unwrap();
    (announce, key.public().unwrap())
}

#[test]
fn every_signed_field_counts() {
    let (good, key) = announce(1, 5);
    let mut changed = vec![good.clone(), good.clone(), good.clone(), good.clone()];
    changed[0].transport[31] ^= 1;
    changed[1].key_id = KeyId::new("peet").unwrap();
    changed[2].epoch = 6;
    changed[3].signature[0] ^= 1;
    for bad in changed {
        assert!(matches!(bad.verify(&key), Err(Error::SignatureMismatch)));
    }
    good.verify(&key).unwrap();
}

#[test]
fn the_key_inside_the_record_is_never_used() {
    let (forged, forger_key) = announce(2, 5);
    let (_, directory_key) = announce(3, 5);
    assert_eq!(forged.claimed_ed25519, forger_key);
    assert!(matches!(forged.verify(&directory_key), Err(Error::SignatureMismatch)));

    let (mut mislabelled, key) = announce(3, 5);
    mislabelled.claimed_ed25519 = forger_key;
    mislabelled.verify(&key).unwrap();
}

#[test]
fn malformed_records_are_refused_by_kind() {
    let (good, _) = announce(4, 5);
    let json = String::from_utf8(good.to_json().unwrap()).unwrap();
    for cut in 0..json.len() {
        assert!(matches!(Announce::parse(&json.as_bytes()[..cut]), Err(Error::Parse(_))), "cut at {cut}");
    }
    let with = |from: &str, to: &str| Announce::parse(json.replacen(from, to, 1).as_bytes());
    assert!(matches!(with("\"epoch\":5", "\"epoch\":-1"), Err(Error::Parse(_))));
    assert!(matches!(with("\"epoch\":5", "\"epoch\":\"5\""), Err(Error::Parse(_))));
    assert!(matches!(with("\"peer\"", "\"\""), Err(Error::FieldDecode("federation_key_id"))));
    assert!(matches!(with("=\"", "\""), Err(Error::FieldDecode("transport_identity_pubkey"))));
    let signature = json.rsplit('"').nth(1).unwrap();
    assert!(matches!(with(signature, "AAAA"), Err(Error::FieldDecode("signature"))));
    assert!(matches!(Announce::parse(&vec![b' '; MAX_LEN + 1]), Err(Error::TooLong { .. })));
}

#[test]
fn an_older_epoch_does_not_take_the_place_of_a_newer_one() {
    let attested = |epoch| {
        let (announce, key) = announce(5, epoch);
        announce.verify(&key).unwrap()
    };
    assert!(attested(6).supersedes(&attested(5)));
    assert!(attested(5).supersedes(&attested(5)));
    assert!(!attested(4).supersedes(&attested(5)));

    let key = Ed25519Private::generate(&mut Seeded::new(6)).unwrap();
    let other = Announce::sign(&key, [7; 32], KeyId::new("other").unwrap(), 9).unwrap();
    assert!(!other.verify(&key.public().unwrap()).unwrap().supersedes(&attested(5)));
}
