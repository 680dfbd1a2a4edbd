//! Runs the `edge` program.

use std::path::Path;
use std::process::{Command, Output};

/// The program with no settings of the person who runs the tests, and a home of its own.
pub fn edge(home: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_edge"));
    command.current_dir(home).env("HOME", home);
    for name in ["XDG_DATA_HOME", "EDGE_KEY", "EDGE_PASSPHRASE_FILE", "RUST_LOG"] {
        command.env_remove(name);
    }
    command
}

/// Runs `edge` with `args` to its end.
pub fn run(home: &Path, args: &[&str]) -> Output {
    edge(home).args(args).output().unwrap()
}

/// Standard output as text.
pub fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

/// Standard error as text.
pub fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}
