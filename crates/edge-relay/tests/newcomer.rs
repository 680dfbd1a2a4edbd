//! A newcomer has a picture at once, from what the relay kept since the last key frame.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod common;

use common::scalable::{Kind, Publisher, Viewer};
use common::{STREAM, audio, drain, drained_seqs, wish};
use edge_relay::{Handle, Limits, Need, Relay, Start, Subscription};
use edge_wire::chunk::{Header, InnerSealed};
use edge_wire::id::Epoch;
use edge_wire::layer::Policy;

const SIZES: [usize; 3] = [100, 250, 650];

fn stage(limits: Limits) -> (Relay, Publisher) {
    let mut relay = Relay::new(limits);
    relay.pin(STREAM).unwrap();
    (relay, Publisher::new(3))
}

fn publish(relay: &mut Relay, publisher: &mut Publisher, kind: Kind, epoch: u64) {
    for (inner, hint) in publisher.next_frame(kind, SIZES) {
        let inner = InnerSealed { header: Header { epoch: Epoch(epoch), ..inner.header }, ..inner };
        relay.forward(STREAM, inner, hint, 1_000).unwrap();
    }
}

fn join(relay: &mut Relay, key: u8, start: Start, policy: Policy) -> Handle {
    relay.subscribe(Subscription { start, ..wish(&format!("viewer-{key}"), key, policy) }, 1_000).unwrap()
}

/// What the viewer was sent, as (frame, spatial); each piece checked against what came before.
fn take(relay: &mut Relay, publisher: &Publisher, viewer: &mut Viewer, handle: Handle) -> Vec<(u64, u8)> {
    drain(relay, handle, 1_000)
        .iter()
        .map(|sent| {
            let piece = publisher.piece_of(sent.header.seq.0);
            viewer.take(piece).unwrap();
            (piece.cell.frame, piece.cell.spatial)
        })
        .collect()
}

#[test]
fn it_starts_with_the_key_frame_and_has_the_newest_frame_whole() {
    for frames in 1..=14 {
        let (mut relay, mut publisher) = stage(Limits::default());
        publish(&mut relay, &mut publisher, Kind::Key, 1);
        publish(&mut relay, &mut publisher, Kind::Delta, 1);
        publish(&mut relay, &mut publisher, Kind::Key, 1);
        (1..frames).for_each(|_| publish(&mut relay, &mut publisher, Kind::Delta, 1));
        let (handle, mut viewer) = (join(&mut relay, 1, Start::Cached, Policy::UNCAPPED), Viewer::default());
        let sent = take(&mut relay, &publisher, &mut viewer, handle);
        assert_eq!(sent[0], (2, 0));
        assert!((0..3).all(|spatial| viewer.has(publisher.frames() - 1, spatial)), "{frames} frames");
        assert!(sent.len() <= 3 * (frames / 4 + 4), "groups that have ended are thinned: {} pieces", sent.len());

        (0..8).for_each(|_| publish(&mut relay, &mut publisher, Kind::Delta, 1));
        assert_eq!(take(&mut relay, &publisher, &mut viewer, handle).len(), 24, "and from there on it has everything");
    }
}

#[test]
fn the_cache_is_thinned_to_the_newcomers_policy() {
    let (mut relay, mut publisher) = stage(Limits::default());
    publish(&mut relay, &mut publisher, Kind::Key, 1);
    publish(&mut relay, &mut publisher, Kind::Delta, 1);
    let dot = join(&mut relay, 1, Start::Cached, Policy::BLINKING_DOT);
    assert_eq!(take(&mut relay, &publisher, &mut Viewer::default(), dot), [(0, 0)]);
}

#[test]
fn a_live_start_waits_for_the_next_key_frame() {
    let (mut relay, mut publisher) = stage(Limits::default());
    publish(&mut relay, &mut publisher, Kind::Key, 1);
    let (live, mut viewer) = (join(&mut relay, 1, Start::Live, Policy::UNCAPPED), Viewer::default());
    publish(&mut relay, &mut publisher, Kind::Delta, 1);
    assert!(take(&mut relay, &publisher, &mut viewer, live).is_empty());
    assert_eq!(relay.need(live, 1_000), Some(Need::Key));
    publish(&mut relay, &mut publisher, Kind::Key, 1);
    assert_eq!(take(&mut relay, &publisher, &mut viewer, live), [(2, 0), (2, 1), (2, 2)]);
}

#[test]
fn a_cache_without_room_keeps_the_base_and_then_nothing() {
    let mut limits = Limits::default();
    limits.cache.bytes_max = 2_500;
    let (mut relay, mut publisher) = stage(limits);
    publish(&mut relay, &mut publisher, Kind::Key, 1);
    (0..6).for_each(|_| publish(&mut relay, &mut publisher, Kind::Delta, 1));
    let (handle, mut viewer) = (join(&mut relay, 1, Start::Cached, Policy::UNCAPPED), Viewer::default());
    assert_eq!(take(&mut relay, &publisher, &mut viewer, handle), [(0, 0), (4, 0)]);
    (0..8).for_each(|_| publish(&mut relay, &mut publisher, Kind::Delta, 1));
    let sent = take(&mut relay, &publisher, &mut viewer, handle);
    assert_eq!(sent, [8, 9, 10, 11, 12, 13, 14].map(|frame| (frame, 0)), "the rest of the missed group is skipped");
    assert_eq!(relay.need(handle, 1_000), Some(Need::Switch { spatial: 1 }));

    (0..100).for_each(|_| publish(&mut relay, &mut publisher, Kind::Delta, 1));
    let late = join(&mut relay, 2, Start::Cached, Policy::UNCAPPED);
    assert!(drain(&mut relay, late, 1_000).is_empty());
    assert_eq!(relay.need(late, 1_000), Some(Need::Key));
}

#[test]
fn the_cache_never_spans_epochs() {
    let (mut relay, mut publisher) = stage(Limits::default());
    publish(&mut relay, &mut publisher, Kind::Key, 1);
    publish(&mut relay, &mut publisher, Kind::Delta, 2);
    let early = join(&mut relay, 1, Start::Cached, Policy::UNCAPPED);
    assert!(drain(&mut relay, early, 1_000).is_empty(), "a newcomer has no key for the epoch of that key frame");
    publish(&mut relay, &mut publisher, Kind::Key, 2);
    publish(&mut relay, &mut publisher, Kind::Delta, 1);
    let late = join(&mut relay, 2, Start::Cached, Policy::UNCAPPED);
    assert_eq!(take(&mut relay, &publisher, &mut Viewer::default(), late), [(2, 0), (2, 1), (2, 2)]);
}

#[test]
fn sound_goes_back_a_fifth_of_a_second() {
    let (mut relay, mut publisher) = stage(Limits::default());
    for at in 0..20u64 {
        let (inner, hint) = audio(100 + at);
        relay.forward(STREAM, inner, hint, 20 * at).unwrap();
    }
    publish(&mut relay, &mut publisher, Kind::Key, 1);
    let wish = Subscription { start: Start::Cached, ..wish("viewer", 1, Policy::UNCAPPED) };
    let handle = relay.subscribe(wish, 400).unwrap();
    assert_eq!(drained_seqs(&mut relay, handle, 400), (110..120).chain(0..3).collect::<Vec<_>>());
}

#[test]
fn the_cache_outlives_the_last_subscriber_only_when_pinned() {
    let (mut relay, mut publisher) = stage(Limits::default());
    publish(&mut relay, &mut publisher, Kind::Key, 1);
    join(&mut relay, 1, Start::Cached, Policy::UNCAPPED);
    relay.unsubscribe(STREAM, &common::name("viewer-1")).unwrap();
    let second = join(&mut relay, 2, Start::Cached, Policy::UNCAPPED);
    assert_eq!(drain(&mut relay, second, 1_000).len(), 3);
    relay.unpin(STREAM);
    relay.unsubscribe(STREAM, &common::name("viewer-2")).unwrap();
    let third = join(&mut relay, 3, Start::Cached, Policy::UNCAPPED);
    assert!(drain(&mut relay, third, 1_000).is_empty());
}
