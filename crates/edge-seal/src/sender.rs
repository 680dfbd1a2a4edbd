//! The sealing end of one stream.

use edge_wire::chunk::{CodecId, Header, InnerSealed};
use edge_wire::id::{ChunkSeq, Epoch, StreamId};
use edge_wire::layer::Layer;

use crate::dek::seal_inner;
use crate::{EpochDek, Error, payload};

/// Chunks that one epoch key may seal. Truncated-hash nonces behave like random ones, and here the odds that any two
/// of them meet are about 2^-33.
pub const MAX_CHUNKS_PER_KEY: u64 = 1 << 32;

/// Seals one publisher's stream. It owns the counter, so it cannot be cloned; a publisher that lost its sender starts
/// a new epoch.
///
/// ```compile_fail
/// fn two(sender: edge_seal::Sender) -> (edge_seal::Sender, edge_seal::Sender) {
///     (sender.clone(), sender)
/// }
/// ```
#[derive(Debug)]
pub struct Sender {
    stream: StreamId,
    epoch: Epoch,
    dek: EpochDek,
    next_seq: u64,
}

impl Sender {
    /// Starts at counter 0 of an epoch in which nothing was sealed yet for `stream`.
    pub fn new(stream: StreamId, epoch: Epoch, dek: EpochDek) -> Self {
        Self { stream, epoch, dek, next_seq: 0 }
    }

    /// Seals a layer frame with its payload header; the clear header repeats the header's codec and layer.
    pub fn seal_frame(&mut self, header: &payload::Header, data: &[u8]) -> Result<InnerSealed, Error> {
        self.seal(header.codec, header.layer, &header.prepend_to(data)?)
    }

    /// Seals any plaintext. A failed call uses up no counter value.
    pub fn seal(&mut self, codec: CodecId, layer: Layer, plaintext: &[u8]) -> Result<InnerSealed, Error> {
        if self.next_seq >= MAX_CHUNKS_PER_KEY {
            return Err(Error::CounterExhausted);
        }
        let header = Header { stream: self.stream, epoch: self.epoch, seq: ChunkSeq(self.next_seq), codec, layer };
        let sealed = seal_inner(&self.dek, header, plaintext)?;
        self.next_seq += 1;
        Ok(sealed)
    }

    /// Moves to a higher epoch with a different key; the counter starts again at 0.
    pub fn rekey(&mut self, epoch: Epoch, dek: EpochDek) -> Result<(), Error> {
        if epoch <= self.epoch {
            return Err(Error::EpochNotHigher { have: self.epoch.0, got: epoch.0 });
        }
        if dek == self.dek {
            return Err(Error::KeyReuse);
        }
        *self = Self::new(self.stream, epoch, dek);
        Ok(())
    }

    /// The stream.
    pub fn stream(&self) -> StreamId {
        self.stream
    }

    /// The epoch whose key seals now.
    pub fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// Chunks sealed in this epoch.
    pub fn sealed(&self) -> u64 {
        self.next_seq
    }
}

#[cfg(test)]
mod tests {
    use edge_crypto::Secret;

    use super::*;

    #[test]
    fn a_key_seals_its_last_chunk_and_no_more() {
        let mut sender = Sender::new(StreamId([1; 32]), Epoch(1), EpochDek::new(Secret::from([2; 32])));
        sender.next_seq = MAX_CHUNKS_PER_KEY - 1;
        assert!(sender.seal(CodecId::OPAQUE, Layer::BASE, b"last").is_ok());
        assert_eq!(sender.seal(CodecId::OPAQUE, Layer::BASE, b"more"), Err(Error::CounterExhausted));
        assert_eq!(sender.sealed(), MAX_CHUNKS_PER_KEY);
        sender.rekey(Epoch(2), EpochDek::new(Secret::from([3; 32]))).unwrap();
        assert_eq!(sender.seal(CodecId::OPAQUE, Layer::BASE, b"first").unwrap().header.seq, ChunkSeq(0));
    }
}
