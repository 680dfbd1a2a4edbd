//! Plays a scenario and holds it to its bars.

use edge_sim::report::Report;
use edge_sim::scenario::{Options, find};

/// Plays a scenario of `viewers` for `duration_s`.
pub fn play(name: &str, viewers: usize, seed: u64, duration_s: u64) -> Report {
    let options = Options { viewers: Some(viewers), seed, duration_s: Some(duration_s) };
    find(name).expect("a scenario of that name").run(options, &mut |_| {}).expect("no core fails")
}

/// Fails with the whole report when a bar was missed.
pub fn assert_passed(report: &Report) {
    assert!(report.passed(), "{}", report.to_text());
}

/// A figure of the report.
pub fn figure(report: &Report, name: &str) -> f64 {
    report.value(name).unwrap_or_else(|| panic!("no figure {name}: {}", report.to_text()))
}
