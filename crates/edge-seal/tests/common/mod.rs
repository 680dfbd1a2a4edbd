//! What several scenarios need: hexadecimal, vector files, keys and headers.
#![allow(dead_code)]

use edge_crypto::Secret;
use edge_seal::EpochDek;
use edge_seal::payload::{Flags, Header, Origin, References, Track};
use edge_wire::chunk::CodecId;
use edge_wire::id::StreamId;
use edge_wire::layer::Layer;
use serde_json::Value;

pub(crate) const STREAM: StreamId = StreamId([0x51; 32]);
pub(crate) const SENDER: Origin = Origin([0xab; 16]);

/// The cases of one vector file.
pub(crate) fn vectors(family: &str) -> Vec<Value> {
    let path = format!("{}/../../conformance/media/{family}.json", env!("CARGO_MANIFEST_DIR"));
    let file: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    assert_eq!(file["family"], family);
    let cases = file["vectors"].as_array().unwrap().clone();
    assert!(!cases.is_empty());
    cases
}

pub(crate) fn bytes(value: &Value) -> Vec<u8> {
    data_encoding::HEXLOWER.decode(value.as_str().unwrap().as_bytes()).unwrap()
}

pub(crate) fn array<const N: usize>(value: &Value) -> [u8; N] {
    bytes(value).try_into().unwrap()
}

/// An integer that may be a decimal string.
pub(crate) fn number(value: &Value) -> u64 {
    value.as_u64().unwrap_or_else(|| value.as_str().unwrap().parse().unwrap())
}

pub(crate) fn dek(byte: u8) -> EpochDek {
    EpochDek::new(Secret::from([byte; 32]))
}

pub(crate) fn header(unit_id: u64) -> Header {
    Header {
        flags: Flags::END_OF_UNIT,
        track: Track::VIDEO,
        codec: CodecId::AV1_SVC,
        layer: Layer::new(1, 2, 0),
        sender: SENDER,
        frame_number: unit_id / 3,
        pts_us: unit_id.wrapping_mul(33_333),
        captured_us: 1_700_000_000_000_000 + unit_id,
        duration_us: 33_333,
        unit_id,
        references: References::NONE,
    }
}
