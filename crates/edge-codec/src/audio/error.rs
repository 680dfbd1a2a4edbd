/// Why sound could not be encoded or decoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A field of the configuration has a value that Opus does not have.
    #[error("audio configuration: {field} = {value} must be {requirement}")]
    InvalidConfig {
        /// The field.
        field: &'static str,
        /// Its value.
        value: u32,
        /// What it must be.
        requirement: &'static str,
    },
    /// The Opus library refused to encode.
    #[error("encode: Opus failed")]
    EncodeFailed(#[source] Cause),
    /// The bytes are not an Opus packet that can be decoded.
    #[error("decode: not a usable Opus packet")]
    DecodeFailed(#[source] Cause),
    /// A block of samples has the wrong length.
    #[error("encode: expected {expected} samples over all channels, got {actual}")]
    PcmSizeMismatch {
        /// Samples that one packet takes, over all channels.
        expected: usize,
        /// Samples given.
        actual: usize,
    },
}

/// What was wrong with a packet or a call into the Opus library.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Cause {
    /// A packet without bytes. A lost packet is not an empty one: conceal it instead.
    #[error("the packet is empty")]
    Empty,
    /// More bytes than [`super::MAX_PACKET_LEN`].
    #[error("the packet of {len} bytes is too long")]
    TooLong {
        /// Its bytes.
        len: usize,
    },
    /// The packet's lengths do not add up.
    #[error("the packet is malformed")]
    InvalidPacket,
    /// The packet has no copy of the frame before it.
    #[error("the packet carries no forward error correction")]
    NoFec,
    /// The library ran out of memory.
    #[error("out of memory")]
    OutOfMemory,
    /// Any other status of the library.
    #[error("library status {0}")]
    Status(i32),
}
