//! What makes a parent good: capacity, trust and reachability, in integers.

use super::Verification;

/// Longest round trip that is of use, in ms.
pub const RTT_MS_MAX: u32 = 5000;
/// Most delegations between a parent and a child that it vouches for.
pub const GRANT_DEPTH_MAX: u8 = 4;
/// Points for each point of [`capacity`].
pub const CAPACITY_WEIGHT: u64 = 50;
/// Points for each point of [`trust`].
pub const TRUST_WEIGHT: u64 = 30;
/// Points for each point of [`reachability`].
pub const REACHABILITY_WEIGHT: u64 = 20;
/// What an uplink counts for at most while only its owner vouches for it, in kbit/s.
pub const SELF_ASSERTED_KBPS_MAX: u64 = 1_000_000;
/// The uplink that scores full points, in kbit/s.
pub const FULL_KBPS: u64 = 10_000_000;
/// Points that a parent loses for each child that it serves on the same path already.
pub const CHILD_PENALTY: u64 = 5;
/// Full points of each score.
pub const FULL: u64 = 1000;

/// An uplink in whole kbit/s; 0 for what is no positive finite number. The multiplication is in binary32, rounded to
/// the nearest even, because that is what peers compare.
pub fn quantise(uplink_mbps: f32) -> u64 {
    match uplink_mbps.is_finite() && uplink_mbps > 0.0 {
        true => (uplink_mbps * 1000.0) as u64,
        false => 0,
    }
}

/// What an uplink counts for, in kbit/s, by what was verified of it.
pub fn cap(kbps: u64, verification: Verification) -> u64 {
    match verification {
        Verification::ThroughputChallenged => kbps,
        Verification::HybridSignatureValid => kbps.min(SELF_ASSERTED_KBPS_MAX),
        Verification::Unverified => 0,
    }
}

/// 0 to [`FULL`]: one point for 10 Mbit/s.
pub fn capacity(capped_kbps: u64) -> u64 {
    capped_kbps.min(FULL_KBPS) * FULL / FULL_KBPS
}

/// 0 to [`FULL`] by the delegations in between; `None` when there are too many.
pub fn trust(chain_depth: u8) -> Option<u64> {
    let short = GRANT_DEPTH_MAX.checked_sub(chain_depth)?;
    Some(u64::from(short) * FULL / u64::from(GRANT_DEPTH_MAX))
}

/// 0 to [`FULL`] by the round trip, one point for 5 ms; `None` when it is too long.
pub fn reachability(rtt_ms: u32) -> Option<u64> {
    let short = RTT_MS_MAX.checked_sub(rtt_ms)?;
    Some(u64::from(short) * FULL / u64::from(RTT_MS_MAX))
}
