//! Seeded messages, and the choices of a hop.
#![allow(dead_code)]

use edge_crypto::Random;
use edge_crypto::random::Seeded;
use proptest::test_runner::{Config, RngSeed};

pub(crate) fn config(seed: u64, cases: u32) -> Config {
    Config { rng_seed: RngSeed::Fixed(seed), failure_persistence: None, ..Config::with_cases(cases) }
}

pub(crate) fn message(len: usize, seed: u64) -> Vec<u8> {
    let mut out = vec![0; len];
    Seeded::new(seed).fill(&mut out);
    out
}

pub(crate) fn below(random: &mut Seeded, end: u64) -> u64 {
    u64::from_be_bytes(random.array()) % end
}

pub(crate) fn shuffle<T>(items: &mut [T], random: &mut Seeded) {
    for i in (1..items.len()).rev() {
        items.swap(i, below(random, i as u64 + 1) as usize);
    }
}
