//! The targets, one module a crate.

mod alm;
mod codec;
mod conformance;
mod container;
mod fountain;
mod group;
mod identity;
mod link;
mod mp4_file;
mod net;
mod node;
mod wire;

use std::sync::OnceLock;

use edge_crypto::random::Seeded;
use edge_identity::KeyBundle;
use edge_wire::id::KeyId;

use crate::Target;

/// Every target, from the base upwards.
pub(crate) fn all() -> Vec<Target> {
    [
        wire::TARGETS,
        identity::TARGETS,
        link::TARGETS,
        fountain::TARGETS,
        alm::TARGETS,
        group::TARGETS,
        net::TARGETS,
        codec::TARGETS,
        container::TARGETS,
        node::TARGETS,
        conformance::TARGETS,
    ]
    .concat()
}

/// Bytes that a parser may hold for small records.
pub(crate) const SMALL: usize = 1 << 20;
/// Bytes that a parser may hold when it copies an input of the longest length a few times.
pub(crate) const COPIES: usize = 16 << 20;

/// Unwraps what a seed is built from: a seed that cannot be built is an error of the target itself.
pub(crate) fn built<T, E: std::fmt::Debug>(result: Result<T, E>) -> T {
    match result {
        Ok(value) => value,
        Err(error) => unreachable!("seed: {error:?}"),
    }
}

/// One peer for every target: what it signs and opens does not depend on the run.
pub(crate) fn own() -> &'static KeyBundle {
    static OWN: OnceLock<KeyBundle> = OnceLock::new();
    OWN.get_or_init(|| built(KeyBundle::generate(Some(built(KeyId::new("fuzz"))), &mut Seeded::new(1))))
}
