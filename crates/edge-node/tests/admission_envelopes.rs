//! Admission envelopes open for their addressee under their ticket, and for nobody else.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use bytes::Bytes;
use edge_alm::path::Descriptions;
use edge_crypto::Secret;
use edge_crypto::random::Seeded;
use edge_node::admission::{Error, Keys, Refusal, Reply, Request, Tree, clear_reply, refresh};
use edge_node::description::Description;
use edge_wire::id::{Epoch, Fingerprint, StreamId};

const ANNA: Fingerprint = Fingerprint([1; 32]);
const BERT: Fingerprint = Fingerprint([2; 32]);

fn keys(secret: u8) -> Keys {
    Keys::new(&Secret::from([secret; 32]), StreamId([9; 32])).unwrap()
}

fn welcome() -> Reply {
    let description = Description {
        width: 640,
        height: 360,
        rate_num: 30,
        rate_den: 1,
        spatial_layers: 3,
        temporal_layers: 3,
        audio_channels: 1,
        descriptions: Descriptions::One,
    };
    Reply::Welcome { epoch: Epoch(4), tree: Tree::Apart, welcome: Bytes::from_static(b"signed"), description }
}

#[test]
fn a_request_opens_under_the_same_ticket_and_for_the_same_peer_only() {
    let request = Request::Join(Bytes::from_static(b"offer"));
    let sealed = keys(1).seal_request(&request, ANNA, &mut Seeded::new(1)).unwrap();
    assert_eq!(keys(1).open_request(&sealed, ANNA), Ok(request));
    assert_eq!(keys(1).open_request(&sealed, BERT), Err(Error::Sealed));
    assert_eq!(keys(2).open_request(&sealed, ANNA), Err(Error::Sealed));
}

#[test]
fn a_reply_cannot_be_turned_into_a_request_or_a_tree() {
    let sealed = keys(1).seal_reply(&welcome(), ANNA, &mut Seeded::new(1)).unwrap();
    assert_eq!(keys(1).open_reply(&sealed, ANNA), Ok(welcome()));
    assert_eq!(keys(1).open_request(&sealed, ANNA), Err(Error::Sealed));
    assert_eq!(keys(1).open_tree(&sealed), Err(Error::Sealed));
}

#[test]
fn a_refusal_is_readable_with_a_wrong_ticket_but_a_welcome_in_clear_is_not_taken() {
    let refusal = clear_reply(&Reply::Refused(Refusal::Ticket));
    assert_eq!(keys(2).open_reply(&refusal, ANNA), Ok(Reply::Refused(Refusal::Ticket)));
    assert_eq!(keys(1).open_reply(&clear_reply(&welcome()), ANNA), Err(Error::Sealed));
}

#[test]
fn a_refresh_needs_no_ticket() {
    assert_eq!(keys(2).open_request(&refresh(b"commit"), ANNA), Ok(Request::Refresh(Bytes::from_static(b"commit"))));
}

#[test]
fn every_cut_and_every_flipped_bit_is_refused() {
    let sealed = keys(1).seal_reply(&welcome(), ANNA, &mut Seeded::new(1)).unwrap();
    for len in 0..sealed.len() {
        assert!(keys(1).open_reply(&sealed[..len], ANNA).is_err(), "cut to {len}");
    }
    for bit in 0..sealed.len() * 8 {
        let mut flipped = sealed.to_vec();
        flipped[bit / 8] ^= 1 << (bit % 8);
        assert!(keys(1).open_reply(&flipped, ANNA).is_err(), "bit {bit}");
    }
}

#[test]
fn a_cut_stream_says_so_in_bits_that_are_zero_for_any_other() {
    let Reply::Welcome { description, .. } = welcome() else { panic!("a Welcome") };
    let bytes = |descriptions| {
        let mut out = edge_wire::Writer::new();
        Description { descriptions, ..description }.write(&mut out);
        out.finish()
    };
    assert_eq!(bytes(Descriptions::One), [2, 128, 1, 104, 0, 0, 0, 30, 0, 0, 0, 1, 3, 3, 1]);
    for (descriptions, temporal) in [(Descriptions::Two, 0x13), (Descriptions::Four, 0x23)] {
        let cut = bytes(descriptions);
        assert_eq!(cut[13], temporal);
        let read = Description::read(&mut edge_wire::Reader::new(&cut)).unwrap();
        assert_eq!((read.descriptions, read.temporal_layers), (descriptions, 3));
    }
    let mut unknown = bytes(Descriptions::One);
    unknown[13] = 0x33;
    assert!(Description::read(&mut edge_wire::Reader::new(&unknown)).is_err());
}
