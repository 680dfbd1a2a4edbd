//! The net falls apart and heals.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, dead_code, missing_docs, unreachable_pub)]

mod common;

use common::{assert_passed, figure, play};

#[test]
fn those_who_can_be_reached_see_on_and_the_others_come_back() {
    let report = play("partition", 30, 1, 50);
    assert_passed(&report);
    assert!(figure(&report, "viewers cut off") >= 3.0, "{}", report.to_text());
}
