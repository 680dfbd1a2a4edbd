//! How much each layer of the stream takes, so that room for one more child can be told.

use edge_wire::layer::{Layer, Policy};

/// Layers told apart on each axis; higher ones count with the highest.
const AXIS: usize = 4;
/// Time over which bytes are counted before they enter the mean.
const WINDOW_MS: u64 = 500;
/// Weight of the newest window, in quarters.
const NEWEST: u64 = 1;

/// Mean rate of each (spatial, temporal) layer; sound counts with the base.
#[derive(Debug, Default)]
pub(crate) struct Rates {
    bytes: [[u64; AXIS]; AXIS],
    kbps: [[u64; AXIS]; AXIS],
    since_ms: Option<u64>,
    windows: u64,
}

impl Rates {
    /// Counts one chunk.
    pub(crate) fn count(&mut self, layer: Layer, len: usize, now_ms: u64) {
        let since_ms = *self.since_ms.get_or_insert(now_ms);
        let elapsed_ms = now_ms.saturating_sub(since_ms);
        if elapsed_ms >= WINDOW_MS {
            self.close(elapsed_ms);
            self.since_ms = Some(now_ms);
        }
        let at = |axis: u8| usize::from(axis).min(AXIS - 1);
        if let Some(bytes) = self.bytes.get_mut(at(layer.spatial)).and_then(|row| row.get_mut(at(layer.temporal))) {
            *bytes += len as u64;
        }
    }

    /// What a child with `policy` takes, in kbit/s; 0 before the first window is over.
    pub(crate) fn of(&self, policy: Policy) -> u64 {
        let rows = self.kbps.iter().take(usize::from(policy.max_spatial) + 1);
        rows.flat_map(|row| row.iter().take(usize::from(policy.max_temporal) + 1)).sum()
    }

    /// What each policy that differs from the others takes, in kbit/s, the base first; nothing before the first window.
    pub(crate) fn policies(&self) -> Vec<(Policy, u32)> {
        let axis = || (0..AXIS).filter_map(|at| u8::try_from(at).ok());
        let all = axis().flat_map(|spatial| axis().map(move |temporal| Policy::new(spatial, temporal, u8::MAX)));
        let there = |policy: &Policy| {
            let row = self.kbps.get(usize::from(policy.max_spatial));
            row.and_then(|row| row.get(usize::from(policy.max_temporal))).is_some_and(|kbps| *kbps > 0)
        };
        all.filter(there).map(|policy| (policy, u32::try_from(self.of(policy)).unwrap_or(u32::MAX))).collect()
    }

    /// Each layer's own rate in kbit/s, the base first; 0 for layers that there are not.
    pub(crate) fn layers(&self) -> Vec<u32> {
        self.kbps.as_flattened().iter().map(|kbps| u32::try_from(*kbps).unwrap_or(u32::MAX)).collect()
    }

    fn close(&mut self, elapsed_ms: u64) {
        self.windows += 1;
        let (newest, kept) = if self.windows == 1 { (4, 0) } else { (NEWEST, 4 - NEWEST) };
        for (bytes, kbps) in self.bytes.as_flattened_mut().iter_mut().zip(self.kbps.as_flattened_mut()) {
            *kbps = (*bytes * 8 / elapsed_ms * newest + *kbps * kept) / 4;
            *bytes = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_policy_takes_the_sum_of_its_layers() {
        let mut rates = Rates::default();
        for ms in 0..2_000 {
            rates.count(Layer::BASE, 25, ms);
            rates.count(Layer::new(1, 2, 0), 100, ms);
        }
        assert!((190..=210).contains(&rates.of(Policy::BLINKING_DOT)), "{}", rates.of(Policy::BLINKING_DOT));
        assert!((950..=1050).contains(&rates.of(Policy::UNCAPPED)), "{}", rates.of(Policy::UNCAPPED));
        let policies: Vec<(u8, u8)> =
            rates.policies().into_iter().map(|(policy, _)| (policy.max_spatial, policy.max_temporal)).collect();
        assert_eq!(policies, [(0, 0), (1, 2)]);
    }
}
