//! The fuzz smoke run: every decoder against its corpus and seeded mutations, on the stable toolchain.

use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::Parser;
use edge_fuzz::smoke::{self, Budget, Failure, Summary};
use edge_fuzz::{Target, all, corpus};

#[global_allocator]
static ALLOCATOR: edge_fuzz::alloc::Counting = edge_fuzz::alloc::Counting;

/// Feeds every decoder its corpus, all truncations of it, and mutations of it.
#[derive(Parser)]
#[command(name = "edge-fuzz")]
struct Args {
    /// Seconds of mutations for each target, in place of a fixed number of them.
    #[arg(long, conflicts_with = "iterations")]
    seconds: Option<u64>,
    /// Mutations for each target.
    #[arg(long)]
    iterations: Option<u64>,
    /// Only the targets whose name starts so.
    #[arg(long, default_value = "")]
    target: String,
    /// Write the valid inputs of these targets into the corpus.
    #[arg(long, value_name = "TARGET", num_args = 0..)]
    write_seeds: Option<Vec<String>>,
    /// Run these files once, in place of corpus and mutations.
    files: Vec<PathBuf>,
}

fn main() -> ExitCode {
    let args = Args::parse();
    let mut targets = all();
    targets.retain(|target| target.name.starts_with(&args.target));
    match run(&args, &targets) {
        Ok(0) => ExitCode::SUCCESS,
        Ok(_) => ExitCode::from(1),
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "edge-fuzz: {error}");
            ExitCode::from(2)
        }
    }
}

/// Does what the arguments say; returns the number of targets that failed.
fn run(args: &Args, targets: &[Target]) -> std::io::Result<usize> {
    let mut out = std::io::stdout().lock();
    if let Some(names) = &args.write_seeds {
        for target in targets.iter().filter(|target| names.is_empty() || names.iter().any(|name| name == target.name)) {
            writeln!(out, "{}: {} seeds", target.name, corpus::write_seeds(target)?)?;
        }
        return Ok(0);
    }
    std::panic::set_hook(Box::new(|_| ()));
    let mut failed = 0;
    for target in targets {
        // Said before the run, so that a run that aborts the process has a name.
        write!(out, "{:<24}", target.name)?;
        out.flush()?;
        let started = Instant::now();
        let result =
            if args.files.is_empty() { smoke::run(target, budget(args, target)) } else { replay(args, target) };
        failed += usize::from(result.is_err());
        writeln!(out, "{}", line(&result, started.elapsed()))?;
    }
    let passed = targets.len() - failed;
    writeln!(out, "fuzz: {passed} targets passed, {failed} failed")?;
    Ok(failed)
}

fn budget(args: &Args, target: &Target) -> Budget {
    match args.seconds {
        Some(seconds) => Budget::Time(Duration::from_secs(seconds)),
        None => Budget::Iterations(args.iterations.unwrap_or(target.cost.iterations())),
    }
}

fn replay(args: &Args, target: &Target) -> Result<Summary, Failure> {
    let mut summary = Summary { files: args.files.len(), ..Summary::default() };
    for file in &args.files {
        smoke::one(target, &std::fs::read(file)?, &mut summary)?;
    }
    Ok(summary)
}

fn line(result: &Result<Summary, Failure>, took: Duration) -> String {
    match result {
        Ok(done) => format!(
            "{:>3} files {:>8} inputs {:>8} accepted {:>8} KiB peak {:>6.2} s",
            done.files,
            done.inputs,
            done.accepted,
            done.peak.div_ceil(1024),
            took.as_secs_f64()
        ),
        Err(failure) => format!("FAILED: {failure}"),
    }
}
