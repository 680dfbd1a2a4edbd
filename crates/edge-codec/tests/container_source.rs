//! Opening: the format is told from the first bytes, of a file or of a pipe.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod container_support;

use std::io::{Cursor, Read};
use std::path::Path;

use container_support::{HEIGHT, WIDTH, mp4, opus, tracks, units};
use edge_codec::container::source::{Demuxer, Frames, Hint, Input, open, open_pipe};
use edge_codec::container::webm::LiveWriter;
use edge_codec::container::{Error, Packet, Rate, VideoTrack, ivf, raw, wav, y4m};
use edge_codec::pattern;
use edge_codec::video::Mode;

/// Gives one byte a read, as a slow pipe may.
struct Trickle(Cursor<Vec<u8>>);

impl Read for Trickle {
    fn read(&mut self, out: &mut [u8]) -> std::io::Result<usize> {
        let len = out.len().min(1);
        self.0.read(&mut out[..len])
    }
}

fn pipe(bytes: &[u8], hint: Hint) -> Result<Input, Error> {
    open_pipe(Box::new(Trickle(Cursor::new(bytes.to_vec()))), hint)
}

fn file(bytes: &[u8]) -> Result<Input, Error> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("anything");
    std::fs::write(&path, bytes).unwrap();
    open(&path, Hint::Probe)
}

fn y4m_file() -> Vec<u8> {
    let rate = Rate::new(30, 1).unwrap();
    let mut writer = y4m::Writer::new(Vec::new(), y4m::Header { width: WIDTH, height: HEIGHT, rate }).unwrap();
    writer.write(&pattern::Video::new(WIDTH, HEIGHT, (30, 1)).unwrap().frame(3)).unwrap();
    writer.finish().unwrap()
}

fn count(mut demuxer: Demuxer) -> (usize, usize) {
    let mut counts = (0, 0);
    while let Some(packet) = demuxer.next_packet().unwrap() {
        match packet {
            Packet::Video(_) => counts.0 += 1,
            Packet::Audio(_) => counts.1 += 1,
        }
    }
    counts
}

#[test]
fn every_format_is_told_apart() {
    let (units, packets) = (units(6, Mode::L1T1), opus(4));
    let mut webm = LiveWriter::new(Vec::new(), &tracks(&units[0])).unwrap();
    units.iter().for_each(|unit| webm.write_video(unit).unwrap());
    packets.iter().for_each(|packet| webm.write_audio(packet).unwrap());
    let webm = webm.finish().unwrap();
    let mut ivf = ivf::Writer::new(Vec::new(), &VideoTrack::from_key_unit(&units[0].data).unwrap()).unwrap();
    units.iter().for_each(|unit| ivf.write(unit).unwrap());
    let ivf = ivf.finish().unwrap();
    let mut wav = wav::Writer::new(Vec::new(), wav::Format::MONO_48K).unwrap();
    wav.write(&[5; 960]).unwrap();
    let wav = wav.finish().unwrap();

    for opened in [file(&webm), pipe(&webm, Hint::Probe)] {
        let Ok(Input::Encoded(demuxer)) = opened else { panic!("not WebM") };
        assert!(demuxer.audio().is_some() && demuxer.video().is_some());
        assert_eq!(count(demuxer), (6, 4));
    }
    for opened in [file(&ivf), pipe(&ivf, Hint::Probe)] {
        let Ok(Input::Encoded(demuxer)) = opened else { panic!("not IVF") };
        assert!(demuxer.audio().is_none());
        assert_eq!(count(demuxer), (6, 0));
    }
    for opened in [file(&wav), pipe(&wav, Hint::Probe)] {
        let Ok(Input::Samples(mut reader)) = opened else { panic!("not WAV") };
        assert_eq!(reader.read(960).unwrap().unwrap(), [5; 960]);
    }
    for opened in [file(&y4m_file()), pipe(&y4m_file(), Hint::Probe)] {
        let Ok(Input::Frames(mut frames)) = opened else { panic!("not Y4M") };
        assert_eq!((frames.format().width, frames.format().height), (WIDTH, HEIGHT));
        assert!(frames.next_frame().unwrap().is_some() && frames.next_frame().unwrap().is_none());
    }
    let Ok(Input::Encoded(demuxer)) = file(&mp4(&units, &packets)) else { panic!("not MP4") };
    assert_eq!(count(demuxer), (6, 4));
}

#[test]
fn raw_sources_are_what_the_hint_says() {
    let format = raw::Format { width: 16, height: 16, rate: Rate::new(25, 1).unwrap() };
    let Ok(Input::Frames(mut frames)) = pipe(&[9; 768], Hint::RawVideo(format)) else { panic!("not raw video") };
    assert!(matches!(frames, Frames::Raw(_)));
    assert_eq!(frames.next_frame().unwrap().unwrap().pts_us, 0);
    assert_eq!(frames.next_frame().unwrap().unwrap().pts_us, 40_000);
    let Ok(Input::Samples(mut samples)) = pipe(&[1, 0, 2, 0, 3], Hint::RawAudio(wav::Format::MONO_48K)) else {
        panic!("not raw audio")
    };
    assert_eq!(samples.read(4).unwrap().unwrap(), [1, 2, 0, 0]);
    let odd = wav::Format { sample_rate_hz: 44_100, channels: 1 };
    assert!(pipe(&[], Hint::RawAudio(odd)).is_err());
}

#[test]
fn what_cannot_be_opened_says_what_to_do() {
    let text = |opened: Result<Input, Error>| opened.err().expect("refused").to_string();
    assert!(text(pipe(b"\0\0\0\x20ftypisom....", Hint::Probe)).contains("name of a file"));
    assert!(text(pipe(b"GIF89a----------", Hint::Probe)).contains("ffmpeg -i FILE"));
    assert!(text(pipe(b"", Hint::Probe)).contains("first bytes"));
    assert!(matches!(open(Path::new("/no/such/file"), Hint::Probe), Err(Error::Io(_))));
}
