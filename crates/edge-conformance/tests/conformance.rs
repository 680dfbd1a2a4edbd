//! Every media family is computed and agrees, and a changed value in any of them is found.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stderr, missing_docs)]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use edge_conformance::{Report, Support, Verdict, check_dirs};
use serde_json::{Value, json};

/// Families and their cases.
const MEDIA: [(&str, usize); 19] = [
    ("addressing", 3),
    ("announce_attestation", 3),
    ("chunk_seal", 4),
    ("chunk_wire", 10),
    ("fanout_plan", 8),
    ("hybrid_signature", 3),
    ("inner_seal", 5),
    ("key_grant", 6),
    ("layer_policy", 28),
    ("link_kex_classical", 3),
    ("link_kex_hybrid", 3),
    ("mls_exporter", 4),
    ("multi_tier", 3),
    ("nonce_properties", 3),
    ("outer_seal", 5),
    ("reachability", 7),
    ("relay_trace", 6),
    ("replay_window", 7),
    ("xwing_hpke", 3),
];

/// Families of the mesh and of content, each checked in a test file of its own as well.
const MESH: [&str; 9] = [
    "capacity_canonical",
    "capacity_layout_collision",
    "capacity_signed",
    "consent_decay",
    "fountain",
    "has_room",
    "heal_traces",
    "join_planner",
    "scaling",
];

/// Families in which other inputs may have the same outcome, with the fields that hold outcomes.
const OUTCOMES: [(&str, &[&str]); 6] = [
    ("chunk_wire", &["profile_4_2_1", "profile_strict"]),
    ("fanout_plan", &["admitted"]),
    ("layer_policy", &["admits"]),
    ("reachability", &["snapshot"]),
    ("relay_trace", &["results"]),
    ("replay_window", &["outcomes"]),
];

/// Fields that are written for readers.
const REMARKS: [&str; 2] = ["id", "note"];

fn folder(area: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../conformance").join(area)
}

fn cases(family: &str) -> Vec<Value> {
    let path = folder("media").join(format!("{family}.json"));
    let file: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    file["vectors"].as_array().unwrap().clone()
}

fn check(family: &str, case: &Value) -> Report {
    let mut report = Report::default();
    let content = json!({ "family": family, "cases": [case] }).to_string();
    report.check(Path::new("changed.json"), content.as_bytes());
    report
}

/// JSON pointers to every value below `value` that holds no other values.
fn leaves(value: &Value, at: &str, found: &mut Vec<String>) {
    match value {
        Value::Object(fields) => {
            for (name, field) in fields.iter().filter(|(name, _)| !REMARKS.contains(&name.as_str())) {
                leaves(field, &format!("{at}/{name}"), found);
            }
        }
        Value::Array(items) => {
            items.iter().enumerate().for_each(|(index, item)| leaves(item, &format!("{at}/{index}"), found));
        }
        _ => found.push(at.to_owned()),
    }
}

/// Another value of the same kind: for text, its last character changed, so that hexadecimal stays hexadecimal.
fn changed(value: &Value) -> Value {
    match value {
        Value::Null => json!("0"),
        Value::Bool(flag) => json!(!flag),
        Value::Number(number) => match number.as_u64() {
            Some(integer) => json!(integer + 1),
            None => json!(number.as_f64().unwrap() + 0.25),
        },
        Value::String(text) => {
            let mut text = text.clone();
            match text.pop() {
                Some('0') => text.push('1'),
                Some(_) => text.push('0'),
                None => text.push_str("00"),
            }
            json!(text)
        }
        _ => unreachable!("only leaves are changed"),
    }
}

/// For ML-KEM seeds: their second half enters only what becomes of ciphertexts that do not open.
fn changed_at_start(value: &Value) -> Value {
    let text = value.as_str().unwrap();
    let first = if text.starts_with('0') { "1" } else { "0" };
    json!(format!("{first}{}", &text[1..]))
}

#[test]
fn all_media_families_pass() {
    let report = check_dirs(&[folder("media")]);
    assert_eq!(report.verdict(), Verdict::Passed, "{}", report.render());
    assert_eq!(report.verdict().exit_code(), 0);
    let passed: Vec<(&str, usize)> = report.families.iter().map(|(name, it)| (name.as_str(), it.passed)).collect();
    assert_eq!(passed, MEDIA);
    assert!(report.families.values().all(|family| family.support == Support::Checked && family.failed == 0));
    assert!(report.problems.is_empty());
}

#[test]
fn a_changed_value_in_any_case_of_any_family_is_found() {
    let outcomes: BTreeMap<_, _> = OUTCOMES.into_iter().collect();
    for (family, _) in MEDIA {
        let mut tried = 0;
        for case in cases(family) {
            let mut found = Vec::new();
            match outcomes.get(family) {
                Some(fields) => {
                    fields.iter().for_each(|field| leaves(&case[field], &format!("/{field}"), &mut found));
                }
                None => leaves(&case, "", &mut found),
            }
            for leaf in found {
                let mut case = case.clone();
                let value = case.pointer_mut(&leaf).unwrap();
                *value = match leaf.ends_with("_seed_d_z") {
                    true => changed_at_start(value),
                    false => changed(value),
                };
                let report = check(family, &case);
                assert_eq!(report.verdict(), Verdict::Failed, "{family} {} {leaf}", case["id"]);
                assert_eq!(report.families[family].failures.len(), 1);
                tried += 1;
            }
        }
        assert!(tried > 0, "{family}");
    }
}

#[test]
fn a_missing_value_in_any_case_is_found_unless_it_is_optional() {
    // A checker compares these when they are there; the result that they lead to is always compared.
    let optional = [
        "aad",
        "context_hash",
        "ct_sha256",
        "derive_secret_info",
        "derived_secret",
        "exported_info",
        "ikm",
        "info",
        "initiator_x25519_eph_pub",
        "message_json_len",
        "message_json_sha256",
        "mlkem768_ciphertext",
        "mlkem768_ciphertext_sha256",
        "nonce_preimage",
        "pk_sha256",
        "responder_mlkem768_pub",
        "responder_mlkem768_pub_sha256",
        "responder_x25519_pub",
        "salt",
        "salt_sha256",
        "shared_mlkem",
        "shared_x",
    ];
    for (family, _) in MEDIA {
        let case = &cases(family)[0];
        for name in case.as_object().unwrap().keys().filter(|name| !REMARKS.contains(&name.as_str())) {
            let mut case = case.clone();
            case.as_object_mut().unwrap().remove(name);
            let verdict = check(family, &case).verdict();
            let may_pass = optional.contains(&name.as_str())
                || (name == "nonce" && family.ends_with("_seal"))
                || (name == "chunk_layer" && family == "fanout_plan");
            let expected = if may_pass { Verdict::Passed } else { Verdict::Failed };
            assert_eq!(verdict, expected, "{family} without {name}");
        }
    }
}

#[test]
fn long_byte_strings_may_be_given_by_length_and_digest() {
    let case = &cases("inner_seal")[1];
    let hex = case["inner_ciphertext"].as_str().unwrap();
    let bytes = data_encoding::HEXLOWER.decode(hex.as_bytes()).unwrap();
    let digest = data_encoding::HEXLOWER.encode(&edge_crypto::hash::sha256(&[&bytes]));
    let with = |value: Value| {
        let mut case = case.clone();
        case["inner_ciphertext"] = value;
        check("inner_seal", &case).verdict()
    };
    assert_eq!(with(json!({ "len": bytes.len(), "hex": hex })), Verdict::Passed);
    assert_eq!(with(json!({ "len": bytes.len(), "sha256": digest })), Verdict::Passed);
    assert_eq!(with(json!({ "len": bytes.len() + 1, "hex": hex })), Verdict::Failed);
    assert_eq!(with(json!({ "len": bytes.len() + 1, "sha256": digest })), Verdict::Failed);
    assert_eq!(with(json!({ "len": bytes.len(), "sha256": "00".repeat(32) })), Verdict::Failed);
    assert_eq!(with(json!({ "len": bytes.len() })), Verdict::Failed);
    assert_eq!(with(json!(hex.to_uppercase())), Verdict::Failed);
}

#[test]
fn all_mesh_and_content_families_pass() {
    let report = check_dirs(&[folder("alm")]);
    assert_eq!(report.verdict(), Verdict::Passed, "{}", report.render());
    let names: Vec<&str> = report.families.keys().map(String::as_str).collect();
    assert_eq!(names, MESH);
    assert!(report.families.values().all(|family| family.passed == family.cases && family.cases > 0));
}

#[test]
fn families_that_nothing_computes_are_counted_and_make_the_result_incomplete() {
    let report = check_dirs(&[folder("holonomic")]);
    assert_eq!(report.verdict(), Verdict::Incomplete, "{}", report.render());
    assert_eq!(report.verdict().exit_code(), 3);
    assert_eq!(report.families.len(), 13);
    for (name, family) in &report.families {
        let computed = ["topology", "topology_scores"].contains(&name.as_str());
        let support = if computed { Support::Checked } else { Support::Unsupported };
        assert_eq!(family.support, support, "{name}");
        assert_eq!(family.passed, if computed { family.cases } else { 0 }, "{name}");
        assert!(family.cases > 0 && family.failed == 0, "{name}");
    }
    assert!(report.render().contains("unsupported"));
}

#[test]
fn published_single_case_files_are_read() {
    let published = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/spec/vectors/ceg19");
    if !published.exists() {
        eprintln!("SKIPPED: no published vectors at {}", published.display());
        return;
    }
    let report = check_dirs(&[published]);
    assert_eq!(report.verdict(), Verdict::Incomplete, "{}", report.render());
    let read: Vec<(&str, usize)> = report.families.iter().map(|(name, it)| (name.as_str(), it.cases)).collect();
    let expected = [
        ("domain_separators", 1),
        ("fountain_compress_request", 1),
        ("fountain_holding_claim", 1),
        ("merkle_root", 4),
        ("schema_versions", 1),
        ("signed_claim", 2),
        ("wholeness_witness", 2),
    ];
    assert_eq!(read, expected);
    assert!(report.families.values().all(|family| family.support == Support::Unsupported));
}
