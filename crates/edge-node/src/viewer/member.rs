//! The viewer's place in the group: asks to be admitted, follows commits, refreshes its leaf, finds out when it is
//! removed.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use edge_crypto::random::System;
use edge_group::{AcceptedCommit, Applied, CommitQueue, Group, PendingJoin, SignedWelcome, VerifiedWelcome};
use edge_identity::bundle::KeyBundle;
use edge_identity::safety;
use edge_seal::EpochDek;
use edge_wire::control::Message;
use edge_wire::id::{Epoch, Fingerprint, StreamId};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};

use crate::admission::{self, Keys, Reply, Request, Tree};
use crate::description::Description;
use crate::event::{Event, Reporter};
use crate::{Error, clock};

/// Control messages that may wait for the member.
pub(super) const MAX_INBOX: usize = 128;

const ASK_AGAIN: Duration = Duration::from_secs(3);
/// Time until a refusal is put to the test.
const REFUSED_AGAIN: Duration = Duration::from_millis(500);
const MAX_ASKS: u32 = 10;
/// Questions for the same missing commit after which nobody seems to have it.
const MAX_BEHIND: u32 = 20;
/// Unusable Welcomes after which a viewer gives up.
const MAX_FAILURES: u32 = 3;
/// Commits that may come before the Welcome is opened.
const MAX_EARLY: usize = 64;

/// What reaches the member.
#[derive(Debug)]
pub(super) enum Note {
    /// From above.
    Message(Message),
    /// Chunks wait for a key, or the parent is another one: a commit may be missing.
    Behind,
    /// The viewer ends: ask to be removed.
    Leave,
}

/// What the member tells the picture side.
#[derive(Debug)]
pub(super) enum Change {
    /// Admitted: the first epoch, its key, and what the stream carries.
    Admitted(Epoch, EpochDek, Description, std::time::Instant),
    /// The next epoch's key.
    Epoch(Epoch, EpochDek),
    /// Removed from the group.
    Evicted,
}

/// Follows one stream's group.
pub(super) struct Member {
    pub(super) bundle: Arc<KeyBundle>,
    pub(super) stream: StreamId,
    pub(super) publisher: Fingerprint,
    pub(super) keys: Keys,
    pub(super) up: mpsc::Sender<Message>,
    pub(super) changes: mpsc::Sender<Change>,
    pub(super) reporter: Reporter,
    pub(super) inbox: mpsc::Receiver<Note>,
}

/// Where a request to be admitted stands.
struct Joining {
    pending: PendingJoin,
    offer: Bytes,
    welcome: Option<(VerifiedWelcome, Description, Instant)>,
    tree: Tree,
    early: Vec<Bytes>,
    asks: u32,
    again_at: Instant,
    /// The request that was refused first.
    refused_at: Option<u32>,
}

impl Member {
    /// Joins and follows until removed, refused, or the inbox ends.
    pub(super) async fn run(mut self) -> Result<(), Error> {
        // Taken out, so that the rest can be borrowed beside it; the dummy is never read.
        let mut inbox = std::mem::replace(&mut self.inbox, mpsc::channel(1).1);
        let mut failures = 0;
        loop {
            let joined = match self.join(&mut inbox).await {
                // A Welcome for a key package that was replaced meanwhile, or a damaged one: the next may be good.
                Err(Error::Group(error)) if failures < MAX_FAILURES => {
                    tracing::warn!(%error, "a Welcome was not usable");
                    failures += 1;
                    continue;
                }
                joined => joined?,
            };
            let Some((mut group, early)) = joined else { return Ok(()) };
            match self.follow(&mut group, early, &mut inbox).await? {
                Outcome::Ended => return Ok(()),
                Outcome::Leaving => {
                    let request = group.leave(&self.bundle)?.to_bytes();
                    let body = admission::leave(&self.bundle.public().to_bytes(), &request);
                    self.send(Message::Up { stream: self.stream, from: self.bundle.fingerprint(), body }).await;
                    return Ok(());
                }
                Outcome::Rejoin => {
                    self.reporter.warn("too many group changes were missed: asking to be admitted again")
                }
            }
        }
    }

    /// Asks until admitted; `None` when the inbox ends first.
    async fn join(&self, inbox: &mut mpsc::Receiver<Note>) -> Result<Option<(Group, Vec<Bytes>)>, Error> {
        let (pending, offer) = PendingJoin::new(self.stream, &self.bundle, clock::unix_s())?;
        let offer = Bytes::from(offer.to_bytes());
        let now = Instant::now();
        let mut joining = Joining {
            pending,
            offer,
            welcome: None,
            tree: Tree::Apart,
            early: Vec::new(),
            asks: 0,
            again_at: now,
            refused_at: None,
        };
        loop {
            tokio::select! {
                () = sleep_until(joining.again_at) => self.ask(&mut joining).await?,
                message = inbox.recv() => match message {
                    None | Some(Note::Leave) => return Ok(None),
                    Some(Note::Message(Message::Down { to, body, .. })) if to == self.bundle.fingerprint() => {
                        self.reply(&body, &mut joining).await?;
                        if joining.welcome.is_some() && joining.tree == Tree::Inside {
                            return self.accept(joining, None).await.map(Some);
                        }
                    }
                    Some(Note::Message(Message::Commit { body, .. })) if joining.early.len() < MAX_EARLY => {
                        joining.early.push(body);
                    }
                    Some(Note::Message(Message::Tree { epoch, body, .. })) => {
                        let wanted = joining.welcome.as_ref().is_some_and(|(welcome, ..)| welcome.epoch() == epoch);
                        // One that does not open was made up on the way, or is for another ticket.
                        if wanted && let Ok(tree) = self.keys.open_tree(&body) {
                            return self.accept(joining, Some(&tree)).await.map(Some);
                        }
                    }
                    Some(_) => {}
                },
            }
        }
    }

    /// Sends what the request lacks: the offer, or the wish for the tree.
    async fn ask(&self, joining: &mut Joining) -> Result<(), Error> {
        if joining.asks >= MAX_ASKS {
            return Err(Error::NoAnswer);
        }
        joining.asks += 1;
        joining.again_at = Instant::now() + ASK_AGAIN;
        match &joining.welcome {
            Some((welcome, ..)) => self.want_tree(welcome.epoch()).await,
            None => {
                if joining.asks > 1 {
                    // A key package serves once, and nobody knows what became of the last one.
                    let (pending, offer) = PendingJoin::new(self.stream, &self.bundle, clock::unix_s())?;
                    (joining.pending, joining.offer) = (pending, offer.to_bytes().into());
                }
                let from = self.bundle.fingerprint();
                let body = self.keys.seal_request(&Request::Join(joining.offer.clone()), from, &mut System)?;
                self.send(Message::Up { stream: self.stream, from, body }).await;
            }
        }
        Ok(())
    }

    async fn reply(&self, body: &[u8], joining: &mut Joining) -> Result<(), Error> {
        let own = self.bundle.fingerprint();
        match self.keys.open_reply(body, own) {
            Ok(Reply::Welcome { welcome, description, tree, .. }) => {
                let verified = SignedWelcome::parse(&welcome)?.verify(self.publisher, own)?;
                if tree == Tree::Apart {
                    self.want_tree(verified.epoch()).await;
                }
                joining.welcome = Some((verified, description, Instant::now()));
                joining.tree = tree;
            }
            // Unsealed, so anybody may have made it up; the publisher's own refusal comes again for the next request.
            Ok(Reply::Refused(refusal)) => match joining.refused_at {
                Some(ask) if ask < joining.asks => return Err(Error::NotAdmitted(refusal)),
                Some(_) => {}
                None => {
                    joining.refused_at = Some(joining.asks);
                    joining.again_at = Instant::now() + REFUSED_AGAIN;
                }
            },
            Ok(Reply::RefreshTurn) => {}
            Err(error) => tracing::info!(%error, "an answer of the publisher was not readable"),
        }
        Ok(())
    }

    async fn accept(&self, joining: Joining, tree: Option<&[u8]>) -> Result<(Group, Vec<Bytes>), Error> {
        let Some((welcome, description, welcomed)) = joining.welcome else { return Err(Error::NoAnswer) };
        let pending = joining.pending;
        let group = tokio::task::block_in_place(|| pending.accept(&welcome, tree, clock::unix_s()))?;
        self.reporter.send(Event::Admitted { epoch: group.epoch().0, at_unix_us: clock::unix_us() });
        self.report(&group, &[], &[], 0)?;
        self.tell(Change::Admitted(group.epoch(), group.dek()?, description, welcomed.into_std())).await;
        Ok((group, joining.early))
    }

    async fn follow(
        &self,
        group: &mut Group,
        early: Vec<Bytes>,
        inbox: &mut mpsc::Receiver<Note>,
    ) -> Result<Outcome, Error> {
        let mut queue = CommitQueue::default();
        let mut behind = (group.epoch(), 0);
        for body in early {
            if let Some(outcome) = self.commit(group, &mut queue, &body).await? {
                return Ok(outcome);
            }
        }
        while let Some(note) = inbox.recv().await {
            let outcome = match note {
                Note::Leave => return Ok(Outcome::Leaving),
                Note::Behind => {
                    let (epoch, asked) = behind;
                    behind = (group.epoch(), if epoch == group.epoch() { asked + 1 } else { 1 });
                    self.send(Message::CommitsWanted { stream: self.stream, from: group.epoch() }).await;
                    (behind.1 >= MAX_BEHIND).then_some(Outcome::Rejoin)
                }
                Note::Message(Message::Commit { body, .. }) => self.commit(group, &mut queue, &body).await?,
                Note::Message(Message::Down { to, body, .. }) if to == self.bundle.fingerprint() => {
                    if let Ok(Reply::RefreshTurn) = self.keys.open_reply(&body, to) {
                        self.refresh(group).await;
                    }
                    None
                }
                _ => None,
            };
            if let Some(outcome) = outcome {
                return Ok(outcome);
            }
        }
        Ok(Outcome::Ended)
    }

    /// Applies every commit that is in order; asks for the one that is missing.
    async fn commit(&self, group: &mut Group, queue: &mut CommitQueue, body: &[u8]) -> Result<Option<Outcome>, Error> {
        let Ok(accepted) = AcceptedCommit::verify(body, group.committer()) else {
            tracing::info!("a commit without the publisher's signature was dropped");
            return Ok(None);
        };
        let bytes = accepted.commit().len();
        match queue.push(group, accepted) {
            Ok(()) => {}
            Err(edge_group::Error::CommitGap { .. }) => return Ok(Some(Outcome::Rejoin)),
            Err(_) => return Ok(None),
        }
        loop {
            let Some(applied) = tokio::task::block_in_place(|| queue.next(group)) else { break };
            match applied {
                Ok(Applied { epoch, dek, added, removed }) => {
                    let names =
                        |ids: Vec<edge_wire::id::KeyId>| ids.iter().map(ToString::to_string).collect::<Vec<_>>();
                    self.report(group, &names(added), &names(removed), bytes)?;
                    self.tell(Change::Epoch(epoch, dek)).await;
                }
                Err(edge_group::Error::Evicted { epoch }) => {
                    self.reporter.send(Event::Evicted { epoch });
                    self.tell(Change::Evicted).await;
                    return Ok(Some(Outcome::Ended));
                }
                Err(error) => {
                    tracing::warn!(%error, "a commit could not be applied");
                    return Ok(Some(Outcome::Rejoin));
                }
            }
        }
        if let Some(from) = queue.missing(group) {
            self.send(Message::CommitsWanted { stream: self.stream, from }).await;
        }
        Ok(None)
    }

    async fn refresh(&self, group: &mut Group) {
        match tokio::task::block_in_place(|| group.stage_refresh()) {
            Ok(staged) => {
                let body = admission::refresh(staged.emission().commit());
                self.send(Message::Up { stream: self.stream, from: self.bundle.fingerprint(), body }).await;
            }
            Err(error) => tracing::info!(%error, "no refresh now"),
        }
    }

    fn report(&self, group: &Group, added: &[String], removed: &[String], commit_bytes: usize) -> Result<(), Error> {
        self.reporter.send(Event::Epoch {
            epoch: group.epoch().0,
            members: group.roster().len(),
            added: added.to_vec(),
            removed: removed.to_vec(),
            safety_code: safety::code(group.epoch_authenticator()?.expose()).to_string(),
            commit_bytes,
            at_unix_us: clock::unix_us(),
        });
        Ok(())
    }

    async fn want_tree(&self, epoch: Epoch) {
        self.send(Message::TreeWanted { stream: self.stream, epoch }).await;
    }

    /// Without an uplink the node is about to end.
    async fn send(&self, message: Message) {
        let _ = self.up.send(message).await;
    }

    /// Without a picture side the node is about to end.
    async fn tell(&self, change: Change) {
        let _ = self.changes.send(change).await;
    }
}

/// Why a membership ended.
enum Outcome {
    /// For good.
    Ended,
    /// The member must be admitted anew.
    Rejoin,
    /// The viewer wants to go.
    Leaving,
}
