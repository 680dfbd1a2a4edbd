//! The receiving end: epochs and their grace, chunks that wait, duplicates, relabelling, floods.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod common;

use bytes::Bytes;
use common::{SENDER, STREAM, dek, header};
use edge_seal::payload::Origin;
use edge_seal::receiver::{
    Error, Field, GRACE_MS, HOLD_MS, MAX_EPOCHS_AHEAD, MAX_HELD_BYTES, MAX_HELD_CHUNKS, MAX_SEEN, Received,
};
use edge_seal::{InnerSealed, MAX_PLAINTEXT_LEN, Receiver, Sender};
use edge_wire::chunk::{self, CodecId};
use edge_wire::id::{Epoch, StreamId};
use edge_wire::layer::Layer;

fn pair(epoch: u64) -> (Sender, Receiver) {
    let mut receiver = Receiver::new(STREAM, Epoch(epoch)).pinned_to(SENDER);
    receiver.install(Epoch(epoch), dek(1), 0).unwrap();
    (Sender::new(STREAM, Epoch(epoch), dek(1)), receiver)
}

fn frames(sender: &mut Sender, count: u64) -> Vec<InnerSealed> {
    let next = sender.sealed();
    (next..next + count).map(|unit| sender.seal_frame(&header(unit), &unit.to_be_bytes()).unwrap()).collect()
}

#[test]
fn frames_open_in_any_order_and_once() {
    let (mut sender, mut receiver) = pair(1);
    let mut chunks = frames(&mut sender, 50);
    chunks.reverse();
    for chunk in &chunks {
        let payload = receiver.push(chunk.clone(), 10).unwrap().opened().unwrap();
        assert_eq!(payload.header, header(chunk.header.seq.0));
        assert_eq!(payload.data[..], chunk.header.seq.0.to_be_bytes());
    }
    for chunk in &chunks {
        let seq = chunk.header.seq.0;
        assert_eq!(receiver.push(chunk.clone(), 10), Err(Error::Duplicate { epoch: 1, seq }));
    }
    let counters = receiver.counters();
    assert_eq!((counters.opened, counters.duplicates), (50, 50));
}

#[test]
fn a_chunk_older_than_the_window_counts_as_seen() {
    let (mut sender, mut receiver) = pair(1);
    let chunks = frames(&mut sender, MAX_SEEN as u64 + 3);
    let opened = chunks[2..].iter().filter(|chunk| receiver.push((*chunk).clone(), 0).is_ok()).count();
    assert_eq!(opened, MAX_SEEN + 1);
    assert_eq!(receiver.push(chunks[0].clone(), 0), Err(Error::Duplicate { epoch: 1, seq: 0 }));
    assert_eq!(receiver.push(chunks[2].clone(), 0), Err(Error::Duplicate { epoch: 1, seq: 2 }));
}

#[test]
fn the_previous_key_opens_for_two_seconds_and_then_never() {
    let (mut sender, mut receiver) = pair(4);
    let late = frames(&mut sender, 3);
    sender.rekey(Epoch(5), dek(2)).unwrap();
    assert!(receiver.install(Epoch(5), dek(2), 1_000).unwrap().is_empty());
    assert!(receiver.push(late[0].clone(), 1_000 + GRACE_MS - 1).is_ok());
    assert_eq!(receiver.next_deadline_ms(), Some(1_000 + GRACE_MS));
    let stale = Err(Error::StaleEpoch { got: 4, oldest: 5 });
    assert_eq!(receiver.push(late[1].clone(), 1_000 + GRACE_MS), stale);
    assert_eq!(receiver.push(late[1].clone(), 1_000), stale, "a clock that steps back does not bring the key back");
    assert!(receiver.push(frames(&mut sender, 1).remove(0), 9_999).is_ok());
    assert_eq!(receiver.next_deadline_ms(), None);
}

#[test]
fn a_second_rotation_wipes_the_oldest_key_at_once() {
    let (mut sender, mut receiver) = pair(1);
    let old = frames(&mut sender, 1).remove(0);
    receiver.install(Epoch(2), dek(2), 0).unwrap();
    receiver.install(Epoch(3), dek(3), 1).unwrap();
    assert_eq!(receiver.push(old, 1), Err(Error::StaleEpoch { got: 1, oldest: 2 }));
}

#[test]
fn chunks_ahead_of_their_key_wait_and_come_out_in_order() {
    let (mut sender, mut receiver) = pair(1);
    sender.rekey(Epoch(2), dek(2)).unwrap();
    let chunks = frames(&mut sender, 4);
    for chunk in &chunks {
        assert_eq!(receiver.push(chunk.clone(), 100), Ok(Received::Held));
    }
    let mut forged = chunks[3].clone();
    forged.header.seq.0 = 99;
    forged.ciphertext = Bytes::from_static(&[0; 64]);
    assert_eq!(receiver.push(forged, 100), Ok(Received::Held));
    let units: Vec<u64> =
        receiver.install(Epoch(2), dek(2), 100 + HOLD_MS - 1).unwrap().iter().map(|p| p.header.unit_id).collect();
    assert_eq!(units, [0, 1, 2, 3]);
    assert_eq!(receiver.counters().failed, 1);
    assert_eq!(receiver.push(chunks[0].clone(), 2_000), Err(Error::Duplicate { epoch: 2, seq: 0 }));
}

#[test]
fn what_waits_too_long_is_dropped() {
    let (mut sender, mut receiver) = pair(1);
    sender.rekey(Epoch(2), dek(2)).unwrap();
    receiver.push(frames(&mut sender, 1).remove(0), 100).unwrap();
    assert_eq!(receiver.next_deadline_ms(), Some(100 + HOLD_MS));
    receiver.poll_expired(100 + HOLD_MS);
    assert!(receiver.install(Epoch(2), dek(2), 100 + HOLD_MS).unwrap().is_empty());
    assert_eq!(receiver.counters().hold_dropped, 1);
}

#[test]
fn a_flood_of_future_chunks_is_bounded_in_count_and_bytes() {
    let (mut sender, mut receiver) = pair(1);
    let genuine = frames(&mut sender, 1).remove(0);
    let mut future = genuine.clone();
    future.header.epoch = Epoch(2);
    for _ in 0..MAX_HELD_CHUNKS {
        assert_eq!(receiver.push(future.clone(), 0), Ok(Received::Held));
    }
    assert_eq!(receiver.push(future.clone(), 0), Err(Error::HoldFull));
    assert!(receiver.push(genuine, 0).is_ok(), "the current epoch is not affected");

    receiver.poll_expired(HOLD_MS);
    future.ciphertext = Bytes::from(vec![0; MAX_PLAINTEXT_LEN]);
    let held = (0..100).filter(|_| receiver.push(future.clone(), HOLD_MS) == Ok(Received::Held)).count();
    assert_eq!(held, MAX_HELD_BYTES / MAX_PLAINTEXT_LEN);

    future.header.epoch = Epoch(2 + MAX_EPOCHS_AHEAD);
    let got = 2 + MAX_EPOCHS_AHEAD;
    assert_eq!(receiver.push(future, HOLD_MS), Err(Error::EpochTooFar { got, have: 1 }));
}

#[test]
fn nothing_older_than_the_welcome_is_accepted() {
    let mut sender = Sender::new(STREAM, Epoch(6), dek(1));
    let old = frames(&mut sender, 1).remove(0);
    let mut receiver = Receiver::new(STREAM, Epoch(7));
    assert_eq!(receiver.push(old.clone(), 0), Err(Error::StaleEpoch { got: 6, oldest: 7 }));
    assert_eq!(receiver.install(Epoch(6), dek(1), 0), Err(Error::StaleEpoch { got: 6, oldest: 7 }));
    receiver.install(Epoch(7), dek(2), 0).unwrap();
    assert_eq!(receiver.push(old, 0), Err(Error::StaleEpoch { got: 6, oldest: 7 }));
    assert_eq!(receiver.install(Epoch(7), dek(3), 0), Err(Error::EpochNotHigher { have: 7, got: 7 }));
}

#[test]
fn a_newcomer_holds_chunks_of_its_first_epoch_until_the_key_is_there() {
    let mut sender = Sender::new(STREAM, Epoch(7), dek(2));
    let mut receiver = Receiver::new(STREAM, Epoch(7));
    assert_eq!(receiver.push(frames(&mut sender, 1).remove(0), 0), Ok(Received::Held));
    assert_eq!(receiver.install(Epoch(7), dek(2), 5).unwrap().len(), 1);
}

#[test]
fn relabelled_chunks_are_dropped_and_do_not_use_up_the_honest_copy() {
    let (mut sender, mut receiver) = pair(1);
    let honest = frames(&mut sender, 1).remove(0);
    let mut codec = honest.clone();
    codec.header.codec = CodecId(2);
    assert_eq!(receiver.push(codec, 0), Err(Error::Relabelled { field: Field::Codec }));
    let mut layer = honest.clone();
    layer.header.layer = Layer::BASE;
    assert_eq!(receiver.push(layer, 0), Err(Error::Relabelled { field: Field::Layer }));
    let mut opaque = honest.clone();
    opaque.header.codec = CodecId::OPAQUE;
    assert_eq!(receiver.push(opaque, 0), Err(Error::Chunk(chunk::Error::OpaqueLayer)));
    assert!(receiver.push(honest, 0).is_ok());
    let mut impostor = header(1);
    impostor.sender = Origin([1; 16]);
    let chunk = sender.seal_frame(&impostor, b"").unwrap();
    assert_eq!(receiver.push(chunk, 0), Err(Error::Relabelled { field: Field::Sender }));
    assert_eq!(receiver.counters().relabelled, 3);
}

#[test]
fn another_stream_is_refused_and_cannot_be_relabelled_into_this_one() {
    let (_, mut receiver) = pair(1);
    let mut other = Sender::new(StreamId([9; 32]), Epoch(1), dek(1));
    let mut chunk = frames(&mut other, 1).remove(0);
    assert_eq!(receiver.push(chunk.clone(), 0), Err(Error::WrongStream));
    chunk.header.stream = STREAM;
    assert_eq!(receiver.push(chunk, 0), Err(Error::InnerAead));
}

#[test]
fn every_flipped_bit_and_every_cut_fails_without_a_trace() {
    let (mut sender, mut receiver) = pair(1);
    let chunk = frames(&mut sender, 1).remove(0);
    for index in 0..chunk.ciphertext.len() {
        for bit in 0..8 {
            let mut bytes = chunk.ciphertext.to_vec();
            bytes[index] ^= 1 << bit;
            let changed = InnerSealed { header: chunk.header, ciphertext: bytes.into() };
            assert_eq!(receiver.push(changed, 0), Err(Error::InnerAead));
        }
        let cut = InnerSealed { header: chunk.header, ciphertext: chunk.ciphertext.slice(..index) };
        assert_eq!(receiver.push(cut, 0), Err(Error::InnerAead));
    }
    let mut counted = chunk.clone();
    counted.header.seq.0 += 1;
    assert_eq!(receiver.push(counted, 0), Err(Error::InnerAead));
    let long = InnerSealed { header: chunk.header, ciphertext: vec![0; MAX_PLAINTEXT_LEN + 17].into() };
    assert!(matches!(receiver.push(long, 0), Err(Error::Chunk(chunk::Error::TooLong { .. }))));
    assert!(receiver.push(chunk, 0).is_ok());
}

#[test]
fn a_plaintext_that_is_no_frame_payload_is_refused_by_type() {
    let (mut sender, mut receiver) = pair(1);
    let chunk = sender.seal(CodecId::OPAQUE, Layer::BASE, &[0x12, 0x00]).unwrap();
    assert!(matches!(receiver.push(chunk, 0), Err(Error::Payload(_))));
    assert_eq!(receiver.counters().malformed, 1);
}
