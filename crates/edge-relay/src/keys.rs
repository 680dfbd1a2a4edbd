//! Memory of transit keys, so that none serves twice.

use std::collections::{HashSet, VecDeque};

use edge_link::KeyFingerprint;

/// Most fingerprints of ended subscriptions that are remembered; those of running ones are never forgotten.
const RETIRED_MAX: usize = 1 << 16;

#[derive(Default)]
pub(crate) struct Keys {
    installed: HashSet<KeyFingerprint>,
    retired: HashSet<KeyFingerprint>,
    order: VecDeque<KeyFingerprint>,
}

impl Keys {
    pub(crate) fn was_used(&self, key: KeyFingerprint) -> bool {
        self.installed.contains(&key) || self.retired.contains(&key)
    }

    pub(crate) fn install(&mut self, key: KeyFingerprint) {
        self.installed.insert(key);
    }

    pub(crate) fn retire(&mut self, key: KeyFingerprint) {
        self.installed.remove(&key);
        if self.retired.insert(key) {
            self.order.push_back(key);
        }
        if self.order.len() > RETIRED_MAX
            && let Some(oldest) = self.order.pop_front()
        {
            self.retired.remove(&oldest);
        }
    }
}
