//! The targets, one module a crate.

mod identity;
mod wire;

use crate::Target;

/// Every target, from the base upwards.
pub(crate) fn all() -> Vec<Target> {
    [wire::TARGETS, identity::TARGETS].concat()
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
