//! Commits out of order at a member, and recent ones kept at the committer for members that missed them.

use std::collections::{BTreeMap, VecDeque};

use edge_wire::id::Epoch;

use crate::{AcceptedCommit, Applied, Error, Group};

const MAX_COMMITS: usize = 64;
const MAX_BYTES: usize = 8 << 20;

/// Holds commits that came too early until the ones before them are there.
#[derive(Debug, Default)]
pub struct CommitQueue {
    waiting: BTreeMap<Epoch, AcceptedCommit>,
    bytes: usize,
}

impl CommitQueue {
    /// Most commits that wait, and how many epochs ahead one may be.
    pub const MAX_COMMITS: usize = MAX_COMMITS;
    /// Most bytes that wait.
    pub const MAX_BYTES: usize = MAX_BYTES;

    /// Takes an accepted commit for `group`; then call [`next`](Self::next) until it gives `None`. A commit of the past
    /// is [`Error::StaleCommit`]; one too far ahead, or one too many, is [`Error::CommitGap`] and not kept.
    pub fn push(&mut self, group: &Group, commit: AcceptedCommit) -> Result<(), Error> {
        group.check_member()?;
        if commit.stream() != group.stream() {
            return Err(Error::WrongGroup);
        }
        let (have, got) = (group.epoch().0, commit.ends().0);
        if got < have {
            return Err(Error::StaleCommit { have, got });
        }
        if self.waiting.contains_key(&commit.ends()) {
            return Ok(());
        }
        let bytes = self.bytes + commit.len();
        if got - have >= MAX_COMMITS as u64 || bytes > MAX_BYTES {
            return Err(Error::CommitGap { have, got });
        }
        self.bytes = bytes;
        self.waiting.insert(commit.ends(), commit);
        Ok(())
    }

    /// Applies the next commit if it is there.
    pub fn next(&mut self, group: &mut Group) -> Option<Result<Applied, Error>> {
        let now = group.epoch();
        while let Some(entry) = self.waiting.first_entry().filter(|entry| *entry.key() < now) {
            self.bytes -= entry.remove().len();
        }
        let commit = self.waiting.remove(&now)?;
        self.bytes -= commit.len();
        Some(group.process(commit.commit()))
    }

    /// The first epoch whose commit is missing while later ones wait: ask the committer for it.
    pub fn missing(&self, group: &Group) -> Option<Epoch> {
        let now = group.epoch();
        let later = self.waiting.keys().any(|epoch| *epoch > now);
        (later && !self.waiting.contains_key(&now)).then_some(now)
    }
}

/// Keeps the latest accepted commits, so that a member that missed some gets them again.
#[derive(Debug, Default)]
pub struct CommitLog {
    kept: VecDeque<AcceptedCommit>,
    bytes: usize,
}

impl CommitLog {
    /// Most commits that are kept.
    pub const MAX_COMMITS: usize = MAX_COMMITS;
    /// Most bytes that are kept.
    pub const MAX_BYTES: usize = MAX_BYTES;

    /// Keeps one more; the oldest go when there are too many.
    pub fn push(&mut self, commit: AcceptedCommit) {
        self.bytes += commit.len();
        self.kept.push_back(commit);
        while self.kept.len() > MAX_COMMITS || self.bytes > MAX_BYTES {
            match self.kept.pop_front() {
                Some(oldest) => self.bytes -= oldest.len(),
                None => break,
            }
        }
    }

    /// The kept commits from the one that ends `epoch` on. Empty when that one is gone: the member must rejoin.
    pub fn since(&self, epoch: Epoch) -> impl Iterator<Item = &AcceptedCommit> {
        let known = self.kept.iter().any(|commit| commit.ends() == epoch);
        self.kept.iter().filter(move |commit| known && commit.ends() >= epoch)
    }
}
