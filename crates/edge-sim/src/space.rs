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

/// A tree under the publisher: for each peer its parent, and its delay as the sum of the round trips on the way.
#[derive(Debug, Clone, Default)]
pub struct Tree {
    /// Parent of each peer; none for the publisher and for peers that found no room.
    pub parents: Vec<Option<Index>>,
    /// Sum of round trips from the publisher, in µs.
    pub delay_us: Vec<u64>,
    /// Links from the publisher.
    pub depth: Vec<usize>,
}

/// What a tree has to keep, and what its links cost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Terms {
    /// What each link costs beside its round trip, in µs of round trip.
    pub hop_us: u64,
    /// Most links from the publisher.
    pub depth_max: usize,
}

/// The best tree that the slots of the peers allow, built with the knowledge of everything: peers are added in the
/// order of what the way to them costs, each at the parent over which it costs least, and peers that can feed others go
/// first. Finding the true optimum is NP-hard; this greedy rule is the usual reference. It keeps what real trees
/// keep: a
/// slot of the offered uplink for each child, the cost of each link, the depth. Standbys take what it leaves over,
/// wherever that is, so it is feasible as long as enough is left.
pub fn best_tree(space: &Space, slots: &[u32], alive: &[bool], terms: Terms) -> Tree {
    let peers = space.peers();
    let mut greedy = Greedy::new(space, slots, terms);
    let is_alive = |peer: usize| alive.get(peer).copied().unwrap_or(false);
    let feeds = |peer: usize| slots.get(peer).is_some_and(|slots| *slots > 0);
    greedy.grow((1..peers).filter(|&peer| is_alive(peer) && feeds(peer)).collect());
    greedy.grow((1..peers).filter(|&peer| is_alive(peer) && !feeds(peer)).collect());
    greedy.tree
}

struct Greedy<'a> {
    space: &'a Space,
    terms: Terms,
    free: Vec<u32>,
    members: Vec<Index>,
    tree: Tree,
}

/// What a way costs, and over whom it leads.
type Over = (u64, Index);

impl<'a> Greedy<'a> {
    fn new(space: &'a Space, slots: &[u32], terms: Terms) -> Self {
        let peers = space.peers();
        let tree = Tree { parents: vec![None; peers], delay_us: vec![0; peers], depth: vec![0; peers] };
        Self { space, terms, free: slots.to_vec(), members: vec![0], tree }
    }

    /// Adds `waiting`, nearest first.
    fn grow(&mut self, waiting: Vec<usize>) {
        let mut waiting: Vec<(Index, Option<Over>)> =
            waiting.into_iter().map(|peer| (peer as Index, self.best_parent(peer as Index))).collect();
        while let Some(at) = nearest(&waiting) {
            let (peer, Some((_, parent))) = waiting.swap_remove(at) else { break };
            self.attach(peer, parent);
            let full = !self.is_open(parent);
            for (other, best) in &mut waiting {
                if full && best.is_some_and(|(_, at)| at == parent) {
                    *best = self.best_parent(*other);
                } else if self.is_open(peer) {
                    let over = self.over(peer, *other);
                    *best = Some(best.map_or(over, |best| best.min(over)));
                }
            }
        }
    }

    fn attach(&mut self, peer: Index, parent: Index) {
        let (at, above) = (peer as usize, parent as usize);
        self.free[above] -= 1;
        self.tree.parents[at] = Some(parent);
        self.tree.delay_us[at] = self.tree.delay_us[above] + self.space.rtt_us(parent, peer);
        self.tree.depth[at] = self.tree.depth[above] + 1;
        self.members.push(peer);
    }

    fn best_parent(&self, peer: Index) -> Option<Over> {
        let open = self.members.iter().filter(|&&member| self.is_open(member));
        open.map(|&member| self.over(member, peer)).min()
    }

    fn over(&self, parent: Index, peer: Index) -> Over {
        let above = parent as usize;
        let hops_us = (self.tree.depth[above] as u64 + 1) * self.terms.hop_us;
        (self.tree.delay_us[above] + self.space.rtt_us(parent, peer) + hops_us, parent)
    }

    /// Whether a member takes another child.
    fn is_open(&self, member: Index) -> bool {
        self.free[member as usize] > 0 && self.tree.depth[member as usize] < self.terms.depth_max
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
        let tree = best_tree(&space, &slots, &[true; 200], Terms { hop_us: 20_000, depth_max: 5 });
        assert!(tree.parents[1..].iter().all(Option::is_some));
        for peer in 0..200u32 {
            let children = tree.parents.iter().filter(|parent| **parent == Some(peer)).count();
            assert!(children <= slots[peer as usize] as usize);
        }
        assert!(tree.depth.iter().all(|depth| *depth <= 5));
        assert!((1..200).all(|peer| tree.delay_us[peer as usize] >= space.rtt_us(0, peer)));
    }

    #[test]
    fn peers_beyond_all_slots_stay_out() {
        let space = Space::new(5, Shape::default(), 5);
        let tree = best_tree(&space, &[2, 0, 0, 0, 0], &[true; 5], Terms { hop_us: 0, depth_max: 3 });
        assert_eq!(tree.parents.iter().flatten().count(), 2);
    }
}
