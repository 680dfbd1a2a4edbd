//! Which of a stream's participants to send to.

use edge_wire::id::KeyId;
use edge_wire::layer::{Layer, Policy};

use crate::reachability::{Snapshot, Tracker, Transport};

/// Least share of contacts that must have succeeded for realtime sending.
pub const REALTIME_MIN_RATIO: f64 = 0.5;

/// One peer that a stream is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Participant {
    /// Who.
    pub peer: KeyId,
    /// Name of the link towards it.
    pub link_id: Vec<u8>,
    /// Layers that it wants.
    pub policy: Policy,
}

/// What makes a participant worth sending to.
#[derive(Debug, Clone, PartialEq)]
pub struct Criteria {
    /// The transport that would be used; the id must be the one that outcomes are recorded under.
    pub transport: Transport,
    /// Least ratio; a peer at exactly this ratio is in, and one without recent contact is out even at 0.
    pub min_ratio: f64,
    /// Which contacts count.
    pub basis: Basis,
    /// The time, in ms of the tracker's clock.
    pub now_ms: u64,
}

/// Which contacts a ratio is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Basis {
    /// All but announces, where there are others: announces alone must not lift a peer whose sends fail.
    #[default]
    Sends,
    /// All, announces included.
    All,
}

/// The participants that can be reached, in the order of the roster.
pub fn plan<'a>(roster: &'a [Participant], tracker: &Tracker, criteria: &Criteria) -> Vec<&'a Participant> {
    roster.iter().filter(|participant| is_reachable(participant, tracker, criteria)).collect()
}

/// The participants that can be reached and want `layer`, in the order of the roster.
pub fn plan_layered<'a>(
    roster: &'a [Participant],
    layer: Layer,
    tracker: &Tracker,
    criteria: &Criteria,
) -> Vec<&'a Participant> {
    let wants = |participant: &&Participant| participant.policy.admits(layer);
    roster.iter().filter(wants).filter(|participant| is_reachable(participant, tracker, criteria)).collect()
}

fn is_reachable(participant: &Participant, tracker: &Tracker, criteria: &Criteria) -> bool {
    let ratio = |snapshot: Snapshot| match criteria.basis {
        Basis::Sends => snapshot.sends_ratio(),
        Basis::All => snapshot.ratio(),
    };
    let snapshot = tracker.snapshot(&participant.peer, &criteria.transport, criteria.now_ms);
    snapshot.map(ratio).is_some_and(|ratio| ratio >= criteria.min_ratio)
}
