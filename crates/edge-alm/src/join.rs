//! The join planner that peers agree on: a primary parent and backups out of verified advertisements.

use edge_wire::layer::Policy;

use crate::admission::{has_room_for, has_room_for_substream};
use crate::advert::{Capacity, Statement};

/// Least share of recent contacts with a parent that succeeded.
pub const REACHABILITY_RATIO_MIN: f64 = 0.5;
/// Most backups of a plan.
pub const BACKUPS_MAX: usize = 2;

/// Why there is no plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Nobody is there, has room or can be reached.
    #[error("no parent has room and can be reached: try again later, or ask for fewer layers")]
    NoFeasibleParent,
    /// Every advertisement is too old.
    #[error("every advertisement is stale: wait for newer ones")]
    AllCandidatesStale,
    /// No advertisement covers the layers that were asked for.
    #[error("no parent forwards the layers that were asked for: ask for fewer")]
    NoCandidateSupportsLayerPolicy,
}

/// A possible parent.
#[derive(Debug, Clone, Copy)]
pub struct Candidate<'a> {
    /// What its advertisement says, verified by the caller.
    pub statement: &'a Statement,
    /// Share of recent contacts that succeeded, if there were any.
    pub reachability_ratio: Option<f64>,
    /// Round trip to it, if it was measured.
    pub rtt_ms: Option<u32>,
}

/// What is wanted.
#[derive(Debug, Clone, Copy)]
pub struct Request<'a> {
    /// Bitrate of the stream or path, in Mbit/s.
    pub stream_bitrate_mbps: f32,
    /// Layers that the receiver wants.
    pub policy: Policy,
    /// Time, in ms since 1970.
    pub now_unix_ms: u64,
    /// The path, unless the whole stream is wanted from relays of any kind.
    pub path: Option<&'a [u8]>,
}

/// Whom to subscribe to.
#[derive(Debug, Clone)]
pub struct Plan<'a> {
    /// The first parent.
    pub primary: Candidate<'a>,
    /// At most [`BACKUPS_MAX`] others, the best first.
    pub backups: Vec<Candidate<'a>>,
    /// The bitrate that the plan was made for, in Mbit/s.
    pub stream_bitrate_mbps: f32,
}

/// Plans by round trip among those that are fresh, cover the policy, have room and can be reached. Equal round trips
/// keep the order of `candidates`.
pub fn plan<'a>(candidates: &[Candidate<'a>], request: &Request<'_>) -> Result<Plan<'a>, Error> {
    if candidates.is_empty() {
        return Err(Error::NoFeasibleParent);
    }
    let is_fresh = |it: &Candidate<'_>| !it.statement.capacity.is_stale(request.now_unix_ms);
    let covers = |it: &Candidate<'_>| it.statement.capacity.covers(request.policy);
    let fresh: Vec<_> = candidates.iter().filter(|it| is_fresh(it)).collect();
    if fresh.is_empty() {
        return Err(Error::AllCandidatesStale);
    }
    if !fresh.iter().any(|it| covers(it)) {
        return Err(match candidates.iter().any(covers) {
            true => Error::NoFeasibleParent,
            false => Error::NoCandidateSupportsLayerPolicy,
        });
    }
    let fits = |it: &&&Candidate<'a>| covers(it) && has_room(&it.statement.capacity, request) && is_reachable(it);
    let mut ranked: Vec<Candidate<'a>> = fresh.iter().filter(fits).map(|it| **it).collect();
    ranked.sort_by_key(|it| it.rtt_ms.unwrap_or(u32::MAX));
    let mut ranked = ranked.into_iter();
    let primary = ranked.next().ok_or(Error::NoFeasibleParent)?;
    Ok(Plan { primary, backups: ranked.take(BACKUPS_MAX).collect(), stream_bitrate_mbps: request.stream_bitrate_mbps })
}

fn has_room(capacity: &Capacity, request: &Request<'_>) -> bool {
    match request.path {
        Some(path) => has_room_for_substream(capacity, path, request.stream_bitrate_mbps, 0),
        None => has_room_for(capacity, request.stream_bitrate_mbps, 0),
    }
}

/// Unknown is not reachable, and neither is what is not a number.
fn is_reachable(candidate: &Candidate<'_>) -> bool {
    candidate.reachability_ratio.is_some_and(|ratio| ratio >= REACHABILITY_RATIO_MIN)
}
