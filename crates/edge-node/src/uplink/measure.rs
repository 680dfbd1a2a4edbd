//! How far peers are and what layers cost, for the planner.

use std::time::Duration;

use edge_alm::mesh::LayerRate;
use edge_wire::id::Fingerprint;
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::{Driver, dial};
use crate::clock;

/// Time between two round trips to possible parents that are measured, each with a link of its own.
const PROBE_EVERY: Duration = Duration::from_secs(2);
/// Such measurements at a time.
pub(super) const MAX_PROBES: usize = 4;

impl Driver<'_> {
    /// Finds out, now and then, how far a peer is that could be a better parent.
    pub(super) fn probe(&mut self, answers: &mpsc::Sender<(Fingerprint, Option<Duration>)>) {
        if self.mesh.parent().is_none() || self.probe_at > Instant::now() {
            return;
        }
        self.probe_at = Instant::now() + PROBE_EVERY;
        let Some(peer) = self.mesh.unmeasured(MAX_PROBES).into_iter().find(|peer| !self.lines.contains_key(peer))
        else {
            return;
        };
        let Ok(place) = answers.clone().try_reserve_owned() else { return };
        let (endpoint, hops) = (self.up.endpoint.clone(), self.hops(peer));
        tokio::spawn(async move { place.send((peer, dial::probe(endpoint, hops).await)) });
    }

    pub(super) fn probed(&mut self, peer: Fingerprint, rtt: Option<Duration>) {
        match rtt {
            Some(rtt) => self.mesh.measured(clock::now_ms(), peer, whole_ms(rtt)),
            None => self.mesh.unreachable(clock::now_ms(), peer),
        }
    }

    pub(super) fn measure(&mut self) {
        let now_ms = clock::now_ms();
        for (peer, line) in &self.lines {
            if let Some(session) = &line.session {
                self.mesh.measured(now_ms, *peer, whole_ms(session.rtt()));
            }
        }
        let table = self.rates.policies().into_iter().map(|(policy, kbps)| LayerRate { policy, kbps });
        self.mesh.set_layer_kbps(table.collect());
        self.wind_up(now_ms);
    }
}

pub(super) fn whole_ms(time: Duration) -> u32 {
    u32::try_from(time.as_millis()).unwrap_or(u32::MAX)
}
