//! What a link does to packets.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use edge_sim::link::{Drop, Link, Loss, Model, Path, Queue, Sent};
use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

#[test]
fn a_plain_path_only_delays() {
    let mut link = Link::new(Model { delay_us: 20_000, ..Model::default() }, 1);
    assert_eq!(link.send(5, 1200).first_us(), Some(20_005));
    assert_eq!(link.send(6, 1200).first_us(), Some(20_006));
}

#[test]
fn the_rate_spaces_packets_and_the_queue_drops_what_does_not_fit() {
    let rate = Model { rate_kbps: 9_600, queue: Queue::Packets(3), ..Model::default() };
    let mut link = Link::new(rate, 1);
    let times: Vec<_> = (0..5).map(|_| link.send(0, 1200).first_us()).collect();
    assert_eq!(times, [Some(1000), Some(2000), Some(3000), None, None]);
    assert_eq!(link.send(1000, 1200).first_us(), Some(4000), "one has left, one fits");
    assert_eq!(link.counters().queue_drops, 2);

    let mut bytes = Link::new(Model { queue: Queue::Bytes(2400), ..rate }, 1);
    let times: Vec<_> = (0..3).map(|_| bytes.send(0, 1200).first_us()).collect();
    assert_eq!(times, [Some(1000), Some(2000), None]);
    let mut big = Link::new(Model { queue: Queue::Bytes(100), ..rate }, 1);
    assert!(big.send(0, 1200).first_us().is_some(), "an idle link takes a packet longer than its queue");
}

#[test]
fn loss_rates_are_met_and_bursts_have_their_length() {
    for loss in [Loss::Uniform { ppm: 50_000 }, Loss::bursts(50_000, 5)] {
        let mut link = Link::new(Model { loss, ..Model::default() }, 9);
        let lost: Vec<bool> = (0..200_000).map(|i| link.send(i, 100).first_us().is_none()).collect();
        let count = lost.iter().filter(|&&lost| lost).count();
        assert!((9_000..11_000).contains(&count), "{loss:?}: {count} of 200000");
        let bursts = lost.windows(2).filter(|pair| !pair[0] && pair[1]).count();
        let mean = count as f64 / bursts as f64;
        match loss {
            Loss::Uniform { .. } => assert!((1.0..1.2).contains(&mean), "{mean}"),
            _ => assert!((4.5..5.5).contains(&mean), "{mean}"),
        }
    }
}

#[test]
fn a_cut_path_drops_everything_until_it_is_restored() {
    let mut link = Link::new(Model::default(), 1);
    link.set_path(Path::Cut);
    assert_eq!(link.send(0, 1), Sent::Dropped(Drop::Partition));
    link.set_path(Path::Up);
    assert!(link.send(1, 1).first_us().is_some());
}

#[test]
fn duplicates_and_reordering_happen_as_often_as_asked() {
    let model = Model { delay_us: 10_000, reorder_ppm: 20_000, duplicate_ppm: 30_000, ..Model::default() };
    let mut link = Link::new(model, 4);
    let mut overtaken = 0;
    let mut newest = 0;
    for i in 0..100_000u64 {
        let Sent::Delivered(deliveries) = link.send(i * 1000, 100) else { panic!("no loss in this model") };
        let first = deliveries.times()[0];
        overtaken += u64::from(first > i * 1000 + 10_000);
        newest = newest.max(first);
    }
    let counters = link.counters();
    assert!((1_800..2_200).contains(&counters.reordered), "{counters:?}");
    assert!((2_800..3_200).contains(&counters.duplicates), "{counters:?}");
    assert_eq!(overtaken, counters.reordered);
}

#[test]
fn any_model_is_reproducible_and_never_delivers_early_or_out_of_order() {
    let config = Config { cases: 256, failure_persistence: None, ..Config::default() };
    let mut runner = TestRunner::new_with_rng(config, TestRng::from_seed(RngAlgorithm::ChaCha, &[7; 32]));
    let model = (0..80_000u64, 0..30_000u64, 0..300_000u32, 0..20_000u64, 0..50u32);
    let packets = prop::collection::vec((0..5_000u64, 0..20_000usize), 1..80);
    runner
        .run(&(model, packets, any::<u64>()), |((delay_us, jitter_us, ppm, rate_kbps, queue), packets, seed)| {
            let queue = Queue::Packets(queue);
            let loss = Loss::Uniform { ppm };
            let model = Model { delay_us, jitter_us, loss, rate_kbps, queue, ..Model::default() };
            let (mut one, mut two) = (Link::new(model, seed), Link::new(model, seed));
            let (mut now, mut newest) = (0, 0);
            for (gap, len) in packets {
                now += gap;
                let sent = one.send(now, len);
                prop_assert_eq!(sent, two.send(now, len));
                if let Some(at) = sent.first_us() {
                    prop_assert!(at >= newest && at >= now + delay_us.saturating_sub(jitter_us));
                    newest = at;
                }
            }
            Ok(())
        })
        .unwrap();
}
