//! Memory of answered handshakes.

use std::collections::HashSet;

use super::Error;

/// Most handshakes that one static key answers. When the memory is full it refuses instead of forgetting: a forgotten
/// handshake could be replayed and would bring its transit key back with the counter at 0.
pub const HANDSHAKES_MAX: usize = 1 << 16;

/// Digests of the handshakes that one static key has answered, kept for that key's lifetime.
#[derive(Debug, Default)]
pub struct ReplayCache {
    seen: HashSet<[u8; 32]>,
}

impl ReplayCache {
    /// Remembers a handshake's digest; refuses one that was seen, and any when full.
    pub fn admit(&mut self, digest: [u8; 32]) -> Result<(), Error> {
        if self.seen.contains(&digest) {
            return Err(Error::Replayed);
        }
        if self.seen.len() >= HANDSHAKES_MAX {
            return Err(Error::StaticKeyWorn);
        }
        self.seen.insert(digest);
        Ok(())
    }
}
