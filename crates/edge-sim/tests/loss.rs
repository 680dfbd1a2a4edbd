//! Every link loses packets.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, dead_code, missing_docs, unreachable_pub)]

mod common;

use common::{assert_passed, figure, play};

#[test]
fn base_pictures_are_in_time() {
    let report = play("loss", 12, 1, 30);
    assert_passed(&report);
    assert!(figure(&report, "5 % loss, repair: overhead") > 5.0, "{}", report.to_text());
}
