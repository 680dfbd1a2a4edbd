//! Admission, join planning and the scaling model.

use edge_alm::admission::{has_room_for, has_room_for_substream};
use edge_alm::advert::{Capacity, Statement};
use edge_alm::join::{Candidate, Error, Request, plan};
use edge_alm::scaling::{Placement, depth_bound, mesh_max, reach, survival, tree_depth};
use edge_wire::id::{Epoch, KeyId, StreamId};
use edge_wire::layer::Policy;
use serde_json::Value;

use super::capacity::{byte_list, commitments, small};
use crate::case::{Case, Reason, bad, must, same};

/// Decimal digits after the point that a probability is given with, as the largest difference.
const PROBABILITY_ERROR_MAX: f64 = 1e-9;
/// Digits of a fraction of Mbit/s that make a bit/s.
const FRACTION_DIGITS: usize = 6;

pub(crate) fn has_room(case: &Case<'_>) -> Result<(), Reason> {
    let bitrate_mbps = bitrate(case, "stream_bitrate_mbps")?;
    let current = small(case, "current")?;
    let room = match case.text("kind")? {
        "opaque" => {
            let most = small(case, "max_subscribers_per_stream")?;
            has_room_for(&capacity(case.float("uplink_mbps")?, most), bitrate_mbps, current)
        }
        "substream" => {
            let given = case.object("capacity")?;
            let mut capacity = capacity(given.float("uplink")?, small(&given, "max_subs")?);
            capacity.sub_stream_commitments =
                commitments(given.values("commitments")?, ["path", "budget", "max_subscribers"])?;
            has_room_for_substream(&capacity, &byte_list(case, "path")?, bitrate_mbps, current)
        }
        _ => return Err(bad("kind", "is neither opaque nor substream")),
    };
    case.expect_flag("expect", room)
}

pub(crate) fn join_planner(case: &Case<'_>) -> Result<(), Reason> {
    let pool: Vec<Entry> = case.objects("candidates")?.map(|it| Entry::read(&it)).collect::<Result<_, _>>()?;
    let candidates: Vec<Candidate<'_>> = pool.iter().map(Entry::candidate).collect();
    let path = case.optional("sub_stream_path").map(|_| byte_list(case, "sub_stream_path")).transpose()?;
    let request = Request {
        stream_bitrate_mbps: bitrate(case, "stream_bitrate_mbps")?,
        policy: case.policy("layer_policy")?,
        now_unix_ms: case.number("now_unix_ms")?,
        path: path.as_deref(),
    };
    match plan(&candidates, &request) {
        Err(error) => case.expect_text("expect", error_name(error)),
        Ok(plan) => {
            let expected = case.object("expect")?;
            let backups: Vec<&str> = plan.backups.iter().map(name).collect();
            expected.expect_text("primary", name(&plan.primary))?;
            expected.expect_texts("backups", &backups)?;
            same("repeated bitrate", &request.stream_bitrate_mbps, &plan.stream_bitrate_mbps)
        }
    }
}

pub(crate) fn scaling(case: &Case<'_>) -> Result<(), Reason> {
    for item in case.objects("n_mesh_max")? {
        let (uplink, rate) = (bits_per_s(&item, "uplink_mbps")?, bits_per_s(&item, "bitrate_mbps")?);
        same("n_mesh_max", &Some(item.number("expect")?), &mesh_max(uplink, rate))?;
    }
    for item in case.objects("tree_depth_exact")? {
        let (fanout, nodes) = (item.number("fanout")?, item.number("nodes")?);
        same("tree_depth_exact", &Some(item.number("expect")?), &tree_depth(fanout, nodes))?;
        same(
            "upstream_ceil_log",
            &Some(item.number("upstream_ceil_log")?),
            &depth_bound(fanout, nodes).map(u64::from),
        )?;
    }
    for item in case.objects("reach")? {
        let depth = u32::try_from(item.number("depth")?).map_err(|_| bad("depth", "is too large"))?;
        same("reach", &Some(item.number("nodes")?), &reach(item.number("fanout")?, depth))?;
    }
    for item in case.objects("survival")? {
        let placement = Placement {
            needed: item.size("n_source")?,
            distinct: item.size("distinct")?,
            holders: item.size("holders")?,
        };
        same_odds(&item, survival(placement, item.float("q")?))?;
    }
    for item in case.objects("naive_binomial_30")? {
        let placement = Placement { needed: 20, distinct: 30, holders: 30 };
        same_odds(&item, survival(placement, item.float("q")?))?;
    }
    Ok(())
}

/// A candidate as a case gives it.
struct Entry {
    statement: Statement,
    reachability_ratio: Option<f64>,
    rtt_ms: Option<u32>,
}

impl Entry {
    fn read(case: &Case<'_>) -> Result<Self, Reason> {
        let mut capacity = capacity(case.float("uplink")?, small(case, "max_subs")?);
        capacity.measured_at_unix_ms = case.number("measured_at")?;
        capacity.max_layer_supported = case.policy("max_layer")?;
        capacity.sub_stream_commitments =
            commitments(case.values("commitments")?, ["path", "budget", "max_subscribers"])?;
        let rtt_ms = case.optional("rtt").map(|_| case.number("rtt")).transpose()?;
        let rtt_ms = rtt_ms.map(u32::try_from).transpose().map_err(|_| bad("rtt", "is not a 32-bit integer"))?;
        let advertiser = must("id", KeyId::new(case.text("id")?))?;
        Ok(Self {
            statement: Statement { advertiser, capacity, stream: StreamId([0; 32]), epoch: Epoch(0) },
            reachability_ratio: case.optional("reach").map(|_| float_or_nan(case, "reach")).transpose()?,
            rtt_ms,
        })
    }

    fn candidate(&self) -> Candidate<'_> {
        Candidate { statement: &self.statement, reachability_ratio: self.reachability_ratio, rtt_ms: self.rtt_ms }
    }
}

fn name<'a>(candidate: &Candidate<'a>) -> &'a str {
    candidate.statement.advertiser.as_str()
}

fn error_name(error: Error) -> &'static str {
    match error {
        Error::NoFeasibleParent => "NoFeasibleParent",
        Error::AllCandidatesStale => "AllCandidatesStale",
        Error::NoCandidateSupportsLayerPolicy => "NoCandidateSupportsLayerPolicy",
        _ => "another error",
    }
}

fn capacity(uplink_mbps: f64, max_subscribers_per_stream: u16) -> Capacity {
    Capacity {
        uplink_mbps: uplink_mbps as f32,
        max_streams: 1,
        max_subscribers_per_stream,
        measured_at_unix_ms: 0,
        max_layer_supported: Policy::UNCAPPED,
        sub_stream_commitments: Vec::new(),
    }
}

fn bitrate(case: &Case<'_>, field: &str) -> Result<f32, Reason> {
    float_or_nan(case, field).map(|mbps| mbps as f32)
}

/// A number, or the text that stands for none, which JSON cannot hold.
fn float_or_nan(case: &Case<'_>, field: &str) -> Result<f64, Reason> {
    match case.value(field)? {
        Value::String(text) if text == "NaN" => Ok(f64::NAN),
        _ => case.float(field),
    }
}

/// Mbit/s in exact decimals, as bit/s.
fn bits_per_s(case: &Case<'_>, field: &str) -> Result<u64, Reason> {
    let text = case.text(field)?;
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let digits = format!("{whole}{fraction:0<FRACTION_DIGITS$}");
    let exact = fraction.len() <= FRACTION_DIGITS && digits.bytes().all(|byte| byte.is_ascii_digit());
    exact.then(|| digits.parse().ok()).flatten().ok_or_else(|| bad(field, "is not a decimal number of Mbit/s"))
}

fn same_odds(case: &Case<'_>, computed: Option<f64>) -> Result<(), Reason> {
    let expected = case.float("p")?;
    match computed.is_some_and(|odds| (odds - expected).abs() <= PROBABILITY_ERROR_MAX) {
        true => Ok(()),
        false => same("p", &Some(expected), &computed),
    }
}
