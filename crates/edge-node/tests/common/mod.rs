//! Roles on real sockets in one process, and what they report.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use edge_alm::path::Descriptions;
use edge_codec::video::Mode;
use edge_crypto::random::System;
use edge_identity::bundle::KeyBundle;
use edge_net::Session;
use edge_node::event::{Event, Reporter, Stats};
use edge_node::hub::Room;
use edge_node::publisher::{Command, Repeat, Source};
use edge_node::ticket::Ticket;
use edge_node::uplink::{Handler, Layers, Parents, Taken};
use edge_node::{Error, publisher, relay, viewer};
use edge_wire::chunk::InnerSealed;
use edge_wire::control::Message;
use edge_wire::id::{Fingerprint, KeyId};
use edge_wire::layer::Policy;
use edge_wire::link::Hint;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;

/// Longest time any step may take; far above what it needs.
pub const PATIENCE: Duration = Duration::from_secs(60);

pub fn bundle(name: &str) -> Arc<KeyBundle> {
    Arc::new(KeyBundle::generate(Some(KeyId::new(name).unwrap()), &mut System).unwrap())
}

pub fn loopback() -> SocketAddr {
    "127.0.0.1:0".parse().unwrap()
}

/// One running role and what it reports.
pub struct Node {
    pub events: mpsc::Receiver<Event>,
    pub seen: VecDeque<Event>,
    pub task: JoinHandle<Result<(), Error>>,
    pub commands: Option<mpsc::Sender<Command>>,
    pub stop: watch::Sender<bool>,
}

impl Node {
    pub fn start<F>(role: impl FnOnce(Reporter, watch::Receiver<bool>) -> F) -> Self
    where
        F: Future<Output = Result<(), Error>> + Send + 'static,
    {
        let (reporter, events) = Reporter::channel();
        let (stop, shutdown) = watch::channel(false);
        let task = tokio::spawn(role(reporter, shutdown));
        Self { events, seen: VecDeque::new(), task, commands: None, stop }
    }

    /// Waits for the event that `pick` wants; the others are kept.
    pub async fn wait<T>(&mut self, mut pick: impl FnMut(&Event) -> Option<T>) -> T {
        loop {
            let event = tokio::time::timeout(PATIENCE, self.events.recv()).await.expect("in time").expect("an event");
            let picked = pick(&event);
            self.seen.push_back(event);
            if let Some(picked) = picked {
                return picked;
            }
        }
    }

    /// Waits for the end; the last counters and every event.
    pub async fn finish(mut self) -> (Stats, Vec<Event>) {
        self.wait(|event| matches!(event, Event::Done { .. }).then_some(())).await;
        tokio::time::timeout(PATIENCE, self.task).await.expect("in time").expect("no panic").expect("no error");
        let last = self.seen.iter().rev().find_map(|event| match event {
            Event::Stats(stats) => Some(stats.clone()),
            _ => None,
        });
        (last.expect("counters"), self.seen.into())
    }
}

pub fn publish(seconds: u64, wait_for: usize) -> Node {
    publish_as(bundle("publisher"), seconds, wait_for, None)
}

pub fn publish_as(bundle: Arc<KeyBundle>, seconds: u64, wait_for: usize, state: Option<PathBuf>) -> Node {
    publish_with(bundle, seconds, wait_for, |options| options.state = state)
}

pub fn publish_with(
    bundle: Arc<KeyBundle>,
    seconds: u64,
    wait_for: usize,
    change: impl FnOnce(&mut publisher::Options),
) -> Node {
    let mut options = publisher::Options {
        bundle,
        listen: loopback(),
        advertise: Vec::new(),
        source: Source::Pattern { width: 320, height: 180, rate: (30, 1) },
        audio: None,
        mode: Some(Mode::L3T3),
        bitrate_kbps: Some(400),
        descriptions: Descriptions::One,
        duration: Some(Duration::from_secs(seconds)),
        repeat: Repeat::Once,
        wait_for,
        room: Room::default(),
        state: None,
    };
    change(&mut options);
    let (commands, orders) = mpsc::channel(8);
    let mut node = Node::start(|reporter, shutdown| publisher::run(options, orders, reporter, shutdown));
    node.commands = Some(commands);
    node
}

pub fn carry(name: &str, ticket: &str) -> Node {
    carry_with(name, ticket, |options| options.parents = Parents::Fixed)
}

pub fn carry_with(name: &str, ticket: &str, change: impl FnOnce(&mut relay::Options)) -> Node {
    let mut options = relay::Options {
        bundle: bundle(name),
        listen: loopback(),
        advertise: Vec::new(),
        ticket: ticket.parse().unwrap(),
        parents: Parents::Any,
        room: Room::default(),
    };
    change(&mut options);
    Node::start(|reporter, shutdown| relay::run(options, reporter, shutdown))
}

pub fn view(name: &str, ticket: &str, via: &str) -> Node {
    view_with(name, ticket, via, |_| {})
}

pub fn view_with(name: &str, ticket: &str, via: &str, change: impl FnOnce(&mut viewer::Options)) -> Node {
    let via: Ticket = via.parse().unwrap();
    let mut options = viewer::Options {
        bundle: bundle(name),
        ticket: ticket.parse().unwrap(),
        via: via.hops,
        parents: Parents::Fixed,
        serve: None,
        layers: Layers::UpTo(Policy::UNCAPPED),
        out: None,
        picture: None,
        trace: None,
        after_removal: viewer::AfterRemoval::End,
    };
    change(&mut options);
    Node::start(|reporter, shutdown| viewer::run(options, reporter, shutdown))
}

pub async fn tickets(node: &mut Node) -> (String, String) {
    node.wait(|event| match event {
        Event::Ready { ticket, relay_ticket, .. } => {
            Some((ticket.clone().unwrap_or_default(), relay_ticket.clone().unwrap_or_default()))
        }
        _ => None,
    })
    .await
}

/// Takes whatever an uplink brings, and does nothing with it.
pub struct Nobody;

impl Handler for Nobody {
    fn connected(&mut self, _session: &Session, _chain: &[Fingerprint], _why: &str) {}
    fn media(&mut self, _chunk: InnerSealed, _hint: Hint) -> Taken {
        Taken::Useless
    }
    fn refused(&mut self) {}
    fn control(&mut self, _message: Message) {}
    fn disconnected(&mut self, _reason: &Error) {}
}
