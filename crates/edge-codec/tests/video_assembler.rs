//! What the assembler releases, when, and what it asks for: told frame by frame, without a codec.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use bytes::Bytes;
use edge_codec::video::{Assembler, AssemblerConfig, LayerInput, Output, Recovery, unit_id};
use edge_wire::layer::Policy;

const FRAME_US: u64 = 33_333;

/// A layer frame of an L3T3 stream; spatial layer 0 of picture 0 is the key frame, and slot rules are left out: an
/// upper temporal layer needs the last temporal layer 0, an upper spatial layer also the layer below.
fn layer(number: u64, spatial: u8) -> LayerInput {
    let temporal = [0, 2, 1, 2][(number % 4) as usize];
    let before = match number % 4 {
        0 => number.checked_sub(4),
        3 => Some(number - 1),
        within => Some(number - within),
    };
    let mut references: Vec<u64> = before.map(|before| unit_id(before, spatial)).into_iter().collect();
    if spatial > 0 {
        references.push(unit_id(number, spatial - 1));
    }
    LayerInput {
        frame_number: number,
        unit_id: unit_id(number, spatial),
        references,
        spatial,
        temporal,
        key: number == 0,
        switch: number == 0,
        end_of_unit: spatial == 2,
        data: Bytes::from(vec![number as u8, spatial]),
        pts_us: number * FRAME_US,
        captured_us: 1 + number,
    }
}

/// The same, predicted only from what `references` says.
fn restart(number: u64, spatial: u8, references: &[u64]) -> LayerInput {
    let references = references.to_vec();
    LayerInput { references, switch: true, temporal: 0, ..layer(number, spatial) }
}

fn drain(assembler: &mut Assembler, now_us: u64) -> Vec<Output> {
    std::iter::from_fn(|| assembler.poll(now_us)).collect()
}

/// Number and highest spatial layer of each released unit.
fn released(outputs: &[Output]) -> Vec<(u64, u8)> {
    let unit = |output: &Output| match output {
        Output::Unit(unit) => Some((unit.frame_number, unit.spatial)),
        _ => None,
    };
    outputs.iter().filter_map(unit).collect()
}

fn lost(outputs: &[Output]) -> Vec<(u64, bool)> {
    let lost = |output: &Output| match output {
        Output::Lost { frame_number, base } => Some((*frame_number, *base)),
        _ => None,
    };
    outputs.iter().filter_map(lost).collect()
}

fn asked(outputs: &[Output]) -> Vec<Recovery> {
    let asked = |output: &Output| match output {
        Output::NeedRecovery(recovery) => Some(*recovery),
        _ => None,
    };
    outputs.iter().filter_map(asked).collect()
}

/// Pushes all three layers of each picture at its own time and drains.
fn play(assembler: &mut Assembler, numbers: std::ops::Range<u64>) -> Vec<Output> {
    let mut outputs = Vec::new();
    for number in numbers {
        (0..3).for_each(|spatial| assembler.push(layer(number, spatial), number * FRAME_US));
        outputs.extend(drain(assembler, number * FRAME_US));
    }
    outputs
}

fn fresh() -> Assembler {
    Assembler::new(AssemblerConfig::default())
}

fn capped(max_spatial: u8, max_temporal: u8) -> Assembler {
    Assembler::new(AssemblerConfig { policy: Policy::new(max_spatial, max_temporal, 0), ..Default::default() })
}

#[test]
fn whole_pictures_pass_at_once_and_in_one_piece() {
    let mut assembler = fresh();
    let outputs = play(&mut assembler, 0..9);
    assert_eq!(outputs.len(), 9);
    let Output::Unit(unit) = &outputs[4] else { panic!() };
    assert_eq!(unit.data[..], [4, 0, 4, 1, 4, 2]);
    assert_eq!((unit.frame_number, unit.pts_us, unit.captured_us), (4, 4 * FRAME_US, 5));
    assert_eq!((unit.spatial, unit.temporal, unit.key), (2, 0, false));
    assert_eq!(assembler.counters().decoded, 9);
}

#[test]
fn layers_may_come_in_any_order_and_twice() {
    let mut assembler = fresh();
    let order = [(1, 2), (0, 1), (0, 1), (1, 0), (0, 2), (1, 1), (1, 0), (0, 0)];
    let outputs: Vec<_> = order
        .into_iter()
        .flat_map(|(number, spatial)| {
            assembler.push(layer(number, spatial), 5);
            drain(&mut assembler, 5)
        })
        .collect();
    assert_eq!(released(&outputs), [(0, 2), (1, 2)]);
    assembler.push(layer(1, 1), 6);
    assert!(drain(&mut assembler, 6).is_empty());
    let counters = assembler.counters();
    assert_eq!((counters.duplicates, counters.late), (2, 1));
}

#[test]
fn a_missing_upper_layer_is_waited_for_but_not_long() {
    let mut assembler = fresh();
    play(&mut assembler, 0..5);
    let now = 5 * FRAME_US;
    (0..2).for_each(|spatial| assembler.push(layer(5, spatial), now));
    assert!(drain(&mut assembler, now + 39_999).is_empty());
    assert_eq!(assembler.deadline_us(), Some(now + 40_000));
    assert_eq!(released(&drain(&mut assembler, now + 40_000)), [(5, 1)]);
    assert_eq!(assembler.counters().lost_layers, [0, 0, 1]);
}

#[test]
fn a_later_whole_picture_ends_the_wait() {
    let mut assembler = fresh();
    play(&mut assembler, 0..5);
    (0..2).for_each(|spatial| assembler.push(layer(5, spatial), 0));
    assert!(drain(&mut assembler, 0).is_empty());
    (0..3).for_each(|spatial| assembler.push(layer(6, spatial), 1));
    assert_eq!(released(&drain(&mut assembler, 1)), [(5, 1), (6, 2)]);
}

/// Picture 6 needs layer 2 of picture 4, so it does not overtake: the chain is worth the wait.
#[test]
fn a_later_picture_that_needs_the_layer_does_not_end_the_wait() {
    let mut assembler = fresh();
    play(&mut assembler, 0..4);
    (0..2).for_each(|spatial| assembler.push(layer(4, spatial), 0));
    (0..3).for_each(|spatial| assembler.push(layer(5, spatial), 1));
    assert!(drain(&mut assembler, 1).is_empty());
    assembler.push(layer(4, 2), 2);
    assert_eq!(released(&drain(&mut assembler, 2)), [(4, 2), (5, 2)]);
}

#[test]
fn layers_that_stopped_coming_are_not_waited_for_until_a_switch() {
    let mut assembler = fresh();
    play(&mut assembler, 0..4);
    let mut outputs = Vec::new();
    for number in 4..24 {
        assembler.push(layer(number, 0), number * FRAME_US);
        outputs = drain(&mut assembler, number * FRAME_US);
        outputs.extend(drain(&mut assembler, number * FRAME_US + 40_000));
    }
    assert_eq!(released(&outputs), [(23, 0)]);
    let now = 24 * FRAME_US;
    assembler.push(restart(24, 0, &[unit_id(20, 0)]), now);
    assert!(drain(&mut assembler, now).is_empty(), "a switch may bring more");
    assembler.push(restart(24, 1, &[unit_id(24, 0)]), now + 1);
    assembler.push(restart(24, 2, &[unit_id(24, 1)]), now + 2);
    assert_eq!(released(&drain(&mut assembler, now + 2)), [(24, 2)]);
}

#[test]
fn a_broken_upper_chain_stays_out_until_a_switch_and_asks_for_one() {
    let mut assembler = fresh();
    play(&mut assembler, 0..4);
    (0..2).for_each(|spatial| assembler.push(layer(4, spatial), 4 * FRAME_US));
    assert_eq!(released(&drain(&mut assembler, 6 * FRAME_US)), [(4, 1)]);
    let mut outputs = play(&mut assembler, 5..12);
    assert!(released(&outputs).iter().all(|(_, spatial)| *spatial == 1));
    assert_eq!(asked(&outputs), [Recovery::Switch], "one request in 200 ms");
    let now = 12 * FRAME_US;
    assembler.push(restart(12, 0, &[unit_id(8, 0)]), now);
    assembler.push(restart(12, 1, &[unit_id(12, 0)]), now);
    assembler.push(restart(12, 2, &[unit_id(12, 1)]), now);
    outputs = drain(&mut assembler, now);
    outputs.extend(play(&mut assembler, 13..17));
    assert!(released(&outputs).iter().all(|(_, spatial)| *spatial == 2));
}

#[test]
fn a_lost_top_temporal_picture_costs_only_itself() {
    let mut assembler = fresh();
    let mut outputs = play(&mut assembler, 0..5);
    outputs.extend(play(&mut assembler, 6..12));
    assert_eq!(lost(&outputs), [(5, false)]);
    assert_eq!(released(&outputs).len(), 11);
    assert!(asked(&outputs).is_empty());
    assert_eq!((assembler.counters().lost_upper, assembler.counters().lost_base), (1, 0));
}

#[test]
fn a_picture_that_is_only_late_is_still_shown() {
    let mut assembler = fresh();
    play(&mut assembler, 0..5);
    (0..3).for_each(|spatial| assembler.push(layer(6, spatial), 0));
    assert!(drain(&mut assembler, 0).is_empty());
    (0..3).for_each(|spatial| assembler.push(layer(5, spatial), 10_000));
    assert_eq!(released(&drain(&mut assembler, 10_000)), [(5, 2), (6, 2)]);
}

#[test]
fn pictures_left_out_by_temporal_layer_cost_no_wait() {
    let mut assembler = capped(2, 0);
    for number in 0..40 {
        (0..3).for_each(|spatial| assembler.push(layer(number, spatial), number * FRAME_US));
        let outputs = drain(&mut assembler, number * FRAME_US);
        assert!(lost(&outputs).is_empty() || number < 20);
        if number >= 20 && number.is_multiple_of(4) {
            assert_eq!(released(&outputs), [(number, 2)]);
        }
    }
}

#[test]
fn a_policy_keeps_layers_out() {
    let mut assembler = capped(1, 1);
    let outputs = play(&mut assembler, 0..9);
    assert!(released(&outputs).iter().all(|(number, spatial)| *spatial == 1 && number.is_multiple_of(2)));
    assembler.set_policy(Policy::new(0, 0, 0));
    let outputs = play(&mut assembler, 12..13);
    assert_eq!(released(&outputs), [(12, 0)]);
}

#[test]
fn after_a_lost_base_nothing_passes_until_the_long_term_reference() {
    let mut assembler = fresh();
    play(&mut assembler, 0..8);
    let outputs = play(&mut assembler, 9..16);
    assert!(released(&outputs).is_empty());
    assert_eq!(asked(&outputs), [Recovery::LongTermReference]);
    assert!(lost(&outputs).contains(&(8, true)));
    let now = 16 * FRAME_US;
    assembler.push(restart(16, 0, &[unit_id(4, 0)]), now);
    assembler.push(restart(16, 1, &[unit_id(16, 0)]), now);
    assembler.push(restart(16, 2, &[unit_id(16, 1)]), now);
    let mut outputs = drain(&mut assembler, now);
    outputs.extend(play(&mut assembler, 17..21));
    assert_eq!(released(&outputs), [(16, 2), (17, 2), (18, 2), (19, 2), (20, 2)]);
}

#[test]
fn a_key_frame_ends_the_freeze_at_once_without_waiting_out_what_it_replaces() {
    let mut assembler = fresh();
    play(&mut assembler, 0..8);
    play(&mut assembler, 9..10);
    let now = 10 * FRAME_US;
    for spatial in 0..3 {
        let below: Vec<u64> = (spatial > 0).then(|| unit_id(10, spatial - 1)).into_iter().collect();
        assembler.push(LayerInput { key: true, ..restart(10, spatial, &below) }, now);
    }
    assert_eq!(released(&drain(&mut assembler, now + 40_000)), [(10, 2)]);
}

#[test]
fn an_unanswered_request_is_repeated_and_then_raised_to_a_key_frame() {
    let mut assembler = fresh();
    play(&mut assembler, 0..8);
    let outputs = play(&mut assembler, 9..32);
    let long_term = Recovery::LongTermReference;
    assert_eq!(asked(&outputs), [long_term, long_term, Recovery::KeyFrame]);
}

#[test]
fn a_long_term_picture_that_does_not_help_is_followed_by_a_key_request() {
    let mut assembler = fresh();
    play(&mut assembler, 0..8);
    let outputs = play(&mut assembler, 9..14);
    assert_eq!(asked(&outputs), [Recovery::LongTermReference]);
    assembler.push(restart(16, 0, &[unit_id(12, 0)]), 20 * FRAME_US);
    assert_eq!(asked(&drain(&mut assembler, 24 * FRAME_US)), [Recovery::KeyFrame]);
}

#[test]
fn a_newcomer_without_a_key_frame_asks_for_one_and_counts_nothing_lost() {
    let mut assembler = fresh();
    let mut outputs = play(&mut assembler, 41..48);
    outputs.extend(drain(&mut assembler, 60 * FRAME_US));
    assert!(released(&outputs).is_empty() && lost(&outputs).is_empty());
    assert_eq!(asked(&outputs)[0], Recovery::KeyFrame);
}

#[test]
fn a_newcomer_gets_the_whole_cached_group_at_once() {
    let mut assembler = fresh();
    for number in (0..60).rev() {
        (0..3).for_each(|spatial| assembler.push(layer(number, spatial), 0));
    }
    let outputs = drain(&mut assembler, 0);
    assert_eq!(released(&outputs).len(), 60);
    assert_eq!(outputs.len(), 60);
}

#[test]
fn a_failed_decoder_gets_nothing_but_a_key_frame() {
    let mut assembler = fresh();
    play(&mut assembler, 0..8);
    assembler.decoder_failed(8 * FRAME_US);
    assert_eq!(asked(&drain(&mut assembler, 8 * FRAME_US)), [Recovery::KeyFrame]);
    assert!(released(&play(&mut assembler, 8..16)).is_empty());
    assembler.push(LayerInput { key: true, end_of_unit: true, ..restart(16, 0, &[]) }, 16 * FRAME_US);
    assert_eq!(released(&drain(&mut assembler, 17 * FRAME_US)), [(16, 0)]);
}

#[test]
fn contradictions_are_refused() {
    let mut assembler = fresh();
    let good = layer(0, 0);
    let bad = [
        LayerInput { spatial: 3, unit_id: unit_id(0, 3), ..good.clone() },
        LayerInput { unit_id: 1, ..good.clone() },
        LayerInput { references: vec![0], ..good.clone() },
        LayerInput { references: vec![0; 9], ..layer(4, 0) },
        LayerInput { data: Bytes::new(), ..good.clone() },
        LayerInput { frame_number: u64::MAX, unit_id: u64::MAX, ..good.clone() },
    ];
    let count = bad.len() as u64;
    bad.into_iter().for_each(|input| assembler.push(input, 0));
    assert!(drain(&mut assembler, u64::MAX).is_empty());
    assert_eq!(assembler.counters().refused, count);
}

#[test]
fn what_is_held_is_bounded_in_pictures_and_bytes() {
    let mut assembler = fresh();
    (1..2_000).for_each(|number| assembler.push(layer(number * 4, 0), 0));
    assert_eq!(assembler.counters().refused, 1_999 - 512);
    let mut assembler = fresh();
    let data = Bytes::from(vec![0; 2 << 20]);
    (1..100).for_each(|number| assembler.push(LayerInput { data: data.clone(), ..layer(number * 4, 0) }, 0));
    assert_eq!(assembler.counters().refused, 99 - 16);
    drain(&mut assembler, u64::MAX);
    assembler.push(layer(800, 0), u64::MAX);
    assert_eq!(assembler.counters().refused, 99 - 16, "room again");
}
