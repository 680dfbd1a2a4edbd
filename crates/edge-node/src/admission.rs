//! Admission: what a newcomer and the publisher say to each other through relays that must not understand it.
//!
//! Requests and replies are sealed under keys derived from the ticket's join secret, so a relay sees neither names nor
//! key packages. The secret admits nobody by itself: the offer and the Welcome inside are signed by both identities.
//! Specified in `docs/spec/admission.md`.

use bytes::Bytes;
use edge_crypto::{Random, aead, hash};
use edge_wire::id::{Epoch, Fingerprint, StreamId};
use edge_wire::{Reader, Writer, domain};

use crate::description::Description;
use crate::ticket::JoinSecret;

/// Longest offer, signed Welcome, commit or ratchet tree inside an envelope, in bytes.
pub const MAX_PART: usize = 900 * 1024;

const SEALED: u8 = 1;
const CLEAR: u8 = 2;
const LEAVE: u8 = 3;

/// From a peer below to the publisher.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Request {
    /// Admit me: a signed key package offer.
    Join(Bytes),
    /// Take this commit that refreshes my leaf; only members can make one, so it needs no ticket.
    Refresh(Bytes),
    /// Remove me: my public bundle and my signed request, which need no ticket.
    Leave {
        /// Canonical bytes of the bundle.
        bundle: Bytes,
        /// Signed request.
        request: Bytes,
    },
}

/// From the publisher to one peer below.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reply {
    /// You are admitted.
    Welcome {
        /// Epoch that the Welcome leads into; its ratchet tree is fetched by this number.
        epoch: Epoch,
        /// Where its ratchet tree is.
        tree: Tree,
        /// Signed Welcome envelope.
        welcome: Bytes,
        /// What the stream carries.
        description: Description,
    },
    /// You are not admitted.
    Refused(Refusal),
    /// It is your turn to refresh your leaf.
    RefreshTurn,
}

/// Where the ratchet tree of a Welcome is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tree {
    /// Fetched by the Welcome's epoch, under the present ticket.
    Apart,
    /// Inside the Welcome, for a member that comes back with an older ticket.
    Inside,
}

/// Why a newcomer is not admitted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// The request was not sealed with the present join secret.
    #[error("the ticket is not valid (any more): ask the publisher for a new one")]
    Ticket,
    /// The newcomer was removed by the publisher.
    #[error("the publisher removed this identity from the stream")]
    Removed,
    /// The newcomer lacks the post-quantum half of its keys.
    #[error("this identity has no ML-KEM-768 key: create a new one with `edge keygen`")]
    PeerLacksMlkem,
    /// The offer does not verify.
    #[error("the publisher could not verify the key package offer: check this machine's clock")]
    Offer,
    /// Another member has this name.
    #[error("a member with this name is already there: choose another with `edge keygen --id NAME`")]
    Duplicate,
    /// The group is full.
    #[error("the group has no room: ask the publisher to raise the limit")]
    Full,
    /// Too many requests from one peer.
    #[error("too many requests: wait a few seconds and try again")]
    TooMany,
}

/// Why an envelope could not be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// It does not open under this ticket's secret.
    #[error("the envelope was sealed with another ticket")]
    Sealed,
    /// Its fields do not parse.
    #[error("malformed envelope")]
    Content(#[from] edge_wire::Error),
}

/// The two directions' keys of one ticket.
#[derive(Debug)]
pub struct Keys {
    up: aead::Key,
    down: aead::Key,
    tree: aead::Key,
}

impl Keys {
    /// Derives the keys of (secret, stream).
    pub fn new(secret: &JoinSecret, stream: StreamId) -> Result<Self, edge_crypto::Error> {
        let key = |direction: &[u8]| {
            let info: [&[u8]; 2] = [domain::ADMISSION, direction];
            hash::hkdf_sha256::<32>(secret.expose(), &stream.0, &info).map(|secret| aead::Key::new(&secret))
        };
        Ok(Self { up: key(b"up")?, down: key(b"down")?, tree: key(b"tree")? })
    }

    /// Seals a request of `from`.
    pub fn seal_request(
        &self,
        request: &Request,
        from: Fingerprint,
        random: &mut dyn Random,
    ) -> Result<Bytes, edge_crypto::Error> {
        match request {
            Request::Join(offer) => seal(&self.up, from, offer, random),
            Request::Refresh(commit) => Ok(refresh(commit)),
            Request::Leave { bundle, request } => Ok(leave(bundle, request)),
        }
    }

    /// Opens a request that is said to come from `from`.
    pub fn open_request(&self, body: &[u8], from: Fingerprint) -> Result<Request, Error> {
        let mut reader = Reader::new(body);
        match reader.u8("envelope")? {
            SEALED => Ok(Request::Join(open(&self.up, from, reader.rest())?)),
            CLEAR => Ok(Request::Refresh(Bytes::copy_from_slice(reader.rest()))),
            LEAVE => Ok(Request::Leave {
                bundle: Bytes::copy_from_slice(reader.bytes16("bundle", edge_identity::bundle::MAX_LEN)?),
                request: Bytes::copy_from_slice(reader.rest()),
            }),
            got => Err(edge_wire::Error::Unknown { field: "envelope", got: u64::from(got) }.into()),
        }
    }

    /// Seals a reply to `to`.
    pub fn seal_reply(
        &self,
        reply: &Reply,
        to: Fingerprint,
        random: &mut dyn Random,
    ) -> Result<Bytes, edge_crypto::Error> {
        seal(&self.down, to, &reply.to_bytes(), random)
    }

    /// Opens a reply addressed to `to`. Whatever matters is refused unless it was sealed.
    pub fn open_reply(&self, body: &[u8], to: Fingerprint) -> Result<Reply, Error> {
        let mut reader = Reader::new(body);
        match reader.u8("envelope")? {
            SEALED => Ok(Reply::parse(&open(&self.down, to, reader.rest())?)?),
            CLEAR => match Reply::parse(reader.rest())? {
                Reply::Welcome { .. } => Err(Error::Sealed),
                harmless => Ok(harmless),
            },
            got => Err(edge_wire::Error::Unknown { field: "envelope", got: u64::from(got) }.into()),
        }
    }

    /// Seals the ratchet tree of an epoch for every ticket holder.
    pub fn seal_tree(&self, tree: &[u8], random: &mut dyn Random) -> Result<Bytes, edge_crypto::Error> {
        seal(&self.tree, TREE_READER, tree, random)
    }

    /// Opens a ratchet tree. Its content is checked by MLS against the Welcome's signed tree hash.
    pub fn open_tree(&self, body: &[u8]) -> Result<Bytes, Error> {
        let mut reader = Reader::new(body);
        match reader.u8("envelope")? {
            SEALED => open(&self.tree, TREE_READER, reader.rest()),
            got => Err(edge_wire::Error::Unknown { field: "envelope", got: u64::from(got) }.into()),
        }
    }
}

/// A tree has no single addressee.
const TREE_READER: Fingerprint = Fingerprint([0; 32]);

/// A member's refresh commit: already encrypted and authenticated by MLS.
pub fn refresh(commit: &[u8]) -> Bytes {
    Bytes::from([&[CLEAR], commit].concat())
}

/// A member's signed wish to be removed; it reveals to relays that somebody leaves, which the silence after it does
/// too.
pub fn leave(bundle: &[u8], request: &[u8]) -> Bytes {
    let mut out = Writer::new();
    out.u8(LEAVE).bytes16(bundle).raw(request);
    out.finish().into()
}

/// A reply that reveals nothing and that a peer with a wrong ticket must be able to read.
pub fn clear_reply(reply: &Reply) -> Bytes {
    Bytes::from([&[CLEAR][..], &reply.to_bytes()].concat())
}

impl Reply {
    fn to_bytes(&self) -> Vec<u8> {
        let mut out = Writer::new();
        match self {
            Self::Welcome { epoch, tree, welcome, description } => {
                out.u8(1).u64(epoch.0).u8(u8::from(*tree == Tree::Inside)).bytes32(welcome);
                description.write(&mut out);
            }
            Self::Refused(refusal) => {
                out.u8(2).u8(refusal.code());
            }
            Self::RefreshTurn => {
                out.u8(3);
            }
        }
        out.finish()
    }

    fn parse(bytes: &[u8]) -> Result<Self, edge_wire::Error> {
        let mut reader = Reader::new(bytes);
        let reply = match reader.u8("reply")? {
            1 => Self::Welcome {
                epoch: Epoch(reader.u64("epoch")?),
                tree: match reader.u8("tree")? {
                    0 => Tree::Apart,
                    1 => Tree::Inside,
                    got => return Err(edge_wire::Error::Unknown { field: "tree", got: u64::from(got) }),
                },
                welcome: Bytes::copy_from_slice(reader.bytes32("welcome", MAX_PART)?),
                description: Description::read(&mut reader)?,
            },
            2 => Self::Refused(Refusal::read(&mut reader)?),
            3 => Self::RefreshTurn,
            got => return Err(edge_wire::Error::Unknown { field: "reply", got: u64::from(got) }),
        };
        reader.finish()?;
        Ok(reply)
    }
}

impl Refusal {
    fn code(self) -> u8 {
        match self {
            Self::Ticket => 1,
            Self::Removed => 2,
            Self::PeerLacksMlkem => 3,
            Self::Offer => 4,
            Self::Duplicate => 5,
            Self::Full => 6,
            Self::TooMany => 7,
        }
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, edge_wire::Error> {
        Ok(match reader.u8("refusal")? {
            1 => Self::Ticket,
            2 => Self::Removed,
            3 => Self::PeerLacksMlkem,
            4 => Self::Offer,
            5 => Self::Duplicate,
            6 => Self::Full,
            7 => Self::TooMany,
            got => return Err(edge_wire::Error::Unknown { field: "refusal", got: u64::from(got) }),
        })
    }
}

/// `SEALED || nonce || AES-256-GCM(fingerprint || part)`. The nonce is random: a ticket's key seals few envelopes.
fn seal(key: &aead::Key, peer: Fingerprint, part: &[u8], random: &mut dyn Random) -> Result<Bytes, edge_crypto::Error> {
    let mut nonce = [0; aead::NONCE_LEN];
    random.fill(&mut nonce);
    let sealed = key.seal(nonce, &[&peer.0, part].concat())?;
    Ok(Bytes::from([&[SEALED], &nonce[..], &sealed].concat()))
}

fn open(key: &aead::Key, peer: Fingerprint, sealed: &[u8]) -> Result<Bytes, Error> {
    let mut reader = Reader::new(sealed);
    let nonce = reader.array("nonce")?;
    let part = key.open(nonce, reader.rest()).map_err(|_| Error::Sealed)?;
    match part.strip_prefix(&peer.0) {
        Some(part) => Ok(Bytes::copy_from_slice(part)),
        None => Err(Error::Sealed),
    }
}
