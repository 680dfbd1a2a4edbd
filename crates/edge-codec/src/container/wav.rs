//! WAV and raw PCM: 16-bit little-endian samples, through pipes too.

use std::io::{Read, Seek, SeekFrom, Write};

use super::input::Input;
use super::{Error, Remedy};

/// First bytes of a WAV stream; `WAVE` follows at byte 8.
pub const MAGIC: &[u8] = b"RIFF";
/// Most samples that one read gives, over all channels.
pub const MAX_READ: usize = 1 << 16;
/// Most chunks before the samples.
const MAX_CHUNKS: usize = 64;
/// Longest format chunk, in bytes.
const MAX_FORMAT_LEN: usize = 1_024;

const FORMAT: &str = "WAV";
const SAMPLE_LEN: usize = 2;

/// What samples do not say of themselves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Format {
    /// Samples of one channel a second.
    pub sample_rate_hz: u32,
    /// 1 or 2, interleaved.
    pub channels: u8,
}

impl Format {
    /// What Opus works in: 48 kHz.
    pub const MONO_48K: Self = Self { sample_rate_hz: 48_000, channels: 1 };

    /// Refuses rates that Opus does not take, with what to do.
    pub fn check_for_opus(&self) -> Result<(), Error> {
        match self.sample_rate_hz {
            8_000 | 12_000 | 16_000 | 24_000 | 48_000 => Ok(()),
            other => Err(unsupported(format!("a sample rate of {other} Hz"))),
        }
    }
}

/// Reads samples.
pub struct Reader<R> {
    input: Input<R>,
    format: Format,
    /// Bytes of samples that are left; none = up to the end of the input.
    left: Option<u64>,
}

impl<R: Read> Reader<R> {
    /// Reads up to the samples. Anything but 16-bit PCM in one or two channels is [`Error::Unsupported`].
    pub fn new(reader: R) -> Result<Self, Error> {
        let mut input = Input::new(FORMAT, reader);
        let [magic, _len, kind] = read_riff(&mut input)?;
        if magic != *MAGIC || kind != *b"WAVE" {
            return Err(input.malformed("a file must begin with RIFF and WAVE"));
        }
        let mut format = None;
        for _ in 0..MAX_CHUNKS {
            let [id, len] = read_chunk(&mut input)?;
            let len = u32::from_le_bytes(len);
            match &id {
                b"fmt " => format = Some(read_format(&mut input, len)?),
                b"data" => {
                    let format = format.ok_or(input.malformed("the format must come before the samples"))?;
                    return Ok(Self { input, format, left: known_len(len) });
                }
                _ => input.skip("a chunk", padded(len))?,
            }
        }
        Err(input.malformed("the samples must be among the first 64 chunks"))
    }

    /// Reads samples without any header.
    pub fn raw(reader: R, format: Format) -> Self {
        Self { input: Input::new("raw PCM", reader), format, left: None }
    }

    /// Rate and channels.
    pub fn format(&self) -> Format {
        self.format
    }

    /// The next samples of all channels: exactly `blocks` a channel (at most [`MAX_READ`] over all), the last ones
    /// filled up with silence; none at the end. A cut sample at the end is dropped.
    pub fn read(&mut self, blocks: usize) -> Result<Option<Vec<i16>>, Error> {
        let wanted = blocks.saturating_mul(self.format.channels.into()).min(MAX_READ);
        let bytes = self.read_bytes(wanted * SAMPLE_LEN)?;
        let samples = bytes.chunks_exact(SAMPLE_LEN).filter_map(|pair| pair.first_chunk()).copied();
        let mut pcm: Vec<i16> = samples.map(i16::from_le_bytes).collect();
        let ended = pcm.is_empty();
        pcm.resize(wanted, 0);
        Ok((!ended).then_some(pcm))
    }

    fn read_bytes(&mut self, wanted: usize) -> Result<Vec<u8>, Error> {
        let limit = self.left.map_or(wanted as u64, |left| left.min(wanted as u64));
        let mut bytes = Vec::with_capacity(wanted);
        self.input.reader().take(limit).read_to_end(&mut bytes)?;
        self.left = self.left.map(|left| left.saturating_sub(bytes.len() as u64));
        Ok(bytes)
    }
}

fn read_riff<R: Read>(input: &mut Input<R>) -> Result<[[u8; 4]; 3], Error> {
    Ok([input.array("the header")?, input.array("the header")?, input.array("the header")?])
}

fn read_chunk<R: Read>(input: &mut Input<R>) -> Result<[[u8; 4]; 2], Error> {
    Ok([input.array("a chunk header")?, input.array("a chunk header")?])
}

fn read_format<R: Read>(input: &mut Input<R>, len: u32) -> Result<Format, Error> {
    const PCM: u16 = 1;
    const EXTENSIBLE: u16 = 0xfffe;
    const SUBFORMAT_AT: usize = 24;
    let chunk = input.bytes("the format", padded(len), MAX_FORMAT_LEN)?;
    let field = |at: usize| chunk.get(at..at + 2).and_then(|pair| pair.first_chunk()).copied().map(u16::from_le_bytes);
    let short = input.truncated("the format");
    let (Some(tag), Some(channels), Some(low), Some(high), Some(bits)) =
        (field(0), field(2), field(4), field(6), field(14))
    else {
        return Err(short);
    };
    let tag = if tag == EXTENSIBLE { field(SUBFORMAT_AT).ok_or(short)? } else { tag };
    let sample_rate_hz = u32::from(high) << 16 | u32::from(low);
    match (tag, bits, u8::try_from(channels)) {
        (PCM, 16, Ok(channels @ 1..=2)) if sample_rate_hz > 0 => Ok(Format { sample_rate_hz, channels }),
        (PCM, ..) => Err(unsupported(format!("{bits} bit in {channels} channels at {sample_rate_hz} Hz"))),
        (tag, ..) => Err(unsupported(format!("sample encoding {tag}"))),
    }
}

/// A writer to a pipe does not know the length and leaves it at 0 or near the largest value.
fn known_len(len: u32) -> Option<u64> {
    const LONGEST_KNOWN: u32 = 0x7fff_f000;
    (1..LONGEST_KNOWN).contains(&len).then_some(len.into())
}

fn padded(len: u32) -> u64 {
    u64::from(len) + u64::from(len % 2)
}

/// Writes samples; to a pipe the header says that the length is unknown.
pub struct Writer<W> {
    out: W,
    written: u64,
}

const LEN_UNKNOWN: u32 = u32::MAX;
const RIFF_LEN_AT: u64 = 4;
const DATA_LEN_AT: u64 = 40;
const HEADER_LEN: u32 = 44;

impl<W: Write> Writer<W> {
    /// Writes the header.
    pub fn new(mut out: W, format: Format) -> Result<Self, Error> {
        const PCM: u16 = 1;
        const FORMAT_LEN: u32 = 16;
        let block_len = u16::from(format.channels) * SAMPLE_LEN as u16;
        let mut header = MAGIC.to_vec();
        header.extend_from_slice(&LEN_UNKNOWN.to_le_bytes());
        header.extend_from_slice(b"WAVEfmt ");
        header.extend_from_slice(&FORMAT_LEN.to_le_bytes());
        header.extend_from_slice(&PCM.to_le_bytes());
        header.extend_from_slice(&u16::from(format.channels).to_le_bytes());
        header.extend_from_slice(&format.sample_rate_hz.to_le_bytes());
        header.extend_from_slice(&format.sample_rate_hz.saturating_mul(block_len.into()).to_le_bytes());
        header.extend_from_slice(&block_len.to_le_bytes());
        header.extend_from_slice(&(8 * SAMPLE_LEN as u16).to_le_bytes());
        header.extend_from_slice(b"data");
        header.extend_from_slice(&LEN_UNKNOWN.to_le_bytes());
        out.write_all(&header)?;
        Ok(Self { out, written: 0 })
    }

    /// Writes interleaved samples.
    pub fn write(&mut self, pcm: &[i16]) -> Result<(), Error> {
        let bytes: Vec<u8> = pcm.iter().flat_map(|sample| sample.to_le_bytes()).collect();
        self.out.write_all(&bytes)?;
        self.written = self.written.saturating_add(bytes.len() as u64);
        Ok(())
    }

    /// Flushes a pipe and gives it back.
    pub fn finish(mut self) -> Result<W, Error> {
        self.out.flush()?;
        Ok(self.out)
    }
}

impl<W: Write + Seek> Writer<W> {
    /// Writes the lengths into the header of a file, flushes it and gives it back.
    pub fn finish_file(mut self) -> Result<W, Error> {
        let data_len = u32::try_from(self.written).unwrap_or(LEN_UNKNOWN);
        let riff_len = data_len.saturating_add(HEADER_LEN - 8);
        self.patch(RIFF_LEN_AT, riff_len)?;
        self.patch(DATA_LEN_AT, data_len)?;
        self.out.seek(SeekFrom::End(0))?;
        self.finish()
    }

    fn patch(&mut self, at: u64, len: u32) -> Result<(), Error> {
        self.out.seek(SeekFrom::Start(at))?;
        self.out.write_all(&len.to_le_bytes())?;
        Ok(())
    }
}

fn unsupported(what: String) -> Error {
    Error::Unsupported { format: FORMAT, what, remedy: Remedy::Wav }
}
