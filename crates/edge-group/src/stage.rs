//! Changing the group: plan a commit, stage it, and merge it once it is accepted.

use std::collections::BTreeSet;

use edge_crypto::hash::sha256;
use edge_identity::KeyBundle;
use edge_seal::EpochDek;
use edge_wire::id::{Epoch, Fingerprint, KeyId, StreamId};
use openmls::prelude::{CommitMessageBundle, LeafNodeIndex, OpenMlsProvider};

use crate::gate::{self, Member};
use crate::session::MAX_USED;
use crate::{AcceptedCommit, Error, Group, MAX_MEMBERS, MAX_OPS, SignedWelcome, VerifiedOffer, mls};

/// A change of the group; becomes one commit and one epoch.
#[derive(Debug, Clone, PartialEq)]
pub enum Delta {
    /// Adds one member.
    Join(Box<VerifiedOffer>),
    /// Removes one member.
    Leave(KeyId),
    /// Adds and removes many at once; removals count before additions, so a batch may re-admit a member.
    Batch(Vec<Op>),
    /// Makes the roster equal to the given one.
    Replace(Roster),
    /// Changes nobody; brings fresh keys.
    Rotate,
}

/// One change within a batch.
#[derive(Debug, Clone, PartialEq)]
pub enum Op {
    /// Adds one member.
    Join(Box<VerifiedOffer>),
    /// Removes one member.
    Leave(KeyId),
}

/// A whole roster. The committer itself always stays, named or not.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Roster {
    /// Present members that stay, with the keys they advertise now.
    pub keep: Vec<Member>,
    /// Members to be; who is present already stays and is not re-keyed.
    pub join: Vec<VerifiedOffer>,
}

/// Whether Welcomes carry the ratchet tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum WelcomeTree {
    /// Joiners fetch it: a Welcome is small, and one tree serves all of them.
    #[default]
    Apart,
    /// Joiners that cannot fetch it find it inside.
    Inside,
}

/// A peer that a commit admits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Joiner {
    /// The peer's fingerprint.
    pub fingerprint: Fingerprint,
    /// SHA-256 of the key package that was used.
    pub key_package: [u8; 32],
}

/// What a commit makes its committer send: the commit to the members, the Welcome to the joiners.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Emission {
    pub(crate) stream: StreamId,
    pub(crate) ends: Epoch,
    pub(crate) commit: Vec<u8>,
    pub(crate) welcome: Option<Vec<u8>>,
    pub(crate) joiners: Vec<Joiner>,
}

impl Emission {
    /// The commit under the committer's signature, for every member.
    pub fn accepted(&self, committer: &KeyBundle) -> Result<AcceptedCommit, Error> {
        AcceptedCommit::sign(committer, self.stream, self.ends, self.commit.clone())
    }

    /// One addressed Welcome per joiner, in the order of the additions.
    pub fn welcomes(&self, inviter: &KeyBundle) -> Result<Vec<SignedWelcome>, Error> {
        let Some(welcome) = &self.welcome else {
            return Ok(Vec::new());
        };
        let address = |joiner: &Joiner| (self.stream, joiner.fingerprint, self.epoch());
        self.joiners.iter().map(|joiner| SignedWelcome::sign(inviter, address(joiner), welcome.clone())).collect()
    }

    /// The epoch that the commit leads into.
    pub fn epoch(&self) -> Epoch {
        Epoch(self.ends.0.saturating_add(1))
    }

    /// The MLS commit: what a member sends to the committer to have its refresh accepted.
    pub fn commit(&self) -> &[u8] {
        &self.commit
    }

    /// The MLS Welcome, when somebody joins.
    pub fn welcome(&self) -> Option<&[u8]> {
        self.welcome.as_deref()
    }

    /// Who joins.
    pub fn joiners(&self) -> &[Joiner] {
        &self.joiners
    }
}

/// A commit that waits for acceptance: merge it or discard it. Its key is not out yet.
#[derive(Debug, PartialEq, Eq)]
#[must_use = "a staged commit blocks the session until it is merged or discarded"]
pub struct Staged {
    hash: [u8; 32],
    emission: Emission,
}

impl Staged {
    /// What to send.
    pub fn emission(&self) -> &Emission {
        &self.emission
    }
}

/// A checked change, in terms of the tree.
#[derive(Default)]
struct Plan<'a> {
    adds: Vec<&'a VerifiedOffer>,
    removes: Vec<LeafNodeIndex>,
}

impl Group {
    /// Builds a commit for `delta`, always with an update path, and stages it. Take a snapshot before sending it.
    pub fn stage(&mut self, delta: &Delta) -> Result<Staged, Error> {
        self.check_member()?;
        if self.staged.is_some() {
            return Err(Error::CommitPending);
        }
        let plan = self.plan(delta)?;
        self.check_plan(&plan)?;
        self.commit(&plan)
    }

    /// Refreshes this member's keys: fills its path of the tree, so that later commits are small. A member sends the
    /// commit to the committer and merges when it comes back accepted.
    pub fn stage_refresh(&mut self) -> Result<Staged, Error> {
        self.stage(&Delta::Rotate)
    }

    /// Applies an accepted commit of this session and gives out the new epoch's key.
    pub fn merge(&mut self, staged: Staged) -> Result<EpochDek, Error> {
        self.check_member()?;
        if self.staged != Some(staged.hash) {
            return Err(Error::Superseded);
        }
        drop(staged);
        self.merge_pending()?;
        self.dek()
    }

    /// Drops a staged commit that was not sent; epoch and roster stay.
    pub fn discard(&mut self, staged: Staged) -> Result<(), Error> {
        if self.staged != Some(staged.hash) {
            return Err(Error::Superseded);
        }
        drop(staged);
        self.latest = None;
        self.clear_pending()
    }

    /// Whether Welcomes of later commits carry the ratchet tree.
    pub fn set_welcome_tree(&mut self, place: WelcomeTree) {
        self.welcome_tree = place;
    }

    /// Merges the library's pending commit and remembers the key packages that it used up.
    pub(crate) fn merge_pending(&mut self) -> Result<(), Error> {
        let merged = self.mls.merge_pending_commit(self.store.provider());
        merged.map_err(|error| Error::MergeFailed(Error::cause(error)))?;
        self.staged = None;
        for joiner in self.latest.iter().flat_map(|emission| &emission.joiners) {
            self.used_key_packages.push_back(joiner.key_package);
        }
        while self.used_key_packages.len() > MAX_USED {
            self.used_key_packages.pop_front();
        }
        Ok(())
    }

    pub(crate) fn clear_pending(&mut self) -> Result<(), Error> {
        self.staged = None;
        let cleared = self.mls.clear_pending_commit(self.store.provider().storage());
        cleared.map_err(|error| Error::MergeFailed(Error::cause(error)))
    }

    fn plan<'a>(&self, delta: &'a Delta) -> Result<Plan<'a>, Error> {
        match delta {
            Delta::Join(offer) => self.resolve(vec![offer.as_ref()], &BTreeSet::new()),
            Delta::Leave(key_id) => self.resolve(Vec::new(), &BTreeSet::from([key_id])),
            Delta::Batch(ops) => self.plan_batch(ops),
            Delta::Replace(roster) => self.plan_replace(roster),
            Delta::Rotate => Ok(Plan::default()),
        }
    }

    fn plan_batch<'a>(&self, ops: &'a [Op]) -> Result<Plan<'a>, Error> {
        if ops.is_empty() {
            return Err(Error::EmptyBatch);
        }
        let (mut adds, mut removes) = (Vec::new(), BTreeSet::new());
        for op in ops {
            match op {
                Op::Join(offer) => adds.push(offer.as_ref()),
                Op::Leave(key_id) => drop(removes.insert(key_id)),
            }
        }
        self.resolve(adds, &removes)
    }

    fn plan_replace<'a>(&self, roster: &'a Roster) -> Result<Plan<'a>, Error> {
        gate::check(&roster.keep)?;
        let present: BTreeSet<KeyId> = self.roster().into_iter().map(|member| member.key_id).collect();
        if let Some(stranger) = roster.keep.iter().find(|member| !present.contains(&member.key_id)) {
            return Err(Error::MemberNotFound(stranger.key_id.clone()));
        }
        let mut wanted = BTreeSet::new();
        let names = roster.keep.iter().map(|member| &member.key_id);
        for name in names.chain(roster.join.iter().map(VerifiedOffer::key_id)) {
            if !wanted.insert(name) {
                return Err(Error::DuplicateMember(name.clone()));
            }
        }
        let adds: Vec<_> = roster.join.iter().filter(|offer| !present.contains(offer.key_id())).collect();
        let leaves = |key_id: &&KeyId| !wanted.contains(*key_id) && **key_id != self.place.own;
        let removes: BTreeSet<_> = present.iter().filter(leaves).collect();
        match adds.is_empty() && removes.is_empty() {
            true => Err(Error::EmptyBatch),
            false => self.resolve(adds, &removes),
        }
    }

    /// Turns names into leaves: removals first, against the roster before the change, then additions.
    fn resolve<'a>(&self, adds: Vec<&'a VerifiedOffer>, removes: &BTreeSet<&KeyId>) -> Result<Plan<'a>, Error> {
        let mut leaves = Vec::new();
        for key_id in removes {
            if **key_id == self.place.own {
                return Err(Error::SelfRemovalRefused);
            }
            let before = leaves.len();
            leaves.extend(self.leaves_of(key_id));
            if leaves.len() == before {
                return Err(Error::MemberNotFound((*key_id).clone()));
            }
        }
        let mut present: BTreeSet<KeyId> = self.roster().into_iter().map(|member| member.key_id).collect();
        present.retain(|key_id| !removes.contains(key_id));
        for offer in &adds {
            if !present.insert(offer.key_id().clone()) {
                return Err(Error::DuplicateMember(offer.key_id().clone()));
            }
        }
        Ok(Plan { adds, removes: leaves })
    }

    fn leaves_of(&self, key_id: &KeyId) -> impl Iterator<Item = LeafNodeIndex> {
        let named = move |member: &openmls::prelude::Member| mls::key_id(&member.credential).as_ref() == Some(key_id);
        self.mls.members().filter(named).map(|member| member.index)
    }

    fn check_plan(&self, plan: &Plan<'_>) -> Result<(), Error> {
        let ops = plan.adds.len() + plan.removes.len();
        if ops > MAX_OPS {
            return Err(Error::TooMany { what: "operations", got: ops, bound: MAX_OPS });
        }
        let members = self.mls.members().count() + plan.adds.len();
        if members > MAX_MEMBERS {
            return Err(Error::TooMany { what: "members", got: members, bound: MAX_MEMBERS });
        }
        plan.adds.iter().try_for_each(|offer| match offer.stream() == self.place.stream {
            false => Err(Error::WrongGroup),
            true if self.used_key_packages.contains(&offer.hash()) => {
                Err(Error::KeyPackageUsed(offer.key_id().clone()))
            }
            true => Ok(()),
        })
    }

    fn commit(&mut self, plan: &Plan<'_>) -> Result<Staged, Error> {
        let ends = self.epoch();
        let built = match self.build(plan) {
            Ok(built) => built,
            Err(cause) => {
                self.clear_pending()?;
                return Err(commit_failed(plan, cause));
            }
        };
        let (commit, welcome, _) = built.into_messages();
        let commit = mls::encode(&commit)?;
        let joiner = |offer: &&VerifiedOffer| Joiner { fingerprint: offer.fingerprint(), key_package: offer.hash() };
        let emission = Emission {
            stream: self.place.stream,
            ends,
            welcome: welcome.map(|welcome| mls::encode(&welcome)).transpose()?,
            joiners: plan.adds.iter().map(joiner).collect(),
            commit,
        };
        let hash = sha256(&[&emission.commit]);
        self.staged = Some(hash);
        self.latest = Some(emission.clone());
        Ok(Staged { hash, emission })
    }

    fn build(&mut self, plan: &Plan<'_>) -> Result<CommitMessageBundle, Box<dyn std::error::Error + Send + Sync>> {
        let provider = self.store.provider();
        let built = self
            .mls
            .commit_builder()
            .consume_proposal_store(false)
            .force_self_update(true)
            .propose_removals(plan.removes.iter().copied())
            .propose_adds(plan.adds.iter().map(|offer| offer.key_package().clone()))
            .load_psks(provider.storage())?
            .use_ratchet_tree_extension(self.welcome_tree == WelcomeTree::Inside)
            .build(provider.rand(), provider.crypto(), &self.signer, |_| true)?
            .stage_commit(provider)?;
        Ok(built)
    }
}

fn commit_failed(plan: &Plan<'_>, cause: Box<dyn std::error::Error + Send + Sync>) -> Error {
    match (plan.adds.is_empty(), plan.removes.is_empty()) {
        (false, _) => Error::CommitAddFailed(cause),
        (true, false) => Error::CommitRemoveFailed(cause),
        (true, true) => Error::RotateFailed(cause),
    }
}
