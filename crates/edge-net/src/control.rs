//! The control channel: ordered frames on the stream that the handshake opened.

use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use quinn::{Connection, SendStream};
use tokio::sync::mpsc::{self, Receiver, Sender};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, TryAcquireError};
use tokio::task::JoinHandle;

use crate::error::{CloseCode, Error, SendError};
use crate::frame::{self, Ended, Frames};

/// Largest control message in bytes.
pub const MAX_CONTROL: usize = edge_wire::control::MAX_LEN;

/// Most bytes queued for one peer; each message counts as at least [`MIN_COST`].
const QUEUE_BYTES: usize = 2 * MAX_CONTROL;
/// What the smallest message counts, so that the byte bound also bounds the number of messages.
const MIN_COST: usize = 4 << 10;
const QUEUE_MESSAGES: usize = QUEUE_BYTES / MIN_COST;
/// Control goes before media, unless a caller gives a message more than this.
const PRIORITY: i32 = 1 << 16;

/// Outgoing half: a bounded queue and the task that writes it.
#[derive(Debug)]
pub(crate) struct Outgoing {
    room: Arc<Semaphore>,
    queue: Mutex<Option<Sender<Queued>>>,
    writer: tokio::sync::Mutex<Option<JoinHandle<()>>>,
}

/// A frame in the queue, with the room that it takes until it is written.
type Queued = (Bytes, OwnedSemaphorePermit);

impl Outgoing {
    pub(crate) fn start(stream: SendStream) -> Self {
        let (queue, frames) = mpsc::channel(QUEUE_MESSAGES);
        let writer = tokio::spawn(write(stream, frames));
        Self {
            room: Arc::new(Semaphore::new(QUEUE_BYTES)),
            queue: Mutex::new(Some(queue)),
            writer: tokio::sync::Mutex::new(Some(writer)),
        }
    }

    /// Queues a frame, waiting for room.
    pub(crate) async fn send(&self, frame: Bytes) -> Result<(), SendError> {
        let cost = cost(frame.len())?;
        let room = self.room.clone().acquire_many_owned(cost).await.map_err(|_| over())?;
        self.push(frame, room)
    }

    /// Queues a frame if there is room.
    pub(crate) fn try_send(&self, frame: Bytes) -> Result<(), SendError> {
        let cost = cost(frame.len())?;
        let room = self.room.clone().try_acquire_many_owned(cost).map_err(|error| match error {
            TryAcquireError::NoPermits => SendError::Full,
            TryAcquireError::Closed => over(),
        })?;
        self.push(frame, room)
    }

    /// Takes no more frames; resolves when all queued ones were acknowledged or the connection is gone.
    pub(crate) async fn finish(&self) {
        self.room.close();
        drop(self.queue.lock().unwrap_or_else(PoisonError::into_inner).take());
        let mut writer = self.writer.lock().await;
        if let Some(running) = writer.as_mut() {
            // The writer does not panic, and nobody aborts it.
            let _ = running.await;
            *writer = None;
        }
    }

    fn push(&self, frame: Bytes, room: OwnedSemaphorePermit) -> Result<(), SendError> {
        let queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        queue.as_ref().ok_or_else(over)?.try_send((frame, room)).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => SendError::Full,
            mpsc::error::TrySendError::Closed(_) => over(),
        })
    }
}

/// Incoming half.
#[derive(Debug)]
pub(crate) struct Incoming {
    conn: Connection,
    frames: Frames,
}

impl Incoming {
    pub(crate) fn new(conn: Connection, frames: Frames) -> Self {
        Self { conn, frames }
    }

    /// The next frame; one above the bound ends the session.
    pub(crate) async fn next(&mut self) -> Result<Bytes, Error> {
        match self.frames.next(MAX_CONTROL).await {
            Ok(frame) => Ok(frame),
            Err(Ended::TooLarge(len)) => {
                self.conn.close(CloseCode::TOO_LARGE.var(), b"control message above its bound");
                Err(Error::TooLarge { len, bound: MAX_CONTROL })
            }
            // The peer said its last word; the reason follows in its close.
            Err(Ended::Cut) => Err(self.conn.closed().await.into()),
            Err(Ended::Lost(error)) => Err(error.into()),
        }
    }
}

async fn write(mut stream: SendStream, mut frames: Receiver<Queued>) {
    // On a lost connection the frames have nowhere to go; the session tells its callers.
    let _ = stream.set_priority(PRIORITY);
    while let Some((frame, room)) = frames.recv().await {
        let mut parts = [Bytes::copy_from_slice(&frame::prefix(frame.len())), frame];
        if stream.write_all_chunks(&mut parts).await.is_err() {
            return;
        }
        drop(room);
    }
    if stream.finish().is_ok() {
        let _ = stream.stopped().await;
    }
}

fn cost(len: usize) -> Result<u32, SendError> {
    if len > MAX_CONTROL {
        return Err(SendError::TooLarge { len, bound: MAX_CONTROL });
    }
    Ok(u32::try_from(len.max(MIN_COST)).unwrap_or(u32::MAX))
}

fn over() -> SendError {
    SendError::Closed(Error::ClosedHere)
}
