//! Reused output buffers: after the first chunks of each size, sealing allocates nothing.

use std::fmt;
use std::ops::{Deref, DerefMut};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;

/// A pool of output buffers in a few size classes. Clones share the pool; a [`Buffer`] comes back by itself when
/// dropped, wherever that happens.
#[derive(Clone, Default)]
pub struct Arena {
    pool: Arc<Mutex<Pool>>,
}

/// An initialised buffer of a pool, of exactly the length that was asked for.
///
/// Its bytes are whatever the last user left: write all of them before reading any.
pub struct Buffer {
    bytes: Box<[u8]>,
    len: usize,
    home: Arc<Mutex<Pool>>,
}

impl Arena {
    /// An empty pool.
    pub fn new() -> Self {
        Self::default()
    }

    /// A buffer of `len` bytes with unspecified content.
    pub fn take(&self, len: usize) -> Buffer {
        let reused = lock(&self.pool).take(len);
        let bytes = reused.unwrap_or_else(|| vec![0; capacity_for(len)].into());
        Buffer { bytes, len, home: Arc::clone(&self.pool) }
    }

    /// How many buffers wait for reuse.
    pub fn idle(&self) -> usize {
        lock(&self.pool).free.iter().map(Vec::len).sum()
    }
}

impl Buffer {
    /// The buffer as shared bytes, without a copy; it returns to its pool when the last of them is dropped.
    pub fn into_bytes(self) -> Bytes {
        Bytes::from_owner(self)
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        lock(&self.home).give(std::mem::take(&mut self.bytes));
    }
}

impl Deref for Buffer {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or_default()
    }
}

impl DerefMut for Buffer {
    fn deref_mut(&mut self) -> &mut [u8] {
        self.bytes.get_mut(..self.len).unwrap_or_default()
    }
}

impl AsMut<[u8]> for Buffer {
    fn as_mut(&mut self) -> &mut [u8] {
        self
    }
}

impl From<Buffer> for Bytes {
    fn from(buffer: Buffer) -> Self {
        buffer.into_bytes()
    }
}

impl AsRef<[u8]> for Buffer {
    fn as_ref(&self) -> &[u8] {
        self
    }
}

impl fmt::Debug for Buffer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Buffer({} bytes)", self.len)
    }
}

impl fmt::Debug for Arena {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Arena({} idle)", self.idle())
    }
}

/// Size classes in bytes, close enough that a chunk which a cache keeps wastes little. They are no powers of two: a
/// chunk of a round size needs a little more than that, and buffers a power of two apart compete for the same cache
/// lines.
const CLASSES: [usize; 22] = {
    let mut classes = [2, 3, 4, 6, 8, 10, 12, 16, 20, 24, 32, 40, 48, 64, 80, 96, 128, 192, 256, 384, 512, 1024];
    let mut at = 0;
    while at < classes.len() {
        classes[at] = classes[at] * 1024 + 256;
        at += 1;
    }
    classes
};
/// Most bytes that wait for reuse.
const IDLE_BYTES_MAX: usize = 64 << 20;

#[derive(Default)]
struct Pool {
    free: [Vec<Box<[u8]>>; CLASSES.len()],
    idle_bytes: usize,
}

impl Pool {
    fn take(&mut self, len: usize) -> Option<Box<[u8]>> {
        let bytes = self.free.get_mut(class_for(len)?)?.pop()?;
        self.idle_bytes -= bytes.len();
        Some(bytes)
    }

    fn give(&mut self, bytes: Box<[u8]>) {
        let room = IDLE_BYTES_MAX.saturating_sub(self.idle_bytes);
        let Ok(class) = CLASSES.binary_search(&bytes.len()) else { return };
        if let Some(free) = self.free.get_mut(class).filter(|_| bytes.len() <= room) {
            self.idle_bytes += bytes.len();
            free.push(bytes);
        }
    }
}

fn class_for(len: usize) -> Option<usize> {
    let class = CLASSES.partition_point(|&size| size < len);
    (class < CLASSES.len()).then_some(class)
}

/// A buffer larger than every class is made to measure and not kept.
fn capacity_for(len: usize) -> usize {
    class_for(len).and_then(|class| CLASSES.get(class).copied()).unwrap_or(len)
}

/// The pool holds plain buffers, so a panic elsewhere cannot have left it in a bad state.
fn lock(pool: &Mutex<Pool>) -> std::sync::MutexGuard<'_, Pool> {
    pool.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dropped_buffer_is_reused_for_its_class_only() {
        let arena = Arena::new();
        let first = arena.take(10_000);
        let place = first.as_ptr();
        drop(first);
        assert_eq!(arena.idle(), 1);
        assert_ne!(arena.take(100).as_ptr(), place);
        let again = arena.take(9_000);
        assert_eq!((again.as_ptr(), again.len()), (place, 9_000));
    }

    #[test]
    fn shared_bytes_bring_the_buffer_back_after_the_last_clone() {
        let arena = Arena::new();
        let bytes = arena.take(5).into_bytes();
        let clone = bytes.clone();
        drop(bytes);
        assert_eq!(arena.idle(), 0);
        drop(clone);
        assert_eq!(arena.idle(), 1);
    }

    #[test]
    fn kept_buffers_are_bounded_and_oversized_ones_not_kept() {
        let arena = Arena::new();
        drop((0..300).map(|_| arena.take(200 * 1024)).collect::<Vec<_>>());
        let kept = IDLE_BYTES_MAX / capacity_for(200 * 1024);
        assert_eq!(arena.idle(), kept);
        drop(arena.take(3 << 20));
        assert_eq!(arena.idle(), kept);
        let reused = arena.take(200 * 1024);
        assert_eq!(arena.idle(), kept - 1);
        drop(reused);
        assert_eq!(arena.idle(), kept);
    }
}
