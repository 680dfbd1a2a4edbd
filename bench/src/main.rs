//! Benchmarks, each beside a limit or a peer that is measured in the same run. `make bench` runs them all; a name runs
//! one. Tables go to standard output, numbers to `bench/results/NAME.json`.

mod alloc;
mod codec;
mod fanout;
mod loss;
mod mesh;
mod mls;
mod net;
mod relay;
mod streams;

use std::path::Path;
use std::process::ExitCode;

use serde_json::Value;

#[global_allocator]
static ALLOCATOR: alloc::Counting = alloc::Counting;

/// Prints a table and gives the numbers.
type Bench = fn() -> Value;

/// Every benchmark by name.
const ALL: [(&str, Bench); 8] = [
    ("relay", relay::run),
    ("mls", mls::run),
    ("net", net::run),
    ("codec", codec::run),
    ("loss", loss::run),
    ("fanout", fanout::run),
    ("mesh", mesh::run),
    ("streams", streams::run),
];

fn main() -> ExitCode {
    let wanted: Vec<String> = std::env::args().skip(1).collect();
    if let [fanout::FLAG, role @ ..] = wanted.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        return match fanout::play(role) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                eprintln!("{error}");
                ExitCode::FAILURE
            }
        };
    }
    if let Some(unknown) = wanted.iter().find(|name| ALL.iter().all(|(known, _)| known != name)) {
        let known: Vec<&str> = ALL.iter().map(|(name, _)| *name).collect();
        println!("there is no benchmark {unknown}; there are: {}", known.join(", "));
        return ExitCode::from(2);
    }
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("results");
    std::fs::create_dir_all(&folder).expect("a folder for results");
    for (name, run) in ALL.iter().filter(|(name, _)| wanted.is_empty() || wanted.iter().any(|wish| wish == name)) {
        println!("== {name}");
        let path = folder.join(format!("{name}.json"));
        let json = serde_json::to_string_pretty(&run()).expect("JSON");
        std::fs::write(&path, json + "\n").expect("results are written");
    }
    ExitCode::SUCCESS
}
