//! The replay window agrees with its vectors and with a set.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod common;

use std::collections::BTreeSet;

use common::{config, number, vectors};
use edge_link::replay::{Outcome, WIDTH_MAX, WidthError, Window};
use proptest::prelude::*;

#[test]
fn vectors_reproduce() {
    for case in vectors("replay_window") {
        let mut window = Window::new(case["width"].as_u64().unwrap() as usize).unwrap();
        for (seq, outcome) in case["seqs"].as_array().unwrap().iter().zip(case["outcomes"].as_array().unwrap()) {
            assert_eq!(format!("{:?}", window.admit(number(seq))), outcome.as_str().unwrap(), "{}", case["id"]);
        }
    }
}

#[test]
fn widths_that_are_no_multiple_of_64_are_refused() {
    for width in [0, 1, 63, 65, 1000, WIDTH_MAX + 64, usize::MAX] {
        assert_eq!(Window::new(width).unwrap_err(), WidthError(width));
    }
    for width in [64, 128, 1024, WIDTH_MAX] {
        assert!(Window::new(width).is_ok());
    }
}

/// The reference: every number ever admitted.
struct Model {
    width: u64,
    seen: BTreeSet<u64>,
}

impl Model {
    fn admit(&mut self, number: u64) -> Outcome {
        if self.seen.last().is_some_and(|&highest| highest.saturating_sub(number) >= self.width) {
            return Outcome::StaleBelowWindow;
        }
        match self.seen.insert(number) {
            true => Outcome::Fresh,
            false => Outcome::Duplicate,
        }
    }
}

proptest! {
    #![proptest_config(config(0x5eed_0001))]

    #[test]
    fn agrees_with_a_set(
        words in 1usize..5,
        start in prop_oneof![Just(0u64), any::<u64>(), Just(u64::MAX - 40)],
        steps in prop::collection::vec(step(), 0..300),
    ) {
        let mut window = Window::new(words * 64).unwrap();
        let mut model = Model { width: words as u64 * 64, seen: BTreeSet::new() };
        let mut at = start;
        for step in steps {
            at = at.saturating_add_signed(step);
            let before = window.check(at);
            prop_assert_eq!(before, window.check(at));
            prop_assert_eq!(before, window.admit(at));
            prop_assert_eq!(before, model.admit(at));
            prop_assert_eq!(window.highest(), model.seen.last().copied());
        }
    }

    #[test]
    fn every_number_of_a_shuffled_window_is_fresh_once(order in Just((0u64..256).collect::<Vec<_>>()).prop_shuffle()) {
        let mut window = Window::new(256).unwrap();
        for &number in &order {
            prop_assert_eq!(window.admit(number), Outcome::Fresh);
        }
        for &number in &order {
            prop_assert_eq!(window.admit(number), Outcome::Duplicate);
        }
    }
}

fn step() -> impl Strategy<Value = i64> {
    prop_oneof![8 => -80i64..80, 1 => -2000i64..2000, 1 => any::<i32>().prop_map(i64::from)]
}
