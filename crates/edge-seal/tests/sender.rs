//! A sender never seals two plaintexts under one nonce.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod common;

use std::collections::HashSet;

use common::{STREAM, dek, header};
use edge_seal::payload::{Flags, References};
use edge_seal::{Error, MAX_PLAINTEXT_LEN, Sender, open_inner};
use edge_wire::chunk::CodecId;
use edge_wire::id::{ChunkSeq, Epoch};
use edge_wire::layer::Layer;
use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

#[test]
fn counters_are_dense_and_layers_do_not_share_one() {
    let mut sender = Sender::new(STREAM, Epoch(3), dek(1));
    for expected in 0..6 {
        let layer = Layer::new(u8::try_from(expected % 3).unwrap(), 0, 0);
        let chunk = sender.seal(CodecId::AV1_SVC, layer, b"same bytes").unwrap();
        assert_eq!((chunk.header.seq, chunk.header.layer), (ChunkSeq(expected), layer));
        assert_eq!(open_inner(&dek(1), &chunk).unwrap(), &b"same bytes"[..]);
    }
}

#[test]
fn a_refused_seal_uses_no_counter_value() {
    let mut sender = Sender::new(STREAM, Epoch(1), dek(1));
    let layered = sender.seal(CodecId::OPAQUE, Layer::new(0, 1, 0), b"x");
    assert_eq!(layered, Err(Error::OpaqueLayer));
    let long = vec![0; MAX_PLAINTEXT_LEN + 1];
    assert_eq!(sender.seal(CodecId::OPAQUE, Layer::BASE, &long), Err(Error::TooLong { got: long.len() }));
    let mut wrong = header(0);
    wrong.flags = Flags::KEY_FRAME;
    wrong.layer = Layer::BASE;
    wrong.unit_id = 5;
    wrong.references = References::new(&[1]).unwrap();
    assert!(matches!(sender.seal_frame(&wrong, b"x"), Err(Error::Payload(_))));
    assert_eq!(sender.sealed(), 0);
    assert_eq!(sender.seal(CodecId::OPAQUE, Layer::BASE, &long[1..]).unwrap().header.seq, ChunkSeq(0));
}

#[test]
fn rekey_needs_a_higher_epoch_and_another_key() {
    let mut sender = Sender::new(STREAM, Epoch(5), dek(1));
    sender.seal(CodecId::OPAQUE, Layer::BASE, b"x").unwrap();
    for got in [0, 4, 5] {
        assert_eq!(sender.rekey(Epoch(got), dek(2)), Err(Error::EpochNotHigher { have: 5, got }));
    }
    assert_eq!(sender.rekey(Epoch(6), dek(1)), Err(Error::KeyReuse));
    assert_eq!((sender.epoch(), sender.sealed()), (Epoch(5), 1));
    sender.rekey(Epoch(9), dek(2)).unwrap();
    assert_eq!((sender.epoch(), sender.sealed()), (Epoch(9), 0));
}

#[derive(Debug, Clone)]
enum Step {
    Seal { codec: u8, layer: [u8; 3], len: usize },
    Rekey { epoch: u64, key: u8 },
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => (0u8..4, any::<[u8; 3]>(), 0usize..40).prop_map(|(codec, layer, len)| Step::Seal { codec, layer, len }),
        1 => (0u64..30, 1u8..250).prop_map(|(epoch, key)| Step::Rekey { epoch, key }),
    ]
}

/// Whatever is asked of a sender, an (epoch, counter) pair appears at most once, and epochs never go back.
#[test]
fn no_nonce_repeats_in_any_history() {
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &[17; 32]);
    let mut runner =
        TestRunner::new_with_rng(Config { cases: 200, failure_persistence: None, ..Config::default() }, rng);
    let histories = proptest::collection::vec(step(), 1..120);
    let result = runner.run(&histories, |history| {
        let mut sender = Sender::new(STREAM, Epoch(0), dek(0));
        let (mut used, mut last) = (HashSet::new(), Epoch(0));
        for step in history {
            match step {
                Step::Seal { codec, layer: [s, t, q], len } => {
                    let sealed = sender.seal(CodecId(codec), Layer::new(s, t, q), &vec![codec; len]);
                    let header = sealed.unwrap().header;
                    prop_assert!(used.insert((header.epoch, header.seq)));
                    prop_assert!(header.epoch >= last);
                    last = header.epoch;
                }
                Step::Rekey { epoch, key } => drop(sender.rekey(Epoch(epoch), dek(key))),
            }
        }
        Ok(())
    });
    result.unwrap();
}

#[test]
fn debug_output_holds_no_key() {
    let sender = Sender::new(STREAM, Epoch(1), dek(0x9d));
    let text = format!("{sender:?} {:?}", dek(0x9d));
    assert!(text.contains("redacted") && !text.contains("9d") && !text.contains("157"), "{text}");
}
