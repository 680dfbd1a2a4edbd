//! The two seals, alone and together.

use bytes::Bytes;
use edge_crypto::hash::sha256;
use edge_link::{open_outer, seal_outer};
use edge_seal::{EpochDek, inner_nonce, open_inner, seal_inner};
use edge_wire::chunk::{CodecId, Header, InnerSealed, OVERHEAD, PREFIX_LEN, Sealed};
use edge_wire::domain;
use edge_wire::id::{ChunkSeq, Epoch, LinkSeq, StreamId};
use edge_wire::layer::Layer;

use crate::case::{Case, Reason, bad, must, must_not, same, same_bytes};

/// Bytes of a chunk that only hint: codec and layer.
const METADATA: std::ops::Range<usize> = 48..PREFIX_LEN;

pub(crate) fn inner_seal(case: &Case<'_>) -> Result<(), Reason> {
    let header = opaque_header(case)?;
    let plaintext = case.bytes("plaintext")?;
    let preimage =
        [domain::INNER_NONCE, &header.stream.0, &header.epoch.0.to_be_bytes(), &header.seq.0.to_be_bytes()].concat();
    same_nonce(case, &inner_nonce(header.stream, header.epoch, header.seq), &preimage)?;

    let dek = EpochDek::new(case.secret("epoch_dek")?);
    let sealed = must("sealing", seal_inner(&dek, header, &plaintext))?;
    case.expect_bytes("inner_ciphertext", &sealed.ciphertext)?;
    same_bytes("opened plaintext", &plaintext, &must("opening", open_inner(&dek, &sealed))?)?;
    let elsewhere = InnerSealed { header: Header { seq: ChunkSeq(header.seq.0 ^ 1), ..header }, ..sealed };
    must_not("another chunk_seq", &open_inner(&dek, &elsewhere))
}

pub(crate) fn outer_seal(case: &Case<'_>) -> Result<(), Reason> {
    let link_id = case.bytes("link_id")?;
    let seq = LinkSeq(case.number("link_seq")?);
    let preimage = [domain::OUTER_NONCE, &link_id, &seq.0.to_be_bytes()].concat();
    same_nonce(case, &edge_link::nonce(&link_id, seq), &preimage)?;

    let key = case.secret("transit_key")?;
    let ciphertext = case.bytes("inner_ciphertext")?;
    let header = Header {
        stream: StreamId([0; 32]),
        epoch: Epoch(0),
        seq: ChunkSeq(0),
        codec: CodecId::OPAQUE,
        layer: Layer::BASE,
    };
    let inner = InnerSealed { header, ciphertext: Bytes::from(ciphertext) };
    let wire = must("sealing", seal_outer(&inner, &key, &link_id, seq))?;
    let chunk = must("the sealed chunk", Sealed::parse(&wire))?;
    case.expect_bytes("outer_ciphertext", chunk.ciphertext)?;
    same("opened chunk", &inner, &must("opening", open_outer(&chunk, &key, &link_id, seq))?)?;
    must_not("another link_seq", &open_outer(&chunk, &key, &link_id, LinkSeq(seq.0 ^ 1)))
}

pub(crate) fn chunk_seal(case: &Case<'_>) -> Result<(), Reason> {
    let sealed = Whole::read(case)?;
    let codec = CodecId(case.byte("codec_id")?);
    let header = Header { codec, layer: case.layer("layer")?, ..opaque_header(case)? };
    let inner = must("inner seal", seal_inner(&EpochDek::new(case.secret("epoch_dek")?), header, &sealed.plaintext))?;
    let wire = seal_outer(&inner, &case.secret("transit_key")?, &sealed.link_id, sealed.link_seq);
    let wire = must("outer seal", wire)?;
    case.expect_bytes("wire", &wire)?;
    same("wire_len", &case.size("wire_len")?, &wire.len())?;
    same("overhead", &OVERHEAD, &wire.len().saturating_sub(sealed.plaintext.len()))?;
    same("opening", &Opened::Plaintext(sealed.plaintext.clone()), &sealed.open())?;

    for mutation in case.objects("must_fail")? {
        let error = Opened::named(mutation.text("error")?)?;
        for changed in sealed.changed(mutation.text("change")?)? {
            same(mutation.text("change")?, &error, &changed.open())?;
        }
    }
    for rewrite in case.texts("must_open_unchanged")? {
        if rewrite != "replace wire[48..52] with any 4 bytes (unauthenticated metadata)" {
            return Err(bad("must_open_unchanged", "names a rewrite that is not known"));
        }
        for changed in sealed.relabelled() {
            same(rewrite, &Opened::Plaintext(sealed.plaintext.clone()), &changed.open())?;
        }
    }
    Ok(())
}

pub(crate) fn nonce_properties(case: &Case<'_>) -> Result<(), Reason> {
    let nonce = |side: &str| {
        let side = case.object(side)?;
        let (epoch, seq) = (Epoch(side.number("epoch")?), ChunkSeq(side.number("chunk_seq")?));
        let nonce = inner_nonce(StreamId(side.array("stream_id")?), epoch, seq);
        side.expect_bytes_if_given("nonce", &nonce)?;
        Ok(nonce)
    };
    case.expect_flag("equal", nonce("a")? == nonce("b")?)
}

/// Stream, epoch and counter of a case, with metadata that says nothing.
fn opaque_header(case: &Case<'_>) -> Result<Header, Reason> {
    Ok(Header {
        stream: StreamId(case.array("stream_id")?),
        epoch: Epoch(case.number("epoch")?),
        seq: ChunkSeq(case.number("chunk_seq")?),
        codec: CodecId::OPAQUE,
        layer: Layer::BASE,
    })
}

fn same_nonce(case: &Case<'_>, computed: &[u8], preimage: &[u8]) -> Result<(), Reason> {
    case.expect_bytes_if_given("nonce_preimage", preimage)?;
    case.expect_bytes_if_given("nonce", computed)?;
    case.expect_bytes_if_given("aad", &[])?;
    let digest = sha256(&[preimage]);
    same_bytes("nonce of the preimage", computed, digest.get(..computed.len()).unwrap_or_default())
}

/// A chunk on its link, with everything that a receiver needs to open it.
#[derive(Clone)]
struct Whole {
    wire: Vec<u8>,
    transit_key: [u8; 32],
    link_id: Vec<u8>,
    link_seq: LinkSeq,
    epoch_dek: [u8; 32],
    plaintext: Vec<u8>,
}

/// What became of a chunk at a receiver.
#[derive(Debug, PartialEq, Eq)]
enum Opened {
    Plaintext(Vec<u8>),
    WireTooShort,
    OuterAead,
    InnerAead,
}

impl Opened {
    fn named(error: &str) -> Result<Self, Reason> {
        match error {
            "OuterAead" => Ok(Self::OuterAead),
            "InnerAead" => Ok(Self::InnerAead),
            "WireTooShort" => Ok(Self::WireTooShort),
            _ => Err(bad("must_fail", "names an error that is not known")),
        }
    }
}

impl Whole {
    fn read(case: &Case<'_>) -> Result<Self, Reason> {
        Ok(Self {
            wire: case.bytes("wire")?,
            transit_key: case.array("transit_key")?,
            link_id: case.bytes("link_id")?,
            link_seq: LinkSeq(case.number("link_seq")?),
            epoch_dek: case.array("epoch_dek")?,
            plaintext: case.bytes("plaintext")?,
        })
    }

    fn open(&self) -> Opened {
        let Ok(chunk) = Sealed::parse(&self.wire) else { return Opened::WireTooShort };
        let Ok(inner) = open_outer(&chunk, &self.transit_key.into(), &self.link_id, self.link_seq) else {
            return Opened::OuterAead;
        };
        let opened = open_inner(&EpochDek::new(self.epoch_dek.into()), &inner);
        opened.map_or(Opened::InnerAead, |plaintext| Opened::Plaintext(plaintext.to_vec()))
    }

    /// Every variant of this chunk that differs by the named change in one bit, or in its length.
    fn changed(&self, change: &str) -> Result<Vec<Self>, Reason> {
        let unknown = || bad("must_fail", "names a change that is not known");
        Ok(match change {
            "transit_key" => self.flipped(0..32, |whole| &mut whole.transit_key),
            "epoch_dek" => self.flipped(0..32, |whole| &mut whole.epoch_dek),
            "link_id" => {
                let mut longer = self.clone();
                longer.link_id.push(0);
                let mut variants = self.flipped(0..self.link_id.len(), |whole| &mut whole.link_id);
                variants.push(longer);
                variants
            }
            "link_seq" => (0..u64::BITS)
                .map(|bit| Self { link_seq: LinkSeq(self.link_seq.0 ^ 1 << bit), ..self.clone() })
                .collect(),
            _ => {
                let range = change.strip_prefix("flip any bit of wire[").and_then(|rest| rest.strip_suffix(']'));
                let (from, to) = range.and_then(|range| range.split_once("..")).ok_or_else(unknown)?;
                let from = from.parse().map_err(|_| unknown())?;
                let to = if to.is_empty() { self.wire.len() } else { to.parse().map_err(|_| unknown())? };
                if from >= to || to > self.wire.len() {
                    return Err(bad("must_fail", "names bytes that the chunk does not have"));
                }
                self.flipped(from..to, |whole| &mut whole.wire)
            }
        })
    }

    /// Every variant with other metadata: each value of each byte, and all four changed at once.
    fn relabelled(&self) -> Vec<Self> {
        let mut variants = Vec::new();
        for value in 0..=u8::MAX {
            for at in METADATA {
                variants.push(self.with(|wire| wire.get_mut(at).into_iter().for_each(|byte| *byte = value)));
            }
            variants
                .push(self.with(|wire| wire.get_mut(METADATA).into_iter().flatten().for_each(|byte| *byte = value)));
        }
        variants
    }

    fn with(&self, change: impl FnOnce(&mut Vec<u8>)) -> Self {
        let mut changed = self.clone();
        change(&mut changed.wire);
        changed
    }

    fn flipped<F, T>(&self, bytes: std::ops::Range<usize>, field: F) -> Vec<Self>
    where
        F: Fn(&mut Self) -> &mut T,
        T: AsMut<[u8]> + ?Sized,
    {
        let flip = |(at, bit): (usize, u8)| {
            let mut changed = self.clone();
            if let Some(byte) = field(&mut changed).as_mut().get_mut(at) {
                *byte ^= 1 << bit;
            }
            changed
        };
        bytes.flat_map(|at| (0..8).map(move |bit| (at, bit))).map(flip).collect()
    }
}
