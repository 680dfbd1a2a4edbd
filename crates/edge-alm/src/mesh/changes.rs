//! How the set of parents changes: asking, promoting, giving up.

use edge_wire::id::Fingerprint;
use edge_wire::layer::Policy;

use super::conduct::Charge;
use super::link::Link;
use super::machine::Mesh;
use super::table::{BAN_MS, BAN_MS_INDIRECT, RETRY_MS_MAX};
use super::turn::{DEAF_MS, IMPROVE_MS_MIN};
use super::{ACTIVE_MAX, ASKED_MAX, Action, DropWhy, EVIDENCE_MAX, Evidence, Misdeed, Opens, Role, SwitchWhy};

/// How long a former primary goes on sending everything, in ms, unless the new one sends upper layers earlier.
const HANDOVER_MS: u64 = 2_000;
/// Most time before a standby is looked for after a change, in ms: those who lost the same parent spread over it.
const STANDBY_JITTER_MS: u64 = 400;
/// How long a peer is left alone, in ms, after it fell silent or never delivered.
const SILENT_REST_MS: u64 = 5_000;
/// The same after it sent base chunks late.
const SLOW_REST_MS: u64 = 60_000;
/// The same after it held base chunks back.
const STARVED_REST_MS: u64 = 30_000;
/// Times that the primary faltered within [`UNSTEADY_MS`] that make it unsteady.
const UNSTEADY_MIN: usize = 2;
/// How long the primary's faltering is remembered, in ms.
const UNSTEADY_MS: u64 = 30_000;

/// How long a new primary that was not chosen for its way is looked beyond more often, in ms.
const SETTLING_MS: u64 = 20_000;

impl Mesh {
    /// Subscribes to a peer, if there is a place.
    pub(super) fn ask(&mut self, peer: Fingerprint, policy: Policy) {
        let taken = |place: &u8| self.links.iter().any(|link| link.place == *place);
        let Some(place) = (0..u8::BITS as u8).find(|place| !taken(place)) else { return };
        if self.is_full() || self.link(&peer).is_some() {
            return;
        }
        let mut link = Link::new(self.now_ms, peer, place, policy);
        link.announced_ms = self.table.announced_ms(&peer);
        self.links.push(link);
        self.push(Action::Subscribe { peer, policy });
    }

    /// Whether no further peer may be asked. While nobody delivers, a peer that does not answer soon keeps nobody else
    /// from being asked: it may be as dead as the parents are.
    pub(super) fn is_full(&self) -> bool {
        let most = if self.is_in_need() { ASKED_MAX } else { ACTIVE_MAX };
        let speaks = |link: &&Link| link.granted_ms().is_some() && link.silent_ms(self.now_ms) <= DEAF_MS;
        self.links.len() >= most || self.links.iter().filter(speaks).count() >= ACTIVE_MAX
    }

    /// Parents that answered.
    pub(super) fn granted(&self) -> usize {
        self.links.iter().filter(|link| link.granted_ms().is_some()).count()
    }

    /// One parent more answered than are kept: of the others, the one goes that brings least.
    pub(super) fn make_place(&mut self, newcomer: &Fingerprint) {
        if self.granted() <= ACTIVE_MAX {
            return;
        }
        let now_ms = self.now_ms;
        let others = self.links.iter().filter(|link| link.role == Role::Standby && link.peer != *newcomer);
        let granted = others.filter(|link| link.granted_ms().is_some());
        let worst = granted.max_by_key(|link| (!link.is_usable(), link.silent_ms(now_ms), link.place));
        let peer = worst.map_or(*newcomer, |link| link.peer);
        self.give_up(&peer, DropWhy::Surplus, SwitchWhy::Lost);
    }

    /// Makes a parent the primary. The former one, if it is still a parent, becomes a standby.
    pub(super) fn promote(&mut self, peer: Fingerprint, former: Option<Fingerprint>, why: SwitchWhy) {
        let now_ms = self.now_ms;
        let handover_ms = if why == SwitchWhy::Better { HANDOVER_MS } else { 0 };
        if let Some(former) = former.filter(|_| why == SwitchWhy::Better) {
            self.table.left(now_ms, &former);
        }
        for link in &mut self.links {
            link.ahead_ms = None;
            if link.role == Role::Primary {
                link.role = Role::Standby;
                link.demote_ms = Some(now_ms.saturating_add(handover_ms));
            }
        }
        if let Some(link) = self.link_mut(&peer) {
            link.role = Role::Primary;
            link.is_trial = false;
            link.demote_ms = None;
        }
        self.layers.switched(now_ms);
        if matches!(why, SwitchWhy::Slow | SwitchWhy::Misdeed) {
            self.layers.restore(now_ms);
        }
        self.count_switch(why);
        self.timers.switched_ms = now_ms;
        self.timers.had_primary = true;
        self.timers.standby_ms = now_ms.saturating_add(self.table.random() % STANDBY_JITTER_MS);
        self.follow_policy();
        self.push(Action::Switched { from: former, to: peer, why });
    }

    /// Gives a parent up and tells it. If it was the primary, the best of the others takes over at once.
    pub(super) fn give_up(&mut self, peer: &Fingerprint, why: DropWhy, switch: SwitchWhy) {
        if self.link(peer).is_none() {
            return;
        }
        let rest_ms = match why {
            DropWhy::Silent | DropWhy::NeverDelivered | DropWhy::Unanswered => SILENT_REST_MS,
            DropWhy::Slow => SLOW_REST_MS,
            DropWhy::Misdeed(_) => STARVED_REST_MS,
            DropWhy::Loop | DropWhy::TooDeep | DropWhy::Wayless | DropWhy::Replaced | DropWhy::Surplus => 0,
        };
        if matches!(why, DropWhy::Silent | DropWhy::NeverDelivered) {
            self.table.unreachable(peer);
        }
        if rest_ms > 0 {
            self.table.refused(self.now_ms, peer, rest_ms..=rest_ms.max(RETRY_MS_MAX));
        }
        // The new primary is asked for everything before the old one is told to stop.
        let was_primary = self.detach(peer);
        if was_primary {
            self.replace_primary(Some(*peer), switch);
        }
        self.push(Action::Drop { peer: *peer, why });
    }

    /// Removes a parent that knows already.
    pub(super) fn forget(&mut self, peer: &Fingerprint, switch: SwitchWhy) {
        if self.detach(peer) {
            self.replace_primary(Some(*peer), switch);
        }
        self.next_ms = self.now_ms;
    }

    /// Promotes the best parent there is; without one, the next turn looks for one at once.
    pub(super) fn replace_primary(&mut self, former: Option<Fingerprint>, why: SwitchWhy) {
        match self.best_standby() {
            Some(best) => self.promote(best, former, why),
            None => {
                self.timers.parent_ms = self.timers.parent_ms.min(self.now_ms);
                self.timers.backoff_ms = 0;
            }
        }
        self.next_ms = self.now_ms;
    }

    /// The parent to promote: one that delivers before one that does not, then the nearest.
    pub(super) fn best_standby(&self) -> Option<Fingerprint> {
        let standbys = self.links.iter().filter(|link| link.role == Role::Standby && link.is_usable());
        let key = |link: &&Link| {
            let is_dead = link.heard_ms.is_none() || link.is_silent(self.now_ms);
            (is_dead, link.conduct.slow_ms() > 0, link.cost().unwrap_or(u32::MAX), link.place)
        };
        standbys.min_by_key(key).map(|link| link.peer)
    }

    /// Puts a misdeed on record, and draws the consequence: a forger or replayer is banned, a starver rests.
    pub(super) fn punish(&mut self, peer: Fingerprint, charge: Charge) {
        let hops = self.link(&peer).map_or(0, |link| link.chain.len());
        let ban_ms = match charge.misdeed {
            // The publisher, and who is right below it.
            Misdeed::Forgery if hops <= 2 => BAN_MS,
            Misdeed::Forgery => BAN_MS_INDIRECT,
            Misdeed::Replay => BAN_MS,
            Misdeed::Equivocation | Misdeed::Starvation | Misdeed::Delay => 0,
        };
        self.punish_for(peer, charge, ban_ms);
    }

    /// The same with a ban of at least `ban_ms`, if that is more than 0.
    pub(super) fn punish_for(&mut self, peer: Fingerprint, charge: Charge, ban_ms: u64) {
        self.accuse(peer, charge);
        if ban_ms > 0 {
            self.table.ban(self.now_ms, peer, ban_ms);
        }
        self.disputes.retain(|dispute| !dispute.pair.contains(&peer));
        self.give_up(&peer, DropWhy::Misdeed(charge.misdeed), SwitchWhy::Misdeed);
        if self.config.opens == Opens::OuterOnly {
            self.window.lower_floor();
        }
    }

    pub(super) fn accuse(&mut self, peer: Fingerprint, charge: Charge) {
        let Charge { misdeed, count, first_ms } = charge;
        let evidence = Evidence { peer, misdeed, count, first_ms, last_ms: self.now_ms };
        if self.evidence.len() >= EVIDENCE_MAX {
            self.evidence.pop_front();
        }
        self.evidence.push_back(evidence);
        self.push(Action::Accuse(evidence));
    }

    /// Asks every parent for what its role needs, as far as it differs from what it was asked for.
    pub(super) fn follow_policy(&mut self) {
        let (primary, standby) = (self.layers.policy(), self.standby_policy());
        let mut changes = Vec::new();
        for link in self.links.iter_mut().filter(|link| link.granted_ms().is_some()) {
            let policy = match link.role {
                Role::Primary => primary,
                Role::Standby if link.is_trial || link.demote_ms.is_some_and(|at_ms| at_ms > self.now_ms) => continue,
                Role::Standby => standby,
            };
            if link.policy != policy {
                link.policy = policy;
                link.pace.restart();
                changes.push(Action::SetPolicy { peer: link.peer, policy });
            }
        }
        changes.into_iter().for_each(|change| self.push(change));
    }

    /// The base; with every frame of it while the primary is unsteady.
    pub(super) fn standby_policy(&self) -> Policy {
        let recent = self.hiccups.iter().filter(|at_ms| self.now_ms.saturating_sub(**at_ms) <= UNSTEADY_MS);
        match recent.count() >= UNSTEADY_MIN {
            true => Policy::new(0, self.layers.wanted().max_temporal, 0),
            false => Policy::BLINKING_DOT,
        }
    }

    fn count_switch(&mut self, why: SwitchWhy) {
        self.counters.switches += u64::from(self.timers.had_primary);
        match why {
            SwitchWhy::First => self.settle_anew(),
            SwitchWhy::Better => {
                self.counters.voluntary += 1;
                self.timers.voluntary_ms.rotate_right(1);
                self.timers.voluntary_ms[0] = Some(self.now_ms);
                self.timers.improve_wait_ms = IMPROVE_MS_MIN;
                self.timers.improve_ms = self.now_ms.saturating_add(IMPROVE_MS_MIN);
            }
            SwitchWhy::Lost | SwitchWhy::Silent | SwitchWhy::Slow | SwitchWhy::Wayless | SwitchWhy::Misdeed => {
                self.counters.heals += 1;
                self.hiccup();
                self.settle_anew();
            }
        }
    }

    /// A primary that was not chosen for its way: for a while a better one is looked for more often.
    fn settle_anew(&mut self) {
        self.timers.settling_ms = self.now_ms.saturating_add(SETTLING_MS);
        self.timers.improve_wait_ms = IMPROVE_MS_MIN;
        self.timers.improve_ms = self.now_ms.saturating_add(IMPROVE_MS_MIN);
    }

    /// Somebody nearer has room again: the next look for a better parent is due soon, not for all at once.
    pub(super) fn look_sooner(&mut self) {
        let at_ms = self.now_ms.saturating_add(self.table.random() % IMPROVE_MS_MIN);
        self.timers.improve_ms = self.timers.improve_ms.min(at_ms);
        self.timers.improve_wait_ms = IMPROVE_MS_MIN;
    }

    /// Removes a parent; whether it was the primary.
    fn detach(&mut self, peer: &Fingerprint) -> bool {
        let Some(at) = self.links.iter().position(|link| link.peer == *peer) else { return false };
        let link = self.links.remove(at);
        self.window.clear(link.place);
        // Who was only asked is made good at once.
        if link.granted_ms().is_some() {
            let standby_ms = self.now_ms.saturating_add(self.table.random() % STANDBY_JITTER_MS);
            self.timers.standby_ms = self.timers.standby_ms.max(standby_ms);
        }
        link.role == Role::Primary
    }
}
