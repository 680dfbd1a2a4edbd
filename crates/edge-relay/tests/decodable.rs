//! Whatever a child is sent can be decoded from what it was sent before, under any load.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod common;

use common::scalable::{Kind, Publisher, Viewer};
use common::{STREAM, config, name, wish};
use edge_relay::{Arena, Handle, Limits, Need, Relay, Start, Subscription};
use edge_wire::layer::Policy;
use proptest::prelude::*;

/// What happens next to a stream and its children.
#[derive(Debug, Clone)]
enum Op {
    Frame { kind: Kind, sizes: [usize; 3] },
    Wait { ms: u64 },
    Poll { who: usize, count: usize },
    Policy { who: usize, policy: Policy },
    Resubscribe { who: usize, start: Start },
    AskPublisher,
}

fn op() -> impl Strategy<Value = Op> {
    let size = || prop_oneof![4 => 100usize..3_000, 1 => 3_000usize..30_000];
    let kind = prop_oneof![
        20 => Just(Kind::Delta),
        1 => (1u8..3).prop_map(Kind::Switch),
        1 => Just(Kind::Key),
    ];
    prop_oneof![
        12 => (kind, [size(), size(), size()]).prop_map(|(kind, sizes)| Op::Frame { kind, sizes }),
        4 => (0u64..120).prop_map(|ms| Op::Wait { ms }),
        1 => (500u64..2_500).prop_map(|ms| Op::Wait { ms }),
        12 => (0usize..3, 0usize..12).prop_map(|(who, count)| Op::Poll { who, count }),
        1 => (0usize..3, 0u8..4, 0u8..4).prop_map(|(who, s, t)| Op::Policy { who, policy: Policy::new(s, t, 0) }),
        1 => (0usize..3, any::<bool>()).prop_map(|(who, cached)| {
            Op::Resubscribe { who, start: if cached { Start::Cached } else { Start::Live } }
        }),
        1 => Just(Op::AskPublisher),
    ]
}

struct World {
    relay: Relay,
    arena: Arena,
    publisher: Publisher,
    children: Vec<(Handle, Viewer)>,
    next_key: u8,
    now_ms: u64,
}

impl World {
    fn new(limits: Limits) -> Self {
        let mut world = Self {
            relay: Relay::new(limits),
            arena: Arena::new(),
            publisher: Publisher::new(3),
            children: Vec::new(),
            next_key: 0,
            now_ms: 10_000,
        };
        world.relay.pin(STREAM).unwrap();
        for who in 0..3 {
            let handle = world.subscribe(who, Start::Live);
            world.children.push((handle, Viewer::default()));
        }
        world
    }

    fn subscribe(&mut self, who: usize, start: Start) -> Handle {
        self.next_key += 1;
        let wish = Subscription { start, ..wish(&format!("child-{who}"), self.next_key, Policy::UNCAPPED) };
        self.relay.subscribe(wish, self.now_ms).unwrap()
    }

    fn run(&mut self, op: &Op) -> Result<(), TestCaseError> {
        match *op {
            Op::Frame { kind, sizes } => self.frame(kind, sizes),
            Op::Wait { ms } => self.now_ms += ms,
            Op::Poll { who, count } => self.poll(who, count)?,
            Op::Policy { who, policy } => {
                self.relay.set_policy(STREAM, &name(&format!("child-{who}")), policy).unwrap();
            }
            Op::Resubscribe { who, start } => {
                let handle = self.subscribe(who, start);
                self.children[who] = (handle, Viewer::default());
            }
            Op::AskPublisher => match self.relay.stream_need(STREAM, self.now_ms) {
                Some(Need::Key) => self.frame(Kind::Key, [900, 1800, 3600]),
                Some(Need::Switch { spatial }) => self.frame(Kind::Switch(spatial), [300, 900, 1800]),
                None => {}
            },
        }
        Ok(())
    }

    fn frame(&mut self, kind: Kind, sizes: [usize; 3]) {
        for (inner, hint) in self.publisher.next_frame(kind, sizes) {
            self.relay.forward(STREAM, inner, hint, self.now_ms).unwrap();
        }
    }

    fn poll(&mut self, who: usize, count: usize) -> Result<(), TestCaseError> {
        let (handle, viewer) = &mut self.children[who];
        for _ in 0..count {
            let Some(sent) = self.relay.poll(*handle, self.now_ms, &self.arena).unwrap() else { break };
            let piece = self.publisher.piece_of(sent.header.seq.0);
            prop_assert!(viewer.take(piece).is_ok(), "child {} was sent {:?} without what it needs", who, piece);
        }
        Ok(())
    }
}

proptest! {
    #![proptest_config(config(0x5eed_0020, 400))]

    #[test]
    fn nothing_is_sent_without_what_it_builds_on(
        ops in prop::collection::vec(op(), 1..250),
        bytes_max in prop_oneof![Just(20_000usize), Just(100_000), Just(4 << 20)],
        messages_max in prop_oneof![Just(5usize), Just(40), Just(1024)],
        cache_bytes_max in prop_oneof![Just(10_000usize), Just(50_000), Just(2 << 20)],
        resume_hold_ms in prop_oneof![Just(0u64), Just(2_000)],
        step_ms in prop_oneof![Just(0u64), Just(100)],
    ) {
        let mut limits = Limits::default();
        limits.queue.bytes_max = bytes_max;
        limits.queue.messages_max = messages_max;
        limits.queue.resume_hold_ms = resume_hold_ms;
        limits.queue.step_ms = step_ms;
        limits.cache.bytes_max = cache_bytes_max;
        let mut world = World::new(limits);
        world.frame(Kind::Key, [1000, 2000, 4000]);
        for op in &ops {
            world.run(op)?;
            for (handle, _) in &world.children {
                let stats = world.relay.stats(*handle).unwrap();
                prop_assert!(stats.queued_bytes <= bytes_max && stats.queued <= messages_max);
            }
        }
        for who in 0..3 {
            world.poll(who, usize::MAX)?;
        }
    }

    /// However a child was treated before: once it keeps up and the publisher serves what the relay asks for, it has
    /// every layer of every frame again.
    #[test]
    fn a_child_that_keeps_up_again_gets_everything_again(ops in prop::collection::vec(op(), 1..120)) {
        let mut world = World::new(Limits::default());
        for op in &ops {
            world.run(op)?;
        }
        for who in 0..3 {
            world.run(&Op::Policy { who, policy: Policy::UNCAPPED })?;
            world.poll(who, usize::MAX)?;
        }
        world.now_ms += 3_000;
        for _ in 0..4 {
            world.frame(Kind::Delta, [100, 200, 300]);
            world.run(&Op::AskPublisher)?;
            (0..3).try_for_each(|who| world.poll(who, usize::MAX))?;
        }
        let first = world.publisher.frames();
        for _ in 0..12 {
            world.frame(Kind::Delta, [100, 200, 300]);
            world.now_ms += 33;
            (0..3).try_for_each(|who| world.poll(who, usize::MAX))?;
        }
        for frame in first..world.publisher.frames() {
            for (who, (_, viewer)) in world.children.iter().enumerate() {
                prop_assert!((0..3).all(|spatial| viewer.has(frame, spatial)), "child {} lacks frame {}", who, frame);
            }
        }
    }
}

#[test]
fn a_child_that_keeps_up_gets_every_piece() {
    let mut world = World::new(Limits::default());
    for at in 0..200 {
        world.frame(if at % 60 == 0 { Kind::Key } else { Kind::Delta }, [500, 1500, 4000]);
        world.now_ms += 33;
        (0..3).for_each(|who| world.poll(who, usize::MAX).unwrap());
    }
    for (handle, viewer) in &world.children {
        assert_eq!(viewer.count(), world.publisher.pieces());
        assert_eq!(world.relay.stats(*handle).unwrap().dropped, edge_relay::Dropped::default());
    }
}
