//! Domain separators: every label that enters a hash, a key derivation or a signature, in one place.

/// Nonce label of the inner seal.
pub const INNER_NONCE: &[u8] = b"CIRIS-AV-INNER-V1";
/// Nonce label of the outer seal.
pub const OUTER_NONCE: &[u8] = b"CIRIS-AV-OUTER-V1";
/// HKDF info of the hybrid link key exchange.
pub const LINK_KEX_HYBRID: &[u8] = b"CIRIS-FED-KEX-V1";
/// HKDF info of the classical link key exchange.
pub const LINK_KEX_CLASSICAL: &[u8] = b"CIRIS-FED-KEX-V1-CLASSICAL";
/// MLS exporter label of the epoch key.
pub const EPOCH_DEK_EXPORTER: &str = "ciris-realtime-av-epoch-dek-seed-v1";
/// HKDF info of key grants, classical.
pub const KEY_GRANT_V1: &[u8] = b"cewp-key-grant/v1";
/// HKDF info of key grants, hybrid.
pub const KEY_GRANT_V2: &[u8] = b"cewp-key-grant/v2";
/// Prefix of a capacity advertisement's signed bytes, in both of its layouts.
pub const CAPACITY_V2: &[u8; 16] = b"CIRISALM-CAPv2\0\0";
/// Prefix of an announce attestation.
pub const ANNOUNCE_ATTESTATION: &[u8] = b"ciris-edge/announce-attestation/v1";

/// Hash label by which the holders of a content share out its symbols.
pub const SYMBOL_HOLDER: &[u8] = b"edge/symbol-holder/v1";
/// Hash label of a public key bundle's fingerprint.
pub const FINGERPRINT: &[u8] = b"edge/fingerprint/v1";
/// Signature label of the identity handshake.
pub const HANDSHAKE: &[u8] = b"edge/handshake/v1";
/// TLS exporter label of the identity handshake.
pub const HANDSHAKE_EXPORTER: &[u8] = b"EXPORTER-edge-handshake-v1";
/// TLS exporter label of transit keys.
pub const TRANSIT_EXPORTER: &[u8] = b"EXPORTER-edge-transit-v1";
/// Signature label that binds a key package to a federation identity.
pub const KEY_PACKAGE: &[u8] = b"edge/key-package/v1";
/// Signature label of a Welcome's envelope.
pub const WELCOME: &[u8] = b"edge/welcome/v1";
/// Key derivation label of a ticket's admission key.
pub const ADMISSION: &[u8] = b"edge/admission/v1";
/// Key derivation label of a passphrase-protected key file.
pub const KEY_FILE: &[u8] = b"edge/key-file/v1";
/// Hash label of a group's safety code.
pub const SAFETY_CODE: &[u8] = b"edge/safety-code/v1";
/// Hash label of a transit key's fingerprint, by which a second use of the key is refused.
pub const TRANSIT_FINGERPRINT: &[u8] = b"edge/transit-fingerprint/v1";
/// Signature label of a commit that a group's committer has accepted.
pub const ACCEPTED_COMMIT: &[u8] = b"edge/accepted-commit/v1";
/// Signature label of a member's request to be removed.
pub const LEAVE: &[u8] = b"edge/leave/v1";
/// Key derivation label of a sealed group snapshot.
pub const GROUP_SNAPSHOT: &[u8] = b"edge/group-snapshot/v1";
/// Hash label of the stream id under which one description of a stream is sealed.
pub const SUB_STREAM: &[u8] = b"alm-substream/v1";
/// Signature label of what our peers add to a capacity advertisement.
pub const CAPACITY_EXTENSION: &[u8] = b"edge/capacity/v1";
/// Signature label of a publisher's statement that a stream is over.
pub const STREAM_ENDED: &[u8] = b"edge/stream-ended/v1";
