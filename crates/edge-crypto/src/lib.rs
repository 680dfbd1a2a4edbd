//! Cryptography of CIRIS Edge: one AEAD, one key derivation, a hybrid KEM and a hybrid signature, over key types that
//! are wiped on drop and never print themselves.
//!
//! Model: thin, misuse-resistant shapes over `aws-lc-rs` and `libcrux-ml-kem`; this crate implements no primitive.
//!
//! Laws: a secret has no `Clone`, no readable `Debug` and no way out but [`Secret::expose`]; failures say nothing about
//! which secret, nonce or bit was wrong; deterministic functions take their randomness as an argument.

pub mod aead;
pub mod hash;
pub mod kem;
pub mod random;
mod secret;
pub mod sign;

pub use random::Random;
pub use secret::Secret;

/// A cryptographic operation failed; deliberately without detail.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Authentication failed: wrong key, wrong nonce or changed bytes, which cannot be told apart.
    #[error("authentication failed")]
    Aead,
    /// A signature does not verify.
    #[error("signature does not verify")]
    Signature,
    /// Key bytes of the named kind are malformed.
    #[error("malformed {0} key")]
    Key(&'static str),
    /// A key agreement ended in a secret that anyone could compute.
    #[error("key agreement gave a degenerate secret")]
    Degenerate,
    /// An output buffer has the wrong length.
    #[error("buffer of {got} bytes, needs {need}")]
    Buffer {
        /// Bytes given.
        got: usize,
        /// Bytes needed.
        need: usize,
    },
}
