//! What the emulator did and cost.

use std::fmt::{self, Display, Formatter};
use std::time::Duration;

/// Width of one class of lateness, in µs.
const CLASS_US: u64 = 50;
/// Classes; the last one takes everything later.
const CLASSES: usize = 401;

/// Totals since the start.
#[derive(Debug, Clone)]
pub struct Usage {
    /// Packets read from hosts that are for other hosts.
    pub packets: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Packets written to hosts.
    pub delivered: u64,
    /// Packets dropped because too many were on their way, or because a device did not take them.
    pub overflows: u64,
    /// Processor time of the emulator's thread.
    pub cpu: Duration,
    /// How late the latest packet was delivered, against the model.
    pub late_max: Duration,
    late: Box<[u64; CLASSES]>,
}

impl Default for Usage {
    fn default() -> Self {
        Self {
            packets: 0,
            bytes: 0,
            delivered: 0,
            overflows: 0,
            cpu: Duration::ZERO,
            late_max: Duration::ZERO,
            late: Box::new([0; CLASSES]),
        }
    }
}

impl Usage {
    /// How late packets were delivered at most, `share` (0 to 1) of them, in steps of 50 µs up to 20 ms.
    pub fn late(&self, share: f64) -> Duration {
        let total: u64 = self.late.iter().sum();
        let wanted = (total as f64 * share).ceil() as u64;
        let mut seen = 0;
        let class = self.late.iter().position(|count| {
            seen += count;
            seen >= wanted
        });
        Duration::from_micros((class.unwrap_or(CLASSES) as u64 + 1) * CLASS_US)
    }

    pub(super) fn count_delivery(&mut self, late_us: u64) {
        self.delivered += 1;
        self.late_max = self.late_max.max(Duration::from_micros(late_us));
        let class = usize::try_from(late_us / CLASS_US).unwrap_or(CLASSES).min(CLASSES - 1);
        if let Some(count) = self.late.get_mut(class) {
            *count += 1;
        }
    }
}

impl Display for Usage {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let ms = |time: Duration| time.as_secs_f64() * 1000.0;
        write!(
            f,
            "emulator: {} packets, {:.1} MB, {} overflows",
            self.packets,
            self.bytes as f64 / 1e6,
            self.overflows
        )?;
        write!(f, ", {:.2} CPU-s; late p50 {:.2} ms", self.cpu.as_secs_f64(), ms(self.late(0.5)))?;
        write!(f, ", p99 {:.2} ms, max {:.2} ms", ms(self.late(0.99)), ms(self.late_max))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lateness_is_told_by_share() {
        let mut usage = Usage::default();
        (0..99).for_each(|_| usage.count_delivery(10));
        usage.count_delivery(1_000_000);
        assert_eq!(usage.late(0.5), Duration::from_micros(50));
        assert_eq!(usage.late(0.99), Duration::from_micros(50));
        assert_eq!(usage.late(1.0), Duration::from_micros(20_050));
        assert_eq!((usage.late_max, usage.delivered), (Duration::from_secs(1), 100));
    }
}
