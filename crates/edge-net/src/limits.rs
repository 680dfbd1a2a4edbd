//! Limits of an endpoint, and the QUIC parameters that follow from them.

use std::sync::Arc;
use std::time::Duration;

use quinn::congestion::{BbrConfig, CubicConfig, NewRenoConfig};
use quinn::{IdleTimeout, TransportConfig, VarInt};

use crate::error::BindError;

/// Connection window before the peer is proven: a handshake frame and little else.
const NEWCOMER_WINDOW: u32 = 16 << 10;
/// Connection window of a session; above all that a sender of ours keeps in flight, so that only a peer whose
/// application does not read can run into it.
const RECEIVE_WINDOW: u32 = 8 << 20;
/// Window of one stream: a whole message or control frame fits, so that writing one never waits for the stream.
const STREAM_WINDOW: u32 = (1 << 20) + (64 << 10);
/// Bytes kept for sending and not yet acknowledged.
const SEND_WINDOW: u64 = 12 << 20;
/// Uni-streams a peer may have open; above the messages a sender keeps in flight.
const MAX_UNI_STREAMS: u32 = 512;
/// Bytes of datagrams kept in each direction; the oldest go first.
pub(crate) const DATAGRAM_BUFFER: usize = 256 << 10;
/// Bytes of TLS handshake messages that may arrive out of order.
const CRYPTO_BUFFER: usize = 16 << 10;

/// What an endpoint lets others use, and how long it waits for them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Most sessions at a time, dialed ones and newcomers under handshake included.
    pub sessions: usize,
    /// Most accepted sessions with one IPv4 address or one IPv6 /64 network.
    pub sessions_per_ip: usize,
    /// Most newcomers under handshake.
    pub half_open: usize,
    /// Time to be a proven session, from the first packet on.
    pub handshake_timeout: Duration,
    /// Silence after which a session is dead.
    pub idle_timeout: Duration,
    /// Silence after which a sign of life is sent; well below `idle_timeout`.
    pub keep_alive: Duration,
    /// Congestion control of the sending side.
    pub congestion: Congestion,
}

/// Congestion control algorithm.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Congestion {
    /// Model-based: keeps live latency low under random loss.
    #[default]
    Bbr,
    /// Loss-based, for paths shared with many other flows.
    Cubic,
    /// Loss-based, the most cautious.
    NewReno,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            sessions: 256,
            sessions_per_ip: 64,
            half_open: 64,
            handshake_timeout: Duration::from_secs(5),
            idle_timeout: Duration::from_secs(5),
            keep_alive: Duration::from_secs(1),
            congestion: Congestion::default(),
        }
    }
}

impl Limits {
    /// QUIC parameters of both roles. Uni-streams are closed until [`open`] is called.
    pub(crate) fn transport(&self) -> Result<TransportConfig, BindError> {
        let idle = IdleTimeout::try_from(self.idle_timeout).map_err(|_| BindError::Limit("idle_timeout"))?;
        let mut config = TransportConfig::default();
        config
            .max_concurrent_bidi_streams(VarInt::from_u32(1))
            .max_concurrent_uni_streams(VarInt::from_u32(0))
            .max_idle_timeout(Some(idle))
            .keep_alive_interval(Some(self.keep_alive))
            .stream_receive_window(VarInt::from_u32(STREAM_WINDOW))
            .receive_window(VarInt::from_u32(NEWCOMER_WINDOW))
            .send_window(SEND_WINDOW)
            .send_fairness(false)
            .crypto_buffer_size(CRYPTO_BUFFER)
            .datagram_receive_buffer_size(Some(DATAGRAM_BUFFER))
            .datagram_send_buffer_size(DATAGRAM_BUFFER)
            .enable_segmentation_offload(true);
        match self.congestion {
            Congestion::Bbr => config.congestion_controller_factory(Arc::new(BbrConfig::default())),
            Congestion::Cubic => config.congestion_controller_factory(Arc::new(CubicConfig::default())),
            Congestion::NewReno => config.congestion_controller_factory(Arc::new(NewRenoConfig::default())),
        };
        Ok(config)
    }
}

/// Lets a proven peer send media: opens the stream count and the connection window.
pub(crate) fn open(conn: &quinn::Connection) {
    conn.set_receive_window(VarInt::from_u32(RECEIVE_WINDOW));
    conn.set_max_concurrent_uni_streams(VarInt::from_u32(MAX_UNI_STREAMS));
}
