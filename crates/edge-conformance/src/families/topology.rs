//! The deterministic topology.

use edge_alm::topology::score::{cap, capacity, quantise, reachability, trust};
use edge_alm::topology::{Advert, Commitment, Grant, Observation, Snapshot, Verification, compute};
use serde_json::{Value, json};

use crate::case::{Case, Reason, bad, same};

pub(crate) fn trees(case: &Case<'_>) -> Result<(), Reason> {
    let given = case.object("in")?;
    let snapshot = Snapshot {
        adverts: given.objects("ads")?.map(|it| advert(&it)).collect::<Result<_, _>>()?,
        grants: given.values("grants")?.iter().map(grant).collect::<Result<_, _>>()?,
        observations: given.values("observations")?.iter().map(observation).collect::<Result<_, _>>()?,
        locality_id: String::new(),
        epoch_id: given.number("snapshot_epoch_id")?,
    };
    let expected = case.object("expect")?;
    let topology = compute(&snapshot);
    expected.expect_number("edge_count", topology.edges.len() as u64)?;
    expected.expect_texts("unrooted_peers", &topology.unrooted)?;
    expected.expect_bytes("compact_json", &topology.json())?;
    match expected.optional("tree") {
        Some(tree) => {
            let edges = topology.edges.iter().map(|it| json!([it.child, it.parent, it.path]));
            same("tree", tree, &Value::Array(edges.collect()))
        }
        None => Ok(()),
    }
}

pub(crate) fn scores(case: &Case<'_>) -> Result<(), Reason> {
    let given = case.object("in")?;
    let expected = case.object("expect")?;
    if given.optional("uplink_bits").is_some() {
        let kbps = quantise(f32::from_bits(bits(&given)?));
        let points = |verification| capacity(cap(kbps, verification));
        expected.expect_number("q", kbps)?;
        expected.expect_number("score_self_asserted", points(Verification::HybridSignatureValid))?;
        return expected.expect_number("score_challenged", points(Verification::ThroughputChallenged));
    }
    let points = match given.optional("chain_depth").is_some() {
        true => trust(given.byte("chain_depth")?),
        false => reachability(small(given.value("rtt_ms")?, "rtt_ms")?),
    };
    expected.expect_flag("eligible", points.is_some())?;
    expected.expect_number("score", points.unwrap_or_default())
}

fn advert(case: &Case<'_>) -> Result<Advert, Reason> {
    let paths = case.values("sub_stream_paths")?.iter().map(path);
    let commitments = paths.map(|path| Ok(Commitment { path: path?, subscribers_max: u16::MAX }));
    Ok(Advert {
        peer: case.text("advertiser_key_id")?.to_owned(),
        uplink_mbps: f32::from_bits(bits(case)?),
        measured_at_unix_ms: case.number("measured_at_unix_ms")?,
        subscribers_max: u16::MAX,
        commitments: commitments.collect::<Result<_, Reason>>()?,
        verification: verification(case.text("verification")?)?,
        preimage: Vec::new(),
    })
}

fn verification(name: &str) -> Result<Verification, Reason> {
    match name {
        "Unverified" => Ok(Verification::Unverified),
        "HybridSignatureValid" => Ok(Verification::HybridSignatureValid),
        "ThroughputChallenged" => Ok(Verification::ThroughputChallenged),
        _ => Err(bad("verification", "is no state of verification")),
    }
}

fn grant(value: &Value) -> Result<Grant, Reason> {
    let (granter, grantee, depth) = triple(value, "grants")?;
    Ok(Grant { granter, grantee, chain_depth: small(depth, "grants")? })
}

fn observation(value: &Value) -> Result<Observation, Reason> {
    let (from, to, rtt_ms) = triple(value, "observations")?;
    Ok(Observation { from, to, rtt_ms: small(rtt_ms, "observations")? })
}

fn triple<'a>(value: &'a Value, field: &str) -> Result<(String, String, &'a Value), Reason> {
    match value.as_array().map(Vec::as_slice) {
        Some([Value::String(first), Value::String(second), third]) => Ok((first.clone(), second.clone(), third)),
        _ => Err(bad(field, "holds something that is not two ids and a number")),
    }
}

fn path(value: &Value) -> Result<Vec<u8>, Reason> {
    let wrong = || bad("sub_stream_paths", "holds something that is not a list");
    value.as_array().ok_or_else(wrong)?.iter().map(|byte| small(byte, "sub_stream_paths")).collect()
}

fn bits(case: &Case<'_>) -> Result<u32, Reason> {
    small(case.value("uplink_bits")?, "uplink_bits")
}

fn small<T: TryFrom<u64>>(value: &Value, field: &str) -> Result<T, Reason> {
    value.as_u64().and_then(|number| T::try_from(number).ok()).ok_or_else(|| bad(field, "is not a number in range"))
}
