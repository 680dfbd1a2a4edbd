//! The sending end of a link.

use std::fmt;

use edge_crypto::hash::sha256;
use edge_crypto::{Secret, aead};
use edge_wire::chunk::InnerSealed;
use edge_wire::domain;
use edge_wire::id::LinkSeq;
use edge_wire::link::{Hint, Media, PREFIX_LEN};

use crate::Error;
use crate::nonce::Nonces;
use crate::outer::{seal_with, sealed_len};

/// Most chunks that one transit key may seal: hashed 96-bit nonces behave like random ones, and at this count the odds
/// of one collision are about 2^-33.
pub const SEALS_MAX: u64 = 1 << 32;

/// Hash of a transit key: tells a second use of the key without holding it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct KeyFingerprint([u8; 16]);

/// Seals chunks for one direction of one link. Owns the key, the link's name and the counter, cannot be cloned, and
/// wipes the key on drop.
///
/// ```compile_fail
/// let sender = edge_link::Sender::new([0; 32].into(), b"peer");
/// let twin = sender.clone(); // two senders under one key would repeat nonces
/// ```
pub struct Sender {
    key: aead::Key,
    nonces: Nonces,
    next: LinkSeq,
    fingerprint: KeyFingerprint,
}

impl Sender {
    /// A sender at counter 0 for a key that has sealed nothing yet. `link_id` is the name of the receiving end.
    pub fn new(transit_key: Secret<32>, link_id: &[u8]) -> Self {
        Self::start_at(transit_key, link_id, LinkSeq(0))
    }

    /// A sender at counter `first`, for vectors and for tests of the limit. It is safe where [`new`](Self::new) is: the
    /// key must be fresh, and skipping counters repeats none.
    #[expect(clippy::needless_pass_by_value, reason = "takes the secret over: it is wiped here")]
    pub fn start_at(transit_key: Secret<32>, link_id: &[u8], first: LinkSeq) -> Self {
        let key = aead::Key::new(&transit_key);
        Self { fingerprint: fingerprint(&transit_key), key, nonces: Nonces::new(link_id), next: first }
    }

    /// Counter of the next seal.
    pub fn next_seq(&self) -> LinkSeq {
        self.next
    }

    /// Names the key without revealing it.
    pub fn key_fingerprint(&self) -> KeyFingerprint {
        self.fingerprint
    }

    /// Appends the sealed chunk to `out` and returns its counter; `out` is as before when the seal fails.
    pub fn seal_into(&mut self, inner: &InnerSealed, out: &mut Vec<u8>) -> Result<LinkSeq, Error> {
        let start = out.len();
        out.resize(start.saturating_add(sealed_len(inner)?), 0);
        let sealed = out.get_mut(start..).map_or(Err(Error::OuterAead), |tail| self.seal(inner, tail));
        if sealed.is_err() {
            out.truncate(start);
        }
        sealed
    }

    /// Appends a whole media message (link framing, then the sealed chunk) to `out`.
    pub fn seal_media_into(&mut self, inner: &InnerSealed, hint: Hint, out: &mut Vec<u8>) -> Result<LinkSeq, Error> {
        let start = out.len();
        out.extend_from_slice(&Media::prefix(hint, self.next));
        let sealed = self.seal_into(inner, out);
        if sealed.is_err() {
            out.truncate(start);
        }
        sealed
    }

    /// Writes a whole media message into `out`, which has exactly [`media_len`](Self::media_len) bytes. Sparing the
    /// zeroing of a fresh tail, this is the form for reused buffers.
    pub fn seal_media_to(&mut self, inner: &InnerSealed, hint: Hint, out: &mut [u8]) -> Result<LinkSeq, Error> {
        let (got, need) = (out.len(), Self::media_len(inner)?);
        let Some((prefix, chunk)) = out.split_first_chunk_mut::<PREFIX_LEN>().filter(|_| got == need) else {
            return Err(Error::Buffer { got, need });
        };
        *prefix = Media::prefix(hint, self.next);
        self.seal(inner, chunk)
    }

    /// Bytes of the media message that `inner` becomes.
    pub fn media_len(inner: &InnerSealed) -> Result<usize, Error> {
        Ok(sealed_len(inner)? + PREFIX_LEN)
    }

    fn seal(&mut self, inner: &InnerSealed, out: &mut [u8]) -> Result<LinkSeq, Error> {
        let seq = self.next;
        if seq.0 >= SEALS_MAX {
            return Err(Error::CounterExhausted);
        }
        seal_with(&self.key, self.nonces.at(seq), inner, out)?;
        self.next = LinkSeq(seq.0 + 1);
        Ok(seq)
    }
}

impl fmt::Debug for Sender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("link::Sender").field("next", &self.next).finish_non_exhaustive()
    }
}

fn fingerprint(key: &Secret<32>) -> KeyFingerprint {
    let digest = sha256(&[domain::TRANSIT_FINGERPRINT, key.expose()]);
    let mut out = [0; 16];
    out.copy_from_slice(&digest[..16]);
    KeyFingerprint(out)
}
