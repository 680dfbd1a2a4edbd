//! What may be forwarded by a topology: from one source, without loops, within what relays offer.

use std::collections::{HashMap, HashSet, VecDeque};

use super::{Advert, Edge, Snapshot, Topology, Wish, newest};

/// The edges to forward by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan<'a> {
    /// Hops in the order in which they were found: a parent holds what it passes on by an earlier one.
    pub hops: Vec<Hop<'a>>,
    /// What no hop brings, by child, then path: these children join on their own.
    pub unreached: Vec<Wish<'a>>,
}

/// One edge of a plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Hop<'a> {
    /// The edge.
    pub edge: Edge<'a>,
    /// Hops from the source to the child; 1 for a child of the source.
    pub depth: u32,
}

/// Walks breadth-first from `source` and drops every edge for which its parent has no room, or no commitment, or whose
/// path the parent does not hold. The source holds all paths, a relay those that it receives, and all of them where it
/// receives the whole stream. `topology` is that of `snapshot`; a source without children in it reaches nobody.
pub fn plan<'a>(topology: &Topology<'a>, snapshot: &'a Snapshot, source: &str) -> Plan<'a> {
    let mut walk = Walk::new(topology, snapshot, source);
    let start = topology.edges.iter().find(|edge| edge.parent == source);
    walk.queue.extend(start.map(|edge| Stop { peer: edge.parent, path: &[], depth: 0 }));
    while let Some(stop) = walk.queue.pop_front() {
        walk.visit(&stop);
    }
    let linked = topology.edges.iter().map(|edge| Wish { child: edge.child, path: edge.path });
    let wishes = linked.chain(topology.missing.iter().copied()).filter(|wish| wish.child != source);
    let mut unreached: Vec<_> = wishes.filter(|wish| !holds(&walk.reached, *wish)).collect();
    unreached.sort_unstable();
    Plan { hops: walk.hops, unreached }
}

/// A peer that holds a path.
struct Stop<'a> {
    peer: &'a str,
    path: &'a [u8],
    depth: u32,
}

struct Walk<'a> {
    edges: HashMap<&'a str, Vec<Edge<'a>>>,
    rooms: HashMap<&'a str, Room<'a>>,
    reached: HashSet<Wish<'a>>,
    queue: VecDeque<Stop<'a>>,
    hops: Vec<Hop<'a>>,
}

impl<'a> Walk<'a> {
    fn new(topology: &Topology<'a>, snapshot: &'a Snapshot, source: &str) -> Self {
        let mut edges: HashMap<&str, Vec<Edge<'_>>> = HashMap::new();
        // The topology lists edges by child and path, so each parent's list is in that order too.
        for edge in topology.edges.iter().filter(|edge| edge.child != source) {
            edges.entry(edge.parent).or_default().push(*edge);
        }
        let rooms = newest(snapshot).into_iter().map(|it| (it.peer.as_str(), Room::of(it))).collect();
        Self { edges, rooms, reached: HashSet::new(), queue: VecDeque::new(), hops: Vec::new() }
    }

    fn visit(&mut self, stop: &Stop<'a>) {
        let Some(edges) = self.edges.get(stop.peer) else { return };
        let depth = stop.depth.saturating_add(1);
        for edge in edges.iter().filter(|edge| stop.path.is_empty() || edge.path == stop.path) {
            let wish = Wish { child: edge.child, path: edge.path };
            let room = self.rooms.get_mut(stop.peer);
            if holds(&self.reached, wish) || !room.is_some_and(|room| room.take(edge)) {
                continue;
            }
            self.reached.insert(wish);
            self.hops.push(Hop { edge: *edge, depth });
            self.queue.push_back(Stop { peer: edge.child, path: edge.path, depth });
        }
    }
}

/// A child that has the whole stream needs no part of it; giving it one could close a loop on that path.
fn holds(reached: &HashSet<Wish<'_>>, wish: Wish<'_>) -> bool {
    reached.contains(&wish) || reached.contains(&Wish { path: &[], ..wish })
}

/// What a parent can still take on.
struct Room<'a> {
    advert: &'a Advert,
    children: HashSet<&'a str>,
    children_on: HashMap<&'a [u8], usize>,
}

impl<'a> Room<'a> {
    fn of(advert: &'a Advert) -> Self {
        Self { advert, children: HashSet::new(), children_on: HashMap::new() }
    }

    /// Takes the child on if there is room.
    fn take(&mut self, edge: &Edge<'a>) -> bool {
        let on_path = self.children_on.get(edge.path).copied().unwrap_or_default();
        let known = self.children.contains(edge.child);
        if !known && self.children.len() >= usize::from(self.advert.subscribers_max) || !self.commits(edge, on_path) {
            return false;
        }
        self.children.insert(edge.child);
        self.children_on.insert(edge.path, on_path + 1);
        true
    }

    /// A relay of whole streams commits to every path; of several commitments to one path the first counts.
    fn commits(&self, edge: &Edge<'_>, on_path: usize) -> bool {
        let commitments = &self.advert.commitments;
        let commitment = commitments.iter().find(|it| it.path == edge.path);
        commitments.is_empty() || commitment.is_some_and(|it| on_path < usize::from(it.subscribers_max))
    }
}
