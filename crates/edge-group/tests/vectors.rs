//! The published vectors of the exporter and of the suite's HPKE.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use edge_crypto::Secret;
use edge_group::suite::{self, Context};
use edge_seal::EpochDek;
use serde_json::Value;

fn vectors(family: &str) -> Vec<Value> {
    let path = format!("{}/../../conformance/media/{family}.json", env!("CARGO_MANIFEST_DIR"));
    let file: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    let cases = file["vectors"].as_array().unwrap().clone();
    assert!(!cases.is_empty());
    cases
}

fn bytes(value: &Value) -> Vec<u8> {
    data_encoding::HEXLOWER.decode(value.as_str().unwrap().as_bytes()).unwrap()
}

fn secret(value: &Value) -> Secret<32> {
    Secret::from_slice(&bytes(value)).unwrap()
}

#[test]
fn mls_exporter() {
    for case in vectors("mls_exporter") {
        assert_eq!(case["label_utf8"], edge_wire::domain::EPOCH_DEK_EXPORTER);
        let dek = suite::epoch_dek(&secret(&case["exporter_secret"])).unwrap();
        assert_eq!(dek, EpochDek::new(secret(&case["epoch_dek"])), "{}", case["id"]);
    }
}

#[test]
fn xwing_hpke() {
    for case in vectors("xwing_hpke") {
        let (info, aad) = (bytes(&case["hpke_info"]), bytes(&case["hpke_aad"]));
        let context = Context { info: &info, aad: &aad };
        let (private, encapsulated) = (secret(&case["sk"]), bytes(&case["ct"]));
        let mut sealed = bytes(&case["hpke_ciphertext"]);
        let opened = suite::hpke_open(&private, &encapsulated, &sealed, context).unwrap();
        assert_eq!(opened, bytes(&case["hpke_plaintext"]), "{}", case["id"]);
        sealed[0] ^= 1;
        assert!(suite::hpke_open(&private, &encapsulated, &sealed, context).is_err());
    }
}
