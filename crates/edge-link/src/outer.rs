//! The outer seal without state.

use bytes::Bytes;
use edge_crypto::{Secret, aead};
use edge_wire::chunk::{InnerSealed, MAX_LEN, PREFIX_LEN, Sealed, TAG_LEN};
use edge_wire::id::LinkSeq;

use crate::{Error, nonce};

/// Seals `inner` for a link: the whole chunk as the link carries it. The caller owns the counter.
pub fn seal_outer(
    inner: &InnerSealed,
    transit_key: &Secret<32>,
    link_id: &[u8],
    seq: LinkSeq,
) -> Result<Vec<u8>, Error> {
    let mut out = vec![0; sealed_len(inner)?];
    seal_with(&aead::Key::new(transit_key), nonce(link_id, seq), inner, &mut out)?;
    Ok(out)
}

/// Opens the outer layer of `chunk`; the inner ciphertext comes out as the publisher made it.
pub fn open_outer(
    chunk: &Sealed<'_>,
    transit_key: &Secret<32>,
    link_id: &[u8],
    seq: LinkSeq,
) -> Result<InnerSealed, Error> {
    let mut inner = inner_buffer(chunk)?;
    open_with(&aead::Key::new(transit_key), nonce(link_id, seq), chunk, &mut inner)?;
    Ok(InnerSealed { header: chunk.header, ciphertext: Bytes::from(inner) })
}

/// Length of the whole chunk that `inner` becomes; refuses what no peer of ours accepts.
pub(crate) fn sealed_len(inner: &InnerSealed) -> Result<usize, Error> {
    let len = inner.ciphertext.len().saturating_add(PREFIX_LEN + TAG_LEN);
    match len > MAX_LEN {
        true => Err(edge_wire::chunk::Error::TooLong { got: len }.into()),
        false => Ok(len),
    }
}

/// Writes prefix and outer ciphertext into `out`, which has [`sealed_len`] bytes.
pub(crate) fn seal_with(key: &aead::Key, nonce: Nonce, inner: &InnerSealed, out: &mut [u8]) -> Result<(), Error> {
    let wrong = Error::Buffer { got: out.len(), need: sealed_len(inner)? };
    let Some((prefix, body)) = out.split_first_chunk_mut::<PREFIX_LEN>() else { return Err(wrong) };
    *prefix = inner.header.to_bytes();
    key.seal_into(nonce, &inner.ciphertext, body).map_err(|_| wrong)
}

/// A buffer for the inner ciphertext of `chunk`.
pub(crate) fn inner_buffer(chunk: &Sealed<'_>) -> Result<Vec<u8>, Error> {
    let len = chunk.ciphertext.len();
    match len > MAX_LEN {
        true => Err(edge_wire::chunk::Error::TooLong { got: len }.into()),
        false => Ok(vec![0; len.checked_sub(TAG_LEN).ok_or(Error::OuterAead)?]),
    }
}

/// Opens into `out`, which came from [`inner_buffer`]; on failure its content is unspecified.
pub(crate) fn open_with(key: &aead::Key, nonce: Nonce, chunk: &Sealed<'_>, out: &mut [u8]) -> Result<(), Error> {
    key.open_into(nonce, chunk.ciphertext, out).map_err(|_| Error::OuterAead)
}

type Nonce = [u8; aead::NONCE_LEN];
