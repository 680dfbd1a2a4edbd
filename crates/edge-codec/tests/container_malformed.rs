//! No file makes a reader panic, run on for ever or believe a length: every cut, every flipped bit.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod container_support;

use std::io::Cursor;

use container_support::{mutate, opus, tracks, units};
use edge_codec::container::webm::{FileWriter, LiveWriter};
use edge_codec::container::{Error, MAX_UNIT_LEN, Packet, VideoTrack, ivf, mp4 as mp4_file, obu, wav, webm, y4m};
use edge_codec::video::Mode;

/// More packets than any of these files holds: a reader that gives more has lost its way.
const MOST_PACKETS: usize = 10_000;

fn drain(mut next: impl FnMut() -> Result<Option<Packet>, Error>) {
    for _ in 0..MOST_PACKETS {
        match next() {
            Ok(Some(Packet::Video(unit))) => assert!(unit.data.len() <= MAX_UNIT_LEN + 64),
            Ok(Some(Packet::Audio(_))) => {}
            Ok(None) | Err(_) => return,
        }
    }
    panic!("the reader does not end");
}

fn read_webm(file: &[u8]) {
    if let Ok(mut reader) = webm::Reader::new(file) {
        drain(|| reader.next_packet());
    }
}

#[test]
fn webm() {
    let units = units(3, Mode::L1T1);
    let tracks = tracks(&units[0]);
    let mut live = LiveWriter::new(Vec::new(), &tracks).unwrap();
    let mut file = FileWriter::new(Cursor::new(Vec::new()), &tracks).unwrap();
    for unit in &units {
        live.write_video(unit).unwrap();
        file.write_video(unit).unwrap();
    }
    for packet in opus(2) {
        live.write_audio(&packet).unwrap();
        file.write_audio(&packet).unwrap();
    }
    mutate(&live.finish().unwrap(), read_webm);
    mutate(&file.finish(0).unwrap().into_inner(), read_webm);
}

#[test]
fn mp4() {
    let file = container_support::mp4(&units(4, Mode::L1T1), &opus(2));
    mutate(&file, |changed| {
        if let Ok(mut reader) = mp4_file::Reader::new(Cursor::new(changed)) {
            drain(|| reader.next_packet());
        }
    });
}

#[test]
fn ivf() {
    let units = units(3, Mode::L2T2);
    let track = VideoTrack::from_key_unit(&units[0].data).unwrap();
    let mut writer = ivf::Writer::new(Vec::new(), &track).unwrap();
    units.iter().for_each(|unit| writer.write(unit).unwrap());
    mutate(&writer.finish().unwrap(), |changed| {
        if let Ok(mut reader) = ivf::Reader::new(changed) {
            drain(|| Ok(reader.next_unit()?.map(Packet::Video)));
        }
    });
}

#[test]
fn y4m() {
    let file = [&b"YUV4MPEG2 W16 H16 F30:1 Ip A1:1 C420jpeg\nFRAME\n"[..], &[7; 384], b"FRAME\n", &[8; 384]].concat();
    mutate(&file, |changed| {
        if let Ok(mut reader) = y4m::Reader::new(changed) {
            for _ in 0..MOST_PACKETS {
                if !matches!(reader.next_frame(), Ok(Some(_))) {
                    return;
                }
            }
            panic!("the reader does not end");
        }
    });
}

#[test]
fn wav() {
    let mut writer = wav::Writer::new(Cursor::new(Vec::new()), wav::Format::MONO_48K).unwrap();
    writer.write(&[1; 400]).unwrap();
    mutate(&writer.finish_file().unwrap().into_inner(), |changed| {
        if let Ok(mut reader) = wav::Reader::new(changed) {
            let blocks = (0..MOST_PACKETS).take_while(|_| matches!(reader.read(100), Ok(Some(_)))).count();
            assert!(blocks <= 5);
        }
    });
}

#[test]
fn obu_units_and_sequence_headers() {
    for mode in [Mode::L1T1, Mode::L3T3] {
        let unit = units(1, mode).remove(0);
        mutate(&unit.data, |changed| {
            let _ = obu::is_key(changed);
            let _ = VideoTrack::from_key_unit(changed);
            if let Ok((complete, _)) = obu::complete(changed, changed) {
                assert!(complete.starts_with(&[0x12, 0]));
                assert!(obu::parse(&complete).is_ok(), "what is written can be read");
            }
        });
    }
}

#[test]
fn a_length_is_not_believed_before_its_bytes_have_come() {
    let units = units(1, Mode::L1T1);
    let head = LiveWriter::new(Vec::new(), &tracks(&units[0])).unwrap().finish().unwrap();
    let cluster = [0x1f, 0x43, 0xb6, 0x75, 0x01, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff];
    let block = |size: &[u8]| [&head[..], &cluster, &[0xa3], size, &[0x81, 0, 0, 0]].concat();
    let huge = block(&[0x01, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]);
    let error = webm::Reader::new(&huge[..]).unwrap().next_packet().unwrap_err();
    assert!(matches!(error, Error::TooLong { field: "a block", got: 0xffff_ffff_ffff, .. }), "{error}");
    let just_allowed = block(&[0x10, 0x7f, 0xff, 0xff]);
    let error = webm::Reader::new(&just_allowed[..]).unwrap().next_packet().unwrap_err();
    assert!(matches!(error, Error::Truncated { .. }), "{error}");
    let unknown = block(&[0xff]);
    assert!(matches!(webm::Reader::new(&unknown[..]).unwrap().next_packet(), Err(Error::Malformed { .. })));
}

#[test]
fn too_many_units_are_refused() {
    let many = [0x12, 0].repeat(obu::MAX_OBUS + 1);
    assert!(matches!(obu::parse(&many), Err(Error::TooLong { .. })));
    assert!(obu::parse(&many[2..]).is_ok());
}
