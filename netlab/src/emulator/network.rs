//! Where packets go and when, as a pure function of time: the links of all pairs, partitions and dead hosts.

use edge_sim::link::{self, Link, Model, Path, Sent};
use edge_sim::rng::Rng;

/// What became of the packets of one direction of one link.
pub type Counters = link::Counters;

/// Byte of an IPv4 header at which the destination begins.
const DESTINATION_AT: usize = 16;
/// What all hosts' addresses begin with.
const NET: [u8; 3] = [10, 77, 0];
const IPV4: u8 = 4;

/// All links. Times handed in must not go backwards.
#[derive(Debug)]
pub(crate) struct Network {
    /// From each host to each host, row by row.
    pairs: Vec<Link>,
    hosts: Vec<HostState>,
}

#[derive(Debug)]
struct HostState {
    out: Link,
    into: Link,
    life: Life,
    /// One bit for each partition, set for hosts inside of it.
    sides: Vec<Side>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Life {
    Alive,
    Dead,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Side {
    Inside,
    Outside,
}

impl Network {
    /// Links between `hosts` hosts, each like `model`.
    pub(crate) fn new(hosts: usize, model: Model, seed: u64) -> Self {
        let mut seeds = Rng::new(seed);
        let pairs = (0..hosts * hosts).map(|_| Link::new(model, seeds.next_u64())).collect();
        let host = |_| HostState {
            out: Link::new(Model::default(), seeds.next_u64()),
            into: Link::new(Model::default(), seeds.next_u64()),
            life: Life::Alive,
            sides: Vec::new(),
        };
        let hosts = (0..hosts).map(host).collect();
        Self { pairs, hosts }
    }

    /// The host that an IP packet is for; `None` when that is no host.
    pub(crate) fn destination(&self, packet: &[u8]) -> Option<usize> {
        let version = packet.first()? >> 4;
        let address = packet.get(DESTINATION_AT..DESTINATION_AT + 4)?;
        let (net, last) = address.split_at(NET.len());
        let host = usize::from(*last.first()?).checked_sub(1)?;
        (version == IPV4 && net == NET && host < self.hosts.len()).then_some(host)
    }

    /// When copies of a packet that leaves `from` now reach `to`'s access line, in µs.
    pub(crate) fn send(&mut self, now_us: u64, from: usize, to: usize, len: usize) -> Option<Sent> {
        let pair = self.place(from, to)?;
        let out = &mut self.hosts.get_mut(from)?.out;
        let sent_us = out.send(now_us, len).first_us()?;
        Some(self.pairs.get_mut(pair)?.send(sent_us, len))
    }

    /// When copies of a packet that reached `to`'s access line now come out, in µs; `None` when the host is dead.
    pub(crate) fn receive(&mut self, now_us: u64, to: usize, len: usize) -> Option<Sent> {
        let host = self.hosts.get_mut(to)?;
        (host.life == Life::Alive).then(|| host.into.send(now_us, len))
    }

    pub(crate) fn set(&mut self, from: usize, to: usize, model: Model) {
        if let Some(link) = self.place(from, to).and_then(|pair| self.pairs.get_mut(pair)) {
            link.set_model(model);
        }
    }

    pub(crate) fn set_access(&mut self, host: usize, out: Model, into: Model) {
        if let Some(host) = self.hosts.get_mut(host) {
            host.out.set_model(out);
            host.into.set_model(into);
        }
    }

    pub(crate) fn partition(&mut self, side: &[usize]) {
        for (number, host) in self.hosts.iter_mut().enumerate() {
            host.sides.push(if side.contains(&number) { Side::Inside } else { Side::Outside });
        }
        self.set_paths();
    }

    pub(crate) fn heal(&mut self) {
        self.hosts.iter_mut().for_each(|host| host.sides.clear());
        self.set_paths();
    }

    pub(crate) fn set_dead(&mut self, host: usize) {
        self.set_life(host, Life::Dead);
    }

    pub(crate) fn set_alive(&mut self, host: usize) {
        self.set_life(host, Life::Alive);
    }

    pub(crate) fn counters(&self, from: usize, to: usize) -> Counters {
        let link = self.place(from, to).and_then(|pair| self.pairs.get(pair));
        link.map(Link::counters).unwrap_or_default()
    }

    fn set_life(&mut self, host: usize, life: Life) {
        if let Some(host) = self.hosts.get_mut(host) {
            host.life = life;
        }
        self.set_paths();
    }

    fn set_paths(&mut self) {
        let pairs = self.hosts.iter().flat_map(|from| self.hosts.iter().map(move |to| (from, to)));
        for (link, (from, to)) in self.pairs.iter_mut().zip(pairs) {
            let alive = from.life == Life::Alive && to.life == Life::Alive;
            link.set_path(if alive && from.sides == to.sides { Path::Up } else { Path::Cut });
        }
    }

    fn place(&self, from: usize, to: usize) -> Option<usize> {
        let count = self.hosts.len();
        (from < count && to < count).then_some(from * count + to)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1_000;

    fn slow() -> Model {
        Model { delay_us: 10 * MS, ..Model::default() }
    }

    fn arrival(network: &mut Network, from: usize, to: usize) -> Option<u64> {
        network.send(0, from, to, 100)?.first_us()
    }

    #[test]
    fn packets_go_where_their_header_says() {
        let network = Network::new(3, Model::default(), 1);
        let to = |last: u8| {
            let mut packet = [0; 20];
            packet[0] = 0x45;
            packet[16..].copy_from_slice(&[10, 77, 0, last]);
            packet
        };
        assert_eq!([1, 3].map(|last| network.destination(&to(last))), [Some(0), Some(2)]);
        assert_eq!([0, 4, 255].map(|last| network.destination(&to(last))), [None; 3]);
        let (mut elsewhere, mut six) = (to(1), to(1));
        elsewhere[17] = 78;
        six[0] = 0x60;
        assert_eq!([&elsewhere[..], &six, &to(1)[..19], &[]].map(|packet| network.destination(packet)), [None; 4]);
    }

    #[test]
    fn each_direction_has_its_own_model() {
        let mut network = Network::new(3, slow(), 1);
        network.set(0, 1, Model { delay_us: 50 * MS, ..Model::default() });
        assert_eq!(arrival(&mut network, 0, 1), Some(50 * MS));
        assert_eq!(arrival(&mut network, 1, 0), Some(10 * MS));
        assert_eq!(arrival(&mut network, 0, 3), None, "no such host");
    }

    #[test]
    fn the_access_line_is_shared_by_all_that_a_host_sends() {
        let mut network = Network::new(3, slow(), 1);
        let line = Model { rate_kbps: 800, ..Model::default() };
        network.set_access(0, line, Model::default());
        assert_eq!(arrival(&mut network, 0, 1), Some(11 * MS));
        assert_eq!(arrival(&mut network, 0, 2), Some(12 * MS), "waits behind the packet to another host");
    }

    #[test]
    fn partitions_split_and_heal() {
        let mut network = Network::new(4, slow(), 1);
        network.partition(&[0, 1]);
        let open = |network: &mut Network, from, to| arrival(network, from, to).is_some();
        assert!(open(&mut network, 0, 1) && open(&mut network, 2, 3));
        assert!(!open(&mut network, 0, 2) && !open(&mut network, 3, 1));
        network.partition(&[1]);
        assert!(!open(&mut network, 0, 1) && open(&mut network, 2, 3));
        network.heal();
        assert!(open(&mut network, 0, 1) && open(&mut network, 0, 2));
        assert_eq!(network.counters(0, 2).cut_drops, 1);
    }

    #[test]
    fn a_dead_host_neither_sends_nor_receives_until_it_is_revived() {
        let mut network = Network::new(2, slow(), 1);
        network.set_dead(1);
        assert_eq!((arrival(&mut network, 0, 1), arrival(&mut network, 1, 0)), (None, None));
        assert!(network.receive(0, 1, 100).is_none(), "what was on its way is lost");
        network.heal();
        assert_eq!(arrival(&mut network, 0, 1), None, "healing raises no dead");
        network.set_alive(1);
        assert_eq!(arrival(&mut network, 0, 1), Some(10 * MS));
    }
}
