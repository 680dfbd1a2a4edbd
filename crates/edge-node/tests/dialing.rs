//! Dead addresses cost little time, and who waits no longer leaves nothing behind at a parent.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, dead_code, unreachable_pub)]

mod common;

use std::net::UdpSocket;
use std::sync::Arc;

use common::{Nobody, PATIENCE, bundle, loopback};
use edge_alm::mesh::Opens;
use edge_identity::KeyBundle;
use edge_net::{Endpoint, Limits, Session};
use edge_node::Error;
use edge_node::ticket::{Hop, MAX_HOPS, own_hops};
use edge_node::uplink::{Gauge, Layers, Uplink};
use edge_wire::control::{Message, Role};
use edge_wire::id::StreamId;
use edge_wire::layer::Policy;
use tokio::sync::{mpsc, watch};
use tokio::time::timeout;

const STREAM: StreamId = StreamId([9; 32]);

/// A publisher that only listens.
struct Parent {
    keys: Arc<KeyBundle>,
    endpoint: Endpoint,
}

impl Parent {
    fn new() -> Self {
        let keys = bundle("parent");
        let endpoint = Endpoint::bind(keys.clone(), loopback(), &Limits::default()).unwrap();
        Self { keys, endpoint }
    }

    fn hop(&self) -> Hop {
        own_hops(&self.keys, self.endpoint.local_addr().unwrap(), &[])[0]
    }

    /// The next newcomer, once it has asked for the stream.
    async fn asked(&self) -> Session {
        let session = timeout(PATIENCE, self.endpoint.accept()).await.expect("in time").unwrap().unwrap();
        let first = Message::parse(&session.recv_control().await.unwrap()).unwrap();
        assert!(matches!(first, Message::Subscribe { .. }), "{first:?}");
        session
    }

    /// Runs an uplink below it until `true` is sent.
    fn uplink(&self, hops: Vec<Hop>) -> (watch::Sender<bool>, tokio::task::JoinHandle<Result<(), Error>>) {
        let (own, publisher) = (bundle("own"), self.keys.fingerprint());
        let uplink = Uplink {
            endpoint: Arc::new(Endpoint::bind(own.clone(), loopback(), &Limits::default()).unwrap()),
            own: own.fingerprint(),
            stream: STREAM,
            publisher,
            hops,
            layers: Layers::UpTo(Policy::UNCAPPED),
            opens: Opens::Inner,
            role: Role::Leaf,
            mesh: None,
            gauge: Gauge::default(),
        };
        let (stop, stopped) = watch::channel(false);
        let task = tokio::spawn(async move {
            let (_up, mut outgoing) = mpsc::channel(1);
            uplink.run(&mut Nobody, &mut outgoing, stopped).await
        });
        (stop, task)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_last_of_many_addresses_is_tried_before_anybody_gives_up() {
    let parent = Parent::new();
    let silent: Vec<UdpSocket> = (1..MAX_HOPS).map(|_| UdpSocket::bind(loopback()).unwrap()).collect();
    let dead = silent.iter().map(|socket| Hop { addr: socket.local_addr().unwrap(), ..parent.hop() });
    let (stop, task) = parent.uplink(dead.chain([parent.hop()]).collect());
    // One address after the other, each for three seconds, the uplink would have ended long before.
    parent.asked().await;
    stop.send_replace(true);
    task.await.unwrap().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_grant_that_nobody_waits_for_any_more_leaves_no_child_behind() {
    let parent = Parent::new();
    let (stop, task) = parent.uplink(vec![parent.hop()]);
    let session = parent.asked().await;
    stop.send_replace(true);
    task.await.unwrap().unwrap();
    // Without an answer, and although the peer's endpoint lives on in its own task.
    let ending = timeout(PATIENCE, session.closed()).await.expect("the link ends");
    assert!(format!("{ending:?}").contains("the peer waits no longer"), "{ending:?}");
    let late = Message::Subscribed { stream: STREAM, subscription: 1, chain: vec![parent.keys.fingerprint()] };
    assert!(session.send_control(&late.to_bytes()).await.is_err());
}
