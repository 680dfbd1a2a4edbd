//! WebM: live and finished files hold what was put in, and an independent demuxer agrees.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod container_support;

use std::io::Cursor;

use container_support::{opus, pictures, tracks, units};
use edge_codec::container::webm::{FileWriter, LiveWriter, Reader, Tracks};
use edge_codec::container::{EncodedUnit, OpusPacket, Packet, obu};
use edge_codec::video::Mode;
use matroska_demuxer::{Frame, MatroskaFile};

/// The packets of both streams in the order of their times.
fn interleaved(units: &[EncodedUnit], packets: &[OpusPacket]) -> Vec<Packet> {
    let video = units.iter().cloned().map(Packet::Video);
    let mut all: Vec<Packet> = video.chain(packets.iter().cloned().map(Packet::Audio)).collect();
    all.sort_by_key(|packet| match packet {
        Packet::Video(unit) => (unit.pts_us, 0),
        Packet::Audio(packet) => (packet.pts_us, 1),
    });
    all
}

fn live(tracks: &Tracks, packets: &[Packet]) -> Vec<u8> {
    let mut writer = LiveWriter::new(Vec::new(), tracks).unwrap();
    for packet in packets {
        match packet {
            Packet::Video(unit) => writer.write_video(unit).unwrap(),
            Packet::Audio(packet) => writer.write_audio(packet).unwrap(),
        }
    }
    writer.finish().unwrap()
}

fn finished(tracks: &Tracks, packets: &[Packet]) -> Vec<u8> {
    let mut writer = FileWriter::new(Cursor::new(Vec::new()), tracks).unwrap();
    for packet in packets {
        match packet {
            Packet::Video(unit) => writer.write_video(unit).unwrap(),
            Packet::Audio(packet) => writer.write_audio(packet).unwrap(),
        }
    }
    writer.finish(20_000).unwrap().into_inner()
}

fn read(file: &[u8]) -> Vec<Packet> {
    let mut reader = Reader::new(file).unwrap();
    std::iter::from_fn(|| reader.next_packet().unwrap()).collect()
}

/// The same packets with their times in whole ms.
fn in_ms(packets: &[Packet]) -> Vec<Packet> {
    let mut packets = packets.to_vec();
    for packet in &mut packets {
        let pts_us = match packet {
            Packet::Video(unit) => &mut unit.pts_us,
            Packet::Audio(packet) => &mut packet.pts_us,
        };
        *pts_us -= *pts_us % 1_000;
    }
    packets
}

#[test]
fn both_kinds_of_file_give_back_every_packet_in_order() {
    for mode in [Mode::L1T1, Mode::L1T3, Mode::L3T3] {
        let (units, packets) = (units(50, mode), opus(80));
        let all = interleaved(&units, &packets);
        let tracks = tracks(&units[0]);
        for file in [live(&tracks, &all), finished(&tracks, &all)] {
            let reader = Reader::new(&file[..]).unwrap();
            assert_eq!((reader.video(), reader.audio()), (tracks.video.as_ref(), tracks.audio));
            assert_eq!(read(&file), in_ms(&all), "{mode}");
        }
    }
}

#[test]
fn an_independent_demuxer_finds_the_same_packets() {
    let (units, packets) = (units(50, Mode::L1T3), opus(80));
    let all = interleaved(&units, &packets);
    let tracks = tracks(&units[0]);
    for file in [live(&tracks, &all), finished(&tracks, &all)] {
        let mut demuxer = MatroskaFile::open(Cursor::new(&file)).unwrap();
        let codecs: Vec<_> = demuxer.tracks().iter().map(|track| track.codec_id().to_owned()).collect();
        assert_eq!(codecs, ["V_AV1", "A_OPUS"]);
        assert_eq!(demuxer.tracks()[0].codec_private(), tracks.video.as_ref().map(|video| &video.config[..]));
        let mut frame = Frame::default();
        for packet in &all {
            assert!(demuxer.next_frame(&mut frame).unwrap());
            let (track, data, key, pts_us) = match packet {
                Packet::Video(unit) => (1, obu::without_delimiters(&unit.data).unwrap(), unit.key, unit.pts_us),
                Packet::Audio(packet) => (2, packet.data.clone(), true, packet.pts_us),
            };
            assert_eq!((frame.track, frame.timestamp, frame.is_keyframe), (track, pts_us / 1_000, Some(key)));
            assert_eq!(frame.data, data);
        }
        assert!(!demuxer.next_frame(&mut frame).unwrap());
    }
}

#[test]
fn a_finished_file_has_a_duration_and_can_be_sought() {
    let (units, packets) = (units(60, Mode::L1T3), opus(100));
    let file = finished(&tracks(&units[0]), &interleaved(&units, &packets));
    let mut demuxer = MatroskaFile::open(Cursor::new(&file)).unwrap();
    assert_eq!(demuxer.info().duration(), Some(2_000.0));
    let key = units.iter().rev().find(|unit| unit.key).unwrap();
    assert!(key.pts_us > 1_000_000);
    demuxer.seek(key.pts_us / 1_000).unwrap();
    let mut frame = Frame::default();
    assert!(demuxer.next_frame(&mut frame).unwrap());
    assert_eq!((frame.track, frame.timestamp), (1, key.pts_us / 1_000));
}

#[test]
fn what_was_written_decodes_to_the_same_pictures() {
    for mode in [Mode::L1T3, Mode::L3T3] {
        let units = units(30, mode);
        let all = interleaved(&units, &[]);
        let file = live(&tracks(&units[0]), &all);
        let read: Vec<EncodedUnit> = read(&file)
            .into_iter()
            .filter_map(|packet| match packet {
                Packet::Video(unit) => Some(unit),
                Packet::Audio(_) => None,
            })
            .collect();
        assert_eq!(pictures(&read), pictures(&units));
        assert_eq!(pictures(&read).len(), 30);
    }
}

#[test]
fn an_interrupted_file_can_be_read_up_to_the_interruption() {
    let (units, packets) = (units(20, Mode::L1T3), opus(30));
    let all = interleaved(&units, &packets);
    let mut writer = FileWriter::new(Cursor::new(Vec::new()), &tracks(&units[0])).unwrap();
    let mut kept = Vec::new();
    for packet in &all {
        match packet {
            Packet::Video(unit) => writer.write_video(unit).unwrap(),
            Packet::Audio(packet) => writer.write_audio(packet).unwrap(),
        }
        kept.push(packet.clone());
    }
    let whole = live(&tracks(&units[0]), &all);
    let cut = &whole[..whole.len() - 5];
    let mut reader = Reader::new(cut).unwrap();
    let mut read = Vec::new();
    let error = loop {
        match reader.next_packet() {
            Ok(Some(packet)) => read.push(packet),
            Ok(None) => panic!("a cut must not look like an end"),
            Err(error) => break error,
        }
    };
    assert_eq!(read, in_ms(&kept[..kept.len() - 1]));
    assert!(error.to_string().contains("middle of a block"), "{error}");
}

#[test]
fn audio_alone_and_far_jumps_in_time_start_new_clusters() {
    let tracks = Tracks { video: None, audio: tracks(&units(1, Mode::L1T1)[0]).audio };
    let times = [0, 20_000, 4_999_000, 5_001_000, 70_000_000, 69_000_000, 3_600_000_000, 0];
    let packet = opus(1).remove(0);
    let all: Vec<Packet> =
        times.iter().map(|pts_us| Packet::Audio(OpusPacket { pts_us: *pts_us, ..packet.clone() })).collect();
    assert_eq!(read(&live(&tracks, &all)), all);
    assert_eq!(read(&finished(&tracks, &all)), all);
}

#[test]
fn a_container_without_sequence_headers_in_its_blocks_is_completed() {
    let units = units(3, Mode::L1T1);
    let bare: Vec<EncodedUnit> = units
        .iter()
        .map(|unit| {
            let kept = obu::parse(&unit.data).unwrap().into_iter().filter(|obu| obu.kind != obu::SEQUENCE_HEADER);
            EncodedUnit { data: kept.flat_map(|obu| obu.bytes.to_vec()).collect(), ..unit.clone() }
        })
        .collect();
    assert!(obu::sequence_header(&bare[0].data).is_err());
    let file = live(&tracks(&units[0]), &interleaved(&bare, &[]));
    assert_eq!(read(&file), in_ms(&interleaved(&units, &[])));
}

#[test]
fn other_codecs_and_picture_formats_are_refused_with_a_command() {
    let units = units(2, Mode::L1T1);
    let file = live(&tracks(&units[0]), &interleaved(&units, &opus(1)));
    let replaced = |from: &[u8], to: &[u8]| {
        let at = file.windows(from.len()).position(|found| found == from).unwrap();
        [&file[..at], to, &file[at + from.len()..]].concat()
    };
    let refused = |file: Vec<u8>| Reader::new(&file[..]).err().expect("refused").to_string();
    let vp9 = refused(replaced(b"V_AV1", b"V_VP9"));
    assert!(vp9.contains("V_VP9") && vp9.contains("-f yuv4mpegpipe"), "{vp9}");
    let other_audio = refused(replaced(b"A_OPUS", b"A_AAC\0"));
    assert!(other_audio.contains("A_AAC ") && other_audio.contains("-c:a libopus"), "{other_audio}");
    assert!(refused(replaced(b"webm", b"mkv\0")).contains("document type"));

    let deep = deep_picture(&units[0]);
    let at_once = refused(live(&tracks(&deep), &[Packet::Video(deep.clone())]));
    let file = live(&tracks(&units[0]), &[Packet::Video(deep)]);
    let later = Reader::new(&file[..]).unwrap().next_packet().unwrap_err().to_string();
    for error in [at_once, later] {
        assert!(error.contains("8-bit 4:2:0") && error.contains("yuv420p"), "{error}");
    }
}

/// The same unit, whose sequence header says something else than 8-bit 4:2:0.
fn deep_picture(unit: &EncodedUnit) -> EncodedUnit {
    let header = obu::sequence_header(&unit.data).unwrap();
    let is_other = |payload: &[u8]| obu::SequenceHeader::parse(payload).is_ok_and(|header| !header.is_i420());
    let start = header.payload.as_ptr() as usize - unit.data.as_ptr() as usize;
    let changed = (0..header.payload.len() * 8).rev().find_map(|bit| {
        let mut data = unit.data.clone();
        data[start + bit / 8] ^= 0x80 >> (bit % 8);
        is_other(&data[start..start + header.payload.len()]).then_some(data)
    });
    EncodedUnit { data: changed.unwrap(), ..unit.clone() }
}
