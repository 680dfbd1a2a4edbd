//! What the command line refuses, with which code and words; completions; pipes that close.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, dead_code, missing_docs, unreachable_pub)]

mod common;

use std::io::Read;
use std::process::Stdio;

use common::{edge, run, stderr, stdout};
use tempfile::tempdir;

fn refused(args: &[&str], code: i32, words: &str) {
    let home = tempdir().unwrap();
    let output = run(home.path(), args);
    assert_eq!(output.status.code(), Some(code), "{args:?}: {}", stderr(&output));
    assert!(stderr(&output).contains(words), "{args:?}: {}", stderr(&output));
    assert!(output.stdout.is_empty(), "{args:?}: {}", stdout(&output));
}

#[test]
fn a_bad_ticket_is_named_before_anything_starts() {
    refused(&["watch", "--ephemeral", "hello"], 1, "ticket: this is not a ticket");
    refused(&["relay", "--ephemeral", "edge1abc"], 1, "ticket: the ticket is damaged");
    refused(&["outsider", "--ephemeral", "edge1aaaaaaaaaaaaaaaa"], 1, "checksum");
    refused(&["watch", "--ephemeral", &format!("edge1{}", "a".repeat(4096))], 1, "longer than");
    refused(&["watch", "--ephemeral", "--via", "hello", "edge1abc"], 1, "--via: this is not a ticket");
}

#[test]
fn wrong_usage_is_code_2() {
    refused(&[], 2, "Usage");
    refused(&["relay"], 2, "TICKET");
    refused(&["watch", "t", "--layers", "1,2"], 2, "three numbers");
    refused(&["publish", "pattern:wide"], 2, "pattern:1280x720@30");
    refused(&["publish", "pattern", "--svc", "L9T9"], 2, "L1T1");
    refused(&["demo", "--relays", "1"], 2, "2..=32");
}

#[test]
fn an_input_that_is_not_there_is_an_error_and_not_a_stream() {
    refused(&["publish", "--ephemeral", "missing.y4m"], 1, "missing.y4m");
}

#[test]
fn a_failure_is_one_json_object_with_json() {
    let home = tempdir().unwrap();
    let output = run(home.path(), &["--json", "watch", "--ephemeral", "hello"]);
    assert_eq!(output.status.code(), Some(1));
    let value: serde_json::Value = serde_json::from_slice(&output.stderr).unwrap();
    assert_eq!(value["event"], "error");
    assert!(value["message"].as_str().unwrap().starts_with("ticket: "));
}

#[test]
fn every_shell_gets_completions() {
    let home = tempdir().unwrap();
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let output = run(home.path(), &["completions", shell]);
        assert!(output.status.success());
        assert!(stdout(&output).contains("conformance"), "{shell}");
    }
}

#[test]
fn help_has_examples() {
    let home = tempdir().unwrap();
    for command in ["keygen", "publish", "relay", "watch", "demo", "conformance", "completions"] {
        let output = run(home.path(), &[command, "--help"]);
        assert!(output.status.success());
        assert!(stdout(&output).contains("Example"), "{command}");
    }
}

#[test]
fn a_reader_that_goes_away_ends_the_program_quietly() {
    let home = tempdir().unwrap();
    let mut child =
        edge(home.path()).args(["completions", "zsh"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    let status = child.wait().unwrap();
    let mut said = String::new();
    child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    assert!(status.success());
    assert_eq!(said, "");
}

#[test]
fn the_doctor_checks_everything_it_lists() {
    let home = tempdir().unwrap();
    let output = run(home.path(), &["doctor", "--json"]);
    let lines: Vec<serde_json::Value> =
        stdout(&output).lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let names: Vec<&str> = lines.iter().map(|line| line["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["clock", "processor", "aes", "network", "video", "sound", "key file", "disk"]);
    let of = |name: &str| lines.iter().find(|line| line["name"] == name).unwrap()["result"].clone();
    assert_eq!(of("network"), "ok");
    assert_eq!(of("sound"), "ok");
    assert_eq!(of("key file"), "warn");
    assert!(lines.iter().all(|line| line["result"] == "ok" || line["next_step"].is_string()));
    let failed = lines.iter().any(|line| line["result"] == "fail");
    assert_eq!(output.status.code(), Some(i32::from(failed)));
}
