//! Canonical bytes: the reader and writer, ids, and the wire structures that every other crate shares.
//!
//! Model: a structure is parsed once, from borrowed bytes, into a type that cannot hold an invalid value; nothing
//! is validated afterwards. Everything is big-endian and fixed width, and trailing bytes are refused.
//!
//! Laws: no cryptography, no input or output, no panic on any input, no allocation that a length field alone decides.

pub mod chunk;
pub mod control;
pub mod domain;
pub mod id;
pub mod layer;
pub mod link;
mod read;
mod write;

pub use read::{Error, Reader};
pub use write::Writer;
