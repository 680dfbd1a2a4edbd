//! Group keys: an MLS session that turns membership into one media key an epoch.
//!
//! Model: every publisher has one group for its stream, and is that group's committer: the single point that orders
//! commits. A joiner mints its own key package ([`PendingJoin`]) and offers it under its federation identity
//! ([`KeyPackageOffer`]); the committer verifies the offer ([`VerifiedOffer`]), stages a commit ([`Group::stage`]),
//! persists, emits it signed ([`AcceptedCommit`], [`SignedWelcome`]) and merges. Members apply what arrives
//! ([`Group::process`], [`CommitQueue`]). Everything is sans-IO; the MLS library has its own generator and clock.
//!
//! Laws:
//! - a peer without the post-quantum half is refused before any MLS code runs;
//! - nothing is believed unsigned: offers, Welcomes and commits carry a hybrid signature that is checked first;
//! - a verb that fails leaves epoch and roster as they were, and a new key is given out only after its commit merged;
//! - every commit of ours carries an update path;
//! - stale, missing, foreign and evicting commits are different results;
//! - a restored session cannot seal before it has rotated;
//! - every input, queue and list has a named bound.

mod accepted;
mod error;
pub mod gate;
mod join;
mod leave;
mod mls;
mod offer;
mod queue;
mod receive;
mod session;
pub mod snapshot;
mod stage;
pub mod suite;
mod welcome;

pub use accepted::AcceptedCommit;
pub use error::Error;
pub use gate::Member;
pub use join::PendingJoin;
pub use leave::LeaveRequest;
pub use offer::{KeyPackageOffer, VerifiedOffer};
pub use queue::{CommitLog, CommitQueue};
pub use receive::Applied;
pub use session::{Group, Incarnation, MemberInfo};
pub use snapshot::{Restored, Rotating};
pub use stage::{Delta, Emission, Joiner, Op, Roster, Staged, WelcomeTree};
pub use welcome::{SignedWelcome, VerifiedWelcome};

/// Most members of one group.
pub const MAX_MEMBERS: usize = 1024;
/// Most operations in one commit.
pub const MAX_OPS: usize = 256;
/// Largest commit in bytes.
pub const MAX_COMMIT_LEN: usize = 2 << 20;
/// Largest Welcome in bytes, with the ratchet tree inside.
pub const MAX_WELCOME_LEN: usize = 8 << 20;
/// Largest ratchet tree in bytes.
pub const MAX_TREE_LEN: usize = 8 << 20;
/// Largest key package in bytes.
pub const MAX_KEY_PACKAGE_LEN: usize = 8 << 10;
