//! Which symbols go first when space runs out.

/// Order in which symbols are dropped: larger goes sooner. By layer first (`svc`, three at most), then repair before
/// source, then later before earlier. Local: a value that a peer sent is recomputed, never used.
pub const fn retention_priority(svc: u8, id: u32, n_source: u32) -> u8 {
    let source = if n_source == 0 { 1 } else { n_source };
    let layer = if svc > 3 { 3 } else { svc };
    let rank = if id < source {
        id.saturating_mul(32) / source
    } else {
        let repair = id - source;
        32 + at_most_31(repair.saturating_mul(32) / repair.saturating_add(1))
    };
    layer << 6 | rank.to_be_bytes()[3]
}

const fn at_most_31(value: u32) -> u32 {
    if value > 31 { 31 } else { value }
}
