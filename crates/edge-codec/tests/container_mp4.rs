//! MP4: both tracks of a file, in the order of their times.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod container_support;

use std::io::Cursor;

use container_support::{boxed, mp4, opus, pictures, tracks, units};
use edge_codec::container::mp4::Reader;
use edge_codec::container::{EncodedUnit, Error, OpusPacket, Packet};
use edge_codec::video::Mode;

fn refused(file: Vec<u8>) -> String {
    Reader::new(Cursor::new(file)).err().expect("refused").to_string()
}

fn replaced(file: &[u8], from: &[u8; 4], to: &[u8; 4]) -> Vec<u8> {
    let mut out = file.to_vec();
    let places: Vec<usize> = file.windows(4).enumerate().filter(|(_, four)| four == from).map(|(at, _)| at).collect();
    assert!(!places.is_empty());
    places.into_iter().for_each(|at| out[at..at + 4].copy_from_slice(to));
    out
}

#[test]
fn av1_and_opus_come_out_as_they_went_in() {
    let (units, packets) = (units(20, Mode::L1T3), opus(30));
    let mut reader = Reader::new(Cursor::new(mp4(&units, &packets))).unwrap();
    let expected = tracks(&units[0]);
    assert_eq!((reader.video(), reader.audio()), (expected.video.as_ref(), expected.audio));
    let all: Vec<Packet> = std::iter::from_fn(|| reader.next_packet().unwrap()).collect();
    let times: Vec<u64> = all
        .iter()
        .map(|packet| match packet {
            Packet::Video(unit) => unit.pts_us,
            Packet::Audio(packet) => packet.pts_us,
        })
        .collect();
    assert!(times.is_sorted());
    let video: Vec<EncodedUnit> = all
        .iter()
        .filter_map(|packet| if let Packet::Video(unit) = packet { Some(unit.clone()) } else { None })
        .collect();
    let audio: Vec<OpusPacket> = all
        .iter()
        .filter_map(|packet| if let Packet::Audio(packet) = packet { Some(packet.clone()) } else { None })
        .collect();
    let delayed = units.iter().enumerate().map(|(at, unit)| {
        let pts_us = 40_000 + at as u64 * 1_000_000 / 30;
        EncodedUnit { pts_us, ..unit.clone() }
    });
    assert_eq!(video, delayed.collect::<Vec<_>>());
    assert_eq!(audio, packets);
    assert_eq!(pictures(&video), pictures(&units));
}

#[test]
fn an_independent_reader_takes_the_same_file() {
    let (units, packets) = (units(7, Mode::L1T1), opus(5));
    let file = mp4(&units, &packets);
    let independent = re_mp4::Mp4::read_bytes(&file).unwrap();
    let track = independent.tracks().values().find(|track| track.kind == Some(re_mp4::TrackKind::Video)).unwrap();
    let mut reader = Reader::new(Cursor::new(&file)).unwrap();
    for sample in &track.samples {
        let unit = loop {
            match reader.next_packet().unwrap().unwrap() {
                Packet::Video(unit) => break unit,
                Packet::Audio(_) => {}
            }
        };
        assert_eq!(unit.key, sample.id == 0);
        let bare = edge_codec::container::obu::without_delimiters(&unit.data).unwrap();
        assert_eq!(bare, file[sample.byte_range()]);
    }
    assert_eq!(track.samples.len(), 7);
}

#[test]
fn other_codecs_and_fragments_are_refused_with_a_command() {
    let file = mp4(&units(3, Mode::L1T1), &opus(2));
    let h264 = refused(replaced(&file, b"av01", b"avc1"));
    assert!(h264.contains("avc1") && h264.contains("ffmpeg -i FILE -pix_fmt yuv420p"), "{h264}");
    let aac = refused(replaced(&file, b"Opus", b"mp4a"));
    assert!(aac.contains("mp4a") && aac.contains("-c:v copy -c:a libopus"), "{aac}");
    let only_audio = Reader::new(Cursor::new(replaced(&file, b"vide", b"meta"))).unwrap();
    assert!(only_audio.video().is_none() && only_audio.audio().is_some());
    assert!(refused(replaced(&replaced(&file, b"vide", b"meta"), b"soun", b"text")).contains("track"));
    let fragmented = [boxed(b"ftyp", &[b"isom"]), boxed(b"moof", &[&[]])].concat();
    assert!(refused(fragmented).contains("-c copy"));
    let fragmented = [boxed(b"ftyp", &[b"isom"]), boxed(b"moov", &[&boxed(b"mvex", &[])])].concat();
    assert!(refused(fragmented).contains("-c copy"));
}

#[test]
fn counts_and_lengths_that_the_file_cannot_hold_are_refused() {
    let file = mp4(&units(3, Mode::L1T1), &opus(2));
    let sizes_at = file.windows(4).position(|four| four == b"stsz").unwrap();
    let mut many = file.clone();
    many[sizes_at + 12..sizes_at + 16].fill(0xff);
    assert!(matches!(Reader::new(Cursor::new(many)), Err(Error::TooLong { field: "the number of samples", .. })));
    let mut many_equal = file.clone();
    many_equal[sizes_at + 8..sizes_at + 16].copy_from_slice(&[0, 0, 0, 1, 0xff, 0xff, 0xff, 0xff]);
    assert!(matches!(Reader::new(Cursor::new(many_equal)), Err(Error::TooLong { field: "the number of samples", .. })));
    let mut long = file.clone();
    long[sizes_at + 16..sizes_at + 20].fill(0xff);
    let mut reader = Reader::new(Cursor::new(long)).unwrap();
    let error = std::iter::repeat_with(|| reader.next_packet()).find_map(Result::err).unwrap();
    assert!(matches!(error, Error::TooLong { field: "a sample", got: 0xffff_ffff, .. }), "{error}");
    let huge_index = [&boxed(b"ftyp", &[b"isom"])[..], &[0, 0, 0, 1], b"moov", &[0xff; 8], &[0; 64]].concat();
    assert!(matches!(Reader::new(Cursor::new(huge_index)), Err(Error::TooLong { field: "the index", .. })));
}
