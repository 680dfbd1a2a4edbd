//! `edge sim`: its list, its report, its drawing and its exit codes.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, dead_code, missing_docs, unreachable_pub)]

mod common;

use std::fs;

use common::{run, stderr, stdout};
use tempfile::tempdir;

const SHORT: [&str; 6] = ["sim", "steady", "--peers", "8", "--duration", "25"];

#[test]
fn the_list_names_every_scenario() {
    let home = tempdir().unwrap();
    let output = run(home.path(), &["sim", "--list"]);
    assert_eq!(output.status.code(), Some(0));
    for name in ["steady", "kill", "churn", "flash", "storm", "partition", "leak", "loss", "byzantine", "herd"] {
        assert!(stdout(&output).lines().any(|line| line.starts_with(name)), "{name}");
    }
}

#[test]
fn an_unknown_scenario_is_an_error_that_names_the_known_ones() {
    let home = tempdir().unwrap();
    let output = run(home.path(), &["sim", "steadily"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("steadily") && stderr(&output).contains("byzantine"), "{}", stderr(&output));
}

#[test]
fn wrong_numbers_are_wrong_usage() {
    let home = tempdir().unwrap();
    assert_eq!(run(home.path(), &["sim"]).status.code(), Some(2));
    assert_eq!(run(home.path(), &["sim", "steady", "--peers", "1"]).status.code(), Some(2));
    assert_eq!(run(home.path(), &["sim", "steady", "--duration", "1"]).status.code(), Some(2));
}

#[test]
fn two_processes_report_the_same_and_the_code_follows_the_bars() {
    let home = tempdir().unwrap();
    let args = [&SHORT[..], &["--json", "--seed", "3"]].concat();
    let (one, two) = (run(home.path(), &args), run(home.path(), &args));
    assert_eq!(one.stdout, two.stdout);
    assert!(one.stderr.is_empty(), "no bar without a terminal: {}", stderr(&one));
    let value: serde_json::Value = serde_json::from_slice(&one.stdout).unwrap();
    assert_eq!(one.status.code(), Some(if value["passed"] == true { 0 } else { 1 }));
    let bars = value["report"]["bars"].as_array().unwrap();
    assert_eq!(value["passed"] == true, bars.iter().all(|bar| bar["pass"] == true));
    let nonces = bars.iter().find(|bar| bar["name"] == "nonces repeated").unwrap();
    assert_eq!(nonces["value"], 0.0);
}

#[test]
fn a_drawing_is_written_and_the_text_names_its_bars() {
    let home = tempdir().unwrap();
    let output = run(home.path(), &[&SHORT[..], &["--plot", "steady.svg"]].concat());
    assert!(stdout(&output).contains("nonces repeated"), "{}", stdout(&output));
    let drawing = fs::read_to_string(home.path().join("steady.svg")).unwrap();
    assert!(drawing.starts_with("<svg") && drawing.contains("Pictures shown"));
    let output = run(home.path(), &[&SHORT[..], &["--plot", "missing/steady.svg"]].concat());
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("missing/steady.svg"), "{}", stderr(&output));
}
