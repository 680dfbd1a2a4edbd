//! Finding vector files and reading them as families of cases.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::Report;
use crate::case::Case;

/// Longest vector file that is read, in bytes.
pub const FILE_LEN_MAX: u64 = 16 << 20;
/// Most vector files in one check.
pub const FILES_MAX: usize = 10_000;
/// Deepest folder that is looked into.
pub const DEPTH_MAX: usize = 8;

/// Why a file or folder could not be read as vectors.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("cannot be read")]
    Io(#[from] io::Error),
    #[error("is longer than {FILE_LEN_MAX} bytes")]
    TooLong,
    #[error("is not JSON")]
    Json(#[from] serde_json::Error),
    #[error("is not a JSON object with a family and cases")]
    Shape,
    #[error("holds no cases")]
    NoCases,
    #[error("holds no vector files")]
    NoFiles,
    #[error("holds more than {FILES_MAX} vector files")]
    TooManyFiles,
    #[error("is nested more than {DEPTH_MAX} folders deep")]
    TooDeep,
}

/// Checks every `*.json` file in the folders and below them, in order of their names. A path may also be one file.
pub fn check_dirs(dirs: &[PathBuf]) -> Report {
    let mut report = Report::default();
    for dir in dirs {
        let mut files = Vec::new();
        match find(dir, DEPTH_MAX, &mut files) {
            Ok(()) if files.is_empty() => report.add_problem(dir, &Error::NoFiles),
            Ok(()) => files.iter().for_each(|file| check_file(file, &mut report)),
            Err(error) => report.add_problem(dir, &error),
        }
    }
    report
}

/// The cases of one file.
pub(crate) struct VectorFile {
    pub(crate) family: String,
    pub(crate) cases: Vec<Item>,
}

/// One case as the file holds it.
pub(crate) struct Item(Value);

impl Item {
    pub(crate) fn value(&self) -> Case<'_> {
        Case::new(&self.0)
    }

    pub(crate) fn id(&self, index: usize) -> String {
        let id = ["id", "vector_id", "name"].into_iter().find_map(|field| self.0.get(field)?.as_str());
        id.map_or_else(|| format!("#{index}"), str::to_owned)
    }
}

impl VectorFile {
    pub(crate) fn parse(file: &Path, content: &[u8]) -> Result<Self, Error> {
        let mut root: Value = serde_json::from_slice(content)?;
        let object = root.as_object_mut().ok_or(Error::Shape)?;
        let family = match (object.get("family"), object.get("vector_id")) {
            (Some(family), _) => family.as_str().ok_or(Error::Shape)?.to_owned(),
            (None, Some(id)) => id.as_str().and_then(|id| id.split('/').next()).ok_or(Error::Shape)?.to_owned(),
            (None, None) => file.file_stem().and_then(|stem| stem.to_str()).ok_or(Error::Shape)?.to_owned(),
        };
        let cases = match object.remove("cases").or_else(|| object.remove("vectors")) {
            Some(Value::Array(cases)) if cases.is_empty() => return Err(Error::NoCases),
            Some(Value::Array(cases)) => cases.into_iter().map(Item).collect(),
            Some(_) => return Err(Error::Shape),
            None => vec![Item(root)],
        };
        Ok(Self { family, cases })
    }
}

fn check_file(file: &Path, report: &mut Report) {
    match read(file) {
        Ok(content) => report.check(file, &content),
        Err(error) => report.add_problem(file, &error),
    }
}

fn read(file: &Path) -> Result<Vec<u8>, Error> {
    let mut content = Vec::new();
    File::open(file)?.take(FILE_LEN_MAX + 1).read_to_end(&mut content)?;
    match content.len() as u64 > FILE_LEN_MAX {
        true => Err(Error::TooLong),
        false => Ok(content),
    }
}

fn find(path: &Path, depth: usize, files: &mut Vec<PathBuf>) -> Result<(), Error> {
    if !fs::metadata(path)?.is_dir() {
        files.push(path.to_owned());
        return Ok(());
    }
    let depth = depth.checked_sub(1).ok_or(Error::TooDeep)?;
    let mut entries = fs::read_dir(path)?.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>, io::Error>>()?;
    entries.sort();
    for entry in entries {
        if entry.is_dir() || entry.extension().is_some_and(|extension| extension == "json") {
            find(&entry, depth, files)?;
        }
        if files.len() > FILES_MAX {
            return Err(Error::TooManyFiles);
        }
    }
    Ok(())
}
