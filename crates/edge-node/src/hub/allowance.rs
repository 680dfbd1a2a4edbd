//! How many requests may pass: a token bucket.

use crate::clock;

/// Refills steadily up to a burst.
#[derive(Debug)]
pub(crate) struct Allowance {
    burst: f64,
    per_second: f64,
    tokens: f64,
    at_ms: u64,
    excess: u32,
}

impl Allowance {
    /// A full bucket of `burst` tokens that gains `per_second`.
    pub(crate) fn new(burst: f64, per_second: f64) -> Self {
        Self { burst, per_second, tokens: burst, at_ms: clock::now_ms(), excess: 0 }
    }

    /// Takes one token; `false` when there is none.
    pub(crate) fn take(&mut self) -> bool {
        self.take_at(clock::now_ms())
    }

    /// Whether a token is there.
    pub(crate) fn has_one(&self) -> bool {
        self.level_at(clock::now_ms()) >= 1.0
    }

    /// Whether it is as good as a new one.
    pub(crate) fn is_full(&self) -> bool {
        self.level_at(clock::now_ms()) >= self.burst
    }

    /// Requests beyond the rate since the bucket was full last.
    pub(crate) fn excess(&self) -> u32 {
        self.excess
    }

    fn take_at(&mut self, now_ms: u64) -> bool {
        self.tokens = self.level_at(now_ms);
        self.at_ms = now_ms;
        if self.tokens >= self.burst {
            self.excess = 0;
        }
        if self.tokens < 1.0 {
            self.excess = self.excess.saturating_add(1);
            return false;
        }
        self.tokens -= 1.0;
        true
    }

    fn level_at(&self, now_ms: u64) -> f64 {
        let gained = now_ms.saturating_sub(self.at_ms) as f64 / 1000.0 * self.per_second;
        (self.tokens + gained).min(self.burst)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_passes_then_the_rate_and_a_rest_forgives() {
        let mut bucket = Allowance { burst: 4.0, per_second: 2.0, tokens: 4.0, at_ms: 0, excess: 0 };
        let passed = (0..10).filter(|_| bucket.take_at(0)).count();
        assert_eq!((passed, bucket.excess()), (4, 6));
        let passed = (0..20).filter(|at| bucket.take_at(at * 100)).count();
        assert_eq!(passed, 3, "two a second for 1.9 seconds");
        bucket.take_at(60_000);
        assert_eq!(bucket.excess(), 0);
    }
}
