//! Welcomes in a signed envelope: MLS itself does not say who sent one.

use edge_crypto::hash::sha256;
use edge_crypto::sign::Signature;
use edge_identity::{KeyBundle, Peer, PublicBundle, bundle};
use edge_wire::id::{Epoch, Fingerprint, StreamId};
use edge_wire::{Reader, Writer, domain};

use crate::{Error, MAX_WELCOME_LEN};

const VERSION: u8 = 1;

/// A received Welcome: well-formed, nothing about it proven.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedWelcome {
    stream: StreamId,
    joiner: Fingerprint,
    epoch: Epoch,
    inviter: PublicBundle,
    welcome: Vec<u8>,
    signature: Signature,
}

impl SignedWelcome {
    /// Longest envelope in bytes.
    pub const MAX_LEN: usize = 1 + 32 + 32 + 8 + 4 + bundle::MAX_LEN + 4 + MAX_WELCOME_LEN + Signature::LEN;

    /// Addresses a Welcome into `epoch` to one joiner.
    pub(crate) fn sign(
        inviter: &KeyBundle,
        (stream, joiner, epoch): (StreamId, Fingerprint, Epoch),
        welcome: Vec<u8>,
    ) -> Result<Self, Error> {
        let signature = inviter.sign(&message(stream, joiner, epoch, &welcome))?;
        Ok(Self { stream, joiner, epoch, inviter: inviter.public().clone(), welcome, signature })
    }

    /// Parses the wire bytes.
    pub fn parse(bytes: &[u8]) -> Result<Self, Error> {
        let mut reader = Reader::new(bytes);
        let version = reader.u8("version")?;
        if version != VERSION {
            return Err(edge_wire::Error::Unknown { field: "version", got: version.into() }.into());
        }
        let stream = StreamId(reader.array("stream_id")?);
        let joiner = Fingerprint(reader.array("joiner")?);
        let epoch = Epoch(reader.u64("epoch")?);
        let inviter = reader.bytes32("inviter", bundle::MAX_LEN)?;
        let welcome = reader.bytes32("welcome", MAX_WELCOME_LEN)?.to_vec();
        let signature = Signature::from_slice(reader.take("signature", Signature::LEN)?)?;
        reader.finish()?;
        Ok(Self { stream, joiner, epoch, inviter: PublicBundle::parse(inviter)?, welcome, signature })
    }

    /// The wire bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = Writer::with_capacity(self.welcome.len() + 8 * 1024);
        out.u8(VERSION).raw(&self.stream.0).raw(&self.joiner.0).u64(self.epoch.0);
        out.bytes32(&self.inviter.to_bytes()).bytes32(&self.welcome).raw(&self.signature.to_bytes());
        out.finish()
    }

    /// The joiner it is addressed to.
    pub fn joiner(&self) -> Fingerprint {
        self.joiner
    }

    /// The epoch it leads into, as claimed: the ratchet tree to fetch is this epoch's.
    pub fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// Proves that `inviter` made this Welcome for `own`. There is no trust on first use: the inviter's fingerprint
    /// comes from the ticket.
    pub fn verify(self, inviter: Fingerprint, own: Fingerprint) -> Result<VerifiedWelcome, Error> {
        if self.inviter.fingerprint() != inviter {
            return Err(Error::InviterUnknown);
        }
        if self.joiner != own {
            return Err(Error::WelcomeSignatureRejected);
        }
        let signed = message(self.stream, self.joiner, self.epoch, &self.welcome);
        let inviter =
            Peer::prove(self.inviter, &signed, &self.signature).map_err(|_| Error::WelcomeSignatureRejected)?;
        Ok(VerifiedWelcome { stream: self.stream, epoch: self.epoch, inviter, welcome: self.welcome })
    }
}

/// A Welcome that the expected inviter made for this peer; what [`PendingJoin::accept`](crate::PendingJoin::accept)
/// takes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifiedWelcome {
    pub(crate) stream: StreamId,
    pub(crate) epoch: Epoch,
    pub(crate) inviter: Peer,
    pub(crate) welcome: Vec<u8>,
}

impl VerifiedWelcome {
    /// The inviter, proven.
    pub fn inviter(&self) -> &Peer {
        &self.inviter
    }

    /// The epoch it leads into.
    pub fn epoch(&self) -> Epoch {
        self.epoch
    }
}

fn message(stream: StreamId, joiner: Fingerprint, epoch: Epoch, welcome: &[u8]) -> Vec<u8> {
    let mut out = Writer::new();
    out.raw(domain::WELCOME).raw(&stream.0).raw(&joiner.0).u64(epoch.0).raw(&sha256(&[welcome]));
    out.finish()
}
