//! A session: a proven peer and what can be exchanged with it.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use edge_crypto::Secret;
use edge_identity::Peer;
use edge_wire::domain;
use quinn::Connection;
use tokio::sync::Mutex;

use crate::control::{Incoming, Outgoing};
use crate::delivery::Way;
use crate::error::{CloseCode, Error, SendError};
use crate::handshake::{Proven, Role};
use crate::inbox::Inbox;
use crate::limits;
use crate::outbox::{InFlight, Outbox};
use crate::path::Path;
use crate::slots::Slot;
use crate::symbols::{self, SymbolStats};

/// A live connection with a proven peer; clones share it, and it closes with its last clone.
///
/// Waiting methods can be cancelled without loss. Of each receiving method one caller at a time makes progress.
#[derive(Clone)]
pub struct Session(Arc<Inner>);

struct Inner {
    conn: Connection,
    peer: Peer,
    role: Role,
    outgoing: Outgoing,
    incoming: Mutex<Incoming>,
    outbox: Arc<Outbox>,
    inbox: Mutex<Inbox>,
    symbols: symbols::Shared,
    _slot: Slot,
}

/// Which way bytes go, named alike by both ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Direction {
    /// From the end that dialed.
    DialerToAcceptor,
    /// From the end that accepted.
    AcceptorToDialer,
}

/// State of a session's path, and totals since it began.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Stats {
    /// Smoothed round-trip time.
    pub rtt: Duration,
    /// Congestion window in bytes.
    pub cwnd: u64,
    /// Largest UDP payload in use, in bytes.
    pub mtu: u16,
    /// UDP payload bytes sent.
    pub sent_bytes: u64,
    /// UDP payload bytes received.
    pub received_bytes: u64,
    /// Packets sent.
    pub sent_packets: u64,
    /// Packets declared lost.
    pub lost_packets: u64,
    /// Bytes declared lost.
    pub lost_bytes: u64,
}

impl Session {
    pub(crate) fn start(conn: Connection, proven: Proven, role: Role, slot: Slot) -> Self {
        limits::open(&conn);
        let symbols = symbols::Shared::default();
        Self(Arc::new(Inner {
            peer: proven.peer,
            role,
            outgoing: Outgoing::start(proven.send),
            incoming: Mutex::new(Incoming::new(conn.clone(), proven.frames)),
            outbox: Outbox::new(conn.clone()),
            inbox: Mutex::new(Inbox::new(conn.clone(), symbols.clone())),
            symbols,
            conn,
            _slot: slot,
        }))
    }

    /// Whether `other` is a clone of this one.
    pub fn same_as(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// Who is at the other end.
    pub fn peer(&self) -> &Peer {
        &self.0.peer
    }

    /// Where the peer is now; it may move.
    pub fn remote_addr(&self) -> SocketAddr {
        self.0.conn.remote_address()
    }

    /// Smoothed round-trip time.
    pub fn rtt(&self) -> Duration {
        self.0.conn.rtt()
    }

    /// Path state and totals.
    pub fn stats(&self) -> Stats {
        let stats = self.0.conn.stats();
        Stats {
            rtt: stats.path.rtt,
            cwnd: stats.path.cwnd,
            mtu: stats.path.current_mtu,
            sent_bytes: stats.udp_tx.bytes,
            received_bytes: stats.udp_rx.bytes,
            sent_packets: stats.path.sent_packets,
            lost_packets: stats.path.lost_packets,
            lost_bytes: stats.path.lost_bytes,
        }
    }

    /// What the path did over the last seconds.
    pub fn path(&self) -> Path {
        self.0.outbox.path()
    }

    /// Totals of symbols that came in.
    pub fn symbol_stats(&self) -> SymbolStats {
        *self.0.symbols.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// The direction in which this end sends.
    pub fn outbound(&self) -> Direction {
        match self.0.role {
            Role::Dialer => Direction::DialerToAcceptor,
            Role::Acceptor => Direction::AcceptorToDialer,
        }
    }

    /// The direction in which this end receives.
    pub fn inbound(&self) -> Direction {
        match self.outbound() {
            Direction::DialerToAcceptor => Direction::AcceptorToDialer,
            Direction::AcceptorToDialer => Direction::DialerToAcceptor,
        }
    }

    /// The transit key of one direction and context: equal at both ends, independent of every other key. A caller that
    /// seals with it never asks for the same context twice on one session.
    pub fn transit_key(&self, direction: Direction, context: &[u8]) -> Result<Secret<32>, Error> {
        let context = [&[direction.code()], context].concat();
        let mut key = [0; 32];
        self.0
            .conn
            .export_keying_material(&mut key, domain::TRANSIT_EXPORTER, &context)
            .map_err(|_| Error::Exporter)?;
        Ok(Secret::take(&mut key))
    }

    /// Queues a control message, at most [`MAX_CONTROL`](crate::MAX_CONTROL) bytes, waiting for room in the queue.
    pub async fn send_control(&self, message: &[u8]) -> Result<(), SendError> {
        self.alive()?;
        tokio::select! {
            sent = self.0.outgoing.send(Bytes::copy_from_slice(message)) => sent,
            error = self.0.conn.closed() => Err(Error::from(error).into()),
        }
    }

    /// Queues a control message if the queue has room.
    pub fn try_send_control(&self, message: &[u8]) -> Result<(), SendError> {
        self.alive()?;
        self.0.outgoing.try_send(Bytes::copy_from_slice(message))
    }

    /// The next control message.
    pub async fn recv_control(&self) -> Result<Bytes, Error> {
        self.0.incoming.lock().await.next().await
    }

    /// Sends a media message, at most [`MAX_MESSAGE`](crate::MAX_MESSAGE) bytes, now or not at all. Higher `priority`
    /// goes first; within one priority, the older message.
    pub fn try_send_message(&self, message: impl Into<Bytes>, priority: i32) -> Result<(), SendError> {
        self.0.outbox.try_send(message.into(), priority)
    }

    /// Sends a media message as [`try_send_message`](Self::try_send_message) does, by the way that
    /// [`delivery::choose`](crate::delivery::choose) or the caller found. What datagrams cannot carry goes as a stream;
    /// `priority` orders streams only. With [`Way::Both`] the peer receives the message once or twice.
    pub fn try_send_by(&self, message: impl Into<Bytes>, priority: i32, way: Way) -> Result<(), SendError> {
        self.0.outbox.try_send_by(message.into(), priority, way)
    }

    /// Resolves when a message of recent size would be taken.
    pub async fn writable(&self) -> Result<(), Error> {
        self.0.outbox.writable().await
    }

    /// Media on its way to the peer and not acknowledged.
    pub fn in_flight(&self) -> InFlight {
        self.0.outbox.in_flight()
    }

    /// The next whole media message, in the order in which they are complete, whichever way they came.
    pub async fn recv_message(&self) -> Result<Bytes, Error> {
        self.0.inbox.lock().await.next().await
    }

    /// Resolves with the reason when the session is over.
    pub async fn closed(&self) -> Error {
        self.0.conn.closed().await.into()
    }

    /// The reason, if the session is over.
    pub fn close_reason(&self) -> Option<Error> {
        self.0.conn.close_reason().map(Error::from)
    }

    /// Ends the session at once; what is queued or in flight may be lost.
    pub fn close(&self, code: CloseCode, reason: &str) {
        self.0.conn.close(code.var(), reason.as_bytes());
    }

    /// Ends the session after everything queued and in flight was acknowledged, or after `patience`.
    pub async fn finish(&self, code: CloseCode, reason: &str, patience: Duration) {
        let drained = async {
            self.0.outgoing.finish().await;
            self.0.outbox.drained().await
        };
        // Out of patience or out of connection, the session ends all the same.
        let _ = tokio::time::timeout(patience, drained).await;
        self.close(code, reason);
    }

    fn alive(&self) -> Result<(), SendError> {
        match self.close_reason() {
            Some(error) => Err(error.into()),
            None => Ok(()),
        }
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session").field("peer", &self.peer().fingerprint()).field("role", &self.0.role).finish()
    }
}

impl Direction {
    fn code(self) -> u8 {
        match self {
            Self::DialerToAcceptor => 1,
            Self::AcceptorToDialer => 2,
        }
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.conn.close(CloseCode::DROPPED.var(), b"");
    }
}
