//! What can go wrong, by who is to act on it.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use edge_fountain::live::{DecodeError, EncodeError};
use edge_wire::id::Fingerprint;
use quinn::{ConnectionError, TransportErrorCode, VarInt};

/// Longest close reason that is kept, in bytes.
const MAX_REASON: usize = 256;

/// TLS alert of a handshake without a common key-exchange group.
const ALERT_HANDSHAKE_FAILURE: u8 = 40;

/// Why the connection was closed, as the other end sees it. Values below 256 belong to this crate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct CloseCode(pub u32);

impl CloseCode {
    /// The session is over.
    pub const DONE: Self = Self(0);
    /// The identity handshake failed.
    pub const HANDSHAKE: Self = Self(1);
    /// The peer broke a rule of this protocol.
    pub const PROTOCOL: Self = Self(2);
    /// A message was longer than its bound.
    pub const TOO_LARGE: Self = Self(3);
    /// The peer is not the one that was dialed.
    pub const WRONG_PEER: Self = Self(4);
    /// The handshake took too long.
    pub const TIMED_OUT: Self = Self(5);
    /// The session was dropped without a farewell.
    pub const DROPPED: Self = Self(6);

    pub(crate) fn var(self) -> VarInt {
        VarInt::from_u32(self.0)
    }
}

/// Why a session could not be made, or is over.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The peer accepts no more connections.
    #[error("the peer has no room for another connection: try another peer, or this one later")]
    Refused,
    /// A limit of this endpoint was reached.
    #[error("{0} reached: close a session or raise the limit")]
    LimitReached(Limit),
    /// The TLS key at the address is not the expected one.
    #[error("the peer at this address holds another transport key: the address or the ticket is out of date")]
    TransportKey {
        /// Ed25519 key that was dialed.
        expected: [u8; 32],
        /// Ed25519 key that answered.
        got: [u8; 32],
    },
    /// The peer proved an identity, but not the expected one.
    #[error("the peer is {got}, not {expected}: ask for a new ticket from someone you trust")]
    PeerMismatch {
        /// Identity that was dialed.
        expected: Fingerprint,
        /// Identity that was proven.
        got: Fingerprint,
    },
    /// The peer's proof of identity was refused here.
    #[error("the peer did not prove its identity")]
    HandshakeFailed(#[from] ProofError),
    /// The peer offers no post-quantum key exchange.
    #[error("the peer does not offer X25519MLKEM768: it must be updated, there is no classical fallback")]
    NotPostQuantum,
    /// TLS failed for another reason.
    #[error("TLS handshake failed with alert {alert}: is the other end a peer of this network?")]
    Tls {
        /// TLS alert number.
        alert: u8,
    },
    /// Nothing was heard for too long.
    #[error("no answer from the peer: check its address and the way to it")]
    TimedOut,
    /// A message is above its bound; from the network it also ends the session.
    #[error("message of {len} bytes or more is above the bound {bound}")]
    TooLarge {
        /// Bytes, or as many as were seen.
        len: usize,
        /// Largest allowed.
        bound: usize,
    },
    /// The peer closed the session.
    #[error("the peer closed the session ({code:?}): {reason}")]
    Closed {
        /// The peer's code.
        code: CloseCode,
        /// The peer's words, shortened and without control characters.
        reason: String,
    },
    /// This end closed the session or its endpoint.
    #[error("the session was closed here")]
    ClosedHere,
    /// The address cannot be dialed from this endpoint.
    #[error("cannot dial this address from this socket")]
    Dial(#[from] quinn::ConnectError),
    /// TLS could not be configured for dialing.
    #[error("cannot configure TLS")]
    Setup(#[source] Arc<BindError>),
    /// The peer sent a symbol that no honest peer sends; that ended the session.
    #[error("the peer sent a malformed symbol")]
    Symbol(#[source] Arc<DecodeError>),
    /// The TLS exporter gave no key; it cannot happen on an established connection.
    #[error("the connection gave no key")]
    Exporter,
    /// The connection broke for another reason.
    #[error("the connection broke")]
    Connection(#[source] ConnectionError),
}

/// Which limit was reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Limit {
    /// All sessions of this endpoint.
    #[error("limit of {0} sessions")]
    Sessions(usize),
    /// Sessions from one address.
    #[error("limit of {0} sessions with one address")]
    SessionsPerIp(usize),
    /// Handshakes under way.
    #[error("limit of {0} unfinished handshakes")]
    HalfOpen(usize),
}

/// Why a proof of identity was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ProofError {
    /// The stream ended before the proof did.
    #[error("the proof is cut short")]
    Cut,
    /// The message does not parse.
    #[error("the proof is malformed")]
    Wire(#[from] edge_wire::Error),
    /// The bundle is malformed, or its signature does not verify over this connection.
    #[error("the proof does not verify on this connection")]
    Identity(#[from] edge_identity::bundle::Error),
    /// The signature has the wrong form.
    #[error("the proof's signature is malformed")]
    Signature(#[from] edge_crypto::Error),
    /// The bundle names another TLS key than the connection uses.
    #[error("the proven identity does not own the connection's transport key")]
    ForeignTransportKey,
}

/// Why an endpoint could not be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BindError {
    /// The socket could not be opened.
    #[error("cannot open the UDP socket: is the address free and local?")]
    Socket(#[from] io::Error),
    /// The transport key or the TLS configuration was refused.
    #[error("cannot configure TLS")]
    Tls(#[from] rustls::Error),
    /// A duration in the limits is out of range.
    #[error("limit `{0}` is out of range")]
    Limit(&'static str),
    /// TLS lacks the cipher suite of first packets; it cannot happen with the built-in provider.
    #[error("TLS provider lacks the initial cipher suite")]
    Cipher(#[from] quinn::crypto::rustls::NoInitialCipherSuite),
}

/// Why a message was not taken. Nothing of it was sent.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum SendError {
    /// Too much is in flight or queued: skip the message, or wait and try again.
    #[error("too much is in flight to this peer")]
    Full,
    /// The message is longer than any peer would accept.
    #[error("message of {len} bytes is above the bound {bound}")]
    TooLarge {
        /// Bytes given.
        len: usize,
        /// Largest allowed.
        bound: usize,
    },
    /// The codec of symbols refused the message; send it as a stream.
    #[error("the message cannot be cut into symbols")]
    Coding(#[source] Arc<EncodeError>),
    /// The session is over.
    #[error("the session is over")]
    Closed(#[from] Error),
}

/// A newcomer that did not become a session.
#[derive(Debug, thiserror::Error)]
#[error("connection from {addr} failed")]
pub struct Failed {
    /// Where it came from.
    pub addr: SocketAddr,
    /// Why it failed.
    #[source]
    pub error: Error,
}

impl From<ConnectionError> for Error {
    fn from(error: ConnectionError) -> Self {
        match &error {
            ConnectionError::TransportError(e) => from_transport(e.code).unwrap_or(Self::Connection(error)),
            ConnectionError::ConnectionClosed(e) => from_transport(e.error_code).unwrap_or(Self::Connection(error)),
            ConnectionError::ApplicationClosed(e) => {
                let code = CloseCode(u32::try_from(e.error_code.into_inner()).unwrap_or(u32::MAX));
                Self::Closed { code, reason: printable(&e.reason) }
            }
            ConnectionError::TimedOut => Self::TimedOut,
            ConnectionError::LocallyClosed => Self::ClosedHere,
            _ => Self::Connection(error),
        }
    }
}

fn from_transport(code: TransportErrorCode) -> Option<Error> {
    if code == TransportErrorCode::CONNECTION_REFUSED {
        return Some(Error::Refused);
    }
    let alert = (0..=u8::MAX).find(|&alert| code == TransportErrorCode::crypto(alert))?;
    Some(match alert {
        ALERT_HANDSHAKE_FAILURE => Error::NotPostQuantum,
        alert => Error::Tls { alert },
    })
}

fn printable(reason: &[u8]) -> String {
    let kept = reason.get(..MAX_REASON).unwrap_or(reason);
    String::from_utf8_lossy(kept).chars().filter(|c| !c.is_control()).collect()
}
