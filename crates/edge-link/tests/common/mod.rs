//! Vectors and fixed-seed property configuration for the scenarios of this crate.

#![allow(dead_code)]

use edge_link::Secret;
use edge_wire::id::LinkSeq;
use proptest::test_runner::{Config, RngSeed};
use serde_json::Value;

/// The cases of one vector file.
pub(crate) fn vectors(stem: &str) -> Vec<Value> {
    let path = format!("{}/../../conformance/media/{stem}.json", env!("CARGO_MANIFEST_DIR"));
    let file: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    let cases = file["vectors"].as_array().unwrap().clone();
    assert!(!cases.is_empty());
    cases
}

pub(crate) fn hex(value: &Value) -> Vec<u8> {
    let text = value.as_str().unwrap();
    assert!(text.len().is_multiple_of(2));
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
}

pub(crate) fn secret<const N: usize>(value: &Value) -> Secret<N> {
    Secret::from_slice(&hex(value)).unwrap()
}

/// A counter given as a number or as a decimal string.
pub(crate) fn number(value: &Value) -> u64 {
    value.as_u64().unwrap_or_else(|| value.as_str().unwrap().parse().unwrap())
}

pub(crate) fn seq(value: &Value) -> LinkSeq {
    LinkSeq(number(value))
}

pub(crate) fn config(seed: u64) -> Config {
    Config { rng_seed: RngSeed::Fixed(seed), failure_persistence: None, ..Config::with_cases(256) }
}
