//! Peers that offer to be parents, and what was learned of them: who told, how far, when to ask again, who is banned.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use edge_wire::id::Fingerprint;

use super::plan::{Candidate, Vouched, delay_ms, has_room, is_above, mix};
use super::{BANS_MAX, Ban, OFFERS_MAX, Offer, Origin};
use crate::seats::{Claim, Yields};

/// Least time before a peer that refused is asked again, in ms; doubled for each further refusal.
pub(super) const RETRY_MS_MIN: u64 = 250;
/// Most time before a peer that refused is asked again, in ms, jitter not counted.
pub(super) const RETRY_MS_MAX: u64 = 4_000;
/// First ban, in ms; doubled for each further one.
pub(super) const BAN_MS: u64 = 600_000;
/// First ban of a forger that has others above it, in ms: it may have been misled by them.
pub(super) const BAN_MS_INDIRECT: u64 = 60_000;
/// Longest ban, in ms.
const BAN_MS_MAX: u64 = 24 * 3_600_000;
/// How long a peer that was tried for its way is not tried again, in ms.
const TRIAL_AGAIN_MS: u64 = 20_000;
/// The same for one that was left for a better one.
const RETURN_MS: u64 = 60_000;
/// How much older than the latest of all an offer may be to show that its peer is there, in ms.
const LIVELY_MS: u64 = 8_000;
/// How long an offer counts after it was heard, in ms: offers are fresh for 30 s and said again before that, and take a
/// while to come around.
const FRESH_MS: u64 = 45_000;
/// Voices remembered for one offer.
const ORIGINS_MAX: usize = 4;

#[derive(Debug)]
struct Known {
    offer: Offer,
    /// When the newest offer came.
    heard_ms: u64,
    origins: Vec<Origin>,
    rtt_ms: Option<u32>,
    failures: u8,
    refusals: u32,
    retry_ms: u64,
    /// Not to be tried for its way before this time.
    trial_ms: u64,
    /// No way back to it before this time.
    return_ms: u64,
}

impl Known {
    /// A ticket stays good; whatever else was heard is true for a while.
    fn is_fresh(&self, now_ms: u64) -> bool {
        let lasts = self.origins.iter().any(|origin| matches!(origin, Origin::Ticket | Origin::Own));
        lasts || now_ms.saturating_sub(self.heard_ms) < FRESH_MS
    }
}

#[derive(Debug)]
struct Banned {
    ban: Ban,
    length_ms: u64,
}

/// Offers by peer, and bans.
#[derive(Debug)]
pub(super) struct Table {
    known: BTreeMap<Fingerprint, Known>,
    bans: Vec<Banned>,
    random: u64,
}

impl Table {
    pub(super) fn new(seed: u64) -> Self {
        Self { known: BTreeMap::new(), bans: Vec::new(), random: seed }
    }

    /// Keeps the offer if it is the newest of its peer; whether anything new was learned.
    pub(super) fn offer(&mut self, now_ms: u64, told_by: Origin, offer: Offer) -> bool {
        if let Some(known) = self.known.get_mut(&offer.peer) {
            let is_newer = offer.measured_at_unix_ms > known.offer.measured_at_unix_ms;
            let is_heard = offer.measured_at_unix_ms >= known.offer.measured_at_unix_ms;
            if is_heard && known.origins.len() < ORIGINS_MAX && !known.origins.contains(&told_by) {
                known.origins.push(told_by);
            }
            if is_newer {
                known.offer = offer;
                known.heard_ms = now_ms;
                known.failures = 0;
            }
            return is_newer;
        }
        let peer = offer.peer;
        let known = Known {
            offer,
            heard_ms: now_ms,
            origins: vec![told_by],
            rtt_ms: None,
            failures: 0,
            refusals: 0,
            retry_ms: 0,
            trial_ms: 0,
            return_ms: 0,
        };
        if self.known.len() >= OFFERS_MAX {
            self.known.retain(|_, known| known.is_fresh(now_ms));
        }
        self.known.insert(peer, known);
        if self.known.len() > OFFERS_MAX
            && let Some(worst) = self.worst()
        {
            self.known.remove(&worst);
            return worst != peer;
        }
        true
    }

    pub(super) fn withdraw(&mut self, peer: &Fingerprint) {
        self.known.remove(peer);
    }

    /// Offers kept.
    pub(super) fn len(&self) -> usize {
        self.known.len()
    }

    pub(super) fn measured(&mut self, peer: &Fingerprint, rtt_ms: u32) {
        if let Some(known) = self.known.get_mut(peer) {
            known.rtt_ms = Some(rtt_ms);
        }
    }

    /// A peer has been a parent for long.
    pub(super) fn proved(&mut self, peer: &Fingerprint) {
        self.known.get_mut(peer).into_iter().for_each(|known| known.refusals = 0);
    }

    /// A parent said what its way is now. That it has none is true for the moment only, and no reason never to ask
    /// again.
    pub(super) fn rerouted(&mut self, peer: &Fingerprint, chain: &[Fingerprint]) {
        if !chain.is_empty() {
            self.known.get_mut(peer).into_iter().for_each(|known| chain.clone_into(&mut known.offer.chain));
        }
    }

    /// A peer refused or failed: asks it again later, and later each time within a range.
    pub(super) fn refused(&mut self, now_ms: u64, peer: &Fingerprint, range_ms: RangeInclusive<u64>) {
        let jitter = self.random();
        if let Some(known) = self.known.get_mut(peer) {
            let doubled_ms = RETRY_MS_MIN.saturating_mul(1 << known.refusals.min(8));
            let wait_ms = doubled_ms.min(*range_ms.end()).max(*range_ms.start());
            known.refusals = known.refusals.saturating_add(1);
            known.trial_ms = known.trial_ms.max(now_ms.saturating_add(TRIAL_AGAIN_MS));
            known.retry_ms = now_ms.saturating_add(wait_ms).saturating_add(jitter % (wait_ms / 2 + 1));
        }
    }

    /// A peer could not be reached or fell silent; until its next offer, it is asked after those that answer.
    pub(super) fn unreachable(&mut self, peer: &Fingerprint) {
        self.known.get_mut(peer).into_iter().for_each(|known| known.failures = known.failures.saturating_add(1));
    }

    /// A peer answered.
    pub(super) fn answered(&mut self, peer: &Fingerprint) {
        self.known.get_mut(peer).into_iter().for_each(|known| known.failures = 0);
    }

    /// A peer says that it has no room: the last to be asked among equals, until its next offer.
    pub(super) fn full(&mut self, peer: &Fingerprint) {
        if let Some(known) = self.known.get_mut(peer) {
            known.offer.subscribers = known.offer.subscribers.max(known.offer.subscribers_max.saturating_sub(1));
            known.offer.yields = Yields::default();
        }
    }

    /// Bans a peer, for `first_ms` or twice as long as before.
    pub(super) fn ban(&mut self, now_ms: u64, peer: Fingerprint, first_ms: u64) {
        let former = self.bans.iter().position(|banned| banned.ban.peer == peer).map(|at| self.bans.remove(at));
        let length_ms = former.map_or(first_ms, |former| (former.length_ms * 2).min(BAN_MS_MAX).max(first_ms));
        if self.bans.len() >= BANS_MAX {
            let soonest = self.bans.iter().enumerate().min_by_key(|(_, banned)| banned.ban.until_ms);
            if let Some((at, _)) = soonest {
                self.bans.remove(at);
            }
        }
        self.bans.push(Banned { ban: Ban { peer, until_ms: now_ms.saturating_add(length_ms) }, length_ms });
    }

    pub(super) fn is_banned(&self, now_ms: u64, peer: &Fingerprint) -> bool {
        self.bans.iter().any(|banned| banned.ban.peer == *peer && banned.ban.until_ms > now_ms)
    }

    pub(super) fn bans(&self, now_ms: u64) -> impl Iterator<Item = Ban> {
        self.bans.iter().map(|banned| banned.ban).filter(move |ban| ban.until_ms > now_ms)
    }

    /// Those that may be asked now, for the planner to rank.
    pub(super) fn candidates(&self, now_ms: u64) -> impl Iterator<Item = Candidate<'_>> {
        self.due(now_ms).map(candidate)
    }

    /// Those among them that measured hardly earlier than the latest one of all, and so were there a moment ago.
    pub(super) fn lively(&self, now_ms: u64) -> impl Iterator<Item = Candidate<'_>> {
        let latest = self.known.values().map(|known| known.offer.measured_at_unix_ms).max().unwrap_or(0);
        let since = latest.saturating_sub(LIVELY_MS);
        self.due(now_ms).filter(move |known| known.offer.measured_at_unix_ms >= since).map(candidate)
    }

    /// Those among them that were not tried lately for a better way.
    pub(super) fn untried(&self, now_ms: u64) -> impl Iterator<Item = Candidate<'_>> {
        self.due(now_ms).filter(move |known| known.trial_ms <= now_ms).map(candidate)
    }

    fn due(&self, now_ms: u64) -> impl Iterator<Item = &Known> {
        let is_due = move |known: &&Known| {
            known.retry_ms <= now_ms && known.is_fresh(now_ms) && !self.is_banned(now_ms, &known.offer.peer)
        };
        self.known.values().filter(is_due)
    }

    /// A peer is tried for its way.
    pub(super) fn tried(&mut self, now_ms: u64, peer: &Fingerprint) {
        self.no_trial(peer, now_ms.saturating_add(TRIAL_AGAIN_MS));
    }

    /// A peer was left for a better one: there is no way back for a while, lest two take turns.
    pub(super) fn left(&mut self, now_ms: u64, peer: &Fingerprint) {
        self.no_trial(peer, now_ms.saturating_add(RETURN_MS));
        if let Some(known) = self.known.get_mut(peer) {
            known.return_ms = now_ms.saturating_add(RETURN_MS);
        }
    }

    /// Whether a peer was left for a better one only lately.
    pub(super) fn was_left(&self, now_ms: u64, peer: &Fingerprint) -> bool {
        self.known.get(peer).is_some_and(|known| known.return_ms > now_ms)
    }

    /// Delay from the source that a peer announces.
    pub(super) fn announced_ms(&self, peer: &Fingerprint) -> Option<u32> {
        self.known.get(peer)?.offer.delay_ms
    }

    /// Delay from the source over a peer to here, by its offer and the round trip to it, if that is known.
    pub(super) fn delay_ms(&self, peer: &Fingerprint) -> Option<u32> {
        let known = self.known.get(peer)?;
        Some(delay_ms(&known.offer, known.rtt_ms?))
    }

    fn no_trial(&mut self, peer: &Fingerprint, until_ms: u64) {
        self.known.get_mut(peer).into_iter().for_each(|known| known.trial_ms = until_ms);
    }

    /// Whether anybody is left above `own` who may be asked sooner or later.
    pub(super) fn has_hope(&self, now_ms: u64, own: &Fingerprint) -> bool {
        self.known.values().any(|known| is_above(&known.offer, own) && !self.is_banned(now_ms, &known.offer.peer))
    }

    /// Whether a peer has room for one more child at this bitrate, by its latest offer.
    pub(super) fn has_room(&self, peer: &Fingerprint, stream_kbps: u32, claim: Claim) -> bool {
        self.known.get(peer).is_some_and(|known| has_room(&known.offer, stream_kbps, claim))
    }

    /// A number that looks random and follows from the seed.
    pub(super) fn random(&mut self) -> u64 {
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mix(self.random)
    }

    /// Whoever filled the table pays: of the one neighbour that alone told of the most offers, the deepest and
    /// farthest.
    fn worst(&self) -> Option<Fingerprint> {
        let mut told: BTreeMap<Option<Fingerprint>, usize> = BTreeMap::new();
        for known in self.known.values() {
            *told.entry(sole_voice(known)).or_default() += 1;
        }
        let loudest = *told.iter().max_by_key(|(voice, count)| (voice.is_some(), **count))?.0;
        let badness =
            |known: &Known| (known.offer.chain.is_empty(), known.offer.chain.len(), known.rtt_ms.unwrap_or(u32::MAX));
        let theirs = self.known.values().filter(|known| sole_voice(known) == loudest);
        theirs.max_by_key(|known| badness(known)).map(|known| known.offer.peer)
    }
}

fn candidate(known: &Known) -> Candidate<'_> {
    Candidate { vouched: vouched(known), offer: &known.offer, rtt_ms: known.rtt_ms, failures: known.failures }
}

fn vouched(known: &Known) -> Vouched {
    match sole_voice(known) {
        Some(_) => Vouched::Once,
        None => Vouched::Independently,
    }
}

/// The neighbour that alone told of an offer.
fn sole_voice(known: &Known) -> Option<Fingerprint> {
    match known.origins.as_slice() {
        [Origin::Peer(peer)] => Some(*peer),
        _ => None,
    }
}
