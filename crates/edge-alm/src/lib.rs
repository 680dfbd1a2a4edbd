//! The mesh: what relays can carry, who hears of it, whom a newcomer joins, who can be reached.
//!
//! Model: a [`reachability::Tracker`] keeps the outcomes of recent contacts for each peer and transport; a
//! [`fanout::plan`] picks from a roster those that are worth sending to, and what it says depends on its arguments
//! alone. Whether a peer is entitled to a stream is decided before it is planned for. An [`estimate::Estimator`]
//! turns deliveries into a claim, which is signed as an [`advert::Advert`]; neighbours pass it on as a
//! [`gossip::Spreader`] says and keep it, verified, in an [`advert::Book`]. A [`mesh::Mesh`] decides, live, whom one
//! receiver of one stream hangs on and at which layers; a [`seats::Room`] decides who hangs on a peer that carries.
//! [`join`], [`heal`] and [`admission`] are what other implementations do and vectors hold; nothing live uses them but
//! [`admission::whole_kbps`].
//!
//! Laws: no clock, no randomness, no input or output; the order of a roster is kept; a peer that was not contacted
//! lately is unknown, which is not the same as unreachable and is never planned for; a received advertisement is
//! another type than a verified one; every table has a named bound.

pub mod admission;
pub mod advert;
pub mod bucket;
pub mod ending;
pub mod estimate;
pub mod fanout;
pub mod gossip;
pub mod heal;
pub mod join;
pub mod mesh;
pub mod path;
pub mod reachability;
mod recent;
pub mod scaling;
pub mod seats;
pub mod topology;
