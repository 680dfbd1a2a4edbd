//! A mesh that nobody lays out: every peer gets the publisher's ticket only, relays leave, the picture goes on.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, dead_code, unreachable_pub)]

mod common;

use common::{Node, bundle, carry_with, publish_with, tickets, view_with};
use edge_node::event::{Event, Stats};
use edge_node::hub::Room;
use edge_node::uplink::Parents;
use edge_node::viewer::Serve;

fn room(children_max: u16) -> Room {
    Room { children_max, ..Room::default() }
}

/// Waits until `node` follows a parent at `depth`.
async fn settled(node: &mut Node, depth: usize) -> String {
    let at = |event: &Event| match event {
        Event::Connected { depth: seen, fingerprint, .. } if *seen == depth => Some(fingerprint.clone()),
        _ => None,
    };
    if let Some(parent) = node.seen.iter().rev().find_map(at) {
        return parent;
    }
    node.wait(at).await
}

async fn ready(node: &mut Node) -> String {
    node.wait(|event| match event {
        Event::Ready { fingerprint, .. } => Some(fingerprint.clone()),
        _ => None,
    })
    .await
}

fn any(name: &str, ticket: &str) -> Node {
    view_with(name, ticket, ticket, |options| options.parents = Parents::Any)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn newcomers_who_find_the_publisher_full_go_to_a_relay_that_offers_room() {
    let mut publisher = publish_with(bundle("publisher"), 6, 2, |options| options.room = room(1));
    let (ticket, relay_ticket) = tickets(&mut publisher).await;
    let mut relay = carry_with("relay", &relay_ticket, |_| {});
    settled(&mut relay, 1).await;
    let mut viewers = [any("v1", &ticket), any("v2", &ticket)];
    for viewer in &mut viewers {
        settled(viewer, 2).await;
    }
    for viewer in viewers {
        let (Stats::Watch(stats), _) = viewer.finish().await else { panic!("a viewer's counters") };
        assert!(stats.frames_decoded > 100, "{stats:?}");
        assert_eq!((stats.base_frames_lost, stats.uplink.forgeries), (0, 0));
        assert_eq!(stats.uplink.depth, 2);
    }
    let (Stats::Relay(stats), _) = relay.finish().await else { panic!("a relay's counters") };
    assert!(stats.chunks_forwarded > 0);
    publisher.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_viewer_whose_relay_leaves_goes_on_with_its_standby() {
    let mut publisher = publish_with(bundle("publisher"), 10, 1, |options| options.room = room(2));
    let (ticket, relay_ticket) = tickets(&mut publisher).await;
    let mut relays = [carry_with("relay-1", &relay_ticket, |_| {}), carry_with("relay-2", &relay_ticket, |_| {})];
    let mut names = Vec::new();
    for relay in &mut relays {
        names.push(ready(relay).await);
        settled(relay, 1).await;
    }
    let mut viewer = any("viewer", &ticket);
    let first = settled(&mut viewer, 2).await;
    // A standby must be there before the parting means anything.
    viewer
        .wait(|event| match event {
            Event::Stats(Stats::Watch(stats)) if stats.uplink.standby.is_some() && stats.frames_decoded > 30 => {
                Some(())
            }
            _ => None,
        })
        .await;
    let (gone, alive) = if names[0] == first { (0, 1) } else { (1, 0) };
    relays[gone].stop.send(true).unwrap();
    let next = viewer
        .wait(|event| match event {
            Event::Connected { fingerprint, .. } if *fingerprint != first => Some(fingerprint.clone()),
            _ => None,
        })
        .await;
    assert_eq!(next, names[alive]);
    let (Stats::Watch(stats), _) = viewer.finish().await else { panic!("a viewer's counters") };
    assert_eq!(stats.uplink.heals, 1);
    assert!(stats.last_frame.unwrap() > 270, "{stats:?}");
    publisher.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_viewer_that_carries_for_others_is_a_parent_like_any_other() {
    let mut publisher = publish_with(bundle("publisher"), 6, 2, |options| options.room = room(1));
    let (ticket, _) = tickets(&mut publisher).await;
    let mut near = view_with("near", &ticket, &ticket, |options| {
        options.parents = Parents::Any;
        options.serve = Some(Serve { listen: common::loopback(), advertise: Vec::new(), room: room(4) });
    });
    settled(&mut near, 1).await;
    let mut far = any("far", &ticket);
    settled(&mut far, 2).await;
    let (Stats::Watch(stats), _) = far.finish().await else { panic!("a viewer's counters") };
    assert!(stats.frames_decoded > 100, "{stats:?}");
    assert_eq!((stats.base_frames_lost, stats.uplink.forgeries), (0, 0));
    near.finish().await;
    publisher.finish().await;
}
