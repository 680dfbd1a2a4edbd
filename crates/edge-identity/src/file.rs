//! Key files: where a [`KeyBundle`] rests. The only code of this crate that touches the disk; it needs Unix modes.
//!
//! The layout is specified in `docs/spec/key-file.md`. A file is written whole or not at all, is readable by its
//! owner only, and is refused when anybody else could have read it.

mod seal;

use std::fmt;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use edge_crypto::Random;
use zeroize::Zeroizing;

use crate::KeyBundle;

pub use seal::Protection;

/// Largest key file in bytes.
pub const MAX_LEN: usize = 1024;
/// Longest passphrase in bytes.
pub const MAX_PASSPHRASE_LEN: usize = 1024;

const FILE_MODE: u32 = 0o600;
const DIR_MODE: u32 = 0o700;
const OTHERS: u32 = 0o077;

/// Why a key file could not be written or read; the message says what to do next.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The system refused an operation on the file.
    #[error("cannot {action} {path}", path = path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// On which path.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// Nothing is there.
    #[error("no key file at {path}: make one with `edge keygen`", path = .0.display())]
    Missing(PathBuf),
    /// Something is there already, and replacing it was not asked for.
    #[error("{path} exists already: choose another path, or ask for it to be replaced", path = .0.display())]
    Exists(PathBuf),
    /// The path names no file, or something that is not a regular file.
    #[error("{path} does not name a regular file", path = .0.display())]
    NotAFile(PathBuf),
    /// Other users can read or write it.
    #[error("other users can access {path} (mode {mode:03o}): run `chmod 600 {path}`", path = path.display())]
    Exposed {
        /// The key file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// The file is longer than [`MAX_LEN`] or does not begin like a key file.
    #[error("this is not a key file: check the path")]
    NotAKeyFile,
    /// The file comes from a program that writes another version.
    #[error("key file version {got} is not supported: use the program that wrote it")]
    Version {
        /// Version found.
        got: u8,
    },
    /// The file was cut short or changed.
    #[error("key file is damaged: restore it from a backup")]
    Damaged,
    /// The file asks for more work than any writer of it chose.
    #[error("key file asks for an unreasonable amount of memory or time: restore it from a backup")]
    Cost,
    /// The file is encrypted and no passphrase was given.
    #[error("key file is encrypted: give its passphrase")]
    PassphraseNeeded,
    /// A passphrase was given, but the file is not encrypted.
    #[error("key file is not encrypted: leave the passphrase out, or write the file again with one")]
    NotEncrypted,
    /// The passphrase does not open the file.
    #[error("wrong passphrase: try again")]
    WrongPassphrase,
    /// A passphrase is empty or longer than [`MAX_PASSPHRASE_LEN`].
    #[error("a passphrase has 1 to {bound} bytes", bound = MAX_PASSPHRASE_LEN)]
    PassphraseLength,
    /// The key derivation failed.
    #[error("cannot derive a key from the passphrase")]
    Kdf(#[from] argon2::Error),
    /// The keys in the file are malformed.
    #[error("key file holds malformed keys: restore it from a backup")]
    Bundle(#[from] crate::bundle::Error),
}

/// A passphrase: wiped on drop, redacted in `Debug`.
pub struct Passphrase(Zeroizing<String>);

impl Passphrase {
    /// Takes over a passphrase of 1 to [`MAX_PASSPHRASE_LEN`] bytes.
    pub fn new(passphrase: Zeroizing<String>) -> Result<Self, Error> {
        match passphrase.len() {
            1..=MAX_PASSPHRASE_LEN => Ok(Self(passphrase)),
            _ => Err(Error::PassphraseLength),
        }
    }

    fn expose(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

impl fmt::Debug for Passphrase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Passphrase(redacted)")
    }
}

/// What to do when the path is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Existing {
    /// Leave it and fail with [`Error::Exists`].
    Refuse,
    /// Put the new file in its place.
    Replace,
}

/// Writes `bundle` to `path` with mode 0600, encrypted when there is a passphrase; missing folders get mode 0700.
pub fn save(
    path: &Path,
    bundle: &KeyBundle,
    passphrase: Option<&Passphrase>,
    existing: Existing,
    random: &mut dyn Random,
) -> Result<(), Error> {
    if path.file_name().is_none() {
        return Err(Error::NotAFile(path.to_owned()));
    }
    // Spares the key derivation; the link below is what decides.
    if existing == Existing::Refuse && path.symlink_metadata().is_ok() {
        return Err(Error::Exists(path.to_owned()));
    }
    let bytes = seal::encode(bundle, passphrase, random)?;
    let folder = folder_of(path);
    DirBuilder::new().recursive(true).mode(DIR_MODE).create(folder).map_err(io_at("create folder", folder))?;
    let temporary = Temporary::write(path, &bytes, random)?;
    temporary.publish(path, existing)?;
    sync(folder)
}

/// Reads the bundle at `path`; `passphrase` must be given exactly when the file is encrypted.
pub fn load(path: &Path, passphrase: Option<&Passphrase>) -> Result<KeyBundle, Error> {
    seal::decode(&read(path)?, passphrase)
}

/// How the file at `path` is protected, so that a caller knows whether to ask for a passphrase.
pub fn protection(path: &Path) -> Result<Protection, Error> {
    seal::protection(&read(path)?)
}

fn read(path: &Path) -> Result<Zeroizing<Vec<u8>>, Error> {
    // Looked at before opening too, because opening a pipe would block.
    check(path, &fs::metadata(path).map_err(missing_or("look at", path))?)?;
    let file = File::open(path).map_err(missing_or("open", path))?;
    check(path, &file.metadata().map_err(io_at("look at", path))?)?;
    let mut bytes = Zeroizing::new(Vec::with_capacity(MAX_LEN + 1));
    let limit = u64::try_from(MAX_LEN + 1).unwrap_or(u64::MAX);
    file.take(limit).read_to_end(&mut bytes).map_err(io_at("read", path))?;
    match bytes.len() > MAX_LEN {
        true => Err(Error::NotAKeyFile),
        false => Ok(bytes),
    }
}

fn check(path: &Path, metadata: &fs::Metadata) -> Result<(), Error> {
    let mode = metadata.permissions().mode() & 0o777;
    match metadata.is_file() {
        false => Err(Error::NotAFile(path.to_owned())),
        true if mode & OTHERS != 0 => Err(Error::Exposed { path: path.to_owned(), mode }),
        true => Ok(()),
    }
}

/// A complete file beside its destination; removed on drop unless it was renamed there.
struct Temporary(PathBuf);

impl Temporary {
    fn write(beside: &Path, bytes: &[u8], random: &mut dyn Random) -> Result<Self, Error> {
        let mut suffix = [0; 8];
        random.fill(&mut suffix);
        let mut name = std::ffi::OsString::from(".");
        name.push(beside.file_name().unwrap_or_default());
        name.push(format!(".{:016x}.tmp", u64::from_be_bytes(suffix)));
        let path = beside.with_file_name(name);
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(FILE_MODE)
            .open(&path)
            .map_err(io_at("create", &path))?;
        let temporary = Self(path);
        file.write_all(bytes).and_then(|()| file.sync_all()).map_err(io_at("write", &temporary.0))?;
        Ok(temporary)
    }

    fn publish(self, path: &Path, existing: Existing) -> Result<(), Error> {
        // A link fails when the name is taken, where a rename would replace it.
        match existing {
            Existing::Replace => fs::rename(&self.0, path).map_err(io_at("replace", path)),
            Existing::Refuse => fs::hard_link(&self.0, path).map_err(|source| match source.kind() {
                io::ErrorKind::AlreadyExists => Error::Exists(path.to_owned()),
                _ => io_at("create", path)(source),
            }),
        }
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        // After a rename there is nothing left to remove, and nobody to tell about any other failure.
        let _ = fs::remove_file(&self.0);
    }
}

fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}

fn sync(folder: &Path) -> Result<(), Error> {
    File::open(folder).and_then(|handle| handle.sync_all()).map_err(io_at("sync folder", folder))
}

fn io_at(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Error {
    move |source| Error::Io { action, path: path.to_owned(), source }
}

fn missing_or(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Error {
    move |source| match source.kind() {
        io::ErrorKind::NotFound => Error::Missing(path.to_owned()),
        _ => Error::Io { action, path: path.to_owned(), source },
    }
}
