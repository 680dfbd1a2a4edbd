//! The playout buffer: order, holes, pauses, drift and bounds.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

#[allow(dead_code)]
mod audio_support;

use edge_codec::audio::{Arrival, EncoderConfig, Jitter, JitterConfig, MAX_WAITING, Origin, Played, has_fec};

const TICK_US: u64 = 20_000;

fn packets(count: usize) -> Vec<Vec<u8>> {
    audio_support::packets(EncoderConfig::VOICE, count)
}

/// Runs one tick a 20 ms: packets whose `arrival(seq)` time has come are pushed, then all that is due is played.
fn run(count: usize, ticks: u64, arrival: impl Fn(u64) -> Option<u64>) -> (Jitter, Vec<Played>) {
    let packets = packets(count);
    let mut jitter = Jitter::new(JitterConfig::VOICE).unwrap();
    let mut played = Vec::new();
    let mut order: Vec<(u64, u64)> = (0..count as u64).filter_map(|seq| Some((arrival(seq)?, seq))).collect();
    order.sort_unstable();
    let mut order = order.into_iter().peekable();
    for tick in 0..ticks {
        let now_us = tick * TICK_US;
        while let Some((_, seq)) = order.next_if(|(at_us, _)| *at_us <= now_us) {
            jitter.push(seq, seq * TICK_US, &packets[seq as usize], now_us);
        }
        while let Some(block) = jitter.poll(now_us) {
            assert_eq!(block.pcm.len(), 960);
            played.push(block);
        }
    }
    (jitter, played)
}

fn steady(seq: u64) -> Option<u64> {
    Some(seq * TICK_US)
}

#[test]
fn packets_in_time_play_one_a_tick_in_order() {
    let (jitter, played) = run(50, 50, steady);
    assert_eq!(played.len(), 48, "two ticks of delay");
    assert!(played.iter().all(|block| block.origin == Origin::Packet));
    let times: Vec<u64> = played.iter().map(|block| block.pts_us).collect();
    assert_eq!(times, (0..48).map(|seq| seq * TICK_US).collect::<Vec<_>>());
    assert_eq!((jitter.counters().received, jitter.counters().late, jitter.counters().plc), (50, 0, 0));
}

#[test]
fn reordered_packets_are_put_in_order() {
    let (jitter, played) = run(40, 40, |seq| Some((seq ^ 1) * TICK_US));
    assert!(played.iter().all(|block| block.origin == Origin::Packet));
    assert!(played.windows(2).all(|pair| pair[0].pts_us + TICK_US == pair[1].pts_us));
    assert_eq!(jitter.counters().late, 0);
}

#[test]
fn single_losses_are_recovered_from_the_next_packet() {
    let sent = packets(200);
    let lost: Vec<u64> = (3..195).step_by(7).filter(|seq| has_fec(&sent[*seq as usize + 1])).collect();
    assert!(lost.len() >= 10, "{lost:?}");
    let (jitter, played) = run(200, 200, |seq| (!lost.contains(&seq)).then_some(seq * TICK_US));
    let recovered: Vec<u64> =
        played.iter().filter(|block| block.origin == Origin::Fec).map(|block| block.pts_us / TICK_US).collect();
    assert_eq!(recovered, lost);
    assert_eq!(jitter.counters().plc, 0);
    assert!(played.windows(2).all(|pair| pair[0].pts_us + TICK_US == pair[1].pts_us));
}

#[test]
fn a_burst_is_guessed_up_to_its_last_frame_which_is_recovered() {
    let (jitter, played) = run(40, 40, |seq| (!(10..13).contains(&seq)).then_some(seq * TICK_US));
    let origins: Vec<Origin> = played[9..14].iter().map(|block| block.origin).collect();
    assert_eq!(origins, [Origin::Packet, Origin::Guess, Origin::Guess, Origin::Fec, Origin::Packet]);
    assert_eq!((jitter.counters().fec, jitter.counters().plc), (1, 2));
    assert!(played.windows(2).all(|pair| pair[0].pts_us + TICK_US == pair[1].pts_us), "the place in time is kept");
}

#[test]
fn a_long_outage_fades_to_silence_and_does_not_add_delay() {
    let (jitter, played) = run(120, 120, |seq| (!(30..80).contains(&seq)).then_some(seq * TICK_US));
    let silent = played.iter().filter(|block| block.origin == Origin::Silence).count();
    assert!((40..48).contains(&silent), "{silent}");
    let last = played.last().unwrap();
    assert_eq!((last.origin, last.pts_us), (Origin::Packet, 117 * TICK_US));
    assert_eq!(jitter.counters().late, 0);
}

#[test]
fn a_network_pause_loses_nothing_and_the_delay_comes_back() {
    let pause = |seq: u64| Some(if (20..30).contains(&seq) { 30 } else { seq } * TICK_US);
    let (jitter, played) = run(600, 600, pause);
    let counters = jitter.counters();
    assert_eq!(counters.late, 0);
    let heard = played.iter().filter(|block| block.origin == Origin::Packet).count() as u64;
    assert_eq!(heard + counters.skipped, 598, "all but what still waits was played or given up");
    assert!((1..=8).contains(&counters.skipped), "{}", counters.skipped);
    let last = played.last().unwrap();
    assert!(last.pts_us >= 596 * TICK_US, "the delay is back: {}", last.pts_us / TICK_US);
}

#[test]
fn late_and_double_packets_are_counted_and_dropped() {
    let packets = packets(10);
    let mut jitter = Jitter::new(JitterConfig::VOICE).unwrap();
    assert_eq!(jitter.push(5, 0, &packets[5], 0), Arrival::Queued);
    assert_eq!(jitter.push(5, 0, &packets[5], 0), Arrival::Duplicate);
    assert_eq!(jitter.push(4, 0, &packets[4], 0), Arrival::Queued, "nothing was played yet");
    assert_eq!(jitter.poll(39_999), None);
    assert_eq!(jitter.poll(40_000).unwrap().origin, Origin::Packet);
    assert_eq!(jitter.poll(60_000).unwrap().origin, Origin::Packet);
    assert_eq!(jitter.push(3, 0, &packets[3], 60_000), Arrival::Late);
    assert_eq!(jitter.push(6, 0, &[], 60_000), Arrival::Malformed);
    let counters = jitter.counters();
    assert_eq!((counters.received, counters.late, counters.duplicate, counters.malformed), (5, 1, 1, 1));
}

#[test]
fn a_restarted_sender_is_followed() {
    let packets = packets(8);
    let mut jitter = Jitter::new(JitterConfig::VOICE).unwrap();
    jitter.push(1_000_000, 0, &packets[0], 0);
    assert!(jitter.poll(40_000).is_some());
    assert_eq!(jitter.push(0, 7, &packets[1], 60_000), Arrival::Queued);
    assert_eq!(jitter.poll(99_999), None);
    assert_eq!(jitter.poll(100_000).unwrap().pts_us, 7);
    assert_eq!(jitter.counters().restarts, 1);
}

#[test]
fn the_buffer_is_bounded_whatever_the_numbers() {
    let packet = packets(1).remove(0);
    let mut jitter = Jitter::new(JitterConfig::VOICE).unwrap();
    for seq in 0..1_000 {
        jitter.push(seq, u64::MAX, &packet, 0);
    }
    assert_eq!(jitter.counters().skipped, 1_000 - MAX_WAITING as u64);
    for seq in [u64::MAX, 0, u64::MAX - 1, u64::MAX, 7] {
        jitter.push(seq, u64::MAX, &packet, u64::MAX);
        jitter.poll(u64::MAX);
    }
    assert!(jitter.poll(u64::MAX).is_some());
    assert!(Jitter::new(JitterConfig { depth: 0, ..JitterConfig::VOICE }).is_err());
    assert!(Jitter::new(JitterConfig { depth: 33, ..JitterConfig::VOICE }).is_err());
}

#[test]
fn a_stalled_player_does_not_replay_the_stall() {
    let packets = packets(3);
    let mut jitter = Jitter::new(JitterConfig::VOICE).unwrap();
    for seq in 0..3 {
        jitter.push(seq, seq * TICK_US, &packets[seq as usize], 0);
    }
    assert!(jitter.poll(10_000_000).is_some());
    assert_eq!(jitter.poll(10_000_000), None, "one block, then wait for the next tick");
    assert_eq!(jitter.next_due_us(), Some(10_020_000));
}
