//! What a session's path does, from QUIC's own counters over the last seconds.

use std::collections::VecDeque;
use std::time::Duration;

/// Time that estimates look back, in µs.
pub const WINDOW_US: u64 = 4_000_000;

/// Shortest time between two samples.
const STEP_US: u64 = 100_000;
/// Samples kept: a window of them, and the one that it begins with.
const SAMPLES_MAX: usize = (WINDOW_US / STEP_US) as usize + 1;
/// Shortest stretch whose rate counts as the peak.
const PEAK_US: u64 = 500_000;
/// Time that the recent rate looks back.
const RECENT_US: u64 = 1_000_000;
const PPM: u64 = 1_000_000;

/// A path as of now. Rates and losses are those of the last [`WINDOW_US`].
///
/// Counters are sampled whenever a message is sent and whenever somebody asks. On a session that was idle and not asked
/// for longer than the window, the figures cover the time since the last look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Path {
    /// Smoothed round-trip time.
    pub rtt: Duration,
    /// Shortest round-trip time of the last 10 to 20 s.
    pub rtt_min: Duration,
    /// Time that packets wait in queues: what the round trip takes beyond the shortest.
    pub queue_delay: Duration,
    /// Packets declared lost, in a million of those sent. Reordering beyond QUIC's patience counts as loss.
    pub loss_ppm: u32,
    /// Packets that the loss is a share of; a few hundred make it a measurement.
    pub packets: u64,
    /// Mean rate at which the peer got UDP payload, in kbit/s: sent, less lost, less media not yet acknowledged.
    pub delivery_kbps: u32,
    /// Highest such rate over half a second.
    pub delivery_peak_kbps: u32,
    /// Nobody wanted to send more than the path took: the delivery rates are a floor, not a capacity.
    pub application_limited: bool,
    /// Longest datagram that fits one packet, in bytes; 0 if the peer takes none.
    pub datagram_len: usize,
}

/// Counters of a session since it began.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Counters {
    /// Packets sent, probes of the packet size left out.
    pub(crate) sent_packets: u64,
    pub(crate) lost_packets: u64,
    /// UDP payload handed to the network.
    pub(crate) sent_bytes: u64,
    pub(crate) lost_bytes: u64,
    /// Media not acknowledged.
    pub(crate) in_flight: usize,
}

/// Samples of one session. Times are microseconds since it began.
#[derive(Debug, Default)]
pub(crate) struct Sampler {
    samples: VecDeque<Sample>,
    limited_us: Option<u64>,
}

#[derive(Debug, Clone, Copy)]
struct Sample {
    at_us: u64,
    sent: u64,
    lost: u64,
    /// Never goes back, so that no stretch has a negative rate.
    delivered: u64,
}

impl Sampler {
    /// Whether [`note`](Self::note) would keep anything now.
    pub(crate) fn is_due(&self, now_us: u64) -> bool {
        self.samples.back().is_none_or(|last| now_us.saturating_sub(last.at_us) >= STEP_US)
    }

    /// A message did not fit, or somebody waits for room.
    pub(crate) fn held_back(&mut self, now_us: u64) {
        self.limited_us = Some(now_us);
    }

    /// Takes the counters as of now.
    pub(crate) fn note(&mut self, now_us: u64, counters: Counters) {
        if !self.is_due(now_us) {
            return;
        }
        let in_flight = u64::try_from(counters.in_flight).unwrap_or(u64::MAX);
        let gone = counters.lost_bytes.saturating_add(in_flight);
        let least = self.samples.back().map_or(0, |last| last.delivered);
        let sample = Sample {
            at_us: now_us,
            sent: counters.sent_packets,
            lost: counters.lost_packets,
            delivered: counters.sent_bytes.saturating_sub(gone).max(least),
        };
        // The window begins with the last sample that is as old as it.
        let stale = |second: &Sample| now_us.saturating_sub(second.at_us) >= WINDOW_US;
        while self.samples.get(1).is_some_and(stale) || self.samples.len() >= SAMPLES_MAX {
            self.samples.pop_front();
        }
        self.samples.push_back(sample);
    }

    /// Bytes a second that the peer got within about the last second.
    pub(crate) fn recent_per_s(&self) -> u64 {
        let Some(last) = self.samples.back() else { return 0 };
        let recent = |sample: &&Sample| last.at_us.saturating_sub(sample.at_us) <= RECENT_US;
        let Some(first) = self.samples.iter().find(recent) else { return 0 };
        u64::from(rate(first, last)).saturating_mul(1000 / 8)
    }

    /// Fills in what the samples tell.
    pub(crate) fn estimate(&self, now_us: u64, path: Path) -> Path {
        let limited = self.limited_us.is_some_and(|at_us| now_us.saturating_sub(at_us) < WINDOW_US);
        let (Some(first), Some(last)) = (self.samples.front(), self.samples.back()) else {
            return Path { application_limited: !limited, ..path };
        };
        let sent = last.sent.saturating_sub(first.sent);
        let lost = last.lost.saturating_sub(first.lost).min(sent);
        let loss_ppm = lost.saturating_mul(PPM).checked_div(sent).unwrap_or(0);
        Path {
            loss_ppm: u32::try_from(loss_ppm).unwrap_or(u32::MAX),
            packets: sent,
            delivery_kbps: rate(first, last),
            delivery_peak_kbps: self.peak(),
            application_limited: !limited,
            ..path
        }
    }

    fn peak(&self) -> u32 {
        let mut begin = self.samples.iter().peekable();
        let mut peak = 0;
        for end in &self.samples {
            let enough = |begin: &&Sample| end.at_us.saturating_sub(begin.at_us) >= PEAK_US;
            let mut latest = None;
            while let Some(sample) = begin.next_if(enough) {
                latest = Some(sample);
            }
            peak = peak.max(latest.map_or(0, |begin| rate(begin, end)));
        }
        peak
    }
}

/// Rate of delivery between two samples, in kbit/s.
fn rate(begin: &Sample, end: &Sample) -> u32 {
    let bits = end.delivered.saturating_sub(begin.delivered).saturating_mul(8);
    let elapsed_us = end.at_us.saturating_sub(begin.at_us);
    let kbps = u128::from(bits).saturating_mul(1000).checked_div(u128::from(elapsed_us)).unwrap_or(0);
    u32::try_from(kbps).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Packets of 1250 bytes, one a millisecond, of which one in `lost_every` is lost.
    fn steady(sampler: &mut Sampler, from_ms: u64, to_ms: u64, lost_every: u64) {
        for ms in from_ms..to_ms {
            let lost = ms / lost_every;
            let counters = Counters {
                sent_packets: ms,
                lost_packets: lost,
                sent_bytes: ms * 1250,
                lost_bytes: lost * 1250,
                in_flight: 50 * 1250,
            };
            sampler.note(ms * 1000, counters);
        }
    }

    #[test]
    fn a_steady_path_is_told_as_it_is() {
        let mut sampler = Sampler::default();
        steady(&mut sampler, 100, 20_000, 20);
        let path = sampler.estimate(20_000_000, Path::default());
        assert!((49_000..=51_000).contains(&path.loss_ppm), "{path:?}");
        assert!((9_400..=9_600).contains(&path.delivery_kbps), "{path:?}");
        assert!((path.delivery_kbps..=9_700).contains(&path.delivery_peak_kbps), "{path:?}");
        assert!((3_900..=4_100).contains(&path.packets), "{path:?}");
        assert!(path.application_limited);
        assert!(sampler.samples.len() <= SAMPLES_MAX);
    }

    #[test]
    fn loss_that_is_over_is_forgotten_after_the_window() {
        let mut sampler = Sampler::default();
        steady(&mut sampler, 100, 10_000, 10);
        let lost = 10_000 / 10;
        for ms in 10_000..15_000 {
            let counters = Counters { sent_packets: ms, lost_packets: lost, sent_bytes: ms, ..Counters::default() };
            sampler.note(ms * 1000, counters);
        }
        assert_eq!(sampler.estimate(15_000_000, Path::default()).loss_ppm, 0);
    }

    #[test]
    fn whoever_was_held_back_shows_a_capacity_until_the_window_is_over() {
        let mut sampler = Sampler::default();
        steady(&mut sampler, 0, 1_000, 1_000);
        sampler.held_back(1_000_000);
        assert!(!sampler.estimate(1_000_001, Path::default()).application_limited);
        assert!(sampler.estimate(1_000_000 + WINDOW_US, Path::default()).application_limited);
    }

    #[test]
    fn an_idle_session_has_no_rate_and_no_loss() {
        let mut sampler = Sampler::default();
        assert_eq!(sampler.estimate(0, Path::default()), Path { application_limited: true, ..Path::default() });
        sampler.note(0, Counters::default());
        sampler.note(60_000_000, Counters::default());
        let path = sampler.estimate(60_000_000, Path::default());
        assert_eq!((path.delivery_kbps, path.delivery_peak_kbps, path.loss_ppm, path.packets), (0, 0, 0, 0));
    }
}
