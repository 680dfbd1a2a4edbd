//! The frame payload header: round trips, strictness, and no panic on any bytes.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod common;

use bytes::Bytes;
use common::header;
use edge_seal::Payload;
use edge_seal::payload::{Error, FIXED_LEN, Flags, Header, MAX_HEADER_LEN, Origin, References, Track, VERSION};
use edge_wire::chunk::CodecId;
use edge_wire::layer::Layer;
use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

fn parse(bytes: &[u8]) -> Result<Payload, Error> {
    Payload::parse(&Bytes::copy_from_slice(bytes))
}

fn runner(seed: u8) -> TestRunner {
    let config = Config { cases: 512, failure_persistence: None, ..Config::default() };
    TestRunner::new_with_rng(config, TestRng::from_seed(RngAlgorithm::ChaCha, &[seed; 32]))
}

#[test]
fn the_byte_table_of_the_specification() {
    let mut head = header(0x0102_0304_0506_0708);
    head.flags = Flags::SWITCH_POINT | Flags::DISCARDABLE;
    head.references = References::new(&[1, 0x0a0b_0c0d]).unwrap();
    let bytes = head.prepend_to(b"codec").unwrap();
    assert_eq!(bytes.len(), FIXED_LEN + 2 * 4 + 5);
    assert_eq!(bytes[0], VERSION);
    assert_eq!(bytes[1], 0b1010);
    assert_eq!(bytes[2..4], [0, 1]);
    assert_eq!(bytes[4..7], [1, 2, 0]);
    assert_eq!(bytes[7..23], [0xab; 16]);
    assert_eq!(bytes[23..31], head.frame_number.to_be_bytes());
    assert_eq!(bytes[31..39], head.pts_us.to_be_bytes());
    assert_eq!(bytes[39..47], head.captured_us.to_be_bytes());
    assert_eq!(bytes[47..51], 33_333u32.to_be_bytes());
    assert_eq!(bytes[51..59], head.unit_id.to_be_bytes());
    assert_eq!(bytes[59..68], [2, 0, 0, 0, 1, 0x0a, 0x0b, 0x0c, 0x0d]);
    assert_eq!(&bytes[68..], b"codec");
    let units: Vec<u64> = head.referenced_units().collect();
    assert_eq!(units, [head.unit_id - 1, head.unit_id - 0x0a0b_0c0d]);
}

#[test]
fn the_first_byte_is_not_one_that_a_codec_writes() {
    for foreign in [0x12, 0xf7, 0xa1] {
        assert_ne!(VERSION, foreign);
        let mut bytes = header(1).prepend_to(b"").unwrap();
        bytes[0] = foreign;
        let error = edge_wire::Error::Unknown { field: "version", got: foreign.into() };
        assert_eq!(parse(&bytes), Err(Error::Malformed(error)));
    }
}

#[test]
fn unknown_flags_and_broken_references_are_refused() {
    for bit in 4..8 {
        let mut bytes = header(1).prepend_to(b"").unwrap();
        bytes[1] = 1 << bit;
        assert!(matches!(parse(&bytes), Err(Error::Malformed(edge_wire::Error::Unknown { field: "flags", .. }))));
    }
    assert_eq!(References::new(&[0]), Err(Error::References));
    assert_eq!(References::new(&[2, 2]), Err(Error::References));
    assert_eq!(References::new(&[3, 1]), Err(Error::References));
    assert!(References::new(&[1, 2, 3, 4, 5, 6, 7, 8]).is_ok());
    assert!(matches!(References::new(&[1, 2, 3, 4, 5, 6, 7, 8, 9]), Err(Error::Malformed(_))));
    let mut head = header(4);
    head.references = References::new(&[5]).unwrap();
    assert_eq!(head.prepend_to(b""), Err(Error::References));
    let mut bytes = header(4).prepend_to(b"").unwrap();
    bytes[59] = 1;
    bytes.extend(5u32.to_be_bytes());
    assert_eq!(parse(&bytes), Err(Error::References));
    bytes[59] = 9;
    assert!(matches!(parse(&bytes), Err(Error::Malformed(edge_wire::Error::TooLong { .. }))));
}

#[test]
fn rules_between_fields_hold_in_both_directions() {
    let mut opaque = header(1);
    opaque.codec = CodecId::OPAQUE;
    assert_eq!(opaque.prepend_to(b""), Err(Error::OpaqueLayer));
    let mut bytes = header(1).prepend_to(b"").unwrap();
    bytes[3] = 0xff;
    assert_eq!(parse(&bytes), Err(Error::OpaqueLayer));

    let mut key = header(9);
    (key.flags, key.layer) = (Flags::KEY_FRAME, Layer::BASE);
    key.references = References::new(&[1]).unwrap();
    assert_eq!(key.prepend_to(b""), Err(Error::KeyReferences));
    key.layer = Layer::new(1, 0, 0);
    assert!(key.prepend_to(b"").is_ok(), "an upper layer of a key picture references the layer below");
}

#[test]
fn every_cut_is_refused_and_every_length_of_data_is_kept() {
    let mut head = header(1 << 40);
    head.references = References::new(&[1, 2, 3, 5, 8, 13, 21, 34]).unwrap();
    let bytes = head.prepend_to(b"").unwrap();
    assert_eq!(bytes.len(), MAX_HEADER_LEN);
    for len in 0..bytes.len() {
        let error = parse(&bytes[..len]).unwrap_err();
        assert!(matches!(error, Error::Malformed(edge_wire::Error::Short { .. })), "{len}: {error}");
    }
    for len in [0, 1, 1000] {
        let payload = parse(&head.prepend_to(&vec![7; len]).unwrap()).unwrap();
        assert_eq!((payload.header, payload.data.len()), (head, len));
    }
}

fn arbitrary_header() -> impl Strategy<Value = Header> {
    let ids = (any::<u8>(), any::<u8>(), any::<[u8; 3]>(), any::<[u8; 16]>(), 0u8..16);
    let times = (any::<u64>(), any::<u64>(), any::<u64>(), any::<u32>(), any::<u64>());
    let references = proptest::collection::btree_set(1u32.., 0..=8);
    (ids, times, references).prop_map(|((track, codec, [s, t, q], sender, bits), times, references)| {
        let all = [Flags::KEY_FRAME, Flags::SWITCH_POINT, Flags::END_OF_UNIT, Flags::DISCARDABLE];
        let set = all.into_iter().enumerate().filter(|(bit, _)| bits & (1 << bit) != 0);
        Header {
            flags: set.fold(Flags::NONE, |flags, (_, flag)| flags | flag),
            track: Track(track),
            codec: CodecId(codec),
            layer: Layer::new(s, t, q),
            sender: Origin(sender),
            frame_number: times.0,
            pts_us: times.1,
            captured_us: times.2,
            duration_us: times.3,
            unit_id: times.4,
            references: References::new(&Vec::from_iter(references)).unwrap(),
        }
    })
}

#[test]
fn whatever_can_be_written_reads_back() {
    let strategy = (arbitrary_header(), proptest::collection::vec(any::<u8>(), 0..64));
    let result = runner(3).run(&strategy, |(header, data)| {
        if let Ok(bytes) = header.prepend_to(&data) {
            let payload = parse(&bytes).unwrap();
            prop_assert_eq!(payload.header, header);
            prop_assert_eq!(&payload.data[..], &data[..]);
        }
        Ok(())
    });
    result.unwrap();
}

#[test]
fn whatever_can_be_read_writes_back_the_same_bytes() {
    let noise = (proptest::collection::vec(any::<u8>(), 0..120), any::<u8>(), any::<bool>());
    let result = runner(4).run(&noise, |(mut bytes, flags, plausible)| {
        if plausible && bytes.len() > FIXED_LEN {
            (bytes[0], bytes[1], bytes[59]) = (VERSION, flags & 0x0f, bytes[59] % 3);
        }
        if let Ok(payload) = parse(&bytes) {
            prop_assert_eq!(payload.header.prepend_to(&payload.data).unwrap(), bytes);
        }
        Ok(())
    });
    result.unwrap();
}
