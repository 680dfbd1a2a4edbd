//! Multi-parent heal.

use edge_alm::heal::{Action, Observation, Outcome, SILENCE_MS, Subscription};
use edge_wire::id::KeyId;
use serde_json::{Value, json};

use crate::case::{Case, Reason, bad, must, same};

type Parents = Subscription<KeyId>;

pub(crate) fn traces(case: &Case<'_>) -> Result<(), Reason> {
    case.expect_number("silence_ms", SILENCE_MS)?;
    case.objects("traces")?.try_for_each(|trace| follow(&trace))
}

fn follow(case: &Case<'_>) -> Result<(), Reason> {
    let initial = case.object("initial")?;
    let backups = initial.texts("backups")?.into_iter().map(name).collect::<Result<Vec<_>, _>>()?;
    let mut parents = Parents::new(name(initial.text("primary")?)?, backups, initial.size("ring_capacity")?);
    same("initial.active", initial.value("active")?, &active(&parents))?;
    for step in case.objects("steps")? {
        same("result", step.value("result")?, &run(&mut parents, step.values("op")?)?)?;
    }
    Ok(())
}

/// What a step is to give, in the words of the file.
fn run(parents: &mut Parents, op: &[Value]) -> Result<Value, Reason> {
    let word = op.first().and_then(Value::as_str).ok_or_else(|| bad("op", "has no name"))?;
    let outcome = match word {
        "observe" => {
            let (epoch, seq, now_ms) = (number(op, 2)?, number(op, 3)?, number(op, 4)?);
            return Ok(json!(observation(parents.observe_chunk(&parent(op)?, epoch, seq, now_ms))));
        }
        "tick" => return Ok(parents.tick(number(op, 1)?).iter().map(action).collect()),
        "add" if op.len() > 2 => Outcome::AddParentAt(parent(op)?, number(op, 2)?),
        "add" => Outcome::AddParent(parent(op)?),
        "remove" => Outcome::RemoveParent(parent(op)?),
        "promote" => Outcome::PromoteToPrimary(parent(op)?),
        _ => return Err(bad("op", "is not an operation of the heal machine")),
    };
    parents.apply(outcome);
    let backups: Vec<&str> = parents.backups().iter().map(KeyId::as_str).collect();
    Ok(json!({ "primary": parents.primary().as_str(), "backups": backups, "active": active(parents) }))
}

fn observation(observation: Observation) -> &'static str {
    match observation {
        Observation::FirstDelivery => "FirstDelivery",
        Observation::Duplicate => "Duplicate",
        Observation::UnknownParent => "UnknownParent",
    }
}

fn action(action: &Action<KeyId>) -> Value {
    match action {
        Action::ReParent { dead } => json!(format!("ReParent:{dead}")),
        Action::UpstreamRebuildRequired => json!("UpstreamRebuildRequired"),
    }
}

fn active(parents: &Parents) -> Value {
    parents.active().map(KeyId::as_str).collect()
}

fn parent(op: &[Value]) -> Result<KeyId, Reason> {
    name(op.get(1).and_then(Value::as_str).ok_or_else(|| bad("op", "names no parent"))?)
}

fn name(text: &str) -> Result<KeyId, Reason> {
    must("the parent", KeyId::new(text))
}

fn number(op: &[Value], at: usize) -> Result<u64, Reason> {
    op.get(at).and_then(Value::as_u64).ok_or_else(|| bad("op", "lacks a number"))
}
