//! The heal machine agrees with its traces, and a changed outcome is found.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use std::path::{Path, PathBuf};

use edge_conformance::{Report, Support, Verdict, check_dirs};
use serde_json::{Value, json};

fn file() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../conformance/alm/heal_traces.json")
}

fn verdict(content: &Value) -> Verdict {
    let mut report = Report::default();
    report.check(Path::new("changed.json"), content.to_string().as_bytes());
    report.verdict()
}

#[test]
fn every_trace_agrees() {
    let report = check_dirs(&[file()]);
    assert_eq!(report.verdict(), Verdict::Passed, "{}", report.render());
    let found = &report.families["heal_traces"];
    assert_eq!((found.support, found.passed, found.failed), (Support::Checked, 1, 0));
}

#[test]
fn every_changed_result_is_found() {
    let content: Value = serde_json::from_slice(&std::fs::read(file()).unwrap()).unwrap();
    for (at, trace) in content["traces"].as_array().unwrap().iter().enumerate() {
        for step in 0..trace["steps"].as_array().unwrap().len() {
            let mut changed = content.clone();
            changed["traces"][at]["steps"][step]["result"] = json!("something else");
            assert_eq!(verdict(&changed), Verdict::Failed, "{} step {step}", trace["name"]);
        }
    }
}
