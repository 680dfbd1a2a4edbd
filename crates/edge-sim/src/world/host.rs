//! One simulated peer: the state of every core that it runs.

use std::collections::{BTreeMap, BTreeSet};

use edge_alm::mesh::Mesh;
use edge_alm::seats::Yields;
use edge_link::Receiver;
use edge_wire::id::Fingerprint;

use super::down::Down;
use super::malice::Mischief;
use super::talk::Talk;
use crate::measure::Seen;
use crate::space::Index;

/// One parent, present or on the way.
pub(crate) struct Line {
    pub(crate) connection: u64,
    /// Present once the subscription stands.
    pub(crate) receiver: Option<Receiver>,
    pub(crate) chain: Vec<Fingerprint>,
}

/// Whether a peer takes part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Life {
    /// It has not come yet, or has gone.
    Away,
    /// It runs.
    Here,
}

/// What a peer did and what was done to it.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Tally {
    /// Chunks that were opened and are not what was published.
    pub(crate) forged_accepted: u64,
    /// Pictures that were handed up twice.
    pub(crate) handed_up_twice: u64,
    /// Chunks found forged.
    pub(crate) forged_refused: u64,
    /// Repeats that the mesh kept away.
    pub(crate) duplicates: u64,
    /// Media messages that came.
    pub(crate) messages: u64,
    /// Times without any parent.
    pub(crate) stranded: u64,
    /// Subscriptions that were refused.
    pub(crate) refusals: u64,
}

pub(crate) struct Host {
    pub(crate) name: Fingerprint,
    pub(crate) life: Life,
    /// Counts lives, so that what was planned for an earlier one is told apart.
    pub(crate) lives: u32,
    pub(crate) joined_us: u64,
    pub(crate) mesh: Option<Mesh>,
    pub(crate) opener: Option<edge_seal::Receiver>,
    pub(crate) opener_epoch: u64,
    pub(crate) down: Down,
    pub(crate) talk: Talk,
    pub(crate) lines: BTreeMap<Index, Line>,
    /// Connections, by the other end and number: there may be one each way.
    pub(crate) open: BTreeSet<(Index, u64)>,
    pub(crate) mischief: Option<Mischief>,
    pub(crate) seen: Seen,
    pub(crate) tally: Tally,
    pub(crate) first_picture_us: Option<u64>,
    /// Newest base picture that could be shown.
    pub(crate) newest_base: Option<u64>,
    /// When the next look at the mesh is planned.
    pub(crate) wake_us: u64,
    pub(crate) pumping: bool,
    pub(crate) flushing: bool,
    pub(crate) said: Option<Spoken>,
}

/// What a peer's last own offer said, and when.
#[derive(Debug, Clone)]
pub(crate) struct Spoken {
    pub(crate) at_ms: u64,
    pub(crate) is_full: bool,
    pub(crate) delay_ms: Option<u32>,
    pub(crate) yields: Yields,
    pub(crate) uplink_kbps: u64,
    pub(crate) chain: Vec<Fingerprint>,
}

impl Spoken {
    /// Whether another one is news: room, rate, way, or a delay that differs by more than `delay_ms`.
    pub(crate) fn differs(&self, now: &Self, delay_ms: u32) -> bool {
        let moved = match (self.delay_ms, now.delay_ms) {
            (Some(said_ms), Some(now_ms)) => said_ms.abs_diff(now_ms) > delay_ms,
            (said, now) => said != now,
        };
        moved
            || (self.is_full, self.yields, self.uplink_kbps, &self.chain)
                != (now.is_full, now.yields, now.uplink_kbps, &now.chain)
    }
}

impl Host {
    pub(crate) fn new(name: Fingerprint, down: Down, talk: Talk) -> Self {
        Self {
            name,
            life: Life::Away,
            lives: 0,
            joined_us: 0,
            mesh: None,
            opener: None,
            opener_epoch: 0,
            down,
            talk,
            lines: BTreeMap::new(),
            open: BTreeSet::new(),
            mischief: None,
            seen: Seen::default(),
            tally: Tally::default(),
            first_picture_us: None,
            newest_base: None,
            wake_us: u64::MAX,
            pumping: false,
            flushing: false,
            said: None,
        }
    }

    /// A connection to a neighbour.
    pub(crate) fn connection_to(&self, other: Index) -> Option<u64> {
        self.open.range((other, 0)..=(other, u64::MAX)).next().map(|(_, connection)| *connection)
    }

    pub(crate) fn is_here(&self) -> bool {
        self.life == Life::Here
    }
}
