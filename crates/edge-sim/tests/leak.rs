//! A busy parent grows weak slowly.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, dead_code, missing_docs, unreachable_pub)]

mod common;

use common::{assert_passed, figure, play_all};

#[test]
fn its_children_shed_layers_or_leave_and_keep_the_picture() {
    for report in play_all("leak", 1..=4) {
        assert_passed(&report);
        assert!(figure(&report, "viewers below the leaking parent") >= 2.0, "{}", report.to_text());
    }
}
