//! One seed is one run.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, dead_code, missing_docs, unreachable_pub)]

mod common;

use common::play;

#[test]
fn equal_seeds_give_equal_reports_and_others_do_not() {
    let json = |seed| {
        let report = play("churn", 16, seed, 25);
        (report.digest.clone(), serde_json::to_string(&report).unwrap(), edge_sim::plot::svg("x", &report.charts))
    };
    let (one, again, other) = (json(5), json(5), json(6));
    assert_eq!(one, again);
    assert_ne!(one.0, other.0);
}
