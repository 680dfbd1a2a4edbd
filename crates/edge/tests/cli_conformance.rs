//! `edge conformance`: this build against the vectors of the repository, and its exit codes.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, dead_code, missing_docs, unreachable_pub)]

mod common;

use std::fs;
use std::path::Path;

use common::{run, stdout};
use tempfile::tempdir;

const VECTORS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../conformance");

#[test]
fn no_vector_of_the_repository_fails() {
    let home = tempdir().unwrap();
    let output = run(home.path(), &["conformance", "--json", VECTORS]);
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let families = report["families"].as_object().unwrap();
    assert!(families.values().all(|family| family["failed"] == 0), "{report}");
    assert!(families["inner_seal"]["passed"].as_u64().unwrap() > 0);
    let whole = families.values().all(|family| family["support"] == "checked");
    assert_eq!(output.status.code(), Some(if whole { 0 } else { 3 }));
}

#[test]
fn all_families_covered_is_code_0() {
    let home = tempdir().unwrap();
    let folder = copied(home.path(), &["media/inner_seal.json"]);
    let output = run(home.path(), &["conformance", &folder]);
    assert_eq!(output.status.code(), Some(0), "{}", stdout(&output));
}

#[test]
fn a_changed_vector_is_code_1_and_named() {
    let home = tempdir().unwrap();
    let folder = copied(home.path(), &["media/inner_seal.json"]);
    let file = Path::new(&folder).join("inner_seal.json");
    let text = fs::read_to_string(&file).unwrap();
    let mut vectors: serde_json::Value = serde_json::from_str(&text).unwrap();
    flip_a_digit(&mut vectors["vectors"][0]["inner_ciphertext"]);
    fs::write(&file, vectors.to_string()).unwrap();
    let output = run(home.path(), &["conformance", &folder]);
    assert_eq!(output.status.code(), Some(1), "{}", stdout(&output));
    assert!(stdout(&output).contains("inner_seal.json"), "{}", stdout(&output));
}

#[test]
fn a_folder_without_vectors_is_code_1() {
    let home = tempdir().unwrap();
    fs::create_dir(home.path().join("empty")).unwrap();
    assert_eq!(run(home.path(), &["conformance", "empty"]).status.code(), Some(1));
    assert_eq!(run(home.path(), &["conformance", "missing"]).status.code(), Some(1));
}

fn copied(home: &Path, files: &[&str]) -> String {
    let folder = home.join("vectors");
    fs::create_dir(&folder).unwrap();
    for file in files {
        let from = Path::new(VECTORS).join(file);
        fs::copy(&from, folder.join(from.file_name().unwrap())).unwrap();
    }
    folder.to_str().unwrap().to_owned()
}

fn flip_a_digit(value: &mut serde_json::Value) {
    let text = value.as_str().expect("a hexadecimal field");
    let first = if text.starts_with('0') { "1" } else { "0" };
    *value = format!("{first}{}", &text[1..]).into();
}
