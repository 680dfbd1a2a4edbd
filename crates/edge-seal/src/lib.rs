//! The inner seal: media is sealed once under the epoch key of its group and opened only by members.
//!
//! Model: a [`Sender`] owns one stream's counter and turns frame payloads into [`InnerSealed`] chunks; a [`Receiver`]
//! holds the keys of at most two epochs, holds back chunks whose key is still on its way, and gives back payloads.
//! Both are sans-IO: keys, chunks and the time come in as arguments.
//!
//! Laws:
//! - a (key, nonce) pair is used once: a sender cannot be cloned, its counter only grows, and a new key needs a higher
//!   epoch;
//! - what a relay may rewrite (codec and layer) is repeated inside the seal and compared after opening;
//! - a chunk that does not open changes nothing but a counter;
//! - every buffer has a named bound, and the key of a past epoch lives at most [`receiver::GRACE_MS`].
//!
//! ```
//! use edge_crypto::Secret;
//! use edge_seal::payload::{Flags, Header, Origin, References, Track};
//! use edge_seal::{EpochDek, Receiver, Sender};
//! use edge_wire::{chunk::CodecId, id::{Epoch, StreamId}, layer::Layer};
//!
//! let stream = StreamId([7; 32]);
//! let mut sender = Sender::new(stream, Epoch(1), EpochDek::new(Secret::from([9; 32])));
//! let mut receiver = Receiver::new(stream, Epoch(1));
//! receiver.install(Epoch(1), EpochDek::new(Secret::from([9; 32])), 0)?;
//!
//! let header = Header {
//!     flags: Flags::KEY_FRAME | Flags::END_OF_UNIT,
//!     track: Track::VIDEO,
//!     codec: CodecId::AV1_SVC,
//!     layer: Layer::BASE,
//!     sender: Origin([3; 16]),
//!     frame_number: 0,
//!     pts_us: 0,
//!     captured_us: 0,
//!     duration_us: 33_333,
//!     unit_id: 0,
//!     references: References::NONE,
//! };
//! let chunk = sender.seal_frame(&header, b"an AV1 temporal unit")?;
//! let opened = receiver.push(chunk, 0)?.opened().ok_or("held")?;
//! assert_eq!(opened.header, header);
//! assert_eq!(&opened.data[..], b"an AV1 temporal unit");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod dek;
pub mod payload;
pub mod receiver;
mod sender;

pub use dek::{EpochDek, inner_nonce, open_inner, seal_inner};
pub use edge_wire::chunk::InnerSealed;
pub use payload::Payload;
pub use receiver::Receiver;
pub use sender::{MAX_CHUNKS_PER_KEY, Sender};

/// Largest plaintext of one chunk, in bytes.
pub const MAX_PLAINTEXT_LEN: usize = edge_wire::chunk::MAX_LEN - edge_wire::chunk::OVERHEAD;

/// Why a chunk could not be sealed or opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The inner seal does not open: wrong key, wrong header or changed bytes, which cannot be told apart.
    #[error("the inner seal does not open")]
    InnerAead,
    /// An opaque chunk was given a layer.
    #[error("an opaque chunk must be in the base layer")]
    OpaqueLayer,
    /// The plaintext is longer than [`MAX_PLAINTEXT_LEN`].
    #[error("plaintext of {got} bytes is longer than {bound}", bound = MAX_PLAINTEXT_LEN)]
    TooLong {
        /// Bytes given.
        got: usize,
    },
    /// This key has sealed as many chunks as one key may; rotate the group to a new epoch.
    #[error("the epoch key has sealed its last chunk: rotate the group to a new epoch")]
    CounterExhausted,
    /// A new key must belong to a higher epoch than the one in use.
    #[error("epoch {got} is not above epoch {have}")]
    EpochNotHigher {
        /// Epoch in use.
        have: u64,
        /// Epoch offered.
        got: u64,
    },
    /// The key offered for a new epoch is the key of the present one.
    #[error("a new epoch must bring a new key")]
    KeyReuse,
    /// The frame payload header breaks a rule of its format.
    #[error(transparent)]
    Payload(#[from] payload::Error),
}
