//! The machine itself.

use edge_wire::id::Fingerprint;
use edge_wire::layer::Policy;

use super::{Action, Arrival, Config, Counters, Key, LayerRate, Offer, Origin, Reason, Snapshot, Verdict, Why};

/// Parents of one receiver for one stream. Times are ms of one monotonic clock of the caller.
#[derive(Debug)]
pub struct Mesh {
    config: Config,
    now_ms: u64,
}

impl Mesh {
    /// A machine without parents and offers.
    pub fn new(config: Config, now_ms: u64) -> Self {
        Self { config, now_ms }
    }

    /// Sets the layers that are wanted: the highest of this peer's own wish and its children's.
    pub fn want(&mut self, now_ms: u64, wanted: Policy) {
        self.now_ms = now_ms;
        self.config.wanted = wanted;
    }

    /// Holds the layers at what a person chose, or lets them follow the link again.
    pub fn pin(&mut self, now_ms: u64, _policy: Option<Policy>) {
        self.now_ms = now_ms;
    }

    /// Replaces what is known about the cost of layers.
    pub fn set_layer_kbps(&mut self, layer_kbps: Vec<LayerRate>) {
        self.config.layer_kbps = layer_kbps;
    }

    /// Takes an offer that the caller verified.
    pub fn offer(&mut self, now_ms: u64, _told_by: Origin, _offer: Offer) {
        self.now_ms = now_ms;
    }

    /// Forgets the offer of a peer. A parent stays a parent.
    pub fn withdraw(&mut self, _peer: Fingerprint) {}

    /// A parent granted the subscription; `chain` leads from the publisher down to and including it.
    pub fn linked(&mut self, now_ms: u64, _peer: Fingerprint, _rtt_ms: u32, _chain: &[Fingerprint]) {
        self.now_ms = now_ms;
    }

    /// A subscription did not come about.
    pub fn refused(&mut self, now_ms: u64, _peer: Fingerprint, _reason: Reason) {
        self.now_ms = now_ms;
    }

    /// The link to a parent broke, or the parent ended the subscription.
    pub fn lost(&mut self, now_ms: u64, _peer: Fingerprint) {
        self.now_ms = now_ms;
    }

    /// A parent announced another way to the source; empty while it has none.
    pub fn rerouted(&mut self, now_ms: u64, _peer: Fingerprint, _chain: &[Fingerprint]) {
        self.now_ms = now_ms;
    }

    /// Decides what becomes of a chunk whose outer seal opened.
    pub fn arrived(&mut self, now_ms: u64, _peer: Fingerprint, _arrival: &Arrival) -> Verdict {
        self.now_ms = now_ms;
        Verdict::Stranger
    }

    /// A chunk with the verdict [`Verdict::Open`] opened.
    pub fn opened(&mut self, now_ms: u64, _peer: Fingerprint, _arrival: &Arrival) {
        self.now_ms = now_ms;
    }

    /// A chunk with the verdict [`Verdict::Open`] did not open, or was relabelled: another copy may still come.
    pub fn failed(&mut self, now_ms: u64, _peer: Fingerprint, _key: Key) {
        self.now_ms = now_ms;
    }

    /// Two parents sent different bytes for one chunk; for peers that cannot tell which are right.
    pub fn disagreed(&mut self, now_ms: u64, _first: Fingerprint, _second: Fingerprint) {
        self.now_ms = now_ms;
    }

    /// A round trip to any peer was measured.
    pub fn measured(&mut self, now_ms: u64, _peer: Fingerprint, _rtt_ms: u32) {
        self.now_ms = now_ms;
    }

    /// What to do next; to be called after every other call, and at [`deadline`](Self::deadline), until it says `None`.
    pub fn poll(&mut self, now_ms: u64) -> Option<Action> {
        self.now_ms = now_ms;
        None
    }

    /// When to poll again at the latest, in ms.
    pub fn deadline(&self) -> u64 {
        self.now_ms.saturating_add(50)
    }

    /// How things stand.
    pub fn state(&self) -> Snapshot {
        Snapshot {
            primary: None,
            standbys: Vec::new(),
            cold: Vec::new(),
            policy: self.config.wanted,
            why: Why::Wanted,
            silence_ms: None,
            counters: Counters::default(),
            evidence: Vec::new(),
            bans: Vec::new(),
            links: Vec::new(),
        }
    }
}
