//! A stream is over when its publisher has signed that, whatever a parent says.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, dead_code, unreachable_pub)]

mod common;

use std::sync::Arc;

use bytes::Bytes;
use common::{Node, PATIENCE, bundle, loopback, publish, publish_as, tickets, view_with};
use edge_alm::ending::Ending;
use edge_identity::KeyBundle;
use edge_net::{CloseCode, Endpoint, Expect, Limits, Session};
use edge_node::event::{Event, Reporter, Stats, WatchStats};
use edge_node::hub::{self, Board, Hub, Room};
use edge_node::ticket::{Hop, Ticket};
use edge_wire::control::{Message, Role};
use edge_wire::id::{Epoch, StreamId};
use edge_wire::layer::Policy;

/// A raw peer that says what it likes.
struct Host {
    keys: Arc<KeyBundle>,
    endpoint: Arc<Endpoint>,
}

impl Host {
    fn new(name: &str) -> Self {
        let keys = bundle(name);
        let endpoint = Arc::new(Endpoint::bind(keys.clone(), loopback(), &Limits::default()).unwrap());
        Self { keys, endpoint }
    }

    fn hop(&self) -> Hop {
        Hop {
            addr: self.endpoint.local_addr().unwrap(),
            transport_key: *self.keys.public().transport(),
            fingerprint: self.keys.fingerprint(),
        }
    }

    async fn subscribe(&self, hop: &Hop, stream: StreamId) -> Session {
        let expect = Expect::Fingerprint(hop.fingerprint);
        let session = self.endpoint.connect(hop.addr, hop.transport_key, expect).await.unwrap();
        let (policy, role) = (Policy::BLINKING_DOT, Role::Leaf);
        session.send_control(&Message::Subscribe { stream, subscription: 1, policy, role }.to_bytes()).await.unwrap();
        session
    }

    /// Grants every subscription, and says at once that the stream is over.
    fn end_for_all(&self, ticket: &Ticket, notice: Vec<u8>) {
        let (stream, notice, endpoint) = (ticket.stream, Bytes::from(notice), self.endpoint.clone());
        let chain = vec![ticket.publisher, self.keys.fingerprint()];
        tokio::spawn(async move {
            while let Some(Ok(session)) = endpoint.accept().await {
                let (chain, notice) = (chain.clone(), notice.clone());
                tokio::spawn(async move {
                    while let Ok(bytes) = session.recv_control().await {
                        if let Ok(Message::Subscribe { subscription, .. }) = Message::parse(&bytes) {
                            let chain = chain.clone();
                            for message in [
                                Message::Subscribed { stream, subscription, chain },
                                Message::Ended { stream, notice: notice.clone() },
                            ] {
                                session.send_control(&message.to_bytes()).await.unwrap();
                            }
                        }
                    }
                });
            }
        });
    }
}

async fn notice(session: &Session) -> Bytes {
    loop {
        let bytes = tokio::time::timeout(PATIENCE, session.recv_control()).await.expect("in time").expect("a message");
        if let Ok(Message::Ended { notice, .. }) = Message::parse(&bytes) {
            return notice;
        }
    }
}

/// A viewer that has `host` and the publisher as its parents.
fn view_beside(host: &Host, ticket: &str) -> Node {
    let parsed: Ticket = ticket.parse().unwrap();
    view_with("viewer", ticket, ticket, |options| {
        options.via = [host.hop()].into_iter().chain(parsed.hops).collect();
    })
}

async fn watched(viewer: Node) -> (WatchStats, Vec<Event>) {
    match viewer.finish().await {
        (Stats::Watch(stats), events) => (stats, events),
        (other, _) => panic!("not a viewer's: {other:?}"),
    }
}

fn accused(events: &[Event]) -> Vec<String> {
    let accused = |event: &Event| match event {
        Event::Accused { parent, .. } => Some(parent.clone()),
        _ => None,
    };
    events.iter().filter_map(accused).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_parent_that_ends_the_stream_by_itself_is_found_out_and_the_picture_goes_on() {
    let mut publisher = publish(3, 1);
    let (ticket, _) = tickets(&mut publisher).await;
    let parsed: Ticket = ticket.parse().unwrap();
    let liar = Host::new("liar");
    let ending = Ending { stream: parsed.stream, epoch: Epoch(u64::MAX), at_unix_ms: 1 };
    liar.end_for_all(&parsed, ending.sign(&liar.keys).unwrap());
    let (seen, events) = watched(view_beside(&liar, &ticket)).await;
    assert!(seen.frames_decoded >= 85 && seen.base_frames_lost == 0, "{seen:?}");
    assert_eq!(accused(&events), [liar.keys.fingerprint().to_string()]);
    publisher.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_parent_that_ends_the_stream_without_any_signature_is_found_out_too() {
    let mut publisher = publish(2, 1);
    let (ticket, _) = tickets(&mut publisher).await;
    let liar = Host::new("liar");
    liar.end_for_all(&ticket.parse().unwrap(), Vec::new());
    let (seen, events) = watched(view_beside(&liar, &ticket)).await;
    assert!(seen.frames_decoded >= 55 && seen.base_frames_lost == 0, "{seen:?}");
    assert_eq!(accused(&events), [liar.keys.fingerprint().to_string()]);
    publisher.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_end_of_before_a_restart_does_not_end_what_came_after_it() {
    let folder = tempfile::tempdir().unwrap();
    let own = bundle("publisher");
    let mut first = publish_as(own.clone(), 1, 0, Some(folder.path().to_owned()));
    let (ticket, _) = tickets(&mut first).await;
    let replayer = Host::new("replayer");
    let parsed: Ticket = ticket.parse().unwrap();
    let session = replayer.subscribe(&parsed.hops[0], parsed.stream).await;
    let old = notice(&session).await;
    session.close(CloseCode::DONE, "heard");
    assert!(Ending::verify(parsed.stream, parsed.publisher, &old).is_ok());
    first.finish().await;

    let mut second = publish_as(own, 4, 1, Some(folder.path().to_owned()));
    let (again, _) = tickets(&mut second).await;
    replayer.end_for_all(&again.parse().unwrap(), old.to_vec());
    let (seen, events) = watched(view_beside(&replayer, &again)).await;
    assert!(seen.frames_decoded >= 110 && seen.base_frames_lost == 0, "{seen:?}");
    assert!(accused(&events).is_empty(), "it may not have heard of the restart");
    second.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_subscribes_after_the_end_is_told_in_the_publishers_words() {
    let stream = StreamId([7; 32]);
    let (publisher, relay, late) = (bundle("publisher"), Host::new("relay"), Host::new("late"));
    let settings = hub::Settings {
        stream,
        limits: edge_relay::Limits::default(),
        room: Room::default(),
        neighbours: None,
        reporter: Reporter::channel().0,
    };
    let (hub, _wishes) = Hub::new(settings).unwrap();
    hub.set_chain(vec![publisher.fingerprint(), relay.keys.fingerprint()]);
    let ending = Ending { stream, epoch: Epoch(3), at_unix_ms: 1_760_000_000_000 };
    hub.carry(&Message::Ended { stream, notice: ending.sign(&publisher).unwrap().into() });
    let (board, _asked) = Board::new(hub);
    let serving = tokio::spawn(board.accept(relay.endpoint.clone()));
    let session = late.subscribe(&relay.hop(), stream).await;
    let told = notice(&session).await;
    assert_eq!(Ending::verify(stream, publisher.fingerprint(), &told).unwrap(), ending);
    serving.abort();
}
