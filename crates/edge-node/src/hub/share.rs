//! What one child may send up: the way there is shared with its siblings.

use std::collections::BTreeSet;

use edge_alm::bucket::{Bucket, Rate};
use edge_wire::control::Role;
use edge_wire::id::Fingerprint;

/// What one peer may send up; its requests and its wishes count apart.
const ONE_PER_SECOND: u64 = 8;
const ONE_BURST: u64 = 16;
/// What each peer below adds to the share of a child that carries the stream on.
const EACH_PER_SECOND: u64 = 1;
const EACH_BURST: u64 = 2;
/// Peers below that count. With all of them a child has two thirds of what its parent passes on at most.
const MAX_SPEAKERS: usize = 24;

/// The share of one child.
#[derive(Debug)]
pub(super) struct Share {
    requests: Bucket,
    wishes: Bucket,
    /// For whom it has spoken.
    speakers: BTreeSet<Fingerprint>,
}

impl Share {
    pub(super) fn new(now_ms: u64) -> Self {
        let bucket = Bucket::new(rate(0), now_ms);
        Self { requests: bucket, wishes: bucket, speakers: BTreeSet::new() }
    }

    /// Whether one more end-to-end request of `from` may pass, which `child` sends.
    pub(super) fn request(&mut self, now_ms: u64, (child, role): (Fingerprint, Role), from: Fingerprint) -> bool {
        let counts = role == Role::Carrier && from != child && self.speakers.len() < MAX_SPEAKERS;
        if counts && self.speakers.insert(from) {
            let more = rate(self.speakers.len());
            self.requests.raise(more, now_ms);
            self.wishes.raise(more, now_ms);
        }
        self.requests.take(now_ms)
    }

    /// Whether one more wish for what is the same for all may pass.
    pub(super) fn wish(&mut self, now_ms: u64) -> bool {
        self.wishes.take(now_ms)
    }
}

fn rate(speakers: usize) -> Rate {
    let speakers = u64::try_from(speakers.min(MAX_SPEAKERS)).unwrap_or(0);
    Rate::per_second(ONE_PER_SECOND + EACH_PER_SECOND * speakers, ONE_BURST + EACH_BURST * speakers)
}

#[cfg(test)]
mod tests {
    use super::*;

    const CHILD: Fingerprint = Fingerprint([1; 32]);

    fn peer(number: u64) -> Fingerprint {
        let mut bytes = [2; 32];
        bytes[..8].copy_from_slice(&number.to_be_bytes());
        Fingerprint(bytes)
    }

    /// Requests that pass when a thousand peers below say three things each at once.
    fn storm(share: &mut Share, role: Role) -> usize {
        let words = (0..1_000).flat_map(|number| [number; 3]);
        words.filter(|number| share.request(0, (CHILD, role), peer(*number))).count()
    }

    #[test]
    fn a_relay_speaks_for_many_and_has_a_bound_all_the_same() {
        let mut share = Share::new(0);
        assert_eq!(storm(&mut share, Role::Carrier), 64, "what 24 peers bring, and no more");
        let later = (0..1_000).filter(|_| share.request(1_000, (CHILD, Role::Carrier), peer(7))).count();
        assert_eq!(later, 32);
        assert_eq!((0..1_000).filter(|_| share.wish(0)).count(), 64, "wishes count apart");
    }

    #[test]
    fn who_only_watches_speaks_for_itself() {
        let mut share = Share::new(0);
        assert_eq!(storm(&mut share, Role::Leaf), 16);
        let own = (0..1_000).filter(|_| share.request(1_000, (CHILD, Role::Carrier), CHILD)).count();
        assert_eq!(own, 8, "a relay's own words add nothing");
    }
}
