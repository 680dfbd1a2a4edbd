//! Viewers come and go all the time.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, dead_code, missing_docs, unreachable_pub)]

mod common;

use common::{assert_passed, figure, play};

#[test]
fn hardly_a_frame_is_lost() {
    let reports = [2, 3, 4].map(|seed| play("churn", 60, seed, 60));
    reports.iter().for_each(assert_passed);
    let hit: f64 = reports.iter().map(|report| figure(report, "viewers hit")).sum();
    assert!(hit >= 1.0, "nobody lost a parent");
}
