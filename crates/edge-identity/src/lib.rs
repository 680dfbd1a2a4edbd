//! Who a peer is: key bundles and the files that hold them, identity hashes, attestations, key grants, safety codes.
//!
//! Model: what arrives is a received type ([`PublicBundle`], [`attest::Announce`]); proof turns it into another type
//! ([`Peer`], [`attest::Attested`]). Code that needs proof asks for the proven type, so it cannot be forgotten.
//!
//! Laws: only [mod@file] touches the disk; a secret leaves this crate in a key file or not at all; every parser is
//! bounded, refuses trailing bytes and returns keys that were checked.

pub mod address;
pub mod attest;
pub mod bundle;
pub mod file;
pub mod grant;
pub mod safety;

pub use bundle::{KeyBundle, Peer, PublicBundle};
