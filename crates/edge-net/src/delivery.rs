//! How a message goes to a peer: as a stream, as protected datagrams, or both; chosen by what the path does.
//!
//! A stream loses nothing but pays one and a half round trips for every time that a packet is lost. Datagrams with
//! repair symbols pay bytes up front and arrive after half a round trip.
//!
//! Measured at 50 ms round trip and 20 Mbit/s, loss each way: messages in time after 200 ms, and UDP bytes sent for
//! each byte of message (`edge-bench loss`, `bench/results/loss.json`):
//!
//! | loss | load | streams | protected | both | chosen |
//! |---|---|---|---|---|---|
//! | 0 % | 60/s 4 KiB | 100.00 % × 1.02 | 100.00 % × 1.03 | 100.00 % × 2.06 | 100.00 % × 1.02 |
//! | 0 % | 30/s 10 KiB | 100.00 % × 1.02 | 100.00 % × 1.04 | 100.00 % × 2.06 | 100.00 % × 1.02 |
//! | 1 % | 60/s 4 KiB | 100.00 % × 1.03 | 99.97 % × 1.71 | 100.00 % × 2.07 | 100.00 % × 1.03 |
//! | 1 % | 30/s 10 KiB | 100.00 % × 1.03 | 100.00 % × 1.31 | 100.00 % × 2.19 | 100.00 % × 1.04 |
//! | 5 % | 60/s 4 KiB | 100.00 % × 1.08 | 100.00 % × 2.07 | 100.00 % × 2.46 | 100.00 % × 1.95 |
//! | 5 % | 30/s 10 KiB | 99.67 % × 1.08 | 100.00 % × 1.61 | 99.72 % × 2.36 | 99.94 % × 1.59 |
//! | 10 % | 60/s 4 KiB | 99.69 % × 1.14 | 99.97 % × 2.46 | 99.75 % × 2.83 | 99.92 % × 2.48 |
//! | 10 % | 30/s 10 KiB | 98.89 % × 1.15 | 100.00 % × 1.83 | 99.94 % × 2.57 | 100.00 % × 1.85 |
//!
//! Streams are good enough while two losses of one packet fit before the deadline and a third is rare; above that,
//! datagrams with repair symbols sized for the measured loss are in time for half again to twice the bytes, and their
//! slowest percent takes a third of the time. Both ways at once cost more than the stronger protection that they could
//! buy, and are never chosen here; they are for callers that must have the message in the end as well.

use edge_fountain::live::{self, HEADER_LEN};

use crate::path::Path;

/// Longest message that is sent as datagrams, in bytes; longer ones go as streams.
pub const MAX_PROTECTED: usize = 128 << 10;
/// Age at which a live message is too late, in ms.
pub const DEADLINE_MS: u64 = 200;
/// Pictures that others start from that may miss the deadline, in a million.
pub const LATE_PPM_KEY: u32 = 100;
/// The same for pictures of the base layer.
pub const LATE_PPM_BASE: u32 = 250;
/// The same for pictures that nothing needs.
pub const LATE_PPM_ENHANCEMENT: u32 = 5_000;

/// Loss below which a path counts as clean, in a million: a packet in a thousand.
const CLEAN_PPM: u32 = 1_000;
/// Packets that make a loss a measurement.
const PACKETS_MIN: u64 = 100;
/// A loss is found when the third later packet is acknowledged, and an acknowledgement may be held back: this much
/// later than a round trip after it was sent.
const DETECTION_US: u64 = 25_000;
const PPM: u64 = 1_000_000;

/// The way of one message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Way {
    /// One QUIC stream: whole in the end, late after a loss.
    #[default]
    Stream,
    /// Symbols in datagrams: in time or not at all.
    Protected {
        /// Repair symbols beside those of the message itself.
        repair: u16,
    },
    /// A stream, and symbols beside it if they fit; the receiver gets the message once or twice.
    Both {
        /// Repair symbols beside those of the message itself.
        repair: u16,
    },
}

/// What a message is to its receiver.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Sound. Its codec hides losses, and its messages are too small for symbols to travel apart.
    Audio,
    /// A picture that others start from.
    Key,
    /// A picture of the base layer.
    Base,
    /// A picture that nothing below it needs.
    Enhancement,
}

/// The way for a message of `len` bytes: a stream while enough of its kind are in time by it, else protected.
pub fn choose(path: &Path, kind: Kind, len: usize) -> Way {
    let late_ppm = match kind {
        Kind::Audio => return Way::Stream,
        Kind::Key => LATE_PPM_KEY,
        Kind::Base => LATE_PPM_BASE,
        Kind::Enhancement => LATE_PPM_ENHANCEMENT,
    };
    let symbol_len = path.datagram_len.saturating_sub(HEADER_LEN);
    let measured = path.loss_ppm >= CLEAN_PPM && path.packets >= PACKETS_MIN;
    // Two symbols that fit one packet are lost together.
    if !measured || len > MAX_PROTECTED || len <= symbol_len / 2 || symbol_len == 0 {
        return Way::Stream;
    }
    let source = u16::try_from(len.div_ceil(symbol_len)).unwrap_or(u16::MAX);
    if stream_late_ppm(path, source) <= late_ppm {
        return Way::Stream;
    }
    let target_ppm = live::PPM.saturating_sub(late_ppm);
    Way::Protected { repair: live::repair_for(source, path.loss_ppm, target_ppm, 0) }
}

/// Messages of so many packets that are late as streams, in a million: those of which one packet is lost every time
/// that there is time to send it.
fn stream_late_ppm(path: &Path, packets: u16) -> u32 {
    let us = |time: std::time::Duration| u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
    let rtt_us = us(path.rtt).max(1);
    let left_us = DEADLINE_MS.saturating_mul(1000).saturating_sub(rtt_us / 2);
    let again = left_us.checked_div(rtt_us.saturating_add(DETECTION_US)).unwrap_or(0).min(16);
    let lost_ppm = (0..again).fold(u64::from(path.loss_ppm), |lost, _| lost * u64::from(path.loss_ppm) / PPM);
    u32::try_from(lost_ppm.saturating_mul(u64::from(packets)).min(PPM)).unwrap_or(live::PPM)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn path(rtt_ms: u64, loss_ppm: u32) -> Path {
        let rtt = Duration::from_millis(rtt_ms);
        Path { rtt, rtt_min: rtt, loss_ppm, packets: 1_000, datagram_len: 1_400, ..Path::default() }
    }

    fn repair(way: Way) -> u16 {
        match way {
            Way::Protected { repair } => repair,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_clean_or_unknown_path_gets_streams() {
        assert_eq!(choose(&path(50, 0), Kind::Key, 10_000), Way::Stream);
        assert_eq!(choose(&path(500, CLEAN_PPM - 1), Kind::Key, 10_000), Way::Stream);
        let unmeasured = Path { packets: 10, ..path(50, 300_000) };
        assert_eq!(choose(&unmeasured, Kind::Key, 10_000), Way::Stream);
    }

    #[test]
    fn loss_is_answered_by_protection_and_more_loss_by_more() {
        assert_eq!(
            choose(&path(50, 10_000), Kind::Base, 4_096),
            Way::Stream,
            "a second loss is in time and a third rare"
        );
        let five = repair(choose(&path(50, 50_000), Kind::Base, 4_096));
        let ten = repair(choose(&path(50, 100_000), Kind::Base, 4_096));
        assert!(five >= 2 && ten > five, "{five} at 5 %, {ten} at 10 %");
        assert!(repair(choose(&path(50, 50_000), Kind::Key, 4_096)) >= five);
    }

    #[test]
    fn a_longer_way_is_protected_earlier() {
        assert_eq!(choose(&path(20, 50_000), Kind::Base, 4_096), Way::Stream);
        assert_ne!(choose(&path(150, 2_000), Kind::Base, 4_096), Way::Stream);
    }

    #[test]
    fn what_nothing_needs_is_protected_later() {
        let lossy = path(50, 50_000);
        assert_ne!(choose(&lossy, Kind::Base, 10_240), Way::Stream);
        assert_eq!(choose(&lossy, Kind::Enhancement, 10_240), Way::Stream);
    }

    #[test]
    fn sound_and_what_datagrams_cannot_help_go_as_streams() {
        let lossy = path(50, 100_000);
        assert_eq!(choose(&lossy, Kind::Audio, 120), Way::Stream);
        assert_eq!(choose(&lossy, Kind::Base, 200), Way::Stream, "copies would share a packet");
        assert_eq!(choose(&lossy, Kind::Base, MAX_PROTECTED + 1), Way::Stream);
        assert_eq!(choose(&Path { datagram_len: 0, ..lossy }, Kind::Base, 4_096), Way::Stream);
    }
}
