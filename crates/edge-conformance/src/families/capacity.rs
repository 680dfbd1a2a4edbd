//! Capacity advertisements.

use crate::case::{Case, Reason, bad};

pub(crate) fn canonical(_case: &Case<'_>) -> Result<(), Reason> {
    Err(bad("capacity_canonical", "is not computed yet"))
}

pub(crate) fn layout_collision(_case: &Case<'_>) -> Result<(), Reason> {
    Err(bad("capacity_layout_collision", "is not computed yet"))
}

pub(crate) fn signed(_case: &Case<'_>) -> Result<(), Reason> {
    Err(bad("capacity_signed", "is not computed yet"))
}
