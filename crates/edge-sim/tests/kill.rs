//! A parent dies under load: the picture goes on.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, dead_code, missing_docs, unreachable_pub)]

mod common;

use common::{assert_passed, figure, play};

#[test]
fn the_picture_goes_on_and_all_layers_come_back() {
    let report = play("kill", 30, 1, 40);
    assert_passed(&report);
    assert!(figure(&report, "viewers hit") >= 5.0, "{}", report.to_text());
}
