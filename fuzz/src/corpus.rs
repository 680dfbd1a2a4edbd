//! The committed inputs of each target: valid ones, and those that once broke something.

use std::io;
use std::path::{Path, PathBuf};

use crate::Target;

/// Largest corpus file in bytes; the tree holds formats, not films.
pub const MAX_FILE_LEN: usize = 64 * 1024;

/// Folder of a target's corpus.
pub fn folder(target: &Target) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(target.name)
}

/// Folder of inputs that broke a law in this run.
pub fn artifacts() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("artifacts")
}

/// The files of a target's corpus in the order of their names; empty when the folder is missing.
pub fn read(target: &Target) -> io::Result<Vec<(String, Vec<u8>)>> {
    let folder = folder(target);
    if !folder.is_dir() {
        return Ok(Vec::new());
    }
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        files.push((entry.file_name().to_string_lossy().into_owned(), std::fs::read(entry.path())?));
    }
    files.sort();
    Ok(files)
}

/// Replaces the seeds of a target's corpus by what its crate writes today; other files stay.
pub fn write_seeds(target: &Target) -> io::Result<usize> {
    let folder = folder(target);
    std::fs::create_dir_all(&folder)?;
    for (name, _) in read(target)? {
        if name.starts_with("seed-") {
            std::fs::remove_file(folder.join(name))?;
        }
    }
    let seeds = (target.seeds)();
    for (number, seed) in seeds.iter().enumerate() {
        std::fs::write(folder.join(format!("seed-{number:02}")), seed)?;
    }
    Ok(seeds.len())
}

/// Keeps an input that broke a law; returns where.
pub fn keep(target: &Target, input: &[u8]) -> io::Result<PathBuf> {
    std::fs::create_dir_all(artifacts())?;
    let path = artifacts().join(format!("{}-{:016x}", target.name, crate::mutate::hash(input)));
    std::fs::write(&path, input)?;
    Ok(path)
}
