//! Lanes: what fetches the sub-streams of a node. Each has an uplink of its own, so that descriptions of one stream can
//! come from different parents.

use std::sync::Arc;

use edge_alm::mesh::Opens;
use edge_alm::path::{SubStreamPath, stream_id};
use edge_net::Endpoint;
use edge_wire::control::Role;
use edge_wire::id::{Fingerprint, StreamId};
use tokio::sync::mpsc;

use crate::event::Reporter;
use crate::hub::{self, Hub, Room, Upward};
use crate::neighbours::Neighbours;
use crate::ticket::Hop;
use crate::uplink::{Company, Gauge, Layers, Uplink};

/// What all lanes of one node have in common.
#[derive(Debug, Clone)]
pub(crate) struct Lanes {
    /// Own endpoint.
    pub(crate) endpoint: Arc<Endpoint>,
    /// Own fingerprint.
    pub(crate) own: Fingerprint,
    /// The whole stream.
    pub(crate) whole: StreamId,
    /// Its publisher.
    pub(crate) publisher: Fingerprint,
    /// Peers to ask first.
    pub(crate) hops: Vec<Hop>,
    /// Layers wanted.
    pub(crate) layers: Layers,
    /// Whether this node can tell a forged chunk.
    pub(crate) opens: Opens,
    /// What the node is to its parents.
    pub(crate) role: Role,
    /// Who else may become a parent; without it only the `hops` do.
    pub(crate) company: Option<Neighbours>,
}

impl Lanes {
    /// The uplink of the whole stream.
    pub(crate) fn main(&self, gauge: Gauge) -> Uplink {
        self.uplink(SubStreamPath::WHOLE, gauge)
    }

    /// An uplink for `path`.
    pub(crate) fn uplink(&self, path: SubStreamPath, gauge: Gauge) -> Uplink {
        let company = |neighbours: Neighbours| Company { offers: neighbours.listen(), neighbours, path };
        Uplink {
            endpoint: self.endpoint.clone(),
            own: self.own,
            stream: stream_id(self.whole, &path),
            publisher: self.publisher,
            hops: self.hops.clone(),
            layers: self.layers,
            opens: self.opens,
            role: self.role,
            mesh: self.company.clone().map(company),
            gauge,
        }
    }
}

/// A hub for `path`; its room is settled with the next look at what the node gives away.
pub(crate) fn hub(
    path: &SubStreamPath,
    neighbours: &Neighbours,
    room: Room,
    reporter: &Reporter,
) -> Result<(Hub, mpsc::Receiver<Upward>), edge_relay::Error> {
    Hub::new(hub::Settings {
        stream: stream_id(neighbours.stream(), path),
        limits: edge_relay::Limits::default(),
        room,
        neighbours: Some(neighbours.clone()),
        reporter: reporter.clone(),
    })
}
