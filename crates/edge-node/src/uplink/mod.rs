//! The way up: keeps parents as the mesh core decides, and hands on what comes from them, each thing once.

mod dial;
mod ended;
mod link;
mod measure;
pub(crate) mod recent;
mod words;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use edge_alm::bucket::{Bucket, Rate};
use edge_alm::mesh::{Action, Arrival, Config, Key, Media, Mesh, Offer, Opens, Origin, Reason, Verdict};
use edge_alm::path::SubStreamPath;
use edge_net::{CloseCode, Endpoint, Session};
use edge_wire::chunk::InnerSealed;
use edge_wire::control::{ChunkId, Message, Refusal, Role};
use edge_wire::id::{ChunkSeq, Epoch, Fingerprint, StreamId};
use edge_wire::layer::Policy;
use edge_wire::link::Hint;
use tokio::sync::mpsc;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until};

use crate::event::UplinkStats;
use crate::neighbours::{Heard, MAX_EPOCHS_AHEAD, Neighbours};
use crate::rates::Rates;
use crate::ticket::Hop;
use crate::{Error, Shutdown, clock};
use ended::Told;
use link::{Failure, Link, MAX_ORDERS, News, Order, Report};
use measure::{MAX_PROBES, whole_ms};
use recent::{Contents, Known, Recent};

/// Messages to the parent that may wait.
pub const MAX_OUTGOING: usize = 64;

/// Reports of all links that may wait; a link that finds no room stops reading, and its parent thins what it sends.
const MAX_REPORTS: usize = 512;
/// How long a node without a parent tries before it gives up.
const PATIENCE: Duration = Duration::from_secs(30);
/// The same for a node that nobody ever answered: a wrong ticket should be told soon.
const FIRST_PATIENCE: Duration = Duration::from_secs(5);
/// Forged chunks that parents are told of at once, and every second after that.
const COMPLAINTS: Rate = Rate::per_second(8, 16);
/// Time between two looks at the round-trip times.
const MEASURE_EVERY: Duration = Duration::from_millis(500);
/// How long links may take to end politely.
const FAREWELL: Duration = Duration::from_secs(2);

/// What a node does with what comes from above. Calls must return at once.
pub trait Handler: Send {
    /// The node has a parent to follow, or its way to the publisher is another one; `chain` leads from the publisher
    /// to that parent.
    fn connected(&mut self, session: &Session, chain: &[Fingerprint], why: &str);
    /// One chunk, its outer layer opened.
    fn media(&mut self, chunk: InnerSealed, hint: Hint) -> Taken;
    /// A media message that did not open or parse.
    fn refused(&mut self);
    /// A control message for this node or for peers below.
    fn control(&mut self, message: Message);
    /// A parent was found to do harm.
    fn accused(&mut self, _parent: Fingerprint, _misdeed: &str) {}
    /// Nothing comes from above at the moment, although parents are there.
    fn wayless(&mut self) {}
    /// No parent is left; the uplink looks for one again.
    fn disconnected(&mut self, reason: &Error);
}

/// What became of a chunk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Taken {
    /// It is what it says, as far as this node can tell.
    Good {
        /// Time since it was captured, if it says so.
        age_ms: Option<u32>,
    },
    /// It cannot be opened yet.
    Held,
    /// It is of an epoch that is past, or there is no room for it.
    Useless,
    /// It is not from the publisher.
    Forged,
}

/// Who may become a parent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Parents {
    /// Whoever offers to carry the stream.
    #[default]
    Any,
    /// Only the peers of the ticket.
    Fixed,
}

/// Which layers a node asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Layers {
    /// As many of these as the link takes.
    UpTo(Policy),
    /// Exactly these, as a person said.
    Pinned(Policy),
}

impl Layers {
    /// The highest ones.
    pub fn policy(self) -> Policy {
        match self {
            Self::UpTo(policy) | Self::Pinned(policy) => policy,
        }
    }
}

/// Which stream to fetch, and from whom.
#[derive(Debug)]
pub struct Uplink {
    /// Own endpoint.
    pub endpoint: Arc<Endpoint>,
    /// Own fingerprint.
    pub own: Fingerprint,
    /// The stream.
    pub stream: StreamId,
    /// Its publisher.
    pub publisher: Fingerprint,
    /// Peers to ask first.
    pub hops: Vec<Hop>,
    /// Layers wanted.
    pub layers: Layers,
    /// Whether this node can tell a forged chunk.
    pub opens: Opens,
    /// Whether it carries the stream on.
    pub role: Role,
    /// Who else may become a parent; without it only the `hops` do.
    pub mesh: Option<Company>,
    /// Where the state of the uplink can be read.
    pub gauge: Gauge,
}

/// The neighbours and what is heard of their offers.
#[derive(Debug)]
pub struct Company {
    /// Passes offers on.
    pub neighbours: Neighbours,
    /// Verified offers.
    pub offers: mpsc::Receiver<Heard>,
    /// Which part of the stream the uplink fetches.
    pub path: SubStreamPath,
}

/// Readable from other tasks.
#[derive(Debug, Clone, Default)]
pub struct Gauge(Arc<std::sync::Mutex<UplinkStats>>);

impl Gauge {
    /// The state when it was last written.
    pub fn stats(&self) -> UplinkStats {
        self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner).clone()
    }

    fn set(&self, stats: UplinkStats) {
        *self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = stats;
    }
}

impl Uplink {
    /// Runs until the stream is over, `shutdown`, or nobody can be reached for too long.
    pub async fn run(
        mut self,
        handler: &mut dyn Handler,
        outgoing: &mut mpsc::Receiver<Message>,
        shutdown: Shutdown,
    ) -> Result<(), Error> {
        let (reports, mut news) = mpsc::channel(MAX_REPORTS);
        let (neighbours, mut offers, path) = match self.mesh.take() {
            Some(Company { neighbours, offers, path }) => (Some(neighbours), offers, path),
            // Its sender is gone at once, so it never says anything.
            None => (None, mpsc::channel(1).1, SubStreamPath::WHOLE),
        };
        let (answers, mut probed) = mpsc::channel(MAX_PROBES);
        let mut driver = Driver::new(self, neighbours, handler, reports);
        let mut measuring = interval(MEASURE_EVERY);
        measuring.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let over = crate::ended(shutdown);
        tokio::pin!(over);
        let outcome = loop {
            driver.act();
            if let Some(outcome) = driver.outcome() {
                break outcome;
            }
            tokio::select! {
                () = &mut over => break Ok(()),
                Some(report) = news.recv() => driver.hear(report),
                Some(heard) = offers.recv() => driver.offered(heard, &path),
                Some((peer, rtt)) = probed.recv() => driver.probed(peer, rtt),
                Some(message) = outgoing.recv(), if driver.linked() => driver.ask(message),
                _ = measuring.tick() => {
                    driver.measure();
                    driver.probe(&answers);
                }
                () = sleep_until(driver.deadline()) => {}
            }
        };
        while let Ok(message) = outgoing.try_recv() {
            driver.ask(message);
        }
        driver.finish(&mut news).await;
        if outcome.is_err() {
            let last = driver.up.gauge.stats();
            driver.up.gauge.set(UplinkStats {
                parent: None,
                standby: None,
                depth: 0,
                rtt_ms: 0.0,
                delay_ms: 0,
                ..last
            });
        }
        outcome
    }
}

/// One parent, present or on the way.
struct Line {
    serial: u64,
    orders: mpsc::Sender<Order>,
    session: Option<Session>,
    chain: Vec<Fingerprint>,
    delivered_ms: u64,
    /// Highest epoch of what it sent.
    epoch: Epoch,
    ended: bool,
}

struct Driver<'a> {
    up: Uplink,
    neighbours: Option<Neighbours>,
    handler: &'a mut dyn Handler,
    reports: mpsc::Sender<Report>,
    mesh: Mesh,
    lines: BTreeMap<Fingerprint, Line>,
    serial: u64,
    rates: Rates,
    recent: Recent,
    contents: Contents,
    complaints: Bucket,
    /// The parent last told to the handler, and its way.
    followed: Option<(Fingerprint, Vec<Fingerprint>)>,
    why: &'static str,
    connected: bool,
    /// Nothing comes, although parents are there.
    dry: bool,
    /// When something new came last.
    flowed: Instant,
    epoch: Epoch,
    patience: Instant,
    /// Highest epoch of which a chunk opened here.
    opened: Epoch,
    told: Option<Told>,
    over: bool,
    last_error: Option<Error>,
    /// When the next round trip to a possible parent may be measured.
    probe_at: Instant,
}

impl<'a> Driver<'a> {
    fn new(
        up: Uplink,
        neighbours: Option<Neighbours>,
        handler: &'a mut dyn Handler,
        reports: mpsc::Sender<Report>,
    ) -> Self {
        let now_ms = clock::now_ms();
        let seed = up.own.0.iter().fold(0_u64, |seed, byte| seed.wrapping_mul(257).wrapping_add(u64::from(*byte)));
        let config = Config {
            own: up.own,
            source: up.publisher,
            wanted: up.layers.policy(),
            opens: up.opens,
            duty: up.role,
            seed: seed ^ clock::unix_us(),
            layer_kbps: Vec::new(),
        };
        let mut mesh = Mesh::new(config, now_ms);
        if let Layers::Pinned(policy) = up.layers {
            mesh.pin(now_ms, Some(policy));
        }
        for (rank, hop) in up.hops.iter().enumerate() {
            let repeated = up.hops.iter().take(rank).any(|other| other.fingerprint == hop.fingerprint);
            if !repeated {
                mesh.offer(now_ms, Origin::Ticket, contact(hop.fingerprint, up.publisher, rank));
            }
        }
        Self {
            up,
            neighbours,
            handler,
            reports,
            mesh,
            lines: BTreeMap::new(),
            serial: 0,
            rates: Rates::default(),
            recent: Recent::default(),
            contents: Contents::default(),
            complaints: Bucket::new(COMPLAINTS, now_ms),
            followed: None,
            why: "",
            connected: false,
            dry: false,
            flowed: Instant::now(),
            epoch: Epoch(0),
            patience: Instant::now() + FIRST_PATIENCE,
            opened: Epoch(0),
            told: None,
            over: false,
            last_error: None,
            probe_at: Instant::now(),
        }
    }

    /// Does what the mesh core decided.
    fn act(&mut self) {
        while let Some(action) = self.mesh.poll(clock::now_ms()) {
            match action {
                Action::Subscribe { peer, policy } => self.dial(peer, policy),
                Action::SetPolicy { peer, policy } => self.order(peer, Order::Policy(policy)),
                Action::Drop { peer, why } => {
                    tracing::info!(%peer, ?why, "a parent is given up");
                    self.order(peer, Order::Finish);
                    self.lines.remove(&peer);
                }
                Action::Accuse(evidence) => {
                    let misdeed = words::misdeed(evidence.misdeed);
                    tracing::warn!(parent = %evidence.peer, misdeed, count = evidence.count, "a parent does harm");
                    self.handler.accused(evidence.peer, misdeed);
                }
                // Before the first picture there is nothing to miss.
                Action::Stranded if self.mesh.state().counters.opened == 0 => {}
                Action::Stranded => {
                    tracing::warn!("no parent brings the stream at the moment");
                    self.dry = true;
                    self.lose_touch();
                    self.followed = None;
                    self.handler.wayless();
                }
                // Parents that go at the end are not made good.
                Action::Switched { .. } if self.is_ending() => {}
                Action::Switched { to, why, .. } => {
                    self.why = words::switch(why);
                    self.follow(to);
                }
            }
        }
        self.up.gauge.set(self.stats());
    }

    /// Tells the handler whom this node follows, when that changed.
    fn follow(&mut self, parent: Fingerprint) {
        let Some(line) = self.lines.get(&parent) else { return };
        let Some(session) = &line.session else { return };
        if line.chain.is_empty() {
            // It says that it has no way at the moment, and says so again when it has one.
            return;
        }
        if self.followed.as_ref().is_some_and(|(peer, chain)| (*peer, chain) == (parent, &line.chain)) {
            return;
        }
        self.connected = true;
        self.followed = Some((parent, line.chain.clone()));
        self.handler.connected(session, &line.chain, self.why);
    }

    fn dial(&mut self, peer: Fingerprint, policy: Policy) {
        let hops = self.hops(peer);
        if hops.is_empty() {
            return self.mesh.refused(clock::now_ms(), peer, Reason::Unreachable);
        }
        self.serial += 1;
        let (orders, inbox) = mpsc::channel(MAX_ORDERS);
        let link = Link {
            endpoint: self.up.endpoint.clone(),
            own: self.up.own,
            stream: self.up.stream,
            hops,
            policy,
            role: self.up.role,
            // Offers are about the whole stream, and travel over its links only.
            neighbours: self.neighbours.clone().filter(|neighbours| neighbours.stream() == self.up.stream),
            serial: self.serial,
            reports: self.reports.clone(),
        };
        tokio::spawn(link.run(inbox));
        let line = Line {
            serial: self.serial,
            orders,
            session: None,
            chain: Vec::new(),
            delivered_ms: 0,
            epoch: Epoch(0),
            ended: false,
        };
        self.lines.insert(peer, line);
    }

    /// Where `peer` can be dialed.
    fn hops(&self, peer: Fingerprint) -> Vec<Hop> {
        let offered = self.neighbours.as_ref().map_or_else(Vec::new, |neighbours| neighbours.hops(peer));
        let ticket = self.up.hops.iter().filter(|hop| hop.fingerprint == peer).copied();
        let mut hops: Vec<Hop> = ticket.chain(offered).collect();
        hops.dedup();
        hops.truncate(crate::ticket::MAX_HOPS);
        hops
    }

    fn order(&self, peer: Fingerprint, order: Order) {
        if let Some(line) = self.lines.get(&peer)
            && line.orders.try_send(order).is_err()
        {
            tracing::debug!(%peer, "an order to a link was not taken");
        }
    }

    /// Whether a request would find a parent.
    fn linked(&self) -> bool {
        self.lines.values().any(|line| line.session.is_some() && !line.ended)
    }

    /// Passes a request on to the parent, or to any other parent while there is none.
    fn ask(&mut self, message: Message) {
        if let Message::Doubt { chunk, .. } = message {
            return self.doubted(message, chunk);
        }
        let primary = self.mesh.state().primary;
        let linked = |line: &&Line| line.session.is_some() && !line.ended;
        let line = primary.and_then(|primary| self.lines.get(&primary)).filter(linked);
        let line = line.or_else(|| self.lines.values().find(linked));
        if let Some(line) = line
            && line.orders.try_send(Order::Message(message)).is_err()
        {
            tracing::debug!("a request to the parent was not sent");
        }
    }

    fn offered(&mut self, heard: Heard, path: &SubStreamPath) {
        let told_by = heard.told_by;
        if heard.offer.peer != self.up.own
            && let Some(offer) = heard.for_path(path)
        {
            self.mesh.offer(clock::now_ms(), Origin::Peer(told_by), offer);
        }
    }

    fn hear(&mut self, report: Report) {
        let Report { peer, serial, news } = report;
        let is_ending = self.is_ending();
        // What a link says after it was given up is of no interest any more.
        let Some(line) = self.lines.get_mut(&peer).filter(|line| line.serial == serial) else { return };
        let now_ms = clock::now_ms();
        match news {
            News::Linked(session, chain) => {
                let rtt_ms = whole_ms(session.rtt());
                line.session = Some(session);
                line.chain.clone_from(&chain);
                tracing::debug!(%peer, depth = chain.len(), rtt_ms, "subscribed");
                self.mesh.linked(now_ms, peer, rtt_ms, &chain);
            }
            News::Refused(Failure { refusal, error, rtt }) => {
                self.lines.remove(&peer);
                tracing::info!(%peer, %error, "no subscription");
                if let Some(rtt) = rtt {
                    self.mesh.measured(now_ms, peer, whole_ms(rtt));
                }
                // Who has no room may have some soon; a stream that nobody knows is not worth the wait.
                let hopeful = refusal.is_some_and(|refusal| refusal != Refusal::UnknownStream);
                if hopeful && !self.connected {
                    self.patience = self.patience.max(Instant::now() + FIRST_PATIENCE);
                }
                self.last_error = Some(error);
                self.mesh.refused(now_ms, peer, reason(refusal));
            }
            News::Media(chunk, hint) => {
                line.delivered_ms = now_ms;
                self.media(now_ms, peer, chunk, hint);
            }
            News::Unopened => self.handler.refused(),
            News::Control(message) => self.control(now_ms, peer, message),
            News::Lost(error) => {
                let ended = line.ended && is_ending;
                self.lines.remove(&peer);
                self.last_error = Some(error);
                self.orphaned(ended);
                // At the end of the stream nothing is to be made good.
                if !self.over {
                    self.mesh.lost(now_ms, peer);
                }
            }
        }
    }

    fn media(&mut self, now_ms: u64, peer: Fingerprint, chunk: InnerSealed, hint: Hint) {
        let header = &chunk.header;
        let epoch = header.epoch;
        if let Some(line) = self.lines.get_mut(&peer) {
            line.epoch = line.epoch.max(epoch);
        }
        let arrival = Arrival {
            key: Key { epoch: header.epoch.0, seq: header.seq.0 },
            layer: header.layer,
            media: if hint.audio { Media::Sound } else { Media::Picture },
            bytes: u32::try_from(chunk.ciphertext.len()).unwrap_or(u32::MAX),
            age_ms: None,
        };
        let compared = self.contents.compare((arrival.key.epoch, arrival.key.seq), peer, &chunk);
        let verdict = match compared.varies {
            true => self.mesh.varied(now_ms, peer, &arrival),
            false => self.mesh.arrived(now_ms, peer, &arrival),
        };
        if verdict == Verdict::Open {
            self.rates.count(arrival.layer, chunk.ciphertext.len(), now_ms);
            self.flowed = Instant::now();
            if std::mem::take(&mut self.dry)
                && let Some(primary) = self.mesh.state().primary
            {
                self.follow(primary);
            }
        }
        if self.up.opens == Opens::OuterOnly {
            return self.carry(peer, (arrival, verdict, compared.known), chunk, hint);
        }
        if verdict != Verdict::Open {
            return;
        }
        match self.handler.media(chunk, hint) {
            Taken::Good { age_ms } => {
                self.mesh.opened(now_ms, peer, &Arrival { age_ms, ..arrival });
                self.opened = self.opened.max(epoch);
                self.turn(epoch);
            }
            // Its mark expires, so that a copy from another parent has its chance.
            Taken::Held => {}
            Taken::Useless => self.mesh.released(now_ms, arrival.key),
            Taken::Forged => {
                self.mesh.failed(now_ms, peer, arrival.key);
                self.complain(peer, arrival.key);
            }
        }
    }

    /// A node that opens nothing takes the parents' word for the epoch: that of two, if there are two.
    fn reached(&mut self) {
        let mut reached: Vec<Epoch> = self.lines.values().map(|line| line.epoch).filter(|it| *it > Epoch(0)).collect();
        reached.sort_unstable_by(|a, b| b.cmp(a));
        let highest = reached.first().copied().unwrap_or(self.epoch);
        // Whoever led astray is gone, and nobody who is left was ever there.
        if self.epoch.0.saturating_sub(highest.0) > MAX_EPOCHS_AHEAD {
            self.lose_touch();
        }
        if let Some(epoch) = reached.get(1).or(reached.first()).copied() {
            self.turn(epoch);
        }
    }

    /// Offers are about the epoch of the media.
    fn turn(&mut self, epoch: Epoch) {
        let ahead = epoch.0.saturating_sub(self.epoch.0);
        if epoch <= self.epoch || (self.epoch > Epoch(0) && ahead > MAX_EPOCHS_AHEAD) {
            return;
        }
        self.epoch = epoch;
        if let Some(neighbours) = &self.neighbours {
            neighbours.turn(epoch, &self.lines.keys().copied().collect::<Vec<_>>());
        }
    }

    /// A node that cannot open the inner seal passes on two chunks that claim to be the same, and no more: a member
    /// below can tell which one is good. The second is another parent's, if there is another parent.
    fn carry(
        &mut self,
        peer: Fingerprint,
        (arrival, verdict, known): (Arrival, Verdict, Known),
        chunk: InnerSealed,
        hint: Hint,
    ) {
        let now_ms = clock::now_ms();
        let sole = self.lines.values().filter(|line| line.session.is_some()).count() <= 1;
        match (verdict, known) {
            (Verdict::Open, _) => {
                self.handler.media(chunk, hint);
                self.mesh.opened(now_ms, peer, &arrival);
                self.reached();
            }
            (Verdict::Duplicate, Known::Other { first }) if first != peer || sole => {
                self.mesh.disagreed(now_ms, first, peer);
                if self.contents.pass((arrival.key.epoch, arrival.key.seq)) {
                    self.handler.media(chunk, hint);
                }
            }
            _ => {}
        }
    }

    /// Tells a parent that a chunk of its was forged: if it cannot tell by itself, it may look where it had it from.
    fn complain(&mut self, parent: Fingerprint, key: Key) {
        if self.complaints.take(clock::now_ms()) {
            let chunk = ChunkId { epoch: Epoch(key.epoch), seq: ChunkSeq(key.seq) };
            self.order(parent, Order::Message(Message::Doubt { stream: self.up.stream, chunk }));
        }
    }

    /// A child says that a chunk was forged. A member has seen for itself what it passed on.
    fn doubted(&mut self, message: Message, chunk: ChunkId) {
        if self.up.opens == Opens::OuterOnly
            && let Some(supplier) = self.contents.supplier((chunk.epoch.0, chunk.seq.0))
            && supplier != self.up.publisher
        {
            self.mesh.doubted(clock::now_ms(), supplier);
            self.order(supplier, Order::Message(message));
        }
    }

    fn control(&mut self, now_ms: u64, peer: Fingerprint, message: Message) {
        match message {
            Message::Ended { notice, .. } => self.ended(now_ms, peer, notice),
            Message::Rerouted { chain, .. } => {
                if let Some(line) = self.lines.get_mut(&peer) {
                    line.chain.clone_from(&chain);
                }
                self.mesh.rerouted(now_ms, peer, &chain);
                self.act();
                if self.mesh.state().primary == Some(peer) && !chain.is_empty() {
                    self.follow(peer);
                }
            }
            // Two parents bring the same commit; it is of use once.
            message if self.recent.is_new(now_ms, &message) => self.handler.control(message),
            _ => {}
        }
    }

    /// The stream may turn to other epochs meanwhile.
    fn lose_touch(&mut self) {
        self.epoch = Epoch(0);
        if let Some(neighbours) = &self.neighbours {
            neighbours.lose_touch();
        }
    }

    /// Looks whether a link remains after one ended.
    fn orphaned(&mut self, ended: bool) {
        let is_ending = self.is_ending();
        let mut linked = self.lines.values().filter(|line| line.session.is_some()).peekable();
        if linked.peek().is_some() {
            self.over |= linked.all(|line| line.ended) && is_ending;
            return;
        }
        if ended {
            self.over = true;
            return;
        }
        if self.connected {
            self.connected = false;
            self.followed = None;
            self.lose_touch();
            self.patience = Instant::now() + PATIENCE;
            self.handler.disconnected(self.last_error.as_ref().unwrap_or(&Error::NoAnswer));
        }
    }

    fn outcome(&mut self) -> Option<Result<(), Error>> {
        if self.over {
            if let Some(told) = self.told.take() {
                let (stream, notice) = (self.up.stream, told.notice);
                self.handler.control(Message::Ended { stream, notice });
            }
            return Some(Ok(()));
        }
        if self.dry && self.flowed.elapsed() >= PATIENCE {
            return Some(Err(Error::Dry));
        }
        let dialing = self.lines.values().any(|line| line.session.is_some());
        if self.told.is_some() || dialing || self.connected || Instant::now() < self.patience {
            return None;
        }
        Some(Err(self.last_error.take().unwrap_or(Error::NoAnswer)))
    }

    fn deadline(&self) -> Instant {
        let wait_ms = self.mesh.deadline().saturating_sub(clock::now_ms());
        let decided = Instant::now() + Duration::from_millis(wait_ms.max(1));
        match self.connected {
            true => decided,
            false => decided.min(self.patience + Duration::from_millis(1)),
        }
    }

    async fn finish(&mut self, news: &mut mpsc::Receiver<Report>) {
        let lines = std::mem::take(&mut self.lines);
        for line in lines.values() {
            let _ = line.orders.try_send(Order::Finish);
        }
        let mut left: Vec<u64> = lines.values().filter(|line| line.session.is_some()).map(|line| line.serial).collect();
        // A link that still dials has nothing to say, and ends with its orders.
        drop(lines);
        let parting = async {
            while !left.is_empty() {
                let Some(report) = news.recv().await else { return };
                if matches!(report.news, News::Lost(_)) {
                    left.retain(|serial| *serial != report.serial);
                }
            }
        };
        let _ = tokio::time::timeout(FAREWELL, parting).await;
    }

    fn stats(&self) -> UplinkStats {
        let state = self.mesh.state();
        let name = |peer: &Fingerprint| peer.to_string();
        let line = state.primary.and_then(|primary| self.lines.get(&primary));
        UplinkStats {
            parent: state.primary.as_ref().map(name),
            standby: state.standbys.first().map(name),
            depth: line.map_or(0, |line| line.chain.len()),
            rtt_ms: line.and_then(|line| line.session.as_ref()).map_or(0.0, |s| s.rtt().as_secs_f64() * 1e3),
            delay_ms: self.mesh.delay_ms().unwrap_or(0),
            layers: (state.policy.max_spatial, state.policy.max_temporal),
            why: words::layers(state.why).to_owned(),
            silence_ms: state.silence_ms.unwrap_or(0),
            switches: state.counters.voluntary,
            heals: self.told.as_ref().filter(|told| told.settled).map_or(state.counters.heals, |told| told.heals),
            duplicates: state.counters.duplicates,
            forgeries: state.counters.forgeries,
        }
    }
}

impl Drop for Driver<'_> {
    fn drop(&mut self) {
        for line in self.lines.values() {
            if let Some(session) = &line.session {
                session.close(CloseCode::DONE, "the peer ended");
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
        subscribers_max: u32::MAX,
        subscribers: 0,
        layers: Policy::UNCAPPED,
        chain,
        delay_ms: None,
        yields: edge_alm::seats::Yields::default(),
    }
}

fn reason(refusal: Option<Refusal>) -> Reason {
    match refusal {
        Some(Refusal::Full) => Reason::Full,
        Some(Refusal::Loop) => Reason::Loop,
        Some(Refusal::TooDeep) => Reason::TooDeep,
        Some(_) => Reason::Other,
        None => Reason::Unreachable,
    }
}
