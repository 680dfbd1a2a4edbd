//! Two of three relays turn hostile.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, dead_code, missing_docs, unreachable_pub)]

mod common;

use common::{assert_passed, figure, play_all};

#[test]
fn nothing_forged_is_accepted_and_hostile_parents_are_left() {
    for report in play_all("byzantine", 1..=8) {
        assert_passed(&report);
        assert!(figure(&report, "forgeries refused") > 0.0, "{}", report.to_text());
    }
}
