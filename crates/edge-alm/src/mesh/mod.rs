//! The live machine of one receiver and one stream: whom to subscribe to, at which layers, and whom to give up.
//!
//! Model: a [`Mesh`] is told what happens (offers, answers, arrivals, losses) and is asked by [`Mesh::poll`] what to
//! do, until it says nothing more; [`Mesh::deadline`] says when to ask again at the latest. One parent, the primary,
//! sends everything that is wanted; another, the standby, sends the base layer, so that its promotion needs nothing but
//! a [`Action::SetPolicy`]. Offers of further peers are kept cold.
//!
//! Laws: a chunk counts as received only after it opened; no offer, chunk or answer can make a table grow beyond its
//! bound or the machine panic; at most [`ACTIVE_MAX`] parents at a time, the primary among them, and [`ASKED_MAX`] with
//! those that were asked; never a parent that is this peer, that hangs below it, or that is banned; layers are shed
//! before parents are switched, and below the base nothing is shed; a parent that is merely slow is demoted and never
//! banned; equal inputs give equal actions.

mod changes;
mod conduct;
mod layers;
mod link;
mod machine;
mod pace;
pub mod plan;
mod table;
mod turn;
mod vocabulary;
mod window;

pub use machine::Mesh;
pub use vocabulary::{
    Action, Arrival, Ban, Config, Counters, DropWhy, Evidence, Key, LayerRate, LinkView, Media, Misdeed, Offer, Opens,
    Origin, Reason, Role, Snapshot, SwitchWhy, Verdict, Why,
};

/// Most parents that are subscribed to at a time; those that were asked and have not answered are among them, unless
/// nobody delivers.
pub const ACTIVE_MAX: usize = 3;
/// Most peers that are parents or were asked at a time while nobody delivers.
pub const ASKED_MAX: usize = 6;
/// Most offers kept; when there are more, the deepest without a good word go.
pub const OFFERS_MAX: usize = 1024;
/// Most peers on the way from the source down to a parent, both included; this peer would be the next.
pub const PARENT_CHAIN_MAX: usize = 15;
/// Most bans kept; the one that ends first goes.
pub const BANS_MAX: usize = 256;
/// Most pieces of evidence kept; the oldest goes.
pub const EVIDENCE_MAX: usize = 64;
/// Most entries of the table of bitrates that are used.
pub const RATES_MAX: usize = 64;
