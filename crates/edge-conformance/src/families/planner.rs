//! Admission, join planning and the scaling model.

use crate::case::{Case, Reason, bad};

pub(crate) fn has_room(_case: &Case<'_>) -> Result<(), Reason> {
    Err(bad("has_room", "is not computed yet"))
}

pub(crate) fn join_planner(_case: &Case<'_>) -> Result<(), Reason> {
    Err(bad("join_planner", "is not computed yet"))
}

pub(crate) fn scaling(_case: &Case<'_>) -> Result<(), Reason> {
    Err(bad("scaling", "is not computed yet"))
}
