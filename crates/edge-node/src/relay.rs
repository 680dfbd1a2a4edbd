//! The relay: carries sealed chunks from its parent to its children.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use edge_alm::mesh::Opens;
use edge_identity::bundle::KeyBundle;
use edge_net::{Endpoint, Limits, Session};
use edge_wire::chunk::InnerSealed;
use edge_wire::control::{Message, Role};
use edge_wire::id::Fingerprint;
use edge_wire::layer::Policy;
use edge_wire::link::Hint;
use tokio::sync::{mpsc, watch};
use tokio::time::{MissedTickBehavior, interval};

use crate::demand::Demand;
use crate::event::{Event, RelayStats, Reporter, Stats};
use crate::hub::{self, Board, Ending, Hub, Room, Upward};
use crate::lane::Lanes;
use crate::neighbours::Neighbours;
use crate::offering::Offering;
use crate::ticket::Ticket;
use crate::uplink::{Gauge, Handler, Layers, MAX_OUTGOING, Parents, Taken};
use crate::{Error, Shutdown, process};

const FAREWELL: Duration = Duration::from_secs(2);
const REPORT_EVERY: Duration = Duration::from_secs(1);

/// What to carry and where to offer it.
#[derive(Debug)]
pub struct Options {
    /// Identity.
    pub bundle: Arc<KeyBundle>,
    /// Address to listen on; port 0 lets the system choose.
    pub listen: SocketAddr,
    /// Addresses to put into the ticket; empty for the listening address itself.
    pub advertise: Vec<SocketAddr>,
    /// What to carry, and from whom. A join secret in it is dropped unused.
    pub ticket: Ticket,
    /// Who may become a parent.
    pub parents: Parents,
    /// How much to carry at most.
    pub room: Room,
}

/// Carries the stream until it is over or `shutdown`.
pub async fn run(options: Options, reporter: Reporter, shutdown: Shutdown) -> Result<(), Error> {
    let Options { bundle, listen, advertise, ticket, parents, room } = options;
    let ticket = ticket.for_relays();
    let endpoint = Arc::new(Endpoint::bind(bundle.clone(), listen, &Limits::default())?);
    let hops = crate::ticket::own_hops(&bundle, endpoint.local_addr()?, &advertise);
    let neighbours = Neighbours::new(ticket.stream, bundle.fingerprint());
    let (hub, wishes) = Hub::new(hub::Settings {
        stream: ticket.stream,
        limits: edge_relay::Limits::default(),
        room,
        neighbours: Some(neighbours.clone()),
        reporter: reporter.clone(),
    })?;
    let (board, asked) = Board::new(hub.clone());
    reporter.send(ready(&bundle, &Ticket { hops: hops.clone(), ..ticket.for_relays() }));
    let (up, mut outgoing) = mpsc::channel(MAX_OUTGOING);
    let received = Arc::new(AtomicU64::new(0));
    let gauge = Gauge::default();
    let (own, seen) = (bundle.fingerprint(), Some(gauge.clone()));
    let offering = Offering { bundle, hops, board: board.clone(), neighbours: neighbours.clone(), room, gauge: seen };
    let lanes = Lanes {
        endpoint: endpoint.clone(),
        own,
        whole: ticket.stream,
        publisher: ticket.publisher,
        hops: ticket.hops,
        layers: Layers::UpTo(Policy::UNCAPPED),
        opens: Opens::OuterOnly,
        role: Role::Carrier,
        company: (parents == Parents::Any).then(|| neighbours.clone()),
    };
    let uplink = lanes.main(gauge.clone());
    let (over, told) = watch::channel(None);
    let demand = Demand {
        lanes: Arc::new(lanes),
        board: board.clone(),
        neighbours,
        room,
        received: received.clone(),
        reporter: reporter.clone(),
    };
    let demand = tokio::spawn(demand.run(asked, told));
    let tasks = [
        tokio::spawn(board.clone().accept(endpoint.clone())),
        tokio::spawn(ask(wishes, up, ticket.stream)),
        tokio::spawn(report(board.clone(), received.clone(), gauge.clone(), reporter.clone())),
        tokio::spawn(offering.run()),
    ];
    let mut carrier = Carrier {
        hub: hub.clone(),
        own,
        received: received.clone(),
        reporter: reporter.clone(),
        told: Some(reporter.clone()),
    };
    let outcome = uplink.run(&mut carrier, &mut outgoing, shutdown.clone()).await;
    let ending = ending(&outcome, &shutdown);
    over.send_replace(Some(ending));
    let _ = demand.await;
    hub.finish(ending, FAREWELL).await;
    tasks.iter().for_each(tokio::task::JoinHandle::abort);
    part(&endpoint, &reporter, stats(&board, &received, &gauge), outcome).await
}

/// Says what the relay did and why it ends, and closes its links.
async fn part(
    endpoint: &Endpoint,
    reporter: &Reporter,
    last: RelayStats,
    outcome: Result<(), Error>,
) -> Result<(), Error> {
    reporter.send_last(Event::Stats(Stats::Relay(last))).await;
    let reason = outcome.as_ref().err().map_or("the stream is over".into(), ToString::to_string);
    reporter.send_last(Event::Done { reason }).await;
    endpoint.close(edge_net::CloseCode::DONE, "the relay ended");
    endpoint.wait_idle().await;
    outcome
}

/// The announcement of a relay that listens.
fn ready(bundle: &KeyBundle, offered: &Ticket) -> Event {
    Event::Ready {
        role: "relay".into(),
        key_id: bundle.key_id().to_string(),
        fingerprint: bundle.fingerprint().to_string(),
        listen: offered.hops.first().map(|hop| hop.addr.to_string()),
        ticket: None,
        relay_ticket: Some(offered.to_text().to_string()),
    }
}

/// Whether the end of the way up is the end of the stream.
pub(crate) fn ending(outcome: &Result<(), Error>, shutdown: &Shutdown) -> Ending {
    match outcome.is_ok() && !*shutdown.borrow() {
        true => Ending::StreamOver,
        false => Ending::Leaving,
    }
}

/// Passes what children want on to the parent.
pub(crate) async fn ask(
    mut wishes: mpsc::Receiver<Upward>,
    up: mpsc::Sender<Message>,
    stream: edge_wire::id::StreamId,
) {
    while let Some(wish) = wishes.recv().await {
        if up.send(wish.into_message(stream)).await.is_err() {
            return;
        }
    }
}

async fn report(board: Board, received: Arc<AtomicU64>, gauge: Gauge, reporter: Reporter) {
    let mut ticks = interval(REPORT_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        reporter.send(Event::Stats(Stats::Relay(stats(&board, &received, &gauge))));
    }
}

fn stats(board: &Board, received: &AtomicU64, gauge: &Gauge) -> RelayStats {
    let counters = board.counters();
    RelayStats {
        chunks_received: received.load(Ordering::Relaxed),
        chunks_forwarded: counters.forwarded,
        bytes_forwarded: counters.bytes,
        chunks_dropped: counters.dropped,
        chunks_refused: counters.refused,
        opened_inner: edge_seal::EpochDek::ever_held(),
        children: board.hub(board.whole()).map_or(0, |hub| hub.children()),
        uplink: Box::new(gauge.stats()),
        cpu_s: process::cpu_s(),
        rss_kib: process::rss_kib(),
    }
}

/// Hands everything from the parent to the hub.
pub(crate) struct Carrier {
    pub(crate) hub: Hub,
    pub(crate) own: Fingerprint,
    pub(crate) received: Arc<AtomicU64>,
    pub(crate) reporter: Reporter,
    /// Hears of parents that come and go; nobody does for a sub-stream, beside those of the whole stream.
    pub(crate) told: Option<Reporter>,
}

impl Handler for Carrier {
    fn connected(&mut self, session: &Session, chain: &[Fingerprint], why: &str) {
        self.hub.set_chain([chain, &[self.own]].concat());
        let parent = session.peer();
        let event = || Event::Connected {
            parent: parent.key_id().to_string(),
            fingerprint: parent.fingerprint().to_string(),
            depth: chain.len(),
            why: why.to_owned(),
        };
        self.told.iter().for_each(|reporter| reporter.send(event()));
    }

    fn media(&mut self, chunk: InnerSealed, hint: Hint) -> Taken {
        self.received.fetch_add(1, Ordering::Relaxed);
        self.hub.forward(chunk, hint);
        Taken::Good { age_ms: None }
    }

    fn refused(&mut self) {
        self.hub.refuse();
    }

    fn control(&mut self, message: Message) {
        self.hub.carry(&message);
    }

    fn accused(&mut self, parent: Fingerprint, misdeed: &str) {
        self.reporter.send(Event::Accused { parent: parent.to_string(), misdeed: misdeed.to_owned() });
    }

    fn wayless(&mut self) {
        self.hub.set_chain(Vec::new());
    }

    fn disconnected(&mut self, reason: &Error) {
        self.hub.set_chain(Vec::new());
        let event = || Event::Disconnected { reason: reason.to_string() };
        self.told.iter().for_each(|reporter| reporter.send(event()));
    }
}
