use std::io::{Seek, SeekFrom, Write};

use super::super::{AudioTrack, EncodedUnit, Error, MAX_OPUS_LEN, MAX_UNIT_LEN, OpusPacket, VideoTrack, obu};
use super::ebml::{self, Id, element, float, master, unsigned, unsigned_fixed};
use super::{AUDIO_TYPE, AV1, FORMAT, OPUS, OPUS_HEAD, VIDEO_TYPE};

/// The tracks of a file; at least one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tracks {
    /// AV1.
    pub video: Option<VideoTrack>,
    /// Opus.
    pub audio: Option<AudioTrack>,
}

const VIDEO_NUMBER: u8 = 1;
const AUDIO_NUMBER: u8 = 2;
/// Flag of a block at which decoding can start.
const KEY: u8 = 0x80;
const NANOS_A_TICK: u64 = 1_000_000;
const MICROS_A_TICK: u64 = 1_000;
/// Longest cluster, in ms: times inside it are 16 bits.
const MAX_CLUSTER_MS: i64 = 5_000;
/// Most entries of a file's index; later key frames are found by scanning.
const MAX_CUES: usize = 1 << 16;
const APP: &[u8] = b"edge";

/// Writes a stream that can be played while it is being written, also to a pipe.
pub struct LiveWriter<W> {
    out: W,
    written: u64,
    layout: Layout,
    cluster: Option<Cluster>,
    has_video: bool,
    end_ms: u64,
}

/// Where the values stand that only the end of a file knows.
#[derive(Debug, Clone, Copy, Default)]
struct Layout {
    segment_size_at: u64,
    segment_at: u64,
    cues_entry_at: u64,
    duration_at: u64,
}

#[derive(Debug, Clone, Copy)]
struct Cluster {
    start_ms: u64,
    starts_at: u64,
}

impl<W: Write> LiveWriter<W> {
    /// Writes everything before the first cluster.
    pub fn new(out: W, tracks: &Tracks) -> Result<Self, Error> {
        Self::with_index(out, tracks, Index::Absent)
    }

    fn with_index(out: W, tracks: &Tracks, index: Index) -> Result<Self, Error> {
        let (layout, has_video) = (Layout::default(), tracks.video.is_some());
        let mut writer = Self { out, written: 0, layout, cluster: None, has_video, end_ms: 0 };
        writer.put(&ebml_header())?;
        writer.put(&Id::SEGMENT.bytes())?;
        writer.layout.segment_size_at = writer.written;
        writer.put(&ebml::UNKNOWN_SIZE)?;
        writer.layout.segment_at = writer.written;
        let info = info(index);
        if index == Index::Present {
            writer.put_seek_head(info.len() as u64)?;
        }
        writer.put(&info)?;
        writer.layout.duration_at = writer.written - 8;
        let entries = [tracks.video.as_ref().map(video_entry), tracks.audio.as_ref().map(audio_entry)];
        writer.put(&master(Id::TRACKS, &entries.into_iter().flatten().collect::<Vec<_>>()))?;
        Ok(writer)
    }

    /// Writes one temporal unit; its delimiters stay behind.
    pub fn write_video(&mut self, unit: &EncodedUnit) -> Result<(), Error> {
        bounded("a video unit", unit.data.len(), MAX_UNIT_LEN)?;
        let data = obu::without_delimiters(&unit.data)?;
        let time_ms = unit.pts_us / MICROS_A_TICK;
        if unit.key {
            self.begin_cluster(time_ms)?;
        }
        self.put_block(VIDEO_NUMBER, time_ms, if unit.key { KEY } else { 0 }, &data)
    }

    /// Writes one Opus packet.
    pub fn write_audio(&mut self, packet: &OpusPacket) -> Result<(), Error> {
        bounded("an Opus packet", packet.data.len(), MAX_OPUS_LEN)?;
        self.put_block(AUDIO_NUMBER, packet.pts_us / MICROS_A_TICK, KEY, &packet.data)
    }

    /// Hands everything on to the output's reader.
    pub fn flush(&mut self) -> Result<(), Error> {
        Ok(self.out.flush()?)
    }

    /// Flushes and gives the output back.
    pub fn finish(mut self) -> Result<W, Error> {
        self.out.flush()?;
        Ok(self.out)
    }

    fn put_block(&mut self, track: u8, time_ms: u64, flags: u8, data: &[u8]) -> Result<(), Error> {
        let relative = match self.relative(time_ms) {
            Some(relative) => relative,
            None => {
                self.begin_cluster(time_ms)?;
                0
            }
        };
        let mut block = vec![0x80 | track];
        block.extend_from_slice(&relative.to_be_bytes());
        block.push(flags);
        block.extend_from_slice(data);
        self.end_ms = self.end_ms.max(time_ms);
        self.put(&element(Id::SIMPLE_BLOCK, &block))
    }

    /// The time inside the open cluster, if it fits there.
    fn relative(&self, time_ms: u64) -> Option<i16> {
        let start_ms = i64::try_from(self.cluster?.start_ms).ok()?;
        let relative = i64::try_from(time_ms).ok()?.checked_sub(start_ms)?;
        (-MAX_CLUSTER_MS..=MAX_CLUSTER_MS).contains(&relative).then_some(relative as i16)
    }

    fn begin_cluster(&mut self, start_ms: u64) -> Result<(), Error> {
        self.cluster = Some(Cluster { start_ms, starts_at: self.written });
        self.put(&Id::CLUSTER.bytes())?;
        self.put(&ebml::UNKNOWN_SIZE)?;
        self.put(&unsigned(Id::TIMESTAMP, start_ms))
    }

    /// The index of the file's parts, with room for the cues that come last.
    fn put_seek_head(&mut self, info_len: u64) -> Result<(), Error> {
        let head = |info_at| {
            let entries = [seek_entry(Id::INFO, info_at), seek_entry(Id::TRACKS, info_at + info_len), no_seek_entry()];
            master(Id::SEEK_HEAD, &entries)
        };
        let len = head(0).len() as u64;
        self.put(&head(len))?;
        self.layout.cues_entry_at = self.written - no_seek_entry().len() as u64;
        Ok(())
    }

    fn put(&mut self, bytes: &[u8]) -> Result<(), Error> {
        self.out.write_all(bytes)?;
        self.written += bytes.len() as u64;
        Ok(())
    }
}

/// Whether a file gets an index and a duration at its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Index {
    Absent,
    Present,
}

fn seek_entry(id: Id, position: u64) -> Vec<u8> {
    master(Id::SEEK, &[element(Id::SEEK_ID, &id.bytes()), unsigned_fixed(Id::SEEK_POSITION, position)])
}

/// As long as an entry, and nothing.
fn no_seek_entry() -> Vec<u8> {
    const HEADER_LEN: usize = 2;
    element(Id::VOID, &vec![0; seek_entry(Id::CUES, 0).len() - HEADER_LEN])
}

/// The segment information; a duration stands last in it.
fn info(index: Index) -> Vec<u8> {
    let mut info =
        vec![unsigned(Id::TIMESTAMP_SCALE, NANOS_A_TICK), element(Id::MUXING_APP, APP), element(Id::WRITING_APP, APP)];
    if index == Index::Present {
        info.push(float(Id::DURATION, 0.0));
    }
    master(Id::INFO, &info)
}

fn ebml_header() -> Vec<u8> {
    master(
        Id::EBML,
        &[
            unsigned(Id::EBML_VERSION, 1),
            unsigned(Id::EBML_READ_VERSION, 1),
            unsigned(Id::EBML_MAX_ID_LENGTH, 4),
            unsigned(Id::EBML_MAX_SIZE_LENGTH, 8),
            element(Id::DOC_TYPE, b"webm"),
            unsigned(Id::DOC_TYPE_VERSION, 4),
            unsigned(Id::DOC_TYPE_READ_VERSION, 2),
        ],
    )
}

fn video_entry(track: &VideoTrack) -> Vec<u8> {
    let size = [unsigned(Id::PIXEL_WIDTH, track.width.into()), unsigned(Id::PIXEL_HEIGHT, track.height.into())];
    let mut entry = common_entry(VIDEO_NUMBER, VIDEO_TYPE, AV1);
    entry.push(element(Id::CODEC_PRIVATE, &track.config));
    entry.push(master(Id::VIDEO, &size));
    master(Id::TRACK_ENTRY, &entry)
}

fn audio_entry(track: &AudioTrack) -> Vec<u8> {
    const NANOS_A_SECOND: u64 = 1_000_000_000;
    const PRE_ROLL_NANOS: u64 = 80_000_000;
    let delay_nanos = u64::from(track.pre_skip) * NANOS_A_SECOND / u64::from(crate::audio::OPUS_RATE_HZ);
    let rate = f64::from(crate::audio::OPUS_RATE_HZ);
    let format = [float(Id::SAMPLING_FREQUENCY, rate), unsigned(Id::CHANNELS, track.channels.into())];
    let mut entry = common_entry(AUDIO_NUMBER, AUDIO_TYPE, OPUS);
    entry.push(element(Id::CODEC_PRIVATE, &opus_head(track)));
    entry.push(unsigned(Id::CODEC_DELAY, delay_nanos));
    entry.push(unsigned(Id::SEEK_PRE_ROLL, PRE_ROLL_NANOS));
    entry.push(master(Id::AUDIO, &format));
    master(Id::TRACK_ENTRY, &entry)
}

fn common_entry(number: u8, kind: u64, codec: &[u8]) -> Vec<Vec<u8>> {
    vec![
        unsigned(Id::TRACK_NUMBER, number.into()),
        unsigned(Id::TRACK_UID, number.into()),
        unsigned(Id::TRACK_TYPE, kind),
        unsigned(Id::FLAG_LACING, 0),
        element(Id::CODEC_ID, codec),
    ]
}

fn opus_head(track: &AudioTrack) -> Vec<u8> {
    const VERSION: u8 = 1;
    let mut head = OPUS_HEAD.to_vec();
    head.extend_from_slice(&[VERSION, track.channels]);
    head.extend_from_slice(&track.pre_skip.to_le_bytes());
    head.extend_from_slice(&track.sample_rate_hz.to_le_bytes());
    head.extend_from_slice(&[0, 0, 0]);
    head
}

fn bounded(field: &'static str, len: usize, bound: usize) -> Result<(), Error> {
    match len <= bound {
        true => Ok(()),
        false => Err(Error::TooLong { format: FORMAT, field, got: len as u64, bound: bound as u64 }),
    }
}

/// Writes a file with a duration and an index. Until it is finished the file is a sound live stream, so a crash loses
/// only the index.
pub struct FileWriter<W> {
    live: LiveWriter<W>,
    cues: Vec<Cluster>,
}

impl<W: Write + Seek> FileWriter<W> {
    /// Writes everything before the first cluster; `out` must be empty.
    pub fn new(out: W, tracks: &Tracks) -> Result<Self, Error> {
        Ok(Self { live: LiveWriter::with_index(out, tracks, Index::Present)?, cues: Vec::new() })
    }

    /// Writes one temporal unit; its delimiters stay behind.
    pub fn write_video(&mut self, unit: &EncodedUnit) -> Result<(), Error> {
        let before = self.live.cluster;
        self.live.write_video(unit)?;
        self.follow(before)
    }

    /// Writes one Opus packet.
    pub fn write_audio(&mut self, packet: &OpusPacket) -> Result<(), Error> {
        let before = self.live.cluster;
        self.live.write_audio(packet)?;
        self.follow(before)
    }

    /// Writes the index, the duration and all sizes, and gives the output back. `last_us` is the length of what was
    /// written last, in µs.
    pub fn finish(mut self, last_us: u64) -> Result<W, Error> {
        if let Some(last) = self.live.cluster {
            self.close(last, self.live.written)?;
        }
        let layout = self.live.layout;
        let cues_at = self.live.written;
        self.put_cues()?;
        let duration_ms = self.live.end_ms.saturating_add(last_us / MICROS_A_TICK);
        self.patch(layout.duration_at, &(duration_ms as f64).to_be_bytes())?;
        self.patch(layout.cues_entry_at, &seek_entry(Id::CUES, cues_at - layout.segment_at))?;
        let segment_len = self.live.written - layout.segment_at;
        self.patch(layout.segment_size_at, &ebml::size_fixed(segment_len))?;
        self.live.finish()
    }

    /// After a write: when it began a cluster, indexes it and closes the one before.
    fn follow(&mut self, before: Option<Cluster>) -> Result<(), Error> {
        let Some(now) = self.live.cluster else { return Ok(()) };
        match before {
            Some(before) if before.starts_at == now.starts_at => return Ok(()),
            Some(before) => self.close(before, now.starts_at)?,
            None => {}
        }
        if self.cues.len() < MAX_CUES {
            self.cues.push(now);
        }
        Ok(())
    }

    fn close(&mut self, cluster: Cluster, ends_at: u64) -> Result<(), Error> {
        let size_at = cluster.starts_at + Id::CLUSTER.bytes().len() as u64;
        let contents_at = size_at + ebml::UNKNOWN_SIZE.len() as u64;
        self.patch(size_at, &ebml::size_fixed(ends_at - contents_at))
    }

    fn put_cues(&mut self) -> Result<(), Error> {
        let track = if self.live.has_video { VIDEO_NUMBER } else { AUDIO_NUMBER };
        let segment_at = self.live.layout.segment_at;
        let point = |cluster: &Cluster| {
            let position = unsigned(Id::CUE_CLUSTER_POSITION, cluster.starts_at - segment_at);
            let positions = master(Id::CUE_TRACK_POSITIONS, &[unsigned(Id::CUE_TRACK, track.into()), position]);
            master(Id::CUE_POINT, &[unsigned(Id::CUE_TIME, cluster.start_ms), positions])
        };
        let points: Vec<_> = self.cues.iter().map(point).collect();
        self.live.put(&master(Id::CUES, &points))
    }

    fn patch(&mut self, at: u64, bytes: &[u8]) -> Result<(), Error> {
        self.live.out.seek(SeekFrom::Start(at))?;
        self.live.out.write_all(bytes)?;
        self.live.out.seek(SeekFrom::Start(self.live.written))?;
        Ok(())
    }
}
