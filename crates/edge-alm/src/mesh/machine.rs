//! The machine and what it is told.

use std::collections::VecDeque;

use edge_wire::id::Fingerprint;
use edge_wire::layer::Policy;

use super::conduct::Charge;
use super::layers::Layers;
use super::link::{Link, Stage};
use super::pace::Cadence;
use super::plan::{self, Request};
use super::table::Table;
use super::window::{Kind, Seen, Window};
use super::{
    ACTIVE_MAX, Action, Arrival, Config, Counters, DropWhy, Evidence, Key, LayerRate, Misdeed, Offer, Opens, Origin,
    PARENT_CHAIN_MAX, RATES_MAX, Reason, Role, Snapshot, SwitchWhy, Verdict,
};
use crate::seats::{Claim, Share};

/// Actions that wait to be polled at most; a driver that polls after every call leaves none.
const ACTIONS_MAX: usize = 256;
/// A link that breaks earlier than this, in ms, counts as another refusal in a row.
const PROVED_MS: u64 = 10_000;
/// How long a peer whose link broke is left alone at least, in ms.
const LOST_REST_MS: u64 = 1_000;
/// How long a peer without room is left alone at least, in ms, unless nobody delivers.
const FULL_REST_MS: u64 = 2_000;
/// Longest rest of a peer that refused this one while nobody delivers.
pub(super) const NEED_RETRY_MS_MAX: u64 = 1_000;
/// Changes for a better parent that are remembered.
pub(super) const VOLUNTARY_MAX: usize = 3;
/// Pairs of parents in dispute at most.
const DISPUTES_MAX: usize = 8;
/// Times of hiccups that are remembered.
const HICCUPS_MAX: usize = 8;
/// Late chunks in a row, while nothing new comes, after which those who lifted the floor are not believed any more.
const LATE_RUN_MAX: u32 = 32;
/// A repeated number this far below the newest one of the same parent cannot be disorder on the way.
const DISORDER_MAX: u64 = 256;

/// Parents of one receiver for one stream. Times are ms of one monotonic clock of the caller; a time before the latest
/// one counts as the latest.
#[derive(Debug)]
pub struct Mesh {
    pub(super) config: Config,
    pub(super) now_ms: u64,
    /// When there may be something to do that no call announces.
    pub(super) next_ms: u64,
    pub(super) actions: VecDeque<Action>,
    pub(super) links: Vec<Link>,
    pub(super) table: Table,
    pub(super) window: Window,
    pub(super) layers: Layers,
    pub(super) counters: Counters,
    pub(super) evidence: VecDeque<Evidence>,
    pub(super) disputes: Vec<Dispute>,
    pub(super) timers: Timers,
    /// Times at which the primary faltered.
    pub(super) hiccups: VecDeque<u64>,
    pub(super) rate: Rate,
    pub(super) cadence: Cadence,
    late_run: u32,
}

/// Two parents that sent different bytes for the same chunks.
#[derive(Debug, Clone, Copy)]
pub(super) struct Dispute {
    pub(super) pair: [Fingerprint; 2],
    pub(super) count: u32,
    pub(super) first_ms: u64,
    pub(super) last_ms: u64,
}

/// What is known of a copy beside its number.
#[derive(Debug, Clone, Copy)]
enum Content {
    Unknown,
    /// Its parent sent other bytes before.
    Other,
}

/// When what may happen again, in ms.
#[derive(Debug)]
pub(super) struct Timers {
    pub(super) started_ms: u64,
    /// Next attempt to find a first parent.
    pub(super) parent_ms: u64,
    /// Next attempt to find a standby.
    pub(super) standby_ms: u64,
    /// Wait after the next attempt that finds nobody.
    pub(super) backoff_ms: u64,
    /// Next look for a better parent or a more independent standby.
    pub(super) improve_ms: u64,
    /// Next change of an extra parent while nobody delivers.
    pub(super) rotate_ms: u64,
    pub(super) rotate_wait_ms: u64,
    pub(super) switched_ms: u64,
    /// Wait after the next look.
    pub(super) improve_wait_ms: u64,
    /// Until when a better parent is looked for more often.
    pub(super) settling_ms: u64,
    /// Latest changes for a better one, the newest first.
    pub(super) voluntary_ms: [Option<u64>; VOLUNTARY_MAX],
    /// Since when there have been more standbys than needed.
    pub(super) surplus_ms: Option<u64>,
    /// Not before then is a parent left on weak evidence.
    pub(super) mixture_ms: u64,
    pub(super) is_stranded: bool,
    pub(super) had_primary: bool,
}

/// Bitrate of what was new, over the latest second or so.
#[derive(Debug, Default)]
pub(super) struct Rate {
    pub(super) kbps: u32,
    pub(super) bytes: u64,
    pub(super) since_ms: u64,
}

impl Mesh {
    /// A machine without parents and offers.
    pub fn new(config: Config, now_ms: u64) -> Self {
        let timers = Timers {
            started_ms: now_ms,
            parent_ms: now_ms,
            standby_ms: now_ms,
            backoff_ms: 0,
            improve_ms: now_ms,
            rotate_ms: now_ms,
            rotate_wait_ms: 0,
            switched_ms: now_ms,
            improve_wait_ms: super::turn::IMPROVE_MS_MIN,
            settling_ms: now_ms,
            voluntary_ms: [None; VOLUNTARY_MAX],
            surplus_ms: None,
            mixture_ms: now_ms,
            is_stranded: false,
            had_primary: false,
        };
        Self {
            layers: Layers::new(config.wanted, now_ms),
            table: Table::new(config.seed),
            config,
            now_ms,
            next_ms: now_ms,
            actions: VecDeque::new(),
            links: Vec::new(),
            window: Window::new(),
            counters: Counters::default(),
            evidence: VecDeque::new(),
            disputes: Vec::new(),
            timers,
            hiccups: VecDeque::new(),
            rate: Rate { since_ms: now_ms, ..Rate::default() },
            cadence: Cadence::default(),
            late_run: 0,
        }
    }

    /// Sets the layers that are wanted: the highest of this peer's own wish and its children's.
    pub fn want(&mut self, now_ms: u64, wanted: Policy) {
        self.step(now_ms);
        self.layers.want(self.now_ms, wanted);
        self.follow_policy();
    }

    /// Holds the layers at what a person chose, or lets them follow the link again.
    pub fn pin(&mut self, now_ms: u64, policy: Option<Policy>) {
        self.step(now_ms);
        self.layers.pin(self.now_ms, policy);
        self.follow_policy();
    }

    /// Replaces what is known about the cost of layers.
    pub fn set_layer_kbps(&mut self, layer_kbps: Vec<LayerRate>) {
        self.config.layer_kbps = layer_kbps;
    }

    /// Takes an offer that the caller verified.
    pub fn offer(&mut self, now_ms: u64, told_by: Origin, offer: Offer) {
        self.step(now_ms);
        let peer = offer.peer;
        let starts_elsewhere = offer.chain.first().is_some_and(|first| *first != self.config.source);
        if peer == self.config.own || offer.chain.len() > edge_wire::control::MAX_CHAIN || starts_elsewhere {
            return;
        }
        let had_room = self.may_improve(&peer);
        let is_new = self.table.offer(self.now_ms, told_by, offer);
        if is_new && !had_room && self.may_improve(&peer) {
            self.look_sooner();
        }
        if is_new
            && let announced_ms = self.table.announced_ms(&peer)
            && let Some(link) = self.link_mut(&peer)
        {
            link.announced_ms = announced_ms;
        } else if is_new {
            // Somebody new is worth a look at once, whatever earlier attempts came to.
            self.timers.backoff_ms = 0;
            self.timers.parent_ms = self.timers.parent_ms.min(self.now_ms);
            self.next_ms = self.next_ms.min(self.now_ms);
        }
    }

    /// Whether a peer is nearer to the source than the primary and has room, by its offer.
    fn may_improve(&self, peer: &Fingerprint) -> bool {
        let Some(cost) = self.primary().and_then(Link::cost) else { return false };
        let kbps = self.stream_kbps(self.layers.wanted());
        let claim = Claim { role: self.config.duty, share: Share::Whole };
        self.table.delay_ms(peer).is_some_and(|delay_ms| delay_ms < cost) && self.table.has_room(peer, kbps, claim)
    }

    /// Forgets the offer of a peer. A parent stays a parent.
    pub fn withdraw(&mut self, peer: Fingerprint) {
        self.table.withdraw(&peer);
    }

    /// A parent granted the subscription; `chain` leads from the publisher down to and including it.
    pub fn linked(&mut self, now_ms: u64, peer: Fingerprint, rtt_ms: u32, chain: &[Fingerprint]) {
        self.step(now_ms);
        self.table.measured(&peer, rtt_ms);
        self.table.answered(&peer);
        let now_ms = self.now_ms;
        let Some(link) = self.link_mut(&peer).filter(|link| link.granted_ms().is_none()) else { return };
        link.stage = Stage::Granted(now_ms);
        link.rtt_ms = Some(rtt_ms);
        if self.set_chain(&peer, chain) {
            self.timers.backoff_ms = 0;
            self.make_place(&peer);
        }
        self.next_ms = now_ms;
    }

    /// A subscription did not come about.
    pub fn refused(&mut self, now_ms: u64, peer: Fingerprint, reason: Reason) {
        self.step(now_ms);
        if self.link(&peer).is_none() {
            return;
        }
        match reason {
            Reason::Full => self.table.full(&peer),
            Reason::Unreachable => self.table.unreachable(&peer),
            Reason::Loop | Reason::TooDeep | Reason::Other => {}
        }
        if reason != Reason::Unreachable {
            self.table.answered(&peer);
        }
        let least_ms = match reason {
            Reason::Loop | Reason::TooDeep => super::table::RETRY_MS_MAX,
            Reason::Full if !self.is_in_need() => FULL_REST_MS,
            Reason::Unreachable | Reason::Full | Reason::Other => 0,
        };
        let most_ms = if self.is_in_need() { NEED_RETRY_MS_MAX } else { super::table::RETRY_MS_MAX };
        self.table.refused(self.now_ms, &peer, least_ms..=most_ms.max(least_ms));
        self.forget(&peer, SwitchWhy::Lost);
    }

    /// The link to a parent broke, or the parent ended the subscription.
    pub fn lost(&mut self, now_ms: u64, peer: Fingerprint) {
        self.step(now_ms);
        if let Some(link) = self.link(&peer) {
            if link.granted_ms().is_some_and(|at_ms| self.now_ms.saturating_sub(at_ms) >= PROVED_MS) {
                self.table.proved(&peer);
            }
            self.table.refused(self.now_ms, &peer, LOST_REST_MS..=super::table::RETRY_MS_MAX);
            self.forget(&peer, SwitchWhy::Lost);
        }
    }

    /// A parent announced another way to the source; empty while it has none.
    pub fn rerouted(&mut self, now_ms: u64, peer: Fingerprint, chain: &[Fingerprint]) {
        self.step(now_ms);
        if self.link(&peer).is_some_and(|link| link.granted_ms().is_some()) {
            self.set_chain(&peer, chain);
            if self.primary().is_some_and(|link| link.peer == peer) {
                self.layers.rerouted(self.now_ms);
            }
            self.next_ms = self.now_ms;
        }
    }

    /// Decides what becomes of a chunk whose outer seal opened.
    pub fn arrived(&mut self, now_ms: u64, peer: Fingerprint, arrival: &Arrival) -> Verdict {
        self.place(now_ms, peer, arrival, Content::Unknown)
    }

    /// The same for a chunk of which the caller knows that the parent sent another one under this number.
    pub fn varied(&mut self, now_ms: u64, peer: Fingerprint, arrival: &Arrival) -> Verdict {
        self.place(now_ms, peer, arrival, Content::Other)
    }

    fn place(&mut self, now_ms: u64, peer: Fingerprint, arrival: &Arrival, content: Content) -> Verdict {
        self.step(now_ms);
        let now_ms = self.now_ms;
        let place = self.link(&peer).filter(|link| link.granted_ms().is_some()).map(|link| link.place);
        let Some(place) = place else {
            self.counters.strangers += 1;
            return Verdict::Stranger;
        };
        match self.window.see(now_ms, place, arrival) {
            Seen::First => Verdict::Open,
            Seen::Overtaking { lag_ms, first_by } => {
                self.compare(&peer, arrival, lag_ms, first_by);
                Verdict::Open
            }
            Seen::Twin { lag_ms, first_by } => {
                self.compare(&peer, arrival, lag_ms, first_by);
                self.hear(&peer, arrival);
                self.counters.duplicates += 1;
                if let (Content::Other, Some(link)) = (content, self.link_mut(&peer)) {
                    // Its first one did not open, and another parent's was quicker than its second.
                    link.absolve(arrival.key);
                }
                Verdict::Duplicate
            }
            Seen::Repeat => {
                self.counters.duplicates += 1;
                self.link_mut(&peer).into_iter().for_each(|link| match content {
                    Content::Unknown => link.conduct.repeated(),
                    Content::Other => link.conduct.mixed(),
                });
                Verdict::Duplicate
            }
            Seen::Late => {
                self.late(&peer, arrival.key);
                Verdict::Late
            }
        }
    }

    /// A chunk with the verdict [`Verdict::Open`] opened.
    pub fn opened(&mut self, now_ms: u64, peer: Fingerprint, arrival: &Arrival) {
        self.step(now_ms);
        let Some(place) = self.link(&peer).map(|link| link.place) else {
            self.window.release(arrival.key);
            return;
        };
        self.hear(&peer, arrival);
        self.link_mut(&peer).into_iter().for_each(|link| {
            link.absolve(arrival.key);
            link.conduct.opened();
        });
        let proven = self.proven().unwrap_or(arrival.key);
        if self.window.open(self.now_ms, place, arrival, proven) {
            self.counters.opened += 1;
            if matches!(Kind::of(arrival), Kind::Base(_)) {
                self.cadence.note();
            }
            self.late_run = 0;
            self.rate.bytes = self.rate.bytes.saturating_add(u64::from(arrival.bytes));
        }
    }

    /// A chunk with the verdict [`Verdict::Open`] did not open, or was relabelled: another copy may still come, and the
    /// parent is charged.
    pub fn failed(&mut self, now_ms: u64, peer: Fingerprint, key: Key) {
        self.step(now_ms);
        self.window.release(key);
        self.counters.forgeries += 1;
        let now_ms = self.now_ms;
        if let Some(link) = self.link_mut(&peer) {
            link.suspect(now_ms, key);
            self.next_ms = now_ms;
        }
    }

    /// A child of a peer that cannot tell found forged what only this parent can have sent. Children may lie, so it is
    /// weak evidence.
    pub fn doubted(&mut self, now_ms: u64, peer: Fingerprint) {
        self.step(now_ms);
        // What comes from the source itself is good, whatever a child says.
        if self.config.opens == Opens::OuterOnly && peer != self.config.source {
            self.link_mut(&peer).into_iter().for_each(|link| link.conduct.mixed());
        }
    }

    /// A parent passed on, as the publisher's, a statement that the publisher did not sign. Honest parents check these,
    /// so one is proof enough.
    pub fn forged(&mut self, now_ms: u64, peer: Fingerprint) {
        self.step(now_ms);
        if self.link(&peer).is_some() {
            self.counters.forgeries += 1;
            let charge = Charge { misdeed: Misdeed::Forgery, count: 1, first_ms: self.now_ms };
            self.punish_for(peer, charge, super::table::BAN_MS);
        }
    }

    /// A chunk with the verdict [`Verdict::Open`] could not be opened here, through no fault of the parent: its key is
    /// not here or past, or too much waits. Another copy may still come.
    pub fn released(&mut self, now_ms: u64, key: Key) {
        self.step(now_ms);
        self.window.release(key);
    }

    /// Two parents sent different bytes for one chunk; for peers that cannot tell which are right.
    pub fn disagreed(&mut self, now_ms: u64, first: Fingerprint, second: Fingerprint) {
        self.step(now_ms);
        if first == second || self.link(&first).is_none() || self.link(&second).is_none() {
            return;
        }
        let (now_ms, pair) = (self.now_ms, [first.min(second), first.max(second)]);
        self.next_ms = now_ms;
        if let Some(dispute) = self.disputes.iter_mut().find(|dispute| dispute.pair == pair) {
            *dispute = Dispute { count: dispute.count.saturating_add(1), last_ms: now_ms, ..*dispute };
        } else if self.disputes.len() < DISPUTES_MAX {
            self.disputes.push(Dispute { pair, count: 1, first_ms: now_ms, last_ms: now_ms });
        }
    }

    /// A round trip to any peer was measured.
    pub fn measured(&mut self, now_ms: u64, peer: Fingerprint, rtt_ms: u32) {
        self.step(now_ms);
        self.table.measured(&peer, rtt_ms);
        self.link_mut(&peer).into_iter().for_each(|link| link.rtt_ms = Some(rtt_ms));
    }

    /// A peer that is no parent did not answer: until its next offer, it is asked after those that do.
    pub fn unreachable(&mut self, now_ms: u64, peer: Fingerprint) {
        self.step(now_ms);
        self.table.unreachable(&peer);
    }

    /// What to do next; to be called after every other call, and at [`deadline`](Self::deadline), until it says `None`.
    pub fn poll(&mut self, now_ms: u64) -> Option<Action> {
        self.step(now_ms);
        if self.actions.is_empty() && self.now_ms >= self.next_ms {
            self.turn();
        }
        self.actions.pop_front()
    }

    /// When to poll again at the latest, in ms; in the future once [`poll`](Self::poll) has said `None`.
    pub fn deadline(&self) -> u64 {
        match self.actions.is_empty() {
            true => self.next_ms,
            false => self.now_ms,
        }
    }

    /// The primary, if there is one.
    pub fn parent(&self) -> Option<Fingerprint> {
        self.primary().map(|link| link.peer)
    }

    /// How long chunks take from the publisher to here, in ms, as far as the primary's offer and the round trip to it
    /// tell; to be announced in the own offer.
    pub fn delay_ms(&self) -> Option<u32> {
        self.primary().and_then(Link::cost)
    }

    /// Up to `count` peers whose round trip is not known and that could be better parents, the most promising first.
    pub fn unmeasured(&self, count: usize) -> Vec<Fingerprint> {
        let limit_ms = self.delay_ms().unwrap_or(u32::MAX);
        self.closest(count, |it| it.rtt_ms.is_none() && it.failures == 0 && plan::delay_ms(it.offer, 0) < limit_ms)
    }

    /// Up to `count` peers whose next offers matter most: of those whose round trip is known, the ones over which the
    /// source is nearest.
    pub fn prospects(&self, count: usize) -> Vec<Fingerprint> {
        self.closest(count, |it| it.rtt_ms.is_some())
    }

    fn closest(&self, count: usize, fits: impl Fn(&plan::Candidate<'_>) -> bool) -> Vec<Fingerprint> {
        let own = &self.config.own;
        let fits = |it: &plan::Candidate<'_>| fits(it) && plan::is_above(it.offer, own);
        let candidates = self.table.candidates(self.now_ms).filter(fits);
        let rank = |it: plan::Candidate<'_>| {
            let peer = it.offer.peer;
            (plan::delay_ms(it.offer, it.rtt_ms.unwrap_or(0)), plan::spread(own, &peer, self.config.seed), peer)
        };
        let mut ranked: Vec<_> = candidates.map(rank).collect();
        if count < ranked.len() {
            ranked.select_nth_unstable(count);
            ranked.truncate(count);
        }
        ranked.sort_unstable();
        ranked.into_iter().map(|(.., peer)| peer).collect()
    }

    /// How things stand.
    pub fn state(&self) -> Snapshot {
        let primary = self.primary();
        let mut links: Vec<&Link> = self.links.iter().collect();
        let chain = primary.map_or(&[][..], |link| &link.chain);
        links.sort_by_key(|link| (link.role != Role::Primary, !link.is_usable(), link.overlap(chain), link.cost()));
        Snapshot {
            primary: primary.map(|link| link.peer),
            standbys: links.iter().filter(|link| link.role != Role::Primary).map(|link| link.peer).collect(),
            cold: self.cold(),
            policy: self.layers.policy(),
            why: self.layers.why(),
            silence_ms: primary.map(|link| link.pace.silence_ms()),
            counters: self.counters,
            evidence: self.evidence.iter().copied().collect(),
            bans: self.table.bans(self.now_ms).collect(),
            links: links.into_iter().map(Link::view).collect(),
        }
    }

    /// Offers that are kept.
    pub fn offers(&self) -> usize {
        self.table.len()
    }

    fn cold(&self) -> Vec<Fingerprint> {
        let candidates: Vec<_> = self.table.candidates(self.now_ms).collect();
        let avoid = self.peers();
        let request = self.request(Policy::BLINKING_DOT, self.primary_chain(), &avoid);
        let plan = plan::plan(&candidates, &request);
        let all = plan.into_iter().flat_map(|plan| [plan.primary].into_iter().chain(plan.backups));
        all.take(ACTIVE_MAX.saturating_sub(self.links.len()).max(1)).map(|candidate| candidate.offer.peer).collect()
    }

    pub(super) fn request<'a>(
        &self,
        policy: Policy,
        primary_chain: &'a [Fingerprint],
        avoid: &'a [Fingerprint],
    ) -> Request<'a> {
        let (own, seed) = (self.config.own, self.config.seed);
        let share = if policy == Policy::BLINKING_DOT { Share::Spare } else { Share::Whole };
        let claim = Claim { role: self.config.duty, share };
        Request { own, seed, policy, stream_kbps: self.stream_kbps(self.layers.wanted()), claim, primary_chain, avoid }
    }

    /// What the layers of a policy cost, or what they have cost lately.
    pub(super) fn stream_kbps(&self, policy: Policy) -> u32 {
        let covers = |rate: &&LayerRate| {
            rate.policy.max_spatial >= policy.max_spatial
                && rate.policy.max_temporal >= policy.max_temporal
                && rate.policy.max_quality >= policy.max_quality
        };
        let rates = || self.config.layer_kbps.iter().take(RATES_MAX);
        let least = rates().filter(covers).map(|rate| rate.kbps).min();
        least.or_else(|| rates().map(|rate| rate.kbps).max()).unwrap_or(self.rate.kbps)
    }

    pub(super) fn push(&mut self, action: Action) {
        if self.actions.len() < ACTIONS_MAX {
            self.actions.push_back(action);
        }
    }

    pub(super) fn primary(&self) -> Option<&Link> {
        self.links.iter().find(|link| link.role == Role::Primary)
    }

    pub(super) fn primary_chain(&self) -> &[Fingerprint] {
        self.primary().map_or(&[], |link| &link.chain)
    }

    pub(super) fn link(&self, peer: &Fingerprint) -> Option<&Link> {
        self.links.iter().find(|link| link.peer == *peer)
    }

    pub(super) fn link_mut(&mut self, peer: &Fingerprint) -> Option<&mut Link> {
        self.links.iter_mut().find(|link| link.peer == *peer)
    }

    pub(super) fn peers(&self) -> Vec<Fingerprint> {
        self.links.iter().map(|link| link.peer).collect()
    }

    fn step(&mut self, now_ms: u64) {
        self.now_ms = self.now_ms.max(now_ms);
    }

    /// Takes a parent's way to the source, or gives the parent up; whether it is kept.
    fn set_chain(&mut self, peer: &Fingerprint, chain: &[Fingerprint]) -> bool {
        let why = match chain {
            _ if chain.contains(&self.config.own) => Some(DropWhy::Loop),
            _ if chain.len() > PARENT_CHAIN_MAX => Some(DropWhy::TooDeep),
            _ if chain.first().is_some_and(|first| *first != self.config.source) => Some(DropWhy::Wayless),
            _ if chain.last().is_some_and(|end| end != peer) => Some(DropWhy::Wayless),
            _ => None,
        };
        if why.is_none() || (chain.contains(&self.config.own) && chain.len() <= edge_wire::control::MAX_CHAIN) {
            self.table.rerouted(peer, chain);
        }
        match why {
            Some(why) => {
                self.table.refused(self.now_ms, peer, super::table::RETRY_MS_MAX..=super::table::RETRY_MS_MAX);
                self.give_up(peer, why, SwitchWhy::Wayless);
                false
            }
            None => {
                self.link_mut(peer).into_iter().for_each(|link| chain.clone_into(&mut link.chain));
                true
            }
        }
    }

    /// Takes note of how much later than another parent this one sent a base chunk.
    fn compare(&mut self, peer: &Fingerprint, arrival: &Arrival, lag_ms: u64, first_by: u8) {
        if matches!(Kind::of(arrival), Kind::Base(_)) {
            self.link_mut(peer).into_iter().for_each(|link| link.conduct.lagged(lag_ms));
            let first = self.links.iter_mut().find(|link| link.place == first_by);
            first.into_iter().for_each(|link| link.conduct.lagged(0));
        }
    }

    /// Takes note of a believable chunk that is new from this parent.
    fn hear(&mut self, peer: &Fingerprint, arrival: &Arrival) {
        let now_ms = self.now_ms;
        let primary_high = self.primary().and_then(|link| link.high);
        // A relay cannot trust the numbers of a primary that is silent.
        let is_trusted = self.config.opens == Opens::Inner || self.primary().is_none_or(|link| !link.is_silent(now_ms));
        let Some(link) = self.link_mut(peer) else { return };
        let (role, was_silent) = (link.role, link.is_silent(now_ms));
        link.hear(now_ms, arrival.key, arrival.media);
        self.timers.is_stranded = false;
        match role {
            Role::Primary => {
                self.layers.note(now_ms, arrival);
                self.links.iter_mut().for_each(|link| link.ahead_ms = None);
                if was_silent {
                    self.hiccup();
                }
            }
            Role::Standby if !is_trusted || Some(arrival.key) > primary_high => {
                self.link_mut(peer).into_iter().for_each(|link| {
                    link.ahead_ms.get_or_insert(now_ms);
                });
            }
            Role::Standby => {}
        }
    }

    pub(super) fn hiccup(&mut self) {
        if self.hiccups.len() >= HICCUPS_MAX {
            self.hiccups.pop_front();
        }
        self.hiccups.push_back(self.now_ms);
    }

    /// Takes note of a chunk below the floor. Old numbers from a parent that has sent newer ones are replays. A relay
    /// that gets nothing but late chunks was led astray by whoever lifted the floor.
    fn late(&mut self, peer: &Fingerprint, key: Key) {
        self.counters.late += 1;
        if let Some(link) = self.link_mut(peer)
            && link.high.is_some_and(|high| key.epoch == high.epoch && high.seq.saturating_sub(key.seq) > DISORDER_MAX)
        {
            link.conduct.repeated();
        }
        self.late_run = self.late_run.saturating_add(1);
        if self.config.opens == Opens::OuterOnly && self.late_run >= LATE_RUN_MAX {
            self.window.lower_floor();
            self.late_run = 0;
        }
    }

    /// The highest key that may be believed: for a relay, one that two parents have reached, if there are two.
    pub(super) fn proven(&self) -> Option<Key> {
        let mut highs: Vec<Key> = self.links.iter().filter_map(|link| link.high).collect();
        highs.sort_unstable();
        let newest = highs.pop()?;
        match self.config.opens {
            Opens::Inner => Some(newest),
            Opens::OuterOnly => Some(highs.pop().unwrap_or(newest)),
        }
    }
}
