//! Repository checks that no compiler makes: `cargo xtask tidy` reads every source file, `cargo xtask layers` reads the
//! dependency graph.
//!
//! Model: a check is a function from text (or `cargo metadata`) to a list of [`Violation`]s, each with its place; only
//! this file touches the process.
//!
//! Laws: a rule without a test that shows it failing is not a rule; a violation names file, line and what to do.

mod comments;
mod functions;
mod layers;
mod paths;
mod scan;
mod tidy;
mod tree;
mod violation;

use std::io::Write as _;
use std::process::ExitCode;

use violation::Violation;

const USAGE: &str = "usage: cargo xtask <tidy|layers>
  tidy    limits on functions and files, comments about today only, no unfinished code
  layers  allowed crate edges, forbidden paths, clock, socket and randomness bans in the core crates";

/// Why a check could not be made at all.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum Error {
    /// A program could not be started.
    #[error("cannot run `{program}`: is it installed and on PATH?")]
    Spawn {
        /// Its name.
        program: String,
        /// Cause.
        #[source]
        source: std::io::Error,
    },
    /// A program ran and failed.
    #[error("`{program}` failed: {stderr}")]
    Program {
        /// Its name.
        program: String,
        /// What it said.
        stderr: String,
    },
    /// A file could not be read.
    #[error("cannot read {path}")]
    Read {
        /// The file.
        path: String,
        /// Cause.
        #[source]
        source: std::io::Error,
    },
    /// `cargo metadata` printed something else than its format.
    #[error("cannot read the output of `cargo metadata`")]
    Metadata(#[from] serde_json::Error),
    /// Printing failed.
    #[error("cannot print")]
    Print(#[from] std::io::Error),
}

fn main() -> ExitCode {
    let check = std::env::args().nth(1).unwrap_or_default();
    let done = match check.as_str() {
        "tidy" => tidy::run().and_then(|(summary, found)| report("tidy", &summary, found)),
        "layers" => layers::run().and_then(|(summary, found)| report("layers", &summary, found)),
        _ => return usage(),
    };
    done.unwrap_or_else(|error| {
        let cause = std::error::Error::source(&error).map(|cause| format!(": {cause}")).unwrap_or_default();
        let _ = writeln!(std::io::stderr(), "xtask {check}: {error}{cause}");
        ExitCode::from(2)
    })
}

/// Prints every violation and the summary; the exit code is 1 when there was any.
fn report(check: &str, summary: &str, mut found: Vec<Violation>) -> Result<ExitCode, Error> {
    let mut out = std::io::stdout().lock();
    found.sort();
    for violation in &found {
        writeln!(out, "{violation}")?;
    }
    writeln!(out, "{check}: {summary}, {} violations", found.len())?;
    Ok(if found.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(1) })
}

fn usage() -> ExitCode {
    let _ = writeln!(std::io::stderr(), "{USAGE}");
    ExitCode::from(2)
}
