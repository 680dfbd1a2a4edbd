//! Token buckets in whole parts of a token.

/// A rate in tokens a minute fills so many of these parts in one ms.
const TOKEN: u64 = 60_000;

/// How fast a bucket fills and how much it holds.
#[derive(Debug, Clone, Copy)]
pub struct Rate {
    per_minute: u64,
    burst: u64,
}

impl Rate {
    /// Tokens a second, and tokens of a full bucket.
    pub const fn per_second(tokens: u64, burst: u64) -> Self {
        Self::per_minute(tokens.saturating_mul(60), burst)
    }

    /// Tokens a minute, and tokens of a full bucket.
    pub const fn per_minute(tokens: u64, burst: u64) -> Self {
        Self { per_minute: tokens, burst }
    }

    fn full(self) -> u64 {
        self.burst.saturating_mul(TOKEN)
    }
}

/// One bucket; starts full.
#[derive(Debug, Clone, Copy)]
pub struct Bucket {
    rate: Rate,
    level: u64,
    at_ms: u64,
    excess: u32,
}

impl Bucket {
    /// A full bucket.
    pub fn new(rate: Rate, now_ms: u64) -> Self {
        Self { rate, level: rate.full(), at_ms: now_ms, excess: 0 }
    }

    /// Fills at another rate from now on; what a larger bucket holds more is there at once.
    pub fn raise(&mut self, rate: Rate, now_ms: u64) {
        let more = rate.full().saturating_sub(self.rate.full());
        self.level = self.level_at(now_ms).saturating_add(more).min(rate.full());
        self.at_ms = self.at_ms.max(now_ms);
        self.rate = rate;
    }

    /// Takes one token, if there is one.
    pub fn take(&mut self, now_ms: u64) -> bool {
        self.level = self.level_at(now_ms);
        self.at_ms = self.at_ms.max(now_ms);
        if self.level == self.rate.full() {
            self.excess = 0;
        }
        let taken = self.level >= TOKEN;
        match taken {
            true => self.level -= TOKEN,
            false => self.excess = self.excess.saturating_add(1),
        }
        taken
    }

    /// Whether a token is there.
    pub fn has_one(&self, now_ms: u64) -> bool {
        self.level_at(now_ms) >= TOKEN
    }

    /// Tokens asked for in vain since the bucket was full last.
    pub fn excess(&self) -> u32 {
        self.excess
    }

    /// Whether it is as good as a new one.
    pub fn is_full(&self, now_ms: u64) -> bool {
        self.level_at(now_ms) == self.rate.full()
    }

    fn level_at(&self, now_ms: u64) -> u64 {
        let filled = now_ms.saturating_sub(self.at_ms).saturating_mul(self.rate.per_minute);
        self.level.saturating_add(filled).min(self.rate.full())
    }
}

#[cfg(test)]
mod tests {
    use super::{Bucket, Rate};

    #[test]
    fn a_bucket_gives_its_burst_and_then_its_rate() {
        let mut bucket = Bucket::new(Rate::per_second(1, 2), 5_000);
        assert_eq!(
            [5_000, 5_000, 5_000, 5_999, 6_000, 6_001].map(|ms| bucket.take(ms)),
            [true, true, false, false, true, false]
        );
        assert!(!bucket.is_full(7_999) && bucket.is_full(8_000));
        assert!(!bucket.take(0), "a clock that goes back fills nothing");
    }

    #[test]
    fn a_burst_passes_then_the_rate_and_a_rest_forgives() {
        let mut bucket = Bucket::new(Rate::per_second(2, 4), 0);
        let passed = (0..10).filter(|_| bucket.take(0)).count();
        assert_eq!((passed, bucket.excess(), bucket.has_one(499), bucket.has_one(500)), (4, 6, false, true));
        let passed = (0..20).filter(|at| bucket.take(at * 100)).count();
        assert_eq!(passed, 3, "two a second for 1.9 seconds");
        bucket.take(60_000);
        assert_eq!(bucket.excess(), 0);
    }
}
