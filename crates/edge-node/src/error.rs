//! Why a node could not start or had to stop.

use crate::admission::Refusal;

/// Ends a role; everything less is an [`Event::Warning`](crate::event::Event::Warning).
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The UDP socket could not be opened.
    #[error("cannot listen: is the port taken, or the address not of this machine?")]
    Bind(#[from] edge_net::BindError),
    /// No address of the ticket answered with the right keys.
    #[error("no peer of the ticket could be reached; the last try, {hop}, failed")]
    Unreachable {
        /// The last address tried.
        hop: String,
        /// Why it failed.
        #[source]
        source: edge_net::Error,
    },
    /// An address of the ticket or of an offer does not answer.
    #[error("{hop} does not answer: is it running, and not behind a firewall?")]
    Silent {
        /// The address tried.
        hop: String,
    },
    /// Parents answer, but nothing new comes from any of them.
    #[error("nothing came for half a minute, from no parent: is the publisher still running?")]
    Dry,
    /// This node ended the link.
    #[error("the link was ended from here")]
    Ended,
    /// The session broke.
    #[error("the link to the parent broke")]
    Session(#[from] edge_net::Error),
    /// The parent does not give the stream.
    #[error("the parent refuses: {detail}")]
    ParentRefused {
        /// The parent's words.
        detail: String,
    },
    /// The parent broke the protocol.
    #[error("the parent broke the protocol: {0}")]
    Parent(&'static str),
    /// The publisher does not admit this viewer.
    #[error("not admitted: {0}")]
    NotAdmitted(#[from] Refusal),
    /// The ticket has no join secret.
    #[error("this ticket has no join secret: ask the publisher for a viewer's ticket, and use this one with --via")]
    NoSecret,
    /// Nobody answered the request to be admitted.
    #[error("the publisher did not answer: is it still running?")]
    NoAnswer,
    /// The group's rules refuse a step.
    #[error("the group refuses")]
    Group(#[from] edge_group::Error),
    /// A seal failed.
    #[error("sealing failed")]
    Seal(#[from] edge_seal::Error),
    /// The relay core refuses a step.
    #[error("the relay refuses")]
    Relay(#[from] edge_relay::Error),
    /// A key operation failed.
    #[error("a key operation failed")]
    Crypto(#[from] edge_crypto::Error),
    /// The source cannot be read.
    #[error("cannot use the input {name}")]
    Source {
        /// Path, or what it is.
        name: String,
        /// Why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// Raw pictures without a frame rate.
    #[error("raw pictures need a frame rate above 0")]
    NoRate,
    /// A codec refuses its configuration or input.
    #[error("the video codec refuses")]
    Video(#[from] edge_codec::video::Error),
    /// The audio codec refuses.
    #[error("the audio codec refuses")]
    Audio(#[from] edge_codec::audio::Error),
    /// A file could not be read or written.
    #[error("cannot {action} {path}")]
    File {
        /// What was tried.
        action: &'static str,
        /// On which file.
        path: String,
        /// Why it failed.
        #[source]
        source: std::io::Error,
    },
    /// Another publisher uses the state folder.
    #[error("{path} is in use by another publisher of this identity: end it first, or choose another --state")]
    InUse {
        /// The folder.
        path: String,
    },
    /// A part of this node failed in a way that it should not.
    #[error("{0} stopped unexpectedly: this is a defect, please report it with the log")]
    Crashed(&'static str),
    /// The metrics address could not be opened.
    #[error("cannot serve metrics")]
    Metrics(#[source] std::io::Error),
}
