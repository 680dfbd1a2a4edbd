//! The busiest of few relays with few places dies again and again.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, dead_code, missing_docs, unreachable_pub)]

mod common;

use common::{bar, play_all};

/// Longest time without a picture, in ms: now and then parent and standby die together while all others are full.
const DARK_MS_MAX: f64 = 5_000.0;

#[test]
fn nobody_loses_the_publisher() {
    for report in play_all("relays", 1..=8) {
        assert_eq!(bar(&report, "viewers with a way to the publisher"), 100.0, "{}", report.to_text());
        assert!(bar(&report, "longest time without a picture") <= DARK_MS_MAX, "{}", report.to_text());
        assert!(bar(&report, "frames lost") <= 2.5, "{}", report.to_text());
    }
}
