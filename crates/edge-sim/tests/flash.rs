//! Nearly a third of the viewers vanish at one moment.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, dead_code, missing_docs, unreachable_pub)]

mod common;

use common::{assert_passed, figure, play_all};

#[test]
fn the_others_find_a_way_again() {
    for report in play_all("flash", 1..=6) {
        assert_passed(&report);
        assert!(figure(&report, "viewers hit") >= 3.0, "{}", report.to_text());
    }
}
