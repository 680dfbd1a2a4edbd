//! A set that remembers the latest entries only.

use std::collections::{HashSet, VecDeque};
use std::hash::Hash;

/// The latest `capacity` distinct entries; the oldest goes first.
#[derive(Debug)]
pub(crate) struct Recent<T> {
    order: VecDeque<T>,
    set: HashSet<T>,
    capacity: usize,
}

impl<T: Copy + Eq + Hash> Recent<T> {
    pub(crate) fn new(capacity: usize) -> Self {
        Self { order: VecDeque::new(), set: HashSet::new(), capacity }
    }

    pub(crate) fn contains(&self, entry: &T) -> bool {
        self.set.contains(entry)
    }

    /// Whether the entry was new.
    pub(crate) fn insert(&mut self, entry: T) -> bool {
        if !self.set.insert(entry) {
            return false;
        }
        self.order.push_back(entry);
        if self.order.len() > self.capacity
            && let Some(oldest) = self.order.pop_front()
        {
            self.set.remove(&oldest);
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::Recent;

    #[test]
    fn the_oldest_entry_is_forgotten_first() {
        let mut recent = Recent::new(2);
        assert!(recent.insert(1) && recent.insert(2) && !recent.insert(1));
        assert!(recent.insert(3));
        assert_eq!([1, 2, 3].map(|entry| recent.contains(&entry)), [false, true, true]);
    }
}
