//! The deterministic topology.

use crate::case::{Case, Reason, bad};

pub(crate) fn trees(_case: &Case<'_>) -> Result<(), Reason> {
    Err(bad("topology", "is not computed yet"))
}

pub(crate) fn scores(_case: &Case<'_>) -> Result<(), Reason> {
    Err(bad("topology_scores", "is not computed yet"))
}
