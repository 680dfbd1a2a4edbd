//! Relay traces, tiers of relays and layer policies agree with the published vectors.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod common;

use bytes::Bytes;
use common::{chunk, drain, hex, hex_array, layer_of, name, policy_of, relay, vectors, wish};
use edge_crypto::aead;
use edge_crypto::hash::sha256;
use edge_link::{Incoming, Receiver, Secret, Sender};
use edge_relay::{Arena, Error, Relay, Start, Subscription};
use edge_wire::chunk::{CodecId, Header, InnerSealed, Sealed};
use edge_wire::domain;
use edge_wire::id::{ChunkSeq, Epoch, StreamId};
use edge_wire::layer::Policy;
use edge_wire::link::{Hint, Media};
use serde_json::{Value, json};

#[test]
fn relay_traces() {
    for case in vectors("relay_trace") {
        let mut relay = relay();
        let (ops, results) = (case["ops"].as_array().unwrap(), case["results"].as_array().unwrap());
        assert_eq!(ops.len(), results.len());
        for (at, (op, expected)) in ops.iter().zip(results).enumerate() {
            assert_eq!(&run(&mut relay, op), expected, "{} step {at}", case["id"]);
        }
    }
}

fn run(relay: &mut Relay, op: &Value) -> Value {
    let stream = StreamId(hex_array(&op["stream"]));
    let subscriber = || name(op["sub"].as_str().unwrap());
    let policy = || policy_of(&op["policy"]);
    let done = |result: Result<(), Error>| match result {
        Ok(()) => json!({"ok": true}),
        Err(Error::SubscriberNotFound { .. }) => json!({"error": "SubscriberNotFound"}),
        Err(Error::StreamNotFound(_)) => json!({"error": "StreamNotFound"}),
        Err(other) => json!({"error": other.to_string()}),
    };
    match op["op"].as_str().unwrap() {
        "subscribe" => {
            let transit_key = Secret::from(hex_array(&op["transit_key"]));
            let wish =
                Subscription { stream, subscriber: subscriber(), transit_key, policy: policy(), start: Start::Live };
            done(relay.subscribe(wish, 0).map(|_| ()))
        }
        "set_policy" => done(relay.set_policy(stream, &subscriber(), policy())),
        "unsubscribe" => done(relay.unsubscribe(stream, &subscriber())),
        "forward" => match relay.forward(stream, inner_of(stream, op), Hint::default(), 0) {
            Ok(admitted) => outputs(relay, admitted),
            Err(error) => done(Err(error)),
        },
        other => panic!("unknown op {other}"),
    }
}

fn inner_of(stream: StreamId, op: &Value) -> InnerSealed {
    let header = Header {
        stream,
        epoch: Epoch(op["epoch"].as_u64().unwrap()),
        seq: ChunkSeq(op["chunk_seq"].as_u64().unwrap()),
        codec: CodecId(u8::try_from(op["codec_id"].as_u64().unwrap()).unwrap()),
        layer: layer_of(&op["layer"]),
    };
    InnerSealed { header, ciphertext: Bytes::from(hex(&op["inner_ciphertext"])) }
}

fn outputs(relay: &mut Relay, admitted: usize) -> Value {
    let ready: Vec<_> = relay.ready().collect();
    assert_eq!(ready.len(), admitted);
    let out: Vec<Value> = ready
        .into_iter()
        .map(|handle| {
            let sent = drain(relay, handle, 0);
            assert_eq!(sent.len(), 1);
            let wire: String = sent[0].chunk().iter().map(|byte| format!("{byte:02x}")).collect();
            json!({"sub": relay.subscriber(handle).unwrap().1.as_str(), "link_seq": sent[0].seq.0, "wire": wire})
        })
        .collect();
    json!({ "out": out })
}

/// Each hop's relay serves the next hop under that hop's key; the counters of the vectors are reached by sending that
/// many other chunks first.
#[test]
fn tiers_keep_inner_bytes_and_the_viewer_reads_the_plaintext() {
    let cases = vectors("multi_tier");
    assert_eq!(cases.len(), 3);
    for (case, relays) in cases.iter().zip([1, 4, 8]) {
        assert_eq!(case["hops"].as_array().unwrap().len(), relays + 1);
        let hops = case["hops"].as_array().unwrap();
        let first = Sealed::parse(&hex(&hops[0]["wire"])).unwrap().header;
        let inner = InnerSealed { header: first, ciphertext: Bytes::from(hex(&case["inner_ciphertext"])) };
        let mut publisher = Sender::new(transit(&hops[0]), &hex(&hops[0]["link_id"]));
        let mut message = Vec::new();
        publisher.seal_media_into(&inner, Hint::default(), &mut message).unwrap();
        let mut receiver = Receiver::new(transit(&hops[0]), &hex(&hops[0]["link_id"]));

        for (tier, pair) in hops.windows(2).enumerate() {
            let (mut relay, next) = (relay(), &pair[1]);
            let subscriber = name(std::str::from_utf8(&hex(&next["link_id"])).unwrap());
            let wish = Subscription {
                stream: first.stream,
                subscriber,
                transit_key: transit(next),
                policy: Policy::UNCAPPED,
                start: Start::Live,
            };
            let handle = relay.subscribe(wish, 0).unwrap();
            for _ in 0..next["link_seq"].as_u64().unwrap() {
                relay.forward(first.stream, inner.clone(), Hint::default(), 0).unwrap();
            }
            drain(&mut relay, handle, 0);

            assert_eq!(Media::parse(&message).unwrap().chunk, hex(&pair[0]["wire"]), "{} tier {tier}", case["id"]);
            let incoming = Incoming::parse(message).unwrap();
            assert_eq!(relay.forward_message(first.stream, incoming, &mut receiver, 0).unwrap(), 1);
            message = relay.poll(handle, 0, &Arena::new()).unwrap().unwrap().message.to_vec();
            receiver = Receiver::new(transit(next), &hex(&next["link_id"]));
        }

        let media = Media::parse(&message).unwrap();
        assert_eq!(media.chunk, hex(&hops.last().unwrap()["wire"]));
        let opened = receiver.open(media.seq, &Sealed::parse(media.chunk).unwrap()).unwrap();
        assert_eq!(opened, inner);
        assert_eq!(read(&opened, &Secret::from(hex_array(&case["epoch_dek"]))), hex(&case["plaintext"]));
    }
}

fn transit(hop: &Value) -> Secret<32> {
    Secret::from(hex_array(&hop["transit_key"]))
}

/// What only a viewer can do.
fn read(inner: &InnerSealed, group_key: &Secret<32>) -> Vec<u8> {
    let Header { stream, epoch, seq, .. } = inner.header;
    let digest = sha256(&[domain::INNER_NONCE, &stream.0, &epoch.0.to_be_bytes(), &seq.0.to_be_bytes()]);
    aead::Key::new(group_key).open(digest[..12].try_into().unwrap(), &inner.ciphertext).unwrap()
}

#[test]
fn layer_policies_decide_what_is_forwarded() {
    for case in vectors("layer_policy") {
        let mut relay = relay();
        relay.subscribe(wish("viewer", 1, policy_of(&case["policy"])), 0).unwrap();
        let inner = chunk(0, layer_of(&case["layer"]), 10);
        let admitted = relay.forward(common::STREAM, inner, Hint::default(), 0).unwrap();
        assert_eq!(admitted == 1, case["admits"].as_bool().unwrap(), "{}", case["id"]);
        assert_eq!(relay.ready().count(), admitted);
    }
}
