//! The hybrid gate: who lacks post-quantum keys is refused before any MLS code runs.

use edge_crypto::kem::{self, MlKemPublic};
use edge_identity::PublicBundle;
use edge_wire::id::KeyId;

use crate::Error;

/// A roster entry with the key-exchange keys that its peer advertises. MLS keys are independent of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// The peer's name.
    pub key_id: KeyId,
    /// Classical key, 32 bytes.
    pub x25519_pub: [u8; kem::X25519_LEN],
    /// Post-quantum key, 1 184 bytes; absent in peers of older systems.
    pub mlkem768_pub: Option<Vec<u8>>,
}

impl From<&PublicBundle> for Member {
    fn from(bundle: &PublicBundle) -> Self {
        Self {
            key_id: bundle.key_id().clone(),
            x25519_pub: *bundle.x25519(),
            mlkem768_pub: Some(bundle.mlkem().as_bytes().to_vec()),
        }
    }
}

/// Demands of every member a valid ML-KEM-768 key and an X25519 key that is not degenerate.
pub fn check<'a>(members: impl IntoIterator<Item = &'a Member>) -> Result<(), Error> {
    members.into_iter().try_for_each(|member| match is_hybrid(member) {
        true => Ok(()),
        false => Err(Error::PeerLacksMlkem(member.key_id.clone())),
    })
}

fn is_hybrid(member: &Member) -> bool {
    let post_quantum = member.mlkem768_pub.as_deref().is_some_and(|key| MlKemPublic::from_slice(key).is_ok());
    post_quantum && kem::check_x25519(&member.x25519_pub).is_ok()
}
