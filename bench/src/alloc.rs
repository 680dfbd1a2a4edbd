//! Counts heap allocations and their bytes, so that a bench can say how many its steady state makes and what is held.

#![allow(unsafe_code)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicU64, Ordering};

/// The system allocator with a count of the calls that took memory, and of the bytes that are taken.
pub(crate) struct Counting;

static TAKEN: AtomicU64 = AtomicU64::new(0);
static HELD: AtomicU64 = AtomicU64::new(0);

impl Counting {
    /// Calls since the start of the process, on all threads.
    pub(crate) fn taken() -> u64 {
        TAKEN.load(Ordering::Relaxed)
    }

    /// Bytes taken and not given back, on all threads.
    pub(crate) fn held() -> u64 {
        HELD.load(Ordering::Relaxed)
    }
}

fn count(taken: usize) {
    TAKEN.fetch_add(1, Ordering::Relaxed);
    HELD.fetch_add(taken as u64, Ordering::Relaxed);
}

// SAFETY: every call goes to `System` with its arguments unchanged; counting neither allocates nor unwinds.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size());
        // SAFETY: the caller's promise about `layout` is passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count(layout.size());
        // SAFETY: the caller's promise about `layout` is passed on.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        count(new_size);
        HELD.fetch_sub(layout.size() as u64, Ordering::Relaxed);
        // SAFETY: `block` came from `System` with `layout`, as the caller promises.
        unsafe { System.realloc(block, layout, new_size) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        HELD.fetch_sub(layout.size() as u64, Ordering::Relaxed);
        // SAFETY: `block` came from `System` with `layout`, as the caller promises.
        unsafe { System.dealloc(block, layout) }
    }
}
