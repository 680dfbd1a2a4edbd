//! Whatever happens in whatever order: the machine keeps its laws.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod mesh_lab;

use std::collections::BTreeMap;

use edge_alm::mesh::{
    ACTIVE_MAX, ASKED_MAX, Action, Arrival, BANS_MAX, DropWhy, EVIDENCE_MAX, Key, Media, Mesh, Misdeed, OFFERS_MAX,
    Opens, Origin, Reason, Role, Snapshot, Verdict,
};
use edge_wire::id::Fingerprint;
use edge_wire::layer::{Layer, Policy};
use mesh_lab::{OWN, chain, config, fp, offer};
use proptest::prelude::*;
use proptest::test_runner::{Config, RngSeed};

const PEERS: u8 = 12;

#[derive(Debug, Clone)]
enum Op {
    Wait(u64),
    Offer { hops: Vec<u8>, told_by: u8, measured: u64, full: u8 },
    Withdraw(u8),
    Linked { peer: u8, rtt_ms: u32, hops: Vec<u8> },
    Refused { peer: u8, reason: u8 },
    Lost(u8),
    Rerouted { peer: u8, hops: Vec<u8> },
    Chunk { peer: u8, epoch: u64, seq: u64, layer: u8, end: u8 },
    Burst { seq: u64, late_ms: u64, bad: u8 },
    Disagreed(u8, u8),
    Measured(u8, u32),
    Want(u8, u8),
    Pin(Option<u8>),
}

fn hops() -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(prop_oneof![9 => 0..PEERS, 1 => Just(OWN)], 0..5)
}

fn op() -> impl Strategy<Value = Op> {
    let peer = || 0..PEERS;
    prop_oneof![
        6 => (0..400_u64).prop_map(Op::Wait),
        1 => (400..40_000_u64).prop_map(Op::Wait),
        6 => (hops(), peer(), 0..50_u64, 0..4_u8)
            .prop_map(|(hops, told_by, measured, full)| Op::Offer { hops, told_by, measured, full }),
        1 => peer().prop_map(Op::Withdraw),
        8 => (peer(), 0..300_u32, hops()).prop_map(|(peer, rtt_ms, hops)| Op::Linked { peer, rtt_ms, hops }),
        2 => (peer(), 0..5_u8).prop_map(|(peer, reason)| Op::Refused { peer, reason }),
        2 => peer().prop_map(Op::Lost),
        2 => (peer(), hops()).prop_map(|(peer, hops)| Op::Rerouted { peer, hops }),
        6 => (peer(), 0..9_u64, any::<u64>(), any::<u8>(), any::<u8>())
            .prop_map(|(peer, epoch, seq, layer, end)| Op::Chunk { peer, epoch, seq, layer, end }),
        12 => (0..2_000_u64, 0..400_u64, 0..8_u8).prop_map(|(seq, late_ms, bad)| Op::Burst { seq, late_ms, bad }),
        1 => (peer(), peer()).prop_map(|(a, b)| Op::Disagreed(a, b)),
        1 => (peer(), any::<u32>()).prop_map(|(peer, rtt_ms)| Op::Measured(peer, rtt_ms)),
        1 => (any::<u8>(), any::<u8>()).prop_map(|(spatial, temporal)| Op::Want(spatial, temporal)),
        1 => prop::option::of(0..3_u8).prop_map(Op::Pin),
    ]
}

/// What an observer knows.
struct World {
    mesh: Mesh,
    now_ms: u64,
    /// Ways that the newest offer of each peer names.
    ways: BTreeMap<Fingerprint, (u64, Vec<Fingerprint>)>,
    parents: Vec<Fingerprint>,
    actions: Vec<(u64, Action)>,
}

impl World {
    fn new(opens: Opens, seed: u64) -> Self {
        let mesh = Mesh::new(edge_alm::mesh::Config { opens, ..config(seed) }, 0);
        Self { mesh, now_ms: 0, ways: BTreeMap::new(), parents: Vec::new(), actions: Vec::new() }
    }

    fn apply(&mut self, op: &Op) {
        let now_ms = self.now_ms;
        match op {
            Op::Wait(for_ms) => return self.wait(*for_ms),
            Op::Offer { hops, told_by, measured, full } => self.offer(hops, *told_by, *measured, *full),
            Op::Withdraw(peer) => {
                self.mesh.withdraw(fp(*peer));
                self.ways.remove(&fp(*peer));
            }
            Op::Linked { peer, rtt_ms, hops } => {
                let way: Vec<u8> = hops.iter().copied().chain([*peer]).collect();
                self.mesh.linked(now_ms, fp(*peer), *rtt_ms, &chain(&way));
            }
            Op::Refused { peer, reason } => {
                let reasons = [Reason::Unreachable, Reason::Full, Reason::Loop, Reason::TooDeep, Reason::Other];
                self.parents.retain(|parent| *parent != fp(*peer));
                self.mesh.refused(now_ms, fp(*peer), reasons[usize::from(*reason)]);
            }
            Op::Lost(peer) => {
                self.parents.retain(|parent| *parent != fp(*peer));
                self.mesh.lost(now_ms, fp(*peer));
            }
            Op::Rerouted { peer, hops } => self.mesh.rerouted(now_ms, fp(*peer), &chain(hops)),
            Op::Chunk { peer, epoch, seq, layer, end } => {
                let layer = Layer::new(layer % 5, layer / 5 % 5, layer / 25);
                self.chunk(fp(*peer), Key { epoch: *epoch, seq: *seq }, layer, *end);
            }
            Op::Burst { seq, late_ms, bad } => self.burst(*seq, *late_ms, *bad),
            Op::Disagreed(a, b) => self.mesh.disagreed(now_ms, fp(*a), fp(*b)),
            Op::Measured(peer, rtt_ms) => self.mesh.measured(now_ms, fp(*peer), *rtt_ms),
            Op::Want(spatial, temporal) => self.mesh.want(now_ms, Policy::new(*spatial, *temporal, 0)),
            Op::Pin(step) => self.mesh.pin(now_ms, step.map(|step| Policy::new(step, step, 0))),
        }
        self.drain();
    }

    fn offer(&mut self, hops: &[u8], told_by: u8, measured: u64, full: u8) {
        let Some(last) = hops.last() else { return };
        let mut offer = offer(hops);
        offer.measured_at_unix_ms = measured;
        if full == 0 {
            offer.subscribers = offer.subscribers_max;
        }
        let newest = self.ways.get(&fp(*last)).is_none_or(|(at_ms, _)| measured > *at_ms);
        if newest {
            self.ways.insert(offer.peer, (measured, offer.chain.clone()));
        }
        self.mesh.offer(self.now_ms, Origin::Peer(fp(told_by)), offer);
    }

    fn wait(&mut self, for_ms: u64) {
        let until_ms = self.now_ms + for_ms;
        self.drain();
        while self.now_ms < until_ms {
            let deadline_ms = self.mesh.deadline();
            assert!(deadline_ms > self.now_ms, "a drained machine has nothing to do now");
            self.now_ms = deadline_ms.min(until_ms);
            self.drain();
        }
    }

    /// A stretch of a stream from every parent.
    fn burst(&mut self, from: u64, late_ms: u64, bad: u8) {
        for seq in from..from + 24 {
            for (at, parent) in self.parents.clone().into_iter().enumerate() {
                let back = if at == 0 { late_ms / 20 } else { 0 };
                let end = if usize::from(bad) == at + 5 { 0 } else { 255 };
                self.chunk(parent, Key { epoch: 1, seq: seq.saturating_sub(back) }, Layer::BASE, end);
            }
            self.now_ms += 20;
            self.drain();
        }
    }

    fn chunk(&mut self, peer: Fingerprint, key: Key, layer: Layer, end: u8) {
        let media = if key.seq.is_multiple_of(3) { Media::Sound } else { Media::Picture };
        let arrival =
            Arrival { key, layer, media, bytes: 1_000, age_ms: end.is_multiple_of(2).then_some(u32::from(end) * 9) };
        if self.mesh.arrived(self.now_ms, peer, &arrival) == Verdict::Open {
            match end {
                0..40 => self.mesh.failed(self.now_ms, peer, key),
                40..60 => {}
                60..80 => self.mesh.released(self.now_ms, key),
                _ => self.mesh.opened(self.now_ms, peer, &arrival),
            }
        }
        self.drain();
    }

    fn drain(&mut self) {
        for _ in 0..200 {
            let Some(action) = self.mesh.poll(self.now_ms) else { return self.check(&self.mesh.state()) };
            self.check_action(&action);
            self.actions.push((self.now_ms, action));
        }
        panic!("the machine never ends: {:?}", self.actions.iter().rev().take(6).collect::<Vec<_>>());
    }

    fn check_action(&mut self, action: &Action) {
        match action {
            Action::Subscribe { peer, .. } => {
                assert_ne!(*peer, fp(OWN));
                assert!(!self.parents.contains(peer), "asked twice");
                let (_, way) = self.ways.get(peer).expect("somebody who offers");
                assert!(!way.contains(&fp(OWN)), "asked a descendant");
                let is_banned = self.mesh.state().bans.iter().any(|ban| ban.peer == *peer);
                assert!(!is_banned, "asked somebody who is banned");
                self.parents.push(*peer);
                assert!(self.parents.len() <= ASKED_MAX);
            }
            Action::SetPolicy { peer, .. } => assert!(self.parents.contains(peer)),
            Action::Drop { peer, why } => {
                assert!(self.parents.contains(peer), "dropped somebody who is no parent: {why:?}");
                self.parents.retain(|parent| parent != peer);
            }
            Action::Accuse(evidence) => assert!(evidence.first_ms <= evidence.last_ms && evidence.count > 0),
            Action::Switched { to, from, .. } => {
                assert!(self.parents.contains(to));
                assert_ne!(Some(*to), *from);
            }
            Action::Stranded => {}
        }
    }

    fn check(&self, state: &Snapshot) {
        let mut active: Vec<Fingerprint> = state.links.iter().map(|link| link.peer).collect();
        let mut parents = self.parents.clone();
        active.sort();
        parents.sort();
        assert_eq!(active, parents, "the driver and the machine agree on who is a parent");
        assert!(active.len() <= ASKED_MAX);
        assert!(state.links.iter().filter(|link| !link.chain.is_empty()).count() <= ACTIVE_MAX);
        let primaries: Vec<_> = state.links.iter().filter(|link| link.role == Role::Primary).collect();
        assert!(primaries.len() <= 1);
        assert_eq!(state.primary, primaries.first().map(|link| link.peer));
        assert!(state.links.iter().all(|link| !link.chain.contains(&fp(OWN))));
        assert!(state.bans.iter().all(|ban| !active.contains(&ban.peer)));
        assert!(state.bans.len() <= BANS_MAX && state.evidence.len() <= EVIDENCE_MAX);
        assert!(self.mesh.offers() <= OFFERS_MAX);
        assert!(self.mesh.deadline() > self.now_ms);
    }
}

fn run(opens: Opens, seed: u64, ops: &[Op]) -> World {
    let mut world = World::new(opens, seed);
    ops.iter().for_each(|op| world.apply(op));
    world
}

proptest! {
    #![proptest_config(config_of_runs())]

    #[test]
    fn members_keep_the_laws(seed in any::<u64>(), ops in prop::collection::vec(op(), 1..160)) {
        run(Opens::Inner, seed, &ops);
    }

    #[test]
    fn relays_keep_the_laws(seed in any::<u64>(), ops in prop::collection::vec(op(), 1..160)) {
        run(Opens::OuterOnly, seed, &ops);
    }

    #[test]
    fn equal_inputs_give_equal_actions(seed in any::<u64>(), ops in prop::collection::vec(op(), 1..60)) {
        let (a, b) = (run(Opens::Inner, seed, &ops), run(Opens::Inner, seed, &ops));
        prop_assert_eq!(a.actions, b.actions);
        prop_assert_eq!(a.mesh.state(), b.mesh.state());
    }
}

#[test]
fn the_laws_are_put_to_the_test() {
    let mut world = World::new(Opens::Inner, 3);
    for hops in [vec![1], vec![2], vec![3], vec![4]] {
        world.apply(&Op::Offer { hops, told_by: 9, measured: 1, full: 1 });
    }
    for peer in [1, 2, 3, 4, 1, 2, 3, 4] {
        world.apply(&Op::Linked { peer, rtt_ms: 20, hops: vec![] });
        world.apply(&Op::Wait(500));
    }
    world.apply(&Op::Burst { seq: 10, late_ms: 0, bad: 7 });
    world.apply(&Op::Burst { seq: 34, late_ms: 0, bad: 5 });
    world.apply(&Op::Wait(100));
    let is_forgery = |(_, action): &(u64, Action)| match action {
        Action::Drop { why, .. } => *why == DropWhy::Misdeed(Misdeed::Forgery),
        _ => false,
    };
    assert!(world.actions.iter().any(is_forgery), "{:?}", world.actions);
    assert!(world.mesh.state().counters.opened > 20);
}

fn config_of_runs() -> Config {
    Config { rng_seed: RngSeed::Fixed(0x6d65_7368), failure_persistence: None, ..Config::with_cases(384) }
}
