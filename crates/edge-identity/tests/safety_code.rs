//! A safety code has one printed form and depends on every bit of the epoch authenticator.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use edge_crypto::Random;
use edge_crypto::random::Seeded;
use edge_identity::safety::{GROUPS, code};

#[test]
fn known_answers() {
    for (authenticator, expected) in include_str!("safety_code.txt").lines().map(|line| line.split_once('=').unwrap()) {
        let bytes = data_encoding::HEXLOWER.decode(authenticator.as_bytes()).unwrap();
        assert_eq!(code(&bytes).to_string(), expected);
    }
}

#[test]
fn six_groups_of_five_digits() {
    let mut random = Seeded::new(1);
    for _ in 0..1000 {
        let printed = code(&random.array::<32>()).to_string();
        let groups: Vec<&str> = printed.split(' ').collect();
        assert_eq!(groups.len(), GROUPS);
        assert!(groups.iter().all(|group| group.len() == 5 && group.bytes().all(|byte| byte.is_ascii_digit())));
    }
}

#[test]
fn every_bit_changes_the_code() {
    let authenticator: [u8; 32] = Seeded::new(2).array();
    for bit in 0..256 {
        let mut other = authenticator;
        other[bit / 8] ^= 1 << (bit % 8);
        assert_ne!(code(&other), code(&authenticator), "bit {bit}");
    }
}

#[test]
fn digits_are_spread_evenly() {
    let mut random = Seeded::new(3);
    let mut counts = [0_u32; 10];
    for _ in 0..2000 {
        for digit in code(&random.array::<32>()).to_string().bytes().filter(u8::is_ascii_digit) {
            counts[usize::from(digit - b'0')] += 1;
        }
    }
    // 60 000 digits: 6 000 of each, with a standard deviation of 73.
    assert!(counts.iter().all(|count| count.abs_diff(6000) < 400), "{counts:?}");
}
