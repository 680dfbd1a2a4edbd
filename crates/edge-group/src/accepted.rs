//! Commits that the committer has accepted, signed for every member.

use edge_crypto::hash::sha256;
use edge_crypto::sign::Signature;
use edge_identity::{KeyBundle, PublicBundle};
use edge_wire::id::{Epoch, StreamId};
use edge_wire::{Reader, Writer, domain};

use crate::{Error, MAX_COMMIT_LEN};

const VERSION: u8 = 1;

/// A commit with its committer's signature: it is the one that ends its epoch. Exists only signed or verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AcceptedCommit {
    stream: StreamId,
    ends: Epoch,
    commit: Vec<u8>,
    signature: Signature,
}

impl AcceptedCommit {
    /// Longest accepted commit in bytes.
    pub const MAX_LEN: usize = 1 + 32 + 8 + 4 + MAX_COMMIT_LEN + Signature::LEN;

    pub(crate) fn sign(committer: &KeyBundle, stream: StreamId, ends: Epoch, commit: Vec<u8>) -> Result<Self, Error> {
        let signature = committer.sign(&message(stream, ends, &commit))?;
        Ok(Self { stream, ends, commit, signature })
    }

    /// Parses the wire bytes and demands the committer's signature.
    pub fn verify(bytes: &[u8], committer: &PublicBundle) -> Result<Self, Error> {
        let mut reader = Reader::new(bytes);
        let version = reader.u8("version")?;
        if version != VERSION {
            return Err(edge_wire::Error::Unknown { field: "version", got: version.into() }.into());
        }
        let stream = StreamId(reader.array("stream_id")?);
        let ends = Epoch(reader.u64("epoch")?);
        let commit = reader.bytes32("commit", MAX_COMMIT_LEN)?.to_vec();
        let signature = Signature::from_slice(reader.take("signature", Signature::LEN)?)?;
        reader.finish()?;
        let signed = message(stream, ends, &commit);
        committer.verifying().verify(&signed, &signature).map_err(|_| Error::AcceptanceRejected)?;
        Ok(Self { stream, ends, commit, signature })
    }

    /// The wire bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = Writer::with_capacity(self.len());
        out.u8(VERSION).raw(&self.stream.0).u64(self.ends.0).bytes32(&self.commit).raw(&self.signature.to_bytes());
        out.finish()
    }

    /// The stream of the group.
    pub fn stream(&self) -> StreamId {
        self.stream
    }

    /// The epoch that it ends; it leads into the next one.
    pub fn ends(&self) -> Epoch {
        self.ends
    }

    /// The MLS message, for [`Group::process`](crate::Group::process).
    pub fn commit(&self) -> &[u8] {
        &self.commit
    }

    /// Bytes on the wire.
    pub(crate) fn len(&self) -> usize {
        1 + 32 + 8 + 4 + self.commit.len() + Signature::LEN
    }
}

fn message(stream: StreamId, ends: Epoch, commit: &[u8]) -> Vec<u8> {
    let mut out = Writer::new();
    out.raw(domain::ACCEPTED_COMMIT).raw(&stream.0).u64(ends.0).raw(&sha256(&[commit]));
    out.finish()
}
