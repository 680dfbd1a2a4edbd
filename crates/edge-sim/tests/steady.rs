//! With nothing happening the tree stays as it is, and nobody is much farther away than in the best tree.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, dead_code, missing_docs, unreachable_pub)]

mod common;

use common::{figure, play};

/// How far from the best tree the planner may be here; the bar of the report is stricter.
const STRETCH_MAX: f64 = 1.8;

#[test]
fn the_tree_does_not_oscillate_and_is_not_far_from_the_best_one() {
    let report = play("steady", 40, 1, 40);
    for bar in &report.bars {
        let stretch = bar.name.starts_with("stretch");
        assert!(if stretch { bar.value <= STRETCH_MAX } else { bar.pass }, "{}", report.to_text());
    }
    assert!(figure(&report, "pictures lost") < 0.5, "{}", report.to_text());
}
