//! Control messages between neighbours on one link. Specified in `docs/spec/control.md`.
//!
//! Relays act on the clear fields and carry `body` bytes unread: those are sealed or signed end to end.

use bytes::Bytes;

use crate::id::{ChunkSeq, Epoch, Fingerprint, StreamId};
use crate::layer::{Layer, Policy};
use crate::{Error, Reader, Writer};

/// Largest control message in bytes, kind included.
pub const MAX_LEN: usize = 1 << 20;
/// Most peers on the way from the publisher that a relay announces; longer trees are refused.
pub const MAX_CHAIN: usize = 16;
/// Longest text in a refusal, in bytes.
pub const MAX_DETAIL: usize = 256;
/// Most offers that one message names.
pub const MAX_OFFERS: usize = 64;
/// Longest public bundle in an offer, in bytes.
pub const MAX_BUNDLE: usize = 4096;
/// Longest signed advertisement in an offer, in bytes.
pub const MAX_ADVERT: usize = 16 << 10;
/// Longest notice that a stream is over, in bytes.
pub const MAX_NOTICE: usize = 8 << 10;

const MAX_BODY: usize = MAX_LEN - 128;

/// One message on the control channel of a link.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Message {
    /// Child to parent: send me this stream. Both ends derive the transit key from the link and these fields.
    Subscribe {
        /// Stream wanted.
        stream: StreamId,
        /// Number the child never used before on this link; part of the transit key's derivation.
        subscription: u32,
        /// Highest layers wanted.
        policy: Policy,
        /// What the child does with the stream.
        role: Role,
    },
    /// Parent to child: the subscription stands.
    Subscribed {
        /// Stream granted.
        stream: StreamId,
        /// Number of the granted subscription.
        subscription: u32,
        /// Peers from the publisher down to the parent, the publisher first; a child that finds itself
        /// refuses the link.
        chain: Vec<Fingerprint>,
    },
    /// Child to parent: stop sending.
    Unsubscribe {
        /// Stream given up.
        stream: StreamId,
    },
    /// Child to parent: other layers from now on.
    SetPolicy {
        /// Stream concerned.
        stream: StreamId,
        /// Highest layers wanted.
        policy: Policy,
    },
    /// Parent to child: the request cannot be met.
    Refused {
        /// Stream concerned.
        stream: StreamId,
        /// Why.
        reason: Refusal,
        /// The same for a person; at most [`MAX_DETAIL`] bytes.
        detail: String,
    },
    /// Child to parent, on to the publisher: the picture needs help. Relays merge and limit these.
    Recover {
        /// Stream concerned.
        stream: StreamId,
        /// What would help.
        need: Recovery,
    },
    /// Toward the publisher, end to end.
    Up {
        /// Stream concerned.
        stream: StreamId,
        /// The peer that speaks; the first relay fills it in from the link's proven identity.
        from: Fingerprint,
        /// Opaque to relays.
        body: Bytes,
    },
    /// Toward one peer below, end to end.
    Down {
        /// Stream concerned.
        stream: StreamId,
        /// The peer addressed.
        to: Fingerprint,
        /// Opaque to relays.
        body: Bytes,
    },
    /// Toward every peer below: an accepted commit that leaves `epoch`. Relays keep the latest for
    /// [`Message::CommitsWanted`].
    Commit {
        /// Stream concerned.
        stream: StreamId,
        /// Epoch the commit was made in.
        epoch: Epoch,
        /// Signed by the publisher; opaque to relays.
        body: Bytes,
    },
    /// Toward the publisher: send again the accepted commits made in `from` and later. Relays answer what they hold.
    CommitsWanted {
        /// Stream concerned.
        stream: StreamId,
        /// First epoch whose commit is missing.
        from: Epoch,
    },
    /// Toward the publisher: send the ratchet tree of `epoch`. Relays answer what they hold.
    TreeWanted {
        /// Stream concerned.
        stream: StreamId,
        /// Epoch of the tree.
        epoch: Epoch,
    },
    /// The ratchet tree of `epoch`, sealed for ticket holders.
    Tree {
        /// Stream concerned.
        stream: StreamId,
        /// Epoch of the tree.
        epoch: Epoch,
        /// Opaque to relays.
        body: Bytes,
    },
    /// Toward every peer below: the stream is over. Relays check it and keep it for whoever subscribes later.
    Ended {
        /// Stream concerned.
        stream: StreamId,
        /// The publisher's signed statement, at most [`MAX_NOTICE`] bytes; it is passed on unchanged.
        notice: Bytes,
    },
    /// Between neighbours: I hold these capacity advertisements.
    OffersHeld {
        /// Stream concerned.
        stream: StreamId,
        /// At most [`MAX_OFFERS`].
        offers: Vec<OfferId>,
    },
    /// Answer to [`Message::OffersHeld`]: send me these.
    OffersWanted {
        /// Stream concerned.
        stream: StreamId,
        /// Advertisers, at most [`MAX_OFFERS`].
        wanted: Vec<OfferWish>,
    },
    /// One capacity advertisement, signed by its advertiser.
    Offer {
        /// Stream concerned.
        stream: StreamId,
        /// The advertiser's public bundle, or nothing for a neighbour that said it knows the bundle.
        bundle: Bytes,
        /// The signed advertisement, `capacity.md`.
        advert: Bytes,
    },
    /// Parent to child: this node's way to the publisher is another one from now on.
    Rerouted {
        /// Stream concerned.
        stream: StreamId,
        /// As in [`Message::Subscribed`]; empty while the parent has no way.
        chain: Vec<Fingerprint>,
    },
    /// Child to parent: what you sent as this chunk is not the publisher's. A relay looks where it had it from.
    Doubt {
        /// Stream concerned.
        stream: StreamId,
        /// The chunk.
        chunk: ChunkId,
    },
}

/// Names one chunk of a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ChunkId {
    /// Epoch of its key.
    pub epoch: Epoch,
    /// Its counter within the epoch.
    pub seq: ChunkSeq,
}

/// What a child does with a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Role {
    /// It uses the stream itself.
    #[default]
    Leaf,
    /// It carries the stream on: a parent that is full makes room for it.
    Carrier,
}

/// Names one advertisement.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct OfferId {
    /// The advertiser.
    pub peer: Fingerprint,
    /// Its time of measurement, milliseconds since 1970: newer ones replace older ones.
    pub measured_at_unix_ms: u64,
}

/// Asks for one advertiser's newest advertisement.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct OfferWish {
    /// The advertiser.
    pub peer: Fingerprint,
    /// Whether its public bundle is to come along.
    pub bundle: BundleWish,
}

/// Whether a neighbour lacks an advertiser's public bundle.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum BundleWish {
    /// It knows the bundle.
    Known,
    /// It needs the bundle.
    Needed,
}

/// Why a subscription is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Refusal {
    /// The parent does not carry the stream.
    UnknownStream,
    /// The parent has no room for another child.
    Full,
    /// The child already is on the way from the publisher.
    Loop,
    /// The tree would be deeper than [`MAX_CHAIN`].
    TooDeep,
    /// The request makes no sense on this link.
    Protocol,
}

/// What a receiver needs to show a picture again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Recovery {
    /// Upper spatial layers that start from the layer below.
    Switch,
    /// A frame that refers only to the long-term reference.
    LongTermReference,
    /// A key frame.
    KeyFrame,
}

impl Message {
    /// The stream that the message is about.
    pub fn stream(&self) -> StreamId {
        match self {
            Self::Subscribe { stream, .. }
            | Self::Subscribed { stream, .. }
            | Self::Unsubscribe { stream }
            | Self::SetPolicy { stream, .. }
            | Self::Refused { stream, .. }
            | Self::Recover { stream, .. }
            | Self::Up { stream, .. }
            | Self::Down { stream, .. }
            | Self::Commit { stream, .. }
            | Self::CommitsWanted { stream, .. }
            | Self::TreeWanted { stream, .. }
            | Self::Tree { stream, .. }
            | Self::Ended { stream, .. }
            | Self::OffersHeld { stream, .. }
            | Self::OffersWanted { stream, .. }
            | Self::Offer { stream, .. }
            | Self::Rerouted { stream, .. }
            | Self::Doubt { stream, .. } => *stream,
        }
    }

    /// The canonical bytes: kind, stream, fields.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = Writer::new();
        out.u8(self.kind()).raw(&self.stream().0);
        match self {
            Self::Subscribe { subscription, policy, role, .. } => {
                out.u32(*subscription);
                write_policy(&mut out, *policy);
                out.u8(u8::from(*role == Role::Carrier));
            }
            Self::Subscribed { subscription, chain, .. } => {
                out.u32(*subscription);
                write_chain(&mut out, chain);
            }
            Self::Rerouted { chain, .. } => write_chain(&mut out, chain),
            Self::OffersHeld { offers, .. } => {
                out.u8(u8::try_from(offers.len()).unwrap_or(u8::MAX));
                offers.iter().for_each(|offer| {
                    out.raw(&offer.peer.0).u64(offer.measured_at_unix_ms);
                });
            }
            Self::OffersWanted { wanted, .. } => {
                out.u8(u8::try_from(wanted.len()).unwrap_or(u8::MAX));
                wanted.iter().for_each(|wish| {
                    out.raw(&wish.peer.0).u8(u8::from(wish.bundle == BundleWish::Needed));
                });
            }
            Self::Offer { bundle, advert, .. } => {
                out.bytes16(bundle).bytes16(advert);
            }
            Self::SetPolicy { policy, .. } => write_policy(&mut out, *policy),
            Self::Refused { reason, detail, .. } => {
                out.u8(reason.code()).bytes16(detail.as_bytes());
            }
            Self::Recover { need, .. } => {
                out.u8(need.code());
            }
            Self::Up { from: peer, body, .. } | Self::Down { to: peer, body, .. } => {
                out.raw(&peer.0).bytes32(body);
            }
            Self::Commit { epoch, body, .. } | Self::Tree { epoch, body, .. } => {
                out.u64(epoch.0).bytes32(body);
            }
            Self::CommitsWanted { from: epoch, .. } | Self::TreeWanted { epoch, .. } => {
                out.u64(epoch.0);
            }
            Self::Doubt { chunk, .. } => {
                out.u64(chunk.epoch.0).u64(chunk.seq.0);
            }
            Self::Ended { notice, .. } => {
                out.bytes16(notice);
            }
            Self::Unsubscribe { .. } => {}
        }
        out.finish()
    }

    /// Parses one whole message.
    pub fn parse(bytes: &[u8]) -> Result<Self, Error> {
        if bytes.len() > MAX_LEN {
            return Err(Error::TooLong { field: "control", got: bytes.len(), bound: MAX_LEN });
        }
        let mut reader = Reader::new(bytes);
        let kind = reader.u8("kind")?;
        let stream = StreamId(reader.array("stream_id")?);
        let message = Self::read_fields(kind, stream, &mut reader)?;
        reader.finish()?;
        Ok(message)
    }

    fn read_fields(kind: u8, stream: StreamId, reader: &mut Reader<'_>) -> Result<Self, Error> {
        Ok(match kind {
            1 => {
                let (subscription, policy) = (reader.u32("subscription")?, read_policy(reader)?);
                Self::Subscribe { stream, subscription, policy, role: read_role(reader)? }
            }
            2 => Self::Subscribed { stream, subscription: reader.u32("subscription")?, chain: read_chain(reader)? },
            3 => Self::Unsubscribe { stream },
            4 => Self::SetPolicy { stream, policy: read_policy(reader)? },
            5 => Self::Refused { stream, reason: Refusal::read(reader)?, detail: read_detail(reader)? },
            6 => Self::Recover { stream, need: Recovery::read(reader)? },
            7 => Self::Up { stream, from: read_peer(reader)?, body: read_body(reader)? },
            8 => Self::Down { stream, to: read_peer(reader)?, body: read_body(reader)? },
            9 => Self::Commit { stream, epoch: read_epoch(reader)?, body: read_body(reader)? },
            10 => Self::CommitsWanted { stream, from: read_epoch(reader)? },
            11 => Self::TreeWanted { stream, epoch: read_epoch(reader)? },
            12 => Self::Tree { stream, epoch: read_epoch(reader)?, body: read_body(reader)? },
            13 => Self::Ended { stream, notice: Bytes::copy_from_slice(reader.bytes16("notice", MAX_NOTICE)?) },
            14 => Self::OffersHeld { stream, offers: read_list(reader, read_offer_id)? },
            15 => Self::OffersWanted { stream, wanted: read_list(reader, read_offer_wish)? },
            16 => {
                let bundle = Bytes::copy_from_slice(reader.bytes16("bundle", MAX_BUNDLE)?);
                let advert = Bytes::copy_from_slice(reader.bytes16("advert", MAX_ADVERT)?);
                Self::Offer { stream, bundle, advert }
            }
            17 => Self::Rerouted { stream, chain: read_chain(reader)? },
            18 => {
                let (epoch, seq) = (read_epoch(reader)?, ChunkSeq(reader.u64("seq")?));
                Self::Doubt { stream, chunk: ChunkId { epoch, seq } }
            }
            got => return Err(Error::Unknown { field: "kind", got: u64::from(got) }),
        })
    }

    fn kind(&self) -> u8 {
        match self {
            Self::Subscribe { .. } => 1,
            Self::Subscribed { .. } => 2,
            Self::Unsubscribe { .. } => 3,
            Self::SetPolicy { .. } => 4,
            Self::Refused { .. } => 5,
            Self::Recover { .. } => 6,
            Self::Up { .. } => 7,
            Self::Down { .. } => 8,
            Self::Commit { .. } => 9,
            Self::CommitsWanted { .. } => 10,
            Self::TreeWanted { .. } => 11,
            Self::Tree { .. } => 12,
            Self::Ended { .. } => 13,
            Self::OffersHeld { .. } => 14,
            Self::OffersWanted { .. } => 15,
            Self::Offer { .. } => 16,
            Self::Rerouted { .. } => 17,
            Self::Doubt { .. } => 18,
        }
    }
}

impl Refusal {
    fn code(self) -> u8 {
        match self {
            Self::UnknownStream => 1,
            Self::Full => 2,
            Self::Loop => 3,
            Self::TooDeep => 4,
            Self::Protocol => 5,
        }
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, Error> {
        Ok(match reader.u8("refusal")? {
            1 => Self::UnknownStream,
            2 => Self::Full,
            3 => Self::Loop,
            4 => Self::TooDeep,
            5 => Self::Protocol,
            got => return Err(Error::Unknown { field: "refusal", got: u64::from(got) }),
        })
    }
}

impl Recovery {
    fn code(self) -> u8 {
        match self {
            Self::Switch => 1,
            Self::LongTermReference => 2,
            Self::KeyFrame => 3,
        }
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, Error> {
        Ok(match reader.u8("recovery")? {
            1 => Self::Switch,
            2 => Self::LongTermReference,
            3 => Self::KeyFrame,
            got => return Err(Error::Unknown { field: "recovery", got: u64::from(got) }),
        })
    }
}

fn read_role(reader: &mut Reader<'_>) -> Result<Role, Error> {
    match reader.u8("role")? {
        0 => Ok(Role::Leaf),
        1 => Ok(Role::Carrier),
        got => Err(Error::Unknown { field: "role", got: u64::from(got) }),
    }
}

fn write_policy(out: &mut Writer, policy: Policy) {
    out.u8(policy.max_spatial).u8(policy.max_temporal).u8(policy.max_quality);
}

fn read_policy(reader: &mut Reader<'_>) -> Result<Policy, Error> {
    let Layer { spatial, temporal, quality } = Layer::read(reader)?;
    Ok(Policy::new(spatial, temporal, quality))
}

fn write_chain(out: &mut Writer, chain: &[Fingerprint]) {
    out.u8(u8::try_from(chain.len()).unwrap_or(u8::MAX));
    chain.iter().for_each(|peer| {
        out.raw(&peer.0);
    });
}

/// At most [`MAX_OFFERS`] entries.
fn read_list<T>(reader: &mut Reader<'_>, read: impl Fn(&mut Reader<'_>) -> Result<T, Error>) -> Result<Vec<T>, Error> {
    let len = usize::from(reader.u8("offers")?);
    if len > MAX_OFFERS {
        return Err(Error::TooLong { field: "offers", got: len, bound: MAX_OFFERS });
    }
    (0..len).map(|_| read(reader)).collect()
}

fn read_offer_id(reader: &mut Reader<'_>) -> Result<OfferId, Error> {
    Ok(OfferId { peer: read_peer(reader)?, measured_at_unix_ms: reader.u64("measured_at")? })
}

fn read_offer_wish(reader: &mut Reader<'_>) -> Result<OfferWish, Error> {
    let peer = read_peer(reader)?;
    let bundle = match reader.u8("bundle_wish")? {
        0 => BundleWish::Known,
        1 => BundleWish::Needed,
        got => return Err(Error::Unknown { field: "bundle_wish", got: u64::from(got) }),
    };
    Ok(OfferWish { peer, bundle })
}

fn read_chain(reader: &mut Reader<'_>) -> Result<Vec<Fingerprint>, Error> {
    let len = usize::from(reader.u8("chain")?);
    if len > MAX_CHAIN {
        return Err(Error::TooLong { field: "chain", got: len, bound: MAX_CHAIN });
    }
    (0..len).map(|_| read_peer(reader)).collect()
}

fn read_detail(reader: &mut Reader<'_>) -> Result<String, Error> {
    let bytes = reader.bytes16("detail", MAX_DETAIL)?;
    let text = std::str::from_utf8(bytes).map_err(|_| Error::Invalid { field: "detail", rule: "must be UTF-8" })?;
    Ok(text.chars().filter(|c| !c.is_control()).collect())
}

fn read_peer(reader: &mut Reader<'_>) -> Result<Fingerprint, Error> {
    Ok(Fingerprint(reader.array("peer")?))
}

fn read_epoch(reader: &mut Reader<'_>) -> Result<Epoch, Error> {
    Ok(Epoch(reader.u64("epoch")?))
}

fn read_body(reader: &mut Reader<'_>) -> Result<Bytes, Error> {
    Ok(Bytes::copy_from_slice(reader.bytes32("body", MAX_BODY)?))
}
