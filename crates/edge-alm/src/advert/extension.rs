//! What our peers add to an advertisement, in a JSON field that others ignore, under a signature of its own.

use core::net::SocketAddr;

use edge_crypto::sign::ED25519_PUBLIC_LEN;
use edge_wire::id::Fingerprint;
use edge_wire::{Writer, domain};

use super::{Error, Layout, Statement};
use crate::seats::Yields;

/// Most peers in a chain: the longest way from a publisher.
pub const CHAIN_MAX: usize = 16;
/// Most addresses of one relay.
pub const ADDRESSES_MAX: usize = 4;

/// Where a relay is, how loaded it is and how to reach it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Extension {
    /// Ascends with every advertisement of this advertiser for the stream.
    pub sequence: u64,
    /// Subscribers of the stream right now, each counted as the share of the stream that it takes, rounded up in the
    /// end.
    pub subscribers: u16,
    /// How long chunks take from the publisher to the advertiser, in ms, as it measured; 0 = not known, or the
    /// publisher.
    pub delay_ms: u32,
    /// Places among those taken that newcomers get who need the whole stream.
    pub yields: Yields,
    /// Peers from the publisher down to and including the advertiser; empty while it has no parent.
    pub chain: Vec<Fingerprint>,
    /// Where it listens.
    pub addresses: Vec<SocketAddr>,
    /// Ed25519 key of its QUIC endpoint.
    pub transport_key: [u8; ED25519_PUBLIC_LEN],
}

impl Extension {
    /// Refuses lists that are too long, a chain that loops, and addresses that the signed bytes do not hold.
    pub fn check(&self) -> Result<(), Error> {
        let wrong = |field, rule| Err(Error::OutOfRange { field, rule });
        if self.chain.len() > CHAIN_MAX {
            return wrong("chain", "must be at most 16 long");
        }
        if self.addresses.len() > ADDRESSES_MAX {
            return wrong("addresses", "must be at most 4");
        }
        let mut sorted = self.chain.clone();
        sorted.sort_unstable();
        sorted.dedup();
        if sorted.len() < self.chain.len() {
            return wrong("chain", "must not hold a peer twice");
        }
        match self.addresses.iter().all(is_plain) {
            true => Ok(()),
            false => wrong("addresses", "must have a port and no scope"),
        }
    }

    /// Hops from the publisher to the advertiser; `None` while it has no parent.
    pub fn depth(&self) -> Option<usize> {
        self.chain.len().checked_sub(1)
    }

    /// The bytes to sign: label, who, the advertisement's own signed bytes, then every field in order.
    pub fn preimage(&self, advertiser: Fingerprint, statement: &Statement) -> Result<Vec<u8>, Error> {
        let mut out = Writer::new();
        out.raw(domain::CAPACITY_EXTENSION)
            .raw(&advertiser.0)
            .bytes16(statement.advertiser.as_bytes())
            .bytes32(&Layout::CapV2Wide.canonical(statement)?)
            .u64(self.sequence)
            .u16(self.subscribers)
            .u32(self.delay_ms)
            .u16(self.yields.leaf)
            .u16(self.yields.carrier)
            .u8(self.chain.len() as u8);
        self.chain.iter().for_each(|peer| _ = out.raw(&peer.0));
        out.u8(self.addresses.len() as u8);
        self.addresses.iter().for_each(|address| write_address(&mut out, address));
        out.raw(&self.transport_key);
        Ok(out.finish())
    }
}

/// Whether the signed bytes hold all of the address.
fn is_plain(address: &SocketAddr) -> bool {
    let scoped = matches!(address, SocketAddr::V6(v6) if v6.scope_id() != 0 || v6.flowinfo() != 0);
    address.port() != 0 && !scoped
}

fn write_address(out: &mut Writer, address: &SocketAddr) {
    match address {
        SocketAddr::V4(v4) => out.u8(4).raw(&v4.ip().octets()),
        SocketAddr::V6(v6) => out.u8(6).raw(&v6.ip().octets()),
    };
    out.u16(address.port());
}
