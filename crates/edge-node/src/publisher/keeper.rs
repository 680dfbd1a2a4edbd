//! Keeps the group: admits, removes, rotates, and says in which order.
//!
//! Every change is staged, written to disk, sent, and only then merged; the new key reaches the sealer last.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use edge_codec::video::Recovery;
use edge_crypto::Secret;
use edge_crypto::random::System;
use edge_group::{Applied, Delta, Emission, Group, KeyPackageOffer, LeaveRequest, Op, VerifiedOffer, WelcomeTree};
use edge_identity::bundle::{KeyBundle, PublicBundle};
use edge_identity::safety;
use edge_seal::EpochDek;
use edge_wire::control::Message;
use edge_wire::id::{Epoch, Fingerprint, KeyId};
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until};

use super::Command;
use super::capture::Controls;
use crate::admission::{self, Keys, Refusal, Reply, Request, Tree};
use crate::description::Description;
use crate::event::{Event, Reporter};
use crate::hub::{Hub, Upward};
use crate::state::{Record, Vault};
use crate::ticket::Ticket;
use crate::{Error, clock};

/// Joins that arrive within this time go into one commit.
pub const BATCH_WINDOW: Duration = Duration::from_millis(250);
/// Joins that one commit takes; more wait for the next. Their Welcomes must fit the control queue of one relay.
pub const MAX_BATCH: usize = 25;
/// Members of one group: the ratchet tree and a commit over a cold tree must fit a control message.
pub const MAX_MEMBERS: usize = 256;

/// Time between two turns to refresh a leaf.
const REFRESH_EVERY: Duration = Duration::from_secs(2);
/// How long a turn stands.
const TURN: Duration = Duration::from_secs(4);
/// Longest life of an epoch.
const ROTATE_AFTER: Duration = Duration::from_secs(60);
/// Requests of one peer in [`TALLY_WINDOW_MS`].
const MAX_REQUESTS: u32 = 16;
const TALLY_WINDOW_MS: u64 = 10_000;
/// Unreadable requests that are answered in [`TALLY_WINDOW_MS`].
const MAX_REFUSALS: u32 = 256;
/// Peers whose requests are counted at a time.
const MAX_TALLIES: usize = 4096;
/// Earlier tickets with which members may come back.
const MAX_OLDER: usize = 8;
/// Peers that stay refused.
const MAX_REMOVED: usize = 4096;

/// The group's only committer.
pub(super) struct Keeper {
    pub(super) bundle: Arc<KeyBundle>,
    pub(super) group: Group,
    pub(super) ticket: Ticket,
    pub(super) keys: Keys,
    /// Of earlier tickets, the latest first: members joined with them.
    pub(super) older: VecDeque<Keys>,
    pub(super) description: Description,
    pub(super) hub: Hub,
    pub(super) sealer: mpsc::Sender<(Epoch, EpochDek)>,
    pub(super) controls: Arc<Controls>,
    pub(super) members: watch::Sender<usize>,
    pub(super) vault: Option<Vault>,
    pub(super) born_us: u64,
    pub(super) reporter: Reporter,
    pub(super) desk: Desk,
}

/// What the keeper remembers between requests.
#[derive(Default)]
pub(super) struct Desk {
    pending: Vec<VerifiedOffer>,
    batch_at: Option<Instant>,
    names: BTreeMap<Fingerprint, KeyId>,
    removed: BTreeSet<Fingerprint>,
    cold: Vec<Fingerprint>,
    tallies: BTreeMap<Fingerprint, (u64, u32)>,
    changed_at: Option<Instant>,
    turn: Option<(Fingerprint, Instant)>,
    refusals: (u64, u32),
    /// Members that ask to be admitted again with an earlier ticket: its place among those.
    returning: BTreeMap<Fingerprint, usize>,
}

impl Keeper {
    /// Keeps the group until the requests end.
    pub(super) async fn run(
        mut self,
        mut wishes: mpsc::Receiver<Upward>,
        mut commands: mpsc::Receiver<Command>,
    ) -> Result<(), Error> {
        let mut refresh = interval(REFRESH_EVERY);
        refresh.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut listening = true;
        self.desk.changed_at = Some(Instant::now());
        loop {
            let far = Instant::now() + ROTATE_AFTER;
            let batch_at = self.desk.batch_at.unwrap_or(far);
            tokio::select! {
                wish = wishes.recv() => match wish {
                    Some(wish) => self.wish(wish).await?,
                    None => return Ok(()),
                },
                command = commands.recv(), if listening => match command {
                    Some(command) => self.command(command).await?,
                    None => listening = false,
                },
                () = sleep_until(batch_at), if self.desk.batch_at.is_some() => self.admit().await?,
                _ = refresh.tick() => self.tend().await?,
            }
        }
    }

    async fn wish(&mut self, wish: Upward) -> Result<(), Error> {
        match wish {
            Upward::Recover(need) => self.controls.request(need),
            Upward::Request { from, body } => return self.request(from, &body).await,
            // The hub holds all that there is.
            Upward::Commits(_) | Upward::Tree(_) => {}
            // What is forged was forged below.
            Upward::Doubt(_) => {}
        }
        Ok(())
    }

    async fn request(&mut self, from: Fingerprint, body: &[u8]) -> Result<(), Error> {
        // Opened before it is counted: whoever has no ticket cannot use up the joins of somebody who has one.
        match self.keys.open_request(body, from) {
            Ok(Request::Join(_)) if !self.desk.within_rate(from) => self.answer_clear(from, Refusal::TooMany),
            Ok(Request::Join(offer)) => {
                if self.join(from, &offer) {
                    self.desk.returning.remove(&from);
                }
            }
            Ok(Request::Refresh(commit)) if self.desk.has_turn(from) => return self.refresh(&commit).await,
            Ok(Request::Refresh(_)) => tracing::info!(%from, "a refresh out of turn was dropped"),
            Ok(Request::Leave { bundle, request }) => return self.leave(from, &bundle, &request).await,
            Err(error) => {
                if let Some((age, offer)) = self.open_older(body, from) {
                    // Only a proven offer says whose old ticket it was.
                    if self.join(from, &offer) {
                        self.desk.returning.insert(from, age);
                    }
                    return Ok(());
                }
                tracing::info!(%from, %error, "a request was refused");
                if self.desk.may_refuse() {
                    self.answer_clear(from, Refusal::Ticket);
                }
            }
        }
        Ok(())
    }

    /// Opens the request of a member that comes back with the ticket of before a removal. Its identity is proven by the
    /// offer inside, so the old secret gives it no more than it has.
    fn open_older(&mut self, body: &[u8], from: Fingerprint) -> Option<(usize, Bytes)> {
        if !self.desk.names.contains_key(&from) {
            return None;
        }
        let opened = self.older.iter().enumerate().find_map(|(age, keys)| match keys.open_request(body, from) {
            Ok(Request::Join(offer)) => Some((age, offer)),
            _ => None,
        })?;
        self.desk.within_rate(from).then_some(opened)
    }

    /// Puts a newcomer into the next batch; `false` when it is refused.
    fn join(&mut self, from: Fingerprint, offer: &[u8]) -> bool {
        match self.check(from, offer) {
            Ok(offer) => {
                self.desk.pending.retain(|waiting| waiting.fingerprint() != from);
                self.desk.pending.push(offer);
                self.desk.batch_at.get_or_insert(Instant::now() + BATCH_WINDOW);
                true
            }
            Err(refusal) => {
                self.answer_clear(from, refusal);
                false
            }
        }
    }

    fn check(&self, from: Fingerprint, offer: &[u8]) -> Result<VerifiedOffer, Refusal> {
        if self.desk.removed.contains(&from) {
            return Err(Refusal::Removed);
        }
        if self.group.roster().len() + self.desk.pending.len() >= MAX_MEMBERS {
            return Err(Refusal::Full);
        }
        let offer = KeyPackageOffer::parse(offer).map_err(|_| Refusal::Offer)?;
        let offer = offer.verify(self.group.stream(), clock::unix_s()).map_err(|error| match error {
            edge_group::Error::PeerLacksMlkem(_) => Refusal::PeerLacksMlkem,
            _ => Refusal::Offer,
        })?;
        if offer.fingerprint() != from {
            return Err(Refusal::Offer);
        }
        let taken = |(peer, name): (&Fingerprint, &KeyId)| name == offer.key_id() && *peer != from;
        let waiting = |other: &VerifiedOffer| other.key_id() == offer.key_id() && other.fingerprint() != from;
        let own = offer.key_id() == self.bundle.key_id();
        let seated = self.group.roster().iter().any(|member| member.key_id == *offer.key_id());
        let foreign = seated && self.desk.names.get(&from) != Some(offer.key_id());
        match own || foreign || self.desk.names.iter().any(taken) || self.desk.pending.iter().any(waiting) {
            true => Err(Refusal::Duplicate),
            false => Ok(offer),
        }
    }

    /// Admits everybody who waits, in one commit; who is a member already is re-keyed.
    async fn admit(&mut self) -> Result<(), Error> {
        let rest = self.desk.pending.split_off(self.desk.pending.len().min(MAX_BATCH));
        let offers = std::mem::replace(&mut self.desk.pending, rest);
        self.desk.batch_at = (!self.desk.pending.is_empty()).then(|| Instant::now() + BATCH_WINDOW);
        if offers.is_empty() {
            return Ok(());
        }
        if self.admit_all(&offers).await? || offers.len() == 1 {
            return Ok(());
        }
        // One offer that cannot be used must not keep the others out.
        for offer in &offers {
            self.admit_all(std::slice::from_ref(offer)).await?;
        }
        Ok(())
    }

    /// Admits `offers` in one commit; `false` when the group refuses it.
    async fn admit_all(&mut self, offers: &[VerifiedOffer]) -> Result<bool, Error> {
        let mut ops = Vec::new();
        let mut added = Vec::new();
        for offer in offers {
            if self.group.roster().iter().any(|member| member.key_id == *offer.key_id()) {
                ops.push(Op::Leave(offer.key_id().clone()));
            }
            added.push(offer.key_id().to_string());
            ops.push(Op::Join(Box::new(offer.clone())));
        }
        // Who comes back with an older ticket cannot open the tree that the present one seals.
        let returns = offers.iter().any(|offer| self.desk.returning.contains_key(&offer.fingerprint()));
        self.group.set_welcome_tree(if returns { WelcomeTree::Inside } else { WelcomeTree::Apart });
        // On disk with the commit: a member without a name could not be removed after a crash.
        let before = self.desk.names.clone();
        self.desk.names.extend(offers.iter().map(|offer| (offer.fingerprint(), offer.key_id().clone())));
        let admitted = self.change(&Delta::Batch(ops), added, Vec::new()).await?;
        if !admitted {
            self.desk.names = before;
        }
        for offer in offers {
            let peer = offer.fingerprint();
            self.desk.returning.remove(&peer);
            if admitted {
                self.desk.cold.retain(|cold| *cold != peer);
                self.desk.cold.push(peer);
            }
        }
        Ok(admitted)
    }

    async fn command(&mut self, command: Command) -> Result<(), Error> {
        match command {
            Command::Remove(name) => self.remove(&name).await,
            Command::Rotate => self.change(&Delta::Rotate, Vec::new(), Vec::new()).await.map(drop),
            Command::Members => self.report(Vec::new(), Vec::new(), 0),
        }
    }

    async fn remove(&mut self, name: &str) -> Result<(), Error> {
        let member = self.desk.names.iter().find(|(_, known)| known.as_str() == name);
        let Some((peer, key_id)) = member.map(|(peer, key_id)| (*peer, key_id.clone())) else {
            self.reporter.warn(format!("there is no member named {name}"));
            return Ok(());
        };
        self.desk.names.remove(&peer);
        self.desk.cold.retain(|cold| *cold != peer);
        match self.desk.removed.len() < MAX_REMOVED {
            true => drop(self.desk.removed.insert(peer)),
            false => self.reporter.warn("too many removals to remember: only the new ticket keeps this identity out"),
        }
        // Who waits asked with the ticket that ends here; the removed member must not come back with this batch.
        self.desk.batch_at = None;
        self.desk.returning.clear();
        for offer in std::mem::take(&mut self.desk.pending) {
            let refusal = if offer.fingerprint() == peer { Refusal::Removed } else { Refusal::Ticket };
            self.answer_clear(offer.fingerprint(), refusal);
        }
        // On disk with the commit: after a crash between the two the old ticket would still admit.
        self.renew_secret()?;
        if !self.change(&Delta::Leave(key_id.clone()), Vec::new(), vec![name.to_owned()]).await? {
            self.desk.names.insert(peer, key_id);
        }
        self.reporter.send(super::ready(&self.bundle, &self.ticket));
        Ok(())
    }

    /// Removes a member that asks for it. It may come again with its ticket.
    async fn leave(&mut self, from: Fingerprint, bundle: &[u8], request: &[u8]) -> Result<(), Error> {
        let verified = PublicBundle::parse(bundle).map_err(edge_group::Error::from).and_then(|bundle| {
            LeaveRequest::parse(request)?.verify(&bundle, &self.group)?;
            Ok(bundle)
        });
        let name = match verified {
            Ok(bundle) if bundle.fingerprint() == from => bundle.key_id().clone(),
            Ok(_) => return Ok(()),
            Err(error) => {
                tracing::info!(%from, %error, "a wish to leave was refused");
                return Ok(());
            }
        };
        if self.desk.names.get(&from) != Some(&name) {
            return Ok(());
        }
        self.desk.names.remove(&from);
        self.desk.cold.retain(|cold| *cold != from);
        if !self.change(&Delta::Leave(name.clone()), Vec::new(), vec![name.to_string()]).await? {
            self.desk.names.insert(from, name);
        }
        Ok(())
    }

    /// The removed member knows the join secret, so it must not serve for another identity of its own.
    fn renew_secret(&mut self) -> Result<(), Error> {
        let secret = Ticket::new_secret(&mut System);
        let keys = Keys::new(&secret, self.group.stream())?;
        self.older.push_front(std::mem::replace(&mut self.keys, keys));
        self.older.truncate(MAX_OLDER);
        self.ticket.secret = Some(secret);
        Ok(())
    }

    /// Gives one cold member its turn, or rotates an epoch that has lived long enough.
    async fn tend(&mut self) -> Result<(), Error> {
        if self.desk.changed_at.is_some_and(|at| at.elapsed() >= ROTATE_AFTER) {
            return self.change(&Delta::Rotate, Vec::new(), Vec::new()).await.map(drop);
        }
        self.desk.end_turn();
        if self.desk.turn.is_none() && self.desk.pending.is_empty() && !self.desk.cold.is_empty() {
            let peer = self.desk.cold.remove(0);
            self.desk.turn = Some((peer, Instant::now()));
            // Members joined with tickets that may have been renewed since, so this cannot be sealed under one.
            self.send_down(peer, admission::clear_reply(&Reply::RefreshTurn));
        }
        Ok(())
    }

    /// Accepts a member's refresh as this epoch's commit.
    async fn refresh(&mut self, commit: &[u8]) -> Result<(), Error> {
        let accepted = tokio::task::block_in_place(|| self.group.accept_foreign(commit));
        match accepted {
            Ok((Applied { dek, .. }, emission)) => {
                self.desk.turn = None;
                self.persist()?;
                self.emit(&emission)?;
                self.install(dek).await?;
                self.report(Vec::new(), Vec::new(), emission.commit().len())
            }
            Err(error) => {
                tracing::info!(%error, "a member's refresh was not accepted");
                Ok(())
            }
        }
    }

    /// Stages, persists, sends, merges; `false` when the group refuses the change.
    async fn change(&mut self, delta: &Delta, added: Vec<String>, removed: Vec<String>) -> Result<bool, Error> {
        let staged = match tokio::task::block_in_place(|| self.group.stage(delta)) {
            Ok(staged) => staged,
            Err(error) => {
                self.reporter.warn(format!("the group was not changed: {error}"));
                return Ok(false);
            }
        };
        self.persist()?;
        let emission = staged.emission().clone();
        self.emit(&emission)?;
        let dek = tokio::task::block_in_place(|| self.group.merge(staged))?;
        self.install(dek).await?;
        if !added.is_empty() {
            // Newcomers cannot open what came before: they need a picture that starts in their first epoch.
            self.controls.request(Recovery::KeyFrame);
            self.welcome(&emission)?;
        }
        self.report(added, removed, emission.commit().len())?;
        Ok(true)
    }

    fn emit(&self, emission: &Emission) -> Result<(), Error> {
        self.hub.carry(&accepted(emission, &self.bundle)?);
        Ok(())
    }

    fn welcome(&self, emission: &Emission) -> Result<(), Error> {
        let epoch = emission.epoch();
        let body = self.keys.seal_tree(&self.group.export_tree()?, &mut System)?;
        self.hub.carry(&Message::Tree { stream: self.group.stream(), epoch, body });
        let returning = &self.desk.returning;
        let returns = emission.joiners().iter().any(|joiner| returning.contains_key(&joiner.fingerprint));
        let tree = if returns { Tree::Inside } else { Tree::Apart };
        for welcome in emission.welcomes(&self.bundle)? {
            let (to, description) = (welcome.joiner(), self.description);
            let reply = Reply::Welcome { epoch, tree, welcome: welcome.to_bytes().into(), description };
            self.answer(to, &reply)?;
        }
        Ok(())
    }

    async fn install(&mut self, dek: EpochDek) -> Result<(), Error> {
        self.desk.changed_at = Some(Instant::now());
        self.members.send_replace(self.group.roster().len());
        // Without a sealer the stream is over, which the publisher finds out by itself.
        let _ = self.sealer.send((self.group.epoch(), dek)).await;
        Ok(())
    }

    fn persist(&self) -> Result<(), Error> {
        match &self.vault {
            Some(vault) => tokio::task::block_in_place(|| vault.store(&self.record()?, &self.bundle)),
            None => Ok(()),
        }
    }

    fn record(&self) -> Result<Record, Error> {
        let secret = self.ticket.secret.as_ref().and_then(|secret| Secret::from_slice(secret.expose()));
        Ok(Record {
            born_us: self.born_us,
            secret: secret.ok_or(Error::NoSecret)?,
            names: self.desk.names.clone(),
            removed: self.desk.removed.clone(),
            group: self.group.snapshot()?,
        })
    }

    fn report(&self, added: Vec<String>, removed: Vec<String>, commit_bytes: usize) -> Result<(), Error> {
        let safety_code = safety::code(self.group.epoch_authenticator()?.expose()).to_string();
        self.reporter.send(Event::Epoch {
            epoch: self.group.epoch().0,
            members: self.group.roster().len(),
            added,
            removed,
            safety_code,
            commit_bytes,
            at_unix_us: clock::unix_us(),
        });
        Ok(())
    }

    fn answer(&self, to: Fingerprint, reply: &Reply) -> Result<(), Error> {
        let older = self.desk.returning.get(&to).and_then(|age| self.older.get(*age));
        let body = older.unwrap_or(&self.keys).seal_reply(reply, to, &mut System)?;
        self.send_down(to, body);
        Ok(())
    }

    fn answer_clear(&self, to: Fingerprint, refusal: Refusal) {
        self.send_down(to, admission::clear_reply(&Reply::Refused(refusal)));
    }

    fn send_down(&self, to: Fingerprint, body: Bytes) {
        self.hub.carry(&Message::Down { stream: self.group.stream(), to, body });
    }
}

/// The message that makes a commit the one of its epoch.
pub(super) fn accepted(emission: &Emission, committer: &KeyBundle) -> Result<Message, Error> {
    let accepted = emission.accepted(committer)?;
    Ok(Message::Commit { stream: accepted.stream(), epoch: accepted.ends(), body: accepted.to_bytes().into() })
}

impl Desk {
    /// A desk that remembers who is a member and who was removed.
    pub(super) fn of(names: BTreeMap<Fingerprint, KeyId>, removed: BTreeSet<Fingerprint>) -> Self {
        Self { names, removed, ..Self::default() }
    }

    /// Whether one more unreadable request is worth an answer; they may come from anybody under any name.
    fn may_refuse(&mut self) -> bool {
        let now_ms = clock::now_ms();
        if now_ms.saturating_sub(self.refusals.0) >= TALLY_WINDOW_MS {
            self.refusals = (now_ms, 0);
        }
        self.refusals.1 = self.refusals.1.saturating_add(1);
        self.refusals.1 <= MAX_REFUSALS
    }

    /// Whether it is the turn of `peer` to refresh.
    fn has_turn(&self, peer: Fingerprint) -> bool {
        self.turn.is_some_and(|(turn, since)| turn == peer && since.elapsed() < TURN)
    }

    /// Ends a turn that nobody used; its member waits for another.
    fn end_turn(&mut self) {
        if let Some((peer, _)) = self.turn.take_if(|(_, since)| since.elapsed() >= TURN)
            && self.names.contains_key(&peer)
        {
            self.cold.push(peer);
        }
    }

    /// Counts a request of `peer`; `false` when it has sent too many lately.
    fn within_rate(&mut self, peer: Fingerprint) -> bool {
        let now_ms = clock::now_ms();
        if self.tallies.len() >= MAX_TALLIES && !self.tallies.contains_key(&peer) {
            self.tallies.retain(|_, (since, _)| now_ms.saturating_sub(*since) < TALLY_WINDOW_MS);
            if self.tallies.len() >= MAX_TALLIES {
                return false;
            }
        }
        let (since, count) = self.tallies.entry(peer).or_insert((now_ms, 0));
        if now_ms.saturating_sub(*since) >= TALLY_WINDOW_MS {
            (*since, *count) = (now_ms, 0);
        }
        *count = count.saturating_add(1);
        *count <= MAX_REQUESTS
    }
}
