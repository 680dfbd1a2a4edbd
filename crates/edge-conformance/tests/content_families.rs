//! The families of content are computed and agree, and a changed outcome in any of them is found.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use std::path::{Path, PathBuf};

use edge_conformance::{Report, Verdict, check_dirs};
use serde_json::{Value, json};

fn path(stem: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../conformance/alm").join(stem).with_extension("json")
}

fn file(stem: &str) -> Value {
    serde_json::from_slice(&std::fs::read(path(stem)).unwrap()).unwrap()
}

fn verdict(file: &Value) -> Verdict {
    let mut report = Report::default();
    report.check(Path::new("changed.json"), file.to_string().as_bytes());
    report.verdict()
}

#[test]
fn both_families_pass() {
    for (stem, cases) in [("fountain", 1), ("consent_decay", 19)] {
        let report = check_dirs(&[path(stem)]);
        assert_eq!(report.verdict(), Verdict::Passed, "{}", report.render());
        assert_eq!(report.families[stem].passed, cases);
    }
}

#[test]
fn a_changed_tier_is_found() {
    for index in 0..19 {
        let mut file = file("consent_decay");
        file["cases"][index]["expect"] = json!("T9");
        assert_eq!(verdict(&file), Verdict::Failed);
    }
}

#[test]
fn a_changed_value_of_the_wrap_is_found() {
    let zeros = |len: usize| json!("0".repeat(2 * len));
    let changes = [
        ("/oti_example/oti12_hex", zeros(12)),
        ("/oti_example/symbol_size", json!(1025)),
        ("/small/payload_ascii", json!("independent-fountain-vec-02")),
        ("/small/payload_len", json!(28)),
        ("/small/k_repair", json!(4)),
        ("/small/symbols/3/symbol_id", json!(4)),
        ("/small/symbols/3/hex", zeros(8)),
        ("/small/symbols/6/sha256", zeros(32)),
        ("/policy_tuple/payload_rule", json!("byte[i] = i")),
        ("/policy_tuple/payload_len", json!(1242)),
        ("/policy_tuple/repair_symbols/5/hex", zeros(64)),
        ("/policy_tuple/sha256_of_concatenated_symbol_hashes", zeros(32)),
        ("/retention_priority/0/expect", json!(1)),
        ("/retention_priority/18/expect", json!(15)),
    ];
    for (pointer, value) in changes {
        let mut file = file("fountain");
        *file.pointer_mut(pointer).unwrap() = value;
        assert_eq!(verdict(&file), Verdict::Failed, "{pointer}");
    }
}
