//! Sans-IO forwarder: subscriptions, layer admission, queues and drop policy.
//!
//! Model: a [`Relay`] holds streams, and for each stream its children in ascending order of name. [`Relay::forward`]
//! offers one inner-sealed chunk to every child's queue and shares its bytes; [`Relay::poll`] takes a child's next
//! chunk and seals it for that child's link at that moment, into a buffer of an [`Arena`]. A publisher's own children
//! are served the same way as those of any tier below.
//!
//! Laws: the relay cannot name a group key, so it cannot open what it carries; inner bytes leave as they came; a chunk
//! that is not sent costs no seal, so a child sees link counters without gaps; a child that is slow loses enhancement
//! layers first and then whole groups of pictures, and no sibling waits for it; what is sent never depends on something
//! that this relay chose not to send; sound is never thinned; a transit key serves once; every queue, cache and table
//! has a bound in [`Limits`].
//!
//! The crate that seals media is out of reach here, which `xtask layers` checks over the whole dependency graph:
//!
//! ```compile_fail,E0432
//! use edge_seal::EpochDek;
//! ```
//!
//! ```compile_fail,E0432
//! use edge_relay::EpochDek;
//! ```
//!
//! and what a relay holds has no way to open it:
//!
//! ```compile_fail,E0599
//! fn peek(chunk: edge_wire::chunk::InnerSealed) {
//!     chunk.open_inner();
//! }
//! ```

pub mod arena;
mod cache;
mod chain;
mod child;
mod keys;
mod limits;
mod queue;
mod relay;

pub use arena::{Arena, Buffer};
pub use child::{Dropped, Stats, Transmit};
pub use limits::{CacheLimits, Limits, QueueLimits};
pub use relay::{Handle, Need, Relay, Start, Subscription};

use edge_wire::chunk;
use edge_wire::id::{KeyId, StreamId};

/// Why a relay refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Nobody subscribes to the stream and it is not pinned.
    #[error("stream {0} is not relayed here")]
    StreamNotFound(StreamId),
    /// The subscriber is not on the stream.
    #[error("{subscriber} does not subscribe to stream {stream}")]
    SubscriberNotFound {
        /// Stream asked for.
        stream: StreamId,
        /// Subscriber asked for.
        subscriber: KeyId,
    },
    /// The handle's subscription has ended or was replaced.
    #[error("the subscription behind this handle has ended")]
    SubscriptionEnded,
    /// The transit key was installed before; a second use would repeat nonces.
    #[error("transit key offered for {subscriber} was used before; derive a fresh one")]
    KeyReuse {
        /// Who was to get it.
        subscriber: KeyId,
    },
    /// The chunk names another stream than the one it came on.
    #[error("chunk of stream {got} arrived on stream {expected}")]
    StreamMismatch {
        /// Stream it came on.
        expected: StreamId,
        /// Stream it names.
        got: StreamId,
    },
    /// The relay carries as many streams as it may.
    #[error("{bound} streams are relayed already; raise the limit or use another relay")]
    TooManyStreams {
        /// The limit.
        bound: usize,
    },
    /// The stream has as many subscribers as it may.
    #[error("stream {stream} has {bound} subscribers already; raise the limit or use another relay")]
    TooManySubscribers {
        /// The stream.
        stream: StreamId,
        /// The limit.
        bound: usize,
    },
    /// The chunk breaks a rule of its structure or is too long.
    #[error(transparent)]
    Chunk(#[from] chunk::Error),
    /// A chunk from upstream did not open, or was seen before.
    #[error("chunk from upstream does not open")]
    OuterOpenFailed(#[source] edge_link::Error),
    /// A chunk could not be sealed for one subscriber; the others are not affected.
    #[error("chunk could not be sealed for {subscriber}")]
    OuterSealFailed {
        /// For whom.
        subscriber: KeyId,
        /// Why; a used-up key needs a new subscription.
        #[source]
        source: edge_link::Error,
    },
}
