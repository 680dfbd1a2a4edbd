//! A laboratory leaves nothing behind, and removes what a killed one left.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod common;

use std::process::Command;

use common::{lab, ms};
use edge_netlab::{Error, Host, Lab};

/// No process has this number: it is above the kernel's highest.
const NOBODY: u32 = 4_194_305;

fn namespaces(part: &str) -> usize {
    let entries = std::fs::read_dir("/run/netns").unwrap();
    entries.filter(|entry| entry.as_ref().unwrap().file_name().to_string_lossy().contains(part)).count()
}

fn ip(arguments: &[&str]) {
    assert!(Command::new("ip").args(arguments).status().unwrap().success());
}

#[test]
fn what_is_dropped_is_gone_or_skipped() {
    let Some(alone) = lab("drop", 5, ms(1)) else { return };
    let mine = format!("edgelab-{}-", std::process::id());
    assert_eq!(namespaces(&mine), 5);
    let program = alone.lab.command(Host(2), "sleep").arg("600").spawn().unwrap();
    drop(alone);
    assert_eq!(namespaces(&mine), 0);
    let mut program = program;
    assert!(!program.wait().unwrap().success(), "a process that the laboratory did not keep ends with it");
}

#[test]
fn remains_of_a_killed_laboratory_are_removed_or_skipped() {
    let Some(alone) = lab("stale", 1, ms(1)) else { return };
    let left = format!("edgelab-{NOBODY}-0-0");
    ip(&["netns", "add", &left]);
    let mut orphan = Command::new("ip").args(["netns", "exec", &left, "sleep", "600"]).spawn().unwrap();
    let next = Lab::new(1, ms(1), 1).unwrap();
    assert_eq!(namespaces(&left), 0);
    assert!(!orphan.wait().unwrap().success());
    let living = format!("edgelab-{}-", std::process::id());
    assert_eq!(namespaces(&living), 2, "a laboratory that is in use is left alone");
    drop((next, alone));
}

#[test]
fn impossible_laboratories_are_refused() {
    assert!(matches!(Lab::new(0, ms(1), 1), Err(Error::Hosts { hosts: 0 })));
    assert!(matches!(Lab::new(129, ms(1), 1), Err(Error::Hosts { hosts: 129 })));
}
