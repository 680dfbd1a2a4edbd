//! MP4: the AV1 and Opus tracks of a file whose index is in one piece.

use std::io::{Read, Seek, SeekFrom};

use super::error::printable;
use super::input::Input;
use super::{
    AudioTrack, EncodedUnit, Error, MAX_OPUS_LEN, MAX_UNIT_LEN, OpusPacket, Packet, Remedy, VideoTrack, complete_unit,
};
use crate::audio::OPUS_RATE_HZ;

/// Bytes 4 to 7 of an MP4 file.
pub const MAGIC: &[u8] = b"ftyp";
/// Longest index that is read, in bytes.
pub const MAX_INDEX_LEN: usize = 64 << 20;
/// Most samples of a track.
pub const MAX_SAMPLES: usize = 1 << 21;
/// Most boxes before the index.
const MAX_TOP_BOXES: usize = 4_096;

const FORMAT: &str = "MP4";

/// Reads the first AV1 track and the first Opus track, in the order of their times.
pub struct Reader<R> {
    input: Input<R>,
    video: Option<Track<VideoTrack>>,
    audio: Option<Track<AudioTrack>>,
}

struct Track<T> {
    kind: T,
    timescale: u32,
    /// Added to every time, in µs.
    shift_us: i64,
    samples: std::iter::Peekable<std::vec::IntoIter<Sample>>,
}

/// Where one packet is in the file, and when.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Sample {
    offset: u64,
    len: u32,
    ticks: i64,
}

impl<R: Read + Seek> Reader<R> {
    /// Reads the index. A fragmented file, and one without an AV1 or an Opus track, is [`Error::Unsupported`].
    pub fn new(mut reader: R) -> Result<Self, Error> {
        let file_len = reader.seek(SeekFrom::End(0))?;
        reader.seek(SeekFrom::Start(0))?;
        let mut input = Input::new(FORMAT, reader);
        let index = read_index(&mut input, file_len)?;
        let mut new = Self { input, video: None, audio: None };
        new.read_tracks(&index, file_len)?;
        Ok(new)
    }

    /// The AV1 track.
    pub fn video(&self) -> Option<&VideoTrack> {
        self.video.as_ref().map(|track| &track.kind)
    }

    /// The Opus track.
    pub fn audio(&self) -> Option<AudioTrack> {
        self.audio.as_ref().map(|track| track.kind)
    }

    /// The next packet of either track; none at the end.
    pub fn next_packet(&mut self) -> Result<Option<Packet>, Error> {
        let video_us = self.video.as_mut().and_then(Track::next_us);
        let audio_us = self.audio.as_mut().and_then(Track::next_us);
        let video_first = video_us.is_some_and(|video| audio_us.is_none_or(|audio| video <= audio));
        match (video_us, audio_us) {
            (Some(pts_us), _) if video_first => self.video_packet(pts_us),
            (_, Some(pts_us)) => self.audio_packet(pts_us),
            _ => Ok(None),
        }
    }

    fn video_packet(&mut self, pts_us: u64) -> Result<Option<Packet>, Error> {
        let Some(track) = self.video.as_mut() else { return Ok(None) };
        let Some(sample) = track.samples.next() else { return Ok(None) };
        let unit = read_sample(&mut self.input, sample, MAX_UNIT_LEN)?;
        let (data, key) = complete_unit(&unit, &track.kind.config)?;
        Ok(Some(Packet::Video(EncodedUnit { data, key, pts_us })))
    }

    fn audio_packet(&mut self, pts_us: u64) -> Result<Option<Packet>, Error> {
        let Some(sample) = self.audio.as_mut().and_then(|track| track.samples.next()) else { return Ok(None) };
        let data = read_sample(&mut self.input, sample, MAX_OPUS_LEN)?;
        Ok(Some(Packet::Audio(OpusPacket { data, pts_us })))
    }

    fn read_tracks(&mut self, index: &[u8], file_len: u64) -> Result<(), Error> {
        if find(index, b"mvex").is_some() {
            return Err(unsupported("a fragmented file".into(), Remedy::Remux));
        }
        let movie_timescale = find(index, b"mvhd").and_then(timescale);
        for (_, trak) in boxes(index).filter(|(kind, _)| kind == b"trak") {
            let found = Found::parse(trak, movie_timescale)?;
            match (&found.handler, &found.codec) {
                (b"vide", _) if self.video.is_some() => {}
                (b"soun", _) if self.audio.is_some() => {}
                (b"vide", b"av01") => self.video = Some(found.video(file_len)?),
                (b"soun", b"Opus") => self.audio = Some(found.audio(file_len)?),
                (b"vide", codec) => return Err(unsupported(format!("codec {}", printable(codec)), Remedy::Y4m)),
                (b"soun", codec) => return Err(unsupported(format!("codec {}", printable(codec)), Remedy::Opus)),
                _ => {}
            }
        }
        match (&self.video, &self.audio) {
            (None, None) => Err(malformed("a file must have a video or an audio track")),
            _ => Ok(()),
        }
    }
}

impl<T> Track<T> {
    /// Time of the next sample, in µs.
    fn next_us(&mut self) -> Option<u64> {
        let ticks = i128::from(self.samples.peek()?.ticks);
        let micros = ticks * 1_000_000 / i128::from(self.timescale) + i128::from(self.shift_us);
        Some(u64::try_from(micros.max(0)).unwrap_or(u64::MAX))
    }
}

fn read_sample<R: Read + Seek>(input: &mut Input<R>, sample: Sample, bound: usize) -> Result<Vec<u8>, Error> {
    input.reader().seek(SeekFrom::Start(sample.offset))?;
    input.bytes("a sample", sample.len.into(), bound)
}

/// Finds the index among the boxes of the file.
fn read_index<R: Read + Seek>(input: &mut Input<R>, file_len: u64) -> Result<Vec<u8>, Error> {
    let mut at = 0u64;
    for _ in 0..MAX_TOP_BOXES {
        if at >= file_len {
            break;
        }
        input.reader().seek(SeekFrom::Start(at))?;
        let (kind, header_len, len) = read_box_header(input, file_len - at)?;
        if len < header_len {
            return Err(malformed("a box must be as long as its header"));
        }
        match &kind {
            b"moov" => return input.bytes("the index", len - header_len, MAX_INDEX_LEN),
            b"moof" => return Err(unsupported("a fragmented file".into(), Remedy::Remux)),
            _ => at = at.saturating_add(len),
        }
    }
    Err(malformed("a file must have an index"))
}

/// Kind, length of the header, and length with the header.
fn read_box_header<R: Read>(input: &mut Input<R>, left: u64) -> Result<([u8; 4], u64, u64), Error> {
    const LONG: u32 = 1;
    const TO_THE_END: u32 = 0;
    let len = u32::from_be_bytes(input.array("a box header")?);
    let kind = input.array("a box header")?;
    Ok(match len {
        TO_THE_END => (kind, 8, left),
        LONG => (kind, 16, u64::from_be_bytes(input.array("a box header")?)),
        len => (kind, 8, len.into()),
    })
}

/// A track of the index.
struct Found<'a> {
    handler: [u8; 4],
    codec: [u8; 4],
    /// The sample entry, after its kind.
    entry: &'a [u8],
    table: &'a [u8],
    timescale: u32,
    shift_us: i64,
}

impl<'a> Found<'a> {
    fn parse(trak: &'a [u8], movie_timescale: Option<u32>) -> Result<Self, Error> {
        let media = find(trak, b"mdia").ok_or(malformed("a track must have media"))?;
        let handler = find(media, b"hdlr").and_then(|handler| handler.get(8..)?.first_chunk().copied());
        let handler = handler.ok_or(malformed("a track must say what it holds"))?;
        let timescale = find(media, b"mdhd").and_then(timescale).ok_or(malformed("a track must have a time scale"))?;
        let table = find(media, b"minf").and_then(|info| find(info, b"stbl"));
        let table = table.ok_or(malformed("a track must have a sample table"))?;
        let entries = find(table, b"stsd").and_then(|entries| entries.get(8..));
        let entry = entries.and_then(|entries| boxes(entries).next());
        let (codec, entry) = entry.ok_or(malformed("a track must have a sample entry"))?;
        let edits = find(trak, b"edts").and_then(|edits| find(edits, b"elst"));
        let shift_us = edits.and_then(|edits| shift_us(edits, timescale, movie_timescale?)).unwrap_or(0);
        Ok(Self { handler, codec, entry, table, timescale, shift_us })
    }

    fn video(&self, file_len: u64) -> Result<Track<VideoTrack>, Error> {
        const WIDTH_AT: usize = 24;
        const ENTRY_LEN: usize = 78;
        let (width, height) = (be16(self.entry, WIDTH_AT), be16(self.entry, WIDTH_AT + 2));
        let config = self.entry.get(ENTRY_LEN..).and_then(|boxes| find(boxes, b"av1C")).unwrap_or(&[]);
        match (width, height) {
            (Some(width @ 1..), Some(height @ 1..)) => {
                self.track(VideoTrack::described(width.into(), height.into(), config)?, file_len)
            }
            _ => Err(malformed("a video track must have a size")),
        }
    }

    fn audio(&self, file_len: u64) -> Result<Track<AudioTrack>, Error> {
        const ENTRY_LEN: usize = 28;
        let head = self.entry.get(ENTRY_LEN..).and_then(|boxes| find(boxes, b"dOps")).unwrap_or(&[]);
        let channels = head.get(1).copied().unwrap_or(1);
        let pre_skip = be16(head, 2).unwrap_or(0);
        let sample_rate_hz = be32(head, 4).unwrap_or(OPUS_RATE_HZ);
        match channels {
            1 | 2 => self.track(AudioTrack { channels, pre_skip, sample_rate_hz }, file_len),
            _ => Err(unsupported(format!("Opus in {channels} channels"), Remedy::Opus)),
        }
    }

    fn track<T>(&self, kind: T, file_len: u64) -> Result<Track<T>, Error> {
        let samples = samples(self.table, file_len)?.into_iter().peekable();
        Ok(Track { kind, timescale: self.timescale, shift_us: self.shift_us, samples })
    }
}

/// All samples of a sample table.
fn samples(table: &[u8], file_len: u64) -> Result<Vec<Sample>, Error> {
    let sizes = Sizes::parse(table, file_len)?;
    let chunks = ChunkOffsets::parse(table)?;
    let mut durations = Runs::parse(table, b"stts").ok_or(malformed("a track must have sample durations"))?;
    let mut offsets = Runs::parse(table, b"ctts");
    let mut per_chunk = ChunkRuns::parse(table)?;
    let mut out = Vec::with_capacity(sizes.count());
    let mut ticks = 0i64;
    for chunk in 0..chunks.count() {
        let mut offset = chunks.get(chunk).ok_or(malformed("a chunk must have an offset"))?;
        for _ in 0..per_chunk.next(chunk) {
            let Some(len) = sizes.get(out.len()) else { return Ok(out) };
            let shift = offsets.as_mut().and_then(Runs::next).map_or(0, |shift| i64::from(shift.cast_signed()));
            out.push(Sample { offset, len, ticks: ticks.saturating_add(shift) });
            ticks = ticks.saturating_add(durations.next().unwrap_or(0).into());
            offset = offset.saturating_add(len.into());
        }
    }
    match out.len() == sizes.count() {
        true => Ok(out),
        false => Err(malformed("every sample must be in a chunk")),
    }
}

/// Lengths of the samples.
enum Sizes<'a> {
    Same { len: u32, count: usize },
    Each(&'a [u8]),
}

impl<'a> Sizes<'a> {
    fn parse(table: &'a [u8], file_len: u64) -> Result<Self, Error> {
        let sizes = find(table, b"stsz").ok_or(malformed("a track must have sample sizes"))?;
        let (Some(len), Some(count)) = (be32(sizes, 4), be32(sizes, 8)) else {
            return Err(Error::Truncated { format: FORMAT, field: "the sample sizes" });
        };
        let each = sizes.get(12..).unwrap_or(&[]);
        let possible = if len == 0 { each.len() as u64 / 4 } else { file_len / u64::from(len) };
        let bound = possible.min(MAX_SAMPLES as u64);
        match usize::try_from(count) {
            Ok(count) if count as u64 <= bound && len == 0 => Ok(Self::Each(each.get(..count * 4).unwrap_or(each))),
            Ok(count) if count as u64 <= bound => Ok(Self::Same { len, count }),
            _ => Err(Error::TooLong { format: FORMAT, field: "the number of samples", got: count.into(), bound }),
        }
    }

    fn count(&self) -> usize {
        match self {
            Self::Same { count, .. } => *count,
            Self::Each(each) => each.len() / 4,
        }
    }

    fn get(&self, at: usize) -> Option<u32> {
        match self {
            Self::Same { len, count } => (at < *count).then_some(*len),
            Self::Each(each) => be32(each, at.checked_mul(4)?),
        }
    }
}

/// Where the chunks are.
enum ChunkOffsets<'a> {
    Short(&'a [u8]),
    Long(&'a [u8]),
}

impl<'a> ChunkOffsets<'a> {
    fn parse(table: &'a [u8]) -> Result<Self, Error> {
        const ENTRIES_AT: usize = 8;
        let short = find(table, b"stco").and_then(|chunks| chunks.get(ENTRIES_AT..)).map(Self::Short);
        let long = || find(table, b"co64").and_then(|chunks| chunks.get(ENTRIES_AT..)).map(Self::Long);
        short.or_else(long).ok_or(malformed("a track must have chunk offsets"))
    }

    fn count(&self) -> usize {
        match self {
            Self::Short(entries) => entries.len() / 4,
            Self::Long(entries) => entries.len() / 8,
        }
    }

    fn get(&self, at: usize) -> Option<u64> {
        match self {
            Self::Short(entries) => be32(entries, at * 4).map(u64::from),
            Self::Long(entries) => {
                let (high, low) = (be32(entries, at * 8)?, be32(entries, at * 8 + 4)?);
                Some(u64::from(high) << 32 | u64::from(low))
            }
        }
    }
}

/// Samples in each chunk, as runs of chunks.
struct ChunkRuns<'a> {
    runs: std::slice::ChunksExact<'a, u8>,
    samples: u32,
    /// The next run and its first chunk, counted from 0.
    next: Option<(usize, u32)>,
}

impl<'a> ChunkRuns<'a> {
    fn parse(table: &'a [u8]) -> Result<Self, Error> {
        let runs = find(table, b"stsc").and_then(|runs| runs.get(8..));
        let runs = runs.ok_or(malformed("a track must say which samples are in which chunk"))?;
        let mut new = Self { runs: runs.chunks_exact(12), samples: 0, next: None };
        new.load();
        Ok(new)
    }

    /// Samples of chunk number `chunk`; call with 0, 1, 2 and so on.
    fn next(&mut self, chunk: usize) -> u32 {
        while let Some((first, samples)) = self.next
            && first <= chunk
        {
            self.samples = samples;
            self.load();
        }
        self.samples
    }

    fn load(&mut self) {
        self.next = self.runs.next().and_then(|run| {
            let first = usize::try_from(be32(run, 0)?).ok()?;
            Some((first.saturating_sub(1), be32(run, 4)?))
        });
    }
}

/// Values that each hold for a run of samples.
struct Runs<'a> {
    runs: std::slice::ChunksExact<'a, u8>,
    left: u32,
    value: u32,
}

impl<'a> Runs<'a> {
    fn parse(table: &'a [u8], kind: &[u8; 4]) -> Option<Self> {
        let runs = find(table, kind)?.get(8..)?.chunks_exact(8);
        Some(Self { runs, left: 0, value: 0 })
    }

    fn next(&mut self) -> Option<u32> {
        while self.left == 0 {
            let run = self.runs.next()?;
            (self.left, self.value) = (be32(run, 0)?, be32(run, 4)?);
        }
        self.left -= 1;
        Some(self.value)
    }
}

/// Units of time a second, from a movie or media header.
fn timescale(header: &[u8]) -> Option<u32> {
    let at = if *header.first()? == 1 { 20 } else { 12 };
    be32(header, at).filter(|scale| *scale > 0)
}

/// How an edit list moves a track: a leading empty edit delays it, the first real one cuts off its start.
fn shift_us(edits: &[u8], timescale: u32, movie_timescale: u32) -> Option<i64> {
    const MICROS: i128 = 1_000_000;
    let entry_len = if *edits.first()? == 1 { 20 } else { 12 };
    let mut delay_us = 0;
    for entry in edits.get(8..)?.chunks_exact(entry_len) {
        let (duration, start) = edit(entry)?;
        match start {
            -1 => delay_us += i128::from(duration) * MICROS / i128::from(movie_timescale),
            start => {
                let cut_us = i128::from(start) * MICROS / i128::from(timescale);
                return i64::try_from(delay_us - cut_us).ok();
            }
        }
    }
    i64::try_from(delay_us).ok()
}

/// Duration and media time of an entry of an edit list.
fn edit(entry: &[u8]) -> Option<(u64, i64)> {
    let long = |at: usize| Some(u64::from(be32(entry, at)?) << 32 | u64::from(be32(entry, at + 4)?));
    match entry.len() {
        20 => Some((long(0)?, long(8)?.cast_signed())),
        _ => Some((be32(entry, 0)?.into(), be32(entry, 4)?.cast_signed().into())),
    }
}

/// The boxes inside a box; ends early at bytes that are none.
fn boxes(data: &[u8]) -> impl Iterator<Item = ([u8; 4], &[u8])> {
    let mut rest = data;
    std::iter::from_fn(move || {
        let left = rest.len() as u64;
        let mut input = Input::new(FORMAT, rest);
        let (kind, header_len, len) = read_box_header(&mut input, left).ok()?;
        let contents_len = usize::try_from(len.checked_sub(header_len)?).ok()?;
        let body = *input.reader();
        let (contents, after) = body.split_at_checked(contents_len)?;
        rest = after;
        Some((kind, contents))
    })
}

fn find<'a>(data: &'a [u8], kind: &[u8; 4]) -> Option<&'a [u8]> {
    boxes(data).find(|(found, _)| found == kind).map(|(_, contents)| contents)
}

fn be16(data: &[u8], at: usize) -> Option<u16> {
    data.get(at..)?.first_chunk().copied().map(u16::from_be_bytes)
}

fn be32(data: &[u8], at: usize) -> Option<u32> {
    data.get(at..)?.first_chunk().copied().map(u32::from_be_bytes)
}

fn malformed(rule: &'static str) -> Error {
    Error::Malformed { format: FORMAT, rule }
}

fn unsupported(what: String, remedy: Remedy) -> Error {
    Error::Unsupported { format: FORMAT, what, remedy }
}
