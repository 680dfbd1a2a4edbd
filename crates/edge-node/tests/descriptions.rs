//! A stream that is cut into descriptions: each travels by itself, and what arrives is shown.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, dead_code, unreachable_pub)]

mod common;

use std::sync::Arc;
use std::time::Duration;

use common::{Node, bundle, carry, carry_with, loopback, publish_with, tickets, view};
use edge_alm::mesh::Opens;
use edge_alm::path::{Descriptions, SubStreamPath, stream_id};
use edge_net::{Endpoint, Expect, Limits, Session};
use edge_node::Error;
use edge_node::event::{Event, Reporter, Stats, WatchStats};
use edge_node::hub::{self, Board, Ending, Hub, Room, Upward};
use edge_node::neighbours::Neighbours;
use edge_node::ticket::{Hop, Ticket, own_hops};
use edge_node::uplink::{Gauge, Handler, Layers, Taken, Uplink};
use edge_wire::chunk::InnerSealed;
use edge_wire::control::{Message, Refusal, Role};
use edge_wire::id::{Fingerprint, StreamId};
use edge_wire::layer::Policy;
use edge_wire::link::Hint;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;

fn publish(seconds: u64, descriptions: Descriptions) -> Node {
    publish_with(bundle("publisher"), seconds, 1, |options| options.descriptions = descriptions)
}

async fn watched(viewer: Node) -> WatchStats {
    match viewer.finish().await {
        (Stats::Watch(stats), _) => stats,
        (other, _) => panic!("a viewer's counters, not {other:?}"),
    }
}

/// Waits until a viewer's counters are as `wanted` says.
async fn until(viewer: &mut Node, mut wanted: impl FnMut(&WatchStats) -> bool) -> WatchStats {
    viewer
        .wait(|event| match event {
            Event::Stats(Stats::Watch(stats)) if wanted(stats) => Some(stats.clone()),
            _ => None,
        })
        .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_descriptions_come_through_relays_that_do_not_know_of_them() {
    let mut publisher = publish(5, Descriptions::Two);
    let (ticket, relay_ticket) = tickets(&mut publisher).await;
    let mut upper = carry("upper", &relay_ticket);
    let (_, upper_ticket) = tickets(&mut upper).await;
    let mut lower = carry("lower", &upper_ticket);
    let (_, lower_ticket) = tickets(&mut lower).await;
    let mut viewer = view("viewer", &ticket, &lower_ticket);
    let both = until(&mut viewer, |stats| stats.descriptions == 2).await;
    assert_eq!(both.lanes.len(), 2);
    assert!(both.lanes.iter().all(|lane| lane.depth == 3), "{both:?}");
    let stats = watched(viewer).await;
    assert!(stats.frames_decoded > 100, "{stats:?}");
    // The first pictures pass before the lanes stand; from then on none is missing.
    assert_eq!(stats.base_frames_lost, both.base_frames_lost, "{stats:?}");
    assert!(stats.audio_played > 100, "{stats:?}");
    let (Stats::Relay(carried), _) = lower.finish().await else { panic!("a relay's counters") };
    assert!(carried.chunks_forwarded > 200, "{carried:?}");
    upper.finish().await;
    publisher.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_relay_that_hears_of_the_cut_carries_what_the_publisher_states() {
    let mut publisher = publish(4, Descriptions::Two);
    let (ticket, relay_ticket) = tickets(&mut publisher).await;
    let mut relay = carry_with("relay", &relay_ticket, |_| {});
    let (_, via) = tickets(&mut relay).await;
    let mut viewer = view("viewer", &ticket, &via);
    let both = until(&mut viewer, |stats| stats.descriptions == 2).await;
    assert!(both.lanes.iter().all(|lane| lane.depth == 2), "{both:?}");
    watched(viewer).await;
    relay.finish().await;
    publisher.finish().await;
}

/// Asks `ticket`'s peer for one description; gives back why it is refused.
async fn refused(ticket: &str) -> Option<Refusal> {
    let ticket: Ticket = ticket.parse().unwrap();
    let endpoint = Endpoint::bind(bundle("newcomer"), loopback(), &Limits::default()).unwrap();
    let hop = ticket.hops[0];
    let expect = Expect::Fingerprint(hop.fingerprint);
    let session = endpoint.connect(hop.addr, hop.transport_key, expect).await.unwrap();
    let stream = stream_id(ticket.stream, &SubStreamPath::new(&[0]).unwrap());
    let wish = Message::Subscribe { stream, subscription: 1, policy: Policy::UNCAPPED, role: Role::Leaf };
    session.send_control(&wish.to_bytes()).await.unwrap();
    loop {
        match Message::parse(&session.recv_control().await.ok()?).unwrap() {
            Message::Refused { reason, .. } => return Some(reason),
            Message::Subscribed { .. } => return None,
            _ => {}
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_made_up_description_is_refused_by_a_relay_that_heard_the_publisher() {
    let mut publisher = publish_with(bundle("publisher"), 60, 0, |_| {});
    let (_, relay_ticket) = tickets(&mut publisher).await;
    let mut relay = carry_with("relay", &relay_ticket, |_| {});
    let (_, via) = tickets(&mut relay).await;
    relay.wait(|event| matches!(event, Event::Connected { .. }).then_some(())).await;
    assert_eq!(refused(&via).await, Some(Refusal::UnknownStream));
    publisher.stop.send_replace(true);
    relay.finish().await;
    publisher.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn four_descriptions_come_straight_from_the_publisher() {
    let mut publisher = publish(4, Descriptions::Four);
    let (ticket, relay_ticket) = tickets(&mut publisher).await;
    let mut viewer = view("viewer", &ticket, &relay_ticket);
    until(&mut viewer, |stats| stats.descriptions == 4).await;
    let stats = watched(viewer).await;
    assert!(stats.frames_decoded > 60, "{stats:?}");
    assert_eq!(stats.lanes.iter().filter(|lane| lane.parent.is_some()).count(), 4);
    publisher.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_that_is_not_cut_has_no_lanes() {
    let mut publisher = publish(2, Descriptions::One);
    let (ticket, relay_ticket) = tickets(&mut publisher).await;
    let viewer = view("viewer", &ticket, &relay_ticket);
    let stats = watched(viewer).await;
    assert_eq!((stats.descriptions, stats.lanes.len(), stats.base_frames_lost), (1, 0, 0), "{stats:?}");
    publisher.finish().await;
}

/// A peer that carries only what it is told to: what a relay that leaves does to one description.
struct Porter {
    endpoint: Arc<Endpoint>,
    own: Fingerprint,
    hops: Vec<Hop>,
    ticket: Ticket,
    board: Board,
    /// Kept, so that newcomers wait for what is not carried yet.
    _asked: mpsc::Receiver<StreamId>,
    neighbours: Neighbours,
    reporter: Reporter,
}

/// One stream that a porter carries.
struct Carried {
    hub: Hub,
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl Porter {
    fn start(ticket: &str) -> (Self, Carried) {
        let bundle = bundle("porter");
        let ticket: Ticket = ticket.parse().unwrap();
        let endpoint = Arc::new(Endpoint::bind(bundle.clone(), loopback(), &Limits::default()).unwrap());
        let neighbours = Neighbours::new(ticket.stream, bundle.fingerprint());
        let (reporter, _) = Reporter::channel();
        let (hub, wishes) = hub(ticket.stream, &neighbours, &reporter);
        let (board, asked) = Board::new(hub.clone());
        tokio::spawn(board.clone().accept(endpoint.clone()));
        let own = bundle.fingerprint();
        let hops = own_hops(&bundle, endpoint.local_addr().unwrap(), &[]);
        let this = Self { endpoint, own, hops, ticket, board, _asked: asked, neighbours, reporter };
        let main = this.fetch(hub, wishes);
        (this, main)
    }

    fn ticket(&self) -> String {
        let ticket = Ticket {
            stream: self.ticket.stream,
            publisher: self.ticket.publisher,
            hops: self.hops.clone(),
            secret: None,
        };
        ticket.to_text().to_string()
    }

    fn carry(&self, path: &[u8]) -> Carried {
        let stream = stream_id(self.ticket.stream, &SubStreamPath::new(path).unwrap());
        let (hub, wishes) = hub(stream, &self.neighbours, &self.reporter);
        self.board.add(hub.clone());
        self.fetch(hub, wishes)
    }

    fn fetch(&self, hub: Hub, mut wishes: mpsc::Receiver<Upward>) -> Carried {
        let (up, mut outgoing) = mpsc::channel(64);
        let (stop, shutdown) = watch::channel(false);
        let stream = hub.stream();
        tokio::spawn(async move {
            while let Some(wish) = wishes.recv().await {
                let _ = up.send(wish.into_message(stream)).await;
            }
        });
        let uplink = Uplink {
            endpoint: self.endpoint.clone(),
            own: self.own,
            stream,
            publisher: self.ticket.publisher,
            hops: self.ticket.hops.clone(),
            layers: Layers::UpTo(Policy::UNCAPPED),
            opens: Opens::OuterOnly,
            role: Role::Carrier,
            mesh: None,
            gauge: Gauge::default(),
        };
        let mut down = Down { hub: hub.clone(), own: self.own };
        let task = tokio::spawn(async move { drop(uplink.run(&mut down, &mut outgoing, shutdown).await) });
        Carried { hub, stop, task }
    }

    async fn give_up(&self, carried: Carried) {
        self.board.remove(&carried.hub);
        carried.stop.send_replace(true);
        carried.task.await.unwrap();
        carried.hub.finish(Ending::Leaving, Duration::from_secs(1)).await;
    }
}

fn hub(stream: StreamId, neighbours: &Neighbours, reporter: &Reporter) -> (Hub, mpsc::Receiver<Upward>) {
    Hub::new(hub::Settings {
        stream,
        limits: edge_relay::Limits::default(),
        room: Room::default(),
        neighbours: Some(neighbours.clone()),
        reporter: reporter.clone(),
    })
    .unwrap()
}

struct Down {
    hub: Hub,
    own: Fingerprint,
}

impl Handler for Down {
    fn connected(&mut self, _session: &Session, chain: &[Fingerprint], _why: &str) {
        self.hub.set_chain([chain, &[self.own]].concat());
    }

    fn media(&mut self, chunk: InnerSealed, hint: Hint) -> Taken {
        self.hub.forward(chunk, hint);
        Taken::Good { age_ms: None }
    }

    fn refused(&mut self) {}

    fn control(&mut self, message: Message) {
        self.hub.carry(&message);
    }

    fn disconnected(&mut self, _reason: &Error) {
        self.hub.set_chain(Vec::new());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_one_description_the_pictures_go_on_at_half_rate_until_it_returns() {
    let mut publisher = publish(60, Descriptions::Two);
    let (ticket, relay_ticket) = tickets(&mut publisher).await;
    let (porter, _main) = Porter::start(&relay_ticket);
    let first = porter.carry(&[0]);
    let second = porter.carry(&[1]);
    let mut viewer = view("viewer", &ticket, &porter.ticket());
    until(&mut viewer, |stats| stats.descriptions == 2).await;
    porter.give_up(second).await;
    let alone = until(&mut viewer, |stats| stats.descriptions == 1).await;
    let later = until(&mut viewer, |stats| stats.frames_decoded >= alone.frames_decoded + 12).await;
    let (shown, passed) =
        (later.frames_decoded - alone.frames_decoded, later.last_frame.unwrap() - alone.last_frame.unwrap());
    assert_eq!(later.descriptions, 1);
    assert!((shown * 2).abs_diff(passed) <= 4, "{shown} of {passed} pictures");
    let _second = porter.carry(&[1]);
    let back = until(&mut viewer, |stats| stats.descriptions == 2).await;
    assert!(back.frames_decoded > later.frames_decoded);
    assert!(first.hub.children() == 1 && back.uplink.forgeries == 0, "{back:?}");
    viewer.stop.send_replace(true);
    viewer.finish().await;
    publisher.stop.send_replace(true);
    publisher.finish().await;
}
