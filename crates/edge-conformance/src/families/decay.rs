//! Consent decay.

use crate::case::{Case, Reason, bad};

pub(crate) fn tiers(_case: &Case<'_>) -> Result<(), Reason> {
    Err(bad("consent_decay", "is not computed yet"))
}
