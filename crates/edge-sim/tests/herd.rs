//! Everybody joins at once.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, dead_code, missing_docs, unreachable_pub)]

mod common;

use common::{assert_passed, figure, play_all};

#[test]
fn all_get_a_picture_soon_and_the_load_spreads() {
    for report in play_all("herd", 1..=4) {
        assert_passed(&report);
        assert!(figure(&report, "peers that feed others") >= 5.0, "{}", report.to_text());
    }
}
