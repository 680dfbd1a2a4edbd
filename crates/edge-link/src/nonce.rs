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
    preimage: Preimage,
}

/// Bytes of a hash input that is kept in place: enough for the name that a fingerprint makes.
const IN_PLACE: usize = 95;

/// The hash input. Most have their place beside the key and counter that they are used with: memory of its own would be
/// cold whenever a relay with many links comes by.
enum Preimage {
    InPlace([u8; IN_PLACE], u8),
    Long(Box<[u8]>),
}

impl Nonces {
    pub(crate) fn new(link_id: &[u8]) -> Self {
        let preimage = [domain::OUTER_NONCE, link_id, &[0; SEQ_LEN]].concat();
        let mut place = [0; IN_PLACE];
        let preimage = match (place.get_mut(..preimage.len()), u8::try_from(preimage.len())) {
            (Some(front), Ok(len)) => {
                front.copy_from_slice(&preimage);
                Preimage::InPlace(place, len)
            }
            _ => Preimage::Long(preimage.into()),
        };
        Self { preimage }
    }

    pub(crate) fn at(&mut self, seq: LinkSeq) -> [u8; NONCE_LEN] {
        let preimage = match &mut self.preimage {
            Preimage::InPlace(place, len) => place.get_mut(..usize::from(*len)).unwrap_or_default(),
            Preimage::Long(bytes) => bytes,
        };
        if let Some(tail) = preimage.last_chunk_mut::<SEQ_LEN>() {
            *tail = seq.0.to_be_bytes();
        }
        let digest = sha256(&[preimage]);
        let mut out = [0; NONCE_LEN];
        out.copy_from_slice(&digest[..NONCE_LEN]);
        out
    }
}

const SEQ_LEN: usize = 8;
