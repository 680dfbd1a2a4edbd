//! Outer nonces: derived from the link's name and counter, never sent.

use edge_crypto::aead::NONCE_LEN;
use edge_crypto::hash::sha256;
use edge_wire::domain;
use edge_wire::id::LinkSeq;

/// The outer nonce of the chunk numbered `seq` on the link named `link_id`.
pub fn nonce(link_id: &[u8], seq: LinkSeq) -> [u8; NONCE_LEN] {
    Nonces::new(link_id).at(seq)
}

/// The nonces of one link; keeps the hash input so that a nonce costs one hash and no allocation.
pub(crate) struct Nonces {
    preimage: Box<[u8]>,
}

impl Nonces {
    pub(crate) fn new(link_id: &[u8]) -> Self {
        Self { preimage: [domain::OUTER_NONCE, link_id, &[0; SEQ_LEN]].concat().into() }
    }

    pub(crate) fn at(&mut self, seq: LinkSeq) -> [u8; NONCE_LEN] {
        if let Some(tail) = self.preimage.last_chunk_mut::<SEQ_LEN>() {
            *tail = seq.0.to_be_bytes();
        }
        let digest = sha256(&[&self.preimage]);
        let mut out = [0; NONCE_LEN];
        out.copy_from_slice(&digest[..NONCE_LEN]);
        out
    }
}

const SEQ_LEN: usize = 8;
