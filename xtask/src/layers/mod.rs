//! What each crate may use: dependency edges, paths that must not exist, and names that core crates must not speak.

mod bans;
mod graph;
mod table;

use std::process::Command;

use crate::tree::{self, File};
use crate::violation::{Kind, Violation};
use crate::{Error, functions, scan};

pub(crate) use table::is_core;

/// Checks the whole tree; also returns a line about its size.
pub(crate) fn run() -> Result<(String, Vec<Violation>), Error> {
    let root = tree::root();
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.args(["metadata", "--format-version", "1", "--locked"]).current_dir(&root);
    let graph = graph::Graph::parse(&tree::output("cargo metadata", &mut cargo)?)?;
    let mut found = graph.check();
    let sources = tree::files(&root, ".rs")?;
    for file in &sources {
        found.extend(bans(file));
    }
    for manifest in tree::files(&root, "Cargo.toml")? {
        found.extend(lints(&manifest));
    }
    let summary = format!("{} crates, {} edges between them, {} files", graph.crates(), graph.edges(), sources.len());
    Ok((summary, found))
}

/// The names that one source file must not hold. A file that does not parse is the business of `tidy`.
fn bans(file: &File) -> Vec<Violation> {
    let Ok(outline) = functions::outline(&file.text) else { return Vec::new() };
    let code = scan::scan(&file.text).code;
    let found = bans::unsafe_code(&file.path, &code).into_iter().chain(bans::core(&file.path, &code, &outline));
    found.map(|(line, kind)| Violation { file: file.path.clone(), line, kind }).collect()
}

/// Every crate takes the workspace's lints, except those that may hold `unsafe` and write their own table.
fn lints(manifest: &File) -> Option<Violation> {
    let folder = manifest.path.strip_suffix("/Cargo.toml")?;
    let taken = manifest.text.contains("[lints]\nworkspace = true");
    let own = table::may_hold_unsafe(&manifest.path) && manifest.text.contains("[lints.");
    let line = 1;
    (!taken && !own).then(|| Violation { file: format!("{folder}/Cargo.toml"), line, kind: Kind::Lints })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::Kind as FileKind;

    fn manifest(path: &str, text: &str) -> Option<Violation> {
        lints(&File { path: path.into(), text: text.into(), kind: FileKind::Product })
    }

    #[test]
    fn crates_take_the_lints_of_the_workspace() {
        let taken = "[package]\n[lints]\nworkspace = true\n";
        assert_eq!(manifest("crates/edge-wire/Cargo.toml", taken), None);
        let own = "[package]\n[lints.rust]\nunsafe_code = \"allow\"\n";
        assert!(manifest("crates/edge-wire/Cargo.toml", own).is_some());
        assert_eq!(manifest("crates/edge-codec/Cargo.toml", own), None);
        assert_eq!(manifest("Cargo.toml", "[workspace]\n"), None);
    }

    #[test]
    fn a_file_is_checked_for_both_kinds_of_ban() {
        let text = "use std::time::Instant;\nfn now() { unsafe { Instant::now() } }\n".to_owned();
        let file = File { path: "crates/edge-link/src/a.rs".into(), text, kind: FileKind::Product };
        let lines: Vec<usize> = bans(&file).iter().map(|found| found.line).collect();
        assert_eq!(lines, [2, 2]);
    }
}
