//! `edge demo`: a whole federation of separate processes on this machine, and a verdict on what became of it.
//!
//! Model: [`cast`] says who plays, [`play`] starts the processes and follows the script, [`report`] turns what they
//! reported into numbers, [`check`] holds the numbers against the bars, [`page`] draws them. The demo itself holds no
//! key of the stream: it knows only what the processes print. Laws: every wait is bounded; no process outlives it.

mod cast;
mod check;
mod child;
mod churn;
mod error;
mod page;
mod play;
mod plot;
mod report;
mod table;
mod trace;
mod tree;

use std::fs;
use std::path::Path;
use std::process::ExitCode;

use tokio::sync::watch;

use crate::Failure;
use crate::args::Demo;
use crate::console::Console;
use crate::signals::end_on_signal;
use error::Error;
use play::Script;
use report::Report;

/// What `--json` without a path stands for.
const STDOUT: &str = "-";

/// Plays, reports, and tells whether all checks passed.
pub(crate) fn run(demo: &Demo, console: &Console) -> Result<ExitCode, Failure> {
    let json = demo.json.clone().or_else(|| console.is_json().then(|| STDOUT.into()));
    let to_stdout = json.as_deref() == Some(Path::new(STDOUT));
    let people = if to_stdout { Console::new(false).beside_media() } else { Console::new(false) };
    fs::create_dir_all(&demo.report).map_err(|source| Error::file("create", &demo.report, source))?;
    if demo.churn {
        return run_churn(demo, &people, json.as_deref());
    }
    let script = Script::new(demo)?;
    let performance = on_stage(play::perform(&script, &people))?;
    let report = Report::of(&performance);
    let text = serde_json::to_string_pretty(&report)? + "\n";
    write(&demo.report.join("report.json"), &text)?;
    write(&demo.report.join("index.html"), &page::render(&report, &performance))?;
    match json.as_deref() {
        Some(_) if to_stdout => Console::new(true).json(&report),
        Some(path) => write(path, &text)?,
        None => {}
    }
    people.text(&table::results(&report, &performance));
    people.line(&format!("the report is {}", demo.report.join("index.html").display()));
    Ok(if report.passed() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The same for a mesh whose relays die.
fn run_churn(demo: &Demo, people: &Console, json: Option<&Path>) -> Result<ExitCode, Failure> {
    let report = churn::Report::of(&on_stage(churn::perform(demo, people))?);
    let text = serde_json::to_string_pretty(&report)? + "\n";
    let file = demo.report.join("churn.json");
    write(&file, &text)?;
    match json {
        Some(path) if path == Path::new(STDOUT) => Console::new(true).json(&report),
        Some(path) => write(path, &text)?,
        None => {}
    }
    people.text(&report.table());
    people.line(&format!("the numbers are in {}", file.display()));
    Ok(if report.passed() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Runs a play to its end, or until a person has enough of it.
fn on_stage<T>(play: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|source| Error::Start { name: "the demo".into(), source })?;
    // Whatever ends this future drops the processes, and dropping kills them.
    runtime.block_on(async {
        let (stop, stopped) = watch::channel(false);
        let ending = tokio::spawn(end_on_signal(stop));
        let outcome = tokio::select! {
            played = play => played,
            () = edge_node::ended(stopped) => Err(Error::Interrupted),
        };
        ending.abort();
        outcome
    })
}

fn write(path: &Path, text: &str) -> Result<(), Error> {
    fs::write(path, text).map_err(|source| Error::file("write", path, source))
}
