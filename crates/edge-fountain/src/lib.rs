//! RaptorQ (RFC 6330): protection of live messages on one hop, and content symbols that distinct holders keep.
//!
//! Model: a block of `n` source symbols of `T` bytes gives any number of repair symbols, and any `n + 1` distinct ones
//! give the block back (`n` do in 99.5 of 100 cases; all `n` source symbols always do, without any arithmetic).
//! [`live`] frames symbols as datagrams of one hop; [`content`] wraps a whole object, whose symbols are named by a
//! manifest of hashes; [`retention`], [`policy`] and [`holders`] say which symbols exist, who keeps which, and which go
//! first.
//!
//! Laws: sizes are checked against named bounds before anything is allocated or handed to the codec; symbols that a
//! peer made up end in a typed error or in nothing, never in a panic; the same block gives the same symbols everywhere;
//! content that was decoded agrees with every hash of its source symbols.

mod block;
pub mod content;
pub mod holders;
pub mod live;
pub mod policy;
pub mod retention;
