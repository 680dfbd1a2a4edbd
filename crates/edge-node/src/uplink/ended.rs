//! The end of the stream: believed when the publisher signed it, and when it is about the media of now.

use std::time::Duration;

use bytes::Bytes;
use edge_alm::ending::Ending;
use edge_wire::id::{Epoch, Fingerprint};
use tokio::time::Instant;

use super::link::Order;
use super::{Driver, Line};

/// How long parents that go on may take to end too.
const GRACE: Duration = Duration::from_millis(500);
/// The same while it is not known which epoch the media is in: the publisher may have come back since.
const UNSETTLED_GRACE: Duration = Duration::from_secs(2);
/// How long media that is left on its way may keep an ended stream.
const LINGER: Duration = Duration::from_secs(2);
/// A parent that delivered within this time goes on delivering.
const DELIVERING_MS: u64 = 400;

/// The publisher's word that the stream is over.
pub(super) struct Told {
    pub(super) notice: Bytes,
    /// The last epoch that had media.
    epoch: Epoch,
    /// The media that came here was of this epoch, or the publisher itself said so.
    pub(super) settled: bool,
    /// Losses made good before: a parent that goes at the end is none.
    pub(super) heals: u64,
    /// When to look who goes on.
    look_at: Instant,
    until: Instant,
}

impl Driver<'_> {
    /// A parent says that the stream is over.
    pub(super) fn ended(&mut self, now_ms: u64, peer: Fingerprint, notice: Bytes) {
        // Each parent is listened to once, which bounds the signatures that are verified.
        match self.lines.get_mut(&peer) {
            Some(line) if !line.ended => line.ended = true,
            _ => return,
        }
        let same = self.told.as_ref().filter(|told| told.notice == notice).map(|told| told.epoch);
        let verified = same
            .map_or_else(|| Ending::verify(self.up.stream, self.up.publisher, &notice).map(|ending| ending.epoch), Ok);
        let known = self.epoch.max(self.opened);
        match verified {
            Err(error) => {
                tracing::warn!(%peer, %error, "a parent lies about the end of the stream");
                self.mesh.forged(now_ms, peer);
                self.act();
            }
            Ok(epoch) if epoch < known => {
                tracing::info!(%peer, "a parent has not heard that the publisher came back");
                self.part(now_ms, peer);
            }
            Ok(epoch) => {
                let settled = known > Epoch(0) || peer == self.up.publisher;
                self.tell(notice, epoch, settled);
                self.orphaned(settled);
            }
        }
    }

    /// Whether the stream is over as far as the publisher's word goes.
    pub(super) fn is_ending(&self) -> bool {
        self.told.as_ref().is_some_and(|told| told.settled)
    }

    fn tell(&mut self, notice: Bytes, epoch: Epoch, settled: bool) {
        let now = Instant::now();
        let earlier = self.told.take().filter(|told| told.epoch >= epoch);
        let mut told = earlier.unwrap_or(Told {
            notice,
            epoch,
            settled,
            heals: self.mesh.state().counters.heals,
            look_at: now + if settled { GRACE } else { UNSETTLED_GRACE },
            until: now + LINGER,
        });
        if settled && !told.settled {
            told.settled = true;
            told.look_at = told.look_at.min(now + GRACE);
        }
        self.told = Some(told);
    }

    /// Looks, a while after the stream was said to be over, whether any parent goes on with it.
    pub(super) fn wind_up(&mut self, now_ms: u64) {
        let Some(told) = &self.told else { return };
        if Instant::now() < told.look_at {
            return;
        }
        let goes_on = |line: &&Line| !line.ended && now_ms.saturating_sub(line.delivered_ms) < DELIVERING_MS;
        let later = |line: &Line| line.epoch > told.epoch;
        let delivering = || self.lines.values().filter(goes_on);
        // What a member opened is proven; nobody's word of a later epoch moves it then.
        let outdated = match self.opened {
            Epoch(0) => told.epoch < self.epoch || delivering().any(later),
            opened => told.epoch < opened,
        };
        if outdated {
            let wrong: Vec<Fingerprint> =
                self.lines.iter().filter(|(_, line)| line.ended).map(|(peer, _)| *peer).collect();
            self.told = None;
            wrong.into_iter().for_each(|peer| self.part(now_ms, peer));
        } else {
            self.over = delivering().next().is_none() || Instant::now() >= told.until;
        }
    }

    /// Leaves a parent without a charge.
    fn part(&mut self, now_ms: u64, peer: Fingerprint) {
        self.order(peer, Order::Finish);
        self.lines.remove(&peer);
        self.mesh.lost(now_ms, peer);
    }
}
