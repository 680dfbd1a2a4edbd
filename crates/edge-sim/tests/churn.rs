//! Viewers come and go all the time.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, dead_code, missing_docs, unreachable_pub)]

mod common;

use common::{assert_passed, figure, play_all};

#[test]
fn hardly_a_frame_is_lost() {
    for report in play_all("churn", 2..=4) {
        assert_passed(&report);
        assert!(figure(&report, "viewers hit") >= 1.0, "{}", report.to_text());
    }
}
