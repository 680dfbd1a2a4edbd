//! Two of three relays turn hostile.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, dead_code, missing_docs, unreachable_pub)]

mod common;

use common::{assert_passed, figure, play};

#[test]
fn nothing_forged_is_accepted_and_hostile_parents_are_left() {
    let report = play("byzantine", 12, 1, 25);
    assert_passed(&report);
    assert!(figure(&report, "forgeries refused") > 0.0, "{}", report.to_text());
}
