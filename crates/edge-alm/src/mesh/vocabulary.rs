//! What the machine is told and what it answers.

use edge_wire::id::Fingerprint;
use edge_wire::layer::{Layer, Policy};

use crate::seats::Yields;

/// What a machine starts from.
#[derive(Debug, Clone)]
pub struct Config {
    /// This peer.
    pub own: Fingerprint,
    /// The publisher of the stream.
    pub source: Fingerprint,
    /// Layers wanted at first: by this peer and by its children.
    pub wanted: Policy,
    /// How much of a chunk this peer can open.
    pub opens: Opens,
    /// Whether it carries the stream on: that wins it places which others have to give up.
    pub duty: edge_wire::control::Role,
    /// Decides between equals and spreads retries; different for each receiver.
    pub seed: u64,
    /// What the layers cost, as far as it is known; only the first [`RATES_MAX`](super::RATES_MAX) entries count.
    pub layer_kbps: Vec<LayerRate>,
}

/// How much of a chunk this peer can open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Opens {
    /// A member of the group: the inner seal too, so every chunk is proven to come from the publisher.
    Inner,
    /// A relay: the outer seal only, so a chunk is as good as the parent that sent it.
    OuterOnly,
}

/// The bitrate of everything that a policy admits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LayerRate {
    /// The policy.
    pub policy: Policy,
    /// Its layers together, framing included, in kbit/s.
    pub kbps: u32,
}

/// What a peer offers to carry. Signature, stream, epoch and freshness were verified by the caller.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Offer {
    /// The peer that offers.
    pub peer: Fingerprint,
    /// When it measured, in ms since 1970; of two offers by one peer the newer one counts.
    pub measured_at_unix_ms: u64,
    /// What it can send, in kbit/s.
    pub uplink_kbps: u32,
    /// Most children it takes for this stream.
    pub subscribers_max: u32,
    /// Children it had when it measured, each counted as the share of the stream that it takes, rounded up in the end.
    pub subscribers: u32,
    /// Highest layers it forwards.
    pub layers: Policy,
    /// Peers from the publisher down to and including the one that offers; empty while it has no way to the publisher.
    pub chain: Vec<Fingerprint>,
    /// How long chunks take from the publisher to it, in ms, as it measured; `None` if it does not know.
    pub delay_ms: Option<u32>,
    /// Places among those taken that newcomers get who need the whole stream.
    pub yields: Yields,
}

/// Who told of an offer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Origin {
    /// The ticket that this peer joined with.
    Ticket,
    /// This peer found out by itself.
    Own,
    /// A neighbour.
    Peer(Fingerprint),
}

/// Names a chunk within the stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Key {
    /// Epoch of the group key.
    pub epoch: u64,
    /// Counter of the chunk within the epoch.
    pub seq: u64,
}

/// What a chunk carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Media {
    /// A layer of a picture.
    Picture,
    /// Sound, which is never thinned.
    Sound,
}

/// A chunk whose outer seal opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Arrival {
    /// Which chunk.
    pub key: Key,
    /// Its layer, as the clear header says.
    pub layer: Layer,
    /// What it carries.
    pub media: Media,
    /// Its length on the wire.
    pub bytes: u32,
    /// Time from capture to arrival, in ms, where the caller can know it; any constant offset is harmless.
    pub age_ms: Option<u32>,
}

/// What to do with a chunk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Open it, then say [`opened`](super::Mesh::opened), [`failed`](super::Mesh::failed) or
    /// [`released`](super::Mesh::released); nothing while it waits for its key. A relay that opens no inner seal says
    /// `opened` at once.
    Open,
    /// Drop it: the chunk is here already, or a copy of it is being opened.
    Duplicate,
    /// Drop it: it is too old to tell whether it was here before.
    Late,
    /// Drop it: the peer is no parent.
    Stranger,
}

/// Why a subscription did not come about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Reason {
    /// The peer could not be dialled, or did not answer.
    Unreachable,
    /// It has no room.
    Full,
    /// It hangs below this peer.
    Loop,
    /// The tree would become too deep.
    TooDeep,
    /// Anything else.
    Other,
}

/// What a parent does here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Role {
    /// It sends everything that is wanted.
    Primary,
    /// It sends the base, ready to take over.
    Standby,
}

/// What to do next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Dial the peer if there is no link and subscribe; the answer is [`linked`](super::Mesh::linked) or
    /// [`refused`](super::Mesh::refused).
    Subscribe {
        /// The parent.
        peer: Fingerprint,
        /// Layers to ask for.
        policy: Policy,
    },
    /// Ask a parent for other layers from now on.
    SetPolicy {
        /// The parent.
        peer: Fingerprint,
        /// Layers to ask for.
        policy: Policy,
    },
    /// Unsubscribe. The machine has forgotten the parent already and expects no answer.
    Drop {
        /// The former parent.
        peer: Fingerprint,
        /// Why.
        why: DropWhy,
    },
    /// A parent did wrong; tell whoever keeps account of peers.
    Accuse(Evidence),
    /// No parent delivers and none is left to try at the moment; tell the person who watches.
    Stranded,
    /// Another parent is the primary now; announce the new way to the children.
    Switched {
        /// The former primary, if there was one.
        from: Option<Fingerprint>,
        /// The present one.
        to: Fingerprint,
        /// Why.
        why: SwitchWhy,
    },
}

/// Why a parent is given up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DropWhy {
    /// It fell silent while another delivered.
    Silent,
    /// It never delivered anything.
    NeverDelivered,
    /// It did not answer in time.
    Unanswered,
    /// Its way to the source leads through this peer.
    Loop,
    /// Its way to the source became too long.
    TooDeep,
    /// It has no way to the source any more.
    Wayless,
    /// Another one is better.
    Replaced,
    /// Its base chunks come too late.
    Slow,
    /// More parents than needed.
    Surplus,
    /// It did wrong.
    Misdeed(Misdeed),
}

/// Why another parent became the primary.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SwitchWhy {
    /// There was none.
    First,
    /// The link to the former one broke.
    Lost,
    /// The former one fell silent.
    Silent,
    /// The former one's base chunks came too late or not at all.
    Slow,
    /// The former one has no usable way to the source any more.
    Wayless,
    /// The former one did wrong.
    Misdeed,
    /// The new one is nearer.
    Better,
}

/// What a parent did wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Misdeed {
    /// It sent chunks that do not open, or others than everybody else, or a statement in the publisher's name that the
    /// publisher did not sign.
    Forgery,
    /// It sent different chunks under one number, not all of them forged, or children complain. It may be misled
    /// itself.
    Equivocation,
    /// It sent the same chunks again and again.
    Replay,
    /// It held back base chunks that others sent.
    Starvation,
    /// It sent base chunks much later than others.
    Delay,
}

/// What was seen of a misdeed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Evidence {
    /// Who.
    pub peer: Fingerprint,
    /// What.
    pub misdeed: Misdeed,
    /// Chunks concerned.
    pub count: u32,
    /// When it was seen first, in ms of the caller's clock.
    pub first_ms: u64,
    /// When it was seen last, in ms of the caller's clock.
    pub last_ms: u64,
}

/// A peer that is no parent for a while.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ban {
    /// Who.
    pub peer: Fingerprint,
    /// Until when, in ms of the caller's clock.
    pub until_ms: u64,
}

/// Why the policy is what it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Why {
    /// It is what is wanted.
    Wanted,
    /// A person pinned it.
    Pinned,
    /// The way here carries no more.
    LinkFull,
    /// It is being raised step by step.
    Climbing,
    /// A new primary has not sent the upper layers yet.
    Recovering,
}

/// Counts since the machine began.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counters {
    /// Changes of the primary, the first one not counted.
    pub switches: u64,
    /// Those among them that made good a loss, a silence or a misdeed.
    pub heals: u64,
    /// Those among them that were made for a better way.
    pub voluntary: u64,
    /// Chunks that opened.
    pub opened: u64,
    /// Chunks dropped because they were here before.
    pub duplicates: u64,
    /// Chunks dropped because they were too old.
    pub late: u64,
    /// Chunks that did not open, or differed from what others sent.
    pub forgeries: u64,
    /// Chunks from peers that are no parents.
    pub strangers: u64,
    /// Steps down in layers.
    pub sheds: u64,
    /// Steps up in layers.
    pub climbs: u64,
    /// Times without any parent that delivers.
    pub strandings: u64,
}

/// One parent as it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LinkView {
    /// Who.
    pub peer: Fingerprint,
    /// What it does.
    pub role: Role,
    /// Layers asked of it.
    pub policy: Policy,
    /// Peers from the publisher down to it; empty while it has not answered or has no way.
    pub chain: Vec<Fingerprint>,
    /// Round trip in ms, if known.
    pub rtt_ms: Option<u32>,
    /// When something new came from it last, in ms of the caller's clock.
    pub heard_ms: Option<u64>,
    /// Silence after which it counts as dead, in ms.
    pub silence_ms: u64,
}

/// How a machine stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    /// The primary, if there is one.
    pub primary: Option<Fingerprint>,
    /// Other parents that are subscribed to or were asked, the best first.
    pub standbys: Vec<Fingerprint>,
    /// The peers that would be asked next, at most one for each free place.
    pub cold: Vec<Fingerprint>,
    /// Layers asked of the primary.
    pub policy: Policy,
    /// Why those.
    pub why: Why,
    /// Silence of the primary that counts as its death, in ms.
    pub silence_ms: Option<u64>,
    /// Counts so far.
    pub counters: Counters,
    /// What was seen of misdeeds, the oldest first.
    pub evidence: Vec<Evidence>,
    /// Bans in force.
    pub bans: Vec<Ban>,
    /// Every parent, the primary first.
    pub links: Vec<LinkView>,
}
