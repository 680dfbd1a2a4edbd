//! The endpoint: one UDP socket that dials and accepts.

use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::time::Duration;

use edge_identity::KeyBundle;
use edge_wire::id::Fingerprint;
use quinn::{ClientConfig, Connection, EndpointConfig, Incoming, ServerConfig, TokioRuntime, TransportConfig};
use tokio::sync::mpsc::{self, Receiver, Sender};
use tokio::sync::{Mutex, OwnedSemaphorePermit, Semaphore};
use tracing::debug;

use crate::error::{BindError, CloseCode, Error, Failed, Limit};
use crate::handshake::{self, Proven, Role};
use crate::limits::Limits;
use crate::session::Session;
use crate::slots::{Slot, Slots};
use crate::tls::{self, Stranger, Tls};

/// Bytes kept for one newcomer before its handshake task runs.
const NEWCOMER_BUFFER: u64 = 16 << 10;
/// The same for all newcomers together.
const NEWCOMERS_BUFFER: u64 = 1 << 20;
/// Failures kept for [`Endpoint::accept`]; more are only logged.
const FAILURES_KEPT: usize = 16;

/// Whom a dial must reach, beyond the transport key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expect {
    /// The peer with this fingerprint.
    Fingerprint(Fingerprint),
    /// Whoever holds the transport key; the caller looks at [`Session::peer`].
    Any,
}

/// Dials and accepts sessions on one UDP socket. Dropping it ends all its sessions.
#[derive(Debug)]
pub struct Endpoint {
    socket: quinn::Endpoint,
    own: Arc<KeyBundle>,
    tls: Tls,
    transport: Arc<TransportConfig>,
    slots: Arc<Slots>,
    handshake_timeout: Duration,
    arrivals: Mutex<Receiver<Arrival>>,
}

type Arrival = Result<Session, Failed>;

impl Endpoint {
    /// Opens the socket and begins to accept; needs a Tokio runtime.
    pub fn bind(own: Arc<KeyBundle>, addr: SocketAddr, limits: &Limits) -> Result<Self, BindError> {
        let tls = Tls::new(own.transport_seed(), own.public().transport())?;
        let transport = Arc::new(limits.transport()?);
        let mut server = ServerConfig::with_crypto(Arc::new(tls.server()?));
        server
            .transport_config(transport.clone())
            .max_incoming(limits.half_open)
            .incoming_buffer_size(NEWCOMER_BUFFER)
            .incoming_buffer_size_total(NEWCOMERS_BUFFER);
        let udp = UdpSocket::bind(addr)?;
        let socket = quinn::Endpoint::new(EndpointConfig::default(), Some(server), udp, Arc::new(TokioRuntime))?;
        let slots = Slots::new(limits);
        let (sender, arrivals) = mpsc::channel(limits.half_open.saturating_add(FAILURES_KEPT));
        let door = Door {
            own: own.clone(),
            slots: slots.clone(),
            half_open: Arc::new(Semaphore::new(limits.half_open)),
            limit: limits.half_open,
            timeout: limits.handshake_timeout,
            arrivals: sender,
        };
        tokio::spawn(door.watch(socket.clone()));
        Ok(Self {
            socket,
            own,
            tls,
            transport,
            slots,
            handshake_timeout: limits.handshake_timeout,
            arrivals: Mutex::new(arrivals),
        })
    }

    /// The address in use.
    pub fn local_addr(&self) -> Result<SocketAddr, BindError> {
        Ok(self.socket.local_addr()?)
    }

    /// Dials `addr`, where only the holder of `transport_key` and the expected identity will do.
    pub async fn connect(&self, addr: SocketAddr, transport_key: [u8; 32], expect: Expect) -> Result<Session, Error> {
        let slot = self.slots.dial().map_err(Error::LimitReached)?;
        let (crypto, stranger) = self.tls.client(transport_key).map_err(|error| Error::Setup(Arc::new(error)))?;
        let mut config = ClientConfig::new(Arc::new(crypto));
        config.transport_config(self.transport.clone());
        let dialing = self.socket.connect_with(config, addr, tls::SERVER_NAME)?;
        let proven = async {
            let conn = dialing.await.map_err(|error| at_door(error, transport_key, &stranger))?;
            let proven = or_close(&conn, prove_to(&conn, &self.own, &transport_key, expect)).await?;
            Ok::<_, Error>((conn, proven))
        };
        let (conn, proven) =
            tokio::time::timeout(self.handshake_timeout, proven).await.map_err(|_| Error::TimedOut)??;
        Ok(Session::start(conn, proven, Role::Dialer, slot))
    }

    /// The next newcomer: a session, or why it did not become one. `None` once the endpoint is closed.
    pub async fn accept(&self) -> Option<Result<Session, Failed>> {
        self.arrivals.lock().await.recv().await
    }

    /// Ends all sessions and accepts no more.
    pub fn close(&self, code: CloseCode, reason: &str) {
        self.socket.close(code.var(), reason.as_bytes());
    }

    /// Resolves when all connections are gone and their peers had time to hear of it.
    pub async fn wait_idle(&self) {
        self.socket.wait_idle().await;
    }
}

impl Drop for Endpoint {
    fn drop(&mut self) {
        self.close(CloseCode::DROPPED, "");
    }
}

async fn prove_to(conn: &Connection, own: &KeyBundle, key: &[u8; 32], expect: Expect) -> Result<Proven, Error> {
    let proven = handshake::dial(conn, own, key).await?;
    match expect {
        Expect::Fingerprint(expected) if expected != proven.peer.fingerprint() => {
            Err(Error::PeerMismatch { expected, got: proven.peer.fingerprint() })
        }
        _ => Ok(proven),
    }
}

/// A TLS failure that came from our own look at the key is told as such.
fn at_door(error: quinn::ConnectionError, expected: [u8; 32], stranger: &Stranger) -> Error {
    match stranger.key() {
        Some(got) => Error::TransportKey { expected, got },
        None => error.into(),
    }
}

/// Watches the socket for newcomers. Each one's handshake runs in a task of its own, with a deadline.
struct Door {
    own: Arc<KeyBundle>,
    slots: Arc<Slots>,
    half_open: Arc<Semaphore>,
    limit: usize,
    timeout: Duration,
    arrivals: Sender<Arrival>,
}

impl Door {
    async fn watch(self, socket: quinn::Endpoint) {
        let door = Arc::new(self);
        while let Some(newcomer) = socket.accept().await {
            door.meet(newcomer);
        }
    }

    /// An unvalidated address gets a Retry, which is smaller than what it sent, and costs us no state.
    fn meet(self: &Arc<Self>, newcomer: Incoming) {
        if !newcomer.remote_address_validated() {
            // Cannot fail: an unvalidated newcomer may be sent a Retry.
            let _ = newcomer.retry();
            return;
        }
        let addr = newcomer.remote_address();
        match self.room(addr) {
            Ok((turn, slot)) => {
                tokio::spawn(self.clone().greet(newcomer, turn, slot));
            }
            Err(limit) => {
                newcomer.refuse();
                self.report(addr, Error::LimitReached(limit));
            }
        }
    }

    fn room(&self, addr: SocketAddr) -> Result<(OwnedSemaphorePermit, Slot), Limit> {
        let turn = self.half_open.clone().try_acquire_owned().map_err(|_| Limit::HalfOpen(self.limit))?;
        Ok((turn, self.slots.accept(addr.ip())?))
    }

    /// Keeps its turn until the session is handed over, so that sessions nobody accepts count as unfinished.
    async fn greet(self: Arc<Self>, newcomer: Incoming, _turn: OwnedSemaphorePermit, slot: Slot) {
        let addr = newcomer.remote_address();
        match tokio::time::timeout(self.timeout, self.prove(newcomer)).await {
            Ok(Ok((conn, proven))) => {
                // Fails only when the endpoint is gone; the session closes with it.
                let _ = self.arrivals.send(Ok(Session::start(conn, proven, Role::Acceptor, slot))).await;
            }
            Ok(Err(error)) => self.report(addr, error),
            Err(_) => self.report(addr, Error::TimedOut),
        }
    }

    async fn prove(&self, newcomer: Incoming) -> Result<(Connection, Proven), Error> {
        let conn = newcomer.await?;
        let proven = or_close(&conn, handshake::accept(&conn, &self.own)).await?;
        Ok((conn, proven))
    }

    fn report(&self, addr: SocketAddr, error: Error) {
        debug!(%addr, %error, "newcomer failed");
        // Failures never take the room of sessions. When nobody collects them, the log line above is all that is kept.
        if self.arrivals.capacity() > self.limit {
            let _ = self.arrivals.try_send(Err(Failed { addr, error }));
        }
    }
}

/// Runs a handshake; when it fails or is dropped at its deadline, the connection is closed with the reason.
async fn or_close(conn: &Connection, handshake: impl Future<Output = Result<Proven, Error>>) -> Result<Proven, Error> {
    let mut unproven = Unproven { conn, reason: Some(Error::TimedOut) };
    let outcome = handshake.await;
    unproven.reason = outcome.as_ref().err().cloned();
    outcome
}

/// A connection that must not outlive its handshake.
struct Unproven<'a> {
    conn: &'a Connection,
    reason: Option<Error>,
}

impl Drop for Unproven<'_> {
    fn drop(&mut self) {
        let Some(reason) = &self.reason else { return };
        let (code, reason): (CloseCode, &[u8]) = match reason {
            Error::PeerMismatch { .. } => (CloseCode::WRONG_PEER, b"you are not the peer that was dialed"),
            Error::TooLarge { .. } => (CloseCode::TOO_LARGE, b"proof above its bound"),
            Error::TimedOut => (CloseCode::TIMED_OUT, b"handshake took too long"),
            _ => (CloseCode::HANDSHAKE, b"identity handshake failed"),
        };
        self.conn.close(code.var(), reason);
    }
}
