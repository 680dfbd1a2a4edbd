//! IVF: AV1 temporal units with a time each, through pipes too.

use std::io::{Read, Write};

use super::error::printable;
use super::input::Input;
use super::{EncodedUnit, Error, MAX_UNIT_LEN, Rate, Remedy, VideoTrack, complete_unit};

/// First bytes of an IVF stream.
pub const MAGIC: &[u8] = b"DKIF";

const FORMAT: &str = "IVF";
const AV1: &[u8; 4] = b"AV01";
const HEADER_LEN: u16 = 32;
/// Longest header of a later version, in bytes.
const MAX_HEADER_LEN: u16 = 1_024;

/// Reads temporal units one by one.
pub struct Reader<R> {
    input: Input<R>,
    track: VideoTrack,
    /// Units of time a second.
    time_base: Rate,
}

impl<R: Read> Reader<R> {
    /// Reads the header; another codec than AV1 is [`Error::Unsupported`].
    pub fn new(reader: R) -> Result<Self, Error> {
        let mut input = Input::new(FORMAT, reader);
        let header: [u8; HEADER_LEN as usize] = input.array("the header")?;
        let mut fields = Fields(&header);
        if fields.take::<4>() != *MAGIC || u16::from_le_bytes(fields.take()) != 0 {
            return Err(input.malformed("a stream must begin with DKIF and version 0"));
        }
        let header_len = u16::from_le_bytes(fields.take());
        let codec = fields.take::<4>();
        if codec != *AV1 {
            let what = format!("codec {}", printable(&codec));
            return Err(Error::Unsupported { format: FORMAT, what, remedy: Remedy::Y4m });
        }
        let (width, height) = (u16::from_le_bytes(fields.take()).into(), u16::from_le_bytes(fields.take()).into());
        let rate = Rate::new(u32::from_le_bytes(fields.take()), u32::from_le_bytes(fields.take()));
        let time_base = rate.ok_or(input.malformed("the time base must not be 0"))?;
        skip_extension(&mut input, header_len)?;
        Ok(Self { input, track: VideoTrack { width, height, config: Vec::new() }, time_base })
    }

    /// Size of the pictures.
    pub fn track(&self) -> &VideoTrack {
        &self.track
    }

    /// The next temporal unit; none at a clean end.
    pub fn next_unit(&mut self) -> Result<Option<EncodedUnit>, Error> {
        let Some(header) = self.input.array_or_end::<12>("a frame header")? else { return Ok(None) };
        let mut fields = Fields(&header);
        let len = u32::from_le_bytes(fields.take());
        let pts_us = self.time_base.time_us(u64::from_le_bytes(fields.take()));
        let unit = self.input.bytes("a frame", len.into(), MAX_UNIT_LEN)?;
        let (data, key) = complete_unit(&unit, &[])?;
        Ok(Some(EncodedUnit { data, key, pts_us }))
    }
}

fn skip_extension<R: Read>(input: &mut Input<R>, header_len: u16) -> Result<(), Error> {
    match header_len {
        HEADER_LEN..=MAX_HEADER_LEN => input.skip("the header", (header_len - HEADER_LEN).into()),
        _ => Err(input.malformed("the header must be 32 to 1024 bytes long")),
    }
}

/// Little-endian fields of a header that has been read whole; zeros after its end.
struct Fields<'a>(&'a [u8]);

impl Fields<'_> {
    fn take<const N: usize>(&mut self) -> [u8; N] {
        let (head, rest) = self.0.split_first_chunk().unwrap_or((&[0; N], &[]));
        self.0 = rest;
        *head
    }
}

/// Writes temporal units one by one.
pub struct Writer<W> {
    out: W,
}

impl<W: Write> Writer<W> {
    /// Writes the header, with times in µs. Sides above 65 535 are [`Error::TooLong`].
    pub fn new(mut out: W, track: &VideoTrack) -> Result<Self, Error> {
        const MICROS: u32 = 1_000_000;
        let (width, height) = (side("width", track.width)?, side("height", track.height)?);
        let mut header = MAGIC.to_vec();
        header.extend_from_slice(&0u16.to_le_bytes());
        header.extend_from_slice(&HEADER_LEN.to_le_bytes());
        header.extend_from_slice(AV1);
        header.extend_from_slice(&width.to_le_bytes());
        header.extend_from_slice(&height.to_le_bytes());
        header.extend_from_slice(&MICROS.to_le_bytes());
        header.extend_from_slice(&1u32.to_le_bytes());
        header.extend_from_slice(&[0; 8]);
        out.write_all(&header)?;
        Ok(Self { out })
    }

    /// Writes one temporal unit; one above [`MAX_UNIT_LEN`] is [`Error::TooLong`].
    pub fn write(&mut self, unit: &EncodedUnit) -> Result<(), Error> {
        let len = bounded("a unit", unit.data.len(), MAX_UNIT_LEN)?;
        self.out.write_all(&len.to_le_bytes())?;
        self.out.write_all(&unit.pts_us.to_le_bytes())?;
        self.out.write_all(&unit.data)?;
        Ok(())
    }

    /// Flushes and gives the output back.
    pub fn finish(mut self) -> Result<W, Error> {
        self.out.flush()?;
        Ok(self.out)
    }
}

fn bounded(field: &'static str, len: usize, bound: usize) -> Result<u32, Error> {
    let too_long = Error::TooLong { format: FORMAT, field, got: len as u64, bound: bound as u64 };
    u32::try_from(len).ok().filter(|_| len <= bound).ok_or(too_long)
}

fn side(field: &'static str, side: u32) -> Result<u16, Error> {
    let bound = u64::from(u16::MAX);
    u16::try_from(side).map_err(|_| Error::TooLong { format: FORMAT, field, got: side.into(), bound })
}
