//! AV1 open bitstream units: exact walking, key detection, temporal delimiters, and the configuration record.

use super::Error;
use crate::video::obu::split;
pub use crate::video::obu::{Obu, SEQUENCE_HEADER, TEMPORAL_DELIMITER};

/// Type of a frame header on its own.
pub const FRAME_HEADER: u8 = 3;
/// Type of a frame: header and tiles together.
pub const FRAME: u8 = 6;
/// Most units in one temporal unit.
pub const MAX_OBUS: usize = 4_096;

/// A temporal delimiter with its size, which starts every temporal unit.
const DELIMITER: [u8; 2] = [0x12, 0x00];
const FORMAT: &str = "AV1";

/// The units of `unit`, in order. The last one may lack a size; anything else that does not add up is
/// [`Error::Malformed`].
pub fn parse(unit: &[u8]) -> Result<Vec<Obu<'_>>, Error> {
    let mut units = Vec::new();
    let mut rest = unit;
    while !rest.is_empty() {
        let (obu, after) = split(rest).ok_or(malformed("a unit's header or size does not fit"))?;
        if units.len() == MAX_OBUS {
            let (field, got, bound) = ("units in a temporal unit", MAX_OBUS as u64 + 1, MAX_OBUS as u64);
            return Err(Error::TooLong { format: FORMAT, field, got, bound });
        }
        units.push(obu);
        rest = after;
    }
    Ok(units)
}

/// The first sequence header of a temporal unit; its absence is [`Error::Malformed`].
pub fn sequence_header(unit: &[u8]) -> Result<Obu<'_>, Error> {
    let header = parse(unit)?.into_iter().find(|obu| obu.kind == SEQUENCE_HEADER);
    header.ok_or(malformed("a key unit must hold a sequence header"))
}

/// Whether the first frame of a temporal unit is a shown key frame.
pub fn is_key(unit: &[u8]) -> Result<bool, Error> {
    Ok(starts_with_key_frame(&parse(unit)?))
}

/// The temporal unit without its delimiters, as WebM and MP4 keep it.
pub fn without_delimiters(unit: &[u8]) -> Result<Vec<u8>, Error> {
    Ok(join(&[], parse(unit)?.iter().filter(|obu| obu.kind != TEMPORAL_DELIMITER)))
}

/// The temporal unit with exactly one delimiter, at its start, and a size on every unit.
pub fn with_delimiter(unit: &[u8]) -> Result<Vec<u8>, Error> {
    Ok(join(&DELIMITER, parse(unit)?.iter().filter(|obu| obu.kind != TEMPORAL_DELIMITER)))
}

/// A unit as a container keeps it, made complete: delimiter first, and before a key frame without a sequence header the
/// one from the configuration record. Also tells whether decoding can start here.
pub fn complete(unit: &[u8], config: &[u8]) -> Result<(Vec<u8>, bool), Error> {
    let units = parse(unit)?;
    let key = starts_with_key_frame(&units);
    let has_header = units.iter().any(|obu| obu.kind == SEQUENCE_HEADER);
    let from_config = match key && !has_header {
        true => parse(config.get(RECORD_LEN..).unwrap_or(&[]))?,
        false => Vec::new(),
    };
    let header = from_config.into_iter().find(|obu| obu.kind == SEQUENCE_HEADER);
    let decodable = key && (has_header || header.is_some());
    let all = header.iter().chain(&units).filter(|obu| obu.kind != TEMPORAL_DELIMITER);
    Ok((join(&DELIMITER, all), decodable))
}

/// Bytes of a configuration record before its units.
pub const RECORD_LEN: usize = 4;

/// The configuration record `av1C` of a stream, from its sequence header.
pub fn config_record(sequence: &SequenceHeader, header: Obu<'_>) -> Vec<u8> {
    const MARKER_AND_VERSION: u8 = 0x81;
    let flags = [
        (sequence.high_tier, 7),
        (sequence.bit_depth > 8, 6),
        (sequence.bit_depth > 10, 5),
        (sequence.monochrome, 4),
        (sequence.subsampling_x, 3),
        (sequence.subsampling_y, 2),
    ];
    let packed = flags.into_iter().fold(sequence.chroma_position & 3, |byte, (set, bit)| byte | u8::from(set) << bit);
    let record = [MARKER_AND_VERSION, (sequence.profile & 7) << 5 | sequence.level & 0x1f, packed, 0];
    join(&record, std::iter::once(&header))
}

/// The fields of a sequence header that containers repeat.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SequenceHeader {
    /// `seq_profile`.
    pub profile: u8,
    /// `seq_level_idx` of the first operating point.
    pub level: u8,
    /// `seq_tier` of the first operating point.
    pub high_tier: bool,
    /// Operating points, 1 to 32.
    pub operating_points: u8,
    /// 8, 10 or 12.
    pub bit_depth: u8,
    /// Without chroma.
    pub monochrome: bool,
    /// Chroma is halved in columns.
    pub subsampling_x: bool,
    /// Chroma is halved in rows.
    pub subsampling_y: bool,
    /// `chroma_sample_position`.
    pub chroma_position: u8,
    /// Columns of the largest frame.
    pub max_width: u32,
    /// Rows of the largest frame.
    pub max_height: u32,
}

impl SequenceHeader {
    /// Parses a sequence header's payload; one that ends early is [`Error::Truncated`].
    pub fn parse(payload: &[u8]) -> Result<Self, Error> {
        let mut bits = Bits { bytes: payload, at: 0 };
        Self::read(&mut bits).ok_or(Error::Truncated { format: FORMAT, field: "the sequence header" })
    }

    /// Whether the pictures are 8-bit 4:2:0.
    pub fn is_i420(&self) -> bool {
        self.bit_depth == 8 && !self.monochrome && self.subsampling_x && self.subsampling_y
    }

    fn read(bits: &mut Bits<'_>) -> Option<Self> {
        let profile = bits.small(3)?;
        let _still_picture = bits.flag()?;
        let reduced = bits.flag()?;
        let points = match reduced {
            true => Points { level: bits.small(5)?, high_tier: false, count: 1 },
            false => Points::read(bits)?,
        };
        let (width_bits, height_bits) = (bits.small(4)? + 1, bits.small(4)? + 1);
        let (max_width, max_height) = (bits.take(width_bits)? + 1, bits.take(height_bits)? + 1);
        skip_tools(bits, reduced)?;
        let color = Color::read(bits, profile)?;
        Some(Self {
            profile,
            level: points.level,
            high_tier: points.high_tier,
            operating_points: points.count,
            bit_depth: color.bit_depth,
            monochrome: color.monochrome,
            subsampling_x: color.subsampling.0,
            subsampling_y: color.subsampling.1,
            chroma_position: color.position,
            max_width,
            max_height,
        })
    }
}

struct Points {
    level: u8,
    high_tier: bool,
    count: u8,
}

impl Points {
    fn read(bits: &mut Bits<'_>) -> Option<Self> {
        let timing = bits.flag()?;
        let delay_bits = if timing { read_timing(bits)? } else { None };
        let display_delay = bits.flag()?;
        let count = bits.small(5)? + 1;
        let mut points = Self { level: 0, high_tier: false, count };
        for at in 0..count {
            let (level, high_tier) = read_point(bits, delay_bits, display_delay)?;
            if at == 0 {
                (points.level, points.high_tier) = (level, high_tier);
            }
        }
        Some(points)
    }
}

/// Timing information; gives the bits of a buffer delay when a decoder model follows.
fn read_timing(bits: &mut Bits<'_>) -> Option<Option<u8>> {
    bits.skip(64)?;
    if bits.flag()? {
        bits.uvlc()?;
    }
    if !bits.flag()? {
        return Some(None);
    }
    let delay_bits = bits.small(5)? + 1;
    bits.skip(32 + 5 + 5)?;
    Some(Some(delay_bits))
}

fn read_point(bits: &mut Bits<'_>, delay_bits: Option<u8>, display_delay: bool) -> Option<(u8, bool)> {
    const FIRST_LEVEL_WITH_TIER: u8 = 8;
    bits.skip(12)?;
    let level = bits.small(5)?;
    let high_tier = level >= FIRST_LEVEL_WITH_TIER && bits.flag()?;
    if let Some(delay_bits) = delay_bits
        && bits.flag()?
    {
        bits.skip(2 * usize::from(delay_bits) + 1)?;
    }
    if display_delay && bits.flag()? {
        bits.skip(4)?;
    }
    Some((level, high_tier))
}

/// Everything between the frame size and the colour description.
fn skip_tools(bits: &mut Bits<'_>, reduced: bool) -> Option<()> {
    if !reduced && bits.flag()? {
        bits.skip(4 + 3)?;
    }
    bits.skip(3)?;
    if !reduced {
        bits.skip(4)?;
        let order_hint = bits.flag()?;
        if order_hint {
            bits.skip(2)?;
        }
        let screen_content = bits.flag()? || bits.flag()?;
        if screen_content && !bits.flag()? {
            bits.skip(1)?;
        }
        if order_hint {
            bits.skip(3)?;
        }
    }
    bits.skip(3)
}

struct Color {
    bit_depth: u8,
    monochrome: bool,
    subsampling: (bool, bool),
    position: u8,
}

impl Color {
    fn read(bits: &mut Bits<'_>, profile: u8) -> Option<Self> {
        const SRGB: (u8, u8, u8) = (1, 13, 0);
        const UNSPECIFIED: (u8, u8, u8) = (2, 2, 2);
        let high = bits.flag()?;
        let twelve = profile == 2 && high && bits.flag()?;
        let bit_depth = if twelve { 12 } else { 8 + 2 * u8::from(high) };
        let monochrome = profile != 1 && bits.flag()?;
        let described = bits.flag()?;
        let matrix = if described { (bits.small(8)?, bits.small(8)?, bits.small(8)?) } else { UNSPECIFIED };
        if monochrome {
            return Some(Self { bit_depth, monochrome, subsampling: (true, true), position: 0 });
        }
        if matrix == SRGB {
            return Some(Self { bit_depth, monochrome, subsampling: (false, false), position: 0 });
        }
        bits.skip(1)?;
        let subsampling = match profile {
            0 => (true, true),
            1 => (false, false),
            _ if twelve => {
                let columns = bits.flag()?;
                (columns, columns && bits.flag()?)
            }
            _ => (true, false),
        };
        let position = if subsampling == (true, true) { bits.small(2)? } else { 0 };
        Some(Self { bit_depth, monochrome, subsampling, position })
    }
}

/// Reads bits, most significant first.
struct Bits<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Bits<'_> {
    fn flag(&mut self) -> Option<bool> {
        let byte = self.bytes.get(self.at / 8)?;
        let set = byte >> (7 - self.at % 8) & 1 == 1;
        self.at += 1;
        Some(set)
    }

    /// Up to 31 bits.
    fn take(&mut self, count: u8) -> Option<u32> {
        (0..count).try_fold(0, |value, _| Some(value << 1 | u32::from(self.flag()?)))
    }

    /// Up to 8 bits.
    fn small(&mut self, count: u8) -> Option<u8> {
        u8::try_from(self.take(count)?).ok()
    }

    fn skip(&mut self, count: usize) -> Option<()> {
        let at = self.at + count;
        (at <= self.bytes.len() * 8).then(|| self.at = at)
    }

    /// Skips a variable-length number.
    fn uvlc(&mut self) -> Option<()> {
        const MAX_ZEROS: usize = 32;
        let mut zeros = 0;
        while !self.flag()? {
            zeros += 1;
        }
        if zeros < MAX_ZEROS { self.skip(zeros) } else { Some(()) }
    }
}

fn starts_with_key_frame(units: &[Obu<'_>]) -> bool {
    const SHOW_EXISTING: u8 = 0x80;
    const TYPE: u8 = 0x60;
    const SHOWN: u8 = 0x10;
    let frame = units.iter().find(|obu| matches!(obu.kind, FRAME | FRAME_HEADER));
    let header = frame.and_then(|frame| frame.payload.first());
    header.is_some_and(|bits| bits & (SHOW_EXISTING | TYPE | SHOWN) == SHOWN)
}

/// Writes units after `prefix`, each with its size.
fn join<'a>(prefix: &[u8], units: impl Iterator<Item = &'a Obu<'a>>) -> Vec<u8> {
    let mut out = prefix.to_vec();
    for obu in units {
        push(&mut out, obu);
    }
    out
}

fn push(out: &mut Vec<u8>, obu: &Obu<'_>) {
    const SIZED: u8 = 2;
    const EXTENDED: u8 = 4;
    let header_len = if obu.bytes.first().is_some_and(|header| header & EXTENDED != 0) { 2 } else { 1 };
    let start = out.len();
    out.extend_from_slice(obu.bytes.get(..header_len).unwrap_or(&[]));
    if let Some(header) = out.get_mut(start) {
        *header |= SIZED;
    }
    push_leb128(out, obu.payload.len());
    out.extend_from_slice(obu.payload);
}

fn push_leb128(out: &mut Vec<u8>, mut value: usize) {
    while value >= 0x80 {
        out.push((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

fn malformed(rule: &'static str) -> Error {
    Error::Malformed { format: FORMAT, rule }
}

#[cfg(test)]
mod tests {
    use super::*;

    const UNIT: [u8; 11] = [0x12, 0, 0x0a, 2, 0xaa, 0xbb, 0x36, 0x48, 2, 0x10, 0xcc];

    #[test]
    fn delimiters_come_and_go() {
        let bare = without_delimiters(&UNIT).unwrap();
        assert_eq!(bare, UNIT[2..]);
        assert_eq!(with_delimiter(&bare).unwrap(), UNIT);
        assert_eq!(with_delimiter(&UNIT).unwrap(), UNIT, "never twice");
    }

    #[test]
    fn a_last_unit_without_a_size_gets_one() {
        let unsized_last = [0x34, 0x48, 0x10, 0xcc];
        assert_eq!(without_delimiters(&unsized_last).unwrap(), [0x36, 0x48, 2, 0x10, 0xcc]);
    }

    #[test]
    fn a_key_frame_gets_the_sequence_header_of_the_record() {
        let config = [0x81, 0, 0, 0, 0x0a, 2, 0xaa, 0xbb];
        assert_eq!(complete(&UNIT[6..], &config).unwrap(), (UNIT.to_vec(), true));
        assert!(!complete(&UNIT[6..], &[]).unwrap().1, "not decodable alone");
        let inter = [0x32, 1, 0x30];
        assert_eq!(complete(&inter, &config).unwrap(), (vec![0x12, 0, 0x32, 1, 0x30], false));
    }

    #[test]
    fn sizes_that_do_not_fit_are_refused() {
        for bad in [
            &[0x92, 0][..],
            &[0x0a, 5, 1, 2],
            &[0x0a],
            &[0x36],
            &[0x0a, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1],
        ] {
            assert!(parse(bad).is_err(), "{bad:x?}");
        }
    }
}
