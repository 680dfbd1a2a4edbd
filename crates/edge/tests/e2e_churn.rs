//! The mesh as a person sees it: nobody lays out the tree, relays are killed, and the pictures go on.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, dead_code, missing_docs, unreachable_pub)]

mod common;

use std::fs;

use common::{run, stderr, stdout};
use serde_json::Value;
use tempfile::tempdir;

/// Checks whose outcome depends on how busy the machine is; the demo judges them, this test does not.
const TIMED: [&str; 3] = ["gap_p95", "gap_p99", "restored"];

#[test]
fn killed_relays_cost_no_viewer_its_picture() {
    let home = tempdir().unwrap();
    let args = ["demo", "--churn", "--seconds", "14", "--relays", "3", "--viewers", "3", "--json", "numbers.json"];
    let output = run(home.path(), &args);
    let text = fs::read_to_string(home.path().join("numbers.json"));
    let text = text.unwrap_or_else(|error| panic!("{error}\n{}\n{}", stdout(&output), stderr(&output)));
    let report: Value = serde_json::from_str(&text).unwrap();

    for check in report["checks"].as_array().unwrap() {
        let timed = TIMED.contains(&check["id"].as_str().unwrap());
        assert!(timed || check["passed"] == true, "{check}\n{}", stdout(&output));
    }
    let kills = report["kills"].as_array().unwrap();
    assert_eq!(kills.len(), 1);
    let bereaved = kills[0]["bereaved"].as_array().unwrap();
    assert!(!bereaved.is_empty() && bereaved.iter().all(|one| one["restored_ms"].is_f64()), "{}", stdout(&output));
    let heals: u64 = report["viewers"].as_array().unwrap().iter().filter_map(|viewer| viewer["heals"].as_u64()).sum();
    assert!(heals >= bereaved.len() as u64, "{}", stdout(&output));
}
