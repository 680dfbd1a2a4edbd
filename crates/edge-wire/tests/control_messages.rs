//! Every control message survives the wire, and no bytes from the network panic the parser.
#![allow(clippy::unwrap_used, missing_docs)]

use bytes::Bytes;
use edge_wire::control::{
    BundleWish, ChunkId, MAX_CHAIN, MAX_NOTICE, MAX_OFFERS, Message, OfferId, OfferWish, Recovery, Refusal, Role,
};
use edge_wire::id::{ChunkSeq, Epoch, Fingerprint, StreamId};
use edge_wire::layer::Policy;
use edge_wire::{Error, Reader};
use proptest::prelude::*;

fn samples() -> Vec<Message> {
    let stream = StreamId([7; 32]);
    let peer = Fingerprint([9; 32]);
    let body = Bytes::from_static(b"opaque");
    vec![
        Message::Subscribe { stream, subscription: 3, policy: Policy::new(2, 1, 0), role: Role::Carrier },
        Message::Subscribed { stream, subscription: 3, chain: vec![peer; MAX_CHAIN] },
        Message::Unsubscribe { stream },
        Message::SetPolicy { stream, policy: Policy::BLINKING_DOT },
        Message::Refused { stream, reason: Refusal::Full, detail: "no room".into() },
        Message::Recover { stream, need: Recovery::LongTermReference },
        Message::Up { stream, from: peer, body: body.clone() },
        Message::Down { stream, to: peer, body: body.clone() },
        Message::Commit { stream, epoch: Epoch(4), body: body.clone() },
        Message::CommitsWanted { stream, from: Epoch(u64::MAX) },
        Message::TreeWanted { stream, epoch: Epoch(4) },
        Message::Tree { stream, epoch: Epoch(4), body },
        Message::Ended { stream, notice: Bytes::from_static(&[5; MAX_NOTICE]) },
        Message::OffersHeld { stream, offers: vec![OfferId { peer, measured_at_unix_ms: 1_760_000_000_000 }] },
        Message::OffersWanted { stream, wanted: vec![OfferWish { peer, bundle: BundleWish::Needed }] },
        Message::Offer { stream, bundle: Bytes::from_static(b"bundle"), advert: Bytes::from_static(b"{}") },
        Message::Rerouted { stream, chain: vec![peer, peer] },
        Message::Doubt { stream, chunk: ChunkId { epoch: Epoch(4), seq: ChunkSeq(u64::MAX) } },
    ]
}

#[test]
fn each_message_reads_back_as_it_was_written() {
    for message in samples() {
        assert_eq!(Message::parse(&message.to_bytes()).unwrap(), message);
    }
}

#[test]
fn truncated_and_extended_messages_are_refused() {
    for message in samples() {
        let bytes = message.to_bytes();
        for len in 0..bytes.len() {
            assert!(Message::parse(&bytes[..len]).is_err(), "{message:?} cut to {len}");
        }
        let longer = [&bytes[..], &[0]].concat();
        assert_eq!(Message::parse(&longer), Err(Error::Trailing { left: 1 }));
    }
}

#[test]
fn a_chain_longer_than_the_bound_is_refused_before_it_is_read() {
    let mut bytes = vec![2];
    bytes.extend([0; 36]);
    bytes.push(u8::try_from(MAX_CHAIN).unwrap() + 1);
    assert!(matches!(Message::parse(&bytes), Err(Error::TooLong { field: "chain", .. })));
}

#[test]
fn more_offers_than_the_bound_are_refused_before_they_are_read() {
    for kind in [14, 15] {
        let mut bytes = vec![kind];
        bytes.extend([0; 32]);
        bytes.push(u8::try_from(MAX_OFFERS).unwrap() + 1);
        assert!(matches!(Message::parse(&bytes), Err(Error::TooLong { field: "offers", .. })));
    }
}

#[test]
fn a_notice_longer_than_the_bound_is_refused_before_it_is_read() {
    let mut bytes = vec![13];
    bytes.extend([0; 32]);
    bytes.extend(u16::try_from(MAX_NOTICE + 1).unwrap().to_be_bytes());
    assert!(matches!(Message::parse(&bytes), Err(Error::TooLong { field: "notice", .. })));
}

#[test]
fn a_body_longer_than_the_message_is_refused_without_allocation() {
    let mut bytes = vec![7];
    bytes.extend([0; 64]);
    bytes.extend(u32::MAX.to_be_bytes());
    assert!(matches!(Message::parse(&bytes), Err(Error::TooLong { field: "body", .. })));
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 2_000,
        rng_seed: proptest::test_runner::RngSeed::Fixed(0x0c0ffee),
        ..ProptestConfig::default()
    })]

    #[test]
    fn bit_flips_never_panic_and_what_parses_is_canonical(
        pick in 0_usize..18, flips in prop::collection::vec((any::<prop::sample::Index>(), 0_u8..8), 0..4),
    ) {
        let mut bytes = samples()[pick].to_bytes();
        for (at, bit) in flips {
            let at = at.index(bytes.len());
            bytes[at] ^= 1 << bit;
        }
        if let Ok(message) = Message::parse(&bytes) {
            // Control characters are dropped from texts for people; everything else must round-trip.
            if !matches!(message, Message::Refused { .. }) {
                prop_assert_eq!(message.to_bytes(), bytes);
            }
        }
    }

    #[test]
    fn reader_never_gives_more_than_it_has(bytes in prop::collection::vec(any::<u8>(), 0..64), len in 0_usize..100) {
        let mut reader = Reader::new(&bytes);
        prop_assert_eq!(reader.take("x", len).is_ok(), len <= bytes.len());
    }
}
