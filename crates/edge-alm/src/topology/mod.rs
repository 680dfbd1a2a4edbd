//! The relay forest that all peers of a locality compute alike, and what may be forwarded by it.
//!
//! Model: a [`Snapshot`] holds verified advertisements, trust grants and reachability observations as somebody gathered
//! them; [`compute`] turns it into a [`Topology`], whose [`Topology::json`] is what peers compare. The forest chooses
//! each peer's parent by score alone, so two peers may be each other's parents: nobody forwards by it directly, but by
//! the acyclic [`forwarding::plan`] that is drawn from it.
//!
//! Laws: equal sets give equal bytes, whatever their order and however often an element is repeated; after an uplink is
//! quantised nothing is a float; an advertisement that is not verified changes nothing.

mod compute;
pub mod forwarding;
mod json;
pub mod score;

use std::collections::BTreeMap;

use crate::advert::{self, Layout, Statement};

pub use compute::compute;

/// Version of the algorithm and of its output. Outputs of different versions are not to be compared.
pub const VERSION: u16 = 1;
/// Longest id of a peer, in bytes.
pub const PEER_LEN_MAX: usize = 256;

/// What a topology is computed from. Whoever gathers it keeps to one locality, stream and epoch, and to advertisements
/// that are fresh at one reference time.
#[derive(Debug, Clone, Default)]
pub struct Snapshot {
    /// What relays offer, in any order.
    pub adverts: Vec<Advert>,
    /// Who vouches for whom, from verified claims.
    pub grants: Vec<Grant>,
    /// Who reached whom: the own observations, and others signed by those who made them.
    pub observations: Vec<Observation>,
    /// The locality; it does not enter the computation.
    pub locality_id: String,
    /// Names the snapshot; repeated in the output.
    pub epoch_id: u64,
}

/// What one relay offers.
#[derive(Debug, Clone, PartialEq)]
pub struct Advert {
    /// The advertiser, compared by its UTF-8 bytes as they were received.
    pub peer: String,
    /// What it can send, in Mbit/s; any bit pattern.
    pub uplink_mbps: f32,
    /// When it measured, in ms since 1970; of several by one peer the newest counts.
    pub measured_at_unix_ms: u64,
    /// Most children it takes for one stream. Only forwarding heeds it.
    pub subscribers_max: u16,
    /// The paths it commits to, in the order of the advertisement; none for a relay of whole streams.
    pub commitments: Vec<Commitment>,
    /// What was verified.
    pub verification: Verification,
    /// The signed bytes. They decide between two advertisements of one peer and one time, so they must tell apart
    /// whatever differs in the other fields.
    pub preimage: Vec<u8>,
}

/// One path that a relay commits to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Commitment {
    /// The path.
    pub path: Vec<u8>,
    /// Most children for it. Only forwarding heeds it.
    pub subscribers_max: u16,
}

/// What is known of an advertisement.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Verification {
    /// Nothing; it is left out.
    Unverified,
    /// Both halves of its signature; its uplink is what the peer says, up to a cap.
    HybridSignatureValid,
    /// Its uplink too, by a challenge.
    ThroughputChallenged,
}

/// One peer vouches for another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant {
    /// The one that vouches: the possible parent.
    pub granter: String,
    /// The one that is vouched for: the possible child.
    pub grantee: String,
    /// Delegations between them.
    pub chain_depth: u8,
}

/// One peer reached another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Observation {
    /// The observer: the possible parent.
    pub from: String,
    /// The one that was reached: the possible child.
    pub to: String,
    /// The round trip, in ms.
    pub rtt_ms: u32,
}

/// A forest, and who is not in it. It borrows from its snapshot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Topology<'a> {
    /// Edges by child, then parent, then path.
    pub edges: Vec<Edge<'a>>,
    /// Peers without any parent, ascending.
    pub unrooted: Vec<&'a str>,
    /// Paths for which a candidate found no parent, by child, then path. They are no part of what peers compare.
    pub missing: Vec<Wish<'a>>,
    /// The snapshot's epoch.
    pub epoch_id: u64,
}

/// A child takes a path from a parent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Edge<'a> {
    /// The child.
    pub child: &'a str,
    /// The parent.
    pub parent: &'a str,
    /// The path; empty for the whole stream.
    pub path: &'a [u8],
}

/// A child needs a parent for a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Wish<'a> {
    /// The child.
    pub child: &'a str,
    /// The path; empty for the whole stream.
    pub path: &'a [u8],
}

/// How large a snapshot may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Most advertisements.
    pub adverts_max: usize,
    /// Most grants.
    pub grants_max: usize,
    /// Most observations.
    pub observations_max: usize,
    /// Most commitments in one advertisement.
    pub commitments_max: usize,
    /// Longest path, in bytes.
    pub path_len_max: usize,
}

/// Why a snapshot is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// More of something than a limit allows.
    #[error("snapshot with {got} {what}, at most {most} are allowed: gather a smaller locality")]
    TooMany {
        /// What there is too much of.
        what: &'static str,
        /// How much.
        got: usize,
        /// The limit.
        most: usize,
    },
    /// An id is empty, too long or holds a NUL.
    #[error("an id of {got} bytes is not 1 to {PEER_LEN_MAX} bytes without NUL")]
    Peer {
        /// Its length.
        got: usize,
    },
}

impl Default for Limits {
    fn default() -> Self {
        Self { adverts_max: 4096, grants_max: 65_536, observations_max: 65_536, commitments_max: 64, path_len_max: 8 }
    }
}

impl Snapshot {
    /// Checks what came from others, before anything is computed from it.
    pub fn check(&self, limits: &Limits) -> Result<(), Error> {
        at_most("advertisements", self.adverts.len(), limits.adverts_max)?;
        at_most("grants", self.grants.len(), limits.grants_max)?;
        at_most("observations", self.observations.len(), limits.observations_max)?;
        for advert in &self.adverts {
            at_most("commitments in one advertisement", advert.commitments.len(), limits.commitments_max)?;
            advert
                .commitments
                .iter()
                .try_for_each(|it| at_most("bytes of path", it.path.len(), limits.path_len_max))?;
        }
        let adverts = self.adverts.iter().map(|it| &it.peer);
        let grants = self.grants.iter().flat_map(|it| [&it.granter, &it.grantee]);
        let observations = self.observations.iter().flat_map(|it| [&it.from, &it.to]);
        adverts.chain(grants).chain(observations).try_for_each(|peer| check_peer(peer))
    }
}

impl Advert {
    /// Takes over what an advertisement states; fails when its signed bytes cannot be written.
    pub fn of(statement: &Statement, verification: Verification) -> Result<Self, advert::Error> {
        let capacity = &statement.capacity;
        let commitments = capacity
            .sub_stream_commitments
            .iter()
            .map(|it| Commitment { path: it.sub_stream_path.as_bytes().to_vec(), subscribers_max: it.max_subscribers });
        Ok(Self {
            peer: statement.advertiser.as_str().to_owned(),
            uplink_mbps: capacity.uplink_mbps,
            measured_at_unix_ms: capacity.measured_at_unix_ms,
            subscribers_max: capacity.max_subscribers_per_stream,
            commitments: commitments.collect(),
            verification,
            preimage: Layout::CapV2Wide.canonical(statement)?,
        })
    }

    /// The paths it wants parents for, ascending: those it commits to, or the whole stream.
    fn paths(&self) -> Vec<&[u8]> {
        if self.commitments.is_empty() {
            return vec![&[]];
        }
        let mut paths: Vec<&[u8]> = self.commitments.iter().map(|it| it.path.as_slice()).collect();
        paths.sort_unstable();
        paths.dedup();
        paths
    }

    /// The greatest of one peer's advertisements is the one that counts.
    fn rank(&self) -> (u64, &[u8], bool) {
        let signed_only = self.verification == Verification::HybridSignatureValid;
        (self.measured_at_unix_ms, &self.preimage, signed_only)
    }
}

/// The verified advertisements that count, one a peer, ascending by id.
fn newest(snapshot: &Snapshot) -> Vec<&Advert> {
    let mut newest: BTreeMap<&str, &Advert> = BTreeMap::new();
    for advert in snapshot.adverts.iter().filter(|it| it.verification != Verification::Unverified) {
        let kept = newest.entry(&advert.peer).or_insert(advert);
        if advert.rank() > kept.rank() {
            *kept = advert;
        }
    }
    newest.into_values().collect()
}

fn at_most(what: &'static str, got: usize, most: usize) -> Result<(), Error> {
    if got > most { Err(Error::TooMany { what, got, most }) } else { Ok(()) }
}

fn check_peer(peer: &str) -> Result<(), Error> {
    match (1..=PEER_LEN_MAX).contains(&peer.len()) && !peer.contains('\0') {
        true => Ok(()),
        false => Err(Error::Peer { got: peer.len() }),
    }
}
