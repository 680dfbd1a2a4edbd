//! `edge-net`: proofs of identity, the first bytes that a stranger's application sends.

use edge_net::parse_proof;
use edge_wire::Writer;

use super::{SMALL, built, own};
use crate::{Cost, Target, Verdict};

pub(super) const TARGETS: &[Target] =
    &[Target { name: "handshake_proof", cost: Cost::Decode, alloc_max: SMALL, run: proof, seeds: proofs }];

/// As the handshake's specification has them.
const VERSION: u8 = 1;
const DIALER: u8 = 1;

fn proof(input: &[u8]) -> Verdict {
    parse_proof(input).into()
}

fn proofs() -> Vec<Vec<u8>> {
    let (bundle, signature) = (own().public().to_bytes(), built(own().sign(b"any statement")).to_bytes());
    let mut out = Writer::new();
    out.u8(VERSION).u8(DIALER).bytes16(&bundle).raw(&signature);
    vec![out.finish()]
}
