//! `edge-codec`: files and pipes that a user hands over.

use std::io::Cursor;

use edge_codec::container::{
    self, AudioTrack, EncodedUnit, OpusPacket, Packet, Rate, VideoTrack, ivf, mp4, wav, webm, y4m,
};
use edge_codec::video::Frame;

use super::codec::{encoded, opus_packets};
use super::{COPIES, SMALL, built, mp4_file};
use crate::{Cost, Target, Verdict};

pub(super) const TARGETS: &[Target] = &[
    Target { name: "y4m", cost: Cost::Crypto, alloc_max: PICTURES, run: read_y4m, seeds: y4m_files },
    Target { name: "ivf", cost: Cost::Parse, alloc_max: COPIES, run: read_ivf, seeds: ivf_files },
    Target { name: "webm", cost: Cost::Crypto, alloc_max: COPIES, run: read_webm, seeds: webm_files },
    Target { name: "mp4", cost: Cost::Crypto, alloc_max: INDEX, run: read_mp4, seeds: mp4_files },
    Target { name: "wav", cost: Cost::Parse, alloc_max: SMALL, run: read_wav, seeds: wav_files },
    Target { name: "av1_config", cost: Cost::Parse, alloc_max: COPIES, run: config, seeds: key_units },
];

/// A few pictures of the largest size.
const PICTURES: usize = 64 << 20;
/// A sample table of the largest size.
const INDEX: usize = 256 << 20;
/// Most packets that one input may yield: a small file may name the same bytes again and again.
const PACKETS_MAX: usize = 64;

/// Whether everything up to the end, or up to [`PACKETS_MAX`], could be read.
fn drain<T>(mut next: impl FnMut() -> Result<Option<T>, container::Error>) -> Verdict {
    for _ in 0..PACKETS_MAX {
        match next() {
            Ok(Some(_)) => {}
            Ok(None) => return Verdict::Accepted,
            Err(_) => return Verdict::Refused,
        }
    }
    Verdict::Accepted
}

fn read_y4m(input: &[u8]) -> Verdict {
    let Ok(mut reader) = y4m::Reader::new(input) else { return Verdict::Refused };
    let header = reader.header();
    drain(|| {
        let frame = reader.next_frame()?;
        assert!(frame.as_ref().is_none_or(|frame| (frame.width(), frame.height()) == (header.width, header.height)));
        Ok(frame)
    })
}

fn read_ivf(input: &[u8]) -> Verdict {
    let Ok(mut reader) = ivf::Reader::new(input) else { return Verdict::Refused };
    drain(|| reader.next_unit())
}

fn read_webm(input: &[u8]) -> Verdict {
    let Ok(mut reader) = webm::Reader::new(Cursor::new(input)) else { return Verdict::Refused };
    drain(|| checked(reader.next_packet()))
}

fn read_mp4(input: &[u8]) -> Verdict {
    let Ok(mut reader) = mp4::Reader::new(Cursor::new(input)) else { return Verdict::Refused };
    drain(|| checked(reader.next_packet()))
}

fn checked(packet: Result<Option<Packet>, container::Error>) -> Result<Option<Packet>, container::Error> {
    match &packet {
        Ok(Some(Packet::Video(unit))) => assert!(unit.data.len() <= container::MAX_UNIT_LEN + COPIES),
        Ok(Some(Packet::Audio(packet))) => assert!(packet.data.len() <= container::MAX_OPUS_LEN),
        _ => {}
    }
    packet
}

fn read_wav(input: &[u8]) -> Verdict {
    let Ok(mut reader) = wav::Reader::new(input) else { return Verdict::Refused };
    let channels = usize::from(reader.format().channels);
    drain(|| {
        let samples = reader.read(960)?;
        assert!(
            samples.as_ref().is_none_or(|samples| samples.len() <= 960 * channels && samples.len() % channels == 0)
        );
        Ok(samples)
    })
}

fn config(input: &[u8]) -> Verdict {
    let _ = container::obu::parse(input);
    let _ = container::obu::without_delimiters(input);
    VideoTrack::from_key_unit(input).into()
}

fn units() -> Vec<EncodedUnit> {
    let units = encoded(edge_codec::video::Mode::L1T3).into_iter();
    let numbered = (0..).zip(units);
    numbered.map(|(number, data)| EncodedUnit { data, key: number == 0, pts_us: number * 33_333 }).collect()
}

fn packets() -> Vec<OpusPacket> {
    (0..).zip(opus_packets()).map(|(number, data)| OpusPacket { data, pts_us: number * 20_000 }).collect()
}

fn video_track() -> VideoTrack {
    match units().first() {
        Some(unit) => built(VideoTrack::from_key_unit(&unit.data)),
        None => unreachable!("seed: an encoder makes units"),
    }
}

const AUDIO: AudioTrack = AudioTrack { channels: 1, pre_skip: 312, sample_rate_hz: 48_000 };

fn y4m_files() -> Vec<Vec<u8>> {
    let Some(rate) = Rate::new(30, 1) else { return Vec::new() };
    let mut writer = built(y4m::Writer::new(Vec::new(), y4m::Header { width: 32, height: 16, rate }));
    for _ in 0..2 {
        built(writer.write(&built(Frame::black(32, 16))));
    }
    vec![built(writer.finish())]
}

fn ivf_files() -> Vec<Vec<u8>> {
    let mut writer = built(ivf::Writer::new(Vec::new(), &video_track()));
    units().iter().for_each(|unit| built(writer.write(unit)));
    vec![built(writer.finish())]
}

fn webm_files() -> Vec<Vec<u8>> {
    let both = webm::Tracks { video: Some(video_track()), audio: Some(AUDIO) };
    let mut live = built(webm::LiveWriter::new(Vec::new(), &both));
    let mut file = built(webm::FileWriter::new(Cursor::new(Vec::new()), &both));
    for (unit, packet) in units().iter().zip(&packets()) {
        built(live.write_video(unit));
        built(live.write_audio(packet));
        built(file.write_video(unit));
        built(file.write_audio(packet));
    }
    vec![built(live.finish()), built(file.finish(33_333)).into_inner()]
}

fn mp4_files() -> Vec<Vec<u8>> {
    vec![mp4_file::write(&video_track(), &units(), AUDIO, &packets())]
}

fn wav_files() -> Vec<Vec<u8>> {
    let mut writer = built(wav::Writer::new(Cursor::new(Vec::new()), wav::Format::MONO_48K));
    built(writer.write(&[0, 1, -1, i16::MAX, i16::MIN, 7, 8, 9]));
    vec![built(writer.finish_file()).into_inner()]
}

fn key_units() -> Vec<Vec<u8>> {
    units().into_iter().take(1).map(|unit| unit.data).collect()
}
