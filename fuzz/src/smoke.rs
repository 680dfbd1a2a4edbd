//! Runs one target over its corpus, its truncations and its mutations, and holds every run against the laws.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use crate::mutate::{self, Rng};
use crate::{Target, Verdict, alloc, corpus};

/// Longest time for one input. Far above what any target needs, so that only a hang or a blow-up exceeds it.
pub const RUN_MAX: Duration = Duration::from_secs(10);
/// Most truncations tried of one corpus file; longer files are cut at evenly spaced places.
pub const TRUNCATIONS_MAX: usize = 512;

/// How long to go on.
#[derive(Debug, Clone, Copy)]
pub enum Budget {
    /// This many mutations: the same run everywhere.
    Iterations(u64),
    /// Until the time is over.
    Time(Duration),
}

/// What a run of a target came to.
#[derive(Debug, Default, Clone, Copy)]
pub struct Summary {
    /// Corpus files.
    pub files: usize,
    /// Inputs tried.
    pub inputs: u64,
    /// Inputs accepted.
    pub accepted: u64,
    /// Most bytes held by the Rust side for one input.
    pub peak: usize,
}

/// Why a target failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Failure {
    /// The corpus is missing.
    #[error("has no corpus: run `cargo run --release -p edge-fuzz -- --write-seeds {0}` and commit fuzz/corpus/{0}")]
    NoCorpus(&'static str),
    /// The corpus has no valid input: the format changed without it.
    #[error("accepts none of its corpus files: run `cargo run --release -p edge-fuzz -- --write-seeds {0}`")]
    Stale(&'static str),
    /// A panic.
    #[error("panicked on {}: {message}", input.display())]
    Panic {
        /// Where the input was kept.
        input: PathBuf,
        /// The panic's message.
        message: String,
    },
    /// An allocation above the target's bound.
    #[error("held {peak} bytes, at most {bound}, on {}", input.display())]
    Allocation {
        /// Where the input was kept.
        input: PathBuf,
        /// Bytes held.
        peak: usize,
        /// The target's bound.
        bound: usize,
    },
    /// A run that took longer than [`RUN_MAX`].
    #[error("took {took:?} on {}", input.display())]
    Slow {
        /// Where the input was kept.
        input: PathBuf,
        /// Time taken.
        took: Duration,
    },
    /// The corpus or the artifacts could not be read or written.
    #[error("corpus")]
    Io(#[from] io::Error),
}

/// Runs one target.
pub fn run(target: &Target, budget: Budget) -> Result<Summary, Failure> {
    let corpus: Vec<Vec<u8>> = corpus::read(target)?.into_iter().map(|(_, bytes)| bytes).collect();
    if corpus.is_empty() {
        return Err(Failure::NoCorpus(target.name));
    }
    let mut summary = Summary { files: corpus.len(), ..Summary::default() };
    for file in &corpus {
        one(target, file, &mut summary)?;
    }
    if summary.accepted == 0 {
        return Err(Failure::Stale(target.name));
    }
    for file in &corpus {
        truncations(target, file, &mut summary)?;
    }
    mutations(target, &corpus, budget, &mut summary)?;
    Ok(summary)
}

/// Runs one input and holds it against the laws.
pub fn one(target: &Target, input: &[u8], summary: &mut Summary) -> Result<(), Failure> {
    let started = Instant::now();
    let (ran, peak) = alloc::peak_of(|| catch_unwind(AssertUnwindSafe(|| (target.run)(input))));
    let took = started.elapsed();
    let verdict = match ran {
        Ok(verdict) => verdict,
        Err(payload) => {
            let message = message(payload.as_ref());
            return Err(Failure::Panic { input: corpus::keep(target, input)?, message });
        }
    };
    if peak > target.alloc_max {
        return Err(Failure::Allocation { input: corpus::keep(target, input)?, peak, bound: target.alloc_max });
    }
    if took > RUN_MAX {
        return Err(Failure::Slow { input: corpus::keep(target, input)?, took });
    }
    summary.inputs += 1;
    summary.accepted += u64::from(verdict == Verdict::Accepted);
    summary.peak = summary.peak.max(peak);
    Ok(())
}

fn truncations(target: &Target, file: &[u8], summary: &mut Summary) -> Result<(), Failure> {
    let tries = TRUNCATIONS_MAX.min(usize::try_from(target.cost.iterations()).unwrap_or(usize::MAX) / 4);
    let step = file.len().div_ceil(tries).max(1);
    (0..file.len()).step_by(step).try_for_each(|len| one(target, &file[..len], summary))
}

fn mutations(target: &Target, corpus: &[Vec<u8>], budget: Budget, summary: &mut Summary) -> Result<(), Failure> {
    let mut rng = Rng::new(mutate::hash(target.name.as_bytes()));
    let started = Instant::now();
    let mut done = 0;
    loop {
        let over = match budget {
            Budget::Iterations(bound) => done >= bound,
            Budget::Time(bound) => started.elapsed() >= bound,
        };
        if over {
            return Ok(());
        }
        let (input, other) = (&corpus[rng.below(corpus.len())], &corpus[rng.below(corpus.len())]);
        one(target, &mutate::mutate(input, other, &mut rng), summary)?;
        done += 1;
    }
}

fn message(payload: &(dyn std::any::Any + Send)) -> String {
    let text = payload.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| payload.downcast_ref::<String>().cloned()).unwrap_or_else(|| "no message".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Cost;

    fn target(run: fn(&[u8]) -> Verdict) -> Target {
        Target { name: "self-test", cost: Cost::Parse, alloc_max: 1 << 20, run, seeds: Vec::new }
    }

    fn broken_by(run: fn(&[u8]) -> Verdict) -> Failure {
        one(&target(run), b"input", &mut Summary::default()).unwrap_err()
    }

    #[test]
    fn a_panic_is_caught_and_its_input_kept() {
        let Failure::Panic { input, message } = broken_by(|_| panic!("the law")) else { panic!("not a panic") };
        assert_eq!(message, "the law");
        assert_eq!(std::fs::read(&input).unwrap(), b"input");
        std::fs::remove_file(input).unwrap();
    }

    #[test]
    fn a_target_without_corpus_fails() {
        let failed = run(&target(|_| Verdict::Accepted), Budget::Iterations(1)).unwrap_err();
        assert!(matches!(failed, Failure::NoCorpus("self-test")));
    }

    #[test]
    fn accepted_inputs_are_counted() {
        let mut summary = Summary::default();
        let accepts_long = target(|input| if input.len() > 2 { Verdict::Accepted } else { Verdict::Refused });
        one(&accepts_long, b"abc", &mut summary).unwrap();
        one(&accepts_long, b"a", &mut summary).unwrap();
        assert_eq!((summary.inputs, summary.accepted), (2, 1));
    }
}
