//! `edge conformance`: known-answer vectors against this build.

use std::path::PathBuf;
use std::process::ExitCode;

use crate::Failure;
use crate::console::Console;

/// Checks every file in `folders`.
pub(crate) fn run(folders: &[PathBuf], console: &Console) -> Result<ExitCode, Failure> {
    let report = edge_conformance::check_dirs(folders);
    match console.is_json() {
        true => {
            let mut value = serde_json::to_value(&report)?;
            value["verdict"] = serde_json::to_value(report.verdict())?;
            console.json(&value);
        }
        false => console.text(&report.render()),
    }
    Ok(ExitCode::from(report.verdict().exit_code()))
}
