//! Opens whatever a person names: tells the format from the first bytes.

use std::fs::File;
use std::io::{self, BufReader, Cursor, Read, Seek};
use std::path::Path;

use super::{AudioTrack, Error, Packet, Remedy, VideoTrack, ivf, mp4, raw, wav, webm, y4m};
use crate::video::Frame;

/// Name of the standard input.
pub const STDIN: &str = "-";
/// Bytes that tell a format.
const PREFIX_LEN: usize = 12;

/// What a source without a header does not say of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Hint {
    /// The first bytes tell the format.
    #[default]
    Probe,
    /// Raw I420 pictures.
    RawVideo(raw::Format),
    /// Raw 16-bit little-endian samples.
    RawAudio(wav::Format),
}

/// A source, by what has to be done with it.
pub enum Input {
    /// Pictures to encode.
    Frames(Frames),
    /// AV1 and perhaps Opus to pass on as they are.
    Encoded(Demuxer),
    /// Samples to encode.
    Samples(wav::Reader<Box<dyn Read + Send>>),
}

/// Pictures, one after the other.
pub enum Frames {
    /// With a header.
    Y4m(y4m::Reader<Box<dyn Read + Send>>),
    /// Without.
    Raw(raw::Reader<Box<dyn Read + Send>>),
}

/// Packets, in the order in which they are to be sent.
pub enum Demuxer {
    /// Video only.
    Ivf(ivf::Reader<Box<dyn Read + Send>>),
    /// Video, audio or both.
    Webm(webm::Reader<Box<dyn Read + Send>>),
    /// Video, audio or both.
    Mp4(mp4::Reader<BufReader<File>>),
}

/// Opens a file, or the standard input when `path` is [`STDIN`]. An unknown format is [`Error::Unsupported`].
pub fn open(path: &Path, hint: Hint) -> Result<Input, Error> {
    if path == Path::new(STDIN) {
        return open_pipe(Box::new(BufReader::new(io::stdin())), hint);
    }
    let mut file = File::open(path)?;
    let is_regular = file.metadata()?.is_file();
    if is_regular && hint == Hint::Probe {
        let prefix = read_prefix(&mut file)?;
        file.rewind()?;
        if Kind::of(&prefix) == Kind::Mp4 {
            return Ok(Input::Encoded(Demuxer::Mp4(mp4::Reader::new(BufReader::new(file))?)));
        }
    }
    open_pipe(Box::new(BufReader::new(file)), hint)
}

/// Opens a stream that can be read only once, forward.
pub fn open_pipe(mut reader: Box<dyn Read + Send>, hint: Hint) -> Result<Input, Error> {
    match hint {
        Hint::RawVideo(format) => Ok(Input::Frames(Frames::Raw(raw::Reader::new(reader, format)?))),
        Hint::RawAudio(format) => {
            format.check_for_opus()?;
            Ok(Input::Samples(wav::Reader::raw(reader, format)))
        }
        Hint::Probe => {
            let prefix = read_prefix(&mut reader)?;
            let kind = Kind::of(&prefix);
            open_kind(kind, Box::new(Cursor::new(prefix).chain(reader)))
        }
    }
}

fn open_kind(kind: Kind, reader: Box<dyn Read + Send>) -> Result<Input, Error> {
    let unsupported = |what: &str, remedy| Error::Unsupported { format: "source", what: what.into(), remedy };
    Ok(match kind {
        Kind::Y4m => Input::Frames(Frames::Y4m(y4m::Reader::new(reader)?)),
        Kind::Ivf => Input::Encoded(Demuxer::Ivf(ivf::Reader::new(reader)?)),
        Kind::Webm => Input::Encoded(Demuxer::Webm(webm::Reader::new(reader)?)),
        Kind::Wav => {
            let samples = wav::Reader::new(reader)?;
            samples.format().check_for_opus()?;
            Input::Samples(samples)
        }
        Kind::Mp4 => return Err(unsupported("MP4 through a pipe", Remedy::File)),
        Kind::Empty => return Err(Error::Truncated { format: "source", field: "the first bytes" }),
        Kind::Unknown => return Err(unsupported("this format", Remedy::Y4m)),
    })
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Y4m,
    Ivf,
    Webm,
    Mp4,
    Wav,
    Empty,
    Unknown,
}

impl Kind {
    fn of(prefix: &[u8]) -> Self {
        let mp4 = prefix.get(4..).is_some_and(|rest| rest.starts_with(mp4::MAGIC));
        match prefix {
            [] => Self::Empty,
            _ if prefix.starts_with(y4m::MAGIC) => Self::Y4m,
            _ if prefix.starts_with(ivf::MAGIC) => Self::Ivf,
            _ if prefix.starts_with(webm::MAGIC) => Self::Webm,
            _ if prefix.starts_with(wav::MAGIC) => Self::Wav,
            _ if mp4 => Self::Mp4,
            _ => Self::Unknown,
        }
    }
}

fn read_prefix(reader: &mut impl Read) -> Result<Vec<u8>, Error> {
    let mut prefix = Vec::with_capacity(PREFIX_LEN);
    reader.take(PREFIX_LEN as u64).read_to_end(&mut prefix)?;
    Ok(prefix)
}

impl Frames {
    /// Size and rate.
    pub fn format(&self) -> raw::Format {
        match self {
            Self::Y4m(reader) => {
                let y4m::Header { width, height, rate } = reader.header();
                raw::Format { width, height, rate }
            }
            Self::Raw(reader) => reader.format(),
        }
    }

    /// The next picture; none at the end.
    pub fn next_frame(&mut self) -> Result<Option<Frame>, Error> {
        match self {
            Self::Y4m(reader) => reader.next_frame(),
            Self::Raw(reader) => reader.next_frame(),
        }
    }
}

impl Demuxer {
    /// The AV1 track.
    pub fn video(&self) -> Option<&VideoTrack> {
        match self {
            Self::Ivf(reader) => Some(reader.track()),
            Self::Webm(reader) => reader.video(),
            Self::Mp4(reader) => reader.video(),
        }
    }

    /// The Opus track.
    pub fn audio(&self) -> Option<AudioTrack> {
        match self {
            Self::Ivf(_) => None,
            Self::Webm(reader) => reader.audio(),
            Self::Mp4(reader) => reader.audio(),
        }
    }

    /// The next packet; none at the end.
    pub fn next_packet(&mut self) -> Result<Option<Packet>, Error> {
        match self {
            Self::Ivf(reader) => Ok(reader.next_unit()?.map(Packet::Video)),
            Self::Webm(reader) => reader.next_packet(),
            Self::Mp4(reader) => reader.next_packet(),
        }
    }
}
