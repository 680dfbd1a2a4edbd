//! Identities from the command line: files, permissions, passphrases.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, dead_code, missing_docs, unreachable_pub)]

mod common;

use std::fs;
use std::os::unix::fs::PermissionsExt;

use common::{run, stderr, stdout};
use tempfile::tempdir;

#[test]
fn a_key_file_is_private_and_shows_no_secret() {
    let home = tempdir().unwrap();
    let made = run(home.path(), &["keygen", "--id", "alice", "--out", "alice.key"]);
    assert!(made.status.success(), "{}", stderr(&made));
    let file = home.path().join("alice.key");
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);

    let shown = run(home.path(), &["key", "show", "--json", "alice.key"]);
    let value: serde_json::Value = serde_json::from_slice(&shown.stdout).unwrap();
    assert_eq!(value["key_id"], "alice");
    assert_eq!(value["fingerprint"].as_str().unwrap().len(), 64);
    let fields: Vec<&str> = value.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(fields, ["ed25519", "fingerprint", "key_id", "ml_dsa_65", "ml_kem_768", "path", "transport", "x25519"]);
}

#[test]
fn a_key_that_others_can_read_is_refused() {
    let home = tempdir().unwrap();
    assert!(run(home.path(), &["keygen", "--out", "k"]).status.success());
    fs::set_permissions(home.path().join("k"), fs::Permissions::from_mode(0o644)).unwrap();
    let shown = run(home.path(), &["key", "show", "k"]);
    assert_eq!(shown.status.code(), Some(1));
    assert!(stderr(&shown).contains("chmod 600"), "{}", stderr(&shown));
    assert!(shown.stdout.is_empty());
}

#[test]
fn an_existing_key_is_replaced_only_by_force() {
    let home = tempdir().unwrap();
    let keygen = |args: &[&str]| run(home.path(), &[&["keygen", "--out", "k"], args].concat());
    let first = keygen(&["--id", "first"]);
    assert!(first.status.success());
    assert_eq!(keygen(&["--id", "second"]).status.code(), Some(1));
    assert!(stdout(&run(home.path(), &["key", "show", "k"])).contains("first"));
    assert!(keygen(&["--id", "second", "--force"]).status.success());
    assert!(stdout(&run(home.path(), &["key", "show", "k"])).contains("second"));
}

#[test]
fn an_encrypted_key_opens_with_its_passphrase_only() {
    let home = tempdir().unwrap();
    fs::write(home.path().join("right"), "correct horse\n").unwrap();
    fs::write(home.path().join("wrong"), "battery staple\n").unwrap();
    let show = |args: &[&str]| run(home.path(), &[&["key", "show", "k"], args].concat());
    assert!(run(home.path(), &["keygen", "--out", "k", "--passphrase-file", "right"]).status.success());

    assert!(show(&["--passphrase-file", "right"]).status.success());
    let without = show(&[]);
    assert_eq!(without.status.code(), Some(1));
    assert!(stderr(&without).contains("--passphrase-file"), "{}", stderr(&without));
    let wrong = show(&["--passphrase-file", "wrong"]);
    assert_eq!(wrong.status.code(), Some(1));
    assert!(stderr(&wrong).contains("wrong passphrase"), "{}", stderr(&wrong));
}

#[test]
fn without_a_path_the_key_lives_at_home() {
    let home = tempdir().unwrap();
    let missing = run(home.path(), &["key", "show"]);
    assert_eq!(missing.status.code(), Some(1));
    assert!(stderr(&missing).contains("edge keygen"), "{}", stderr(&missing));
    assert!(run(home.path(), &["keygen"]).status.success());
    assert!(home.path().join(".local/share/edge/key").is_file());
    assert!(run(home.path(), &["key", "show"]).status.success());
}
