//! Randomness as an argument.

/// A source of unpredictable bytes. Protocol code takes one; only the node and tests choose which.
pub trait Random: Send {
    /// Fills `out`.
    fn fill(&mut self, out: &mut [u8]);

    /// `N` bytes.
    fn array<const N: usize>(&mut self) -> [u8; N]
    where
        Self: Sized,
    {
        let mut out = [0; N];
        self.fill(&mut out);
        out
    }
}

/// The operating system's generator, seeded and buffered by `aws-lc`.
#[derive(Debug, Default, Clone, Copy)]
pub struct System;

impl Random for System {
    fn fill(&mut self, out: &mut [u8]) {
        // aws-lc aborts the process itself when the system has no entropy; an error here has no other cause.
        if aws_lc_rs::rand::fill(out).is_err() {
            std::process::abort();
        }
    }
}

/// A reproducible stream for tests and simulation: SHA-256 in counter mode over a seed. Never for real keys.
#[derive(Debug, Clone)]
pub struct Seeded {
    seed: [u8; 32],
    counter: u64,
}

impl Seeded {
    /// A stream that depends only on `seed`.
    pub fn new(seed: u64) -> Self {
        Self { seed: crate::hash::sha256(&[b"edge/seeded", &seed.to_be_bytes()]), counter: 0 }
    }
}

impl Random for Seeded {
    fn fill(&mut self, out: &mut [u8]) {
        for block in out.chunks_mut(32) {
            let bytes = crate::hash::sha256(&[&self.seed, &self.counter.to_be_bytes()]);
            block.copy_from_slice(&bytes[..block.len()]);
            self.counter += 1;
        }
    }
}
