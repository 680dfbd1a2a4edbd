//! With nothing happening the tree is flat and stays as it is.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, dead_code, missing_docs, unreachable_pub)]

mod common;

use common::{figure, play_all};

/// How far from the best tree the median viewer may be, rank by rank. The best tree has the nearest peers right below
/// the publisher; here whoever comes first stays there, so that the nearest of all are farther than they could be.
const STRETCH_P50_MAX: f64 = 1.3;

#[test]
fn the_tree_is_flat_and_does_not_oscillate() {
    for report in play_all("steady", 1..=4) {
        for bar in report.bars.iter().filter(|bar| !bar.name.starts_with("stretch")) {
            assert!(bar.pass, "{}", report.to_text());
        }
        assert!(figure(&report, "stretch p50 against the best tree") <= STRETCH_P50_MAX, "{}", report.to_text());
        assert!(figure(&report, "pictures lost") < 0.5, "{}", report.to_text());
    }
}
