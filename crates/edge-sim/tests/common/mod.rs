//! Plays a scenario and holds it to its bars.

use edge_sim::report::Report;
use edge_sim::scenario::{Options, find};

/// Plays a scenario of `viewers` for `duration_s`.
pub fn play(name: &str, viewers: usize, seed: u64, duration_s: u64) -> Report {
    let options = Options { viewers: Some(viewers), seed, duration_s: Some(duration_s) };
    find(name).expect("a scenario of that name").run(options, &mut |_| {}).expect("no core fails")
}

/// Plays a scenario as it is, once with each of the `seeds`.
pub fn play_all(name: &str, seeds: impl IntoIterator<Item = u64>) -> Vec<Report> {
    let scenario = find(name).expect("a scenario of that name");
    let play = |seed| scenario.run(Options { seed, ..Options::default() }, &mut |_| {}).expect("no core fails");
    seeds.into_iter().map(play).collect()
}

/// Fails with the whole report when a bar was missed.
pub fn assert_passed(report: &Report) {
    assert!(report.passed(), "{}", report.to_text());
}

/// A figure of the report.
pub fn figure(report: &Report, name: &str) -> f64 {
    report.value(name).unwrap_or_else(|| panic!("no figure {name}: {}", report.to_text()))
}

/// What was measured for a bar of the report.
pub fn bar(report: &Report, name: &str) -> f64 {
    let found = report.bars.iter().find(|bar| bar.name == name);
    found.unwrap_or_else(|| panic!("no bar {name}: {}", report.to_text())).value
}
