//! Receiving: commits of the committer, and at the committer the refreshes of members.

use edge_crypto::hash::sha256;
use edge_seal::EpochDek;
use edge_wire::id::{Epoch, KeyId};
use openmls::prelude::{
    ContentType, LeafNodeIndex, MlsMessageBodyIn, ProcessedMessageContent, Proposal, ProtocolMessage, Sender,
    StagedCommit,
};

use crate::stage::Emission;
use crate::{Error, Group, MAX_COMMIT_LEN, MAX_MEMBERS, mls};

/// An applied commit: the new epoch and what it changed.
#[derive(Debug, PartialEq, Eq)]
pub struct Applied {
    /// The new epoch.
    pub epoch: Epoch,
    /// Its media key.
    pub dek: EpochDek,
    /// Who came in.
    pub added: Vec<KeyId>,
    /// Who is gone.
    pub removed: Vec<KeyId>,
}

/// A commit that was opened and whose sender is known.
struct Opened {
    sender: LeafNodeIndex,
    commit: Box<StagedCommit>,
}

impl Group {
    /// Applies an accepted commit: another member's, or this session's own staged one come back. If another commit
    /// wins, a staged one is gone and can be staged again.
    pub fn process(&mut self, commit: &[u8]) -> Result<Applied, Error> {
        let message = self.classify(commit)?;
        if self.staged == Some(sha256(&[commit])) {
            return self.merge_own();
        }
        let opened = self.open(message)?;
        self.check_authority(&opened)?;
        self.apply(*opened.commit)
    }

    /// At the committer: accepts a member's refresh, if it changes nothing but that member's keys. Take a snapshot,
    /// then send the emission: its acceptance makes it the commit of this epoch.
    pub fn accept_foreign(&mut self, commit: &[u8]) -> Result<(Applied, Emission), Error> {
        let message = self.classify(commit)?;
        if self.staged.is_some() {
            return Err(Error::CommitPending);
        }
        let opened = self.open(message)?;
        if opened.commit.queued_proposals().next().is_some() {
            return Err(Error::UnexpectedProposals);
        }
        self.check_path(&opened)?;
        let ends = self.epoch();
        let applied = self.apply(*opened.commit)?;
        let (stream, commit) = (self.place.stream, commit.to_vec());
        let emission = Emission { stream, ends, commit, welcome: None, joiners: Vec::new() };
        self.latest = Some(emission.clone());
        Ok((applied, emission))
    }

    /// Reads a commit's clear header and says what it is for this session, before any key is used.
    fn classify(&self, commit: &[u8]) -> Result<ProtocolMessage, Error> {
        self.check_member()?;
        let message = match mls::decode(commit, MAX_COMMIT_LEN)? {
            MlsMessageBodyIn::PrivateMessage(message) => ProtocolMessage::from(message),
            MlsMessageBodyIn::PublicMessage(_) => return Err(Error::PublicMessageRefused),
            _ => return Err(Error::NotACommit),
        };
        if message.group_id() != self.mls.group_id() {
            return Err(Error::WrongGroup);
        }
        if message.content_type() != ContentType::Commit {
            return Err(Error::NotACommit);
        }
        let (have, got) = (self.epoch().0, message.epoch().as_u64());
        match got.cmp(&have) {
            std::cmp::Ordering::Less => Err(Error::StaleCommit { have, got }),
            std::cmp::Ordering::Greater => Err(Error::CommitGap { have, got }),
            std::cmp::Ordering::Equal => Ok(message),
        }
    }

    fn open(&mut self, message: ProtocolMessage) -> Result<Opened, Error> {
        let processed = self.mls.process_message(self.store.provider(), message);
        let processed = processed.map_err(|error| Error::ProcessFailed(Error::cause(error)))?;
        let sender = match processed.sender() {
            Sender::Member(leaf) => *leaf,
            _ => return Err(Error::UnexpectedProposals),
        };
        match processed.into_content() {
            ProcessedMessageContent::StagedCommitMessage(commit) => Ok(Opened { sender, commit }),
            // A commit of this session that was discarded, or made before a restart.
            ProcessedMessageContent::OwnPrivateMessage => Err(Error::Superseded),
            _ => Err(Error::NotACommit),
        }
    }

    /// Only the committer changes the roster, only by additions and removals; nobody changes a name.
    fn check_authority(&self, opened: &Opened) -> Result<(), Error> {
        let committer = self.leaf_name(opened.sender).as_ref() == Some(self.place.committer.key_id());
        let allowed = |proposal: &Proposal| matches!(proposal, Proposal::Add(_) | Proposal::Remove(_));
        let mut proposals = opened.commit.queued_proposals().map(|queued| queued.proposal());
        match committer {
            true if proposals.all(allowed) => self.check_adds(&opened.commit)?,
            false if proposals.next().is_none() => self.check_path(opened)?,
            _ => return Err(Error::UnexpectedProposals),
        }
        match opened.commit.update_path_leaf_node() {
            Some(_) => self.check_path(opened),
            None => Ok(()),
        }
    }

    fn check_adds(&self, commit: &StagedCommit) -> Result<(), Error> {
        let (mut added, mut named) = (0, true);
        for add in commit.add_proposals() {
            added += 1;
            named &= mls::key_id(add.add_proposal().key_package().leaf_node().credential()).is_some();
        }
        let got = self.mls.members().count() + added;
        match named {
            false => Err(Error::IdentityChanged),
            true if got > MAX_MEMBERS => Err(Error::TooMany { what: "members", got, bound: MAX_MEMBERS }),
            true => Ok(()),
        }
    }

    fn check_path(&self, opened: &Opened) -> Result<(), Error> {
        let leaf = opened.commit.update_path_leaf_node().ok_or(Error::NoUpdatePath)?;
        match mls::key_id(leaf.credential()) == self.leaf_name(opened.sender) {
            true => Ok(()),
            false => Err(Error::IdentityChanged),
        }
    }

    fn apply(&mut self, commit: StagedCommit) -> Result<Applied, Error> {
        let (added, removed) = self.changes(&commit);
        let (epoch, evicted) = (Epoch(commit.epoch().as_u64()), commit.self_removed());
        let merged = self.mls.merge_staged_commit(self.store.provider(), commit);
        merged.map_err(|error| Error::MergeFailed(Error::cause(error)))?;
        (self.staged, self.latest) = (None, None);
        if evicted {
            self.evicted = Some(epoch);
            self.store.wipe();
            return Err(Error::Evicted { epoch: epoch.0 });
        }
        Ok(Applied { epoch, dek: self.dek()?, added, removed })
    }

    fn merge_own(&mut self) -> Result<Applied, Error> {
        let (added, removed) = self.mls.pending_commit().map(|commit| self.changes(commit)).unwrap_or_default();
        self.merge_pending()?;
        Ok(Applied { epoch: self.epoch(), dek: self.dek()?, added, removed })
    }

    fn changes(&self, commit: &StagedCommit) -> (Vec<KeyId>, Vec<KeyId>) {
        let added = commit
            .add_proposals()
            .filter_map(|add| mls::key_id(add.add_proposal().key_package().leaf_node().credential()));
        let removed = commit.remove_proposals().filter_map(|remove| self.leaf_name(remove.remove_proposal().removed()));
        (added.collect(), removed.collect())
    }

    fn leaf_name(&self, leaf: LeafNodeIndex) -> Option<KeyId> {
        mls::key_id(self.mls.member(leaf)?)
    }
}
