//! `edge-wire`: chunks in both profiles, link framing, control messages, ids and the reader itself.

use bytes::Bytes;
use edge_wire::chunk::{CodecId, Header, Profile, Sealed};
use edge_wire::control::{BundleWish, ChunkId, Message, OfferId, OfferWish, Recovery, Refusal, Role};
use edge_wire::id::{ChunkSeq, Epoch, Fingerprint, KeyId, LinkSeq, StreamId};
use edge_wire::layer::{Layer, Policy};
use edge_wire::link::{Hint, Media};
use edge_wire::{Reader, Writer};

use super::{COPIES, SMALL, built};
use crate::{Cost, Target, Verdict};

pub(super) const TARGETS: &[Target] = &[
    Target { name: "chunk_strict", cost: Cost::Parse, alloc_max: COPIES, run: chunk_strict, seeds: chunks },
    Target { name: "chunk_short_headers", cost: Cost::Parse, alloc_max: COPIES, run: chunk_short, seeds: short_chunks },
    Target { name: "link_media", cost: Cost::Parse, alloc_max: SMALL, run: link_media, seeds: media },
    Target { name: "control_message", cost: Cost::Parse, alloc_max: COPIES, run: control, seeds: controls },
    Target { name: "key_id", cost: Cost::Parse, alloc_max: SMALL, run: key_id, seeds: key_ids },
    Target { name: "reader", cost: Cost::Parse, alloc_max: SMALL, run: reader, seeds: programs },
];

fn chunk_strict(input: &[u8]) -> Verdict {
    let parsed = Sealed::parse(input);
    if let Ok(chunk) = &parsed {
        assert_eq!(chunk.to_bytes(), input, "a parsed chunk writes back to its bytes");
        let _ = chunk.header.check();
    }
    parsed.into()
}

fn chunk_short(input: &[u8]) -> Verdict {
    let parsed = Sealed::parse_as(input, Profile::Release421);
    if let Ok(chunk) = &parsed {
        assert!(chunk.to_bytes().len() >= input.len(), "a parsed chunk loses no bytes");
        assert_eq!(chunk.header.stream.0[..], input[..32]);
    }
    parsed.into()
}

fn link_media(input: &[u8]) -> Verdict {
    let parsed = Media::parse(input);
    if let Ok(media) = &parsed {
        let prefix = Media::prefix(media.hint, media.seq);
        assert_eq!([&prefix[..], media.chunk].concat(), input, "framing writes back to its bytes");
    }
    parsed.into()
}

fn control(input: &[u8]) -> Verdict {
    let parsed = Message::parse(input);
    if let Ok(message) = &parsed {
        let again = Message::parse(&message.to_bytes());
        assert_eq!(again.as_ref(), Ok(message), "a parsed message writes bytes that parse to it");
    }
    parsed.into()
}

fn key_id(input: &[u8]) -> Verdict {
    let mut reader = Reader::new(input);
    let read = KeyId::read(&mut reader);
    if let Ok(key_id) = &read {
        assert!((1..=KeyId::MAX_LEN).contains(&key_id.as_bytes().len()));
        let mut out = Writer::new();
        out.bytes16(key_id.as_bytes());
        assert_eq!(out.finish()[..], input[..input.len() - reader.left()]);
    }
    read.into()
}

/// The first byte of each step says what to read; the rest of the input is what is read.
fn reader(input: &[u8]) -> Verdict {
    let mut steps = Reader::new(input);
    let mut left = steps.left();
    while let Ok(step) = steps.u8("step") {
        let read = match step % 6 {
            0 => steps.u16("a").map(|_| ()),
            1 => steps.u32("a").map(|_| ()),
            2 => steps.u64("a").map(|_| ()),
            3 => steps.bytes16("a", usize::from(step)).map(|_| ()),
            4 => steps.bytes32("a", usize::from(step)).map(|_| ()),
            _ => steps.take("a", usize::from(step)).map(|_| ()),
        };
        assert!(steps.left() < left, "a reader only goes forward");
        left = steps.left();
        if read.is_err() {
            return Verdict::Refused;
        }
    }
    steps.finish().into()
}

fn header(codec: CodecId, layer: Layer) -> Header {
    Header { stream: StreamId([7; 32]), epoch: Epoch(3), seq: ChunkSeq(u64::from(u32::MAX) + 9), codec, layer }
}

fn chunks() -> Vec<Vec<u8>> {
    let of =
        |codec, layer, len: usize| Sealed { header: header(codec, layer), ciphertext: &vec![0xa5; len] }.to_bytes();
    vec![
        of(CodecId::AV1_SVC, Layer::new(2, 1, 0), 400),
        of(CodecId::OPAQUE, Layer::BASE, 32),
        of(CodecId(0x42), Layer::new(255, 255, 255), 0),
    ]
}

fn short_chunks() -> Vec<Vec<u8>> {
    let whole = chunks();
    vec![whole[0].clone(), whole[0][..48].to_vec(), whole[1][..51].to_vec()]
}

fn media() -> Vec<Vec<u8>> {
    let hints = [Hint::default(), Hint { key: true, frame_start: true, temporal_index: 3, ..Hint::default() }];
    let of = |hint| [&Media::prefix(hint, LinkSeq(77))[..], &chunks()[0]].concat();
    hints.into_iter().map(of).collect()
}

fn controls() -> Vec<Vec<u8>> {
    let (stream, peer, epoch) = (StreamId([1; 32]), Fingerprint([2; 32]), Epoch(5));
    let body = Bytes::from_static(b"opaque to relays");
    let policy = Policy::new(2, 1, 0);
    let messages = [
        Message::Subscribe { stream, subscription: 9, policy, role: Role::Carrier },
        Message::Subscribed { stream, subscription: 9, chain: vec![peer, Fingerprint([3; 32])] },
        Message::Unsubscribe { stream },
        Message::SetPolicy { stream, policy },
        Message::Refused { stream, reason: Refusal::Full, detail: "no room".to_owned() },
        Message::Recover { stream, need: Recovery::LongTermReference },
        Message::Up { stream, from: peer, body: body.clone() },
        Message::Down { stream, to: peer, body: body.clone() },
        Message::Commit { stream, epoch, body: body.clone() },
        Message::CommitsWanted { stream, from: epoch },
        Message::TreeWanted { stream, epoch },
        Message::Tree { stream, epoch, body },
        Message::Ended { stream, notice: Bytes::from_static(b"signed by the publisher") },
        Message::OffersHeld { stream, offers: vec![OfferId { peer, measured_at_unix_ms: 1_760_000_000_000 }] },
        Message::OffersWanted { stream, wanted: vec![OfferWish { peer, bundle: BundleWish::Needed }] },
        Message::Offer { stream, bundle: Bytes::from_static(b"bundle"), advert: Bytes::from_static(b"{}") },
        Message::Rerouted { stream, chain: vec![peer, peer] },
        Message::Doubt { stream, chunk: ChunkId { epoch, seq: ChunkSeq(8) } },
    ];
    messages.iter().map(Message::to_bytes).collect()
}

fn key_ids() -> Vec<Vec<u8>> {
    let of = |name: &str| {
        let mut out = Writer::new();
        out.bytes16(built(KeyId::new(name)).as_bytes());
        out.finish()
    };
    vec![of("alice"), of("edge-müller-☂"), of(&"n".repeat(KeyId::MAX_LEN))]
}

fn programs() -> Vec<Vec<u8>> {
    vec![vec![0, 1, 2, 1, 1, 2, 3, 4, 9, 0, 3, 7, 7, 7, 5, 0, 0, 0, 0, 0], vec![10, 0, 0, 0, 2, 8, 8]]
}
