//! The `edge` command: live audio and video between people who trust each other and trust no server.
//!
//! Model: one subcommand is one role or one tool; a role's reports go to standard output, as JSON lines with `--json`,
//! and its log to standard error. Laws: exit code 0 is success, 1 a failure or a failed check, 2 wrong usage, 3 vectors
//! that this build does not cover; whoever closes our output ends us quietly.

mod args;
mod conformance;
mod console;
mod demo;
mod doctor;
mod keys;
mod qr;
mod roles;
mod signals;
mod sim;
mod status;

use std::process::ExitCode;

use clap::{CommandFactory, Parser};

use args::{Cli, Command, KeyCommand};
use console::Console;

/// Ends a command: what a person reads, with its causes.
type Failure = Box<dyn std::error::Error + Send + Sync>;

fn main() -> ExitCode {
    let cli = Cli::parse();
    start_log(cli.verbose);
    let console = Console::new(cli.json());
    match run(cli, &console) {
        Ok(code) => code,
        Err(failure) => {
            console.failure(failure.as_ref());
            ExitCode::FAILURE
        }
    }
}

fn run(cli: Cli, console: &Console) -> Result<ExitCode, Failure> {
    match cli.command {
        Command::Keygen(keygen) => keys::generate(&keygen, console).map(|()| ExitCode::SUCCESS),
        Command::Key(KeyCommand::Show(show)) => keys::show(&show, console).map(|()| ExitCode::SUCCESS),
        Command::Publish(publish) => roles::publish(publish, console),
        Command::Relay(relay) => roles::relay(relay, console),
        Command::Watch(watch) => roles::watch(watch, console),
        Command::Outsider(outsider) => roles::outsider(&outsider, console),
        Command::Demo(demo) => demo::run(&demo, console),
        Command::Sim(sim) => sim::run(&sim, console),
        Command::Conformance(wanted) => conformance::run(&wanted.folders, console),
        Command::Doctor(doctor) => doctor::run(doctor.key, console),
        Command::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "edge", &mut script);
            console.text(&String::from_utf8_lossy(&script));
            Ok(ExitCode::SUCCESS)
        }
    }
}

/// `RUST_LOG` decides; without it, `-v` shows more. The log never goes where media or reports go.
fn start_log(verbose: u8) {
    let fallback = match verbose {
        0 => "warn",
        1 => "info",
        _ => "debug",
    };
    let filter = tracing_subscriber::EnvFilter::try_from_default_env();
    let filter = filter.unwrap_or_else(|_| tracing_subscriber::EnvFilter::new(fallback));
    let colours = console::colours_on_stderr();
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_ansi(colours).init();
}
