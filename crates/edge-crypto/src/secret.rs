//! Fixed-size secret bytes.

use std::fmt;

use zeroize::Zeroize;

use crate::Random;

/// `N` secret bytes: wiped on drop, redacted in `Debug`, compared in constant time, not cloneable.
pub struct Secret<const N: usize>(Box<[u8; N]>);

impl<const N: usize> Secret<N> {
    /// Takes over `bytes` and wipes the source.
    pub fn take(bytes: &mut [u8; N]) -> Self {
        let secret = Self(Box::new(*bytes));
        bytes.zeroize();
        secret
    }

    /// Copies a slice of exactly `N` bytes; `None` for any other length.
    pub fn from_slice(bytes: &[u8]) -> Option<Self> {
        let mut secret = Self(Box::new([0; N]));
        match bytes.len() == N {
            true => secret.0.copy_from_slice(bytes),
            false => return None,
        }
        Some(secret)
    }

    /// `N` random bytes.
    pub fn random(random: &mut dyn Random) -> Self {
        let mut secret = Self(Box::new([0; N]));
        random.fill(secret.0.as_mut());
        secret
    }

    /// The bytes. Every call site is a place to review: do not copy, print or store them.
    pub fn expose(&self) -> &[u8; N] {
        &self.0
    }
}

impl<const N: usize> From<[u8; N]> for Secret<N> {
    fn from(mut bytes: [u8; N]) -> Self {
        Self::take(&mut bytes)
    }
}

impl<const N: usize> Drop for Secret<N> {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl<const N: usize> fmt::Debug for Secret<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Secret<{N}>(redacted)")
    }
}

impl<const N: usize> PartialEq for Secret<N> {
    fn eq(&self, other: &Self) -> bool {
        aws_lc_rs::constant_time::verify_slices_are_equal(self.expose(), other.expose()).is_ok()
    }
}

impl<const N: usize> Eq for Secret<N> {}
