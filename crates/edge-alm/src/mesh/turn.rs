//! One turn: everything that follows from time alone.

use edge_wire::id::Fingerprint;
use edge_wire::layer::Policy;

use super::conduct::{Charge, SPAN_MS};
use super::layers::Moved;
use super::link::{Link, Stage};
use super::machine::{Dispute, Mesh, NEED_RETRY_MS_MAX, VOLUNTARY_MAX};
use super::plan::{self, Overlap};
use super::table::{RETRY_MS_MAX, RETRY_MS_MIN};
use super::{ACTIVE_MAX, Action, DropWhy, Misdeed, Opens, Role, SwitchWhy};
use crate::seats::{Claim, Share};

/// Time between turns while there are parents, in ms.
const TURN_MS: u64 = 50;
/// Time between turns while there are none, in ms.
const IDLE_TURN_MS: u64 = 250;
/// How long an answer to a subscription may take, in ms.
const ANSWER_MS_MAX: u64 = 4_000;
/// The same while no parent delivers, in ms: those left to ask may be gone as well.
const ANSWER_MS_STRANDED: u64 = 1_500;
/// How long the first parent may take to answer, in ms, before another one is asked too.
const ANSWER_MS_PATIENT: u64 = 400;
/// How long a parent may take to deliver anything while another does, in ms.
const FIRST_CHUNK_MS_MAX: u64 = 4_000;
/// How far a standby must be ahead of a silent primary, in ms, before it takes over: a machine that stood still reads
/// one parent's queue before the other's.
const AHEAD_MS_MIN: u64 = 20;
const AHEAD_MS_MAX: u64 = 60;
/// Silence of every parent, in ms, that a person is told of.
const STRANDED_MS: u64 = 1_500;
/// Silence of all parents after which one more is asked: it costs little if the source only paused.
const NEED_MS: u64 = 300;
/// A standby is given up after this many times its threshold, and not before [`STANDBY_SILENCE_MS_MIN`].
const STANDBY_PATIENCE: u64 = 2;
const STANDBY_SILENCE_MS_MIN: u64 = 1_500;
/// Silence of a parent, in ms, from which on another one is looked for beside it.
const STUMBLE_MS: u64 = 500;
/// Slowness of the primary that ends its time, in ms: when nothing is left to shed or far too much waits, and in any
/// case.
const SLOW_MS_BASE: u64 = 1_000;
const SLOW_MS_ANY: u64 = 2_000;
/// Slowness of a standby that has it replaced, in ms.
const SLOW_MS_STANDBY: u64 = 1_500;
/// Time between two records of one parent's slowness, in ms.
const DELAY_TOLD_MS: u64 = 10_000;
/// Least time with a primary before it is changed for a better one, in ms.
const DWELL_MS: u64 = 2_000;
/// Time in which there is at most one change for a better one, in ms; while settling, as many as are remembered.
const VOLUNTARY_MS: u64 = 60_000;
/// A better way is shorter by one of this many parts of the delay, and by this many ms.
const BETTER_PART: u32 = 12;
const BETTER_MS: u32 = 6;
/// Time between two looks for something better, in ms: doubled from the least to the most while nothing comes of them.
pub(super) const IMPROVE_MS_MIN: u64 = 1_500;
const IMPROVE_MS_MAX: u64 = 8_000;
/// How long more standbys than needed are kept, in ms.
const SURPLUS_MS: u64 = 2_000;
/// Silence of every parent, in ms, after which those that are there keep no place from others.
pub(super) const DEAF_MS: u64 = 1_000;
/// How long an extra parent is tried then, in ms; doubled each time, for the source may have paused.
const ROTATE_MS_MIN: u64 = 250;
const ROTATE_MS_MAX: u64 = 60_000;
/// Disagreements of one pair that count.
const DISPUTED_MIN: u32 = 3;
/// Spans with different chunks under one number that have a member and a relay leave a parent: the nearer to the liar,
/// the sooner.
const MIXED_SPANS: usize = 5;
const MIXED_SPANS_RELAY: usize = 2;
/// Time between two parents that a relay leaves for that, in ms.
const MIXTURE_AGAIN_MS: u64 = 10_000;
/// How long disagreements are remembered, in ms.
const DISPUTE_MS: u64 = 10_000;

impl Mesh {
    pub(super) fn turn(&mut self) {
        self.window.expire(self.now_ms);
        self.settle();
        self.give_up_unanswered();
        self.end_handover();
        self.judge();
        self.arbitrate();
        self.heal();
        self.measure_rate();
        self.cadence.roll(self.now_ms);
        self.follow_layers();
        self.find_primary();
        self.find_standby();
        self.improve();
        self.prune();
        self.tell_stranded();
        self.next_ms = self.next_turn();
    }

    /// Compares what each parent sent with the base chunks that came from any.
    fn settle(&mut self) {
        while let Some(chunk) = self.window.settle(self.now_ms) {
            // What only one parent sent proves nothing to a relay unless its number is one that others have reached.
            let is_vouched = chunk.sent.count_ones() > 1 || Some(chunk.key) <= self.proven();
            if self.config.opens == Opens::OuterOnly && !is_vouched {
                continue;
            }
            for link in &mut self.links {
                if link.owes(chunk.media, chunk.first_ms) {
                    let was_sent = chunk.sent.checked_shr(u32::from(link.place)).unwrap_or(0) & 1 == 1;
                    link.conduct.settled(chunk.media, was_sent);
                }
            }
        }
    }

    fn give_up_unanswered(&mut self) {
        let now_ms = self.now_ms;
        let mut granted = self.links.iter().filter(|link| link.granted_ms().is_some());
        let nobody_delivers = granted.all(|link| link.silent_ms(now_ms) > STRANDED_MS);
        let had_primary = self.timers.had_primary;
        let patience_ms = if nobody_delivers && had_primary { ANSWER_MS_STRANDED } else { ANSWER_MS_MAX };
        let is_over = |link: &&Link| match link.stage {
            Stage::Asked(at_ms) => now_ms.saturating_sub(at_ms) > patience_ms,
            Stage::Granted(_) => false,
        };
        let unanswered: Vec<Fingerprint> = self.links.iter().filter(is_over).map(|link| link.peer).collect();
        for peer in unanswered {
            self.table.unreachable(&peer);
            self.give_up(&peer, DropWhy::Unanswered, SwitchWhy::Lost);
        }
    }

    /// Has a former primary send the base only, once the new one sends everything or the time is over.
    fn end_handover(&mut self) {
        let now_ms = self.now_ms;
        let is_whole = self.layers.why() != super::Why::Recovering;
        let mut ended = false;
        for link in self.links.iter_mut().filter(|link| link.role == Role::Standby) {
            if link.demote_ms.is_some_and(|at_ms| is_whole || at_ms <= now_ms) {
                link.demote_ms = None;
                ended = true;
            }
        }
        if ended {
            self.follow_policy();
        }
    }

    /// Ends the spans that are over and acts on what they prove.
    fn judge(&mut self) {
        let now_ms = self.now_ms;
        let mut charged: Vec<(Fingerprint, Charge)> = Vec::new();
        let mut is_shaky = false;
        for link in &mut self.links {
            link.convict(now_ms);
            let has_ended = link.conduct.roll(now_ms);
            is_shaky |= has_ended && link.role == Role::Primary && link.conduct.is_shaky();
            // Silence is no starvation: it is dealt with as such.
            let silent = link.is_silent(now_ms);
            let charge = link.conduct.charge().filter(|it| it.misdeed != Misdeed::Starvation || !silent);
            charged.extend(charge.map(|charge| (link.peer, charge)));
        }
        if is_shaky {
            self.hiccup();
        }
        for (peer, charge) in charged {
            self.punish(peer, charge);
        }
        self.judge_mixture();
        self.judge_slowness();
    }

    /// Leaves a parent that sends different chunks under one number, when another one delivers. It is not banned.
    fn judge_mixture(&mut self) {
        let (now_ms, is_relay) = (self.now_ms, self.config.opens == Opens::OuterOnly);
        let spans_min = if is_relay { MIXED_SPANS_RELAY } else { MIXED_SPANS };
        let charge = |link: &Link| Some((link.peer, link.conduct.mixture(spans_min)?));
        let Some((peer, charge)) = self.links.iter().find_map(charge) else { return };
        let delivers = |link: &Link| link.is_usable() && link.heard_ms.is_some() && !link.is_silent(now_ms);
        let has_other = self.links.iter().any(|link| link.peer != peer && delivers(link));
        if !has_other || now_ms < self.timers.mixture_ms {
            return;
        }
        // Children that lie must not chase a relay from parent to parent.
        self.timers.mixture_ms = now_ms.saturating_add(if is_relay { MIXTURE_AGAIN_MS } else { 0 });
        self.punish(peer, charge);
    }

    fn judge_slowness(&mut self) {
        let Some(primary) = self.primary() else { return };
        let (peer, slow_ms) = (primary.peer, primary.conduct.slow_ms());
        let nothing_helps = self.layers.is_at_base() || self.layers.is_late();
        if slow_ms >= SLOW_MS_ANY || (slow_ms >= SLOW_MS_BASE && nothing_helps) {
            self.tell_delay(&peer);
            let rival = self.best_standby().filter(|rival| {
                self.link(rival).is_some_and(|link| !link.is_silent(self.now_ms) && link.conduct.slow_ms() == 0)
            });
            if let Some(rival) = rival {
                self.promote(rival, Some(peer), SwitchWhy::Slow);
            }
        }
        let is_slow = |link: &&Link| link.role == Role::Standby && link.conduct.slow_ms() >= SLOW_MS_STANDBY;
        let slow = self.links.iter().find(is_slow).map(|link| link.peer);
        if let Some(slow) = slow {
            self.tell_delay(&slow);
            if self.pick_standby().is_some() {
                self.give_up(&slow, DropWhy::Slow, SwitchWhy::Slow);
                self.timers.standby_ms = self.now_ms;
            }
        }
    }

    fn tell_delay(&mut self, peer: &Fingerprint) {
        let now_ms = self.now_ms;
        let Some(link) = self.link_mut(peer) else { return };
        if link.delay_told_ms.is_none_or(|at_ms| now_ms.saturating_sub(at_ms) >= DELAY_TOLD_MS) {
            link.delay_told_ms = Some(now_ms);
            let charge = link.conduct.delay();
            self.accuse(*peer, charge);
        }
    }

    /// A parent that disagrees with two others is the one that is wrong; with two parents, a third has to tell.
    fn arbitrate(&mut self) {
        let now_ms = self.now_ms;
        self.disputes.retain(|dispute| now_ms.saturating_sub(dispute.last_ms) <= DISPUTE_MS);
        // Against the publisher nobody is right; but who disagrees with it may be misled itself.
        let source = self.config.source;
        let refuted = |dispute: &&Dispute| dispute.count >= DISPUTED_MIN && dispute.pair.contains(&source);
        if let Some(Dispute { pair, count, first_ms, .. }) = self.disputes.iter().find(refuted).copied() {
            let liars = pair.into_iter().filter(|peer| *peer != source);
            liars.for_each(|peer| self.punish(peer, Charge { misdeed: Misdeed::Equivocation, count, first_ms }));
        }
        let serious = || self.disputes.iter().filter(|dispute| dispute.count >= DISPUTED_MIN);
        let rivals = |peer: &Fingerprint| serious().filter(|dispute| dispute.pair.contains(peer)).count();
        let liar = self.links.iter().map(|link| link.peer).find(|peer| rivals(peer) >= 2);
        if let Some(liar) = liar {
            let theirs = || serious().filter(|dispute| dispute.pair.contains(&liar));
            let count = theirs().fold(0, |sum: u32, dispute| sum.saturating_add(dispute.count));
            let first_ms = theirs().map(|dispute| dispute.first_ms).min().unwrap_or(now_ms);
            self.counters.forgeries = self.counters.forgeries.saturating_add(u64::from(count));
            self.punish(liar, Charge { misdeed: Misdeed::Forgery, count, first_ms });
        }
    }

    fn is_disputed(&self) -> bool {
        self.disputes.iter().any(|dispute| dispute.count >= DISPUTED_MIN)
    }

    /// Replaces a primary that is silent while a standby is ahead of it, and gives up standbys that are silent for long
    /// while the primary delivers. When all are silent the source may have paused, and nothing changes.
    fn heal(&mut self) {
        let now_ms = self.now_ms;
        let wayless = self.primary().filter(|link| !link.is_usable()).map(|link| link.peer);
        if let Some(peer) = wayless
            && let Some(best) = self.best_standby()
        {
            self.promote(best, Some(peer), SwitchWhy::Wayless);
            return;
        }
        let Some(primary) = self.primary() else { return };
        let peer = primary.peer;
        if primary.is_silent(now_ms) {
            let ahead_ms = ahead_ms(primary);
            let is_ahead = |link: &&Link| link.ahead_ms.is_some_and(|at_ms| now_ms.saturating_sub(at_ms) >= ahead_ms);
            let is_overtaken = self.links.iter().filter(|link| link.is_usable()).any(|link| is_ahead(&link));
            // The silent one stays for a moment: it may only have stumbled.
            if let Some(best) = self.best_standby().filter(|_| is_overtaken) {
                self.promote(best, Some(peer), SwitchWhy::Silent);
            }
            return;
        }
        let dead: Vec<(Fingerprint, DropWhy)> = self.links.iter().filter_map(|link| self.dead_standby(link)).collect();
        for (peer, why) in dead {
            self.give_up(&peer, why, SwitchWhy::Silent);
        }
    }

    /// Why a standby is to be given up for its silence beside a primary that delivers.
    fn dead_standby(&self, link: &Link) -> Option<(Fingerprint, DropWhy)> {
        let granted_ms = link.granted_ms().filter(|_| link.role == Role::Standby)?;
        let primary = self.primary()?;
        let (patience_ms, why) = match link.heard_ms {
            None => (FIRST_CHUNK_MS_MAX, DropWhy::NeverDelivered),
            Some(_) => {
                let patience_ms = link.pace.silence_ms().saturating_mul(STANDBY_PATIENCE);
                (patience_ms.max(STANDBY_SILENCE_MS_MIN), DropWhy::Silent)
            }
        };
        let is_dead =
            link.silent_ms(self.now_ms) > patience_ms && primary.heard_ms > link.heard_ms.or(Some(granted_ms));
        is_dead.then_some((link.peer, why))
    }

    fn measure_rate(&mut self) {
        let elapsed_ms = self.now_ms.saturating_sub(self.rate.since_ms);
        if elapsed_ms >= 1_000 {
            let kbps = self.rate.bytes.saturating_mul(8) / elapsed_ms;
            self.rate.kbps = u32::try_from(kbps).unwrap_or(u32::MAX);
            (self.rate.bytes, self.rate.since_ms) = (0, self.now_ms);
        }
    }

    fn follow_layers(&mut self) {
        let lag_ms = self.primary().map_or(0, |link| link.conduct.lag_ms());
        match self.layers.tick(self.now_ms, lag_ms) {
            Moved::No => {}
            Moved::Down => self.counters.sheds += 1,
            Moved::Up => self.counters.climbs += 1,
        }
        self.follow_policy();
    }

    /// Takes a granted parent as the primary, or asks for one.
    fn find_primary(&mut self) {
        if self.primary().is_some() {
            return;
        }
        if let Some(best) = self.best_standby() {
            let why = if self.timers.had_primary { SwitchWhy::Lost } else { SwitchWhy::First };
            self.promote(best, None, why);
            return;
        }
        let now_ms = self.now_ms;
        let is_asked = |link: &Link| match link.stage {
            Stage::Asked(at_ms) => now_ms.saturating_sub(at_ms) < ANSWER_MS_PATIENT,
            Stage::Granted(_) => false,
        };
        if self.is_full() {
            return self.give_up_wayless();
        }
        if self.links.iter().any(is_asked) || now_ms < self.timers.parent_ms {
            return;
        }
        let policy = self.layers.policy();
        let candidates: Vec<_> = self.table.candidates(now_ms).collect();
        let avoid = self.peers();
        let request = self.request(policy, &[], &avoid);
        // Without a parent no news of room comes in: who was full a while ago may have room again.
        let parent = plan::plan(&candidates, &request).map(|plan| plan.primary);
        match parent.or_else(|| plan::last_resort(&candidates, &request)).map(|parent| parent.offer.peer) {
            Some(peer) => self.ask(peer, policy),
            None => self.timers.parent_ms = self.back_off(),
        }
    }

    /// While nobody has a way to the source and all places are taken, gives up the longest parent, so that another can
    /// be tried.
    fn give_up_wayless(&mut self) {
        let now_ms = self.now_ms;
        let waited = |link: &&Link| link.granted_ms().is_some_and(|at_ms| now_ms.saturating_sub(at_ms) > STRANDED_MS);
        let wayless = self.links.iter().filter(|link| !link.is_usable()).filter(waited);
        if let Some(peer) = wayless.min_by_key(|link| link.granted_ms()).map(|link| link.peer) {
            self.table.refused(now_ms, &peer, RETRY_MS_MAX..=RETRY_MS_MAX);
            self.give_up(&peer, DropWhy::Wayless, SwitchWhy::Wayless);
        }
    }

    /// Two, and a third when one has to tell who is right, nobody delivers, or chunks come late or rarely from all.
    fn wanted_parents(&self) -> usize {
        let is_thin = self.cadence.is_sparse() || self.layers.is_late();
        if self.is_disputed() || self.is_in_need() || is_thin { ACTIVE_MAX } else { 2 }
    }

    /// Asks for as many parents as are wanted.
    fn find_standby(&mut self) {
        if self.primary().is_none() {
            return;
        }
        let now_ms = self.now_ms;
        if self.is_full() || self.live() >= self.wanted_parents() {
            return self.rotate();
        }
        if now_ms < self.timers.standby_ms {
            return;
        }
        let is_urgent = self.wanted_parents() == ACTIVE_MAX;
        match self.pick_spare(is_urgent) {
            // Who is needed now is asked for everything: that goes before standbys that others have.
            Some(peer) if is_urgent => self.try_out(peer),
            Some(peer) => self.ask(peer, self.standby_policy()),
            None => self.timers.standby_ms = self.back_off(),
        }
    }

    /// Parents that count as such: a standby that is silent while the primary delivers does not, nor does one that does
    /// not answer.
    fn live(&self) -> usize {
        let now_ms = self.now_ms;
        let is_calm = self.primary().is_some_and(|primary| !primary.is_silent(now_ms));
        let is_gone = |link: &&Link| match link.stage {
            Stage::Asked(at_ms) => now_ms.saturating_sub(at_ms) > ANSWER_MS_PATIENT,
            Stage::Granted(_) if is_calm => {
                link.silent_ms(now_ms) > STUMBLE_MS.max(link.pace.silence_ms().saturating_mul(2))
            }
            Stage::Granted(_) => link.silent_ms(now_ms) > DEAF_MS,
        };
        self.links.iter().filter(|link| link.role == Role::Primary || !is_gone(link)).count()
    }

    /// While nobody delivers, gives up the latest extra parent now and then, so that another can be tried.
    fn rotate(&mut self) {
        let now_ms = self.now_ms;
        let mut granted = self.links.iter().filter(|link| link.granted_ms().is_some());
        let all_silent = granted.all(|link| link.silent_ms(now_ms) > DEAF_MS);
        if !all_silent {
            (self.timers.rotate_wait_ms, self.timers.rotate_ms) = (ROTATE_MS_MIN, now_ms.saturating_add(ROTATE_MS_MIN));
            return;
        }
        if now_ms < self.timers.rotate_ms || !self.is_full() || self.pick_spare(true).is_none() {
            return;
        }
        self.timers.rotate_wait_ms = self.timers.rotate_wait_ms.saturating_mul(2).clamp(ROTATE_MS_MIN, ROTATE_MS_MAX);
        self.timers.rotate_ms = now_ms.saturating_add(self.timers.rotate_wait_ms);
        let extras = self.links.iter().filter(|link| link.role == Role::Standby && link.granted_ms().is_some());
        let extra = extras.max_by_key(|link| link.silent_ms(now_ms)).map(|link| link.peer);
        if let Some(extra) = extra {
            self.give_up(&extra, DropWhy::Silent, SwitchWhy::Silent);
        }
    }

    /// Whether the primary neither delivers nor can be expected to.
    pub(super) fn is_in_need(&self) -> bool {
        let now_ms = self.now_ms;
        let is_quiet = |link: &Link| link.silent_ms(now_ms) > NEED_MS.max(link.pace.silence_ms().saturating_mul(2));
        let nobody_delivers = self.links.iter().filter(|link| link.granted_ms().is_some()).all(is_quiet);
        self.primary().is_none_or(|primary| !primary.is_usable() || nobody_delivers)
    }

    /// Asks a peer for everything although it is not the primary.
    fn try_out(&mut self, peer: Fingerprint) {
        self.ask(peer, self.layers.policy());
        self.link_mut(&peer).into_iter().for_each(|link| link.is_trial = true);
    }

    /// One more parent. If that is urgent, one that gave a sign of life lately before others, and one without room as
    /// well: what is known of its room may be old.
    fn pick_spare(&self, is_urgent: bool) -> Option<Fingerprint> {
        if !is_urgent {
            return self.pick_standby();
        }
        let avoid = self.peers();
        let request = self.request(self.layers.policy(), self.primary_chain(), &avoid);
        let all: Vec<_> = self.table.candidates(self.now_ms).collect();
        let lively: Vec<_> = self.table.lively(self.now_ms).collect();
        let found = plan::standby(&lively, &request).or_else(|| plan::standby(&all, &request));
        found.or_else(|| plan::last_resort(&all, &request)).map(|it| it.offer.peer)
    }

    /// A peer whose way shares little with the primary's; of several ones, one that gave a sign of life lately.
    fn pick_standby(&self) -> Option<Fingerprint> {
        let (avoid, chain) = (self.peers(), self.primary_chain());
        let request = self.request(Policy::BLINKING_DOT, chain, &avoid);
        let is_apart = |it: &plan::Candidate<'_>| plan::overlap(chain, &it.offer.chain) == Overlap::None;
        let lively: Vec<_> = self.table.lively(self.now_ms).filter(is_apart).collect();
        let all = || self.table.candidates(self.now_ms).collect::<Vec<_>>();
        let found = plan::standby(&lively, &request).or_else(|| plan::standby(&all(), &request));
        found.map(|candidate| candidate.offer.peer)
    }

    /// Changes to a nearer parent once it has proved itself as a standby, and tries one now and then.
    fn improve(&mut self) {
        let now_ms = self.now_ms;
        let Some((former, cost)) = self.primary().and_then(|primary| Some((primary.peer, primary.cost()?))) else {
            return;
        };
        let may_switch = self.may_choose();
        if may_switch && let Some(better) = self.proven_better() {
            self.promote(better, Some(former), SwitchWhy::Better);
            return;
        }
        if now_ms < self.timers.improve_ms || self.links.len() != 2 {
            return;
        }
        let wait_ms = self.timers.improve_wait_ms;
        self.timers.improve_ms = now_ms.saturating_add(wait_ms + self.table.random() % (wait_ms / 4 + 1));
        self.timers.improve_wait_ms = wait_ms.saturating_mul(2).min(IMPROVE_MS_MAX);
        if let Some(trial) = may_switch.then(|| self.nearer(cost)).flatten() {
            self.table.tried(now_ms, &trial);
            self.try_out(trial);
        } else if let Some(other) = self.more_independent() {
            self.ask(other, self.standby_policy());
        }
    }

    /// Whether a change for a better parent is due: rarely, and a little more often while settling.
    fn may_choose(&self) -> bool {
        let now_ms = self.now_ms;
        let recent = |at_ms: &&Option<u64>| at_ms.is_some_and(|at_ms| now_ms.saturating_sub(at_ms) < VOLUNTARY_MS);
        let most = if now_ms < self.timers.settling_ms { VOLUNTARY_MAX } else { 1 };
        now_ms.saturating_sub(self.timers.switched_ms) >= DWELL_MS
            && self.timers.voluntary_ms.iter().filter(recent).count() < most
    }

    /// A standby that is nearer to the source by the margin, delivers no later, and can carry the whole stream: it
    /// granted that on trial, or has room by its offer.
    fn proven_better(&self) -> Option<Fingerprint> {
        let primary = self.primary()?;
        let stream_kbps = self.stream_kbps(self.layers.wanted());
        let claim = Claim { role: self.config.duty, share: Share::Whole };
        let is_better = |link: &&Link| {
            link.role == Role::Standby
                && link.is_usable()
                && !link.is_silent(self.now_ms)
                && is_nearer(link, primary)
                && !self.table.was_left(self.now_ms, &link.peer)
                && (link.is_trial || self.table.has_room(&link.peer, stream_kbps, claim))
        };
        self.links.iter().filter(is_better).min_by_key(|link| link.cost()).map(|link| link.peer)
    }

    /// A peer over which the source would be nearer by the margin, as far as its round trip is known.
    fn nearer(&self, primary_cost: u32) -> Option<Fingerprint> {
        let avoid = self.peers();
        let request = self.request(self.layers.policy(), &[], &avoid);
        let depth = plan::depth_bound(self.table.candidates(self.now_ms), request.stream_kbps);
        let flat = self.table.untried(self.now_ms).filter(|it| it.offer.chain.len() <= depth);
        let found = plan::nearest(flat, &request, better_than(primary_cost).saturating_add(1));
        found.map(|candidate| candidate.offer.peer)
    }

    /// A peer whose way shares less with the primary's than the standby's does.
    fn more_independent(&self) -> Option<Fingerprint> {
        let chain = self.primary_chain();
        let present = self.links.iter().find(|link| link.role == Role::Standby && link.is_usable())?.overlap(chain);
        if present == Overlap::None {
            return None;
        }
        let differs = |it: &plan::Candidate<'_>| plan::overlap(chain, &it.offer.chain) < present;
        let candidates: Vec<_> = self.table.candidates(self.now_ms).filter(differs).collect();
        let avoid = self.peers();
        plan::standby(&candidates, &self.request(Policy::BLINKING_DOT, chain, &avoid)).map(|it| it.offer.peer)
    }

    /// Gives up a second standby when nothing needs it.
    fn prune(&mut self) {
        let now_ms = self.now_ms;
        let delivers = |link: &Link| link.is_usable() && link.heard_ms.is_some() && !link.is_silent(now_ms);
        let calm = self.primary().is_some_and(delivers) && self.wanted_parents() < ACTIVE_MAX;
        let spare = || self.links.iter().filter(|link| link.role == Role::Standby);
        if !calm || spare().count() < 2 || !spare().all(|link| delivers(link) && link.demote_ms.is_none()) {
            self.timers.surplus_ms = None;
            return;
        }
        let since_ms = *self.timers.surplus_ms.get_or_insert(now_ms);
        let is_pending = self.primary().and_then(Link::cost).is_some_and(|primary_cost| {
            spare().any(|link| !link.conduct.is_ready() && link.cost().is_some_and(|cost| is_less(cost, primary_cost)))
        });
        let wait_ms = if is_pending { SURPLUS_MS * 2 } else { SURPLUS_MS };
        if now_ms.saturating_sub(since_ms) < wait_ms {
            return;
        }
        let chain = self.primary_chain();
        let key = |link: &&Link| {
            (link.conduct.slow_ms() > 0, link.overlap(chain), link.cost().unwrap_or(u32::MAX), link.place)
        };
        let worst = spare().max_by_key(key).map(|link| link.peer);
        if let Some(worst) = worst {
            self.timers.surplus_ms = None;
            self.links.iter_mut().for_each(|link| link.is_trial = false);
            self.give_up(&worst, DropWhy::Surplus, SwitchWhy::Lost);
        }
    }

    /// Says once that nobody delivers, or that nobody is left to ask.
    fn tell_stranded(&mut self) {
        let now_ms = self.now_ms;
        if self.timers.is_stranded {
            return;
        }
        let is_stranded = match self.links.is_empty() {
            true => {
                let waited_ms = now_ms.saturating_sub(self.timers.started_ms);
                let is_hopeless = !self.table.has_hope(now_ms, &self.config.own);
                waited_ms > STRANDED_MS || (self.timers.had_primary && is_hopeless)
            }
            false => self.links.iter().all(|link| link.granted_ms().is_some() && link.silent_ms(now_ms) > STRANDED_MS),
        };
        if is_stranded {
            self.timers.is_stranded = true;
            self.counters.strandings += 1;
            self.push(Action::Stranded);
        }
    }

    /// When to try again after finding nobody, in ms: later each time.
    fn back_off(&mut self) -> u64 {
        let most_ms = if self.is_in_need() { NEED_RETRY_MS_MAX } else { RETRY_MS_MAX };
        let wait_ms = self.timers.backoff_ms.saturating_mul(2).clamp(RETRY_MS_MIN, most_ms);
        self.timers.backoff_ms = wait_ms;
        let jitter_ms = self.table.random() % (wait_ms / 2);
        self.now_ms.saturating_add(wait_ms).saturating_add(jitter_ms)
    }

    /// When the next turn is due, in ms.
    fn next_turn(&self) -> u64 {
        let now_ms = self.now_ms;
        let turn_ms = if self.links.is_empty() { IDLE_TURN_MS } else { TURN_MS.min(SPAN_MS) };
        let silence = self.primary().and_then(|link| {
            let heard_ms = link.heard_ms?;
            Some(heard_ms.saturating_add(link.pace.silence_ms()).saturating_add(1))
        });
        let ahead = self.primary().filter(|link| link.is_silent(now_ms)).and_then(|primary| {
            let ahead_ms = ahead_ms(primary);
            self.links.iter().filter_map(|link| link.ahead_ms).min().map(|at_ms| at_ms.saturating_add(ahead_ms))
        });
        let events = [silence, ahead].into_iter().flatten().filter(|at_ms| *at_ms > now_ms);
        events.chain([now_ms.saturating_add(turn_ms)]).min().unwrap_or(now_ms.saturating_add(turn_ms))
    }
}

/// How far a standby must be ahead of this silent primary.
fn ahead_ms(primary: &Link) -> u64 {
    (primary.pace.silence_ms() / 2).clamp(AHEAD_MS_MIN, AHEAD_MS_MAX)
}

/// Whether a standby's way is shorter by the margin, and its chunks come no later than the primary's.
fn is_nearer(link: &Link, primary: &Link) -> bool {
    let (Some(cost), Some(primary_cost)) = (link.cost(), primary.cost()) else { return false };
    is_less(cost, primary_cost) && link.conduct.is_ready()
}

/// Whether a delay is less by the margin.
fn is_less(cost: u32, than: u32) -> bool {
    cost <= better_than(than)
}

/// The longest delay that is better than this one by the margin.
fn better_than(cost: u32) -> u32 {
    cost.saturating_sub((cost / BETTER_PART).max(BETTER_MS))
}
