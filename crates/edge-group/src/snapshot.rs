//! Persistence of a committer's session, and coming back from it without ever using a counter twice.
//!
//! The order that survives a crash at any point: stage, write the snapshot, send, merge. The snapshot holds the staged
//! commit with its keys and its messages, so:
//! - a crash before the write leaves a commit that nobody has seen; the state on disk is the members' state;
//! - a crash after it leaves a commit that some, all or none have seen. [`Restored`] gives the same messages to send
//!   again, merges the same commit, and members that have it already report
//!   [`Error::StaleCommit`].
//!
//! Had the snapshot been written after sending, a crash in between would leave members in an epoch that this session
//! cannot enter. After the merge nothing needs to be written: the snapshot before it leads to the same epoch.
//!
//! Whatever was sealed before the crash, its counter is lost. So a restored session does not give out a key: it
//! rotates first ([`Rotating`]). A member that is not the committer keeps no snapshot: it rejoins with a new key
//! package.

use std::collections::{HashMap, VecDeque};

use edge_crypto::{Random, Secret, aead, hash};
use edge_identity::{KeyBundle, PublicBundle, bundle};
use edge_seal::EpochDek;
use edge_wire::id::{Epoch, Fingerprint, KeyId, StreamId};
use edge_wire::{Reader, Writer, domain};
use openmls::prelude::{MlsGroup, OpenMlsProvider};
use zeroize::Zeroizing;

use crate::mls::Store;
use crate::session::{Incarnation, MAX_USED, Place};
use crate::{Delta, Emission, Error, Group, Joiner, MAX_COMMIT_LEN, MAX_OPS, MAX_WELCOME_LEN, Staged};

/// Largest snapshot in bytes.
pub const MAX_LEN: usize = 64 << 20;
/// Most entries of the MLS store.
pub const MAX_ENTRIES: usize = 1 << 16;

const VERSION: u8 = 1;
const SALT_LEN: usize = 32;
const KEY_AND_NONCE_LEN: usize = 32 + aead::NONCE_LEN;

impl Group {
    /// The whole session with its private keys and its staged commit; wiped on drop. Seal it before it touches a disk.
    pub fn snapshot(&self) -> Result<Zeroizing<Vec<u8>>, Error> {
        self.check_member()?;
        let store = self.store.entries(entry_bytes)?;
        // Grown in one piece: a buffer that moves leaves copies of private keys behind.
        let emission =
            self.latest.as_ref().map_or(0, |latest| latest.commit.len() + MAX_OPS * 64 + welcome_len(latest));
        let mut out = Writer::with_capacity(store.len() + emission + 32 * self.used_key_packages.len() + 16 * 1024);
        out.u8(VERSION).raw(&self.place.stream.0).raw(&self.place.incarnation.0).u64(self.place.first_epoch.0);
        out.bytes16(self.place.own.as_bytes()).bytes32(&self.place.committer.to_bytes()).bytes16(self.signer.public());
        match (&self.latest, self.staged) {
            (None, _) => out.u8(0),
            (Some(latest), None) => write_emission(out.u8(1), latest),
            (Some(latest), Some(_)) => write_emission(out.u8(2), latest),
        };
        write_hashes(&mut out, self.used_key_packages.iter());
        out.raw(&store);
        let bytes = Zeroizing::new(out.finish());
        match bytes.len() > MAX_LEN {
            true => Err(Error::TooMany { what: "snapshot bytes", got: bytes.len(), bound: MAX_LEN }),
            false => Ok(bytes),
        }
    }
}

/// A session from a snapshot. It has no key to give: it must rotate.
#[derive(Debug)]
pub struct Restored {
    group: Group,
    pending: bool,
}

impl Restored {
    /// Reads a snapshot back; refused when it is not `own`'s.
    pub fn parse(bytes: &[u8], own: &KeyBundle) -> Result<Self, Error> {
        let restored = Self::read(bytes).map_err(|_| Error::SnapshotRejected)?;
        match restored.group.place.own == *own.key_id() {
            true => Ok(restored),
            false => Err(Error::SnapshotRejected),
        }
    }

    /// The latest commit before the crash, to be sent again before the rotation: nobody knows who got it.
    pub fn resend(&self) -> Option<&Emission> {
        self.group.latest.as_ref()
    }

    /// Merges what was staged, and stages a rotation on top of it.
    pub fn rotate(mut self) -> Result<Rotating, Error> {
        if self.pending {
            self.group.merge_pending()?;
        }
        let staged = self.group.stage(&Delta::Rotate)?;
        Ok(Rotating { group: self.group, staged })
    }

    fn read(bytes: &[u8]) -> Result<Self, Error> {
        if bytes.len() > MAX_LEN {
            return Err(Error::SnapshotRejected);
        }
        let mut reader = Reader::new(bytes);
        if reader.u8("version")? != VERSION {
            return Err(Error::SnapshotRejected);
        }
        let place = read_place(&mut reader)?;
        let leaf_key = reader.bytes16("leaf_key", 32)?.to_vec();
        let (latest, pending) = match reader.u8("latest")? {
            0 => (None, false),
            kind @ 1..=2 => (Some(read_emission(&mut reader, place.stream)?), kind == 2),
            _ => return Err(Error::SnapshotRejected),
        };
        let used_key_packages: VecDeque<_> = read_hashes(&mut reader)?;
        let store = Store::with_entries(read_entries(&mut reader)?)?;
        reader.finish()?;
        let signer = store.signer(&leaf_key).ok_or(Error::SnapshotRejected)?;
        let group_id = place.incarnation.group_id(place.stream);
        let loaded = MlsGroup::load(store.provider().storage(), &group_id).map_err(|_| Error::SnapshotRejected)?;
        let mut group = Group::new(store, loaded.ok_or(Error::SnapshotRejected)?, signer, place);
        if group.mls.pending_commit().is_some() != pending {
            return Err(Error::SnapshotRejected);
        }
        (group.latest, group.used_key_packages) = (latest, used_key_packages);
        Ok(Self { group, pending })
    }
}

/// A restored session whose rotation is staged: write its snapshot, send its emission, merge.
#[derive(Debug)]
pub struct Rotating {
    group: Group,
    staged: Staged,
}

impl Rotating {
    /// The rotation to send.
    pub fn emission(&self) -> &Emission {
        self.staged.emission()
    }

    /// The session with the staged rotation.
    pub fn snapshot(&self) -> Result<Zeroizing<Vec<u8>>, Error> {
        self.group.snapshot()
    }

    /// The usable session and the key of an epoch in which nothing was sealed yet.
    pub fn merge(mut self) -> Result<(Group, EpochDek), Error> {
        let dek = self.group.merge(self.staged)?;
        Ok((self.group, dek))
    }
}

/// Seals a snapshot for the disk under a key that only the identity's seeds and a fresh salt give.
pub fn seal(snapshot: &[u8], own: &KeyBundle, random: &mut dyn Random) -> Result<Vec<u8>, Error> {
    let mut salt = [0; SALT_LEN];
    random.fill(&mut salt);
    let (key, nonce) = disk_key(own, &salt)?;
    Ok([&[VERSION][..], &salt, &key.seal(nonce, snapshot)?].concat())
}

/// Opens what [`seal`] made; anything else is refused.
pub fn open(sealed: &[u8], own: &KeyBundle) -> Result<Zeroizing<Vec<u8>>, Error> {
    if sealed.len() > MAX_LEN + 1 + SALT_LEN + aead::TAG_LEN {
        return Err(Error::SnapshotRejected);
    }
    let mut reader = Reader::new(sealed);
    let version = reader.u8("version").map_err(|_| Error::SnapshotRejected)?;
    let salt = reader.array("salt").map_err(|_| Error::SnapshotRejected)?;
    if version != VERSION {
        return Err(Error::SnapshotRejected);
    }
    let (key, nonce) = disk_key(own, &salt)?;
    key.open(nonce, reader.rest()).map(Zeroizing::new).map_err(|_| Error::SnapshotRejected)
}

/// The salt is as fresh as a nonce and enters the key, so the pair of key and nonce repeats only when the salt does.
fn disk_key(own: &KeyBundle, salt: &[u8; SALT_LEN]) -> Result<(aead::Key, [u8; aead::NONCE_LEN]), Error> {
    let identity = own.signing_key();
    let seeds = Zeroizing::new([*identity.ed25519_seed().expose(), *identity.ml_dsa_seed().expose()].concat());
    let derived = hash::hkdf_sha256::<KEY_AND_NONCE_LEN>(&seeds, salt, &[domain::GROUP_SNAPSHOT])?;
    let (key, nonce) = derived.expose().split_at(32);
    let key = Secret::from_slice(key).ok_or(Error::SnapshotRejected)?;
    Ok((aead::Key::new(&key), nonce.try_into().map_err(|_| Error::SnapshotRejected)?))
}

fn read_place(reader: &mut Reader<'_>) -> Result<Place, Error> {
    Ok(Place {
        stream: StreamId(reader.array("stream_id")?),
        incarnation: Incarnation(reader.array("incarnation")?),
        first_epoch: Epoch(reader.u64("first_epoch")?),
        own: KeyId::read(reader)?,
        committer: PublicBundle::parse(reader.bytes32("committer", bundle::MAX_LEN)?)?,
    })
}

fn welcome_len(emission: &Emission) -> usize {
    emission.welcome.as_ref().map_or(0, Vec::len)
}

fn write_emission<'a>(out: &'a mut Writer, emission: &Emission) -> &'a mut Writer {
    out.u64(emission.ends.0).bytes32(&emission.commit);
    match &emission.welcome {
        Some(welcome) => out.u8(1).bytes32(welcome),
        None => out.u8(0),
    };
    write_hashes(out, emission.joiners.iter().map(|joiner| &joiner.fingerprint.0));
    write_hashes(out, emission.joiners.iter().map(|joiner| &joiner.key_package))
}

fn read_emission(reader: &mut Reader<'_>, stream: StreamId) -> Result<Emission, Error> {
    let ends = Epoch(reader.u64("ends")?);
    let commit = reader.bytes32("commit", MAX_COMMIT_LEN)?.to_vec();
    let welcome = match reader.u8("welcome")? {
        0 => None,
        1 => Some(reader.bytes32("welcome", MAX_WELCOME_LEN)?.to_vec()),
        _ => return Err(Error::SnapshotRejected),
    };
    let (fingerprints, key_packages): (Vec<_>, Vec<_>) = (read_hashes(reader)?, read_hashes(reader)?);
    if fingerprints.len() != key_packages.len() {
        return Err(Error::SnapshotRejected);
    }
    let joiner = |(fingerprint, key_package)| Joiner { fingerprint: Fingerprint(fingerprint), key_package };
    let joiners = fingerprints.into_iter().zip(key_packages).map(joiner).collect();
    Ok(Emission { stream, ends, commit, welcome, joiners })
}

fn write_hashes<'a, 'b>(out: &'a mut Writer, hashes: impl ExactSizeIterator<Item = &'b [u8; 32]>) -> &'a mut Writer {
    // Bounded by MAX_USED and MAX_OPS, both far below 2^16.
    out.u16(u16::try_from(hashes.len()).unwrap_or(u16::MAX));
    for hash in hashes {
        out.raw(hash);
    }
    out
}

fn read_hashes<C: FromIterator<[u8; 32]>>(reader: &mut Reader<'_>) -> Result<C, Error> {
    let count = usize::from(reader.u16("hashes")?);
    if count > MAX_USED {
        return Err(Error::SnapshotRejected);
    }
    (0..count).map(|_| reader.array("hash").map_err(Error::from)).collect()
}

/// The MLS store in the order of its keys, so that equal sessions give equal bytes.
fn entry_bytes(entries: &HashMap<Vec<u8>, Vec<u8>>) -> Result<Zeroizing<Vec<u8>>, Error> {
    let count = match u32::try_from(entries.len()) {
        Ok(count) if entries.len() <= MAX_ENTRIES => count,
        _ => return Err(Error::TooMany { what: "store entries", got: entries.len(), bound: MAX_ENTRIES }),
    };
    let len: usize = entries.iter().map(|(key, value)| 8 + key.len() + value.len()).sum();
    let mut sorted: Vec<_> = entries.iter().collect();
    sorted.sort();
    let mut out = Writer::with_capacity(4 + len);
    out.u32(count);
    for (key, value) in sorted {
        out.bytes32(key).bytes32(value);
    }
    Ok(Zeroizing::new(out.finish()))
}

fn read_entries(reader: &mut Reader<'_>) -> Result<HashMap<Vec<u8>, Vec<u8>>, Error> {
    let count = reader.u32("entries")? as usize;
    if count > MAX_ENTRIES {
        return Err(Error::SnapshotRejected);
    }
    let mut entries = HashMap::new();
    for _ in 0..count {
        let key = reader.bytes32("key", MAX_LEN)?.to_vec();
        entries.insert(key, reader.bytes32("value", MAX_LEN)?.to_vec());
    }
    Ok(entries)
}
