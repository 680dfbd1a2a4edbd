//! QUIC transport with post-quantum key exchange and a hybrid identity handshake.
//!
//! Model: an [`Endpoint`] dials and accepts on one UDP socket and yields [`Session`]s. A session is a proven
//! [`Peer`](edge_identity::Peer) with three services: an ordered control channel, whole media messages (one QUIC stream
//! each, or symbols in datagrams where the path loses packets; refused before they start when too much is in flight),
//! and transit keys that both ends derive from TLS. [`path`] says what the network does, [`delivery`] which way is
//! best.
//!
//! Laws: key exchange is X25519MLKEM768 or nothing; a session exists only after both identities are proven over the TLS
//! exporter, and until then a peer can open no stream but the handshake's and fill no more than a small window and a
//! buffer of datagrams; an unvalidated address is sent no more than it sent; every queue, window and count is bounded
//! by [`Limits`] or a named constant; a message that went as datagrams comes out at most once; a slow peer can make its
//! own session refuse messages, never delay another one.

mod control;
pub mod delivery;
mod endpoint;
mod error;
mod frame;
mod handshake;
mod inbox;
mod limits;
mod outbox;
pub mod path;
mod session;
mod slots;
mod symbols;
mod tls;
mod window;

pub use control::MAX_CONTROL;
pub use delivery::Way;
pub use endpoint::{Endpoint, Expect};
pub use error::{BindError, CloseCode, Error, Failed, Limit, ProofError, SendError};
pub use handshake::parse_proof;
pub use inbox::MAX_MESSAGE;
pub use limits::{Congestion, Limits};
pub use outbox::{InFlight, MAX_IN_FLIGHT_BYTES, MAX_IN_FLIGHT_MESSAGES};
pub use path::Path;
pub use session::{Direction, Session, Stats};
pub use symbols::SymbolStats;
pub use tls::ALPN;
