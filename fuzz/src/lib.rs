//! Fuzz targets for everything that decodes bytes from a peer, a user or a file.
//!
//! Model: a target is a function from any bytes to [`Verdict`]; it asserts what must hold for every input (no panic,
//! what was accepted writes back to the same bytes) and never looks at time, files or randomness. The smoke runner
//! (`main.rs`) feeds it the committed corpus, every truncation of it, and seeded mutations; libFuzzer can drive the
//! same functions, see `fuzz/README.md`.
//!
//! Laws: the same tree gives the same run; no input makes a target panic, allocate above its bound, or run for seconds;
//! each target accepts at least one file of its corpus, so that a format cannot outgrow its target unseen.

pub mod alloc;
pub mod corpus;
pub mod mutate;
pub mod smoke;
pub mod targets;

/// What a decoder made of an input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// The input is valid.
    Accepted,
    /// The input was refused with a typed error.
    Refused,
}

impl<T, E> From<Result<T, E>> for Verdict {
    fn from(result: Result<T, E>) -> Self {
        if result.is_ok() { Self::Accepted } else { Self::Refused }
    }
}

/// How much work one run of a target is; decides how many mutations the smoke run makes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cost {
    /// Parsing: microseconds.
    Parse,
    /// Public-key operations or small decodes: a fraction of a millisecond.
    Crypto,
    /// Pictures and sound: milliseconds.
    Decode,
}

impl Cost {
    /// Mutations in one smoke run.
    pub const fn iterations(self) -> u64 {
        match self {
            Self::Parse => 200_000,
            Self::Crypto => 10_000,
            Self::Decode => 1_500,
        }
    }
}

/// One decoder under test.
#[derive(Clone, Copy)]
pub struct Target {
    /// Name, and folder under `fuzz/corpus`.
    pub name: &'static str,
    /// Work for one input.
    pub cost: Cost,
    /// Most bytes that the Rust side may hold at once for one input.
    pub alloc_max: usize,
    /// Decodes one input; panics when a law is broken.
    pub run: fn(&[u8]) -> Verdict,
    /// Valid inputs, from which the corpus is written.
    pub seeds: fn() -> Vec<Vec<u8>>,
}

impl Target {
    /// Whether the input is accepted, for fuzzers that want no result.
    pub fn feed(&self, input: &[u8]) {
        let _ = (self.run)(input);
    }
}

/// Every target, in the order of the smoke run.
pub fn all() -> Vec<Target> {
    targets::all()
}

/// The target of that name.
pub fn find(name: &str) -> Option<Target> {
    all().into_iter().find(|target| target.name == name)
}
