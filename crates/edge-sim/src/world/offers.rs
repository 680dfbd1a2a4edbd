//! Offers: what a peer says about its room, and how that spreads.

use edge_alm::mesh::{Offer, Origin};
use edge_wire::layer::Policy;

use super::host::Spoken;
use super::talk::Said;
use super::{Event, Word, World};
use crate::space::Index;

/// Time between two looks at what a peer carries and whom it could tell, in µs.
const TICK_US: u64 = 500_000;
/// How long words about offers wait for others to the same neighbour, in µs.
const BATCH_US: u64 = 100_000;
/// Shortest time between two offers of one peer.
const SHORTEST_MS: u64 = 1_500;
/// Longest time between two.
const LONGEST_MS: u64 = 20_000;
/// Change of the own delay that is worth a new offer, in ms.
const DELAY_CHANGE_MS: u32 = 10;
/// Looks between two candidates whose round trip is measured: each takes a link of its own.
const PROBE_EVERY: u64 = 4;
/// Peers whose next offers are asked for before others.
const FAVOURED: usize = 12;

impl World {
    /// The regular look: round trips, the own offer, and a comparison of notes.
    pub(crate) fn tick(&mut self, peer: Index, lives: u32) {
        if self.host(peer).is_none_or(|host| host.lives != lives || !host.is_here()) {
            return;
        }
        let at_us = self.queue.now_us() + TICK_US;
        self.queue.plan(at_us, Event::Tick { peer, lives });
        let unix_ms = self.unix_ms();
        self.relieve(peer);
        self.speak(peer);
        self.compare_notes(peer, unix_ms);
        self.measure(peer);
        if peer != 0 {
            self.act(peer);
        }
    }

    /// Tells a neighbour what is held here, and forgets what is stale.
    fn compare_notes(&mut self, peer: Index, unix_ms: u64) {
        let Some(host) = self.hosts.get_mut(peer as usize) else { return };
        let gone = host.talk.tick(unix_ms);
        if let Some(mesh) = &mut host.mesh {
            let prospects = mesh.prospects(FAVOURED).into_iter().filter_map(|name| self.names.get(&name).copied());
            host.talk.favoured = host.lines.keys().copied().chain(prospects).collect();
            for gone in gone.iter().filter(|gone| !host.lines.contains_key(gone)) {
                mesh.withdraw(self.names_of[*gone as usize]);
            }
        }
        self.plan_flush(peer);
    }

    /// Says what this peer offers, when that changed or is old.
    fn speak(&mut self, peer: Index) {
        let (now_ms, unix_ms) = (self.queue.now_ms(), self.unix_ms());
        let Some(host) = self.hosts.get_mut(peer as usize) else { return };
        let room = host.down.room;
        if host.down.chain.is_empty() || room.uplink_kbps == 0 {
            return;
        }
        let now = Spoken {
            at_ms: now_ms,
            is_full: !host.down.has_room_for_one(self.rates, now_ms),
            yields: host.down.yields(self.rates, now_ms),
            delay_ms: if peer == 0 { Some(0) } else { host.mesh.as_ref().and_then(edge_alm::mesh::Mesh::delay_ms) },
            uplink_kbps: room.uplink_kbps,
            chain: host.down.chain.clone(),
        };
        let due = host.said.as_ref().is_none_or(|said| {
            let since_ms = now_ms - said.at_ms;
            since_ms >= LONGEST_MS || (since_ms >= SHORTEST_MS && said.differs(&now, DELAY_CHANGE_MS))
        });
        if !due {
            return;
        }
        let offer = Offer {
            peer: host.name,
            measured_at_unix_ms: unix_ms,
            uplink_kbps: u32::try_from(room.uplink_kbps).unwrap_or(u32::MAX),
            subscribers_max: u32::from(room.children_max),
            subscribers: host.down.taken(self.rates, now_ms).into(),
            layers: Policy::UNCAPPED,
            chain: now.chain.clone(),
            delay_ms: now.delay_ms,
            yields: now.yields,
        };
        host.talk.publish(offer, &self.names);
        host.said = Some(now);
    }

    /// Round trips to parents, and to a few that may become parents.
    fn measure(&mut self, peer: Index) {
        let now_ms = self.queue.now_ms();
        let Some(host) = self.hosts.get(peer as usize) else { return };
        let Some(mesh) = &host.mesh else { return };
        let probes = usize::from((now_ms * 1000 / TICK_US).is_multiple_of(PROBE_EVERY));
        let unknown = mesh.unmeasured(probes).into_iter().filter_map(|name| self.names.get(&name).copied());
        let targets: Vec<Index> = host.lines.keys().copied().chain(unknown).collect();
        for target in targets {
            let Some(rtt_us) = self.net.probe_us(peer, target).filter(|_| self.is_here(target)) else { continue };
            let name = self.hosts[target as usize].name;
            if let Some(mesh) = &mut self.hosts[peer as usize].mesh {
                mesh.measured(now_ms, name, (rtt_us / 1000) as u32);
            }
        }
    }

    pub(crate) fn plan_flush(&mut self, peer: Index) {
        let at_us = self.queue.now_us() + BATCH_US;
        if let Some(host) = self.hosts.get_mut(peer as usize)
            && !host.flushing
            && !host.talk.pending.is_empty()
        {
            host.flushing = true;
            self.queue.plan(at_us, Event::Flush { peer });
        }
    }

    pub(crate) fn flush(&mut self, peer: Index) {
        let Some(host) = self.hosts.get_mut(peer as usize) else { return };
        host.flushing = false;
        let pending = std::mem::take(&mut host.talk.pending);
        for (neighbour, offers) in pending {
            let connection = self.host(peer).and_then(|host| host.connection_to(neighbour));
            if let Some(connection) = connection.filter(|_| self.is_here(peer)) {
                self.say(peer, neighbour, connection, Word::Held(offers));
            }
        }
    }

    pub(crate) fn held(&mut self, peer: Index, from: Index, connection: u64, offers: &[(Index, u64)]) {
        let now_ms = self.queue.now_ms();
        let wanted = self.hosts[peer as usize].talk.wanted(offers, now_ms);
        if !wanted.is_empty() {
            self.say(peer, from, connection, Word::Wanted(wanted));
        }
    }

    pub(crate) fn give(&mut self, peer: Index, to: Index, connection: u64, wanted: &[Index]) {
        let offers = self.hosts[peer as usize].talk.give(wanted);
        if !offers.is_empty() {
            self.say(peer, to, connection, Word::Offers(offers));
        }
    }

    pub(crate) fn learn(&mut self, peer: Index, from: Index, offers: Vec<Said>) {
        let (now_ms, teller) = (self.queue.now_ms(), self.hosts[from as usize].name);
        for said in offers {
            let Some(host) = self.hosts.get_mut(peer as usize) else { return };
            if !host.talk.learn(&said, (teller, from), now_ms, &self.names) || said.offer.chain.is_empty() {
                continue;
            }
            if let Some(mesh) = &mut host.mesh {
                mesh.offer(now_ms, Origin::Peer(teller), (*said.offer).clone());
            }
        }
        self.plan_flush(peer);
        self.act(peer);
    }
}
