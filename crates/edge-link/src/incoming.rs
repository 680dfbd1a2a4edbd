//! A media message in the buffer in which it arrived.

use std::fmt;

use bytes::Bytes;
use edge_wire::chunk::{self, Header, Sealed};
use edge_wire::id::LinkSeq;
use edge_wire::link::{self, Hint, Media};

use crate::Error;

/// Bytes before the outer ciphertext.
const PREFIX_LEN: usize = link::PREFIX_LEN + chunk::PREFIX_LEN;

/// A parsed media message that owns its buffer, so that [`Receiver::open_in_place`](crate::Receiver::open_in_place)
/// needs no second one.
pub struct Incoming<B> {
    message: B,
    hint: Hint,
    seq: LinkSeq,
    header: Header,
}

impl<B: AsMut<[u8]> + Into<Bytes>> Incoming<B> {
    /// Parses the link framing and the chunk's clear part, which is taken as it stands: see [`Header::check`].
    pub fn parse(mut message: B) -> Result<Self, Error> {
        let media = Media::parse(message.as_mut())?;
        let (hint, seq, header) = (media.hint, media.seq, Sealed::parse(media.chunk)?.header);
        Ok(Self { message, hint, seq, header })
    }

    /// What a relay may know about the chunk.
    pub fn hint(&self) -> Hint {
        self.hint
    }

    /// Counter of the outer seal.
    pub fn seq(&self) -> LinkSeq {
        self.seq
    }

    /// The chunk's clear part.
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// The outer ciphertext with its tag.
    pub(crate) fn sealed(&mut self) -> &mut [u8] {
        self.message.as_mut().get_mut(PREFIX_LEN..).unwrap_or_default()
    }

    /// The first `len` bytes of what was the outer ciphertext, without a copy.
    pub(crate) fn into_ciphertext(self, len: usize) -> Bytes {
        let mut bytes: Bytes = self.message.into();
        let mut bytes = bytes.split_off(PREFIX_LEN.min(bytes.len()));
        bytes.truncate(len);
        bytes
    }
}

impl<B> fmt::Debug for Incoming<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("link::Incoming").field("seq", &self.seq).field("header", &self.header).finish_non_exhaustive()
    }
}
