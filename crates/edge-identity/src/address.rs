//! Hashes that stand for a key: destinations, federation identities and Reticulum destinations.

use edge_crypto::hash::sha256;

/// Bytes of a destination or identity hash.
pub const HASH_LEN: usize = 16;
/// Bytes of a Reticulum name hash.
pub const NAME_HASH_LEN: usize = 10;

/// The first 16 bytes of SHA-256 over a public key.
pub fn destination16(public_key: &[u8]) -> [u8; HASH_LEN] {
    truncated(&[public_key])
}

/// The federation identity: over the Ed25519 key and, when there is one, the ML-DSA-65 key.
pub fn federation_identity_hash(ed25519: &[u8; 32], ml_dsa: Option<&[u8]>) -> [u8; HASH_LEN] {
    truncated(&[ed25519, ml_dsa.unwrap_or_default()])
}

/// The Reticulum identity of an (X25519, Ed25519) key pair.
pub fn rns_identity_hash(x25519: &[u8; 32], ed25519: &[u8; 32]) -> [u8; HASH_LEN] {
    truncated(&[x25519, ed25519])
}

/// The Reticulum hash of a dotted name, `app.aspect1.aspect2…`.
pub fn rns_name_hash(app: &str, aspects: &[&str]) -> [u8; NAME_HASH_LEN] {
    let name = [&[app], aspects].concat().join(".");
    truncated(&[name.as_bytes()])
}

/// The Reticulum destination of a name at an identity.
pub fn rns_destination_hash(app: &str, aspects: &[&str], x25519: &[u8; 32], ed25519: &[u8; 32]) -> [u8; HASH_LEN] {
    truncated(&[&rns_name_hash(app, aspects), &rns_identity_hash(x25519, ed25519)])
}

fn truncated<const N: usize>(parts: &[&[u8]]) -> [u8; N] {
    const { assert!(N <= 32) };
    let mut out = [0; N];
    out.copy_from_slice(&sha256(parts)[..N]);
    out
}
