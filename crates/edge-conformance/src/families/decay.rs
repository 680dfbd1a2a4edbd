//! Consent decay.

use edge_holonomic::decay::{Class, Schedule};

use crate::case::{Case, Reason, bad};

pub(crate) fn tiers(case: &Case<'_>) -> Result<(), Reason> {
    let class = match case.text("class")? {
        "TEMPORARY" => Class::temporary(),
        "STANDARD" => Class::standard(),
        _ => return Err(bad("class", "is not a known class")),
    };
    let revoked_at_unix_ms = match case.optional("revoked_at") {
        Some(_) => Some(case.number("revoked_at")?),
        None => None,
    };
    let admitted_at_unix_ms = case.number("admitted_at")?;
    let schedule = Schedule { content_id: "case".to_owned(), class, admitted_at_unix_ms, revoked_at_unix_ms };
    case.expect_text("expect", schedule.tier(case.number("now")?).name())
}
