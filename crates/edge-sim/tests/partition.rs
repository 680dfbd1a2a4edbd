//! The net falls apart and heals.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, dead_code, missing_docs, unreachable_pub)]

mod common;

use common::{assert_passed, figure, play_all};

#[test]
fn those_who_can_be_reached_see_on_and_the_others_come_back() {
    let mut cut_off = 0.0;
    for report in play_all("partition", 1..=6) {
        assert_passed(&report);
        cut_off += figure(&report, "viewers cut off");
    }
    assert!(cut_off >= 10.0, "{cut_off}");
}
