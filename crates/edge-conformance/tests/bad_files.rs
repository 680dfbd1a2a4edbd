//! What is no vector file fails by name, never quietly, and nothing in one panics.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use edge_conformance::{DEPTH_MAX, FAILURES_KEPT_MAX, FILE_LEN_MAX, Report, Support, Verdict, check_dirs};
use serde_json::json;
use tempfile::TempDir;

fn check(content: &str) -> Report {
    let mut report = Report::default();
    report.check(Path::new("some.json"), content.as_bytes());
    report
}

#[test]
fn unreadable_content_is_a_failure() {
    let broken = [
        "",
        "{",
        "[]",
        "null",
        "\"family\"",
        r#"{"family": 7, "cases": [{}]}"#,
        r#"{"family": "addressing", "cases": {}}"#,
        r#"{"family": "addressing", "cases": []}"#,
        r#"{"vector_id": 7}"#,
    ];
    for content in broken {
        let report = check(content);
        assert_eq!(report.verdict(), Verdict::Failed, "{content}");
        assert_eq!(report.verdict().exit_code(), 1);
        assert_eq!(report.problems.len(), 1, "{content}");
        assert!(report.render().contains("FAILED some.json: "), "{content}");
    }
    let deep = "[".repeat(100_000);
    assert_eq!(check(&deep).verdict(), Verdict::Failed);
}

#[test]
fn a_checked_family_without_usable_cases_fails() {
    for case in [json!({}), json!(null), json!(7), json!([]), json!({ "id": "x", "dek": null })] {
        for family in ["chunk_seal", "relay_trace", "replay_window", "xwing_hpke", "fanout_plan", "key_grant"] {
            let report = check(&json!({ "family": family, "cases": [case] }).to_string());
            assert_eq!(report.families[family].failed, 1, "{family} {case}");
        }
    }
    assert_eq!(check(r#"{"family": "inner_seal"}"#).families["inner_seal"].failed, 1);
}

#[test]
fn a_family_that_no_specification_names_is_incomplete() {
    let report = check(r#"{"family": "teleportation", "cases": [{}, {}]}"#);
    assert_eq!(report.families["teleportation"].support, Support::Unknown);
    assert_eq!(report.families["teleportation"].cases, 2);
    assert_eq!(report.verdict(), Verdict::Incomplete);
    assert!(report.render().contains("unknown family"));
}

#[test]
fn a_family_comes_from_the_field_or_the_vector_id_or_the_file_name() {
    let mut report = Report::default();
    report.check(Path::new("a/ignored.json"), br#"{"family": "topology", "cases": [{}]}"#);
    report.check(Path::new("a/ignored.json"), br#"{"vector_id": "merkle_root/single_leaf"}"#);
    report.check(Path::new("a/schema_versions.json"), br#"{"witness_version": 1}"#);
    assert_eq!(report.families.keys().collect::<Vec<_>>(), ["merkle_root", "schema_versions", "topology"]);
}

#[test]
fn only_the_first_failures_are_described() {
    let cases = vec![json!({ "policy": [0, 0, 0], "layer": [0, 0, 0], "admits": false }); FAILURES_KEPT_MAX + 20];
    let report = check(&json!({ "family": "layer_policy", "cases": cases }).to_string());
    let family = &report.families["layer_policy"];
    assert_eq!((family.failed, family.failures.len()), (FAILURES_KEPT_MAX + 20, FAILURES_KEPT_MAX));
    assert_eq!(family.failures[3].case.as_deref(), Some("#3"));
    assert!(family.failures[3].reason.contains("admits: expected false, computed true"));
}

#[test]
fn a_report_is_machine_readable() {
    let report = check(r#"{"family": "layer_policy", "cases": [{"id": "a", "policy": [0, 0]}]}"#);
    let value = serde_json::to_value(&report).unwrap();
    assert_eq!(value["families"]["layer_policy"]["support"], "checked");
    assert_eq!(value["families"]["layer_policy"]["failures"][0]["case"], "a");
    assert_eq!(value["problems"], json!([]));
}

#[test]
fn huge_requests_are_refused_and_not_served() {
    let huge = [
        json!({ "family": "replay_window", "cases": [{ "width": u64::MAX, "seqs": ["1"], "outcomes": ["Fresh"] }] }),
        json!({ "family": "addressing", "cases": [{
            "ed25519_pub": "00".repeat(32), "x25519_pub": "00".repeat(32), "app_name": "a", "aspects": [],
            "pqc_pub_pattern": "byte i = (0+i) mod 256, 99999999999999 bytes",
        }] }),
        json!({ "family": "fanout_plan", "cases": [{
            "participants": [{ "id": "a", "successes": u64::MAX, "failures": 0, "policy": [0, 0, 0] }],
            "min_ratio": 0.5, "admitted": [],
        }] }),
        json!({ "family": "reachability", "cases": [{
            "window_seconds": u64::MAX, "now": u64::MAX, "events": [[u64::MAX, "SendSuccess"]], "snapshot": {},
        }] }),
    ];
    for file in huge {
        assert_eq!(check(&file.to_string()).verdict(), Verdict::Failed, "{file}");
    }
}

#[test]
fn folders_are_searched_within_bounds() {
    let root = TempDir::new().unwrap();
    assert_eq!(check_dirs(&[root.path().to_owned()]).verdict(), Verdict::Failed);
    assert_eq!(check_dirs(&[root.path().join("missing")]).verdict(), Verdict::Failed);
    assert_eq!(check_dirs(&[]).verdict(), Verdict::Incomplete);

    let nested = root.path().join("a/b");
    fs::create_dir_all(&nested).unwrap();
    let passing = r#"{"family": "layer_policy", "cases": [{"policy": [0,0,0], "layer": [0,0,0], "admits": true}]}"#;
    fs::write(nested.join("one.json"), passing).unwrap();
    fs::write(nested.join("notes.txt"), "not a vector").unwrap();
    let report = check_dirs(&[root.path().to_owned(), nested.join("one.json")]);
    assert_eq!((report.verdict(), report.families["layer_policy"].passed), (Verdict::Passed, 2));

    let large = File::create(nested.join("two.json")).unwrap();
    large.set_len(FILE_LEN_MAX + 1).unwrap();
    let report = check_dirs(&[root.path().to_owned()]);
    assert!(report.problems[0].reason.contains("longer than"), "{}", report.render());

    let deep: PathBuf = (0..=DEPTH_MAX).map(|depth| depth.to_string()).collect();
    fs::create_dir_all(root.path().join(deep)).unwrap();
    let report = check_dirs(&[root.path().to_owned()]);
    assert!(report.problems.iter().any(|problem| problem.reason.contains("nested")), "{}", report.render());
}
