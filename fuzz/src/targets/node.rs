//! `edge-node`: tickets that people paste, and admission envelopes.

use std::sync::OnceLock;

use bytes::Bytes;
use data_encoding::BASE32_NOPAD;
use edge_alm::path::Descriptions;
use edge_crypto::Secret;
use edge_crypto::hash::sha256;
use edge_crypto::random::Seeded;
use edge_node::admission::{self, Keys, Refusal, Reply, Request, Tree};
use edge_node::description::Description;
use edge_node::state::Record;
use edge_node::ticket::{Hop, Ticket};
use edge_wire::Writer;
use edge_wire::id::{Epoch, Fingerprint, StreamId};

use super::{COPIES, SMALL, built, own};
use crate::{Cost, Target, Verdict};

pub(super) const TARGETS: &[Target] = &[
    Target { name: "ticket_text", cost: Cost::Parse, alloc_max: SMALL, run: ticket_text, seeds: texts },
    Target { name: "ticket_content", cost: Cost::Parse, alloc_max: SMALL, run: ticket_content, seeds: contents },
    Target { name: "admission_request", cost: Cost::Parse, alloc_max: COPIES, run: request, seeds: requests },
    Target { name: "admission_reply", cost: Cost::Parse, alloc_max: COPIES, run: reply, seeds: replies },
    Target { name: "publisher_state", cost: Cost::Parse, alloc_max: COPIES, run: record, seeds: records },
    Target { name: "admission_tree", cost: Cost::Parse, alloc_max: COPIES, run: tree, seeds: trees },
];

const STREAM: StreamId = StreamId([1; 32]);
const CHECKSUM_LEN: usize = 4;

fn ticket_text(input: &[u8]) -> Verdict {
    let parsed = std::str::from_utf8(input).map_err(|_| ()).and_then(|text| text.parse::<Ticket>().map_err(|_| ()));
    if let Ok(ticket) = &parsed {
        let again: Ticket = built(ticket.to_text().parse());
        assert_eq!(again.to_text(), ticket.to_text(), "a parsed ticket writes a text that parses to it");
    }
    parsed.into()
}

/// The input is a ticket's content, to which the right checksum is added.
fn ticket_content(input: &[u8]) -> Verdict {
    let sum = sha256(&[b"edge/ticket/v1", input]);
    let code = BASE32_NOPAD.encode(&[input, &sum[..CHECKSUM_LEN]].concat());
    ticket_text(format!("edge1{code}").as_bytes())
}

fn keys() -> &'static Keys {
    static KEYS: OnceLock<Keys> = OnceLock::new();
    KEYS.get_or_init(|| built(Keys::new(&Secret::from([2; 32]), STREAM)))
}

fn request(input: &[u8]) -> Verdict {
    keys().open_request(input, own().fingerprint()).into()
}

fn reply(input: &[u8]) -> Verdict {
    let opened = keys().open_reply(input, own().fingerprint());
    if let Ok(reply) = &opened {
        let sealed = built(keys().seal_reply(reply, own().fingerprint(), &mut Seeded::new(7)));
        let again = keys().open_reply(&sealed, own().fingerprint());
        assert_eq!(again.as_ref(), Ok(reply), "a parsed reply writes bytes that parse to it");
    }
    opened.into()
}

fn tree(input: &[u8]) -> Verdict {
    keys().open_tree(input).into()
}

/// What a vault has opened; its seal is not in the way here.
fn record(input: &[u8]) -> Verdict {
    Record::parse(input).into()
}

fn records() -> Vec<Vec<u8>> {
    let mut out = Writer::new();
    out.u8(1).u64(7).raw(&[2; 32]);
    out.u32(1).raw(&[3; 32]).bytes16(b"anna");
    out.u32(1).raw(&[4; 32]).raw(b"a snapshot");
    vec![out.finish()]
}

fn tickets() -> [Ticket; 2] {
    let hop = |addr: &str, fingerprint| Hop { addr: built(addr.parse()), transport_key: [4; 32], fingerprint };
    let publisher = Fingerprint([3; 32]);
    let hops = vec![hop("192.0.2.1:4433", publisher), hop("[2001:db8::1]:4433", Fingerprint([5; 32]))];
    let full = Ticket { stream: STREAM, publisher, hops, secret: Some(Secret::from([6; 32])) };
    [full.for_relays(), full]
}

fn texts() -> Vec<Vec<u8>> {
    tickets().iter().map(|ticket| ticket.to_text().as_bytes().to_vec()).collect()
}

fn contents() -> Vec<Vec<u8>> {
    let content = |text: Vec<u8>| {
        let mut bytes = built(BASE32_NOPAD.decode(&text[5..].to_ascii_uppercase()));
        bytes.truncate(bytes.len().saturating_sub(CHECKSUM_LEN));
        bytes
    };
    texts().into_iter().map(content).collect()
}

fn requests() -> Vec<Vec<u8>> {
    let join = Request::Join(Bytes::from_static(b"an offer"));
    vec![
        built(keys().seal_request(&join, own().fingerprint(), &mut Seeded::new(7))).to_vec(),
        admission::refresh(b"a commit").to_vec(),
        admission::leave(&own().public().to_bytes(), b"a request").to_vec(),
    ]
}

fn replies() -> Vec<Vec<u8>> {
    let description = Description {
        width: 640,
        height: 360,
        rate_num: 30,
        rate_den: 1,
        spatial_layers: 3,
        temporal_layers: 3,
        audio_channels: 1,
        descriptions: Descriptions::Two,
    };
    let welcome = Reply::Welcome {
        epoch: Epoch(4),
        tree: Tree::Apart,
        welcome: Bytes::from_static(b"a signed Welcome"),
        description,
    };
    vec![
        admission::clear_reply(&welcome).to_vec(),
        admission::clear_reply(&Reply::Refused(Refusal::Removed)).to_vec(),
        admission::clear_reply(&Reply::RefreshTurn).to_vec(),
        built(keys().seal_reply(&welcome, own().fingerprint(), &mut Seeded::new(8))).to_vec(),
    ]
}

fn trees() -> Vec<Vec<u8>> {
    vec![built(keys().seal_tree(b"a ratchet tree", &mut Seeded::new(9))).to_vec()]
}
