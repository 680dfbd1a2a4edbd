//! Group state on disk: a sealed snapshot, replaced atomically before a commit leaves the machine.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use edge_crypto::random::System;
use edge_group::snapshot;
use edge_identity::bundle::KeyBundle;
use edge_wire::id::StreamId;
use zeroize::Zeroizing;

use crate::Error;

/// Where one stream's snapshot lives.
#[derive(Debug, Clone)]
pub struct Vault {
    path: PathBuf,
}

impl Vault {
    /// The vault of `stream` in `folder`, which is created when missing.
    pub fn new(folder: &Path, stream: StreamId) -> Result<Self, Error> {
        fs::create_dir_all(folder).map_err(|source| failed("create", folder, source))?;
        Ok(Self { path: folder.join(format!("{stream}.group")) })
    }

    /// Seals and writes a snapshot; when it returns, the bytes are on the disk.
    pub fn store(&self, plain: &Zeroizing<Vec<u8>>, own: &KeyBundle) -> Result<(), Error> {
        let sealed = snapshot::seal(plain, own, &mut System)?;
        let temporary = self.path.with_extension("tmp");
        let write = || -> std::io::Result<()> {
            let mut file = fs::File::create(&temporary)?;
            file.write_all(&sealed)?;
            file.sync_all()?;
            fs::rename(&temporary, &self.path)?;
            self.path.parent().map_or(Ok(()), |folder| fs::File::open(folder)?.sync_all())
        };
        write().map_err(|source| failed("write", &self.path, source))
    }

    /// The last snapshot, if there is one.
    pub fn load(&self, own: &KeyBundle) -> Result<Option<Zeroizing<Vec<u8>>>, Error> {
        let len = match fs::metadata(&self.path) {
            Ok(found) => found.len(),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(failed("read", &self.path, source)),
        };
        if len > snapshot::MAX_LEN as u64 + 1024 {
            return Err(edge_group::Error::SnapshotRejected.into());
        }
        let sealed = fs::read(&self.path).map_err(|source| failed("read", &self.path, source))?;
        Ok(Some(snapshot::open(&sealed, own)?))
    }
}

fn failed(action: &'static str, path: &Path, source: std::io::Error) -> Error {
    Error::File { action, path: path.display().to_string(), source }
}
