//! How far the mesh goes: sizes of full meshes and trees in exact integers, and the odds that content survives.

/// Bytes that one chunk adds on the wire.
pub const CHUNK_OVERHEAD: u64 = 84;
/// Most distinct symbols that [`survival`] computes with.
pub const SYMBOLS_MAX: usize = 4096;

/// Peers of a full mesh in which each sends one stream to all others; `None` for a bitrate of 0.
pub fn mesh_max(uplink_bps: u64, bitrate_bps: u64) -> Option<u64> {
    uplink_bps.checked_div(bitrate_bps)?.checked_add(1)
}

/// The same with framing counted and a fifth of the uplink left free.
pub fn mesh_max_framed(uplink_bps: u64, bitrate_bps: u64, chunks_per_s: u64) -> Option<u64> {
    let framing = chunks_per_s.checked_mul(8 * CHUNK_OVERHEAD)?;
    mesh_max(uplink_bps / 5 * 4 + uplink_bps % 5 * 4 / 5, bitrate_bps.checked_add(framing)?)
}

/// Peers of a full mesh in which each receiver has its own bitrate, served in the order given.
pub fn mesh_max_mixed(uplink_bps: u64, receivers_bps: &[u64]) -> usize {
    let mut left = uplink_bps;
    let served = receivers_bps.iter().take_while(|bps| match left.checked_sub(**bps) {
        Some(rest) => {
            left = rest;
            true
        }
        None => false,
    });
    1 + served.count()
}

/// Nodes of a full tree down to `depth`, the source included; `None` when they exceed 64 bits.
pub fn reach(fanout: u64, depth: u32) -> Option<u64> {
    let mut nodes: u64 = 1;
    let mut level: u64 = 1;
    for _ in 0..depth {
        level = match level.checked_mul(fanout)? {
            0 => break,
            next if fanout == 1 => return u64::from(depth).checked_add(next),
            next => next,
        };
        nodes = nodes.checked_add(level)?;
    }
    Some(nodes)
}

/// Least depth at which a tree of this fan-out holds `nodes`, the source included; `None` when none does.
pub fn tree_depth(fanout: u64, nodes: u64) -> Option<u64> {
    match (fanout, nodes) {
        (_, 0 | 1) => Some(0),
        (0, _) => None,
        (1, _) => nodes.checked_sub(1),
        _ => {
            // 64 levels of at least two children each hold more than any `nodes`.
            let enough = |depth: &u32| reach(fanout, *depth).is_none_or(|reached| reached >= nodes);
            (0..=u64::BITS).find(enough).map(u64::from)
        }
    }
}

/// The logarithm of `nodes`, rounded up: never less than [`tree_depth`] and sometimes one more. `None` below fan-out 2.
pub fn depth_bound(fanout: u64, nodes: u64) -> Option<u32> {
    let enough = |depth: &u32| fanout.checked_pow(*depth).is_none_or(|reached| reached >= nodes);
    (fanout >= 2).then(|| (0..=u64::BITS).find(enough)).flatten()
}

/// Whether upload slots suffice for every one of `nodes` but the source to have `parents` parents.
pub fn slots_suffice(upload_slots: u64, parents: u64, nodes: u64) -> bool {
    parents.checked_mul(nodes.saturating_sub(1)).is_some_and(|need| upload_slots >= need)
}

/// Content in fountain symbols, one at each holder, the distinct ones spread as evenly as they go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Placement {
    /// Distinct symbols that restore the content.
    pub needed: usize,
    /// Distinct symbols.
    pub distinct: usize,
    /// Holders.
    pub holders: usize,
}

/// The odds that enough distinct symbols are left when each holder is up with probability `up`. `None` for a
/// probability that is none, no symbols, or more than [`SYMBOLS_MAX`].
pub fn survival(placement: Placement, up: f64) -> Option<f64> {
    let Placement { needed, distinct, holders } = placement;
    if !(0.0..=1.0).contains(&up) || distinct == 0 || distinct > SYMBOLS_MAX {
        return None;
    }
    let copies = i32::try_from(holders / distinct).ok()?;
    let doubled = holders % distinct;
    // odds[k]: that exactly k of the symbols so far are left.
    let mut odds = vec![0.0; distinct + 1];
    odds[0] = 1.0;
    for symbol in 0..distinct {
        let lost = (1.0 - up).powi(copies + i32::from(symbol < doubled));
        for k in (0..=symbol).rev() {
            odds[k + 1] += odds[k] * (1.0 - lost);
            odds[k] *= lost;
        }
    }
    Some(odds.iter().skip(needed).sum::<f64>().clamp(0.0, 1.0))
}
