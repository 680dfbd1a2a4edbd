//! `edge sim`: a federation on a virtual clock, and a verdict on what became of it.

use std::fs;
use std::io::{IsTerminal, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use edge_sim::plot;
use edge_sim::report::Report;
use edge_sim::scenario::{self, ALL, Options, Scenario};

use crate::Failure;
use crate::args::Sim;
use crate::console::Console;

/// Why there is no result.
#[derive(Debug, thiserror::Error)]
enum Error {
    #[error("there is no scenario {name:?}; there are: {known}")]
    Unknown { name: String, known: String },
    #[error("cannot write {}", path.display())]
    Plot {
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
}

/// Plays, reports, and tells whether all bars were reached.
pub(crate) fn run(sim: &Sim, console: &Console) -> Result<ExitCode, Failure> {
    let Some(name) = sim.scenario.as_ref().filter(|_| !sim.list) else {
        list(console);
        return Ok(ExitCode::SUCCESS);
    };
    let scenario = scenario::find(name).ok_or_else(|| unknown(name))?;
    let report = play(scenario, sim)?;
    if let Some(path) = &sim.plot {
        let heading = format!("{}, {} viewers, seed {}", report.scenario, report.peers, report.seed);
        let written = fs::write(path, plot::svg(&heading, &report.charts));
        written.map_err(|source| Error::Plot { path: path.clone(), source })?;
    }
    match console.is_json() {
        true => console.json(&serde_json::json!({ "passed": report.passed(), "report": report })),
        false => console.text(&report.to_text()),
    }
    Ok(if report.passed() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn list(console: &Console) {
    let entry = |scenario: &Scenario| {
        let Scenario { name, about, viewers, duration_s, .. } = scenario;
        serde_json::json!({ "name": name, "about": about, "peers": viewers, "duration_s": duration_s })
    };
    if console.is_json() {
        return ALL.iter().for_each(|scenario| console.json(&entry(scenario)));
    }
    for Scenario { name, about, viewers, duration_s, .. } in ALL {
        console.line(&format!("{name:<10} {about}  ({viewers} viewers, {duration_s} s)"));
    }
}

fn unknown(name: &str) -> Error {
    let known: Vec<&str> = ALL.iter().map(|scenario| scenario.name).collect();
    Error::Unknown { name: name.to_owned(), known: known.join(", ") }
}

fn play(scenario: &Scenario, sim: &Sim) -> Result<Report, Failure> {
    let options = Options { viewers: sim.peers, seed: sim.seed, duration_s: sim.duration };
    let mut bar = Bar::new(scenario.name);
    let played = scenario.run(options, &mut |done| bar.draw(done));
    bar.clear();
    Ok(played?)
}

/// Characters of the bar.
const WIDTH: u64 = 40;

/// The line on a terminal's standard error that shows how far the run is.
struct Bar {
    name: &'static str,
    drawn: Option<u64>,
    terminal: bool,
}

impl Bar {
    fn new(name: &'static str) -> Self {
        Self { name, drawn: None, terminal: std::io::stderr().is_terminal() }
    }

    /// Draws the share that is done, in thousandths, each percent once.
    fn draw(&mut self, done: u64) {
        let percent = done / 10;
        if !self.terminal || self.drawn == Some(percent) {
            return;
        }
        self.drawn = Some(percent);
        let full = (percent.min(100) * WIDTH / 100) as usize;
        let empty = WIDTH as usize - full;
        let line = format!("\r\x1b[2K{} {}{} {percent:>3} %", self.name, "█".repeat(full), "░".repeat(empty));
        // A terminal that is gone needs no bar.
        let _ = std::io::stderr().write_all(line.as_bytes());
    }

    fn clear(&mut self) {
        if self.drawn.take().is_some() {
            let _ = std::io::stderr().write_all(b"\r\x1b[2K");
        }
    }
}
