//! One machine, its possible parents and a source, on simulated time.
#![allow(dead_code, unreachable_pub)]

use std::collections::{BTreeMap, BTreeSet};

use edge_alm::mesh::{
    Action, Arrival, Config, DropWhy, Evidence, Key, Media, Mesh, Misdeed, Offer, Opens, Origin, Reason, SwitchWhy,
    Verdict,
};
use edge_wire::id::Fingerprint;
use edge_wire::layer::{Layer, Policy};

pub const SOURCE: u8 = 200;
pub const OWN: u8 = 201;
pub const FRAME_MS: u64 = 33;
pub const SOUND_MS: u64 = 20;
const STEP_MS: u64 = 1;
/// Between two chunks of one number.
const MIXED_MS: u64 = 30;

pub fn fp(n: u8) -> Fingerprint {
    let mut bytes = [n; 32];
    bytes[0] = n.wrapping_mul(37);
    Fingerprint(bytes)
}

pub fn chain(hops: &[u8]) -> Vec<Fingerprint> {
    std::iter::once(SOURCE).chain(hops.iter().copied()).map(fp).collect()
}

pub fn offer(hops: &[u8]) -> Offer {
    let chain = chain(hops);
    Offer {
        peer: *chain.last().unwrap(),
        measured_at_unix_ms: 1_000,
        uplink_kbps: 100_000,
        subscribers_max: 20,
        subscribers: 0,
        layers: Policy::UNCAPPED,
        chain,
        delay_ms: None,
        yields: edge_alm::seats::Yields::default(),
    }
}

pub fn config(seed: u64) -> Config {
    Config {
        own: fp(OWN),
        source: fp(SOURCE),
        wanted: Policy::UNCAPPED,
        opens: Opens::Inner,
        duty: edge_wire::control::Role::Leaf,
        seed,
        layer_kbps: Vec::new(),
    }
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Conduct {
    Honest,
    /// Links and sends nothing.
    Mute,
    /// Real headers of chunks to come with bytes that do not open.
    Garbage,
    /// A relay that is misled by one of its parents: sends each chunk, and before it one that does not open.
    Mixed,
    /// The same the other way round.
    MixedAfter,
    /// Sends each chunk, and an old one with it.
    Replay,
    /// Adds this delay.
    Delay(u64),
    /// Withholds the pictures of the base.
    StarvePicture,
    /// Has no upper layers to send.
    BaseOnly,
    /// Withholds one in two base chunks.
    StarveHalf,
}

pub struct Parent {
    pub hops: Vec<u8>,
    pub delay_ms: u64,
    pub rate_kbps: Option<u64>,
    pub conduct: Conduct,
    pub refuses: Option<Reason>,
    policy: Option<Policy>,
    busy_ms: f64,
    sent: u64,
}

pub struct Lab {
    pub now_ms: u64,
    pub mesh: Mesh,
    pub parents: BTreeMap<Fingerprint, Parent>,
    pub source_paused: bool,
    pub log: Vec<(u64, Action)>,
    /// Base pictures that opened, by capture time.
    pub pictures: Vec<(u64, u64)>,
    pub opened: BTreeSet<Key>,
    pub opened_twice: u64,
    pub layers: BTreeMap<Layer, u64>,
    /// Whether chunks tell their age, which only a member can know.
    pub tells_age: bool,
    /// Whether the first chunk that a parent sent under a number was good.
    first: BTreeMap<(Fingerprint, Key), bool>,
    seq: u64,
    frame: u64,
    events: BTreeMap<(u64, u64), Event>,
    next_event: u64,
}

enum Event {
    Chunk { from: Fingerprint, arrival: Arrival, captured_ms: u64, good: bool },
    Answer { from: Fingerprint },
}

impl Lab {
    pub fn new(config: Config) -> Self {
        Self {
            now_ms: 0,
            mesh: Mesh::new(config, 0),
            parents: BTreeMap::new(),
            source_paused: false,
            log: Vec::new(),
            pictures: Vec::new(),
            opened: BTreeSet::new(),
            opened_twice: 0,
            layers: BTreeMap::new(),
            tells_age: true,
            first: BTreeMap::new(),
            seq: 0,
            frame: 0,
            events: BTreeMap::new(),
            next_event: 0,
        }
    }

    pub fn with(mut self, hops: &[u8], delay_ms: u64, conduct: Conduct) -> Self {
        self.add(hops, delay_ms, conduct);
        self
    }

    pub fn add(&mut self, hops: &[u8], delay_ms: u64, conduct: Conduct) {
        let offer = offer(hops);
        let parent = Parent {
            hops: hops.to_vec(),
            delay_ms,
            rate_kbps: None,
            conduct,
            refuses: None,
            policy: None,
            busy_ms: 0.0,
            sent: 0,
        };
        let peer = offer.peer;
        self.parents.insert(peer, parent);
        self.mesh.offer(self.now_ms, Origin::Ticket, offer);
        self.mesh.measured(self.now_ms, peer, u32::try_from(delay_ms * 2).unwrap());
    }

    pub fn parent(&mut self, n: u8) -> &mut Parent {
        self.parents.get_mut(&fp(n)).unwrap()
    }

    /// The process of a parent ends without a word.
    pub fn kill(&mut self, n: u8) {
        let parent = self.parent(n);
        parent.conduct = Conduct::Mute;
        parent.refuses = Some(Reason::Unreachable);
    }

    pub fn run(&mut self, for_ms: u64) {
        let until_ms = self.now_ms + for_ms;
        while self.now_ms < until_ms {
            self.now_ms += STEP_MS;
            self.produce();
            self.deliver();
            self.drive();
        }
    }

    /// Polls until there is nothing to do.
    pub fn drive(&mut self) {
        for _ in 0..100 {
            let Some(action) = self.mesh.poll(self.now_ms) else {
                assert!(self.mesh.deadline() > self.now_ms, "a drained machine has nothing to do now");
                return;
            };
            self.act(&action);
            self.log.push((self.now_ms, action));
        }
        panic!("the machine never ends: {:?}", self.log.last());
    }

    fn act(&mut self, action: &Action) {
        match action {
            Action::Subscribe { peer, policy } => {
                let parent = self.parents.get_mut(peer).expect("a peer that exists");
                parent.policy = Some(*policy);
                let at_ms = self.now_ms + 2 * parent.delay_ms;
                self.at(at_ms, Event::Answer { from: *peer });
            }
            Action::SetPolicy { peer, policy } => {
                let parent = self.parents.get_mut(peer).unwrap();
                assert!(parent.policy.is_some(), "policies go to parents");
                parent.policy = Some(*policy);
            }
            Action::Drop { peer, .. } => self.parents.get_mut(peer).unwrap().policy = None,
            Action::Accuse(_) | Action::Stranded | Action::Switched { .. } => {}
        }
    }

    fn produce(&mut self) {
        if self.source_paused {
            return;
        }
        if self.now_ms.is_multiple_of(SOUND_MS) {
            self.emit(Layer::BASE, Media::Sound, 120);
        }
        if self.now_ms.is_multiple_of(FRAME_MS) {
            let temporal = [0, 2, 1, 2][(self.frame % 4) as usize];
            self.frame += 1;
            self.emit(Layer::new(0, temporal, 0), Media::Picture, 2_000);
            self.emit(Layer::new(1, temporal, 0), Media::Picture, 6_000);
        }
    }

    fn emit(&mut self, layer: Layer, media: Media, bytes: u32) {
        self.seq += 1;
        let key = Key { epoch: 1, seq: self.seq };
        let peers: Vec<Fingerprint> = self.parents.keys().copied().collect();
        for peer in peers {
            self.send(peer, Arrival { key, layer, media, bytes, age_ms: None });
        }
    }

    fn send(&mut self, from: Fingerprint, arrival: Arrival) {
        let now_ms = self.now_ms;
        let parent = self.parents.get_mut(&from).unwrap();
        let Some(policy) = parent.policy else { return };
        let is_sound = arrival.media == Media::Sound;
        if !is_sound && !policy.admits(arrival.layer) {
            return;
        }
        parent.sent += 1;
        let is_base = arrival.layer == Layer::BASE;
        let mut at_ms = now_ms + parent.delay_ms;
        if let Some(rate_kbps) = parent.rate_kbps {
            let waits_ms = (parent.busy_ms - now_ms as f64).max(0.0);
            // As a relay does: upper layers go first.
            if !is_base && waits_ms > 250.0 || waits_ms > 1_000.0 {
                return;
            }
            parent.busy_ms = parent.busy_ms.max(now_ms as f64) + f64::from(arrival.bytes) * 8.0 / rate_kbps as f64;
            at_ms = parent.busy_ms as u64 + parent.delay_ms;
        }
        let (conduct, sent) = (parent.conduct, parent.sent);
        let good = Event::Chunk { from, arrival, captured_ms: now_ms, good: true };
        match conduct {
            Conduct::Mute => {}
            Conduct::StarvePicture if is_base && !is_sound => {}
            Conduct::BaseOnly if !is_base => {}
            Conduct::StarveHalf if is_base && sent.is_multiple_of(2) => {}
            Conduct::Honest | Conduct::StarvePicture | Conduct::BaseOnly | Conduct::StarveHalf => self.at(at_ms, good),
            Conduct::Delay(more_ms) => self.at(at_ms + more_ms, good),
            Conduct::Garbage => {
                let key = Key { seq: arrival.key.seq + 20, ..arrival.key };
                let arrival = Arrival { key, ..arrival };
                self.at(at_ms, Event::Chunk { from, arrival, captured_ms: now_ms, good: false });
            }
            Conduct::Mixed => {
                self.at(at_ms, Event::Chunk { from, arrival, captured_ms: now_ms, good: false });
                self.at(at_ms + MIXED_MS, good);
            }
            Conduct::MixedAfter => {
                self.at(at_ms, good);
                self.at(at_ms + MIXED_MS, Event::Chunk { from, arrival, captured_ms: now_ms, good: false });
            }
            Conduct::Replay => {
                let key = Key { seq: arrival.key.seq.saturating_sub(50), ..arrival.key };
                let arrival = Arrival { key, ..arrival };
                self.at(at_ms, good);
                self.at(at_ms, Event::Chunk { from, arrival, captured_ms: now_ms, good: true });
            }
        }
    }

    fn at(&mut self, at_ms: u64, event: Event) {
        self.next_event += 1;
        self.events.insert((at_ms.max(self.now_ms), self.next_event), event);
    }

    fn deliver(&mut self) {
        while let Some(((at_ms, _), _)) = self.events.first_key_value() {
            if *at_ms > self.now_ms {
                return;
            }
            let (_, event) = self.events.pop_first().unwrap();
            match event {
                Event::Answer { from } => self.answer(from),
                Event::Chunk { from, arrival, captured_ms, good } => self.receive(from, arrival, captured_ms, good),
            }
            self.drive();
        }
    }

    fn answer(&mut self, from: Fingerprint) {
        let parent = self.parents.get_mut(&from).unwrap();
        match parent.refuses {
            Some(Reason::Unreachable) => {}
            Some(reason) => {
                parent.policy = None;
                self.mesh.refused(self.now_ms, from, reason);
            }
            None => {
                let rtt_ms = u32::try_from(parent.delay_ms * 2).unwrap();
                self.mesh.linked(self.now_ms, from, rtt_ms, &chain(&parent.hops));
            }
        }
    }

    fn receive(&mut self, from: Fingerprint, arrival: Arrival, captured_ms: u64, good: bool) {
        if self.parents[&from].policy.is_none() {
            return;
        }
        let age_ms = u32::try_from(self.now_ms - captured_ms).ok().filter(|_| self.tells_age);
        let arrival = Arrival { age_ms, ..arrival };
        // What a caller finds out by comparing bytes.
        let first = self.first.entry((from, arrival.key)).or_insert(good);
        let verdict = match *first == good {
            true => self.mesh.arrived(self.now_ms, from, &arrival),
            false => self.mesh.varied(self.now_ms, from, &arrival),
        };
        if verdict != Verdict::Open {
            return;
        }
        if !good {
            return self.mesh.failed(self.now_ms, from, arrival.key);
        }
        self.mesh.opened(self.now_ms, from, &arrival);
        self.opened_twice += u64::from(!self.opened.insert(arrival.key));
        if arrival.media == Media::Picture {
            *self.layers.entry(arrival.layer).or_default() += 1;
            if arrival.layer == Layer::BASE {
                self.pictures.push((captured_ms, self.now_ms));
            }
        }
    }

    pub fn primary(&self) -> Option<Fingerprint> {
        self.mesh.state().primary
    }

    pub fn switches(&self) -> Vec<(u64, Fingerprint, SwitchWhy)> {
        let switch = |(at_ms, action): &(u64, Action)| match action {
            Action::Switched { to, why, .. } => Some((*at_ms, *to, *why)),
            _ => None,
        };
        self.log.iter().filter_map(switch).collect()
    }

    pub fn drops(&self) -> Vec<(u64, Fingerprint, DropWhy)> {
        let drop = |(at_ms, action): &(u64, Action)| match action {
            Action::Drop { peer, why } => Some((*at_ms, *peer, *why)),
            _ => None,
        };
        self.log.iter().filter_map(drop).collect()
    }

    pub fn accusations(&self) -> Vec<Evidence> {
        let accusation = |(_, action): &(u64, Action)| match action {
            Action::Accuse(evidence) => Some(*evidence),
            _ => None,
        };
        self.log.iter().filter_map(accusation).collect()
    }

    pub fn accused(&self, n: u8, misdeed: Misdeed) -> Option<Evidence> {
        self.accusations().into_iter().find(|evidence| evidence.peer == fp(n) && evidence.misdeed == misdeed)
    }

    pub fn stranded(&self) -> usize {
        self.log.iter().filter(|(_, action)| *action == Action::Stranded).count()
    }

    /// Longest time between two base pictures after `from_ms`, by arrival.
    pub fn longest_gap_ms(&self, from_ms: u64) -> u64 {
        let times: Vec<u64> = self.pictures.iter().map(|(_, at_ms)| *at_ms).filter(|at_ms| *at_ms >= from_ms).collect();
        let gaps = times.windows(2).map(|pair| pair[1].saturating_sub(pair[0]));
        gaps.chain([self.now_ms - times.last().copied().unwrap_or(from_ms)]).max().unwrap()
    }

    /// Chunks of a layer that opened since the counts were cleared.
    pub fn count(&self, spatial: u8) -> u64 {
        self.layers.iter().filter(|(layer, _)| layer.spatial == spatial).map(|(_, count)| count).sum()
    }
}
