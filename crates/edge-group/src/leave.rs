//! Leaving: a member cannot commit its own removal, so it asks, signed, and drops its keys at once.

use edge_crypto::sign::Signature;
use edge_identity::{KeyBundle, PublicBundle};
use edge_wire::id::StreamId;
use edge_wire::{Reader, Writer, domain};

use crate::{Error, Group};

const VERSION: u8 = 1;
const LEAF_KEY_LEN: usize = 32;

/// A member's signed wish to be removed. It names the leaf's own key, so it is void once that leaf is gone and cannot
/// be replayed against a later membership of the same peer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeaveRequest {
    stream: StreamId,
    leaf_key: [u8; LEAF_KEY_LEN],
    signature: Signature,
}

impl LeaveRequest {
    /// Bytes on the wire.
    pub const LEN: usize = 1 + 32 + LEAF_KEY_LEN + Signature::LEN;

    /// Parses the wire bytes.
    pub fn parse(bytes: &[u8]) -> Result<Self, Error> {
        let mut reader = Reader::new(bytes);
        let version = reader.u8("version")?;
        if version != VERSION {
            return Err(edge_wire::Error::Unknown { field: "version", got: version.into() }.into());
        }
        let stream = StreamId(reader.array("stream_id")?);
        let leaf_key = reader.array("leaf_key")?;
        let signature = Signature::from_slice(reader.take("signature", Signature::LEN)?)?;
        reader.finish()?;
        Ok(Self { stream, leaf_key, signature })
    }

    /// The wire bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = Writer::with_capacity(Self::LEN);
        out.u8(VERSION).raw(&self.stream.0).raw(&self.leaf_key).raw(&self.signature.to_bytes());
        out.finish()
    }

    /// Demands that `member` signed it and that the leaf it names is that member's in `group`; then the committer
    /// stages [`Delta::Leave`](crate::Delta::Leave).
    pub fn verify(&self, member: &PublicBundle, group: &Group) -> Result<(), Error> {
        if self.stream != group.stream() {
            return Err(Error::WrongGroup);
        }
        member.verifying().verify(&message(self.stream, &self.leaf_key), &self.signature)?;
        match group.leaf_keys(member.key_id()).any(|key| key == self.leaf_key) {
            true => Ok(()),
            false => Err(Error::MemberNotFound(member.key_id().clone())),
        }
    }
}

impl Group {
    /// Leaves: drops every key of the group now and gives the request that the committer needs.
    pub fn leave(self, own: &KeyBundle) -> Result<LeaveRequest, Error> {
        let stream = self.stream();
        let leaf_key = self.own_leaf_key()?;
        Ok(LeaveRequest { stream, leaf_key, signature: own.sign(&message(stream, &leaf_key))? })
    }
}

fn message(stream: StreamId, leaf_key: &[u8; LEAF_KEY_LEN]) -> Vec<u8> {
    [domain::LEAVE, &stream.0, leaf_key].concat()
}
