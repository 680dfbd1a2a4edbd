//! Who may subscribe, and what is refused with its own error.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod common;

use common::{STREAM, base, chunk, drain, key, name, open, receiver, relay, wish};
use edge_link::Secret;
use edge_relay::{Arena, Error, Limits, Relay, Start, Subscription};
use edge_wire::chunk;
use edge_wire::chunk::{CodecId, Header, InnerSealed};
use edge_wire::id::{KeyId, StreamId};
use edge_wire::layer::{Layer, Policy};
use edge_wire::link::Hint;

const OTHER: StreamId = StreamId([8; 32]);

#[test]
fn queries_follow_the_roster() {
    let mut relay = relay();
    assert_eq!((relay.subscriber_count(STREAM), relay.is_subscribed(STREAM, &name("a"))), (0, false));
    let b = relay.subscribe(wish("b", 1, Policy::UNCAPPED), 0).unwrap();
    let a = relay.subscribe(wish("a", 2, Policy::UNCAPPED), 0).unwrap();
    assert_eq!(relay.subscriber_count(STREAM), 2);
    assert_eq!(relay.subscriber(a).unwrap(), (STREAM, &name("a")));
    assert_eq!(relay.handles(STREAM).collect::<Vec<_>>(), [a, b], "ascending by name, not by arrival");
    relay.unsubscribe(STREAM, &name("a")).unwrap();
    assert!(!relay.is_subscribed(STREAM, &name("a")));
    assert!(relay.subscriber(a).is_none());
    assert_eq!(relay.handles(STREAM).collect::<Vec<_>>(), [b]);
}

#[test]
fn ready_subscriptions_come_in_ascending_order() {
    let mut relay = relay();
    for (at, subscriber) in ["d", "b", "a", "c"].iter().enumerate() {
        relay.subscribe(wish(subscriber, at as u8, Policy::UNCAPPED), 0).unwrap();
    }
    relay.forward(STREAM, base(0), Hint::default(), 0).unwrap();
    let names: Vec<_> = relay.ready().map(|handle| relay.subscriber(handle).unwrap().1.as_str().to_owned()).collect();
    assert_eq!(names, ["a", "b", "c", "d"]);
}

#[test]
fn a_stream_without_subscribers_is_not_found_unless_pinned() {
    let mut relay = relay();
    assert_eq!(relay.forward(STREAM, base(0), Hint::default(), 0), Err(Error::StreamNotFound(STREAM)));
    relay.pin(STREAM).unwrap();
    assert_eq!(relay.forward(STREAM, base(0), Hint::default(), 0), Ok(0));
    relay.subscribe(wish("a", 1, Policy::UNCAPPED), 0).unwrap();
    relay.unsubscribe(STREAM, &name("a")).unwrap();
    assert_eq!(relay.forward(STREAM, base(1), Hint::default(), 0), Ok(0));
    relay.unpin(STREAM);
    assert_eq!(relay.forward(STREAM, base(2), Hint::default(), 0), Err(Error::StreamNotFound(STREAM)));
}

#[test]
fn unknown_subscribers_are_not_found() {
    let mut relay = relay();
    relay.subscribe(wish("a", 1, Policy::UNCAPPED), 0).unwrap();
    let missing = |stream| Error::SubscriberNotFound { stream, subscriber: name("ghost") };
    assert_eq!(relay.unsubscribe(STREAM, &name("ghost")), Err(missing(STREAM)));
    assert_eq!(relay.set_policy(OTHER, &name("ghost"), Policy::UNCAPPED), Err(missing(OTHER)));
}

#[test]
fn a_transit_key_serves_once() {
    let mut relay = relay();
    relay.subscribe(wish("a", 1, Policy::UNCAPPED), 0).unwrap();
    let reuse = |subscriber: &str| Error::KeyReuse { subscriber: name(subscriber) };
    assert_eq!(relay.subscribe(wish("b", 1, Policy::UNCAPPED), 0), Err(reuse("b")), "another subscriber");
    let other_stream = Subscription { stream: OTHER, ..wish("a", 1, Policy::UNCAPPED) };
    assert_eq!(relay.subscribe(other_stream, 0), Err(reuse("a")), "another stream");
    assert_eq!(relay.subscribe(wish("a", 1, Policy::UNCAPPED), 0), Err(reuse("a")), "the one being replaced");
    assert!(relay.is_subscribed(STREAM, &name("a")), "a refusal leaves the running subscription alone");
    relay.unsubscribe(STREAM, &name("a")).unwrap();
    assert_eq!(relay.subscribe(wish("a", 1, Policy::UNCAPPED), 0), Err(reuse("a")), "one that has ended");
    assert_eq!(relay.subscriber_count(STREAM), 0);
    relay.subscribe(wish("a", 2, Policy::UNCAPPED), 0).unwrap();
}

#[test]
fn after_a_new_subscription_the_old_key_and_handle_are_dead() {
    let mut relay = relay();
    let old = relay.subscribe(wish("a", 1, Policy::UNCAPPED), 0).unwrap();
    relay.forward(STREAM, base(0), Hint::default(), 0).unwrap();
    let new = relay.subscribe(wish("a", 2, Policy::UNCAPPED), 0).unwrap();
    assert_eq!(relay.subscriber_count(STREAM), 1);
    assert_eq!(relay.poll(old, 0, &Arena::new()).unwrap_err(), Error::SubscriptionEnded);
    assert!(relay.stats(old).is_none());
    assert!(drain(&mut relay, new, 0).is_empty(), "the old queue went with the old key");

    relay.forward(STREAM, base(1), Hint::default(), 0).unwrap();
    let sent = drain(&mut relay, new, 0);
    assert_eq!(sent[0].seq.0, 0);
    assert_eq!(open(&mut receiver("a", 1), &sent[0]), Err(edge_link::Error::OuterAead));
    assert_eq!(open(&mut receiver("a", 2), &sent[0]).unwrap(), base(1));
}

#[test]
fn chunks_of_another_stream_are_refused() {
    let mut relay = relay();
    relay.subscribe(wish("a", 1, Policy::UNCAPPED), 0).unwrap();
    let inner = base(0);
    let foreign = InnerSealed { header: Header { stream: OTHER, ..inner.header }, ..inner };
    let refused = relay.forward(STREAM, foreign, Hint::default(), 0);
    assert_eq!(refused, Err(Error::StreamMismatch { expected: STREAM, got: OTHER }));
    assert_eq!(relay.ready().count(), 0);
}

#[test]
fn opaque_chunks_pass_every_policy_and_must_be_base() {
    let mut relay = relay();
    let dot = relay.subscribe(wish("dot", 1, Policy::BLINKING_DOT), 0).unwrap();
    let opaque = |layer| {
        let inner = chunk(1, layer, 10);
        InnerSealed { header: Header { codec: CodecId::OPAQUE, ..inner.header }, ..inner }
    };
    assert_eq!(relay.forward(STREAM, opaque(Layer::BASE), Hint::default(), 0), Ok(1));
    let layered = relay.forward(STREAM, opaque(Layer::new(1, 0, 0)), Hint::default(), 0);
    assert_eq!(layered, Err(Error::Chunk(chunk::Error::OpaqueLayer)));

    let start = Hint { key: true, frame_start: true, ..Hint::default() };
    relay.forward(STREAM, base(2), Hint { key: false, ..start }, 0).unwrap();
    assert_eq!(relay.forward(STREAM, opaque(Layer::BASE), Hint::default(), 0), Ok(1), "also to who waits for a key");
    let sent: Vec<_> = drain(&mut relay, dot, 0).iter().map(|sent| sent.header.codec).collect();
    assert_eq!(sent, [CodecId::OPAQUE; 2]);
}

#[test]
fn limits_are_refusals_with_the_limit_in_them() {
    let mut relay =
        Relay::new(Limits { streams_max: 1, subscribers_per_stream_max: 2, chunk_len_max: 200, ..Limits::default() });
    relay.subscribe(wish("a", 1, Policy::UNCAPPED), 0).unwrap();
    relay.subscribe(wish("b", 2, Policy::UNCAPPED), 0).unwrap();
    let full = Error::TooManySubscribers { stream: STREAM, bound: 2 };
    assert_eq!(relay.subscribe(wish("c", 3, Policy::UNCAPPED), 0), Err(full));
    relay.subscribe(wish("b", 4, Policy::UNCAPPED), 0).unwrap();
    let other = Subscription { stream: OTHER, ..wish("a", 5, Policy::UNCAPPED) };
    assert_eq!(relay.subscribe(other, 0), Err(Error::TooManyStreams { bound: 1 }));
    assert_eq!(relay.pin(OTHER), Err(Error::TooManyStreams { bound: 1 }));

    let prefix_and_tag = chunk::PREFIX_LEN + chunk::TAG_LEN;
    assert_eq!(relay.forward(STREAM, chunk(0, Layer::BASE, 200 - prefix_and_tag), Hint::default(), 0), Ok(2));
    let long = relay.forward(STREAM, chunk(1, Layer::BASE, 201 - prefix_and_tag), Hint::default(), 0);
    assert_eq!(long, Err(Error::Chunk(chunk::Error::TooLong { got: 201 })));
}

#[test]
fn a_refused_key_was_not_used_up() {
    let mut relay = Relay::new(Limits { subscribers_per_stream_max: 1, ..Limits::default() });
    relay.subscribe(wish("a", 1, Policy::UNCAPPED), 0).unwrap();
    assert!(relay.subscribe(wish("b", 2, Policy::UNCAPPED), 0).is_err());
    relay.unsubscribe(STREAM, &name("a")).unwrap();
    relay.subscribe(wish("b", 2, Policy::UNCAPPED), 0).unwrap();
}

#[test]
fn a_subscriber_is_sent_no_more_than_its_rate() {
    let mut relay = Relay::new(Limits { subscriber_bytes_per_second_max: 10_000, ..Limits::default() });
    let a = relay.subscribe(wish("a", 1, Policy::UNCAPPED), 5_000).unwrap();
    for seq in 0..300 {
        relay.forward(STREAM, base(seq), Hint::default(), 5_000).unwrap();
    }
    let bytes = |sent: &[edge_relay::Transmit]| sent.iter().map(|sent| sent.message.len()).sum::<usize>();
    let first = bytes(&drain(&mut relay, a, 5_000));
    assert!((10_000..10_200).contains(&first), "{first}");
    assert!(drain(&mut relay, a, 5_000).is_empty());
    let later = bytes(&drain(&mut relay, a, 5_500));
    assert!((4_800..5_200).contains(&later), "{later}");
    assert!(relay.ready().eq([a]), "the rest still waits");
}

#[test]
fn nothing_secret_is_printed() {
    let mut relay = relay();
    let subscription = Subscription {
        stream: STREAM,
        subscriber: KeyId::new("a").unwrap(),
        transit_key: Secret::from([0xab; 32]),
        policy: Policy::UNCAPPED,
        start: Start::Live,
    };
    assert!(!format!("{subscription:?}").contains("171"));
    relay.subscribe(subscription, 0).unwrap();
    assert_eq!(format!("{relay:?}"), "Relay { streams: 1, .. }");
    assert_eq!(key(1), key(1));
}
