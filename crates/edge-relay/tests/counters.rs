//! Link counters are dense, whatever the policy lets through and however the queue is drained.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod common;

use common::{STREAM, base, chunk, config, drain, name, open, receiver, relay, wish};
use edge_relay::{Arena, Limits, Relay};
use edge_wire::layer::{Layer, Policy};
use edge_wire::link::Hint;
use proptest::prelude::*;

#[test]
fn rejected_layers_cost_no_counter_and_no_output() {
    let mut relay = relay();
    let dot = relay.subscribe(wish("dot", 1, Policy::BLINKING_DOT), 0).unwrap();
    for seq in 0..10 {
        let layer = Layer::new(0, (seq % 2) as u8, 0);
        let admitted = relay.forward(STREAM, chunk(seq, layer, 10), Hint::default(), 0).unwrap();
        assert_eq!(admitted as u64, 1 - seq % 2);
    }
    let sent = drain(&mut relay, dot, 0);
    assert_eq!(
        sent.iter().map(|sent| (sent.seq.0, sent.header.seq.0)).collect::<Vec<_>>(),
        [(0, 0), (1, 2), (2, 4), (3, 6), (4, 8)]
    );
    assert_eq!(relay.stats(dot).unwrap().dropped.policy, 5);
}

#[test]
fn a_new_policy_keeps_key_and_counter() {
    let mut relay = relay();
    let a = relay.subscribe(wish("a", 1, Policy::BLINKING_DOT), 0).unwrap();
    let mut receiver = receiver("a", 1);
    relay.forward(STREAM, base(0), Hint::default(), 0).unwrap();
    open(&mut receiver, &drain(&mut relay, a, 0)[0]).unwrap();
    relay.set_policy(STREAM, &name("a"), Policy::UNCAPPED).unwrap();
    relay.forward(STREAM, chunk(1, Layer::new(1, 1, 1), 10), Hint::default(), 0).unwrap();
    let sent = drain(&mut relay, a, 0);
    assert_eq!(sent[0].seq.0, 1);
    open(&mut receiver, &sent[0]).unwrap();
}

#[test]
fn chunks_shed_from_a_full_queue_leave_no_hole_in_the_counter() {
    let mut limits = Limits::default();
    limits.queue.messages_max = 4;
    let mut relay = Relay::new(limits);
    let a = relay.subscribe(wish("a", 1, Policy::UNCAPPED), 0).unwrap();
    for seq in 0..20 {
        relay.forward(STREAM, base(seq), Hint::default(), 0).unwrap();
    }
    let sent = drain(&mut relay, a, 0);
    assert_eq!(sent.iter().map(|sent| sent.header.seq.0).collect::<Vec<_>>(), [16, 17, 18, 19]);
    assert_eq!(sent.iter().map(|sent| sent.seq.0).collect::<Vec<_>>(), [0, 1, 2, 3]);
    assert_eq!(relay.stats(a).unwrap().dropped.base, 16);
}

proptest! {
    #![proptest_config(config(0x5eed_0010, 128))]

    /// Random chunks, policies, drains and re-subscriptions: every message opens at its subscriber under the current
    /// key with the next counter, to exactly the chunk that was forwarded.
    #[test]
    fn every_message_opens_with_the_next_counter(
        ops in prop::collection::vec((0u8..8, 0usize..4, any::<u8>(), any::<bool>()), 1..120),
    ) {
        let mut relay = relay();
        let arena = Arena::new();
        let names = ["a", "b", "c", "d"];
        let mut keys = 1u8..=250;
        let mut children: Vec<_> = names.iter().map(|name| {
            let key = keys.next().unwrap();
            (relay.subscribe(wish(name, key, Policy::UNCAPPED), 0).unwrap(), receiver(name, key), 0u64)
        }).collect();
        let mut forwarded = Vec::new();
        for (op, who, value, framed) in ops {
            match op {
                0 => {
                    let key = keys.next().unwrap();
                    let handle = relay.subscribe(wish(names[who], key, Policy::UNCAPPED), 0).unwrap();
                    children[who] = (handle, receiver(names[who], key), 0);
                }
                1 => relay.set_policy(STREAM, &name(names[who]), Policy::new(value % 3, value % 4, 0)).unwrap(),
                2 | 3 => {
                    let (handle, receiver, next) = &mut children[who];
                    if let Some(sent) = relay.poll(*handle, 0, &arena).unwrap() {
                        prop_assert_eq!(sent.seq.0, *next);
                        *next += 1;
                        let opened = open(receiver, &sent).unwrap();
                        prop_assert_eq!(&opened, &forwarded[opened.header.seq.0 as usize]);
                    }
                }
                _ => {
                    let seq = forwarded.len() as u64;
                    let inner = chunk(seq, Layer::new(value % 3, value / 3 % 3, 0), usize::from(value));
                    let (key, frame_start) = (framed && value % 5 == 0, framed && value % 3 == 0);
                    let hint = Hint { key, frame_start, ..Hint::default() };
                    relay.forward(STREAM, inner.clone(), hint, 0).unwrap();
                    forwarded.push(inner);
                }
            }
        }
    }
}
