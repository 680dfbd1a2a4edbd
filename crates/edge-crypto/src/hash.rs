//! SHA-256, HMAC-SHA-256 and HKDF-SHA-256.

use aws_lc_rs::{constant_time, digest, hkdf, hmac};

use crate::{Error, Secret};

/// SHA-256 over the concatenation of `parts`; a single part is hashed without a heap allocation.
pub fn sha256(parts: &[&[u8]]) -> [u8; 32] {
    let mut out = [0; 32];
    if let [part] = parts {
        out.copy_from_slice(digest::digest(&digest::SHA256, part).as_ref());
        return out;
    }
    let mut context = digest::Context::new(&digest::SHA256);
    for part in parts {
        context.update(part);
    }
    out.copy_from_slice(context.finish().as_ref());
    out
}

/// HMAC-SHA-256 over the concatenation of `parts`.
pub fn hmac_sha256(key: &[u8], parts: &[&[u8]]) -> [u8; 32] {
    let mut context = hmac::Context::with_key(&hmac::Key::new(hmac::HMAC_SHA256, key));
    for part in parts {
        context.update(part);
    }
    let mut out = [0; 32];
    out.copy_from_slice(context.sign().as_ref());
    out
}

/// Compares in constant time.
pub fn equal(a: &[u8], b: &[u8]) -> bool {
    constant_time::verify_slices_are_equal(a, b).is_ok()
}

struct Len(usize);

impl hkdf::KeyType for Len {
    fn len(&self) -> usize {
        self.0
    }
}

/// HKDF-SHA-256 extract and expand to `N` bytes; `N` is at most 8 160.
pub fn hkdf_sha256<const N: usize>(ikm: &[u8], salt: &[u8], info: &[&[u8]]) -> Result<Secret<N>, Error> {
    let mut out = [0; N];
    hkdf::Salt::new(hkdf::HKDF_SHA256, salt)
        .extract(ikm)
        .expand(info, Len(N))
        .and_then(|okm| okm.fill(&mut out))
        .map_err(|_| Error::Buffer { got: N, need: 255 * 32 })?;
    Ok(Secret::take(&mut out))
}
