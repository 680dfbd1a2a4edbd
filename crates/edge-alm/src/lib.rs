//! Reachability tracking and fan-out planning.
//!
//! Model: a [`reachability::Tracker`] keeps the outcomes of recent contacts for each peer and transport; a
//! [`fanout::plan`] picks from a roster those that are worth sending to, and what it says depends on its arguments
//! alone. Whether a peer is entitled to a stream is decided before it is planned for.
//!
//! Laws: no clock, no randomness, no input or output; the order of a roster is kept; a peer that was not contacted
//! lately is unknown, which is not the same as unreachable and is never planned for; every table has a named bound.

pub mod admission;
pub mod advert;
mod bucket;
pub mod estimate;
pub mod fanout;
pub mod gossip;
pub mod join;
pub mod path;
pub mod reachability;
mod recent;
pub mod scaling;
