//! `edge-alm`: capacity advertisements, read, verified and offered to a book; notices that a stream is over.

use std::sync::OnceLock;

use edge_alm::advert::{Accept, Advert, Book, Capacity, Commitment, Extension, PublicKeys, Statement};
use edge_alm::ending::Ending;
use edge_alm::path::RawPath;
use edge_wire::id::{Epoch, Fingerprint, StreamId};
use edge_wire::layer::Policy;

use super::{SMALL, built, own};
use crate::{Cost, Target, Verdict};

pub(super) const TARGETS: &[Target] = &[
    Target { name: "capacity_advert", cost: Cost::Crypto, alloc_max: SMALL, run: advert, seeds: adverts },
    Target { name: "stream_ending", cost: Cost::Crypto, alloc_max: SMALL, run: ending, seeds: endings },
];

const NOW_UNIX_MS: u64 = 1_750_000_000_000;
const STREAM: StreamId = StreamId([7; 32]);
const EPOCH: Epoch = Epoch(3);
const ENDING: Ending = Ending { stream: STREAM, epoch: EPOCH, at_unix_ms: NOW_UNIX_MS };

/// What verifies says what was signed, and a book takes nothing that does not verify.
fn advert(input: &[u8]) -> Verdict {
    let parsed = Advert::parse(input);
    if let Ok(advert) = &parsed {
        assert_eq!(advert.json(), input, "bytes are kept as they came");
        let _ = (advert.statement().capacity.check(), advert.statement().capacity.check_time(NOW_UNIX_MS));
    }
    let verified = parsed.and_then(|advert| advert.verify(PublicKeys::Bundle(own().public())));
    if let Ok(verified) = &verified {
        let says = signed().iter().any(|signed| signed.statement() == verified.statement());
        assert!(says, "a changed statement verifies");
        let adds = signed().iter().any(|signed| signed.extension() == verified.extension());
        assert!(adds || verified.extension().is_none(), "a changed extension verifies");
    }
    let mut book = Book::new(STREAM, EPOCH, Accept::Any);
    let taken = book.offer(NOW_UNIX_MS, Fingerprint([1; 32]), input, |_| Some(own().public()));
    assert!(taken.is_err() || verified.is_ok(), "a book takes what does not verify");
    verified.into()
}

/// What verifies says what was signed.
fn ending(input: &[u8]) -> Verdict {
    let verified = Ending::verify(STREAM, own().fingerprint(), input);
    if let Ok(ending) = &verified {
        assert_eq!(*ending, ENDING, "a changed notice verifies");
    }
    verified.into()
}

fn endings() -> Vec<Vec<u8>> {
    vec![built(ENDING.sign(own())), Vec::new()]
}

fn adverts() -> Vec<Vec<u8>> {
    signed().iter().map(|advert| advert.json().to_vec()).collect()
}

fn signed() -> &'static [Advert] {
    static SIGNED: OnceLock<Vec<Advert>> = OnceLock::new();
    SIGNED.get_or_init(|| {
        let plain = built(Advert::sign_plain(statement(Vec::new()), own().signing_key()));
        let commitments = [0, 1].map(|side| Commitment {
            sub_stream_path: RawPath::new([side]),
            uplink_budget_mbps: 2.5,
            max_subscribers: 4,
        });
        let extension = Extension {
            sequence: 9,
            subscribers: 2,
            delay_ms: 35,
            yields: edge_alm::seats::Yields { leaf: 1, carrier: 2 },
            chain: vec![Fingerprint([2; 32]), own().fingerprint()],
            addresses: [([192, 0, 2, 7], 4433).into()].into(),
            transport_key: *own().public().transport(),
        };
        vec![plain, built(Advert::sign(statement(commitments.to_vec()), extension, own()))]
    })
}

fn statement(sub_stream_commitments: Vec<Commitment>) -> Statement {
    Statement {
        advertiser: own().key_id().clone(),
        capacity: Capacity {
            uplink_mbps: 12.1,
            max_streams: 3,
            max_subscribers_per_stream: 9,
            measured_at_unix_ms: NOW_UNIX_MS,
            max_layer_supported: Policy::UNCAPPED,
            sub_stream_commitments,
        },
        stream: STREAM,
        epoch: EPOCH,
    }
}
