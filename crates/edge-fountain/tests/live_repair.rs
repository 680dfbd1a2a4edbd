//! Repair is sized so that messages arrive as often as was asked for, and no larger than that.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod common;

use bytes::Bytes;
use common::{below, message, shuffle};
use edge_crypto::random::Seeded;
use edge_fountain::live::{Decoder, Encoder, LOSS_PPM_MAX, Limits, PPM, REPAIR_MAX, RepairTable, repair_for};

#[test]
fn repair_for_known_conditions() {
    let at = |source, loss_percent: u32, target| repair_for(source, loss_percent * 10_000, target, 0);
    assert_eq!(at(20, 0, 999_000), 0);
    assert_eq!(at(1, 5, 999_000), 2, "0.05^3 is below 0.001, 0.05^2 is not");
    assert_eq!(at(1, 5, 940_000), 0);
    assert_eq!(at(3, 5, 999_000), 3, "3 of 5 arrive with 0.99884");
    assert_eq!(at(3, 5, 980_000), 1);
    assert_eq!(at(9, 5, 999_000), 4);
    assert_eq!(at(57, 5, 999_000), 10);
    assert_eq!(at(9, 10, 990_000), 4);
    assert_eq!(repair_for(9, 50_000, 999_000, 3), 7);
    assert_eq!(repair_for(9, 0, 999_000, 3), 0, "no loss, no burst");
    assert_eq!(repair_for(0, 50_000, 999_000, 0), 0);
    assert!(repair_for(1024, u32::MAX, u32::MAX, u16::MAX) == REPAIR_MAX);
}

#[test]
fn repair_grows_with_loss_and_target() {
    for source in [1, 2, 3, 9, 57, 300, 1024] {
        let by_loss: Vec<u16> = (0..=50).map(|percent| repair_for(source, percent * 10_000, 999_000, 0)).collect();
        assert!(by_loss.is_sorted() && by_loss[50] > by_loss[1], "{source}: {by_loss:?}");
        let by_target: Vec<u16> =
            [500_000, 900_000, 990_000, 999_000, 999_900].map(|target| repair_for(source, 50_000, target, 0)).to_vec();
        assert!(by_target.is_sorted(), "{source}: {by_target:?}");
    }
    assert_eq!(repair_for(57, LOSS_PPM_MAX, 999_000, 0), repair_for(57, PPM, 999_000, 0));
}

#[test]
fn a_table_gives_the_same_answers() {
    let mut table = RepairTable::new(50_000, 999_000, 1);
    for source in (0..1100).chain(0..30) {
        assert_eq!(table.repair(source), repair_for(source, 50_000, 999_000, 1));
    }
    table.set(100_000, 999_000, 0);
    assert_eq!((table.repair(9), table.loss_ppm()), (repair_for(9, 100_000, 999_000, 0), 100_000));
}

/// How many of 4,000 messages arrive over independent loss.
fn arriving(source: u16, loss_ppm: u32, target_ppm: u32, less: u16) -> u32 {
    let mut random = Seeded::new(u64::from(source) << 32 | u64::from(loss_ppm));
    let mut encoder = Encoder::new(16).unwrap();
    let mut decoder = Decoder::new(Limits::default());
    let repair = repair_for(source, loss_ppm, target_ppm, 0) - less;
    let mut arrived = 0;
    for seed in 0..4_000 {
        let sent = message(16 * usize::from(source), seed);
        let symbols = encoder.encode(&sent, repair).unwrap();
        let kept: Vec<Bytes> = symbols.filter(|_| below(&mut random, u64::from(PPM)) >= u64::from(loss_ppm)).collect();
        let got: Vec<Vec<u8>> = kept.iter().filter_map(|symbol| decoder.push(seed, symbol).unwrap()).collect();
        assert!(got.iter().all(|message| *message == sent));
        arrived += got.len() as u32;
    }
    arrived
}

#[test]
fn the_target_is_met_and_not_by_a_symbol_too_many() {
    for (source, loss_ppm) in [(1, 50_000), (3, 50_000), (9, 50_000), (9, 100_000), (57, 100_000)] {
        let arrived = arriving(source, loss_ppm, 990_000, 0);
        assert!(arrived >= 3_940, "{arrived} of 4000 messages of {source} symbols at {loss_ppm}");
        let fewer = arriving(source, loss_ppm, 990_000, 1);
        assert!(fewer < 3_975, "{fewer} of 4000 with a symbol less: {source} symbols at {loss_ppm}");
    }
}

/// Share of `trials` blocks that `extra` symbols more than pieces give back, in ppm, over random subsets.
fn decoded_ppm(source: usize, repair: u16, extra: usize, trials: u64) -> u64 {
    let mut random = Seeded::new(0x5eed_f003);
    let mut decoded = 0;
    for seed in 0..trials {
        let sent = message(8 * source, seed);
        let mut datagrams: Vec<Bytes> = Encoder::new(8).unwrap().encode(&sent, repair).unwrap().collect();
        shuffle(&mut datagrams, &mut random);
        let mut decoder = Decoder::new(Limits::default());
        let got = datagrams.iter().take(source + extra).find_map(|symbol| decoder.push(0, symbol).unwrap());
        assert!(got.as_ref().is_none_or(|got| *got == sent));
        decoded += u64::from(got.is_some());
    }
    decoded * 1_000_000 / trials
}

#[test]
fn blocks_decode_as_often_as_repair_is_sized_for() {
    for source in [2, 3, 5, 9, 20, 57] {
        let exact = decoded_ppm(source, 12, 0, 2_000);
        assert!(exact >= 985_000, "{source}: {exact} ppm");
        let one_more = decoded_ppm(source, 12, 1, 2_000);
        assert!(one_more >= 999_000, "{source} and one more: {one_more} ppm");
        assert_eq!(decoded_ppm(source, 12, 2, 2_000), 1_000_000, "{source} and two more");
    }
}
