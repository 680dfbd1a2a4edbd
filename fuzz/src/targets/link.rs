//! `edge-link` and `edge-seal`: what arrives under a hop key, and what an opened payload says.

use std::sync::OnceLock;

use bytes::Bytes;
use edge_crypto::Secret;
use edge_crypto::random::Seeded;
use edge_link::kex::{self, Ephemeral, OwnKeys, PeerKeys};
use edge_link::{Receiver, Sender};
use edge_seal::payload::{Flags, Header, Origin, Payload, References, Track};
use edge_seal::{EpochDek, InnerSealed};
use edge_wire::chunk::{self, CodecId, Sealed};
use edge_wire::id::{ChunkSeq, Epoch, StreamId};
use edge_wire::layer::Layer;
use edge_wire::link::{Hint, Media};

use super::{COPIES, SMALL, built, own};
use crate::{Cost, Target, Verdict};

pub(super) const TARGETS: &[Target] = &[
    Target { name: "link_receiver", cost: Cost::Parse, alloc_max: COPIES, run: receiver, seeds: messages },
    Target { name: "link_kex_json", cost: Cost::Crypto, alloc_max: SMALL, run: kex_json, seeds: kex_messages },
    Target { name: "frame_payload", cost: Cost::Parse, alloc_max: COPIES, run: payload, seeds: payloads },
    Target { name: "seal_receiver", cost: Cost::Parse, alloc_max: COPIES, run: seal_receiver, seeds: inner_chunks },
];

const LINK_ID: &[u8] = b"fuzz";
const STREAM: StreamId = StreamId([6; 32]);

/// What opens was sealed: only the very message does.
fn receiver(input: &[u8]) -> Verdict {
    static SEALED: OnceLock<Vec<Vec<u8>>> = OnceLock::new();
    let sealed = SEALED.get_or_init(messages);
    let Ok(media) = Media::parse(input) else { return Verdict::Refused };
    let Ok(chunk) = Sealed::parse(media.chunk) else { return Verdict::Refused };
    let mut receiver = Receiver::new(Secret::from([3; 32]), LINK_ID);
    let opened = receiver.open(media.seq, &chunk);
    if opened.is_ok() {
        let ciphertext = edge_wire::link::PREFIX_LEN + chunk::PREFIX_LEN;
        assert!(sealed.iter().any(|sealed| sealed[ciphertext..] == input[ciphertext..]), "a changed chunk opens");
        assert!(receiver.open(media.seq, &chunk).is_err(), "a replay opens");
    }
    opened.into()
}

fn kex_json(input: &[u8]) -> Verdict {
    let keys = || OwnKeys {
        x25519: edge_crypto::kem::X25519Private::new(Secret::from(*own().x25519().secret().expose())),
        mlkem: Some(edge_crypto::kem::MlKemPrivate::new(Secret::from(*own().mlkem().secret().expose()))),
    };
    static KEYS: OnceLock<OwnKeys> = OnceLock::new();
    kex::respond(kex::Policy::HybridOrClassical, KEYS.get_or_init(keys), input).into()
}

fn payload(input: &[u8]) -> Verdict {
    let plaintext = Bytes::copy_from_slice(input);
    let parsed = Payload::parse(&plaintext);
    if let Ok(payload) = &parsed {
        let written = built(payload.header.prepend_to(&payload.data));
        assert_eq!(written, input, "a parsed payload writes back to its bytes");
    }
    parsed.into()
}

/// The input is a chunk as a relay may hand it on: a clear header that anybody may write, and an inner ciphertext.
fn seal_receiver(input: &[u8]) -> Verdict {
    let Ok(chunk) = Sealed::parse(input) else { return Verdict::Refused };
    let inner = InnerSealed { header: chunk.header, ciphertext: Bytes::copy_from_slice(chunk.ciphertext) };
    let mut receiver = edge_seal::Receiver::new(STREAM, Epoch(1));
    built(receiver.install(Epoch(1), EpochDek::new(Secret::from([4; 32])), 0));
    receiver.push(inner, 1).into()
}

fn frame_header() -> Header {
    Header {
        flags: Flags::END_OF_UNIT,
        track: Track::VIDEO,
        codec: CodecId::AV1_SVC,
        layer: Layer::new(1, 2, 0),
        sender: Origin([7; 16]),
        frame_number: 12,
        pts_us: 400_000,
        captured_us: 1_800_000_000_000_000,
        duration_us: 33_333,
        unit_id: 49,
        references: built(References::new(&[1, 4])),
    }
}

fn payloads() -> Vec<Vec<u8>> {
    let key = Header {
        flags: Flags::KEY_FRAME | Flags::DISCARDABLE,
        layer: Layer::BASE,
        references: References::NONE,
        ..frame_header()
    };
    vec![built(frame_header().prepend_to(b"a layer frame")), built(key.prepend_to(b""))]
}

fn inner() -> InnerSealed {
    let header = chunk::Header {
        stream: STREAM,
        epoch: Epoch(1),
        seq: ChunkSeq(2),
        codec: CodecId::AV1_SVC,
        layer: Layer::new(1, 2, 0),
    };
    let plaintext = built(frame_header().prepend_to(b"a layer frame"));
    built(edge_seal::seal_inner(&EpochDek::new(Secret::from([4; 32])), header, &plaintext))
}

fn inner_chunks() -> Vec<Vec<u8>> {
    let inner = inner();
    vec![Sealed { header: inner.header, ciphertext: &inner.ciphertext }.to_bytes()]
}

fn messages() -> Vec<Vec<u8>> {
    let mut sender = Sender::new(Secret::from([3; 32]), LINK_ID);
    let of = |hint: Hint| {
        let mut out = Vec::new();
        built(sender.seal_media_into(&inner(), hint, &mut out));
        out
    };
    [Hint::default(), Hint { key: true, ..Hint::default() }].map(of).to_vec()
}

fn kex_messages() -> Vec<Vec<u8>> {
    let peer = PeerKeys { x25519: *own().public().x25519(), mlkem: Some(own().public().mlkem().clone()) };
    let mut random = Seeded::new(6);
    let mut of = |policy| built(kex::initiate(policy, &peer, Ephemeral::generate(&mut random))).message;
    vec![of(kex::Policy::HybridRequired), of(kex::Policy::Classical)]
}
