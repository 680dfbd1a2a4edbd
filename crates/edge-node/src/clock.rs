//! The node's clocks: the only place that reads time.

use std::sync::OnceLock;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

/// Milliseconds of a monotonic clock that starts with the process.
pub fn now_ms() -> u64 {
    u64::try_from(start().elapsed().as_millis()).unwrap_or(u64::MAX)
}

/// Microseconds of the same clock.
pub fn now_us() -> u64 {
    u64::try_from(start().elapsed().as_micros()).unwrap_or(u64::MAX)
}

/// Microseconds since 1970 by the wall clock; 0 when the clock stands before that.
pub fn unix_us() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |age| u64::try_from(age.as_micros()).unwrap_or(u64::MAX))
}

/// Milliseconds since 1970 by the wall clock.
pub fn unix_ms() -> u64 {
    unix_us() / 1_000
}

/// Seconds since 1970 by the wall clock.
pub fn unix_s() -> u64 {
    unix_us() / 1_000_000
}

fn start() -> Instant {
    static START: OnceLock<Instant> = OnceLock::new();
    *START.get_or_init(Instant::now)
}
