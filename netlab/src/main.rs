//! `edge-netlab`: runs a program on every host of a laboratory.

use std::io::Write;
use std::path::PathBuf;
use std::process::{ExitCode, Stdio};

use clap::Parser;
use edge_netlab::{Error, HOSTS_MAX, Host, Lab, Settings};
use edge_sim::link::{Loss, Model, Queue};

/// Host number of the program, from 0.
const HOST: &str = "EDGE_NETLAB_HOST";
/// Number of hosts.
const HOSTS: &str = "EDGE_NETLAB_HOSTS";
/// Address of the program's host; host n has 10.77.0.(n + 1).
const ADDRESS: &str = "EDGE_NETLAB_ADDRESS";

/// Runs a program on every host of an emulated network; ends when all of them ended. Needs root.
#[derive(Debug, Parser)]
#[command(
    after_help = "The program's environment: EDGE_NETLAB_HOST (0 …), EDGE_NETLAB_HOSTS, EDGE_NETLAB_ADDRESS; host n \
    is 10.77.0.(n + 1).\n\nExit code: 0 when every program ended with 0\n\nExample:\n  \
    edge-netlab --hosts 2 --delay-ms 20 --loss 1 -- ping -c 10 10.77.0.1"
)]
struct Arguments {
    /// Hosts.
    #[arg(long, default_value_t = 20, value_parser = hosts)]
    hosts: usize,
    /// Time from any host to any other, in ms.
    #[arg(long, default_value_t = 20)]
    delay_ms: u32,
    /// Largest deviation of the delay either way, in ms.
    #[arg(long, default_value_t = 0)]
    jitter_ms: u32,
    /// Packets lost, in percent.
    #[arg(long, default_value_t = 0.0, value_parser = percent)]
    loss: f64,
    /// Rate of each link in Mbit/s; 0 is unlimited.
    #[arg(long, default_value_t = 0)]
    rate_mbps: u32,
    /// Packets that may wait for the rate.
    #[arg(long, default_value_t = 200)]
    queue: u32,
    /// Largest IP packet, in bytes.
    #[arg(long, default_value_t = 1500, value_parser = clap::value_parser!(u16).range(576..))]
    mtu: u16,
    /// Seed of loss and jitter.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// The program and its arguments.
    #[arg(last = true, required = true)]
    program: Vec<PathBuf>,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match run(&arguments) {
        Ok(failed) if failed.is_empty() => ExitCode::SUCCESS,
        Ok(failed) => {
            let failed: Vec<String> = failed.iter().map(|host| host.0.to_string()).collect();
            say(&format!("the program failed on host {}", failed.join(", ")));
            ExitCode::FAILURE
        }
        Err(error) => {
            say(&error.explained());
            ExitCode::FAILURE
        }
    }
}

/// Runs all to their end; returns where the program failed.
fn run(arguments: &Arguments) -> Result<Vec<Host>, Error> {
    let &Arguments { hosts, seed, mtu, .. } = arguments;
    let lab = Lab::with(Settings { hosts, model: model(arguments), seed, mtu })?;
    let Some((program, rest)) = arguments.program.split_first() else { return Ok(Vec::new()) };
    let mut started = Vec::new();
    for host in lab.hosts() {
        let mut command = lab.command(host, program);
        command.args(rest).stdin(Stdio::null());
        command.env(HOST, host.0.to_string()).env(HOSTS, hosts.to_string()).env(ADDRESS, host.address().to_string());
        started.push((host, lab.spawn(&mut command)?));
    }
    let mut failed = Vec::new();
    for (host, mut child) in started {
        let ended = child.wait();
        let status = ended.map_err(|source| Error::Run { program: program.display().to_string(), source })?;
        failed.extend((!status.success()).then_some(host));
    }
    say(&lab.usage().to_string());
    Ok(failed)
}

fn model(arguments: &Arguments) -> Model {
    Model {
        delay_us: u64::from(arguments.delay_ms) * 1000,
        jitter_us: u64::from(arguments.jitter_ms) * 1000,
        loss: Loss::Uniform { ppm: (arguments.loss * 10_000.0).round() as u32 },
        rate_kbps: u64::from(arguments.rate_mbps) * 1000,
        queue: Queue::Packets(arguments.queue),
        ..Model::default()
    }
}

fn hosts(text: &str) -> Result<usize, String> {
    let count: usize = text.parse().map_err(|_| "must be a number".to_owned())?;
    if (1..=HOSTS_MAX).contains(&count) { Ok(count) } else { Err(format!("must be 1 to {HOSTS_MAX}")) }
}

fn percent(text: &str) -> Result<f64, String> {
    let share: f64 = text.parse().map_err(|_| "must be a number".to_owned())?;
    if (0.0..=100.0).contains(&share) { Ok(share) } else { Err("must be 0 to 100".to_owned()) }
}

fn say(line: &str) {
    // Nobody is told when standard error is closed.
    let _ = writeln!(std::io::stderr(), "edge-netlab: {line}");
}
