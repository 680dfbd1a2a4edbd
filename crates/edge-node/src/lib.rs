//! The node: drives the sans-IO cores on real sockets, files and clocks. The only crate that is async throughout.
//!
//! Model: one process plays one role. A [`publisher`] captures, encodes, seals and keeps the group; a [`relay`] carries
//! sealed chunks and holds no group key; a [`viewer`] joins the group, opens and decodes. All three feed children
//! through the same [`hub`], reach their parents through the same [`uplink`], and hear through their [`neighbours`] who
//! else is [`offering`] to carry the stream. A stream that is cut into descriptions travels as sub-streams beside it,
//! each with hubs and uplinks of its own.
//!
//! Laws: protocol rules live in the cores, not here; codec work runs on threads of its own, never on the network's;
//! every queue between tasks is bounded; a child that does not read loses its own media and nobody else's.

pub mod admission;
pub mod clock;
pub mod description;
pub mod event;
pub mod hub;
pub mod metrics;
pub mod neighbours;
pub mod offering;
pub mod outsider;
pub mod process;
pub mod publisher;
pub mod relay;
pub mod state;
pub mod ticket;
pub mod uplink;
pub mod viewer;

mod demand;
mod error;
mod lane;
mod rates;

pub use error::Error;

use tokio::sync::watch;

/// Tells every task of a node to end; the node ends when it becomes `true` or its sender is gone.
pub type Shutdown = watch::Receiver<bool>;

/// Resolves when `shutdown` says so.
pub async fn ended(mut shutdown: Shutdown) {
    // An error means that whoever could have said so is gone, which says the same.
    let _ = shutdown.wait_for(|end| *end).await;
}
