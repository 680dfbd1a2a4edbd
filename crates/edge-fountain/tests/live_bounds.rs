//! What one neighbour can make a decoder hold is bounded, and nothing it sends harms a message beside.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod common;

use bytes::Bytes;
use common::{below, config, message, shuffle};
use edge_crypto::random::Seeded;
use edge_fountain::live::{
    AGE_MS_MAX, ATTEMPTS_MAX, BYTES_MAX, DecodeError, Decoder, Encoder, HEADER_LEN, Header, Limits, MESSAGE_LEN_MAX,
    MESSAGES_MAX, SYMBOL_COST,
};
use proptest::prelude::*;

const T: usize = 1150;

fn encoded(seq: u32, len: usize, repair: u16) -> Vec<Vec<u8>> {
    let sent = message(len, u64::from(seq));
    let mut datagrams: Vec<Vec<u8>> = Encoder::new(T).unwrap().encode(&sent, repair).unwrap().map(Vec::from).collect();
    datagrams.iter_mut().for_each(|datagram| datagram[2..6].copy_from_slice(&seq.to_be_bytes()));
    datagrams
}

fn decoder(limits: Limits) -> Decoder {
    Decoder::new(limits)
}

#[test]
fn the_oldest_message_gives_way_when_there_are_too_many() {
    let mut decoder = decoder(Limits::default());
    for seq in 0..=MESSAGES_MAX as u32 {
        assert!(decoder.push(0, &encoded(seq, 3_000, 0)[0]).unwrap().is_none());
    }
    assert_eq!((decoder.in_progress(), decoder.stats().abandoned), (MESSAGES_MAX, 1));
    assert!(encoded(0, 3_000, 0).iter().all(|symbol| decoder.push(0, symbol).unwrap().is_none()), "given up");
    let last = encoded(MESSAGES_MAX as u32, 3_000, 0);
    assert_eq!(last[1..].iter().filter_map(|symbol| decoder.push(0, symbol).unwrap()).count(), 1);
}

#[test]
fn bytes_are_bounded_by_displacing_the_oldest() {
    let limits = Limits { bytes: 20_000, ..Limits::default() };
    let mut decoder = decoder(limits);
    for seq in 0..8 {
        for symbol in encoded(seq, 10_000, 0).iter().take(6) {
            decoder.push(0, symbol).unwrap();
            assert!(decoder.bytes() <= 20_000);
        }
    }
    assert!(decoder.stats().abandoned >= 5);
    let newest = encoded(7, 10_000, 0);
    assert_eq!(newest[6..].iter().filter_map(|symbol| decoder.push(0, symbol).unwrap()).count(), 1);
}

#[test]
fn a_message_longer_than_all_room_is_given_up_alone() {
    let mut decoder = decoder(Limits { bytes: 5 * (T + SYMBOL_COST), ..Limits::default() });
    assert!(encoded(0, 10_000, 0).iter().all(|symbol| decoder.push(0, symbol).unwrap().is_none()));
    assert_eq!((decoder.in_progress(), decoder.bytes(), decoder.stats().abandoned), (0, 0, 1));
}

#[test]
fn limits_cannot_be_raised_above_the_constants() {
    let unlimited = Limits { messages: usize::MAX, bytes: usize::MAX, message_len: usize::MAX, age_ms: u64::MAX };
    let mut decoder = decoder(unlimited);
    for seq in 0..2 * MESSAGES_MAX as u32 {
        for symbol in encoded(seq, 200_000, 0).iter().skip(1) {
            decoder.push(0, symbol).unwrap();
            assert!(decoder.in_progress() <= MESSAGES_MAX && decoder.bytes() <= BYTES_MAX);
        }
    }
}

#[test]
fn an_old_message_expires_and_its_symbols_are_late() {
    let mut decoder = decoder(Limits::default());
    let symbols = encoded(0, 3_000, 1);
    decoder.push(5, &symbols[0]).unwrap();
    decoder.push(5 + AGE_MS_MAX, &symbols[1]).unwrap();
    decoder.expire(5 + AGE_MS_MAX);
    assert_eq!(decoder.in_progress(), 1);
    decoder.expire(6 + AGE_MS_MAX);
    assert_eq!((decoder.in_progress(), decoder.bytes(), decoder.stats().abandoned), (0, 0, 1));
    assert!(decoder.push(6 + AGE_MS_MAX, &symbols[2]).unwrap().is_none());
    assert_eq!(decoder.stats().late, 1);
}

#[test]
fn a_symbol_that_disagrees_is_refused_and_the_message_goes_on() {
    let mut decoder = decoder(Limits::default());
    let symbols = encoded(9, 3_000, 2);
    decoder.push(0, &symbols[0]).unwrap();
    for other in [encoded(9, 2_999, 2), encoded(9, 3_000, 3), encoded(9, 10_000, 2), encoded(9, 100, 2)] {
        assert!(matches!(decoder.push(0, &other[1]), Err(DecodeError::Disagrees { seq: 9 })));
    }
    assert_eq!(symbols[1..].iter().filter_map(|symbol| decoder.push(0, symbol).unwrap()).count(), 1);
}

#[test]
fn lengths_are_checked_before_anything_is_kept() {
    let mut decoder = decoder(Limits { message_len: 1_000, ..Limits::default() });
    assert!(matches!(decoder.push(0, &encoded(0, 1_001, 0)[0]), Err(DecodeError::TooLong { len: 1_001, .. })));
    let mut symbol = encoded(0, 900, 1)[0].clone();
    for (at, bytes) in [
        (6, &u32::MAX.to_be_bytes()[..]),
        (6, &(MESSAGE_LEN_MAX as u32 + 1).to_be_bytes()),
        (6, &[0; 4]),
        (10, &[0; 2]),
        (10, &[0xff; 2]),
        (10, &[0, 4]),
        (12, &[0xff; 2]),
        (14, &[0, 4]),
        (1, &[2]),
    ] {
        let mut changed = symbol.clone();
        changed[at..at + bytes.len()].copy_from_slice(bytes);
        assert!(matches!(decoder.push(0, &changed), Err(DecodeError::Wire(_))), "{at} {bytes:?}");
    }
    symbol.push(0);
    assert!(matches!(decoder.push(0, &symbol), Err(DecodeError::Wire(_))));
    assert!((0..HEADER_LEN).all(|len| decoder.push(0, &symbol[..len]).is_err()));
    assert_eq!((decoder.in_progress(), decoder.bytes()), (0, 0));
}

#[test]
fn a_message_is_tried_a_bounded_number_of_times() {
    let mut worst = 0;
    for seed in 0..400u64 {
        let mut datagrams: Vec<Bytes> = Encoder::new(4).unwrap().encode(&message(40, seed), 60).unwrap().collect();
        shuffle(&mut datagrams, &mut Seeded::new(seed));
        let mut decoder = decoder(Limits::default());
        let needed = datagrams.iter().position(|datagram| decoder.push(0, datagram).unwrap().is_some()).unwrap() + 1;
        worst = worst.max(needed - 10);
    }
    assert!(worst < usize::from(ATTEMPTS_MAX), "{worst} symbols more than pieces");
}

proptest! {
    #![proptest_config(config(0x5eed_f002, 128))]

    #[test]
    fn changed_datagrams_never_panic_nor_pass_the_bounds(
        seed in any::<u64>(),
        lens in prop::collection::vec(1usize..6_000, 1..12),
    ) {
        let mut random = Seeded::new(seed);
        let mut encoder = Encoder::new(300).unwrap();
        let mut datagrams: Vec<Vec<u8>> = Vec::new();
        for (i, len) in lens.iter().enumerate() {
            datagrams.extend(encoder.encode(&message(*len, seed ^ i as u64), 6).unwrap().map(Vec::from));
        }
        shuffle(&mut datagrams, &mut random);
        let limits = Limits { messages: 4, bytes: 8_000, message_len: 5_000, age_ms: 50 };
        let mut decoder = decoder(limits);
        for (now_ms, datagram) in datagrams.iter_mut().enumerate() {
            for _ in 0..below(&mut random, 3) {
                let at = below(&mut random, 20) as usize % datagram.len();
                datagram[at] = below(&mut random, 256) as u8;
            }
            if below(&mut random, 20) == 0 {
                datagram.truncate(below(&mut random, 400) as usize);
            }
            if let Ok(Some(message)) = decoder.push(now_ms as u64, datagram) {
                let (header, _) = Header::parse(datagram).unwrap();
                prop_assert_eq!(message.len(), header.message_len());
            }
            prop_assert!(decoder.in_progress() <= 4 && decoder.bytes() <= 8_000);
        }
        decoder.expire(u64::MAX);
        prop_assert_eq!((decoder.in_progress(), decoder.bytes()), (0, 0));
    }
}
