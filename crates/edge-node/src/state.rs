//! A publisher's state on disk: the group, its join secret and who is who, sealed in one file that is replaced
//! atomically before a commit leaves the machine. Layout in `docs/spec/publisher-state.md`.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File, TryLockError};
use std::io::Write;
use std::path::{Path, PathBuf};

use edge_crypto::Secret;
use edge_crypto::random::System;
use edge_group::snapshot;
use edge_identity::bundle::KeyBundle;
use edge_wire::id::{Fingerprint, KeyId, StreamId};
use edge_wire::{Reader, Writer};
use zeroize::Zeroizing;

use crate::Error;
use crate::ticket::JoinSecret;

/// Most members and removed identities that a record holds.
pub const MAX_PEERS: usize = 4096;

const VERSION: u8 = 1;
/// Longest record: a snapshot and the lists around it.
const MAX_LEN: u64 = snapshot::MAX_LEN as u64 + (MAX_PEERS * 2 * 512) as u64;

/// Everything that a publisher needs to go on after a restart.
#[derive(Debug)]
pub struct Record {
    /// When the stream began, in µs since 1970: media time counts from there.
    pub born_us: u64,
    /// Secret of the present ticket.
    pub secret: JoinSecret,
    /// Members by fingerprint.
    pub names: BTreeMap<Fingerprint, KeyId>,
    /// Identities that stay refused.
    pub removed: BTreeSet<Fingerprint>,
    /// The MLS session's snapshot.
    pub group: Zeroizing<Vec<u8>>,
}

/// Where one stream's record lives. Holding it keeps every other process out: two publishers of one stream would seal
/// different frames under the same nonces.
#[derive(Debug)]
pub struct Vault {
    path: PathBuf,
    _lock: File,
}

impl Vault {
    /// The vault of `stream` in `folder`, which is created when missing.
    pub fn new(folder: &Path, stream: StreamId) -> Result<Self, Error> {
        fs::create_dir_all(folder).map_err(|source| failed("create", folder, source))?;
        let path = folder.join(format!("{stream}.state"));
        let lock_path = path.with_extension("lock");
        let lock = File::create(&lock_path).map_err(|source| failed("create", &lock_path, source))?;
        match lock.try_lock() {
            Ok(()) => Ok(Self { path, _lock: lock }),
            Err(TryLockError::WouldBlock) => Err(Error::InUse { path: folder.display().to_string() }),
            Err(TryLockError::Error(source)) => Err(failed("lock", &lock_path, source)),
        }
    }

    /// Seals and writes a record; when it returns, the bytes are on the disk.
    pub fn store(&self, record: &Record, own: &KeyBundle) -> Result<(), Error> {
        let sealed = snapshot::seal(&record.to_bytes(), own, &mut System)?;
        let temporary = self.path.with_extension("tmp");
        let write = || -> std::io::Result<()> {
            let mut file = File::create(&temporary)?;
            file.write_all(&sealed)?;
            file.sync_all()?;
            fs::rename(&temporary, &self.path)?;
            self.path.parent().map_or(Ok(()), |folder| File::open(folder)?.sync_all())
        };
        write().map_err(|source| failed("write", &self.path, source))
    }

    /// The last record, if there is one.
    pub fn load(&self, own: &KeyBundle) -> Result<Option<Record>, Error> {
        let len = match fs::metadata(&self.path) {
            Ok(found) => found.len(),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(failed("read", &self.path, source)),
        };
        if len > MAX_LEN {
            return Err(edge_group::Error::SnapshotRejected.into());
        }
        let sealed = fs::read(&self.path).map_err(|source| failed("read", &self.path, source))?;
        let plain = snapshot::open(&sealed, own)?;
        Record::parse(&plain).map(Some).map_err(|_| edge_group::Error::SnapshotRejected.into())
    }
}

impl Record {
    fn to_bytes(&self) -> Zeroizing<Vec<u8>> {
        let mut out = Writer::with_capacity(self.group.len() + 4096);
        out.u8(VERSION).u64(self.born_us).raw(self.secret.expose());
        out.u32(count(self.names.len()));
        for (peer, name) in self.names.iter().take(MAX_PEERS) {
            out.raw(&peer.0).bytes16(name.as_bytes());
        }
        out.u32(count(self.removed.len()));
        for peer in self.removed.iter().take(MAX_PEERS) {
            out.raw(&peer.0);
        }
        out.raw(&self.group);
        Zeroizing::new(out.finish())
    }

    /// Parses what a vault sealed.
    pub fn parse(bytes: &[u8]) -> Result<Self, edge_wire::Error> {
        let mut reader = Reader::new(bytes);
        match reader.u8("version")? {
            VERSION => {}
            got => return Err(edge_wire::Error::Unknown { field: "version", got: u64::from(got) }),
        }
        let born_us = reader.u64("born")?;
        let secret = Secret::take(&mut reader.array("secret")?);
        let mut names = BTreeMap::new();
        for _ in 0..peers(&mut reader)? {
            names.insert(Fingerprint(reader.array("member")?), KeyId::read(&mut reader)?);
        }
        let mut removed = BTreeSet::new();
        for _ in 0..peers(&mut reader)? {
            removed.insert(Fingerprint(reader.array("removed")?));
        }
        Ok(Self { born_us, secret, names, removed, group: Zeroizing::new(reader.rest().to_vec()) })
    }
}

fn count(len: usize) -> u32 {
    u32::try_from(len.min(MAX_PEERS)).unwrap_or(0)
}

fn peers(reader: &mut Reader<'_>) -> Result<usize, edge_wire::Error> {
    let got = usize::try_from(reader.u32("peers")?).unwrap_or(usize::MAX);
    match got > MAX_PEERS {
        true => Err(edge_wire::Error::TooLong { field: "peers", got, bound: MAX_PEERS }),
        false => Ok(got),
    }
}

fn failed(action: &'static str, path: &Path, source: std::io::Error) -> Error {
    Error::File { action, path: path.display().to_string(), source }
}
