//! The files of the repository and what kind each is.

use std::path::{Component, Path, PathBuf};
use std::process::Command;

use crate::Error;

/// A source file.
#[derive(Debug, Clone)]
pub(crate) struct File {
    /// Path from the root.
    pub(crate) path: String,
    /// Whole text.
    pub(crate) text: String,
    /// Product or proof.
    pub(crate) kind: Kind,
}

/// Which limits apply to a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Shipped, or run by developers as a tool.
    Product,
    /// Integration tests, benchmarks, fuzz targets.
    Proof,
}

/// The repository's root.
pub(crate) fn root() -> PathBuf {
    let xtask = Path::new(env!("CARGO_MANIFEST_DIR"));
    xtask.parent().unwrap_or(xtask).to_owned()
}

/// Every file that git tracks or would track, with the given name ending.
pub(crate) fn files(root: &Path, ending: &str) -> Result<Vec<File>, Error> {
    let pattern = format!("*{ending}");
    let mut git = Command::new("git");
    git.args(["ls-files", "--cached", "--others", "--exclude-standard", "-z", "--", &pattern]).current_dir(root);
    let listed = output("git ls-files", &mut git)?;
    let mut paths: Vec<&str> = listed.split('\0').filter(|path| !path.is_empty()).collect();
    paths.sort_unstable();
    paths.dedup();
    paths.into_iter().filter(|path| root.join(path).is_file()).map(|path| read(root, path)).collect()
}

/// Runs a program and returns what it printed.
pub(crate) fn output(program: &str, command: &mut Command) -> Result<String, Error> {
    let done = command.output().map_err(|source| Error::Spawn { program: program.into(), source })?;
    if !done.status.success() {
        let stderr = String::from_utf8_lossy(&done.stderr).into_owned();
        return Err(Error::Program { program: program.into(), stderr });
    }
    Ok(String::from_utf8_lossy(&done.stdout).into_owned())
}

fn read(root: &Path, path: &str) -> Result<File, Error> {
    let text = std::fs::read_to_string(root.join(path)).map_err(|source| Error::Read { path: path.into(), source })?;
    Ok(File { path: path.into(), text, kind: kind(path) })
}

fn kind(path: &str) -> Kind {
    let is_proof = |part: Component<'_>| {
        let name = part.as_os_str().to_str().unwrap_or_default();
        matches!(name, "tests" | "benches" | "tests.rs")
    };
    let dev = path.starts_with("bench/") || path.starts_with("fuzz/");
    if dev || Path::new(path).components().any(is_proof) { Kind::Proof } else { Kind::Product }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_follow_folders() {
        assert_eq!(kind("crates/edge-wire/src/chunk.rs"), Kind::Product);
        assert_eq!(kind("crates/edge-wire/tests/chunk_wire.rs"), Kind::Proof);
        assert_eq!(kind("crates/edge-net/src/session/tests.rs"), Kind::Proof);
        assert_eq!(kind("fuzz/src/lib.rs"), Kind::Proof);
        assert_eq!(kind("xtask/src/main.rs"), Kind::Product);
    }

    #[test]
    fn the_repository_lists_its_own_sources() {
        let files = files(&root(), ".rs").unwrap();
        assert!(
            files.iter().any(|file| file.path == "xtask/src/tree.rs" && file.text.contains("fn kinds_follow_folders"))
        );
    }
}
