//! Incoming media: whole uni-streams, read side by side, and symbols in datagrams, handed out in the order in which
//! messages are complete.
//!
//! Nothing is read unless somebody asks for a message: a reader that does not keep up fills its own connection's
//! windows, and the sender of that connection skips messages.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::{Bytes, BytesMut};
use edge_fountain::live::DecodeError;
use quinn::{Connection, ConnectionError, ReadError, RecvStream};

use crate::error::{CloseCode, Error};
use crate::symbols;

/// Largest media message in bytes: a chunk of the largest size and its link framing.
pub const MAX_MESSAGE: usize = edge_wire::chunk::MAX_LEN + edge_wire::link::PREFIX_LEN;

/// Messages that are read side by side.
const MAX_READERS: usize = 64;
/// Bytes of incomplete messages above which only the oldest one is read on.
const MAX_HELD: usize = 4 << 20;
/// Largest buffer that is made for a message before more of it has arrived.
const MAX_INITIAL: usize = 32 << 10;
/// Share of the expected message size that one smaller message takes away from it.
const EXPECTED_DECAY: usize = 16;
/// Chunks taken from QUIC at a time.
const CHUNKS: usize = 16;
/// Datagrams taken before streams get their turn.
const DATAGRAMS: usize = 64;

#[derive(Debug)]
pub(crate) struct Inbox {
    conn: Connection,
    readers: Readers,
    symbols: symbols::Incoming,
}

/// Messages under way, in the order of their streams.
#[derive(Debug, Default)]
struct Readers {
    open: Vec<Reader>,
    held: usize,
    expected_len: usize,
}

#[derive(Debug)]
struct Reader {
    stream: RecvStream,
    data: BytesMut,
}

/// One look at one message.
enum Step {
    Whole(Bytes),
    Abandoned,
    TooLarge(usize),
    Malformed(DecodeError),
    Lost(ConnectionError),
}

impl Inbox {
    pub(crate) fn new(conn: Connection, symbols: symbols::Shared) -> Self {
        Self { conn, readers: Readers::default(), symbols: symbols::Incoming::new(symbols) }
    }

    /// The next whole message; one above its bound, or a malformed symbol, ends the session. Reading can be cancelled
    /// without loss.
    pub(crate) async fn next(&mut self) -> Result<Bytes, Error> {
        let step = self.step().await;
        self.end(step)
    }

    async fn step(&mut self) -> Step {
        let Self { conn, readers, symbols } = self;
        let mut accept = pin!(conn.accept_uni());
        let mut datagram = pin!(conn.read_datagram());
        poll_fn(|cx| {
            for turn in 0..=DATAGRAMS {
                if turn == DATAGRAMS {
                    cx.waker().wake_by_ref();
                    break;
                }
                // A lost connection is told below, after everything that came before.
                let Poll::Ready(Ok(bytes)) = datagram.as_mut().poll(cx) else { break };
                datagram.set(conn.read_datagram());
                match symbols.push(&bytes) {
                    Ok(None) => {}
                    Ok(Some(message)) => return Poll::Ready(Step::Whole(message)),
                    Err(error) => return Poll::Ready(Step::Malformed(error)),
                }
            }
            loop {
                let lost = loop {
                    if readers.open.len() >= MAX_READERS {
                        break None;
                    }
                    match accept.as_mut().poll(cx) {
                        Poll::Ready(Ok(stream)) => readers.add(stream),
                        Poll::Ready(Err(error)) => break Some(error),
                        Poll::Pending => break None,
                    }
                    accept.set(conn.accept_uni());
                };
                match (readers.poll(cx), lost) {
                    (Poll::Ready(Step::Abandoned), _) => {}
                    (Poll::Ready(step), _) => return Poll::Ready(step),
                    (Poll::Pending, Some(error)) => return Poll::Ready(Step::Lost(error)),
                    (Poll::Pending, None) => return Poll::Pending,
                }
            }
        })
        .await
    }

    fn end(&self, step: Step) -> Result<Bytes, Error> {
        match step {
            Step::Whole(message) => Ok(message),
            Step::Lost(error) => Err(error.into()),
            Step::TooLarge(len) => {
                self.conn.close(CloseCode::TOO_LARGE.var(), b"message above its bound");
                Err(Error::TooLarge { len, bound: MAX_MESSAGE })
            }
            Step::Malformed(error) => {
                self.conn.close(CloseCode::PROTOCOL.var(), b"malformed symbol");
                Err(Error::Symbol(Arc::new(error)))
            }
            Step::Abandoned => Err(Error::ClosedHere),
        }
    }
}

impl Readers {
    fn add(&mut self, stream: RecvStream) {
        self.open.push(Reader { stream, data: BytesMut::new() });
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Step> {
        let expected = self.expected_len.min(MAX_INITIAL);
        for at in 0..self.open.len() {
            if at > 0 && self.held > MAX_HELD {
                break;
            }
            let Some(reader) = self.open.get_mut(at) else { break };
            let before = reader.data.len();
            let step = reader.poll(cx, expected);
            self.held = self.held.saturating_sub(before).saturating_add(reader.data.len());
            if let Poll::Ready(step) = step {
                return Poll::Ready(self.end(at, step));
            }
        }
        Poll::Pending
    }

    fn end(&mut self, at: usize, step: Step) -> Step {
        let reader = self.open.remove(at);
        self.held = self.held.saturating_sub(reader.data.len());
        match step {
            Step::Whole(_) if reader.data.is_empty() => Step::Abandoned,
            Step::Whole(_) => {
                let len = reader.data.len();
                self.expected_len = len.max(self.expected_len - self.expected_len / EXPECTED_DECAY);
                Step::Whole(reader.data.freeze())
            }
            step => step,
        }
    }
}

impl Reader {
    /// Reads until the stream has nothing more now. A whole message stays in `data`.
    fn poll(&mut self, cx: &mut Context<'_>, expected: usize) -> Poll<Step> {
        loop {
            let mut chunks = [const { Bytes::new() }; CHUNKS];
            let read = {
                let future = pin!(self.stream.read_chunks(&mut chunks));
                match future.poll(cx) {
                    Poll::Ready(read) => read,
                    Poll::Pending => return Poll::Pending,
                }
            };
            match read {
                Ok(Some(count)) => self.append(chunks.get(..count).unwrap_or_default(), expected),
                Ok(None) => return Poll::Ready(Step::Whole(Bytes::new())),
                Err(ReadError::ConnectionLost(error)) => return Poll::Ready(Step::Lost(error)),
                Err(_) => return Poll::Ready(Step::Abandoned),
            }
            if self.data.len() > MAX_MESSAGE {
                return Poll::Ready(Step::TooLarge(self.data.len()));
            }
        }
    }

    fn append(&mut self, chunks: &[Bytes], expected: usize) {
        let arrived: usize = chunks.iter().map(Bytes::len).sum();
        if self.data.is_empty() {
            self.data.reserve(arrived.max(expected));
        }
        chunks.iter().for_each(|chunk| self.data.extend_from_slice(chunk));
    }
}
