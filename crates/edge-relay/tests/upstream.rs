//! What comes from upstream is opened once, checked, and forwarded with its inner bytes untouched.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod common;

use common::{STREAM, base, chunk, config, drain, drained_seqs, key, open, receiver, relay, wish};
use edge_link::{Incoming, Sender};
use edge_relay::{Error, Relay};
use edge_wire::chunk::{CodecId, Header, InnerSealed};
use edge_wire::id::{LinkSeq, StreamId};
use edge_wire::layer::{Layer, Policy};
use edge_wire::link::Hint;
use proptest::prelude::*;

#[test]
fn a_chunk_passes_with_its_hint_and_inner_bytes() {
    let (mut relay, mut upstream) = (relay(), receiver("relay", 200));
    let a = relay.subscribe(wish("a", 1, Policy::UNCAPPED), 0).unwrap();
    let hint = Hint { key: true, frame_start: true, temporal_index: 9, ..Hint::default() };
    let message = seal(&base(3), hint, 0);
    assert_eq!(forward(&mut relay, &message, &mut upstream), Ok(1));
    let sent = drain(&mut relay, a, 0);
    assert_eq!(sent[0].hint, hint);
    assert_eq!(open(&mut receiver("a", 1), &sent[0]).unwrap(), base(3));
}

#[test]
fn replayed_stale_and_damaged_chunks_have_their_own_error_and_reach_nobody() {
    let (mut relay, mut upstream) = (relay(), receiver("relay", 200));
    relay.subscribe(wish("a", 1, Policy::UNCAPPED), 0).unwrap();
    let message = seal(&base(3), Hint::default(), 5);
    forward(&mut relay, &message, &mut upstream).unwrap();
    let failed = |error| Err(Error::OuterOpenFailed(error));
    assert_eq!(forward(&mut relay, &message, &mut upstream), failed(edge_link::Error::Duplicate(LinkSeq(5))));
    let mut damaged = seal(&base(4), Hint::default(), 6);
    *damaged.last_mut().unwrap() ^= 1;
    assert_eq!(forward(&mut relay, &damaged, &mut upstream), failed(edge_link::Error::OuterAead));
    forward(&mut relay, &seal(&base(5), Hint::default(), 4_000), &mut upstream).unwrap();
    let stale = seal(&base(6), Hint::default(), 6);
    assert_eq!(forward(&mut relay, &stale, &mut upstream), failed(edge_link::Error::Stale(LinkSeq(6))));
    let a = relay.handles(STREAM).next().unwrap();
    assert_eq!(drained_seqs(&mut relay, a, 0), [3, 5]);
}

#[test]
fn a_chunk_that_is_refused_does_not_use_up_its_counter() {
    let (mut relay, mut upstream) = (relay(), receiver("relay", 200));
    let message = seal(&base(3), Hint::default(), 0);
    assert_eq!(forward(&mut relay, &message, &mut upstream), Err(Error::StreamNotFound(STREAM)));
    relay.subscribe(wish("a", 1, Policy::UNCAPPED), 0).unwrap();
    let inner = base(3);
    let other = StreamId([9; 32]);
    let foreign = InnerSealed { header: Header { stream: other, ..inner.header }, ..inner.clone() };
    let mismatch = Err(Error::StreamMismatch { expected: STREAM, got: other });
    assert_eq!(forward(&mut relay, &seal(&foreign, Hint::default(), 0), &mut upstream), mismatch);
    let header = Header { codec: CodecId::OPAQUE, layer: Layer::new(1, 0, 0), ..inner.header };
    let layered = InnerSealed { header, ..inner };
    assert!(matches!(forward(&mut relay, &seal(&layered, Hint::default(), 0), &mut upstream), Err(Error::Chunk(_))));
    assert_eq!(forward(&mut relay, &message, &mut upstream), Ok(1));
}

proptest! {
    #![proptest_config(config(0x5eed_0011, 256))]

    #[test]
    fn damaged_messages_are_errors_and_reach_nobody(
        at in any::<prop::sample::Index>(), bit in 0u8..8, cut in prop::option::of(any::<prop::sample::Index>()),
    ) {
        let (mut relay, mut upstream) = (relay(), receiver("relay", 200));
        let a = relay.subscribe(wish("a", 1, Policy::UNCAPPED), 0).unwrap();
        let inner = chunk(1, Layer::BASE, 60);
        let whole = seal(&inner, Hint::default(), 0);
        let mut message = whole.clone();
        match cut {
            Some(cut) => message.truncate(cut.index(message.len())),
            None => { let at = at.index(message.len()); message[at] ^= 1 << bit; }
        }
        let incoming = Incoming::parse(message);
        if incoming.is_ok_and(|incoming| relay.forward_message(STREAM, incoming, &mut upstream, 0).is_ok()) {
            // Epoch, counter, codec, layer and hint are clear text on the hop: changing them cannot be noticed here.
            let sent = drain(&mut relay, a, 0);
            prop_assert!(sent.len() <= 1);
            for sent in &sent {
                prop_assert_eq!(open(&mut receiver("a", 1), sent).unwrap().ciphertext, inner.ciphertext.clone());
            }
        } else {
            prop_assert_eq!(relay.ready().count(), 0);
            prop_assert_eq!(forward(&mut relay, &whole, &mut upstream), Ok(1));
        }
    }
}

fn seal(inner: &InnerSealed, hint: Hint, seq: u64) -> Vec<u8> {
    let mut out = Vec::new();
    Sender::start_at(key(200), b"relay", LinkSeq(seq)).seal_media_into(inner, hint, &mut out).unwrap();
    out
}

fn forward(relay: &mut Relay, message: &[u8], upstream: &mut edge_link::Receiver) -> Result<usize, Error> {
    relay.forward_message(STREAM, Incoming::parse(message.to_vec()).unwrap(), upstream, 0)
}
