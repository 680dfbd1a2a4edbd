//! A third of the viewers come back at once.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, dead_code, missing_docs, unreachable_pub)]

mod common;

use common::{assert_passed, play_all};

#[test]
fn all_get_a_picture_soon_and_no_relay_is_overrun() {
    play_all("storm", 1..=4).iter().for_each(assert_passed);
}
