//! A slow child loses enhancement first and whole groups of pictures then; sound and siblings never notice.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod common;

use common::scalable::{Kind, Publisher, Viewer};
use common::{STREAM, audio, base, config, drain, drained_seqs, name, wish};
use edge_relay::{Handle, Limits, Need, Relay, Transmit};
use edge_wire::layer::Policy;
use edge_wire::link::Hint;
use proptest::prelude::*;

const SIZES: [usize; 3] = [100, 250, 650];
const FRAME_MS: u64 = 33;

struct Stage {
    relay: Relay,
    publisher: Publisher,
    slow: Handle,
    fast: Handle,
    now_ms: u64,
}

impl Stage {
    fn new(limits: Limits) -> Self {
        let mut relay = Relay::new(limits);
        let slow = relay.subscribe(wish("a-slow", 1, Policy::UNCAPPED), 0).unwrap();
        let fast = relay.subscribe(wish("b-fast", 2, Policy::UNCAPPED), 0).unwrap();
        Self { relay, publisher: Publisher::new(3), slow, fast, now_ms: 0 }
    }

    /// Publishes frames, of which the fast child takes everything at once.
    fn frames(&mut self, count: usize, first: Kind) {
        for at in 0..count {
            self.frame(if at == 0 { first } else { Kind::Delta });
        }
    }

    fn frame(&mut self, kind: Kind) {
        for (inner, hint) in self.publisher.next_frame(kind, SIZES) {
            let seq = inner.header.seq.0;
            self.relay.forward(STREAM, inner, hint, self.now_ms).unwrap();
            assert_eq!(drained_seqs(&mut self.relay, self.fast, self.now_ms), [seq]);
        }
        self.now_ms += FRAME_MS;
    }

    fn layers(&self, sent: &[Transmit]) -> Vec<(u64, u8)> {
        sent.iter().map(|sent| self.publisher.piece_of(sent.header.seq.0).cell).map(|c| (c.frame, c.spatial)).collect()
    }
}

#[test]
fn a_full_queue_gives_up_the_top_spatial_layer_first() {
    let mut limits = Limits::default();
    limits.queue.bytes_max = 5_500;
    let mut stage = Stage::new(limits);
    stage.frames(6, Kind::Key);
    let sent = drain(&mut stage.relay, stage.slow, stage.now_ms);
    let expected: Vec<_> = (0..6).flat_map(|frame| [(frame, 0), (frame, 1)]).collect();
    assert_eq!(stage.layers(&sent), expected);
    let dropped = stage.relay.stats(stage.slow).unwrap().dropped;
    assert_eq!((dropped.spatial, dropped.dependency, dropped.temporal, dropped.base), (6, 0, 0, 0));
    assert_eq!(stage.relay.stats(stage.fast).unwrap().dropped, edge_relay::Dropped::default());
}

#[test]
fn temporal_layers_go_before_the_base_and_come_back_by_themselves() {
    let mut limits = Limits::default();
    limits.queue.messages_max = 6;
    let mut stage = Stage::new(limits);
    stage.relay.set_policy(STREAM, &name("a-slow"), Policy::new(0, 255, 0)).unwrap();
    stage.frames(7, Kind::Key);
    let sent = drain(&mut stage.relay, stage.slow, stage.now_ms);
    assert_eq!(stage.layers(&sent), [(0, 0), (2, 0), (4, 0), (6, 0)], "0 2 1 2 0 2 1 without its twos");
    stage.frames(3, Kind::Delta);
    let sent = drain(&mut stage.relay, stage.slow, stage.now_ms);
    assert_eq!(stage.layers(&sent), [(8, 0), (9, 0)], "with the next frame of a lower temporal layer");
    let stats = stage.relay.stats(stage.slow).unwrap();
    assert_eq!((stats.dropped.temporal, stats.dropped.base, stats.skipped_to_key), (3, 0, 0));
}

#[test]
fn when_the_base_does_not_fit_the_child_waits_for_the_next_key_frame() {
    let mut limits = Limits::default();
    limits.queue.messages_max = 3;
    let mut stage = Stage::new(limits);
    stage.frames(20, Kind::Key);
    let at = stage.now_ms;
    assert!(drain(&mut stage.relay, stage.slow, at).is_empty());
    assert_eq!(stage.relay.need(stage.slow, at), Some(Need::Key));
    assert_eq!(stage.relay.need(stage.fast, at), None);
    assert_eq!(stage.relay.stream_need(STREAM, at), Some(Need::Key));
    assert_eq!(stage.relay.stats(stage.slow).unwrap().skipped_to_key, 1);

    stage.now_ms += 3_000;
    stage.frame(Kind::Key);
    let sent = drain(&mut stage.relay, stage.slow, stage.now_ms);
    assert_eq!(stage.layers(&sent), [(20, 0), (20, 1), (20, 2)]);
    assert_eq!(stage.relay.need(stage.slow, stage.now_ms), None);
}

#[test]
fn a_key_frame_that_already_waits_is_where_the_child_goes_on() {
    let mut limits = Limits::default();
    limits.queue.messages_max = 4;
    let mut stage = Stage::new(limits);
    stage.relay.set_policy(STREAM, &name("a-slow"), Policy::BLINKING_DOT).unwrap();
    stage.frames(13, Kind::Key);
    stage.frame(Kind::Key);
    assert_eq!(stage.relay.stats(stage.slow).unwrap().queued, 1, "five base chunks are one too many");
    let sent = drain(&mut stage.relay, stage.slow, stage.now_ms);
    assert_eq!(stage.layers(&sent), [(13, 0)]);
}

#[test]
fn a_stalled_child_gets_nothing_that_is_too_old() {
    let mut stage = Stage::new(Limits::default());
    stage.frames(30, Kind::Key);
    assert!(stage.relay.stats(stage.slow).unwrap().queued > 0);
    stage.now_ms += 5_000;
    assert!(drain(&mut stage.relay, stage.slow, stage.now_ms).is_empty());
    assert_eq!(stage.relay.need(stage.slow, stage.now_ms + 5_000), Some(Need::Key));
}

#[test]
fn late_enhancement_goes_one_layer_at_a_time_while_the_base_stays() {
    let mut stage = Stage::new(Limits::default());
    let dropped = |stage: &Stage| {
        let dropped = stage.relay.stats(stage.slow).unwrap().dropped;
        (dropped.spatial, dropped.dependency, dropped.temporal + dropped.base)
    };
    stage.frames(8, Kind::Key);
    assert_eq!(dropped(&stage), (0, 0, 0));
    stage.frame(Kind::Delta);
    assert_eq!(dropped(&stage), (8, 1, 0), "the third layer of all that waited, and of the frame that made it late");
    stage.frames(3, Kind::Delta);
    assert_eq!(dropped(&stage), (8, 4, 0), "then the child has time to catch up");
    stage.frame(Kind::Delta);
    assert_eq!(dropped(&stage), (20, 6, 0), "and then the second layer goes as well");
    let sent = drain(&mut stage.relay, stage.slow, stage.now_ms);
    assert_eq!(stage.layers(&sent), (0..13).map(|frame| (frame, 0)).collect::<Vec<_>>());
}

#[test]
fn dropped_spatial_layers_come_back_at_a_switch_and_not_too_soon() {
    let mut limits = Limits::default();
    limits.queue.bytes_max = 5_500;
    let mut stage = Stage::new(limits);
    stage.frames(6, Kind::Key);
    drain(&mut stage.relay, stage.slow, stage.now_ms);
    assert_eq!(stage.relay.need(stage.slow, stage.now_ms), None, "it has just proved too slow");
    stage.frame(Kind::Switch(2));
    let sent = drain(&mut stage.relay, stage.slow, stage.now_ms);
    assert_eq!(stage.layers(&sent), [(6, 0), (6, 1)]);

    stage.now_ms += 2_000;
    assert_eq!(stage.relay.need(stage.slow, stage.now_ms), Some(Need::Switch { spatial: 2 }));
    stage.frame(Kind::Delta);
    let sent = drain(&mut stage.relay, stage.slow, stage.now_ms);
    assert_eq!(stage.layers(&sent), [(7, 0), (7, 1)]);
    stage.frame(Kind::Switch(2));
    let sent = drain(&mut stage.relay, stage.slow, stage.now_ms);
    assert_eq!(stage.layers(&sent), [(8, 0), (8, 1), (8, 2)]);
    assert_eq!(stage.relay.need(stage.slow, stage.now_ms), None);
}

#[test]
fn a_higher_policy_takes_effect_at_a_switch() {
    let mut stage = Stage::new(Limits::default());
    stage.relay.set_policy(STREAM, &name("a-slow"), Policy::BLINKING_DOT).unwrap();
    stage.frames(4, Kind::Key);
    assert_eq!(stage.relay.need(stage.slow, stage.now_ms), None, "it wants no more than it gets");
    stage.relay.set_policy(STREAM, &name("a-slow"), Policy::UNCAPPED).unwrap();
    assert_eq!(stage.relay.need(stage.slow, stage.now_ms), Some(Need::Switch { spatial: 1 }));
    drain(&mut stage.relay, stage.slow, stage.now_ms);
    stage.frame(Kind::Delta);
    let sent = drain(&mut stage.relay, stage.slow, stage.now_ms);
    assert_eq!(stage.layers(&sent), [(4, 0)]);
    stage.frame(Kind::Switch(1));
    let sent = drain(&mut stage.relay, stage.slow, stage.now_ms);
    assert_eq!(stage.layers(&sent), [(5, 0), (5, 1), (5, 2)]);
}

#[test]
fn sound_goes_first_and_is_dropped_only_when_old() {
    let mut limits = Limits::default();
    limits.queue.messages_max = 3;
    let mut stage = Stage::new(limits);
    let seqs = 1_000..1_010;
    for seq in seqs.clone() {
        stage.frame(if seq == seqs.start { Kind::Key } else { Kind::Delta });
        let (inner, hint) = audio(seq);
        stage.relay.forward(STREAM, inner, hint, stage.now_ms).unwrap();
        drain(&mut stage.relay, stage.fast, stage.now_ms);
    }
    stage
        .relay
        .forward(STREAM, base(2_000), Hint { key: true, frame_start: true, ..Hint::default() }, stage.now_ms)
        .unwrap();
    let sent = drained_seqs(&mut stage.relay, stage.slow, stage.now_ms);
    assert_eq!(sent, seqs.chain([2_000]).collect::<Vec<_>>(), "all sound, though no picture fitted");

    let (inner, hint) = audio(3_000);
    stage.relay.forward(STREAM, inner, hint, stage.now_ms).unwrap();
    assert!(drain(&mut stage.relay, stage.slow, stage.now_ms + 501).is_empty());
    assert_eq!(stage.relay.stats(stage.slow).unwrap().dropped.audio, 1);
}

#[test]
fn sound_that_nobody_takes_is_bounded() {
    let mut stage = Stage::new(Limits::default());
    for seq in 0..1_000 {
        let (inner, hint) = audio(seq);
        stage.relay.forward(STREAM, inner, hint, 0).unwrap();
    }
    let sent = drained_seqs(&mut stage.relay, stage.slow, 0);
    assert_eq!(sent, (744..1_000).collect::<Vec<_>>());
}

proptest! {
    #![proptest_config(config(0x5eed_0030, 100))]

    /// The fast child's messages are the same to the byte whatever the slow one does.
    #[test]
    fn a_sibling_is_served_as_if_it_were_alone(
        polls in prop::collection::vec((0usize..6, 0u64..400), 20..80),
        bytes_max in 1_000usize..20_000,
    ) {
        let run = |slow: bool| {
            let mut limits = Limits::default();
            limits.queue.bytes_max = bytes_max;
            let mut relay = Relay::new(limits);
            let fast = relay.subscribe(wish("b-fast", 2, Policy::UNCAPPED), 0).unwrap();
            let slow = slow.then(|| relay.subscribe(wish("a-slow", 1, Policy::UNCAPPED), 0).unwrap());
            let (mut publisher, mut viewer) = (Publisher::new(3), Viewer::default());
            let (mut now_ms, mut out) = (0, Vec::new());
            for (at, &(count, wait_ms)) in polls.iter().enumerate() {
                let kind = if at % 15 == 0 { Kind::Key } else { Kind::Delta };
                for (inner, hint) in publisher.next_frame(kind, [50, 100, 200]) {
                    relay.forward(STREAM, inner, hint, now_ms).unwrap();
                }
                for sent in drain(&mut relay, fast, now_ms) {
                    viewer.take(publisher.piece_of(sent.header.seq.0)).unwrap();
                    out.push(sent.message.to_vec());
                }
                now_ms += wait_ms;
                if let Some(slow) = slow {
                    let arena = edge_relay::Arena::new();
                    (0..count).for_each(|_| drop(relay.poll(slow, now_ms, &arena).unwrap()));
                }
            }
            (out, viewer.count(), publisher.pieces())
        };
        let (alone, with_sibling) = (run(false), run(true));
        prop_assert_eq!(alone.1, alone.2);
        prop_assert_eq!(alone, with_sibling);
    }
}
