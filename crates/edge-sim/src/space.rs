//! Where peers are: round-trip times from coordinates, and the best tree that their uplinks allow.
//!
//! A peer has a place in a plane and a height. The round trip between two peers is the distance of their places plus
//! both heights: places are cities on the backbone, heights the last mile. The triangle inequality holds, and passing
//! through a peer costs its last mile twice, as it does on real access lines.

use crate::rng::Rng;

/// Index of a peer in a run; the publisher is 0.
pub type Index = u32;

/// Shape of the coordinate space. Lengths are µs of round trip.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shape {
    /// Cities.
    pub cities: u32,
    /// Side of the square in which cities lie.
    pub side_us: u64,
    /// How far peers lie from the middle of their city, at most.
    pub city_us: u64,
    /// Mean of the heights, which are exponentially distributed above 1 ms and cut at five times the mean.
    pub height_us: u64,
}

impl Default for Shape {
    /// Eight cities in a square whose sides take 60 ms there and back, 4 ms of last mile.
    fn default() -> Self {
        Self { cities: 8, side_us: 60_000, city_us: 3_000, height_us: 4_000 }
    }
}

/// The places of all peers.
#[derive(Debug, Clone)]
pub struct Space {
    places: Vec<Place>,
}

#[derive(Debug, Clone, Copy)]
struct Place {
    x: f64,
    y: f64,
    height: f64,
    city: u32,
}

/// Shortest height, in µs.
const HEIGHT_MIN_US: u64 = 1_000;

impl Space {
    /// Places `peers` peers. The publisher's city is drawn like every other.
    pub fn new(peers: usize, shape: Shape, seed: u64) -> Self {
        let mut rng = Rng::labelled(seed, 0x5ace);
        let side = shape.side_us as f64;
        let cities: Vec<(f64, f64)> =
            (0..shape.cities.max(1)).map(|_| (rng.unit() * side, rng.unit() * side)).collect();
        let places = (0..peers).map(|_| place(&cities, shape, &mut rng)).collect();
        Self { places }
    }

    /// Peers placed.
    pub fn peers(&self) -> usize {
        self.places.len()
    }

    /// Round trip between two peers, in µs; 0 for a peer that was not placed.
    pub fn rtt_us(&self, a: Index, b: Index) -> u64 {
        let (Some(a), Some(b)) = (self.places.get(a as usize), self.places.get(b as usize)) else { return 0 };
        let distance = (a.x - b.x).hypot(a.y - b.y);
        (distance + a.height + b.height) as u64
    }

    /// Where a peer is drawn on a map.
    pub fn place(&self, peer: Index) -> (f64, f64) {
        self.places.get(peer as usize).map_or((0.0, 0.0), |place| (place.x, place.y))
    }

    /// The city of a peer.
    pub fn city(&self, peer: Index) -> u32 {
        self.places.get(peer as usize).map_or(0, |place| place.city)
    }
}

fn place(cities: &[(f64, f64)], shape: Shape, rng: &mut Rng) -> Place {
    let city = rng.below(cities.len() as u64) as u32;
    let (x, y) = cities.get(city as usize).copied().unwrap_or_default();
    let angle = rng.unit() * std::f64::consts::TAU;
    let radius = rng.unit() * shape.city_us as f64;
    let height = HEIGHT_MIN_US + rng.exponential_us(shape.height_us).min(shape.height_us * 5);
    Place { x: x + radius * angle.cos(), y: y + radius * angle.sin(), height: height as f64, city }
}

/// A tree under the publisher: for each peer its parent and its delay as the sum of the round trips on the way.
#[derive(Debug, Clone, Default)]
pub struct Tree {
    /// Parent of each peer; none for the publisher and for peers that found no room.
    pub parents: Vec<Option<Index>>,
    /// Sum of round trips from the publisher, in µs.
    pub delay_us: Vec<u64>,
}

/// The best tree that the slots of the peers allow, built with the knowledge of everything: peers are added in the
/// order of the delay that they get, each at the parent that gives it the least delay, and peers that can feed others
/// go first. Finding the true optimum is NP-hard; this greedy rule is the usual reference. It has a slot for each child
/// and keeps no standby, so it is somewhat better than any tree that a healing mesh can hold.
pub fn best_tree(space: &Space, slots: &[u32], alive: &[bool]) -> Tree {
    let peers = space.peers();
    let mut greedy = Greedy::new(space, slots, peers);
    let is_alive = |peer: usize| alive.get(peer).copied().unwrap_or(false);
    let feeds = |peer: usize| slots.get(peer).is_some_and(|slots| *slots > 0);
    greedy.grow((1..peers).filter(|&peer| is_alive(peer) && feeds(peer)).collect());
    greedy.grow((1..peers).filter(|&peer| is_alive(peer) && !feeds(peer)).collect());
    greedy.tree
}

struct Greedy<'a> {
    space: &'a Space,
    free: Vec<u32>,
    members: Vec<Index>,
    tree: Tree,
}

impl<'a> Greedy<'a> {
    fn new(space: &'a Space, slots: &[u32], peers: usize) -> Self {
        let tree = Tree { parents: vec![None; peers], delay_us: vec![0; peers] };
        Self { space, free: slots.to_vec(), members: vec![0], tree }
    }

    /// Adds `waiting`, nearest first.
    fn grow(&mut self, waiting: Vec<usize>) {
        let mut waiting: Vec<(Index, Option<(u64, Index)>)> =
            waiting.into_iter().map(|peer| (peer as Index, self.best_parent(peer as Index))).collect();
        while let Some(at) = nearest(&waiting) {
            let (peer, Some((delay, parent))) = waiting.swap_remove(at) else { break };
            self.attach(peer, parent, delay);
            let full = self.free_slots(parent) == 0;
            for (other, best) in &mut waiting {
                if full && best.is_some_and(|(_, at)| at == parent) {
                    *best = self.best_parent(*other);
                } else if self.free_slots(peer) > 0 {
                    let through = (delay.saturating_add(self.space.rtt_us(peer, *other)), peer);
                    *best = Some(best.map_or(through, |best| best.min(through)));
                }
            }
        }
    }

    fn attach(&mut self, peer: Index, parent: Index, delay: u64) {
        if let Some(free) = self.free.get_mut(parent as usize) {
            *free = free.saturating_sub(1);
        }
        if let (Some(to), Some(at)) =
            (self.tree.parents.get_mut(peer as usize), self.tree.delay_us.get_mut(peer as usize))
        {
            *to = Some(parent);
            *at = delay;
        }
        self.members.push(peer);
    }

    fn best_parent(&self, peer: Index) -> Option<(u64, Index)> {
        let open = self.members.iter().filter(|&&member| self.free_slots(member) > 0);
        let through = |member: Index| {
            let delay = self.tree.delay_us.get(member as usize).copied().unwrap_or(0);
            (delay.saturating_add(self.space.rtt_us(member, peer)), member)
        };
        open.map(|&member| through(member)).min()
    }

    fn free_slots(&self, peer: Index) -> u32 {
        self.free.get(peer as usize).copied().unwrap_or(0)
    }
}

fn nearest(waiting: &[(Index, Option<(u64, Index)>)]) -> Option<usize> {
    let reachable = waiting.iter().enumerate().filter_map(|(at, (peer, best))| best.map(|best| (best, *peer, at)));
    reachable.min().map(|(_, _, at)| at)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn round_trips_are_symmetric_and_keep_the_triangle_inequality() {
        let space = Space::new(60, Shape::default(), 5);
        for a in 0..60 {
            for b in 0..60 {
                assert_eq!(space.rtt_us(a, b), space.rtt_us(b, a));
                for c in 0..60 {
                    assert!(space.rtt_us(a, b) <= space.rtt_us(a, c) + space.rtt_us(c, b) + 2);
                }
            }
        }
    }

    #[test]
    fn the_best_tree_reaches_all_within_the_slots() {
        let space = Space::new(200, Shape::default(), 5);
        let slots: Vec<u32> = (0..200).map(|peer| if peer % 3 == 0 { 4 } else { 0 }).collect();
        let tree = best_tree(&space, &slots, &[true; 200]);
        assert!(tree.parents[1..].iter().all(Option::is_some));
        for peer in 0..200u32 {
            let children = tree.parents.iter().filter(|parent| **parent == Some(peer)).count();
            assert!(children <= slots[peer as usize] as usize);
        }
        assert!((1..200).all(|peer| tree.delay_us[peer as usize] >= space.rtt_us(0, peer)));
    }

    #[test]
    fn peers_beyond_all_slots_stay_out() {
        let space = Space::new(5, Shape::default(), 5);
        let tree = best_tree(&space, &[2, 0, 0, 0, 0], &[true; 5]);
        assert_eq!(tree.parents.iter().flatten().count(), 2);
    }
}
