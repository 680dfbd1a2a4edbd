//! Walks AV1's open bitstream units in low-overhead form: type, layer and length, nothing deeper.

/// Type of a sequence header, which starts every key frame of ours.
pub const SEQUENCE_HEADER: u8 = 1;
/// Type of a temporal delimiter, which starts every temporal unit.
pub const TEMPORAL_DELIMITER: u8 = 2;

/// Header bit of a unit that tells its size.
const SIZED: u8 = 2;

/// One open bitstream unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Obu<'a> {
    /// `obu_type`.
    pub kind: u8,
    /// Temporal layer; 0 without an extension.
    pub temporal: u8,
    /// Spatial layer; 0 without an extension.
    pub spatial: u8,
    /// Header and payload.
    pub bytes: &'a [u8],
    /// Payload alone.
    pub payload: &'a [u8],
}

/// The units of `data`, in order; ends early at bytes that are not a unit with a size.
pub fn walk(data: &[u8]) -> impl Iterator<Item = Obu<'_>> {
    let mut rest = data;
    std::iter::from_fn(move || {
        let sized = rest.first()? & SIZED != 0;
        let (obu, after) = split(rest).filter(|_| sized)?;
        rest = after;
        Some(obu)
    })
}

/// Whether decoding can start with this temporal unit.
pub fn has_sequence_header(unit: &[u8]) -> bool {
    walk(unit).any(|obu| obu.kind == SEQUENCE_HEADER)
}

/// The first unit of `data` and what comes after it; a unit without a size takes everything.
pub(crate) fn split(data: &[u8]) -> Option<(Obu<'_>, &[u8])> {
    let header = *data.first()?;
    let (forbidden, extended, sized) = (header & 0x80 != 0, header & 4 != 0, header & SIZED != 0);
    let extension = if extended { *data.get(1)? } else { 0 };
    let header_len = if extended { 2 } else { 1 };
    let body = data.get(header_len..).filter(|_| !forbidden)?;
    let (size, size_len) = if sized { leb128(body)? } else { (body.len(), 0) };
    let start = header_len + size_len;
    let (bytes, rest) = data.split_at_checked(start.checked_add(size)?)?;
    let payload = bytes.get(start..)?;
    let (kind, temporal, spatial) = (header >> 3 & 0x0f, extension >> 5, extension >> 3 & 3);
    Some((Obu { kind, temporal, spatial, bytes, payload }, rest))
}

fn leb128(data: &[u8]) -> Option<(usize, usize)> {
    const MAX_BYTES: usize = 8;
    let mut value = 0u64;
    for (at, byte) in data.iter().take(MAX_BYTES).enumerate() {
        value |= u64::from(byte & 0x7f) << (7 * at);
        if byte & 0x80 == 0 {
            return Some((usize::try_from(value).ok()?, at + 1));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn walks_headers_with_and_without_extension() {
        let data = [0x12, 0x00, 0x0a, 0x02, 0xaa, 0xbb, 0x36, 0x48, 0x01, 0xcc];
        let units: Vec<_> = walk(&data).map(|obu| (obu.kind, obu.temporal, obu.spatial, obu.payload)).collect();
        assert_eq!(units, [(2, 0, 0, &[][..]), (1, 0, 0, &[0xaa, 0xbb][..]), (6, 2, 1, &[0xcc][..])]);
        assert!(has_sequence_header(&data));
    }

    #[test]
    fn stops_at_bytes_that_are_not_a_unit() {
        assert_eq!(walk(&[0x92, 0]).count(), 0);
        assert_eq!(walk(&[0x10]).count(), 0);
        assert_eq!(walk(&[0x0a, 0x05, 1, 2]).count(), 0);
        assert_eq!(walk(&[0x0a, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]).count(), 0);
        assert!(!has_sequence_header(&[]));
    }
}
