//! `edge-conformance`: vector files of other implementations.

use std::path::Path;

use edge_conformance::Report;

use super::{COPIES, built};
use crate::{Cost, Target, Verdict};

pub(super) const TARGETS: &[Target] =
    &[Target { name: "conformance_json", cost: Cost::Decode, alloc_max: COPIES, run: vectors, seeds: vector_files }];

/// Longest of our own vector files that is taken as a seed, in bytes.
const SEED_LEN_MAX: u64 = 8 * 1024;

/// An input counts as accepted when some case in it was checked, whatever came of it.
fn vectors(input: &[u8]) -> Verdict {
    let mut report = Report::default();
    report.check(Path::new("input.json"), input);
    let checked = report.families.values().any(|family| family.passed + family.failed > 0);
    if checked { Verdict::Accepted } else { Verdict::Refused }
}

fn vector_files() -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../conformance/media");
    let mut paths: Vec<_> = built(std::fs::read_dir(folder)).filter_map(Result::ok).map(|entry| entry.path()).collect();
    paths.retain(|path| built(path.metadata()).len() <= SEED_LEN_MAX);
    paths.sort();
    paths.iter().map(|path| built(std::fs::read(path))).collect()
}
