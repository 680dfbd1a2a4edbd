//! Loss, reordering, duplicates and forgeries never silence a link and never move its state.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod common;

use bytes::Bytes;
use common::config;
use edge_link::{Error, FAILED_TRIALS_PER_SECOND_MAX, Receiver, SEARCH_WINDOW, Secret, Sender};
use edge_wire::chunk::{CodecId, Header, InnerSealed, Sealed};
use edge_wire::id::{ChunkSeq, Epoch, LinkSeq, StreamId};
use edge_wire::layer::Layer;
use proptest::prelude::*;

const NOW: u64 = 5_000;

#[test]
fn guessing_recovers_from_the_longest_loss_and_gives_up_beyond() {
    let chunks = chunks(200);
    let mut receiver = receiver();
    assert_eq!(guess(&mut receiver, &chunks[0]), Ok(0));
    let after_longest_loss = 1 + SEARCH_WINDOW as usize;
    assert_eq!(guess(&mut receiver, &chunks[after_longest_loss]), Ok(after_longest_loss as u64));
    let too_far = after_longest_loss + 2 + SEARCH_WINDOW as usize;
    assert_eq!(guess(&mut receiver, &chunks[too_far]), Err(Error::OuterAead));
    assert_eq!(guess(&mut receiver, &chunks[too_far - 1]), Ok(too_far as u64 - 1));
}

#[test]
fn guessing_recovers_late_chunks_within_the_window() {
    let chunks = chunks(100);
    let mut receiver = receiver();
    assert_eq!(guess(&mut receiver, &chunks[64]), Ok(64));
    assert_eq!(guess(&mut receiver, &chunks[1]), Ok(1));
    assert_eq!(guess(&mut receiver, &chunks[1]), Err(Error::OuterAead), "a duplicate opens under no unseen counter");
    assert_eq!(guess(&mut receiver, &chunks[0]), Err(Error::OuterAead), "64 behind the expected one is out of reach");
    assert_eq!(guess(&mut receiver, &chunks[65]), Ok(65));
}

#[test]
fn a_carried_counter_survives_any_loss() {
    let chunks = chunks(2_000);
    let mut receiver = receiver();
    assert_eq!(open(&mut receiver, 0, &chunks[0]), Ok(()));
    assert_eq!(open(&mut receiver, 1_999, &chunks[1_999]), Ok(()));
    assert_eq!(open(&mut receiver, 1_999, &chunks[1_999]), Err(Error::Duplicate(LinkSeq(1_999))));
    assert_eq!(open(&mut receiver, 976, &chunks[976]), Ok(()));
    assert_eq!(open(&mut receiver, 975, &chunks[975]), Err(Error::Stale(LinkSeq(975))));
}

#[test]
fn a_forged_counter_moves_no_window() {
    let chunks = chunks(3);
    let mut receiver = receiver();
    for forged in [1, 500, u64::MAX] {
        assert_eq!(open(&mut receiver, forged, &chunks[0]), Err(Error::OuterAead));
    }
    assert_eq!(open(&mut receiver, 0, &chunks[0]), Ok(()));
    assert_eq!(open(&mut receiver, 1, &chunks[1]), Ok(()));
}

#[test]
fn a_flood_of_forgeries_costs_bounded_work_and_no_state() {
    let mut chunks = chunks(2);
    let genuine = chunks[1].clone();
    *chunks[1].last_mut().unwrap() ^= 1;
    let mut receiver = receiver();
    guess(&mut receiver, &chunks[0]).unwrap();

    let per_chunk = SEARCH_WINDOW as u32 + 1;
    for _ in 0..FAILED_TRIALS_PER_SECOND_MAX / per_chunk {
        assert_eq!(guess(&mut receiver, &chunks[1]), Err(Error::OuterAead));
    }
    assert_eq!(guess(&mut receiver, &chunks[1]), Err(Error::TrialsExhausted));
    assert_eq!(guess(&mut receiver, &genuine), Err(Error::TrialsExhausted));
    let next_second = receiver.open_guess(&Sealed::parse(&genuine).unwrap(), NOW + 1_000);
    assert_eq!(next_second.unwrap().0, LinkSeq(1));
}

#[test]
fn chunks_without_room_for_a_tag_do_not_open() {
    let chunk = &chunks(1)[0];
    for len in 52..68 {
        let cut = Sealed::parse(&chunk[..len]).unwrap();
        assert_eq!(receiver().open(LinkSeq(0), &cut), Err(Error::OuterAead));
        assert_eq!(receiver().open_guess(&cut, NOW).unwrap_err(), Error::OuterAead);
    }
}

proptest! {
    #![proptest_config(config(0x5eed_0002))]

    /// Any delivery order in which nothing is more than the window late, with losses, duplicates and damage: each chunk
    /// that arrives whole for the first time opens, nothing opens twice.
    #[test]
    fn both_ways_of_opening_take_each_chunk_exactly_once(
        fates in prop::collection::vec((0u8..8, 0usize..24), 1..150),
        carried in any::<bool>(),
    ) {
        let chunks = chunks(fates.len() as u64);
        let mut receiver = receiver();
        let mut arrivals: Vec<(usize, usize, u8)> = Vec::new();
        for (at, &(fate, delay)) in fates.iter().enumerate() {
            match fate {
                0 => {}
                1 => arrivals.extend([(at, at, fate), (at + delay, at, fate)]),
                2 => arrivals.extend([(at, at, 255), (at + delay, at, fate)]),
                _ => arrivals.push((at + delay, at, fate)),
            }
        }
        arrivals.sort();
        let mut opened = vec![false; chunks.len()];
        for (_, at, fate) in arrivals {
            let mut wire = chunks[at].clone();
            if fate == 255 {
                wire[60] ^= 1;
            }
            let result = match carried {
                true => open(&mut receiver, at as u64, &wire).map(|()| at as u64),
                // Each damaged chunk uses up trials; spreading them over seconds keeps this about recovery.
                false => receiver.open_guess(&Sealed::parse(&wire).unwrap(), at as u64 * 1_000).map(|(seq, _)| seq.0),
            };
            let expect = fate != 255 && !opened[at];
            prop_assert_eq!(result.is_ok(), expect, "chunk {} gave {:?}", at, result);
            if let Ok(seq) = result {
                prop_assert_eq!(seq, at as u64);
                opened[at] = true;
            }
        }
    }
}

fn chunks(count: u64) -> Vec<Vec<u8>> {
    let mut sender = Sender::new(Secret::from([1; 32]), b"viewer");
    let header = Header {
        stream: StreamId([5; 32]),
        epoch: Epoch(1),
        seq: ChunkSeq(0),
        codec: CodecId::AV1_SVC,
        layer: Layer::BASE,
    };
    (0..count)
        .map(|seq| {
            let inner = InnerSealed {
                header: Header { seq: ChunkSeq(seq), ..header },
                ciphertext: Bytes::from(seq.to_be_bytes().repeat(4)),
            };
            let mut out = Vec::new();
            sender.seal_into(&inner, &mut out).unwrap();
            out
        })
        .collect()
}

fn receiver() -> Receiver {
    Receiver::new(Secret::from([1; 32]), b"viewer")
}

fn guess(receiver: &mut Receiver, wire: &[u8]) -> Result<u64, Error> {
    let (seq, inner) = receiver.open_guess(&Sealed::parse(wire).unwrap(), NOW)?;
    assert_eq!(inner.header.seq.0, seq.0);
    Ok(seq.0)
}

fn open(receiver: &mut Receiver, seq: u64, wire: &[u8]) -> Result<(), Error> {
    receiver.open(LinkSeq(seq), &Sealed::parse(wire).unwrap()).map(|inner| assert_eq!(inner.header.seq.0, seq))
}
