//! Why a group operation was refused.

use edge_wire::id::KeyId;

/// An error of the MLS library, kept as a source for diagnosis; nothing may depend on what it says.
type Cause = Box<dyn std::error::Error + Send + Sync>;

/// Why a group operation was refused. Except after [`Evicted`](Self::Evicted) the session is as it was before.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The peer has no usable hybrid key-exchange keys.
    #[error("{0} has no usable post-quantum key: it must run `edge keygen` and join again")]
    PeerLacksMlkem(KeyId),
    /// The MLS library does not serve the suite.
    #[error("the MLS ciphersuite is not available")]
    CiphersuiteNotAvailable,
    /// A group could not be created.
    #[error("the group could not be created")]
    CreateFailed(#[source] Cause),
    /// A commit that adds members could not be built.
    #[error("the commit with new members could not be built")]
    CommitAddFailed(#[source] Cause),
    /// A commit that removes members could not be built.
    #[error("the commit without the leaving members could not be built")]
    CommitRemoveFailed(#[source] Cause),
    /// A commit that only refreshes keys could not be built.
    #[error("the rotation could not be built")]
    RotateFailed(#[source] Cause),
    /// A commit could not be opened or is not valid.
    #[error("the commit is not valid")]
    ProcessFailed(#[source] Cause),
    /// A merged commit could not be written to the session's store.
    #[error("the commit could not be merged")]
    MergeFailed(#[source] Cause),
    /// A Welcome could not be opened or is not valid.
    #[error("the Welcome is not valid: ask to be invited again")]
    WelcomeFailed(#[source] Cause),
    /// A Welcome does not parse, or contradicts its envelope.
    #[error("the Welcome is malformed")]
    WelcomeMalformed,
    /// A Welcome was made for another key package, or this one was used already.
    #[error("the Welcome is not for this key package: ask to be invited again")]
    WelcomeRejected,
    /// The Welcome's envelope is not signed by the inviter, or not addressed to this peer.
    #[error("the Welcome is not signed by the inviter for this peer")]
    WelcomeSignatureRejected,
    /// The Welcome comes from somebody else than the expected inviter.
    #[error("the Welcome comes from an unknown inviter")]
    InviterUnknown,
    /// The Welcome's ratchet tree was neither inside nor given.
    #[error("the Welcome travels without its ratchet tree: fetch the tree first")]
    TreeMissing,
    /// A key package could not be built.
    #[error("the key package could not be built")]
    KeyPackageBuildFailed(#[source] Cause),
    /// A key package or its binding to an identity breaks a rule.
    #[error("the key package is refused: {rule}")]
    KeyPackageRejected {
        /// The rule, as a phrase.
        rule: &'static str,
    },
    /// A key package was used for an earlier join.
    #[error("the key package of {0} was used already: it must mint a new one")]
    KeyPackageUsed(KeyId),
    /// A secret could not be exported.
    #[error("the epoch key could not be exported")]
    ExportFailed(#[source] Cause),
    /// Bytes do not parse as an MLS message.
    #[error("not an MLS message")]
    WireDecodeFailed,
    /// A structure around an MLS message does not parse.
    #[error(transparent)]
    Wire(#[from] edge_wire::Error),
    /// A peer's key bundle does not parse.
    #[error(transparent)]
    Bundle(#[from] edge_identity::bundle::Error),
    /// A signature or a key operation failed.
    #[error(transparent)]
    Crypto(#[from] edge_crypto::Error),
    /// An MLS message that is not a commit.
    #[error("the MLS message is not a commit")]
    NotACommit,
    /// A handshake message in the clear; groups here encrypt all of them.
    #[error("a commit in the clear is refused")]
    PublicMessageRefused,
    /// The commit's acceptance is not signed by the group's committer.
    #[error("the commit is not signed by the group's committer")]
    AcceptanceRejected,
    /// A member other than the committer changed the roster, or a commit does more than add, remove and refresh.
    #[error("the commit contains proposals that its sender may not make")]
    UnexpectedProposals,
    /// A refresh without new keys.
    #[error("the commit carries no update path")]
    NoUpdatePath,
    /// A member tried to take another name in a commit.
    #[error("the commit changes its sender's identity")]
    IdentityChanged,
    /// The commit is for an epoch that is over: ignore it.
    #[error("the commit is for epoch {got}, the group is in {have}")]
    StaleCommit {
        /// Epoch of this session.
        have: u64,
        /// Epoch that the commit ends.
        got: u64,
    },
    /// Commits in between are missing: fetch them.
    #[error("the commit is for epoch {got}, the group is in {have}: commits in between are missing")]
    CommitGap {
        /// Epoch of this session.
        have: u64,
        /// Epoch that the commit ends.
        got: u64,
    },
    /// The message belongs to another group or stream.
    #[error("the message belongs to another group")]
    WrongGroup,
    /// This member was removed; the session is over.
    #[error("removed from the group in epoch {epoch}")]
    Evicted {
        /// The epoch without this member.
        epoch: u64,
    },
    /// No member has this name.
    #[error("{0} is not a member")]
    MemberNotFound(KeyId),
    /// A member has this name already, or it appears twice in one request.
    #[error("{0} is a member already")]
    DuplicateMember(KeyId),
    /// A batch or roster that changes nothing.
    #[error("nothing to change")]
    EmptyBatch,
    /// A member cannot remove itself: send a leave request.
    #[error("a member cannot remove itself: send a leave request to the committer")]
    SelfRemovalRefused,
    /// More members or operations than a group or commit may have.
    #[error("{got} {what} are more than {bound}")]
    TooMany {
        /// What was counted.
        what: &'static str,
        /// How many there would be.
        got: usize,
        /// How many there may be.
        bound: usize,
    },
    /// A commit is staged already: merge or discard it first.
    #[error("a commit is staged already: merge or discard it first")]
    CommitPending,
    /// This staged commit is no longer the session's: another commit won.
    #[error("the staged commit was superseded by another one")]
    Superseded,
    /// A snapshot is corrupt, of another version, or of another peer.
    #[error("the group snapshot cannot be restored")]
    SnapshotRejected,
}

impl Error {
    /// Boxes an error of the MLS library for one of the variants that keep it.
    pub(crate) fn cause(error: impl std::error::Error + Send + Sync + 'static) -> Cause {
        Box::new(error)
    }
}
