use std::io::Read;

use super::super::error::printable;
use super::super::input::Input;
use super::super::{
    AudioTrack, EncodedUnit, Error, MAX_OPUS_LEN, MAX_UNIT_LEN, OpusPacket, Packet, Remedy, VideoTrack, complete_unit,
};
use super::ebml::{self, Id, Start, as_unsigned, children};
use super::{AUDIO_TYPE, AV1, FORMAT, OPUS, OPUS_HEAD, VIDEO_TYPE};

/// Longest part that is held in memory whole, other than a block, in bytes.
const MAX_PART_LEN: usize = 1 << 20;
/// Bytes of a block before its data, at most.
const MAX_BLOCK_HEADER_LEN: usize = 12;
const MAX_BLOCK_LEN: usize = MAX_UNIT_LEN + MAX_BLOCK_HEADER_LEN;
const DEFAULT_SCALE_NANOS: u64 = 1_000_000;
const NANOS_A_MICRO: i128 = 1_000;

/// Reads the first AV1 track and the first Opus track, also from a pipe.
pub struct Reader<R> {
    input: Input<R>,
    video: Option<(u64, VideoTrack)>,
    audio: Option<(u64, AudioTrack)>,
    scale_nanos: u64,
    cluster_ticks: u64,
}

impl<R: Read> Reader<R> {
    /// Reads up to the first cluster. A file without an AV1 or an Opus track is [`Error::Unsupported`].
    pub fn new(reader: R) -> Result<Self, Error> {
        let input = Input::new(FORMAT, reader);
        let (scale_nanos, cluster_ticks) = (DEFAULT_SCALE_NANOS, 0);
        let mut new = Self { input, video: None, audio: None, scale_nanos, cluster_ticks };
        new.read_ebml_header()?;
        new.read_until_cluster()?;
        Ok(new)
    }

    /// The AV1 track.
    pub fn video(&self) -> Option<&VideoTrack> {
        self.video.as_ref().map(|(_, track)| track)
    }

    /// The Opus track.
    pub fn audio(&self) -> Option<AudioTrack> {
        self.audio.map(|(_, track)| track)
    }

    /// The next packet of either track, in the order of the file; none at the end.
    pub fn next_packet(&mut self) -> Result<Option<Packet>, Error> {
        while let Some(start) = ebml::read_start(&mut self.input)? {
            match start.id {
                Id::CLUSTER | Id::BLOCK_GROUP | Id::SEGMENT => {}
                Id::TIMESTAMP => self.cluster_ticks = self.read_unsigned(start)?,
                Id::SIMPLE_BLOCK | Id::BLOCK => {
                    let block = self.read_part(start, "a block", MAX_BLOCK_LEN)?;
                    if let Some(packet) = self.packet(&block)? {
                        return Ok(Some(packet));
                    }
                }
                _ => self.skip(start)?,
            }
        }
        Ok(None)
    }

    fn read_ebml_header(&mut self) -> Result<(), Error> {
        let start = ebml::read_start(&mut self.input)?.ok_or(self.input.truncated("the header"))?;
        if start.id != Id::EBML {
            return Err(self.input.malformed("a file must begin with an EBML header"));
        }
        let header = self.read_part(start, "the header", MAX_PART_LEN)?;
        let doc_type = children(&header).find(|(id, _)| *id == Id::DOC_TYPE).map_or(&b""[..], |(_, name)| name);
        match doc_type {
            b"webm" | b"matroska" => Ok(()),
            other => Err(unsupported(format!("document type {}", printable(other)), Remedy::Remux)),
        }
    }

    fn read_until_cluster(&mut self) -> Result<(), Error> {
        while let Some(start) = ebml::read_start(&mut self.input)? {
            match start.id {
                Id::SEGMENT => {}
                Id::INFO => {
                    let info = self.read_part(start, "the segment information", MAX_PART_LEN)?;
                    let scale = children(&info).find(|(id, _)| *id == Id::TIMESTAMP_SCALE);
                    self.scale_nanos = scale.and_then(|(_, value)| as_unsigned(value)).unwrap_or(DEFAULT_SCALE_NANOS);
                }
                Id::TRACKS => {
                    let tracks = self.read_part(start, "the tracks", MAX_PART_LEN)?;
                    self.read_tracks(&tracks)?;
                }
                Id::CLUSTER => return self.check_tracks(),
                _ => self.skip(start)?,
            }
        }
        Err(self.input.truncated("what comes before the first cluster"))
    }

    fn read_tracks(&mut self, tracks: &[u8]) -> Result<(), Error> {
        for (_, contents) in children(tracks).filter(|(id, _)| *id == Id::TRACK_ENTRY) {
            let entry = Entry::parse(contents);
            match (entry.kind, entry.codec) {
                (VIDEO_TYPE, _) if self.video.is_some() => {}
                (AUDIO_TYPE, _) if self.audio.is_some() => {}
                (VIDEO_TYPE, AV1) => self.video = Some((entry.number, entry.video()?)),
                (AUDIO_TYPE, OPUS) => self.audio = Some((entry.number, entry.audio()?)),
                (VIDEO_TYPE, other) => return Err(unsupported(format!("codec {}", printable(other)), Remedy::Y4m)),
                (AUDIO_TYPE, other) => return Err(unsupported(format!("codec {}", printable(other)), Remedy::Opus)),
                _ => {}
            }
        }
        Ok(())
    }

    fn check_tracks(&self) -> Result<(), Error> {
        match self.video.is_none() && self.audio.is_none() {
            true => Err(self.input.malformed("a track must come before the first cluster")),
            false => Ok(()),
        }
    }

    fn packet(&self, block: &[u8]) -> Result<Option<Packet>, Error> {
        const LACING: u8 = 0x06;
        let block = Block::parse(block).ok_or(self.input.truncated("a block"))?;
        let video = self.video.as_ref().filter(|(number, _)| *number == block.track);
        let is_audio = self.audio.is_some_and(|(number, _)| number == block.track);
        if video.is_none() && !is_audio {
            return Ok(None);
        }
        if block.flags & LACING != 0 {
            return Err(unsupported("lacing".into(), Remedy::Remux));
        }
        let pts_us = self.time_us(block.relative);
        match video {
            Some((_, track)) => {
                let (data, key) = complete_unit(block.data, &track.config)?;
                Ok(Some(Packet::Video(EncodedUnit { data, key, pts_us })))
            }
            None if block.data.len() > MAX_OPUS_LEN => Err(Error::TooLong {
                format: FORMAT,
                field: "an Opus packet",
                got: block.data.len() as u64,
                bound: MAX_OPUS_LEN as u64,
            }),
            None => Ok(Some(Packet::Audio(OpusPacket { data: block.data.to_vec(), pts_us }))),
        }
    }

    fn time_us(&self, relative: i16) -> u64 {
        let ticks = i128::from(self.cluster_ticks) + i128::from(relative);
        let micros = ticks.saturating_mul(self.scale_nanos.into()) / NANOS_A_MICRO;
        u64::try_from(micros.max(0)).unwrap_or(u64::MAX)
    }

    fn read_part(&mut self, start: Start, field: &'static str, bound: usize) -> Result<Vec<u8>, Error> {
        let size = start.size.ok_or(self.input.malformed("only segments and clusters may have an unknown size"))?;
        self.input.bytes(field, size, bound)
    }

    fn read_unsigned(&mut self, start: Start) -> Result<u64, Error> {
        let value = self.read_part(start, "a number", 8)?;
        as_unsigned(&value).ok_or(self.input.malformed("a number must have at most 8 bytes"))
    }

    fn skip(&mut self, start: Start) -> Result<(), Error> {
        let size = start.size.ok_or(self.input.malformed("only segments and clusters may have an unknown size"))?;
        self.input.skip("an element", size)
    }
}

/// A track entry's fields that matter here.
#[derive(Default)]
struct Entry<'a> {
    number: u64,
    kind: u64,
    codec: &'a [u8],
    private: &'a [u8],
    encoded: bool,
    width: u64,
    height: u64,
    channels: u64,
}

impl<'a> Entry<'a> {
    fn parse(contents: &'a [u8]) -> Self {
        let mut entry = Self { channels: 1, ..Self::default() };
        for (id, value) in children(contents) {
            match id {
                Id::TRACK_NUMBER => entry.number = as_unsigned(value).unwrap_or(0),
                Id::TRACK_TYPE => entry.kind = as_unsigned(value).unwrap_or(0),
                Id::CODEC_ID => entry.codec = value.split(|byte| *byte == 0).next().unwrap_or(value),
                Id::CODEC_PRIVATE => entry.private = value,
                Id::CONTENT_ENCODINGS => entry.encoded = true,
                Id::VIDEO => {
                    entry.width = number_in(value, Id::PIXEL_WIDTH).unwrap_or(0);
                    entry.height = number_in(value, Id::PIXEL_HEIGHT).unwrap_or(0);
                }
                Id::AUDIO => entry.channels = number_in(value, Id::CHANNELS).unwrap_or(1),
                _ => {}
            }
        }
        entry
    }

    fn video(&self) -> Result<VideoTrack, Error> {
        self.check_plain()?;
        let side = |side: u64| u32::try_from(side).ok().filter(|side| *side > 0);
        match (side(self.width), side(self.height)) {
            (Some(width), Some(height)) => VideoTrack::described(width, height, self.private),
            _ => Err(Error::Malformed { format: FORMAT, rule: "a video track must have a size" }),
        }
    }

    fn audio(&self) -> Result<AudioTrack, Error> {
        self.check_plain()?;
        let head = OpusHead::parse(self.private);
        match head.map_or(self.channels, |head| head.channels.into()) {
            channels @ 1..=2 => Ok(AudioTrack {
                channels: channels as u8,
                pre_skip: head.map_or(0, |head| head.pre_skip),
                sample_rate_hz: head.map_or(crate::audio::OPUS_RATE_HZ, |head| head.sample_rate_hz),
            }),
            other => Err(unsupported(format!("Opus in {other} channels"), Remedy::Opus)),
        }
    }

    fn check_plain(&self) -> Result<(), Error> {
        match self.encoded {
            true => Err(unsupported("a compressed or encrypted track".into(), Remedy::Remux)),
            false => Ok(()),
        }
    }
}

fn number_in(data: &[u8], id: Id) -> Option<u64> {
    as_unsigned(children(data).find(|(child, _)| *child == id)?.1)
}

#[derive(Clone, Copy)]
struct OpusHead {
    channels: u8,
    pre_skip: u16,
    sample_rate_hz: u32,
}

impl OpusHead {
    fn parse(data: &[u8]) -> Option<Self> {
        let rest = data.strip_prefix(OPUS_HEAD)?;
        let (&[_version, channels, low, high], rest) = rest.split_first_chunk()?;
        let sample_rate_hz = u32::from_le_bytes(*rest.first_chunk()?);
        Some(Self { channels, pre_skip: u16::from_le_bytes([low, high]), sample_rate_hz })
    }
}

struct Block<'a> {
    track: u64,
    relative: i16,
    flags: u8,
    data: &'a [u8],
}

impl<'a> Block<'a> {
    fn parse(block: &'a [u8]) -> Option<Self> {
        let track_len = block.first()?.leading_zeros() as usize + 1;
        let (track, rest) = block.split_at_checked(track_len).filter(|(track, _)| track.len() <= 8)?;
        let marker = 1u64 << (7 * track_len);
        let track = as_unsigned(track)? & (marker - 1);
        let (&[high, low, flags], data) = rest.split_first_chunk()?;
        Some(Self { track, relative: i16::from_be_bytes([high, low]), flags, data })
    }
}

fn unsupported(what: String, remedy: Remedy) -> Error {
    Error::Unsupported { format: FORMAT, what, remedy }
}
