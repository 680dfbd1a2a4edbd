//! Streams, subscribers and vectors for the scenarios of this crate.

#![allow(dead_code)]

pub(crate) mod scalable;

use bytes::Bytes;
use edge_link::{Receiver, Secret};
use edge_relay::{Arena, Handle, Limits, Relay, Start, Subscription, Transmit};
use edge_wire::chunk::{CodecId, Header, InnerSealed, Sealed};
use edge_wire::id::{ChunkSeq, Epoch, KeyId, StreamId};
use edge_wire::layer::{Layer, Policy};
use edge_wire::link::{Hint, Media};
use proptest::test_runner::{Config, RngSeed};
use serde_json::Value;

pub(crate) const STREAM: StreamId = StreamId([7; 32]);

pub(crate) fn relay() -> Relay {
    Relay::new(Limits::default())
}

pub(crate) fn name(name: &str) -> KeyId {
    KeyId::new(name).unwrap()
}

pub(crate) fn key(byte: u8) -> Secret<32> {
    Secret::from([byte; 32])
}

pub(crate) fn wish(subscriber: &str, key_byte: u8, policy: Policy) -> Subscription {
    Subscription {
        stream: STREAM,
        subscriber: name(subscriber),
        transit_key: key(key_byte),
        policy,
        start: Start::Live,
    }
}

pub(crate) fn receiver(subscriber: &str, key_byte: u8) -> Receiver {
    Receiver::new(key(key_byte), subscriber.as_bytes())
}

/// An inner-sealed chunk whose ciphertext depends on its counter.
pub(crate) fn chunk(seq: u64, layer: Layer, len: usize) -> InnerSealed {
    let header = Header { stream: STREAM, epoch: Epoch(1), seq: ChunkSeq(seq), codec: CodecId::AV1_SVC, layer };
    InnerSealed { header, ciphertext: Bytes::from(vec![seq as u8; len]) }
}

pub(crate) fn base(seq: u64) -> InnerSealed {
    chunk(seq, Layer::BASE, 100)
}

pub(crate) fn audio(seq: u64) -> (InnerSealed, Hint) {
    (chunk(seq, Layer::BASE, 80), Hint { audio: true, discardable: true, ..Hint::default() })
}

pub(crate) fn drain(relay: &mut Relay, handle: Handle, now_ms: u64) -> Vec<Transmit> {
    let arena = Arena::new();
    std::iter::from_fn(|| relay.poll(handle, now_ms, &arena).unwrap()).collect()
}

pub(crate) fn drained_seqs(relay: &mut Relay, handle: Handle, now_ms: u64) -> Vec<u64> {
    drain(relay, handle, now_ms).iter().map(|sent| sent.header.seq.0).collect()
}

/// Opens what a subscriber was sent.
pub(crate) fn open(receiver: &mut Receiver, sent: &Transmit) -> Result<InnerSealed, edge_link::Error> {
    let media = Media::parse(&sent.message).unwrap();
    assert_eq!((media.seq, media.hint, media.chunk), (sent.seq, sent.hint, sent.chunk()));
    receiver.open(media.seq, &Sealed::parse(media.chunk).unwrap())
}

/// The cases of one vector file.
pub(crate) fn vectors(stem: &str) -> Vec<Value> {
    let path = format!("{}/../../conformance/media/{stem}.json", env!("CARGO_MANIFEST_DIR"));
    let file: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    let cases = file["vectors"].as_array().unwrap().clone();
    assert!(!cases.is_empty());
    cases
}

pub(crate) fn hex(value: &Value) -> Vec<u8> {
    let text = value.as_str().unwrap();
    assert!(text.len().is_multiple_of(2));
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
}

pub(crate) fn hex_array<const N: usize>(value: &Value) -> [u8; N] {
    hex(value).try_into().unwrap()
}

pub(crate) fn layer_of(value: &Value) -> Layer {
    let [spatial, temporal, quality] = bytes3(value);
    Layer::new(spatial, temporal, quality)
}

pub(crate) fn policy_of(value: &Value) -> Policy {
    let [spatial, temporal, quality] = bytes3(value);
    Policy::new(spatial, temporal, quality)
}

fn bytes3(value: &Value) -> [u8; 3] {
    core::array::from_fn(|at| u8::try_from(value[at].as_u64().unwrap()).unwrap())
}

pub(crate) fn config(seed: u64, cases: u32) -> Config {
    Config { rng_seed: RngSeed::Fixed(seed), failure_persistence: None, ..Config::with_cases(cases) }
}
