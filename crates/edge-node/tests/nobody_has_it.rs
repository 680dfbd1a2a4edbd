//! A way up to a stream that no parent knows ends, and can be begun anew.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, dead_code, unreachable_pub)]

mod common;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use common::{Nobody, PATIENCE, bundle, loopback};
use edge_alm::mesh::Opens;
use edge_net::{Endpoint, Limits};
use edge_node::Error;
use edge_node::ticket::own_hops;
use edge_node::uplink::{Gauge, Layers, Uplink};
use edge_wire::control::{Message, Refusal, Role};
use edge_wire::id::StreamId;
use edge_wire::layer::Policy;
use tokio::sync::{mpsc, watch};

const LANE: StreamId = StreamId([9; 32]);

/// A peer that refuses everything with `reason`, and counts how often.
fn refuse(endpoint: Arc<Endpoint>, asked: Arc<AtomicUsize>) {
    tokio::spawn(async move {
        while let Some(Ok(session)) = endpoint.accept().await {
            let asked = asked.clone();
            tokio::spawn(async move {
                while let Ok(bytes) = session.recv_control().await {
                    let stream = Message::parse(&bytes).unwrap().stream();
                    let refused =
                        Message::Refused { stream, reason: Refusal::UnknownStream, detail: "not here".into() };
                    asked.fetch_add(1, Ordering::Relaxed);
                    let _ = session.send_control(&refused.to_bytes()).await;
                }
            });
        }
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lane_that_every_parent_refuses_as_unknown_ends_and_asks_again_when_it_is_begun_anew() {
    let (own, publisher, relay) = (bundle("own"), bundle("publisher"), bundle("relay"));
    let asked = Arc::new(AtomicUsize::new(0));
    let mut hops = Vec::new();
    for parent in [&publisher, &relay] {
        let endpoint = Arc::new(Endpoint::bind(parent.clone(), loopback(), &Limits::default()).unwrap());
        hops.extend(own_hops(parent, endpoint.local_addr().unwrap(), &[]));
        refuse(endpoint, asked.clone());
    }
    let endpoint = Arc::new(Endpoint::bind(own.clone(), loopback(), &Limits::default()).unwrap());
    let (_stop, stopped) = watch::channel(false);
    let (_up, mut outgoing) = mpsc::channel(1);
    for round in 1..=2 {
        let uplink = Uplink {
            endpoint: endpoint.clone(),
            own: own.fingerprint(),
            stream: LANE,
            publisher: publisher.fingerprint(),
            hops: hops.clone(),
            layers: Layers::UpTo(Policy::UNCAPPED),
            opens: Opens::Inner,
            role: Role::Leaf,
            mesh: None,
            gauge: Gauge::default(),
        };
        let before = asked.load(Ordering::Relaxed);
        let ended = tokio::time::timeout(PATIENCE, uplink.run(&mut Nobody, &mut outgoing, stopped.clone())).await;
        let outcome = ended.expect("it does not wait for ever");
        assert!(matches!(outcome, Err(Error::ParentRefused { .. })), "{outcome:?} in round {round}");
        assert!(asked.load(Ordering::Relaxed) > before + 1, "both were asked");
    }
}
