//! The way up: what the mesh machine decides becomes connections, and what comes over them goes to the machine.

use std::collections::BTreeMap;

use edge_alm::mesh::{Action, Arrival, Key, Media as Kind, Opens, Reason, SwitchWhy, Verdict};
use edge_crypto::Secret;
use edge_crypto::hash::sha256;
use edge_link::Receiver;
use edge_seal::receiver::{Error as ReceiveError, Received};
use edge_wire::chunk::{InnerSealed, Sealed};
use edge_wire::control::Refusal;
use edge_wire::id::{Epoch, Fingerprint, KeyId};
use edge_wire::layer::{Layer, Policy};
use edge_wire::link::{Hint, Media};

use super::down::Wish;
use super::host::Line;
use super::malice::Passed;
use super::{Accusation, Event, Move, Word, World};
use crate::media::{GROUP, dek};
use crate::space::Index;

/// CPU time of both ends of a handshake.
const HANDSHAKE_US: u64 = 2_000;
/// How long a dial may take.
const DIAL_TIMEOUT_US: u64 = 3_000_000;
/// How long a connection without a subscription stays, so that offers come over it.
const LINGER_US: u64 = 1_500_000;

impl World {
    /// Does what a peer's mesh machine decided, and plans the next look at it.
    pub(crate) fn act(&mut self, peer: Index) {
        let now_ms = self.queue.now_ms();
        while let Some(action) = self.host_mut(peer).and_then(|host| host.mesh.as_mut()?.poll(now_ms)) {
            self.apply(peer, &action);
        }
        let Some(host) = self.hosts.get_mut(peer as usize) else { return };
        let Some(mesh) = &host.mesh else { return };
        let at_us = mesh.deadline().max(now_ms + 1) * 1000;
        if at_us < host.wake_us {
            host.wake_us = at_us;
            self.queue.plan(at_us, Event::Wake { peer });
        }
    }

    pub(crate) fn wake(&mut self, peer: Index) {
        let now_us = self.queue.now_us();
        let Some(host) = self.host_mut(peer).filter(|host| host.wake_us <= now_us) else { return };
        host.wake_us = u64::MAX;
        self.act(peer);
    }

    fn apply(&mut self, peer: Index, action: &Action) {
        match *action {
            Action::Subscribe { peer: parent, policy } => self.dial(peer, parent, policy),
            Action::SetPolicy { peer: parent, policy } => self.order(peer, parent, Word::SetPolicy(policy)),
            Action::Drop { peer: parent, .. } => {
                self.order(peer, parent, Word::Finish);
                self.hang_up(peer, parent);
            }
            Action::Accuse(evidence) => {
                if let Some(parent) = self.names.get(&evidence.peer) {
                    let at_us = self.queue.now_us();
                    self.accusations.push(Accusation { at_us, by: peer, of: *parent, misdeed: evidence.misdeed });
                }
            }
            Action::Stranded => {
                if let Some(host) = self.host_mut(peer) {
                    host.tally.stranded += 1;
                }
            }
            Action::Switched { from, to, why } => {
                self.note_move(peer, from, to, why);
                self.follow(peer, to);
            }
        }
    }

    fn note_move(&mut self, viewer: Index, from: Option<Fingerprint>, to: Fingerprint, why: SwitchWhy) {
        let from = from.and_then(|from| self.names.get(&from).copied());
        if let Some(to) = self.names.get(&to).copied() {
            self.moves.push(Move { at_us: self.queue.now_us(), viewer, from, to, why });
        }
    }

    fn order(&mut self, peer: Index, parent: Fingerprint, word: Word) {
        let Some(parent) = self.names.get(&parent).copied() else { return };
        let line = self.host(peer).and_then(|host| host.lines.get(&parent));
        if let Some(connection) = line.map(|line| line.connection) {
            self.say(peer, parent, connection, word);
        }
    }

    fn hang_up(&mut self, peer: Index, parent: Fingerprint) {
        let Some(parent) = self.names.get(&parent).copied() else { return };
        let line = self.host_mut(peer).and_then(|host| host.lines.remove(&parent));
        if let Some(line) = line {
            self.part(peer, parent, line.connection);
        }
    }

    /// Announces the way over the present primary to the children.
    fn follow(&mut self, peer: Index, parent: Fingerprint) {
        let Some(host) = self.hosts.get_mut(peer as usize) else { return };
        let line = self.names.get(&parent).and_then(|parent| host.lines.get(parent));
        let Some(line) = line.filter(|line| !line.chain.is_empty()) else { return };
        let chain: Vec<Fingerprint> = line.chain.iter().copied().chain([host.name]).collect();
        if host.down.chain == chain {
            return;
        }
        host.down.chain.clone_from(&chain);
        let seats: Vec<(Index, u64)> = host.down.seats.iter().map(|(child, seat)| (*child, seat.connection)).collect();
        for (child, connection) in seats {
            self.say(peer, child, connection, Word::Rerouted { chain: chain.clone() });
        }
    }

    fn dial(&mut self, child: Index, parent: Fingerprint, policy: Policy) {
        let Some(parent) = self.names.get(&parent).copied().filter(|parent| *parent != child) else { return };
        self.connections += 1;
        let connection = self.connections;
        let line = Line { connection, receiver: None, chain: Vec::new() };
        if let Some(host) = self.host_mut(child) {
            host.lines.insert(parent, line);
        }
        let rtt_us = self.net.probe_us(child, parent).unwrap_or_else(|| self.net.space().rtt_us(child, parent));
        let at_us = self.queue.now_us() + rtt_us + HANDSHAKE_US;
        self.queue.plan(at_us, Event::Dialed { child, parent, connection, policy });
    }

    /// The handshake is over, if both ends are there.
    pub(crate) fn dialed(&mut self, child: Index, parent: Index, connection: u64, policy: Policy) {
        let current = self.host(child).and_then(|host| host.lines.get(&parent)).map(|line| line.connection);
        if current != Some(connection) || !self.is_here(child) {
            return;
        }
        if !self.is_here(parent) || self.net.probe_us(child, parent).is_none() {
            let at_us = self.queue.now_us() + DIAL_TIMEOUT_US;
            return self.queue.plan(at_us, Event::Failed { child, parent, connection });
        }
        self.meet(child, parent, connection);
        self.say(child, parent, connection, Word::Subscribe { policy });
    }

    pub(crate) fn dial_failed(&mut self, child: Index, parent: Index, connection: u64) {
        self.refused(child, parent, connection, Reason::Unreachable);
    }

    /// Both ends of a connection know each other.
    fn meet(&mut self, one: Index, other: Index, connection: u64) {
        let now_ms = self.queue.now_ms();
        for (here, there) in [(one, other), (other, one)] {
            let name = self.hosts[there as usize].name;
            if let Some(host) = self.host_mut(here) {
                host.open.insert((there, connection));
                host.talk.join(there, name, now_ms);
            }
            self.plan_flush(here);
        }
    }

    /// One end's view of a connection ends.
    pub(crate) fn part(&mut self, here: Index, there: Index, connection: u64) {
        let name = self.hosts[there as usize].name;
        if let Some(host) = self.host_mut(here)
            && host.open.remove(&(there, connection))
            && host.connection_to(there).is_none()
        {
            host.talk.leave(there, name);
        }
    }

    /// A connection fell silent for too long, or ends after a refusal.
    pub(crate) fn closed(&mut self, peer: Index, other: Index, connection: u64) {
        self.part(peer, other, connection);
        let Some(host) = self.host_mut(peer) else { return };
        host.down.leave(other, connection);
        let lost = host.lines.get(&other).is_some_and(|line| line.connection == connection);
        if lost {
            host.lines.remove(&other);
            self.lost(peer, other);
        }
    }

    fn lost(&mut self, peer: Index, parent: Index) {
        let (now_ms, name) = (self.queue.now_ms(), self.hosts[parent as usize].name);
        if let Some(mesh) = self.host_mut(peer).and_then(|host| host.mesh.as_mut()) {
            mesh.lost(now_ms, name);
        }
        self.act(peer);
    }

    fn refused(&mut self, child: Index, parent: Index, connection: u64, reason: Reason) {
        let (now_ms, name) = (self.queue.now_ms(), self.hosts[parent as usize].name);
        let Some(host) = self.host_mut(child) else { return };
        if host.lines.get(&parent).is_none_or(|line| line.connection != connection) {
            return;
        }
        host.lines.remove(&parent);
        host.tally.refusals += 1;
        if let Some(mesh) = &mut host.mesh {
            mesh.refused(now_ms, name, reason);
        }
        let at_us = self.queue.now_us() + LINGER_US;
        self.queue.plan(at_us, Event::Closed { peer: child, other: parent, connection });
        self.queue.plan(at_us, Event::Closed { peer: parent, other: child, connection });
        self.act(child);
    }

    /// Takes a word of a neighbour.
    pub(crate) fn hear(&mut self, from: Index, to: Index, connection: u64, word: Word) {
        let known = self.host(to).is_some_and(|host| host.open.contains(&(from, connection)));
        if !self.is_here(to) || !known {
            return;
        }
        match word {
            Word::Subscribe { policy } => self.subscribe(from, to, connection, policy),
            Word::Subscribed { chain } => self.subscribed(to, from, connection, &chain),
            Word::Refused(reason) => self.refused(to, from, connection, reason_of(reason)),
            Word::SetPolicy(policy) => {
                self.hosts[to as usize].down.set_policy(from, policy);
                self.pump(to);
            }
            Word::Finish => {
                self.hosts[to as usize].down.leave(from, connection);
                self.part(to, from, connection);
            }
            Word::Rerouted { chain } => self.rerouted(to, from, &chain),
            Word::NeedKey => self.need_key(to),
            Word::Held(offers) => self.held(to, from, connection, &offers),
            Word::Wanted(wanted) => self.give(to, from, connection, &wanted),
            Word::Offers(offers) => self.learn(to, from, offers),
        }
    }

    fn subscribe(&mut self, child: Index, parent: Index, connection: u64, policy: Policy) {
        let now_ms = self.queue.now_ms();
        let (name, key, rates) = (self.hosts[child as usize].name, self.transit_key(child, connection), self.rates);
        let wish = Wish { child, name, connection, policy, key, role: self.role(child) };
        let Some(host) = self.host_mut(parent) else { return };
        for (other, connection) in host.down.make_room(&wish, rates, now_ms) {
            self.say(parent, other, connection, Word::Refused(Refusal::Full));
        }
        let Some(host) = self.host_mut(parent) else { return };
        let answer = match host.down.subscribe(&wish, rates, now_ms) {
            Ok(chain) => Word::Subscribed { chain },
            Err(refusal) => Word::Refused(refusal),
        };
        self.say(parent, child, connection, answer);
        self.pump(parent);
    }

    /// Tells children that stand by to go once others have been sent more than there is room for, for a while.
    pub(crate) fn relieve(&mut self, peer: Index) {
        let (rates, now_ms) = (self.rates, self.queue.now_ms());
        let gone = self.host_mut(peer).map(|host| host.down.relieve(rates, now_ms)).unwrap_or_default();
        for (child, connection) in gone {
            self.say(peer, child, connection, Word::Refused(Refusal::Full));
        }
    }

    fn subscribed(&mut self, child: Index, parent: Index, connection: u64, chain: &[Fingerprint]) {
        let (now_ms, key) = (self.queue.now_ms(), self.transit_key(child, connection));
        let rtt_ms = self.net.probe_us(child, parent).map_or(0, |rtt_us| (rtt_us / 1000) as u32);
        let name = self.hosts[parent as usize].name;
        let Some(host) = self.host_mut(child) else { return };
        let Ok(link_name) = KeyId::new(host.name.to_string()) else { return };
        if chain.contains(&host.name) {
            return self.refused(child, parent, connection, Reason::Loop);
        }
        let Some(line) = host.lines.get_mut(&parent).filter(|line| line.connection == connection) else { return };
        line.receiver = Some(Receiver::new(Secret::from(key), link_name.as_bytes()));
        line.chain = chain.to_vec();
        if let Some(mesh) = &mut host.mesh {
            mesh.linked(now_ms, name, rtt_ms, chain);
        }
        self.act(child);
    }

    fn rerouted(&mut self, peer: Index, parent: Index, chain: &[Fingerprint]) {
        let (now_ms, name) = (self.queue.now_ms(), self.hosts[parent as usize].name);
        let Some(host) = self.host_mut(peer) else { return };
        let Some(line) = host.lines.get_mut(&parent) else { return };
        line.chain = chain.to_vec();
        let Some(mesh) = &mut host.mesh else { return };
        mesh.rerouted(now_ms, name, chain);
        self.act(peer);
        let primary = self.host(peer).and_then(|host| host.mesh.as_ref()?.parent());
        if primary == Some(name) {
            self.follow(peer, name);
        }
    }

    /// Passes a wish for a key frame on, if none was passed on just now.
    fn need_key(&mut self, peer: Index) {
        let now_ms = self.queue.now_ms();
        if self.host_mut(peer).is_some_and(|host| host.down.may_ask(now_ms)) {
            self.ask_for_key(peer);
        }
    }

    fn ask_for_key(&mut self, peer: Index) {
        if peer == 0 {
            return self.source.want_key();
        }
        let primary = self.host(peer).and_then(|host| host.mesh.as_ref()?.parent());
        if let Some(primary) = primary {
            self.order(peer, primary, Word::NeedKey);
        }
    }

    pub(crate) fn media(&mut self, from: Index, to: Index, connection: u64, message: &[u8]) {
        let (now_us, now_ms) = (self.queue.now_us(), self.queue.now_ms());
        let Some(host) = self.hosts.get_mut(to as usize).filter(|host| host.is_here()) else { return };
        let line = host.lines.get_mut(&from).filter(|line| line.connection == connection);
        let Some(receiver) = line.and_then(|line| line.receiver.as_mut()) else { return };
        let Ok((hint, chunk)) = open_outer(receiver, message) else { return };
        host.tally.messages += 1;
        self.trace.note([now_us, u64::from(from), u64::from(to), chunk.header.seq.0]);
        let arrival = Arrival {
            key: Key { epoch: chunk.header.epoch.0, seq: chunk.header.seq.0 },
            layer: chunk.header.layer,
            media: Kind::Picture,
            bytes: u32::try_from(self.source.wire_len(&chunk.header)).unwrap_or(u32::MAX),
            age_ms: None,
        };
        let name = self.hosts[from as usize].name;
        let mesh = self.host_mut(to).and_then(|host| host.mesh.as_mut());
        match mesh.map(|mesh| mesh.arrived(now_ms, name, &arrival)) {
            Some(Verdict::Open) => self.open(to, name, arrival, (chunk, hint)),
            Some(_) => self.hosts[to as usize].tally.duplicates += 1,
            None => {}
        }
        self.act(to);
    }

    /// Opens the inner seal, tells the machine, and passes on what is good.
    fn open(&mut self, peer: Index, parent: Fingerprint, arrival: Arrival, (chunk, hint): (InnerSealed, Hint)) {
        let now_ms = self.queue.now_ms();
        if let Err(error) = self.install(peer, chunk.header.epoch) {
            self.failure = Some(error.into());
            return;
        }
        let Some(host) = self.hosts.get_mut(peer as usize) else { return };
        let (Some(mesh), Some(opener)) = (&mut host.mesh, &mut host.opener) else { return };
        match opener.push(chunk.clone(), now_ms) {
            Ok(Received::Opened(payload)) => {
                let age_us = self.queue.now_us().saturating_sub(payload.header.captured_us);
                mesh.opened(now_ms, parent, &Arrival { age_ms: Some((age_us / 1000) as u32), ..arrival });
                host.tally.forged_accepted += u64::from(!self.source.is_genuine(&payload));
                self.shown(peer, payload.header.frame_number, age_us);
            }
            Err(error) if is_forged(&error) => {
                mesh.failed(now_ms, parent, arrival.key);
                host.tally.forged_refused += 1;
                return;
            }
            Ok(Received::Held) | Err(_) => mesh.opened(now_ms, parent, &arrival),
        }
        self.pass_on(peer, chunk, hint);
    }

    /// Gives a member the key of an epoch that the group has reached.
    fn install(&mut self, peer: Index, epoch: Epoch) -> Result<(), ReceiveError> {
        let (now_ms, seed, reached) = (self.queue.now_ms(), self.setup.seed, self.source.epoch());
        let Some(host) = self.hosts.get_mut(peer as usize) else { return Ok(()) };
        if epoch.0 <= host.opener_epoch || epoch > reached {
            return Ok(());
        }
        host.opener_epoch = epoch.0;
        let opener = host.opener.as_mut();
        opener.map_or(Ok(()), |opener| opener.install(epoch, dek(seed, epoch), now_ms).map(|_| ()))
    }

    /// A picture was handed up.
    fn shown(&mut self, peer: Index, number: u64, after_us: u64) {
        let now_us = self.queue.now_us();
        let sheet = self.source.sheets().get(number as usize).copied();
        let Some(host) = self.hosts.get_mut(peer as usize) else { return };
        let first = host.seen.note(number, after_us);
        host.tally.handed_up_twice += u64::from(!first);
        host.first_picture_us.get_or_insert(now_us);
        let Some(sheet) = sheet.filter(|sheet| sheet.layer == Layer::BASE) else { return };
        let continues = sheet.refers_back == 0 || host.newest_base.is_some_and(|newest| newest + GROUP >= number);
        if continues {
            host.newest_base = Some(host.newest_base.map_or(number, |newest| newest.max(number)));
        } else {
            self.need_key(peer);
        }
    }

    fn pass_on(&mut self, peer: Index, chunk: InnerSealed, hint: Hint) {
        let Some(host) = self.hosts.get_mut(peer as usize) else { return };
        let lives = host.lives;
        let Some(mischief) = &mut host.mischief else { return self.forward(peer, chunk, hint) };
        for passed in mischief.turn(chunk, hint, &mut self.rng) {
            match passed.after_ms {
                0 => self.forward(peer, passed.chunk, passed.hint),
                after_ms => {
                    let at_us = self.queue.now_us() + after_ms * 1000;
                    self.queue.plan(at_us, Event::Late { peer, lives, passed });
                }
            }
        }
    }

    pub(crate) fn pass_late(&mut self, peer: Index, lives: u32, passed: Passed) {
        if self.host(peer).is_some_and(|host| host.lives == lives && host.is_here()) {
            self.forward(peer, passed.chunk, passed.hint);
        }
    }

    fn forward(&mut self, peer: Index, chunk: InnerSealed, hint: Hint) {
        let now_ms = self.queue.now_ms();
        let Some(host) = self.host_mut(peer) else { return };
        if host.down.seats.is_empty() && host.down.room.children_max == 0 {
            return;
        }
        if host.down.forward(chunk, hint, now_ms) {
            self.ask_for_key(peer);
        }
        self.pump(peer);
    }

    /// What both ends of a connection derive: fresh for each connection.
    fn transit_key(&self, child: Index, connection: u64) -> [u8; 32] {
        let seed = self.setup.seed.to_be_bytes();
        let stream = self.source.stream();
        sha256(&[b"edge/sim/transit", &seed, &connection.to_be_bytes(), &child.to_be_bytes(), &stream.0])
    }

    /// The way of each peer that is there, for scripts that look for victims.
    pub(crate) fn ways(&self) -> BTreeMap<Index, Vec<Index>> {
        self.peers().skip(1).filter_map(|peer| Some((peer, self.way(peer)?))).collect()
    }
}

fn open_outer(receiver: &mut Receiver, message: &[u8]) -> Result<(Hint, InnerSealed), edge_link::Error> {
    let media = Media::parse(message).map_err(|_| edge_link::Error::OuterAead)?;
    let chunk = Sealed::parse(media.chunk)?;
    chunk.header.check()?;
    Ok((media.hint, receiver.open(media.seq, &chunk)?))
}

fn is_forged(error: &ReceiveError) -> bool {
    use ReceiveError::{Chunk, InnerAead, Payload, Relabelled, WrongStream};
    matches!(error, InnerAead | Relabelled { .. } | WrongStream | Chunk(_) | Payload(_))
}

fn reason_of(refusal: Refusal) -> Reason {
    match refusal {
        Refusal::Full => Reason::Full,
        Refusal::Loop => Reason::Loop,
        Refusal::TooDeep => Reason::TooDeep,
        _ => Reason::Other,
    }
}

pub(crate) const OPENS: Opens = Opens::Inner;
