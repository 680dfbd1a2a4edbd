//! The epoch key and the stateless seal under it.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use edge_crypto::{Secret, aead, hash};
use edge_wire::chunk::{Header, InnerSealed};
use edge_wire::domain;
use edge_wire::id::{ChunkSeq, Epoch, StreamId};

use crate::{Error, MAX_PLAINTEXT_LEN};

static HELD: AtomicBool = AtomicBool::new(false);

/// The data encryption key of one group epoch, with its key schedule computed once. Wiped on drop, not cloneable,
/// compared in constant time.
pub struct EpochDek {
    secret: Secret<32>,
    key: aead::Key,
}

impl EpochDek {
    /// Takes over the exporter's 32 bytes.
    pub fn new(secret: Secret<32>) -> Self {
        let key = aead::Key::new(&secret);
        HELD.store(true, Ordering::Relaxed);
        Self { secret, key }
    }

    /// Whether this process has ever held a key of any epoch: what a relay reports of itself.
    pub fn ever_held() -> bool {
        HELD.load(Ordering::Relaxed)
    }

    /// The raw key, for wrapping it to a recipient.
    pub fn secret(&self) -> &Secret<32> {
        &self.secret
    }
}

impl PartialEq for EpochDek {
    fn eq(&self, other: &Self) -> bool {
        self.secret == other.secret
    }
}

impl Eq for EpochDek {}

impl fmt::Debug for EpochDek {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("EpochDek(redacted)")
    }
}

/// Seals `plaintext` under exactly this header. The caller owns nonce uniqueness: everything but a vector checker
/// uses [`Sender`](crate::Sender), which owns the counter.
pub fn seal_inner(dek: &EpochDek, header: Header, plaintext: &[u8]) -> Result<InnerSealed, Error> {
    header.check().map_err(|_| Error::OpaqueLayer)?;
    if plaintext.len() > MAX_PLAINTEXT_LEN {
        return Err(Error::TooLong { got: plaintext.len() });
    }
    let nonce = inner_nonce(header.stream, header.epoch, header.seq);
    let ciphertext = dek.key.seal(nonce, plaintext).map_err(|_| Error::InnerAead)?;
    Ok(InnerSealed { header, ciphertext: Bytes::from(ciphertext) })
}

/// Opens a chunk with the stream, epoch and counter of its header. Keeps no replay state:
/// see [`Receiver`](crate::Receiver).
pub fn open_inner(dek: &EpochDek, chunk: &InnerSealed) -> Result<Bytes, Error> {
    let Header { stream, epoch, seq, .. } = chunk.header;
    let plaintext = dek.key.open(inner_nonce(stream, epoch, seq), &chunk.ciphertext);
    plaintext.map(Bytes::from).map_err(|_| Error::InnerAead)
}

/// The nonce of one chunk: derived, never carried. Codec and layer do not enter it.
pub fn inner_nonce(stream: StreamId, epoch: Epoch, seq: ChunkSeq) -> [u8; aead::NONCE_LEN] {
    let digest = hash::sha256(&[domain::INNER_NONCE, &stream.0, &epoch.0.to_be_bytes(), &seq.0.to_be_bytes()]);
    let mut nonce = [0; aead::NONCE_LEN];
    nonce.copy_from_slice(&digest[..aead::NONCE_LEN]);
    nonce
}
