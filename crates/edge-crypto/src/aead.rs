//! AES-256-GCM with a cached key schedule, empty additional data and explicit 96-bit nonces.

use std::fmt;

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};

use crate::{Error, Secret};

/// Bytes of a nonce.
pub const NONCE_LEN: usize = 12;
/// Bytes of a tag.
pub const TAG_LEN: usize = 16;

/// An AES-256-GCM key with its schedule computed once. The schedule is wiped by the library on drop.
///
/// The caller owns nonce uniqueness: this type is used below the seals, which derive nonces from counters they own.
pub struct Key(LessSafeKey);

impl Key {
    /// Computes the key schedule.
    pub fn new(secret: &Secret<32>) -> Self {
        match UnboundKey::new(&AES_256_GCM, secret.expose()) {
            Ok(key) => Self(LessSafeKey::new(key)),
            // 32 bytes is the one length this algorithm takes, so the constructor has no other failure.
            Err(_) => std::process::abort(),
        }
    }

    /// Seals `plaintext` into `out`, which must hold exactly `plaintext.len() + TAG_LEN` bytes.
    pub fn seal_into(&self, nonce: [u8; NONCE_LEN], plaintext: &[u8], out: &mut [u8]) -> Result<(), Error> {
        let need = plaintext.len() + TAG_LEN;
        if out.len() != need {
            return Err(Error::Buffer { got: out.len(), need });
        }
        let (body, tag) = out.split_at_mut(plaintext.len());
        let nonce = Nonce::assume_unique_for_key(nonce);
        self.0.seal_out_of_place_scatter(nonce, Aad::empty(), plaintext, body, &[], tag).map_err(|_| Error::Aead)
    }

    /// Seals `plaintext` into a new buffer.
    pub fn seal(&self, nonce: [u8; NONCE_LEN], plaintext: &[u8]) -> Result<Vec<u8>, Error> {
        let mut out = vec![0; plaintext.len() + TAG_LEN];
        self.seal_into(nonce, plaintext, &mut out)?;
        Ok(out)
    }

    /// Opens `sealed` into `out`, which must hold exactly `sealed.len() - TAG_LEN` bytes.
    pub fn open_into(&self, nonce: [u8; NONCE_LEN], sealed: &[u8], out: &mut [u8]) -> Result<(), Error> {
        let body_len = sealed.len().checked_sub(TAG_LEN).ok_or(Error::Aead)?;
        if out.len() != body_len {
            return Err(Error::Buffer { got: out.len(), need: body_len });
        }
        let (body, tag) = sealed.split_at(body_len);
        let nonce = Nonce::assume_unique_for_key(nonce);
        self.0.open_separate_gather(nonce, Aad::empty(), body, tag, out).map_err(|_| Error::Aead)
    }

    /// Opens `sealed` where it lies: the plaintext replaces its front and has the length that is returned. After a
    /// failure the bytes are unspecified.
    pub fn open_in_place(&self, nonce: [u8; NONCE_LEN], sealed: &mut [u8]) -> Result<usize, Error> {
        let nonce = Nonce::assume_unique_for_key(nonce);
        let plaintext = self.0.open_in_place(nonce, Aad::empty(), sealed).map_err(|_| Error::Aead)?;
        Ok(plaintext.len())
    }

    /// Opens `sealed` into a new buffer.
    pub fn open(&self, nonce: [u8; NONCE_LEN], sealed: &[u8]) -> Result<Vec<u8>, Error> {
        let mut out = vec![0; sealed.len().checked_sub(TAG_LEN).ok_or(Error::Aead)?];
        self.open_into(nonce, sealed, &mut out)?;
        Ok(out)
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("aead::Key(redacted)")
    }
}
