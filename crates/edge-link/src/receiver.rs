//! The receiving end of a link.

use std::fmt;

use bytes::Bytes;
use edge_crypto::{Secret, aead};
use edge_wire::chunk::{InnerSealed, Sealed};
use edge_wire::id::LinkSeq;

use crate::Error;
use crate::incoming::Incoming;
use crate::nonce::Nonces;
use crate::outer::{inner_buffer, open_with};
use crate::replay::{Outcome, Window};

/// How far ahead of, and behind, the expected counter a chunk without a carried counter is searched.
pub const SEARCH_WINDOW: u64 = 64;
/// Most opens that may fail in one second of searching; a link has no more than this to lose to a flood of forgeries.
pub const FAILED_TRIALS_PER_SECOND_MAX: u32 = 4096;

const SECOND_MS: u64 = 1000;

/// Opens chunks of one direction of one link. Owns the key, the link's name and the replay window, and wipes the key on
/// drop. One link uses either [`open`](Self::open) or [`open_guess`](Self::open_guess), as agreed at link set-up.
pub struct Receiver {
    key: aead::Key,
    nonces: Nonces,
    window: Window,
    trials: Trials,
}

impl Receiver {
    /// A receiver that has seen nothing. `link_id` is the name of this end.
    #[expect(clippy::needless_pass_by_value, reason = "takes the secret over: it is wiped here")]
    pub fn new(transit_key: Secret<32>, link_id: &[u8]) -> Self {
        Self {
            key: aead::Key::new(&transit_key),
            nonces: Nonces::new(link_id),
            window: Window::default(),
            trials: Trials { second: 0, failed: 0 },
        }
    }

    /// Opens a chunk whose counter the link framing carried.
    pub fn open(&mut self, seq: LinkSeq, chunk: &Sealed<'_>) -> Result<InnerSealed, Error> {
        self.check(seq)?;
        let mut inner = inner_buffer(chunk)?;
        open_with(&self.key, self.nonces.at(seq), chunk, &mut inner)?;
        self.window.admit(seq.0);
        Ok(InnerSealed { header: chunk.header, ciphertext: Bytes::from(inner) })
    }

    /// Opens a media message in its own buffer, which the inner ciphertext then shares.
    pub fn open_in_place<B>(&mut self, mut message: Incoming<B>) -> Result<InnerSealed, Error>
    where
        B: AsMut<[u8]> + Into<Bytes>,
    {
        let (seq, header) = (message.seq(), *message.header());
        self.check(seq)?;
        let opened = self.key.open_in_place(self.nonces.at(seq), message.sealed());
        let len = opened.map_err(|_| Error::OuterAead)?;
        self.window.admit(seq.0);
        Ok(InnerSealed { header, ciphertext: message.into_ciphertext(len) })
    }

    /// Opens a chunk of a peer that carries no counter: tries the expected one, then those that loss or reordering
    /// could have led to. Failed trials are counted by the second of `now_ms`, a monotonic clock of the caller.
    pub fn open_guess(&mut self, chunk: &Sealed<'_>, now_ms: u64) -> Result<(LinkSeq, InnerSealed), Error> {
        let mut inner = inner_buffer(chunk)?;
        let expected = self.expected();
        let ahead = expected..=expected.saturating_add(SEARCH_WINDOW);
        let holes = expected.saturating_sub(SEARCH_WINDOW)..expected;
        for seq in ahead.chain(holes.rev()) {
            if self.window.check(seq) != Outcome::Fresh {
                continue;
            }
            if !self.trials.allow(now_ms) {
                return Err(Error::TrialsExhausted);
            }
            match open_with(&self.key, self.nonces.at(LinkSeq(seq)), chunk, &mut inner) {
                Ok(()) => {
                    self.window.admit(seq);
                    let inner = InnerSealed { header: chunk.header, ciphertext: Bytes::from(inner) };
                    return Ok((LinkSeq(seq), inner));
                }
                Err(_) => self.trials.failed += 1,
            }
        }
        Err(Error::OuterAead)
    }

    fn check(&self, seq: LinkSeq) -> Result<(), Error> {
        match self.window.check(seq.0) {
            Outcome::Fresh => Ok(()),
            Outcome::Duplicate => Err(Error::Duplicate(seq)),
            Outcome::StaleBelowWindow => Err(Error::Stale(seq)),
        }
    }

    /// The counter after the highest that opened.
    fn expected(&self) -> u64 {
        self.window.highest().map_or(0, |highest| highest.saturating_add(1))
    }
}

impl fmt::Debug for Receiver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("link::Receiver").field("highest", &self.window.highest()).finish_non_exhaustive()
    }
}

/// Failed opens in the current second.
struct Trials {
    second: u64,
    failed: u32,
}

impl Trials {
    fn allow(&mut self, now_ms: u64) -> bool {
        let second = now_ms / SECOND_MS;
        if second != self.second {
            *self = Self { second, failed: 0 };
        }
        self.failed < FAILED_TRIALS_PER_SECOND_MAX
    }
}
