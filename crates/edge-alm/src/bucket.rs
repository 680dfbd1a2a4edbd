//! Token buckets in whole thousandths of a token.

const MILLI: u64 = 1000;

/// How fast a bucket fills and how much it holds.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rate {
    /// Tokens a second.
    pub(crate) per_second: u64,
    /// Tokens of a full bucket.
    pub(crate) burst: u64,
}

/// One bucket; starts full.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bucket {
    rate: Rate,
    level_milli: u64,
    at_ms: u64,
}

impl Bucket {
    pub(crate) fn new(rate: Rate, now_ms: u64) -> Self {
        Self { rate, level_milli: rate.burst.saturating_mul(MILLI), at_ms: now_ms }
    }

    /// Takes one token, if there is one.
    pub(crate) fn take(&mut self, now_ms: u64) -> bool {
        self.level_milli = self.level_at(now_ms);
        self.at_ms = self.at_ms.max(now_ms);
        let taken = self.level_milli >= MILLI;
        self.level_milli -= if taken { MILLI } else { 0 };
        taken
    }

    /// Whether it is as good as a new one.
    pub(crate) fn is_full(&self, now_ms: u64) -> bool {
        self.level_at(now_ms) == self.rate.burst.saturating_mul(MILLI)
    }

    fn level_at(&self, now_ms: u64) -> u64 {
        let filled = now_ms.saturating_sub(self.at_ms).saturating_mul(self.rate.per_second);
        self.level_milli.saturating_add(filled).min(self.rate.burst.saturating_mul(MILLI))
    }
}

#[cfg(test)]
mod tests {
    use super::{Bucket, Rate};

    #[test]
    fn a_bucket_gives_its_burst_and_then_its_rate() {
        let mut bucket = Bucket::new(Rate { per_second: 1, burst: 2 }, 5_000);
        assert_eq!(
            [5_000, 5_000, 5_000, 5_999, 6_000, 6_001].map(|ms| bucket.take(ms)),
            [true, true, false, false, true, false]
        );
        assert!(!bucket.is_full(7_999) && bucket.is_full(8_000));
        assert!(!bucket.take(0), "a clock that goes back fills nothing");
    }
}
