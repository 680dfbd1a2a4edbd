//! Capacity advertisements.

use data_encoding::BASE64;
use edge_alm::advert::{Advert, Capacity, Commitment, Layout, PublicKeys, Statement};
use edge_alm::path::RawPath;
use edge_crypto::hash::sha256;
use edge_crypto::sign::SigningKey;
use edge_wire::id::{Epoch, KeyId, StreamId};
use edge_wire::layer::Policy;
use serde_json::Value;

use crate::case::{Case, Reason, bad, must, must_not, same, same_bytes};

pub(crate) fn canonical(case: &Case<'_>) -> Result<(), Reason> {
    let statement = Statement {
        advertiser: must("name", KeyId::new("any"))?,
        capacity: capacity(&case.object("capacity")?)?,
        stream: StreamId(case.array("stream_id_hex")?),
        epoch: Epoch(case.number("epoch")?),
    };
    same("measured_at_unix_ms_decimal", &case.number("measured_at_unix_ms_decimal")?, &{
        statement.capacity.measured_at_unix_ms
    })?;
    let bytes = must("encoding", Layout::CapV2Wide.canonical(&statement))?;
    case.expect_bytes("canonical_hex", &bytes)?;
    case.expect_number("canonical_len", bytes.len() as u64)?;
    case.expect_bytes("sha256", &sha256(&[&bytes]))?;
    let mut end = 0;
    for field in case.objects("fields")? {
        let (offset, len) = (field.size("offset")?, field.size("len")?);
        same("offset", &offset, &end)?;
        let part = bytes.get(offset..).and_then(|rest| rest.get(..len));
        field.expect_bytes("hex", part.ok_or_else(|| bad("fields", "end after the bytes"))?)?;
        end = offset + len;
    }
    same("end of the fields", &end, &bytes.len())
}

pub(crate) fn layout_collision(case: &Case<'_>) -> Result<(), Reason> {
    let (wide, narrow) = (case.object("edge_4_2_1")?, case.object("verify_5_8_and_later_and_edge_13_2_and_later")?);
    let wide_bytes = wide.bytes("canonical_hex")?;
    let mut statement = read_wide(&wide_bytes, narrow.text("peer_id")?)?;
    let computed = must("wide encoding", Layout::CapV2Wide.canonical(&statement))?;
    wide.expect_bytes("canonical_hex", &computed)?;
    wide.expect_number("len", computed.len() as u64)?;
    same("epoch", &narrow.number("epoch")?, &statement.epoch.0)?;
    same("uplink_mbps_u32", &narrow.number("uplink_mbps_u32")?, &(statement.capacity.uplink_mbps.round() as u64))?;
    let computed = must("narrow encoding", Layout::CapV2Narrow.canonical(&statement))?;
    narrow.expect_bytes("canonical_hex", &computed)?;
    narrow.expect_number("len", computed.len() as u64)?;

    let key = must("seeds", SigningKey::from_seeds([1; 32].into(), [2; 32].into()))?;
    let public = must("keys", key.verifying_key())?;
    let signed = must("signing", Advert::sign_plain(statement.clone(), &key))?;
    must("the wide layout", signed.clone().verify(PublicKeys::Hybrid(&public)))?;
    must_not("a wide signature as a narrow one", &signed.clone().verify_narrow(PublicKeys::Hybrid(&public)))?;
    let swapped = with_signature(&signed, &must("signing", key.sign(&computed))?)?;
    must("the narrow layout", swapped.clone().verify_narrow(PublicKeys::Hybrid(&public)))?;
    must_not("a narrow signature as a wide one", &swapped.verify(PublicKeys::Hybrid(&public)))?;
    statement.epoch.0 ^= 1;
    let other = must("narrow encoding", Layout::CapV2Narrow.canonical(&statement))?;
    same("epochs that differ", &false, &(other == computed))
}

pub(crate) fn signed(case: &Case<'_>) -> Result<(), Reason> {
    let seeds = (case.secret("ed25519_seed_hex")?, case.secret("ml_dsa_65_seed_hex")?);
    let key = must("seeds", SigningKey::from_seeds(seeds.0, seeds.1))?;
    let public = must("keys", key.verifying_key())?;
    case.expect_bytes("ed25519_pub_hex", public.ed25519())?;
    case.expect_text("ml_dsa_65_pub_base64", &BASE64.encode(public.ml_dsa()))?;
    case.expect_bytes("ml_dsa_65_pub_sha256", &sha256(&[public.ml_dsa()]))?;

    let json = case.text("wire_json")?;
    case.expect_number("wire_len", json.len() as u64)?;
    let received = must("wire_json", Advert::parse(json.as_bytes()))?;
    let bytes = must("encoding", Layout::CapV2Wide.canonical(received.statement()))?;
    case.expect_bytes("canonical_hex", &bytes)?;
    let signature = must("signature", received.signature())?;
    case.expect_bytes("ed25519_sig_hex", &signature.ed25519)?;
    case.expect_bytes("ed25519_sig_hex", &key.sign_ed25519(&bytes))?;
    case.expect_text("pqc_signed_message", "canonical || ed25519_sig")?;
    case.expect_bytes("pqc_message_sha256", &sha256(&[&bytes, &signature.ed25519]))?;
    case.expect_bytes("ml_dsa_65_sig_deterministic_sha256", &sha256(&[signature.ml_dsa.as_slice()]))?;
    must("verification", received.clone().verify(PublicKeys::Hybrid(&public)))?;
    must_not("no post-quantum key", &received.clone().verify(PublicKeys::Ed25519Only))?;

    // Only the ML-DSA half differs in what we write: its signer draws randomness.
    let own = must("signing", Advert::sign_plain(received.statement().clone(), &key))?;
    let like_theirs = with_signature(&own, &signature)?;
    same_bytes("wire_json", json.as_bytes(), like_theirs.json())?;
    must("our signature", own.verify(PublicKeys::Hybrid(&public)))?;
    must_not(
        "half a signature",
        &with_signature(&like_theirs, &crossed(&key, &bytes)?)?.verify(PublicKeys::Hybrid(&public)),
    )
}

/// A signature whose halves are over different bytes.
fn crossed(key: &SigningKey, bytes: &[u8]) -> Result<edge_crypto::sign::Signature, Reason> {
    let mut signature = must("signing", key.sign(&[bytes, &[0]].concat()))?;
    signature.ed25519 = key.sign_ed25519(bytes);
    Ok(signature)
}

/// The same JSON bytes with another signature in them.
fn with_signature(advert: &Advert, signature: &edge_crypto::sign::Signature) -> Result<Advert, Reason> {
    let old = must("signature", advert.signature())?;
    let json = String::from_utf8_lossy(advert.json());
    let json = json.replace(&BASE64.encode(&old.ed25519), &BASE64.encode(&signature.ed25519));
    let json = json.replace(&BASE64.encode(old.ml_dsa.as_slice()), &BASE64.encode(signature.ml_dsa.as_slice()));
    must("another signature", Advert::parse(json.as_bytes()))
}

fn read_wide(bytes: &[u8], name: &str) -> Result<Statement, Reason> {
    let mut reader = edge_wire::Reader::new(bytes);
    let mut read = || -> Result<Statement, edge_wire::Error> {
        reader.take("domain", edge_wire::domain::CAPACITY_V2.len())?;
        let stream = StreamId(reader.array("stream_id")?);
        let epoch = Epoch(reader.u64("epoch")?);
        let capacity = Capacity {
            uplink_mbps: f32::from_bits(reader.u32("uplink_mbps")?),
            max_streams: reader.u16("max_streams")?,
            max_subscribers_per_stream: reader.u16("max_subscribers_per_stream")?,
            measured_at_unix_ms: reader.u64("measured_at_unix_ms")?,
            max_layer_supported: {
                let [spatial, temporal, quality] = reader.array("layer")?;
                Policy::new(spatial, temporal, quality)
            },
            sub_stream_commitments: Vec::new(),
        };
        Ok(Statement { advertiser: KeyId::new(name)?, capacity, stream, epoch })
    };
    must("canonical_hex", read())
}

fn capacity(case: &Case<'_>) -> Result<Capacity, Reason> {
    let layer = case.object("max_layer_supported")?;
    Ok(Capacity {
        uplink_mbps: case.float("uplink_mbps")? as f32,
        max_streams: small(case, "max_streams")?,
        max_subscribers_per_stream: small(case, "max_subscribers_per_stream")?,
        measured_at_unix_ms: case.number("measured_at_unix_ms")?,
        max_layer_supported: Policy::new(
            layer.byte("max_spatial")?,
            layer.byte("max_temporal")?,
            layer.byte("max_quality")?,
        ),
        sub_stream_commitments: commitments(
            case.values("sub_stream_commitments")?,
            ["sub_stream_path", "uplink_budget_mbps", "max_subscribers"],
        )?,
    })
}

/// Commitments by the names that a family gives to path, budget and subscribers.
pub(super) fn commitments(values: &[Value], [path, budget, most]: [&str; 3]) -> Result<Vec<Commitment>, Reason> {
    let read = |value| {
        let case = Case::new(value);
        Ok(Commitment {
            sub_stream_path: RawPath::new(byte_list(&case, path)?),
            uplink_budget_mbps: case.float(budget)? as f32,
            max_subscribers: small(&case, most)?,
        })
    };
    values.iter().map(read).collect()
}

/// A list of bytes.
pub(super) fn byte_list(case: &Case<'_>, field: &str) -> Result<Vec<u8>, Reason> {
    let bytes = case.numbers(field)?.into_iter().map(u8::try_from);
    bytes.collect::<Result<_, _>>().map_err(|_| bad(field, "holds something that is not a byte"))
}

/// A 16-bit integer.
pub(super) fn small(case: &Case<'_>, field: &str) -> Result<u16, Reason> {
    u16::try_from(case.number(field)?).map_err(|_| bad(field, "is not a 16-bit integer"))
}
