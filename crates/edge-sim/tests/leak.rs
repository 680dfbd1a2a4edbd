//! A busy parent grows weak slowly.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, dead_code, missing_docs, unreachable_pub)]

mod common;

use common::{assert_passed, figure, play};

#[test]
fn its_children_shed_layers_or_leave_and_keep_the_picture() {
    let report = play("leak", 30, 1, 45);
    assert_passed(&report);
    assert!(figure(&report, "viewers below the leaking parent") >= 2.0, "{}", report.to_text());
}
