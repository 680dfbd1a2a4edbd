//! A relay whose parent forges chunks: nothing forged is seen, the relay finds out, and nobody bans who was misled.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, dead_code, unreachable_pub)]

mod common;

use std::sync::Arc;

use bytes::Bytes;
use common::{Node, bundle, carry_with, loopback, publish, tickets, view_with};
use edge_alm::mesh::Opens;
use edge_identity::KeyBundle;
use edge_net::{Endpoint, Limits, Session};
use edge_node::Error;
use edge_node::event::{Event, Reporter, Stats, WatchStats};
use edge_node::hub::{self, Board, Hub, Room};
use edge_node::ticket::{Hop, Ticket, own_hops};
use edge_node::uplink::{Gauge, Handler, Layers, Parents, Taken, Uplink};
use edge_wire::chunk::InnerSealed;
use edge_wire::control::{Message, Role};
use edge_wire::id::Fingerprint;
use edge_wire::layer::Policy;
use edge_wire::link::Hint;
use tokio::sync::{mpsc, watch};

/// What a liar sends in place of a chunk.
#[derive(Clone, Copy)]
enum Lie {
    /// A forged one and the true one.
    Both,
    /// A forged one only.
    Forged,
}

struct Liar {
    hub: Hub,
    own: Fingerprint,
    lie: Lie,
}

impl Handler for Liar {
    fn connected(&mut self, _session: &Session, chain: &[Fingerprint], _why: &str) {
        self.hub.set_chain([chain, &[self.own]].concat());
    }

    fn media(&mut self, chunk: InnerSealed, hint: Hint) -> Taken {
        let mut bytes = chunk.ciphertext.to_vec();
        bytes.iter_mut().take(1).for_each(|byte| *byte ^= 1);
        self.hub.forward(InnerSealed { ciphertext: Bytes::from(bytes), ..chunk.clone() }, hint);
        if matches!(self.lie, Lie::Both) {
            self.hub.forward(chunk, hint);
        }
        Taken::Good { age_ms: None }
    }

    fn refused(&mut self) {}

    fn control(&mut self, message: Message) {
        self.hub.carry(&message);
    }

    fn disconnected(&mut self, _reason: &Error) {}
}

/// A relay right below the publisher that lies; whom to dial for it.
fn lie(ticket: &Ticket, lie: Lie) -> (Arc<KeyBundle>, Hop) {
    let keys = bundle("liar");
    let endpoint = Arc::new(Endpoint::bind(keys.clone(), loopback(), &Limits::default()).unwrap());
    let hop = own_hops(&keys, endpoint.local_addr().unwrap(), &[])[0];
    let settings = hub::Settings {
        stream: ticket.stream,
        limits: edge_relay::Limits::default(),
        room: Room::default(),
        neighbours: None,
        reporter: Reporter::channel().0,
    };
    let (hub, mut wishes) = Hub::new(settings).unwrap();
    let (board, _asked) = Board::new(hub.clone());
    tokio::spawn(board.accept(endpoint.clone()));
    let uplink = Uplink {
        endpoint,
        own: keys.fingerprint(),
        stream: ticket.stream,
        publisher: ticket.publisher,
        hops: ticket.hops.clone(),
        layers: Layers::UpTo(Policy::UNCAPPED),
        opens: Opens::OuterOnly,
        role: Role::Carrier,
        mesh: None,
        gauge: Gauge::default(),
    };
    let (up, mut outgoing) = mpsc::channel(64);
    let stream = ticket.stream;
    tokio::spawn(async move {
        while let Some(wish) = wishes.recv().await {
            let _ = up.send(wish.into_message(stream)).await;
        }
    });
    let own = keys.fingerprint();
    tokio::spawn(async move {
        let (_stop, stopped) = watch::channel(false);
        let _ = uplink.run(&mut Liar { hub, own, lie }, &mut outgoing, stopped).await;
    });
    (keys, hop)
}

/// A relay that has exactly these parents.
async fn relay_below(name: &str, ticket: &str, hops: Vec<Hop>) -> (Node, Hop) {
    let mut relay = carry_with(name, ticket, |options| {
        options.parents = Parents::Fixed;
        options.ticket.hops = hops;
    });
    let (_, ticket) = tickets(&mut relay).await;
    relay.wait(|event| matches!(event, Event::Connected { .. }).then_some(())).await;
    let hop = ticket.parse::<Ticket>().unwrap().hops[0];
    (relay, hop)
}

async fn watched(viewer: Node) -> (WatchStats, Vec<Event>) {
    match viewer.finish().await {
        (Stats::Watch(stats), events) => (stats, events),
        (other, _) => panic!("not a viewer's: {other:?}"),
    }
}

fn accused(events: &[Event]) -> Vec<(String, String)> {
    let accused = |event: &Event| match event {
        Event::Accused { parent, misdeed } => Some((parent.clone(), misdeed.clone())),
        _ => None,
    };
    events.iter().filter_map(accused).collect()
}

const MIXED: &str = "it sent different chunks as the same one";

#[tokio::test(flavor = "multi_thread")]
async fn a_relay_whose_only_parent_sends_two_of_each_chunk_is_left_and_not_banned() {
    let mut publisher = publish(6, 1);
    let (ticket, relay_ticket) = tickets(&mut publisher).await;
    let parsed: Ticket = ticket.parse().unwrap();
    let (_liar, below) = lie(&parsed, Lie::Both);
    let (misled, misled_hop) = relay_below("misled", &relay_ticket, vec![below]).await;
    let (sound, sound_hop) = relay_below("sound", &relay_ticket, parsed.hops).await;
    let viewer = view_with("viewer", &ticket, &ticket, |options| options.via = vec![misled_hop, sound_hop]);
    let (seen, events) = watched(viewer).await;
    assert!(seen.frames_decoded >= 170 && seen.base_frames_lost == 0, "{seen:?}");
    for accusation in accused(&events) {
        assert_eq!(accusation, (misled_hop.fingerprint.to_string(), MIXED.to_owned()));
    }
    assert!(!accused(&events).is_empty(), "it goes on for six seconds");
    // The liar tells nobody of the end.
    misled.stop.send_replace(true);
    for node in [misled, sound, publisher] {
        node.finish().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_relay_that_is_told_of_forged_chunks_leaves_who_sent_them() {
    let mut publisher = publish(6, 1);
    let (ticket, relay_ticket) = tickets(&mut publisher).await;
    let parsed: Ticket = ticket.parse().unwrap();
    let (liar, below) = lie(&parsed, Lie::Forged);
    let hops = vec![below, parsed.hops[0]];
    let (misled, misled_hop) = relay_below("misled", &relay_ticket, hops).await;
    let viewer = view_with("viewer", &ticket, &ticket, |options| options.via = vec![misled_hop, parsed.hops[0]]);
    let (seen, _) = watched(viewer).await;
    assert!(seen.frames_decoded >= 170 && seen.base_frames_lost == 0, "{seen:?}");
    let (_, events) = misled.finish().await;
    assert_eq!(accused(&events), [(liar.fingerprint().to_string(), MIXED.to_owned())]);
    publisher.finish().await;
}
