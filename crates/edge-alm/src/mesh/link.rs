//! One parent.

use std::collections::VecDeque;

use edge_wire::id::Fingerprint;
use edge_wire::layer::Policy;

use super::conduct::Conduct;
use super::pace::Pace;
use super::plan::{Overlap, overlap, passed_ms};
use super::{Key, LinkView, Media, Role};

/// A parent that never sent a kind of chunk owes it from this time on after it granted the subscription, in ms: it may
/// have had to wait for a key frame.
const OWES_AFTER_MS: u64 = 2_500;

/// How long a chunk that did not open is no proof of forgery yet, in ms: a relay that cannot tell which of two chunks
/// is right passes on both.
const SUSPECT_MS: u64 = 300;
/// Chunks that did not open and may be absolved; more are proof at once.
const SUSPECTS_MAX: usize = 64;

/// How far a subscription is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    /// Asked for at this time, in ms.
    Asked(u64),
    /// Granted at this time, in ms.
    Granted(u64),
}

#[derive(Debug)]
pub(super) struct Link {
    pub(super) peer: Fingerprint,
    /// Its bit among those who sent a chunk.
    pub(super) place: u8,
    pub(super) role: Role,
    pub(super) stage: Stage,
    pub(super) policy: Policy,
    pub(super) chain: Vec<Fingerprint>,
    pub(super) rtt_ms: Option<u32>,
    /// Delay from the source to it, as it announced.
    pub(super) announced_ms: Option<u32>,
    pub(super) pace: Pace,
    pub(super) conduct: Conduct,
    pub(super) heard_ms: Option<u64>,
    /// The highest chunk that it sent and that is believed.
    pub(super) high: Option<Key>,
    /// Since when it has had chunks that the primary has not.
    pub(super) ahead_ms: Option<u64>,
    /// When a former primary is to send the base only.
    pub(super) demote_ms: Option<u64>,
    /// Asked for everything, to see whether it is the better primary.
    pub(super) is_trial: bool,
    /// When slowness was put on record last.
    pub(super) delay_told_ms: Option<u64>,
    /// Chunks that did not open, and when, oldest first.
    suspects: VecDeque<(Key, u64)>,
    first_ms: [Option<u64>; 2],
    /// Its latest silence: last chunk before, first chunk after, in ms.
    outage_ms: (u64, u64),
}

impl Link {
    pub(super) fn new(now_ms: u64, peer: Fingerprint, place: u8, policy: Policy) -> Self {
        Self {
            peer,
            place,
            role: Role::Standby,
            stage: Stage::Asked(now_ms),
            policy,
            chain: Vec::new(),
            rtt_ms: None,
            announced_ms: None,
            pace: Pace::new(),
            conduct: Conduct::new(now_ms),
            heard_ms: None,
            high: None,
            ahead_ms: None,
            demote_ms: None,
            is_trial: false,
            delay_told_ms: None,
            suspects: VecDeque::new(),
            first_ms: [None; 2],
            outage_ms: (0, 0),
        }
    }

    pub(super) fn granted_ms(&self) -> Option<u64> {
        match self.stage {
            Stage::Granted(at_ms) => Some(at_ms),
            Stage::Asked(_) => None,
        }
    }

    /// Granted, and with a way to the source.
    pub(super) fn is_usable(&self) -> bool {
        self.granted_ms().is_some() && !self.chain.is_empty()
    }

    /// Takes note of a chunk that is believed and new from this parent.
    pub(super) fn hear(&mut self, now_ms: u64, key: Key, media: Media) {
        if let Some(heard_ms) = self.heard_ms.filter(|_| self.is_silent(now_ms)) {
            self.outage_ms = (heard_ms, now_ms);
        }
        self.heard_ms = Some(now_ms);
        self.pace.note(now_ms);
        self.high = self.high.max(Some(key));
        if let Some(first_ms) = self.first_ms.get_mut(index(media)) {
            first_ms.get_or_insert(now_ms);
        }
    }

    /// A chunk did not open. Of one number this is excused once, if the right chunk comes from the same parent.
    pub(super) fn suspect(&mut self, now_ms: u64, key: Key) {
        let again = self.suspects.iter().any(|(suspect, _)| *suspect == key);
        match again || self.suspects.len() >= SUSPECTS_MAX {
            true => self.conduct.forged(),
            false => self.suspects.push_back((key, now_ms)),
        }
    }

    /// The right chunk came.
    pub(super) fn absolve(&mut self, key: Key) {
        if let Some(at) = self.suspects.iter().position(|(suspect, _)| *suspect == key) {
            self.suspects.remove(at);
            self.conduct.mixed();
        }
    }

    /// Counts as forged what was not absolved in time.
    pub(super) fn convict(&mut self, now_ms: u64) {
        while self.suspects.front().is_some_and(|(_, at_ms)| now_ms.saturating_sub(*at_ms) >= SUSPECT_MS) {
            self.suspects.pop_front();
            self.conduct.forged();
        }
    }

    /// Since when nothing was heard, counting from the grant.
    pub(super) fn silent_ms(&self, now_ms: u64) -> u64 {
        let since_ms = self.heard_ms.or(self.granted_ms()).unwrap_or(now_ms);
        now_ms.saturating_sub(since_ms)
    }

    pub(super) fn is_silent(&self, now_ms: u64) -> bool {
        self.silent_ms(now_ms) > self.pace.silence_ms()
    }

    /// Whether a base chunk that came first at `first_ms` was to come from this parent too. What a silence took with it
    /// is the silence's affair.
    pub(super) fn owes(&self, media: Media, first_ms: u64) -> bool {
        let Some(granted_ms) = self.granted_ms() else { return false };
        let first = self.first_ms.get(index(media)).copied().flatten();
        let (from_ms, to_ms) = self.outage_ms;
        let is_out = from_ms < first_ms && first_ms <= to_ms;
        !is_out && first_ms >= first.unwrap_or(granted_ms.saturating_add(OWES_AFTER_MS))
    }

    /// Delay from the source over it to here, in ms; `None` as long as the round trip is not known.
    pub(super) fn cost(&self) -> Option<u32> {
        self.rtt_ms.map(|rtt_ms| passed_ms(self.announced_ms, self.chain.len(), rtt_ms))
    }

    pub(super) fn overlap(&self, chain: &[Fingerprint]) -> Overlap {
        overlap(chain, &self.chain)
    }

    pub(super) fn view(&self) -> LinkView {
        LinkView {
            peer: self.peer,
            role: self.role,
            policy: self.policy,
            chain: self.chain.clone(),
            rtt_ms: self.rtt_ms,
            heard_ms: self.heard_ms,
            silence_ms: self.pace.silence_ms(),
        }
    }
}

fn index(media: Media) -> usize {
    match media {
        Media::Picture => 0,
        Media::Sound => 1,
    }
}
