//! Whatever a hop does to its datagrams, a message comes out once and unchanged, or not at all.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod common;

use std::collections::HashMap;

use bytes::Bytes;
use common::{config, message, shuffle};
use edge_crypto::random::Seeded;
use edge_fountain::live::{
    Decoder, EncodeError, Encoder, HEADER_LEN, Header, Limits, MAGIC, MESSAGE_LEN_MAX, REPAIR_MAX, SOURCE_MAX, WINDOW,
    is_symbol,
};
use proptest::prelude::*;

const T: usize = 1150;

fn deliver(decoder: &mut Decoder, now_ms: u64, datagrams: impl IntoIterator<Item = Bytes>) -> Vec<Vec<u8>> {
    datagrams.into_iter().filter_map(|datagram| decoder.push(now_ms, &datagram).unwrap()).collect()
}

#[test]
fn symbols_are_laid_out_as_the_format_says() {
    let mut encoder = Encoder::new(4).unwrap();
    encoder.encode(b"first", 0).unwrap();
    let datagrams: Vec<Bytes> = encoder.encode(b"ABCDEFGHIJ", 2).unwrap().collect();
    assert_eq!(datagrams.len(), 5);
    assert_eq!(HEADER_LEN, 16);
    let prefix = |id| [0xf7, 0x01, 0, 0, 0, 1, 0, 0, 0, 10, 0, 3, 0, 2, 0, id];
    for (id, piece) in [&b"ABCD"[..], b"EFGH", b"IJ\0\0"].into_iter().enumerate() {
        assert_eq!(datagrams[id], [&prefix(id as u8)[..], piece].concat());
    }
    assert!(datagrams.iter().all(|datagram| datagram.len() == 20 && is_symbol(datagram)));
    assert_eq!(&datagrams[4][..16], prefix(4));
    assert!(!is_symbol(&MAGIC[..1]));
}

#[test]
fn pieces_of_a_message_are_equally_long() {
    let encoder = Encoder::new(T).unwrap();
    for len in [1, 2, T, T + 1, 2 * T, 2 * T + 1, 2_500, 10_000, 65_536, MESSAGE_LEN_MAX] {
        let mut encoder = Encoder::new(T).unwrap();
        let datagrams: Vec<Bytes> = encoder.encode(&message(len, 1), 0).unwrap().collect();
        assert_eq!(datagrams.len(), len.div_ceil(T));
        let (header, symbol) = Header::parse(&datagrams[0]).unwrap();
        assert_eq!(symbol.len(), len.div_ceil(datagrams.len()));
        assert!(datagrams.iter().all(|datagram| datagram.len() == HEADER_LEN + symbol.len()));
        assert_eq!(usize::from(header.source), datagrams.len());
    }
    assert_eq!(encoder.source_count(2_500).unwrap(), 3);
}

#[test]
fn all_pieces_give_the_message_without_repair() {
    let sent = message(10_000, 2);
    let datagrams: Vec<Bytes> = Encoder::new(T).unwrap().encode(&sent, 4).unwrap().collect();
    let mut decoder = Decoder::new(Limits::default());
    assert_eq!(deliver(&mut decoder, 0, datagrams.iter().take(9).cloned()), vec![sent]);
    assert_eq!(decoder.stats().repaired, 0);
    assert_eq!(deliver(&mut decoder, 0, datagrams), Vec::<Vec<u8>>::new());
    assert_eq!((decoder.stats().late, decoder.in_progress(), decoder.bytes()), (13, 0, 0));
}

#[test]
fn a_message_of_one_datagram_is_sent_as_it_is_and_copies_repeat_it() {
    let sent = message(300, 3);
    let datagrams: Vec<Bytes> = Encoder::new(T).unwrap().encode(&sent, 2).unwrap().collect();
    assert!(datagrams.iter().all(|datagram| datagram[HEADER_LEN..] == sent));
    for any in &datagrams {
        let mut decoder = Decoder::new(Limits::default());
        assert_eq!(deliver(&mut decoder, 0, [any.clone()]), vec![sent.clone()]);
        assert_eq!(deliver(&mut decoder, 0, datagrams.clone()), Vec::<Vec<u8>>::new());
    }
}

#[test]
fn what_cannot_be_sent_is_refused_before_it_costs_anything() {
    assert!(matches!(Encoder::new(0), Err(EncodeError::SymbolLen(0))));
    assert!(matches!(Encoder::new(65_536), Err(EncodeError::SymbolLen(65_536))));
    let mut encoder = Encoder::new(T).unwrap();
    assert!(matches!(encoder.encode(&[], 1), Err(EncodeError::Empty)));
    assert!(matches!(encoder.encode(&vec![0; MESSAGE_LEN_MAX + 1], 1), Err(EncodeError::TooLong { .. })));
    assert!(matches!(encoder.encode(&[0], REPAIR_MAX + 1), Err(EncodeError::Repair(_))));
    encoder.set_symbol_len_max(2).unwrap();
    let longest = 2 * usize::from(SOURCE_MAX);
    assert!(matches!(encoder.encode(&vec![0; longest + 1], 0), Err(EncodeError::TooLong { max: 2048, .. })));
    assert_eq!(encoder.encode(&vec![0; longest], REPAIR_MAX).unwrap().len(), 3072);
}

#[test]
fn the_counter_wraps_without_a_gap() {
    let sent = message(3_000, 4);
    let mut datagrams: Vec<Vec<u8>> = Encoder::new(T).unwrap().encode(&sent, 0).unwrap().map(Vec::from).collect();
    let mut decoder = Decoder::new(Limits::default());
    for seq in [u32::MAX - 1, 0, u32::MAX, 2, 1] {
        datagrams.iter_mut().for_each(|datagram| datagram[2..6].copy_from_slice(&seq.to_be_bytes()));
        let symbols = datagrams.iter().cloned().map(Bytes::from);
        assert_eq!(deliver(&mut decoder, 0, symbols.clone()).len(), 1, "message {seq}");
        assert_eq!(deliver(&mut decoder, 0, symbols).len(), 0, "message {seq} again");
    }
}

#[test]
fn a_jump_of_the_counter_forgets_no_message_within_the_window() {
    let mut decoder = Decoder::new(Limits::default());
    let mut datagram = Encoder::new(T).unwrap().encode(b"one", 0).unwrap().next().unwrap().to_vec();
    let window = u32::try_from(WINDOW).unwrap();
    let mut push = |seq: u32| {
        datagram[2..6].copy_from_slice(&seq.to_be_bytes());
        decoder.push(0, &datagram).unwrap().is_some()
    };
    assert!(push(5));
    assert!(push(5 + window - 1));
    assert!(!push(5));
    assert!(push(6));
    assert!(push(5 + window));
    assert!(!push(5), "behind the window");
    assert!(!push(6), "delivered");
    assert!(push(5 + 10 * window));
    assert!(push(6 + 9 * window), "the oldest of the new window was never seen");
    assert!(!push(5 + 9 * window), "behind the new window");
    assert!(!push(5 + window - 1), "far behind");
}

/// What a hop does to one datagram.
#[derive(Debug, Clone, Copy)]
struct Hop {
    loss_percent: u64,
    duplicate_percent: u64,
    reorder: usize,
}

fn hop() -> impl Strategy<Value = Hop> {
    (0u64..60, 0u64..30, 1usize..400).prop_map(|(loss_percent, duplicate_percent, reorder)| Hop {
        loss_percent,
        duplicate_percent,
        reorder,
    })
}

fn carry(hop: Hop, datagrams: Vec<Bytes>, random: &mut Seeded) -> Vec<Bytes> {
    let mut arrived = Vec::new();
    for datagram in datagrams {
        if common::below(random, 100) < hop.loss_percent {
            continue;
        }
        if common::below(random, 100) < hop.duplicate_percent {
            arrived.push(datagram.clone());
        }
        arrived.push(datagram);
    }
    arrived.chunks_mut(hop.reorder).for_each(|chunk| shuffle(chunk, random));
    arrived
}

proptest! {
    #![proptest_config(config(0x5eed_f001, 96))]

    #[test]
    fn messages_arrive_once_and_unchanged_or_not_at_all(
        hop in hop(),
        lens in prop::collection::vec(prop_oneof![1usize..3_000, 1usize..40_000], 1..24),
        repair in 0u16..24,
        symbol_len in prop_oneof![Just(T), 40usize..2_000],
        seed in any::<u64>(),
    ) {
        let mut random = Seeded::new(seed);
        let mut encoder = Encoder::new(symbol_len).unwrap();
        let messages: Vec<Vec<u8>> = lens.iter().enumerate().map(|(i, len)| message(*len, seed ^ i as u64)).collect();
        let sent: Vec<Vec<Bytes>> =
            messages.iter().map(|message| encoder.encode(message, repair).unwrap().collect()).collect();
        let arrived = carry(hop, sent.concat(), &mut random);
        let mut distinct: HashMap<u32, std::collections::HashSet<u16>> = HashMap::new();
        for datagram in &arrived {
            let (header, _) = Header::parse(datagram).unwrap();
            distinct.entry(header.seq).or_default().insert(header.id);
        }
        let mut decoder = Decoder::new(Limits::default());
        let delivered = deliver(&mut decoder, 0, arrived);
        let mut left: Vec<&Vec<u8>> = messages.iter().collect();
        for got in &delivered {
            let place = left.iter().position(|message| *message == got);
            prop_assert!(place.is_some(), "a message that was not sent, or was delivered before");
            left.swap_remove(place.unwrap());
        }
        for (seq, symbols) in &distinct {
            let message = &messages[*seq as usize];
            let needed = message.len().div_ceil(symbol_len);
            let enough = symbols.len() >= if needed == 1 { 1 } else { needed + 3 };
            prop_assert!(!enough || delivered.contains(message), "{} of {needed} symbols", symbols.len());
            let twin = messages.iter().filter(|other| *other == message).count() > 1;
            prop_assert!(symbols.len() >= needed || twin || !delivered.contains(message));
        }
        prop_assert_eq!(decoder.stats().delivered, delivered.len() as u64);
    }
}
