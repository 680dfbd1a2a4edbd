//! Tickets: what a person hands on so that another peer can find a stream and, with a join secret, be admitted to it.
//!
//! Text form: `edge1` and lower-case base32 of `version || stream || publisher || hops || secret? || checksum`.
//! Specified in `docs/spec/ticket.md`.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::str::FromStr;

use data_encoding::BASE32_NOPAD;
use edge_crypto::{Random, Secret, hash};
use edge_identity::bundle::KeyBundle;
use edge_wire::id::{Fingerprint, StreamId};
use edge_wire::{Reader, Writer};
use zeroize::Zeroizing;

/// Most ways to reach the stream that one ticket may list.
pub const MAX_HOPS: usize = 8;
/// Longest ticket text, in bytes.
pub const MAX_TEXT: usize = 2048;

const PREFIX: &str = "edge1";
const VERSION: u8 = 1;
const CHECKSUM_LEN: usize = 4;
const WITH_SECRET: u8 = 1;
const WITHOUT_SECRET: u8 = 0;

/// Secret shared by everybody who may ask to be admitted; it opens no media.
pub type JoinSecret = Secret<32>;

/// One peer that carries the stream: where it listens and which keys it must prove.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Hop {
    /// UDP address.
    pub addr: SocketAddr,
    /// Ed25519 key of its QUIC endpoint.
    pub transport_key: [u8; 32],
    /// Fingerprint of its identity.
    pub fingerprint: Fingerprint,
}

/// A parsed ticket. Without a join secret it lets a peer carry the stream, but not be admitted to the group.
#[derive(Debug)]
pub struct Ticket {
    /// The stream.
    pub stream: StreamId,
    /// The publisher, whose signature a Welcome must carry.
    pub publisher: Fingerprint,
    /// Peers that carry the stream, the preferred one first; never empty.
    pub hops: Vec<Hop>,
    /// Present in tickets for viewers.
    pub secret: Option<JoinSecret>,
}

/// Why a text is not a ticket.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// It does not begin like a ticket.
    #[error("this is not a ticket: a ticket begins with `edge1`")]
    Prefix,
    /// It is longer than any ticket.
    #[error("ticket of {got} characters is longer than {MAX_TEXT}")]
    TooLong {
        /// Characters given.
        got: usize,
    },
    /// A character that no ticket holds, or a bad length.
    #[error("the ticket is damaged: copy it again, whole and without spaces")]
    Encoding,
    /// Its checksum does not fit.
    #[error("the ticket is damaged or incomplete (checksum): copy it again")]
    Checksum,
    /// A version that this program does not know.
    #[error("ticket version {0} is not known here: update this program")]
    Version(u8),
    /// Its fields do not parse.
    #[error("the ticket's content is malformed")]
    Content(#[from] edge_wire::Error),
}

impl Ticket {
    /// A fresh join secret.
    pub fn new_secret(random: &mut dyn Random) -> JoinSecret {
        Secret::random(random)
    }

    /// The same ticket without its join secret, for relays.
    pub fn for_relays(&self) -> Self {
        Self { stream: self.stream, publisher: self.publisher, hops: self.hops.clone(), secret: None }
    }

    /// The text form. The secret part is wiped from intermediate buffers; the text itself is the caller's to guard.
    pub fn to_text(&self) -> Zeroizing<String> {
        let bytes = Zeroizing::new(self.to_bytes());
        let mut text = String::with_capacity(PREFIX.len() + bytes.len() * 8 / 5 + 8);
        text.push_str(PREFIX);
        text.push_str(&BASE32_NOPAD.encode(&bytes).to_ascii_lowercase());
        Zeroizing::new(text)
    }

    fn to_bytes(&self) -> Vec<u8> {
        let mut out = Writer::new();
        out.u8(VERSION).raw(&self.stream.0).raw(&self.publisher.0);
        out.u8(u8::try_from(self.hops.len()).unwrap_or(u8::MAX));
        self.hops.iter().for_each(|hop| write_hop(&mut out, hop, self.publisher));
        match &self.secret {
            Some(secret) => out.u8(WITH_SECRET).raw(secret.expose()),
            None => out.u8(WITHOUT_SECRET),
        };
        let mut bytes = out.finish();
        let sum = checksum(&bytes);
        bytes.extend(sum);
        bytes
    }

    fn parse_bytes(bytes: &[u8]) -> Result<Self, Error> {
        let body_len = bytes.len().checked_sub(CHECKSUM_LEN).ok_or(Error::Encoding)?;
        let (body, sum) = bytes.split_at(body_len);
        if checksum(body) != sum {
            return Err(Error::Checksum);
        }
        let mut reader = Reader::new(body);
        match reader.u8("version")? {
            VERSION => {}
            other => return Err(Error::Version(other)),
        }
        let stream = StreamId(reader.array("stream_id")?);
        let publisher = Fingerprint(reader.array("publisher")?);
        let hops = read_hops(&mut reader, publisher)?;
        let secret = match reader.u8("secret")? {
            WITHOUT_SECRET => None,
            WITH_SECRET => Some(Secret::take(&mut reader.array("secret")?)),
            got => return Err(edge_wire::Error::Unknown { field: "secret", got: u64::from(got) }.into()),
        };
        reader.finish()?;
        Ok(Self { stream, publisher, hops, secret })
    }
}

/// The ways to reach a node that listens on `listen`: the `advertise`d addresses, or the listening one. A wildcard
/// address is told as loopback, which is right on this machine and says plainly that others need `--advertise`.
pub fn own_hops(bundle: &KeyBundle, listen: SocketAddr, advertise: &[SocketAddr]) -> Vec<Hop> {
    let loopback = match listen {
        SocketAddr::V4(_) => IpAddr::V4(Ipv4Addr::LOCALHOST),
        SocketAddr::V6(_) => IpAddr::V6(Ipv6Addr::LOCALHOST),
    };
    let reachable = if listen.ip().is_unspecified() { SocketAddr::new(loopback, listen.port()) } else { listen };
    let addrs = if advertise.is_empty() { vec![reachable] } else { advertise.to_vec() };
    let (transport_key, fingerprint) = (*bundle.public().transport(), bundle.fingerprint());
    addrs.into_iter().take(MAX_HOPS).map(|addr| Hop { addr, transport_key, fingerprint }).collect()
}

impl FromStr for Ticket {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let text = text.trim();
        if text.len() > MAX_TEXT {
            return Err(Error::TooLong { got: text.len() });
        }
        let (prefix, code) = text.split_at_checked(PREFIX.len()).ok_or(Error::Prefix)?;
        if !prefix.eq_ignore_ascii_case(PREFIX) {
            return Err(Error::Prefix);
        }
        let code = Zeroizing::new(code.to_ascii_uppercase());
        let bytes = Zeroizing::new(BASE32_NOPAD.decode(code.as_bytes()).map_err(|_| Error::Encoding)?);
        Self::parse_bytes(&bytes)
    }
}

impl fmt::Display for Hop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at {}", self.fingerprint, self.addr)
    }
}

fn checksum(body: &[u8]) -> [u8; CHECKSUM_LEN] {
    let sum = hash::sha256(&[b"edge/ticket/v1", body]);
    [sum[0], sum[1], sum[2], sum[3]]
}

/// A hop of the publisher's own leaves the fingerprint out, which keeps the QR code small.
fn write_hop(out: &mut Writer, hop: &Hop, publisher: Fingerprint) {
    match hop.addr.ip() {
        IpAddr::V4(ip) => out.u8(4).raw(&ip.octets()),
        IpAddr::V6(ip) => out.u8(6).raw(&ip.octets()),
    };
    out.u16(hop.addr.port()).raw(&hop.transport_key);
    match hop.fingerprint == publisher {
        true => out.u8(0),
        false => out.u8(1).raw(&hop.fingerprint.0),
    };
}

fn read_hops(reader: &mut Reader<'_>, publisher: Fingerprint) -> Result<Vec<Hop>, edge_wire::Error> {
    match usize::from(reader.u8("hops")?) {
        0 => Err(edge_wire::Error::Invalid { field: "hops", rule: "must not be empty" }),
        got if got > MAX_HOPS => Err(edge_wire::Error::TooLong { field: "hops", got, bound: MAX_HOPS }),
        len => (0..len).map(|_| read_hop(reader, publisher)).collect(),
    }
}

fn read_hop(reader: &mut Reader<'_>, publisher: Fingerprint) -> Result<Hop, edge_wire::Error> {
    let ip = match reader.u8("address family")? {
        4 => IpAddr::V4(Ipv4Addr::from(reader.array::<4>("address")?)),
        6 => IpAddr::V6(Ipv6Addr::from(reader.array::<16>("address")?)),
        got => return Err(edge_wire::Error::Unknown { field: "address family", got: u64::from(got) }),
    };
    let addr = SocketAddr::new(ip, reader.u16("port")?);
    let transport_key = reader.array("transport_key")?;
    let fingerprint = match reader.u8("fingerprint flag")? {
        0 => publisher,
        1 => Fingerprint(reader.array("fingerprint")?),
        got => return Err(edge_wire::Error::Unknown { field: "fingerprint flag", got: u64::from(got) }),
    };
    Ok(Hop { addr, transport_key, fingerprint })
}
