//! The JSON form: compact, fields in one order on output and any order on input, integers exact, floats finite.

use core::fmt;
use core::marker::PhantomData;
use core::net::SocketAddr;

use data_encoding::{BASE64, HEXLOWER};
use edge_wire::id::{Epoch, Fingerprint, KeyId, StreamId};
use edge_wire::layer::Policy;
use serde::de::value::MapAccessDeserializer;
use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

use super::{Advert, Capacity, Commitment, Encoded, Error, Extended, Extension, JSON_LEN_MAX, Statement};
use crate::path::RawPath;
use crate::seats::Yields;

/// Why bytes are not the JSON form of an advertisement, or cannot become it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DecodeError {
    /// Longer than [`JSON_LEN_MAX`].
    #[error("{got} bytes, at most {JSON_LEN_MAX} are allowed")]
    TooLong {
        /// Bytes given.
        got: usize,
    },
    /// Not JSON, or a field is missing, double or of another type.
    #[error("not the expected JSON record")]
    Json(#[from] serde_json::Error),
    /// The advertiser's name is not one.
    #[error("advertiser_key_id is not a name")]
    KeyId(#[from] edge_wire::Error),
    /// A field does not decode to its type.
    #[error("{field}: {rule}")]
    Field {
        /// The field.
        field: &'static str,
        /// The rule that it breaks, as a phrase.
        rule: &'static str,
    },
}

pub(super) fn parse(json: &[u8]) -> Result<Advert, DecodeError> {
    check_len(json)?;
    let Object(record): Object<Record> = serde_json::from_slice(json)?;
    let statement = Statement {
        advertiser: KeyId::new(record.advertiser_key_id)?,
        capacity: record.capacity.0.into_capacity()?,
        stream: StreamId(record.stream_id),
        epoch: Epoch(record.epoch),
    };
    let signature = Encoded { ed25519: record.signature_ed25519_base64, ml_dsa: record.signature_ml_dsa_65_base64 };
    let extension = record.edge.map(|Object(edge)| edge.into_extended()).transpose()?;
    Ok(Advert { statement, signature, extension, json: json.into() })
}

pub(super) fn write(advert: &Advert) -> Result<Vec<u8>, DecodeError> {
    let record = Record {
        advertiser_key_id: advert.statement.advertiser.as_str().to_owned(),
        capacity: Object((&advert.statement.capacity).into()),
        stream_id: advert.statement.stream.0,
        epoch: advert.statement.epoch.0,
        signature_ed25519_base64: advert.signature.ed25519.clone(),
        signature_ml_dsa_65_base64: advert.signature.ml_dsa.clone(),
        edge: advert.extension.as_ref().map(|extended| Object(extended.into())),
    };
    let json = serde_json::to_vec(&record)?;
    check_len(&json)?;
    Ok(json)
}

/// Base64 of the standard alphabet with padding.
pub(super) fn encode(bytes: &[u8]) -> String {
    BASE64.encode(bytes)
}

/// Decodes [`encode`]; whatever is wrong is a wrong signature.
pub(super) fn decode(text: &str) -> Result<Vec<u8>, Error> {
    BASE64.decode(text.as_bytes()).map_err(|_| Error::SignatureInvalid)
}

fn check_len(json: &[u8]) -> Result<(), DecodeError> {
    match json.len() > JSON_LEN_MAX {
        true => Err(DecodeError::TooLong { got: json.len() }),
        false => Ok(()),
    }
}

#[derive(Serialize, Deserialize)]
struct Record {
    advertiser_key_id: String,
    capacity: Object<CapacityRecord>,
    stream_id: [u8; 32],
    epoch: u64,
    signature_ed25519_base64: String,
    signature_ml_dsa_65_base64: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    edge: Option<Object<ExtensionRecord>>,
}

#[derive(Serialize, Deserialize)]
struct CapacityRecord {
    uplink_mbps: f32,
    max_streams: u16,
    max_subscribers_per_stream: u16,
    measured_at_unix_ms: u64,
    max_layer_supported: Object<LayerRecord>,
    #[serde(default)]
    sub_stream_commitments: Vec<Object<CommitmentRecord>>,
}

#[derive(Serialize, Deserialize)]
struct LayerRecord {
    max_spatial: u8,
    max_temporal: u8,
    max_quality: u8,
}

#[derive(Serialize, Deserialize)]
struct CommitmentRecord {
    sub_stream_path: Vec<u8>,
    uplink_budget_mbps: f32,
    max_subscribers: u16,
}

#[derive(Serialize, Deserialize)]
struct ExtensionRecord {
    sequence: u64,
    subscribers: u16,
    delay_ms: u32,
    yields_leaf: u16,
    yields_carrier: u16,
    chain: Vec<String>,
    addresses: Vec<String>,
    transport_key: String,
    signature_base64: String,
}

impl CapacityRecord {
    fn into_capacity(self) -> Result<Capacity, DecodeError> {
        let LayerRecord { max_spatial, max_temporal, max_quality } = self.max_layer_supported.0;
        let commitments = self.sub_stream_commitments.into_iter().map(|Object(entry)| entry.into_commitment());
        Ok(Capacity {
            uplink_mbps: finite("uplink_mbps", self.uplink_mbps)?,
            max_streams: self.max_streams,
            max_subscribers_per_stream: self.max_subscribers_per_stream,
            measured_at_unix_ms: self.measured_at_unix_ms,
            max_layer_supported: Policy::new(max_spatial, max_temporal, max_quality),
            sub_stream_commitments: commitments.collect::<Result<_, _>>()?,
        })
    }
}

impl From<&Capacity> for CapacityRecord {
    fn from(capacity: &Capacity) -> Self {
        let Policy { max_spatial, max_temporal, max_quality } = capacity.max_layer_supported;
        let commitments = capacity.sub_stream_commitments.iter().map(|entry| {
            Object(CommitmentRecord {
                sub_stream_path: entry.sub_stream_path.as_bytes().to_vec(),
                uplink_budget_mbps: entry.uplink_budget_mbps,
                max_subscribers: entry.max_subscribers,
            })
        });
        Self {
            uplink_mbps: capacity.uplink_mbps,
            max_streams: capacity.max_streams,
            max_subscribers_per_stream: capacity.max_subscribers_per_stream,
            measured_at_unix_ms: capacity.measured_at_unix_ms,
            max_layer_supported: Object(LayerRecord { max_spatial, max_temporal, max_quality }),
            sub_stream_commitments: commitments.collect(),
        }
    }
}

impl CommitmentRecord {
    fn into_commitment(self) -> Result<Commitment, DecodeError> {
        Ok(Commitment {
            sub_stream_path: RawPath::new(self.sub_stream_path),
            uplink_budget_mbps: finite("uplink_budget_mbps", self.uplink_budget_mbps)?,
            max_subscribers: self.max_subscribers,
        })
    }
}

impl ExtensionRecord {
    fn into_extended(self) -> Result<Extended, DecodeError> {
        let chain = self.chain.iter().map(|peer| Ok(Fingerprint(hex("chain", peer)?)));
        let addresses = self.addresses.iter().map(|address| canonical_address(address));
        let extension = Extension {
            sequence: self.sequence,
            subscribers: self.subscribers,
            delay_ms: self.delay_ms,
            yields: Yields { leaf: self.yields_leaf, carrier: self.yields_carrier },
            chain: chain.collect::<Result<_, DecodeError>>()?,
            addresses: addresses.collect::<Result<_, _>>()?,
            transport_key: hex("transport_key", &self.transport_key)?,
        };
        match extension.check() {
            Err(Error::OutOfRange { field, rule }) => Err(DecodeError::Field { field, rule }),
            _ => Ok(Extended { extension, signature: self.signature_base64 }),
        }
    }
}

impl From<&Extended> for ExtensionRecord {
    fn from(extended: &Extended) -> Self {
        let Extension { sequence, subscribers, delay_ms, yields, chain, addresses, transport_key } =
            &extended.extension;
        Self {
            sequence: *sequence,
            subscribers: *subscribers,
            delay_ms: *delay_ms,
            yields_leaf: yields.leaf,
            yields_carrier: yields.carrier,
            chain: chain.iter().map(ToString::to_string).collect(),
            addresses: addresses.iter().map(ToString::to_string).collect(),
            transport_key: HEXLOWER.encode(transport_key),
            signature_base64: extended.signature.clone(),
        }
    }
}

/// A literal such as `1e39` is a number in JSON and none in binary32.
fn finite(field: &'static str, value: f32) -> Result<f32, DecodeError> {
    match value.is_finite() {
        true => Ok(value),
        false => Err(DecodeError::Field { field, rule: "must be finite" }),
    }
}

fn hex(field: &'static str, text: &str) -> Result<[u8; 32], DecodeError> {
    let bytes = HEXLOWER.decode(text.as_bytes()).ok().and_then(|bytes| bytes.try_into().ok());
    bytes.ok_or(DecodeError::Field { field, rule: "must be 64 lower-case hexadecimal digits" })
}

/// One text an address, because what is signed is the address and not the text.
fn canonical_address(text: &str) -> Result<SocketAddr, DecodeError> {
    let address: Option<SocketAddr> = text.parse().ok();
    address
        .filter(|address| address.to_string() == text)
        .ok_or(DecodeError::Field { field: "addresses", rule: "must be socket addresses in canonical form" })
}

/// A JSON object and nothing else: a derived decoder alone would also take a list of the fields.
#[derive(Serialize)]
#[serde(transparent)]
struct Object<T>(T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Fields(PhantomData)).map(Object)
    }
}

struct Fields<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for Fields<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<T, A::Error> {
        T::deserialize(MapAccessDeserializer::new(map))
    }
}
