//! What a scenario does to the federation.

use edge_alm::mesh::{Config, LayerRate, Mesh, Misdeed, Offer, Origin, SwitchWhy};
use edge_alm::seats::Yields;
use edge_wire::id::Fingerprint;
use edge_wire::layer::Policy;

use super::down::Down;
use super::host::Life;
use super::malice::{Malice, Mischief};
use super::talk::Talk;
use super::up::OPENS;
use super::{Event, IDLE_US, World, room};
use crate::link::Path;
use crate::space::Index;

/// Relays that a ticket names besides the publisher.
const TICKET_RELAYS: usize = 3;

/// One intervention.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Deed {
    /// A viewer comes, for the first time or again.
    Join(Index),
    /// A viewer is gone from one moment to the next, and nobody is told.
    Kill(Index),
    /// Of the viewers that feed others, one is killed.
    KillParent,
    /// Of all viewers, the one that feeds the most others is killed.
    KillBusiest,
    /// Any viewer is killed, and comes back after this time in µs; 0 = never.
    Churn(u64),
    /// The peers are split in two by where they are; the publisher's side keeps the stream.
    Split,
    /// The split is over.
    Heal,
    /// A peer's uplink shrinks to this many percent of what it is.
    Leak(Index, u64),
    /// The busiest parent's uplink begins to shrink: by so many percent each second, down to a tenth.
    LeakBusiest(u64),
    /// A peer turns hostile.
    Turn(Index, Malice),
}

/// A viewer whose way broke.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Upset {
    /// When, in µs.
    pub at_us: u64,
    /// The viewer.
    pub viewer: Index,
    /// Who broke it.
    pub cause: Index,
    /// How far above the viewer that was; 1 = its own parent.
    pub hops: usize,
}

/// A change of a primary parent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Move {
    /// When, in µs.
    pub at_us: u64,
    /// The viewer.
    pub viewer: Index,
    /// The former primary; none for the first one of a life.
    pub from: Option<Index>,
    /// The present one.
    pub to: Index,
    /// Why.
    pub why: SwitchWhy,
}

/// A parent that was found to do harm.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Accusation {
    /// When, in µs.
    pub at_us: u64,
    /// By whom.
    pub by: Index,
    /// The parent.
    pub of: Index,
    /// What it did.
    pub misdeed: Misdeed,
}

impl World {
    pub(crate) fn deed(&mut self, deed: Deed) {
        match deed {
            Deed::Join(peer) => self.join(peer),
            Deed::Kill(peer) => self.kill(peer),
            Deed::KillParent => {
                if let Some(victim) = self.draw(|world, peer| world.children(peer).1 > 0) {
                    self.kill(victim);
                }
            }
            Deed::KillBusiest => {
                if let Some(victim) = self.busiest() {
                    self.kill(victim);
                }
            }
            Deed::Churn(back_us) => {
                let Some(victim) = self.draw(|_, _| true) else { return };
                self.kill(victim);
                if back_us > 0 {
                    let at_us = self.queue.now_us() + back_us;
                    self.queue.plan(at_us, Event::Deed(Deed::Join(victim)));
                }
            }
            Deed::Split => self.split(),
            Deed::Heal => self.net.set_partition(|_| 0, Path::Up),
            Deed::Leak(peer, percent) => {
                let kbps = self.net.uplink_kbps(peer);
                self.net.set_uplink(peer, kbps * percent / 100);
            }
            Deed::LeakBusiest(percent) => self.leak_busiest(percent),
            Deed::Turn(peer, malice) => {
                if let Some(host) = self.host_mut(peer) {
                    host.mischief = Some(Mischief::new(malice));
                }
            }
        }
    }

    fn join(&mut self, peer: Index) {
        if self.is_here(peer) || peer == 0 {
            return;
        }
        let (now_us, now_ms) = (self.queue.now_us(), self.queue.now_ms());
        let ticket = self.ticket(peer);
        let Some(mesh) = self.new_mesh(peer, now_ms, &ticket) else { return };
        let kbps = self.net.uplink_kbps(peer);
        let opener = edge_seal::Receiver::new(self.source.stream(), self.source.epoch());
        let opener = opener.pinned_to(self.source.origin());
        let down = match Down::new(self.source.stream(), room(&self.setup, peer, kbps)) {
            Ok(down) => down,
            Err(error) => {
                self.failure = Some(error.into());
                return;
            }
        };
        let talk = Talk::new(peer, self.setup.seed);
        // It gets no keys of epochs before its first one.
        let before = self.source.epoch().0.saturating_sub(1);
        let host = &mut self.hosts[peer as usize];
        host.lives += 1;
        host.life = Life::Here;
        (host.joined_us, host.first_picture_us, host.newest_base) = (now_us, None, None);
        (host.mesh, host.opener, host.opener_epoch) = (Some(mesh), Some(opener), before);
        (host.down, host.talk, host.said) = (down, talk, None);
        host.lines.clear();
        host.open.clear();
        host.wake_us = u64::MAX;
        let lives = host.lives;
        self.queue.plan(now_us, Event::Tick { peer, lives });
        self.act(peer);
    }

    fn new_mesh(&mut self, peer: Index, now_ms: u64, ticket: &[Index]) -> Option<Mesh> {
        let (own, source) = (self.hosts.get(peer as usize)?.name, self.hosts.first()?.name);
        let policies = [Policy::new(0, 0, 0), Policy::new(0, 1, 0), Policy::new(0, 2, 0)];
        let layer_kbps = policies.map(|policy| LayerRate { policy, kbps: self.rates.of(policy) as u32 }).to_vec();
        let seed = self.rng.next_u64();
        let wanted = Policy::UNCAPPED;
        let mut mesh =
            Mesh::new(Config { own, source, wanted, opens: OPENS, duty: self.role(peer), seed, layer_kbps }, now_ms);
        for (rank, hop) in ticket.iter().enumerate() {
            let name = self.hosts.get(*hop as usize)?.name;
            mesh.offer(now_ms, Origin::Ticket, contact(name, source, rank));
        }
        Some(mesh)
    }

    /// Peers that a ticket made now would name: a few relays that have a way, and the publisher.
    fn ticket(&mut self, own: Index) -> Vec<Index> {
        let relays =
            |host: &super::Host| host.is_here() && !host.down.chain.is_empty() && host.down.room.uplink_kbps > 0;
        let mut known: Vec<Index> =
            self.peers().skip(1).filter(|peer| *peer != own && self.host(*peer).is_some_and(relays)).collect();
        self.rng.shuffle(&mut known);
        known.truncate(TICKET_RELAYS);
        known.push(0);
        known
    }

    fn kill(&mut self, victim: Index) {
        if !self.is_here(victim) || victim == 0 {
            return;
        }
        let now_us = self.queue.now_us();
        for (viewer, way) in self.ways() {
            if let Some(above) = way.iter().position(|parent| *parent == victim) {
                self.upsets.push(Upset { at_us: now_us, viewer, cause: victim, hops: above + 1 });
            }
        }
        let next = self.source.sheets().len() as u64;
        let host = &mut self.hosts[victim as usize];
        host.life = Life::Away;
        host.seen.leave(next);
        let open = std::mem::take(&mut host.open);
        for (other, connection) in open {
            if let Some(parent) = self.host_mut(other) {
                parent.down.gone(victim, connection, now_us / 1000);
            }
            self.queue.plan(now_us + IDLE_US, Event::Closed { peer: other, other: victim, connection });
        }
    }

    fn busiest(&self) -> Option<Index> {
        self.peers().skip(1).filter(|peer| self.is_here(*peer)).max_by_key(|peer| self.children(*peer).1)
    }

    /// One of the viewers that are there and fit.
    fn draw(&mut self, fits: impl Fn(&Self, Index) -> bool) -> Option<Index> {
        let found: Vec<Index> = self.peers().skip(1).filter(|peer| self.is_here(*peer) && fits(self, *peer)).collect();
        let at = self.rng.below(found.len() as u64) as usize;
        found.get(at).copied()
    }

    /// Cuts the peers whose city is not the publisher's and has an odd number off from the others.
    fn split(&mut self) {
        let now_us = self.queue.now_us();
        let home = self.net.space().city(0);
        let sides: Vec<u8> = self
            .peers()
            .map(|peer| self.net.space().city(peer))
            .map(|city| u8::from(city != home && city % 2 == 1))
            .collect();
        let side = |peer: Index| sides.get(peer as usize).copied().unwrap_or(0);
        self.net.set_partition(side, Path::Cut);
        for peer in self.peers() {
            let Some(host) = self.hosts.get_mut(peer as usize).filter(|host| host.is_here()) else { continue };
            for (other, connection) in host.open.iter().filter(|(other, _)| side(*other) != side(peer)) {
                host.down.gone(*other, *connection, now_us / 1000);
                let event = Event::Closed { peer, other: *other, connection: *connection };
                self.queue.plan(now_us + IDLE_US, event);
            }
        }
        let cut: Vec<Upset> = self
            .ways()
            .into_iter()
            .filter(|(viewer, way)| side(*viewer) == 0 && way.iter().any(|parent| side(*parent) == 1))
            .map(|(viewer, _)| Upset { at_us: now_us, viewer, cause: 0, hops: 1 })
            .collect();
        self.upsets.extend(cut);
    }

    fn leak_busiest(&mut self, percent: u64) {
        let now_us = self.queue.now_us();
        let Some(leaking) = self.busiest() else { return };
        let kept = 100 - percent.min(99);
        let steps = (1..60u64).take_while(|step| (kept as f64 / 100.0).powi(*step as i32) > 0.1);
        for step in steps {
            self.queue.plan(now_us + step * 1_000_000, Event::Deed(Deed::Leak(leaking, kept)));
        }
        for (viewer, way) in self.ways() {
            if let Some(above) = way.iter().position(|parent| *parent == leaking) {
                self.upsets.push(Upset { at_us: now_us, viewer, cause: leaking, hops: above + 1 });
            }
        }
    }
}

/// What is known of a peer that a ticket names: that it is there. Earlier hops are preferred.
fn contact(peer: Fingerprint, publisher: Fingerprint, rank: usize) -> Offer {
    let chain = if peer == publisher { vec![publisher] } else { vec![publisher, peer] };
    Offer {
        peer,
        measured_at_unix_ms: 0,
        uplink_kbps: u32::MAX >> rank.min(8),
        subscribers_max: u32::from(u16::MAX),
        subscribers: 0,
        layers: Policy::UNCAPPED,
        chain,
        delay_ms: None,
        yields: Yields::default(),
    }
}
