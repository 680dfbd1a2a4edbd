//! Peers and statements for the tests of advertisements.
#![allow(dead_code)]

use edge_alm::advert::{Advert, Capacity, Extension, Statement};
use edge_crypto::random::Seeded;
use edge_identity::KeyBundle;
use edge_wire::id::{Epoch, Fingerprint, KeyId, StreamId};
use edge_wire::layer::Policy;

pub(crate) const NOW: u64 = 1_750_000_000_000;
pub(crate) const STREAM: StreamId = StreamId([7; 32]);
pub(crate) const EPOCH: Epoch = Epoch(0x0102_0304_0506_0708);

pub(crate) fn peer(seed: u64) -> KeyBundle {
    let name = KeyId::new(format!("relay-{seed}")).unwrap();
    KeyBundle::generate(Some(name), &mut Seeded::new(seed)).unwrap()
}

pub(crate) fn statement(keys: &KeyBundle, measured_at_unix_ms: u64) -> Statement {
    Statement {
        advertiser: keys.key_id().clone(),
        capacity: Capacity {
            uplink_mbps: 12.1,
            max_streams: 3,
            max_subscribers_per_stream: 9,
            measured_at_unix_ms,
            max_layer_supported: Policy::new(2, 3, 1),
            sub_stream_commitments: Vec::new(),
        },
        stream: STREAM,
        epoch: EPOCH,
    }
}

pub(crate) fn extension(keys: &KeyBundle, sequence: u64) -> Extension {
    Extension {
        sequence,
        subscribers: 4,
        delay_ms: 35,
        yields: edge_alm::seats::Yields::default(),
        chain: vec![Fingerprint([1; 32]), Fingerprint([2; 32]), keys.fingerprint()],
        addresses: vec!["192.0.2.7:4433".parse().unwrap(), "[2001:db8::7]:4433".parse().unwrap()],
        transport_key: *keys.public().transport(),
    }
}

pub(crate) fn advert(keys: &KeyBundle, measured_at_unix_ms: u64) -> Advert {
    Advert::sign(statement(keys, measured_at_unix_ms), extension(keys, 1), keys).unwrap()
}
