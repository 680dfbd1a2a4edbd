//! Length-prefixed frames on the one bidirectional stream of a session.

use std::ops::ControlFlow;

use bytes::{Bytes, BytesMut};
use quinn::{ReadError, RecvStream};

/// Bytes of a frame's length prefix.
pub(crate) const PREFIX_LEN: usize = 4;

/// Reads frames; what has arrived of an unfinished frame stays here, so that reading can be cancelled.
#[derive(Debug)]
pub(crate) struct Frames {
    stream: RecvStream,
    partial: BytesMut,
}

/// Why no frame can be read.
#[derive(Debug)]
pub(crate) enum Ended {
    /// The stream was finished or reset, possibly within a frame.
    Cut,
    /// A frame announces this many bytes, which is above the bound.
    TooLarge(usize),
    /// The connection is gone.
    Lost(quinn::ConnectionError),
}

impl Frames {
    pub(crate) fn new(stream: RecvStream) -> Self {
        Self { stream, partial: BytesMut::new() }
    }

    /// The next frame, at most `bound` bytes. The buffer grows with what arrives, not with what is announced.
    pub(crate) async fn next(&mut self, bound: usize) -> Result<Bytes, Ended> {
        loop {
            let missing = match self.take(bound)? {
                ControlFlow::Break(frame) => return Ok(frame),
                ControlFlow::Continue(missing) => missing,
            };
            match self.stream.read_chunk(missing, true).await {
                Ok(Some(chunk)) => self.partial.extend_from_slice(&chunk.bytes),
                Ok(None) | Err(ReadError::Reset(_) | ReadError::ClosedStream) => return Err(Ended::Cut),
                Err(ReadError::ConnectionLost(error)) => return Err(Ended::Lost(error)),
                Err(ReadError::IllegalOrderedRead | ReadError::ZeroRttRejected) => return Err(Ended::Cut),
            }
        }
    }

    /// A whole frame, or how many bytes are missing to the end of the prefix or of the frame.
    fn take(&mut self, bound: usize) -> Result<ControlFlow<Bytes, usize>, Ended> {
        let Some(prefix) = self.partial.first_chunk::<PREFIX_LEN>() else {
            return Ok(ControlFlow::Continue(PREFIX_LEN - self.partial.len()));
        };
        let len = usize::try_from(u32::from_be_bytes(*prefix)).unwrap_or(usize::MAX);
        if len > bound {
            return Err(Ended::TooLarge(len));
        }
        match (PREFIX_LEN + len).checked_sub(self.partial.len()) {
            None | Some(0) => {
                let mut frame = self.partial.split_to(PREFIX_LEN + len).freeze();
                Ok(ControlFlow::Break(frame.split_off(PREFIX_LEN)))
            }
            Some(missing) => Ok(ControlFlow::Continue(missing)),
        }
    }
}

/// The prefix of a frame. Callers bound `len` far below 2^32.
pub(crate) fn prefix(len: usize) -> [u8; PREFIX_LEN] {
    u32::try_from(len).unwrap_or(u32::MAX).to_be_bytes()
}
