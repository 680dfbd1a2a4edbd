//! Outgoing media: one uni-stream per message or symbols in datagrams, whole messages refused before they start when
//! too much is in flight.
//!
//! Model: a message is in flight from its first byte until the peer acknowledged its last one; one that went as
//! datagrams, for one round trip. The budget follows the [`Window`], so that the network's queue stays short and what
//! is dropped is dropped here, whole.
//!
//! A message costs no task and no allocation of its own: acknowledged streams are only looked for once per round trip
//! or when the budget seems used up, and only a caller that waits for room has wakers registered.

use std::collections::VecDeque;
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use bytes::Bytes;
use quinn::{Connection, SendStream, StoppedError, StreamId, VarInt, WriteError};
use tokio::sync::Notify;
use tokio::sync::futures::OwnedNotified;

use crate::delivery::Way;
use crate::error::{CloseCode, Error, SendError};
use crate::inbox::MAX_MESSAGE;
use crate::path::{Counters, Path, Sampler};
use crate::symbols::{self, Plan};
use crate::window::{Look, Window};

/// Most bytes in flight to one peer, however wide its path; one more message may be added to an empty flight.
pub const MAX_IN_FLIGHT_BYTES: usize = 6 << 20;
/// Most messages in flight to one peer.
pub const MAX_IN_FLIGHT_MESSAGES: usize = 256;

/// Share of the recent message size that one smaller message takes away from it.
const RECENT_DECAY: usize = 16;
/// Streams of one priority that a waiting caller watches. Acknowledgements come in order within a priority, except
/// after a loss.
const WATCHED_PER_PRIORITY: usize = 4;
/// Streams that a waiting caller watches in all.
const WATCHED: usize = 16;
/// Shortest time between two looks at datagrams that QUIC did not send yet.
const PATIENCE_MIN_US: u64 = 1_000;

/// What is on its way to a peer and not acknowledged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct InFlight {
    /// Messages.
    pub messages: usize,
    /// Their bytes.
    pub bytes: usize,
}

#[derive(Debug)]
pub(crate) struct Outbox {
    conn: Connection,
    started: Instant,
    state: Mutex<State>,
    unstuck: Arc<Notify>,
    /// One caller at a time waits for room and holds the spare stream.
    waiting: tokio::sync::Mutex<()>,
}

#[derive(Debug, Default)]
struct State {
    flights: VecDeque<Flight>,
    /// Bytes of `flights`, and of a stuck message.
    bytes: usize,
    /// Bytes that may be in flight, as of the last look at the path.
    budget: usize,
    window: Window,
    sampler: Sampler,
    symbols: symbols::Outgoing,
    rtt_us: u64,
    recent_len: usize,
    /// A stream that a waiting caller opened for the next message.
    spare: Option<SendStream>,
    /// A message is half written: the peer's connection window is used up. Nothing else starts until it is through.
    stuck: bool,
}

#[derive(Debug)]
struct Flight {
    stream: SendStream,
    len: usize,
    priority: i32,
}

/// What a caller that needs room has to wait for.
enum Wait {
    Nothing,
    Stream,
    Unstuck(OwnedNotified),
    /// The first of these streams, or the time until datagrams stop counting.
    Acks(Vec<Watched>, Option<Duration>),
}

type Watched = (StreamId, Pin<Box<dyn Future<Output = Result<Option<VarInt>, StoppedError>> + Send>>);

impl Outbox {
    pub(crate) fn new(conn: Connection) -> Arc<Self> {
        Arc::new(Self {
            conn,
            started: Instant::now(),
            state: Mutex::default(),
            unstuck: Arc::default(),
            waiting: tokio::sync::Mutex::default(),
        })
    }

    /// Sends `message` now or not at all, by `way` as far as datagrams can carry it.
    pub(crate) fn try_send_by(self: &Arc<Self>, message: Bytes, priority: i32, way: Way) -> Result<(), SendError> {
        let plan = |repair| Plan::new(&self.conn, message.len(), repair);
        match way {
            Way::Stream => self.try_send(message, priority),
            Way::Protected { repair } => match plan(repair) {
                Some(plan) => self.try_send_symbols(&message, plan),
                None => self.try_send(message, priority),
            },
            Way::Both { repair } => {
                let plan = plan(repair);
                self.try_send(message.clone(), priority)?;
                // What does not fit beside the stream is not needed: the stream arrives.
                plan.map_or(Ok(()), |plan| match self.try_send_symbols(&message, plan) {
                    Err(SendError::Full) => Ok(()),
                    sent => sent,
                })
            }
        }
    }

    /// Sends `message` as datagrams now or not at all.
    fn try_send_symbols(&self, message: &[u8], plan: Plan) -> Result<(), SendError> {
        let mut state = self.lock();
        let now_us = self.now_us();
        state.make_ready(&self.conn, plan.wire_len, now_us);
        if !state.has_room(plan.wire_len) || !plan.fits_queue(&self.conn, state.budget) {
            state.held_back(now_us);
            return Err(self.full());
        }
        let until_us = now_us.saturating_add(state.rtt_us);
        state.symbols.send(&self.conn, message, plan, until_us)
    }

    /// What the path did lately.
    pub(crate) fn path(&self) -> Path {
        let mut state = self.lock();
        let now_us = self.now_us();
        state.look(&self.conn, now_us);
        let path = self.conn.stats().path;
        let rtt_min = state.window.base_us().map_or(path.min_rtt, Duration::from_micros).min(path.rtt);
        let base = Path {
            rtt: path.rtt,
            rtt_min,
            queue_delay: path.rtt.saturating_sub(rtt_min),
            datagram_len: self.conn.max_datagram_size().unwrap_or(0),
            ..Path::default()
        };
        state.sampler.estimate(now_us, base)
    }

    /// Sends `message` now or not at all. An empty message carries nothing and is not sent.
    pub(crate) fn try_send(self: &Arc<Self>, message: Bytes, priority: i32) -> Result<(), SendError> {
        let len = message.len();
        if len > MAX_MESSAGE {
            return Err(SendError::TooLarge { len, bound: MAX_MESSAGE });
        }
        if len == 0 {
            return Ok(());
        }
        let mut state = self.lock();
        let now_us = self.now_us();
        state.make_ready(&self.conn, len, now_us);
        if !state.has_room(len) {
            state.held_back(now_us);
            return Err(self.full());
        }
        let stream = match state.spare.take() {
            Some(stream) => stream,
            None => self.open()?,
        };
        self.start(&mut state, Flight { stream, len, priority }, message)
    }

    pub(crate) fn in_flight(&self) -> InFlight {
        let mut state = self.lock();
        state.sweep(&self.conn, self.now_us());
        let messages = state.flights.len().saturating_add(state.symbols.messages());
        InFlight { messages: messages.saturating_add(usize::from(state.stuck)), bytes: state.in_flight() }
    }

    /// Resolves when a message of recent size would be taken.
    pub(crate) async fn writable(&self) -> Result<(), Error> {
        let _turn = self.waiting.lock().await;
        loop {
            match self.look()? {
                Wait::Nothing => return Ok(()),
                Wait::Stream => {
                    let stream = self.conn.open_uni().await?;
                    self.lock().spare = Some(stream);
                    return Ok(());
                }
                Wait::Unstuck(unstuck) => self.unless_closed(unstuck).await?,
                Wait::Acks(watched, patience) => self.first_ack(watched, patience).await?,
            }
        }
    }

    /// Resolves when everything in flight was acknowledged.
    pub(crate) async fn drained(&self) -> Result<(), Error> {
        loop {
            let next = {
                let mut state = self.lock();
                let now_us = self.now_us();
                state.sweep(&self.conn, now_us);
                match (state.stuck, state.flights.front(), state.patience(now_us)) {
                    (true, ..) => Wait::Unstuck(self.unstuck.clone().notified_owned()),
                    (false, Some(first), _) => Wait::Acks(vec![first.watch()], None),
                    (false, None, Some(patience)) => Wait::Acks(Vec::new(), Some(patience)),
                    (false, None, None) => return Ok(()),
                }
            };
            match next {
                Wait::Unstuck(unstuck) => self.unless_closed(unstuck).await?,
                Wait::Acks(watched, patience) => self.first_ack(watched, patience).await?,
                Wait::Nothing | Wait::Stream => {}
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn now_us(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_micros()).unwrap_or(u64::MAX)
    }

    fn full(&self) -> SendError {
        match self.conn.close_reason() {
            Some(error) => SendError::Closed(error.into()),
            None => SendError::Full,
        }
    }

    fn open(&self) -> Result<SendStream, SendError> {
        match poll_once(self.conn.open_uni()) {
            Poll::Ready(opened) => Ok(opened.map_err(Error::from)?),
            Poll::Pending => Err(SendError::Full),
        }
    }

    /// Hands the message to QUIC; what the peer's window does not take yet is written by a task of its own.
    fn start(self: &Arc<Self>, state: &mut State, mut flight: Flight, message: Bytes) -> Result<(), SendError> {
        if flight.priority != 0 {
            // Fails only on a lost connection, which the write below reports.
            let _ = flight.stream.set_priority(flight.priority);
        }
        let mut rest = [message];
        while !rest[0].is_empty() {
            match poll_once(flight.stream.write_chunks(&mut rest)) {
                Poll::Ready(Ok(_)) => {}
                Poll::Ready(Err(WriteError::ConnectionLost(error))) => return Err(Error::from(error).into()),
                // The peer wants no message on this stream; it is treated as delivered.
                Poll::Ready(Err(_)) => return Ok(()),
                Poll::Pending => {
                    state.stuck = true;
                    state.bytes = state.bytes.saturating_add(flight.len);
                    let [rest] = rest;
                    tokio::spawn(self.clone().write_rest(flight, rest));
                    return Ok(());
                }
            }
        }
        state.push(flight);
        Ok(())
    }

    async fn write_rest(self: Arc<Self>, mut flight: Flight, rest: Bytes) {
        // A lost connection ends the session anyway; a stopped stream counts as delivered.
        let _ = flight.stream.write_chunk(rest).await;
        let mut state = self.lock();
        state.stuck = false;
        state.bytes = state.bytes.saturating_sub(flight.len);
        state.push(flight);
        drop(state);
        self.unstuck.notify_waiters();
    }

    fn look(&self) -> Result<Wait, Error> {
        if let Some(error) = self.conn.close_reason() {
            return Err(error.into());
        }
        let mut state = self.lock();
        let now_us = self.now_us();
        let len = state.recent_len;
        state.refresh(&self.conn, len, now_us);
        let room = state.has_room(len);
        if !room {
            state.held_back(now_us);
        }
        Ok(match (state.stuck, room, &state.spare) {
            (true, ..) => Wait::Unstuck(self.unstuck.clone().notified_owned()),
            (false, false, _) => Wait::Acks(state.watch(), state.patience(now_us)),
            (false, true, None) => Wait::Stream,
            (false, true, Some(_)) => Wait::Nothing,
        })
    }

    async fn unless_closed(&self, event: OwnedNotified) -> Result<(), Error> {
        tokio::select! {
            () = event => Ok(()),
            error = self.conn.closed() => Err(error.into()),
        }
    }

    /// Waits for any of the streams, or until `patience` is over; a stream that the peer stopped will never be
    /// acknowledged and is given up.
    async fn first_ack(&self, mut watched: Vec<Watched>, patience: Option<Duration>) -> Result<(), Error> {
        let acked = poll_fn(|cx| {
            for (id, stopped) in &mut watched {
                if let Poll::Ready(outcome) = stopped.as_mut().poll(cx) {
                    return Poll::Ready((*id, outcome));
                }
            }
            Poll::Pending
        });
        let (id, outcome) = match patience {
            None => acked.await,
            Some(patience) => tokio::select! {
                acked = acked => acked,
                () = tokio::time::sleep(patience) => return Ok(()),
                error = self.conn.closed() => return Err(error.into()),
            },
        };
        match outcome {
            Ok(None) => Ok(()),
            Ok(Some(_)) => {
                self.lock().give_up(id);
                Ok(())
            }
            Err(StoppedError::ConnectionLost(error)) => Err(error.into()),
            Err(StoppedError::ZeroRttRejected) => Err(Error::ClosedHere),
        }
    }
}

impl State {
    fn note(&mut self, len: usize) {
        self.recent_len = len.max(self.recent_len - self.recent_len / RECENT_DECAY);
    }

    /// Notes what is about to be sent, and looks at the path if that may help or is due.
    fn make_ready(&mut self, conn: &Connection, len: usize, now_us: u64) {
        self.note(len);
        self.refresh(conn, len, now_us);
    }

    /// Looks at the path if that is due or may give room for `len` bytes.
    fn refresh(&mut self, conn: &Connection, len: usize, now_us: u64) {
        if !self.has_room(len) || self.window.is_due(now_us) {
            self.look(conn, now_us);
        }
    }

    fn held_back(&mut self, now_us: u64) {
        self.window.held_back();
        self.sampler.held_back(now_us);
    }

    fn has_room(&self, len: usize) -> bool {
        let bytes = self.in_flight().saturating_add(len);
        let messages = self.flights.len().saturating_add(self.symbols.messages());
        !self.stuck && (messages == 0 || (bytes <= self.budget && messages < MAX_IN_FLIGHT_MESSAGES))
    }

    /// Bytes of streams and datagrams.
    fn in_flight(&self) -> usize {
        self.bytes.saturating_add(self.symbols.bytes())
    }

    /// Time until datagrams stop counting.
    fn patience(&self, now_us: u64) -> Option<Duration> {
        let left_us = self.symbols.next_us()?.saturating_sub(now_us).max(PATIENCE_MIN_US);
        Some(Duration::from_micros(left_us))
    }

    fn look(&mut self, conn: &Connection, now_us: u64) {
        self.sweep(conn, now_us);
        let stats = conn.stats();
        let path = stats.path;
        self.rtt_us = u64::try_from(path.rtt.as_micros()).unwrap_or(u64::MAX);
        let in_flight = self.in_flight();
        let counters = Counters {
            sent_packets: path.sent_packets.saturating_sub(path.sent_plpmtud_probes),
            lost_packets: path.lost_packets,
            sent_bytes: stats.udp_tx.bytes,
            lost_bytes: path.lost_bytes,
            in_flight,
        };
        self.sampler.note(now_us, counters);
        let carried_per_s = self.sampler.recent_per_s();
        self.window.look(Look { now_us, rtt_us: self.rtt_us, in_flight, message: self.recent_len, carried_per_s });
        let cwnd = usize::try_from(path.cwnd).unwrap_or(usize::MAX);
        self.budget = self.window.budget(now_us, self.recent_len, cwnd);
    }

    /// Forgets what was acknowledged: QUIC has forgotten those streams.
    fn sweep(&mut self, conn: &Connection, now_us: u64) {
        self.symbols.sweep(conn, now_us);
        let mut acked = 0usize;
        self.flights.retain(|flight| {
            let open = flight.stream.priority().is_ok();
            acked = acked.saturating_add(if open { 0 } else { flight.len });
            open
        });
        self.bytes = self.bytes.saturating_sub(acked);
    }

    fn push(&mut self, mut flight: Flight) {
        // Fails only on a stream that is over already, which the next sweep sees.
        let _ = flight.stream.finish();
        self.bytes = self.bytes.saturating_add(flight.len);
        self.flights.push_back(flight);
    }

    fn watch(&self) -> Vec<Watched> {
        let mut watched: Vec<&Flight> = Vec::with_capacity(WATCHED);
        for flight in &self.flights {
            let alike = watched.iter().filter(|other| other.priority == flight.priority).count();
            if alike < WATCHED_PER_PRIORITY && watched.len() < WATCHED {
                watched.push(flight);
            }
        }
        watched.into_iter().map(Flight::watch).collect()
    }

    fn give_up(&mut self, id: StreamId) {
        let Some(at) = self.flights.iter().position(|flight| flight.stream.id() == id) else { return };
        if let Some(mut flight) = self.flights.remove(at) {
            self.bytes = self.bytes.saturating_sub(flight.len);
            // Fails only when the stream is over already.
            let _ = flight.stream.reset(CloseCode::DONE.var());
        }
    }
}

impl Flight {
    fn watch(&self) -> Watched {
        (self.stream.id(), Box::pin(self.stream.stopped()))
    }
}

/// Polls for a result that is there at once or not wanted.
fn poll_once<F: Future>(future: F) -> Poll<F::Output> {
    pin!(future).poll(&mut Context::from_waker(Waker::noop()))
}
