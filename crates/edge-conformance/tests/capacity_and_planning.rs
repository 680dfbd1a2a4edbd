//! Capacity, admission, planning and scaling agree with their vectors, and a changed outcome is found.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use std::path::{Path, PathBuf};

use edge_conformance::{Report, Support, Verdict, check_dirs};
use serde_json::{Value, json};

/// Families, their cases and where their cases are.
const FAMILIES: [(&str, usize); 6] = [
    ("capacity_canonical", 5),
    ("capacity_layout_collision", 1),
    ("capacity_signed", 2),
    ("has_room", 19),
    ("join_planner", 16),
    ("scaling", 1),
];

fn file(family: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../conformance/alm").join(format!("{family}.json"))
}

fn content(family: &str) -> Value {
    serde_json::from_slice(&std::fs::read(file(family)).unwrap()).unwrap()
}

fn verdict(content: &Value) -> Verdict {
    let mut report = Report::default();
    report.check(Path::new("changed.json"), content.to_string().as_bytes());
    report.verdict()
}

#[test]
fn every_case_is_computed_and_agrees() {
    for (family, cases) in FAMILIES {
        let report = check_dirs(&[file(family)]);
        assert_eq!(report.verdict(), Verdict::Passed, "{}", report.render());
        let found = &report.families[family];
        assert_eq!((found.support, found.passed, found.failed), (Support::Checked, cases, 0), "{family}");
    }
}

#[test]
fn a_changed_value_is_found() {
    let changes = [
        ("capacity_canonical", "/vectors/1/capacity/uplink_mbps", json!(48.1)),
        ("capacity_canonical", "/vectors/1/capacity/sub_stream_commitments/0/sub_stream_path/0", json!(1)),
        ("capacity_canonical", "/vectors/0/canonical_len", json!(80)),
        ("capacity_canonical", "/vectors/0/fields/3/hex", json!("42150001")),
        ("capacity_canonical", "/vectors/0/fields/3/offset", json!(57)),
        ("capacity_canonical", "/vectors/4/measured_at_unix_ms_decimal", json!("18446744073709551614")),
        ("capacity_layout_collision", "/edge_4_2_1/len", json!(78)),
        ("capacity_layout_collision", "/verify_5_8_and_later_and_edge_13_2_and_later/peer_id", json!("relay-vector-1")),
        ("capacity_layout_collision", "/verify_5_8_and_later_and_edge_13_2_and_later/uplink_mbps_u32", json!(38)),
        ("capacity_layout_collision", "/verify_5_8_and_later_and_edge_13_2_and_later/epoch", json!("1")),
        ("capacity_signed", "/vectors/0/ed25519_seed_hex", json!("00".repeat(32))),
        ("capacity_signed", "/vectors/0/ml_dsa_65_seed_hex", json!("00".repeat(32))),
        ("capacity_signed", "/vectors/1/ml_dsa_65_sig_deterministic_sha256", json!("00".repeat(32))),
        ("capacity_signed", "/vectors/1/pqc_message_sha256", json!("00".repeat(32))),
        ("capacity_signed", "/vectors/1/wire_len", json!(5252)),
        ("has_room", "/cases/4/current", json!(3)),
        ("has_room", "/cases/7/expect", json!(false)),
        ("has_room", "/cases/10/path", json!([1])),
        ("join_planner", "/cases/0/expect", json!("AllCandidatesStale")),
        ("join_planner", "/cases/1/candidates/1/rtt", json!(91)),
        ("join_planner", "/cases/2/expect/backups", json!(["z", "x"])),
        ("join_planner", "/cases/4/candidates/0/measured_at", json!(80_001)),
        ("scaling", "/n_mesh_max/3/expect", json!(1250)),
        ("scaling", "/tree_depth_exact/6/expect", json!(3)),
        ("scaling", "/tree_depth_exact/6/upstream_ceil_log", json!(2)),
        ("scaling", "/reach/1/nodes", json!(1884)),
        ("scaling", "/survival/7/p", json!(0.957_288_351)),
        ("scaling", "/naive_binomial_30/0/p", json!(0.999_999_9)),
    ];
    for (family, pointer, to) in changes {
        let mut changed = content(family);
        let value = changed.pointer_mut(pointer).expect(pointer);
        assert_ne!(*value, to, "{family} {pointer}");
        *value = to;
        assert_eq!(verdict(&changed), Verdict::Failed, "{family} {pointer}");
    }
}

#[test]
fn every_outcome_of_admission_and_planning_is_compared() {
    for family in ["has_room", "join_planner"] {
        let original = content(family);
        for index in 0..original["cases"].as_array().unwrap().len() {
            let mut changed = original.clone();
            let outcome = &mut changed["cases"][index]["expect"];
            *outcome = match outcome {
                Value::Bool(flag) => json!(!*flag),
                Value::String(_) => json!("none of them"),
                _ => json!({ "primary": "nobody", "backups": [] }),
            };
            assert_eq!(verdict(&changed), Verdict::Failed, "{family} {index}");
        }
    }
}
