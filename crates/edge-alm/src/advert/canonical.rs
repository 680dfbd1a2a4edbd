//! The bytes that an advertiser signs.

use edge_wire::{Writer, domain};

use super::{Capacity, Commitment, Error, Statement};

/// Bytes of the wide layout before its commitments.
const WIDE_HEAD_LEN: usize = 79;

/// What is signed. Both layouts begin with the same label, so a signature is checked under the one that was agreed
/// on and never under the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Layout {
    /// Stream, epoch, time, every limit and every commitment, but not the advertiser's name. The one that we sign.
    CapV2Wide,
    /// The advertiser's name, its uplink in whole Mbit/s and the epoch; nothing else is authenticated.
    CapV2Narrow,
}

impl Layout {
    /// The bytes to sign. Refuses a path that its length field cannot hold.
    pub fn canonical(self, statement: &Statement) -> Result<Vec<u8>, Error> {
        match self {
            Self::CapV2Wide => wide(statement),
            Self::CapV2Narrow => Ok(narrow(statement)),
        }
    }
}

/// The uplink as the narrow layout holds it: whole Mbit/s, halves away from zero.
pub(super) fn rounded_mbps(uplink_mbps: f32) -> u32 {
    uplink_mbps.round() as u32
}

fn wide(statement: &Statement) -> Result<Vec<u8>, Error> {
    let Capacity { max_layer_supported: layer, sub_stream_commitments: commitments, .. } = &statement.capacity;
    let count = u32::try_from(commitments.len())
        .map_err(|_| Error::OutOfRange { field: "sub_stream_commitments", rule: "must fit in 32 bits" })?;
    let mut out = Writer::with_capacity(WIDE_HEAD_LEN + commitments.iter().map(encoded_len).sum::<usize>());
    out.raw(domain::CAPACITY_V2)
        .raw(&statement.stream.0)
        .u64(statement.epoch.0)
        .u32(statement.capacity.uplink_mbps.to_bits())
        .u16(statement.capacity.max_streams)
        .u16(statement.capacity.max_subscribers_per_stream)
        .u64(statement.capacity.measured_at_unix_ms)
        .raw(&[layer.max_spatial, layer.max_temporal, layer.max_quality])
        .u32(count);
    commitments.iter().try_for_each(|commitment| write_commitment(&mut out, commitment))?;
    Ok(out.finish())
}

fn write_commitment(out: &mut Writer, commitment: &Commitment) -> Result<(), Error> {
    let path = commitment.sub_stream_path.as_bytes();
    let len = u16::try_from(path.len())
        .map_err(|_| Error::OutOfRange { field: "sub_stream_path", rule: "must be at most 65 535 long" })?;
    out.u16(len).raw(path).u32(commitment.uplink_budget_mbps.to_bits()).u16(commitment.max_subscribers);
    Ok(())
}

fn encoded_len(commitment: &Commitment) -> usize {
    8 + commitment.sub_stream_path.as_bytes().len()
}

fn narrow(statement: &Statement) -> Vec<u8> {
    let mut out = Writer::new();
    out.raw(domain::CAPACITY_V2)
        .bytes32(statement.advertiser.as_bytes())
        .u32(rounded_mbps(statement.capacity.uplink_mbps))
        .u64(statement.epoch.0);
    out.finish()
}
