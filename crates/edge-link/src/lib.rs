//! Hop keys, outer seal, link counters and the replay window.
//!
//! Model: a link is one direction between two neighbours. Its [`Sender`] owns the transit key and the counter that
//! makes every nonce; its [`Receiver`] owns the same key and the replay window. Both die with their key. A chunk's
//! inner ciphertext passes through untouched: nothing here can name a group key. [`seal_outer`] and [`open_outer`] are
//! the same seal without state, for vectors and for tools; [`kex`] agrees on a transit key.
//!
//! Laws: a counter moves only after a seal and never repeats under its key; a failed open changes nothing; a number is
//! marked as seen only after its chunk opened; failures do not tell a wrong key from changed bytes; all work that a
//! forged chunk can cause is bounded by a constant.

mod incoming;
pub mod kex;
mod nonce;
mod outer;
mod receiver;
pub mod replay;
mod sender;

pub use edge_crypto::Secret;
pub use incoming::Incoming;
pub use nonce::nonce;
pub use outer::{open_outer, seal_outer};
pub use receiver::{FAILED_TRIALS_PER_SECOND_MAX, Receiver, SEARCH_WINDOW};
pub use sender::{KeyFingerprint, SEALS_MAX, Sender};

use edge_wire::chunk;
use edge_wire::id::LinkSeq;

/// Why a chunk could not be sealed for, or taken from, a link.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The outer seal does not open: wrong key, wrong link, wrong counter or changed bytes, which cannot be told apart.
    #[error("outer seal does not open")]
    OuterAead,
    /// The key has sealed as many chunks as one key may; install a new one.
    #[error("transit key is used up after {SEALS_MAX} seals; install a new one")]
    CounterExhausted,
    /// A chunk with this counter was opened before.
    #[error("link_seq {} was already received", .0.0)]
    Duplicate(LinkSeq),
    /// The counter is too far behind the newest one to know whether it was seen.
    #[error("link_seq {} is behind the replay window", .0.0)]
    Stale(LinkSeq),
    /// Too many chunks of this second opened under no candidate counter.
    #[error("too many chunks that do not open; dropped untried until the next second")]
    TrialsExhausted,
    /// The chunk breaks a rule of its structure.
    #[error(transparent)]
    Chunk(#[from] chunk::Error),
    /// What surrounds the chunk on the link breaks a rule of its structure.
    #[error(transparent)]
    Framing(#[from] edge_wire::Error),
    /// The output buffer does not have the length that the message needs.
    #[error("buffer of {got} bytes, the message needs {need}")]
    Buffer {
        /// Bytes given.
        got: usize,
        /// Bytes needed.
        need: usize,
    },
}
