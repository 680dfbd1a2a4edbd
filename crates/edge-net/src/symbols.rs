//! Messages as symbols in datagrams: what is on its way out, and what comes in.
//!
//! QUIC does not tell which datagrams were acknowledged, so the ones of a message count as in flight for a round trip.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use bytes::Bytes;
use edge_fountain::live::{self, DecodeError, Decoder, Encoder, HEADER_LEN};
use quinn::{Connection, SendDatagramError};

use crate::delivery::MAX_PROTECTED;
use crate::error::{Error, SendError};
use crate::inbox::MAX_MESSAGE;
use crate::limits::DATAGRAM_BUFFER;

/// What QUIC's queue of datagrams charges for each one besides its bytes, rounded up.
const QUEUE_COST: usize = 64;
/// Bytes that one peer may make the decoder keep.
const HELD_MAX: usize = 2 << 20;
/// Time after which an incomplete message is given up: nobody waits for it any more.
const AGE_MS_MAX: u64 = 1_000;

/// Outgoing half.
#[derive(Debug, Default)]
pub(crate) struct Outgoing {
    encoder: Option<Encoder>,
    flights: VecDeque<Flight>,
    bytes: usize,
}

/// A message's datagrams.
#[derive(Debug)]
struct Flight {
    until_us: u64,
    bytes: usize,
}

/// How a message would go.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Plan {
    symbol_len_max: usize,
    repair: u16,
    datagrams: usize,
    /// Bytes of all its datagrams.
    pub(crate) wire_len: usize,
}

impl Plan {
    /// `None` if datagrams cannot carry the message.
    pub(crate) fn new(conn: &Connection, len: usize, repair: u16) -> Option<Self> {
        let symbol_len_max = conn.max_datagram_size()?.checked_sub(HEADER_LEN).filter(|symbol_len| *symbol_len > 0)?;
        if len == 0 || len > MAX_PROTECTED || repair > live::REPAIR_MAX {
            return None;
        }
        let source = len.div_ceil(symbol_len_max);
        let datagrams = source.saturating_add(usize::from(repair));
        let wire_len = datagrams.saturating_mul(len.div_ceil(source).saturating_add(HEADER_LEN));
        let fits = wire_len.saturating_add(datagrams.saturating_mul(QUEUE_COST)) <= DATAGRAM_BUFFER;
        fits.then_some(Self { symbol_len_max, repair, datagrams, wire_len })
    }

    /// Whether QUIC's queue takes all datagrams, so that none pushes another out, and what waits there is at most half
    /// of what may be in flight: datagrams go before streams and must not starve them.
    pub(crate) fn fits_queue(&self, conn: &Connection, budget: usize) -> bool {
        let space = conn.datagram_send_buffer_space();
        let queued = queued(space);
        let cost = self.wire_len.saturating_add(self.datagrams.saturating_mul(QUEUE_COST));
        cost <= space && (queued == 0 || queued.saturating_add(self.wire_len) <= budget / 2)
    }
}

impl Outgoing {
    /// Bytes of datagrams that are in flight or wait for it.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Messages among them.
    pub(crate) fn messages(&self) -> usize {
        self.flights.len()
    }

    /// When the oldest message stops counting.
    pub(crate) fn next_us(&self) -> Option<u64> {
        self.flights.front().map(|flight| flight.until_us)
    }

    /// Forgets what must have arrived or been lost by now, unless datagrams still wait to be sent.
    pub(crate) fn sweep(&mut self, conn: &Connection, now_us: u64) {
        let queued = match self.flights.is_empty() {
            true => return,
            false => queued(conn.datagram_send_buffer_space()),
        };
        while let Some(flight) = self.flights.front().filter(|flight| flight.until_us <= now_us) {
            if self.bytes.saturating_sub(flight.bytes) < queued {
                return;
            }
            self.bytes = self.bytes.saturating_sub(flight.bytes);
            self.flights.pop_front();
        }
    }

    /// Hands the datagrams to QUIC.
    pub(crate) fn send(
        &mut self,
        conn: &Connection,
        message: &[u8],
        plan: Plan,
        until_us: u64,
    ) -> Result<(), SendError> {
        let symbols = self.encode(message, plan).map_err(|error| SendError::Coding(Arc::new(error)))?;
        for symbol in symbols {
            match conn.send_datagram(symbol) {
                // The path just became narrower: one symbol is lost.
                Ok(()) | Err(SendDatagramError::TooLarge) => {}
                Err(SendDatagramError::ConnectionLost(error)) => return Err(Error::from(error).into()),
                Err(SendDatagramError::UnsupportedByPeer | SendDatagramError::Disabled) => return Err(SendError::Full),
            }
        }
        self.bytes = self.bytes.saturating_add(plan.wire_len);
        self.flights.push_back(Flight { until_us, bytes: plan.wire_len });
        Ok(())
    }

    fn encode(&mut self, message: &[u8], plan: Plan) -> Result<live::Symbols, live::EncodeError> {
        let encoder = match &mut self.encoder {
            Some(encoder) => encoder,
            none => none.insert(Encoder::new(plan.symbol_len_max)?),
        };
        encoder.set_symbol_len_max(plan.symbol_len_max)?;
        encoder.encode(message, plan.repair)
    }
}

fn queued(space: usize) -> usize {
    DATAGRAM_BUFFER.saturating_sub(QUEUE_COST).saturating_sub(space)
}

/// Totals of one session's incoming symbols.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SymbolStats {
    /// Well-formed symbols.
    pub symbols: u64,
    /// Messages that came out.
    pub delivered: u64,
    /// Those among them that lost symbols on the way.
    pub repaired: u64,
    /// Messages given up.
    pub abandoned: u64,
    /// Datagrams of another kind, and messages that the codec refused.
    pub ignored: u64,
}

/// Incoming half.
#[derive(Debug)]
pub(crate) struct Incoming {
    started: Instant,
    decoder: Option<Box<Decoder>>,
    ignored: u64,
    shared: Shared,
}

/// Where the totals can be read while somebody waits for messages.
pub(crate) type Shared = Arc<Mutex<SymbolStats>>;

impl Incoming {
    pub(crate) fn new(shared: Shared) -> Self {
        Self { started: Instant::now(), decoder: None, ignored: 0, shared }
    }

    /// Takes one datagram; gives the message that it completed. An error is what no honest peer sends.
    pub(crate) fn push(&mut self, datagram: &[u8]) -> Result<Option<Bytes>, DecodeError> {
        let outcome = match live::is_symbol(datagram) {
            true => self.decode(datagram),
            false => Ok(self.ignore()),
        };
        let decoded = self.decoder.as_ref().map(|decoder| decoder.stats()).unwrap_or_default();
        *self.shared.lock().unwrap_or_else(PoisonError::into_inner) = SymbolStats {
            symbols: decoded.symbols,
            delivered: decoded.delivered,
            repaired: decoded.repaired,
            abandoned: decoded.abandoned,
            ignored: self.ignored,
        };
        outcome
    }

    fn decode(&mut self, datagram: &[u8]) -> Result<Option<Bytes>, DecodeError> {
        let now_ms = u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX);
        let decoder = self.decoder.get_or_insert_with(|| Box::new(Decoder::new(limits())));
        match decoder.push(now_ms, datagram) {
            Ok(message) => Ok(message.map(Bytes::from)),
            Err(DecodeError::Block { .. }) => Ok(self.ignore()),
            Err(error) => Err(error),
        }
    }

    fn ignore(&mut self) -> Option<Bytes> {
        self.ignored = self.ignored.saturating_add(1);
        None
    }
}

fn limits() -> live::Limits {
    live::Limits {
        bytes: HELD_MAX,
        message_len: MAX_PROTECTED.min(MAX_MESSAGE),
        age_ms: AGE_MS_MAX,
        ..live::Limits::default()
    }
}
