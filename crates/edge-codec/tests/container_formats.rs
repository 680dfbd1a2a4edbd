//! Y4M, raw I420, IVF and WAV: what is written is read, and what is not supported says what to do.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod container_support;

use std::io::Cursor;

use container_support::{HEIGHT, WIDTH, pictures, units};
use edge_codec::container::obu::{self, SequenceHeader};
use edge_codec::container::{EncodedUnit, Error, Rate, VideoTrack, ivf, raw, wav, y4m};
use edge_codec::pattern;
use edge_codec::video::{Frame, Mode};

fn frames(count: u32) -> Vec<Frame> {
    let pattern = pattern::Video::new(WIDTH, HEIGHT, (30_000, 1_001)).unwrap();
    (0..count).map(|number| pattern.frame(number)).collect()
}

fn y4m_of(header: &str, frames: &[Frame]) -> Vec<u8> {
    let pictures = frames.iter().flat_map(|frame| [b"FRAME\n", frame.i420()].concat());
    header.bytes().chain(*b"\n").chain(pictures).collect()
}

fn refused(result: Result<impl Sized, Error>, words: &[&str]) {
    let text = result.err().expect("refused").to_string();
    assert!(words.iter().all(|word| text.contains(word)), "{text:?} lacks one of {words:?}");
}

#[test]
fn y4m_round_trips_with_times_of_a_fractional_rate() {
    let rate = Rate::new(30_000, 1_001).unwrap();
    let header = y4m::Header { width: WIDTH, height: HEIGHT, rate };
    let mut writer = y4m::Writer::new(Vec::new(), header).unwrap();
    let sent = frames(5);
    sent.iter().for_each(|frame| writer.write(frame).unwrap());
    let file = writer.finish().unwrap();
    let mut reader = y4m::Reader::new(&file[..]).unwrap();
    assert_eq!(reader.header(), header);
    for (number, frame) in sent.iter().enumerate() {
        let read = reader.next_frame().unwrap().unwrap();
        assert_eq!((read.i420(), read.pts_us), (frame.i420(), rate.time_us(number as u64)));
    }
    assert!(reader.next_frame().unwrap().is_none());
    assert_eq!(rate.time_us(30_000), 1_001_000_000);
}

#[test]
fn y4m_takes_every_8_bit_420_and_refuses_the_rest_with_a_command() {
    let pictures = frames(1);
    for chroma in ["", " C420", " C420jpeg", " C420mpeg2", " C420paldv Ip A1:1 XCOLORRANGE=LIMITED"] {
        let file = y4m_of(&format!("YUV4MPEG2 W64 H64 F25:1{chroma}"), &pictures);
        assert_eq!(y4m::Reader::new(&file[..]).unwrap().next_frame().unwrap().unwrap().i420(), pictures[0].i420());
    }
    let open = |header: &str| y4m::Reader::new(&y4m_of(header, &[])[..]).map(drop);
    for chroma in ["C444", "C422", "C420p10", "Cmono", "C411", "C\x07"] {
        refused(open(&format!("YUV4MPEG2 W64 H64 F25:1 {chroma}")), &["ffmpeg", "-pix_fmt yuv420p"]);
    }
    refused(open("YUV4MPEG2 W64 H64 F25:1 It"), &["interlaced", "yadif"]);
    refused(open("YUV4MPEG2 W65 H64 F25:1"), &["even", "scale="]);
    refused(open("YUV4MPEG2 W4294967294 H4294967294 F25:1"), &["4096x2304"]);
    refused(open("YUV4MPEG2 W64 H64 F0:0"), &["frame rate"]);
    refused(open("YUV4MPEG2 W64 F25:1"), &["height"]);
    refused(open("YUV4MPEG W64 H64 F25:1"), &["YUV4MPEG2"]);
    refused(y4m::Reader::new(&vec![b'Y'; 5_000][..]).map(drop), &["1024"]);
}

#[test]
fn a_frame_may_have_parameters_and_must_be_whole() {
    let pictures = frames(1);
    let mut file = y4m_of("YUV4MPEG2 W64 H64 F25:1", &[]);
    file.extend(b"FRAME Ip\n");
    file.extend(pictures[0].i420());
    assert!(y4m::Reader::new(&file[..]).unwrap().next_frame().unwrap().is_some());
    file.pop();
    refused(y4m::Reader::new(&file[..]).unwrap().next_frame(), &["middle of a picture"]);
    file.extend(b"xFRAMES\n");
    let mut reader = y4m::Reader::new(&file[..]).unwrap();
    assert!(reader.next_frame().unwrap().is_some());
    refused(reader.next_frame(), &["FRAME"]);
}

#[test]
fn raw_pictures_need_only_their_size_and_rate() {
    let sent = frames(3);
    let file: Vec<u8> = sent.iter().flat_map(|frame| frame.i420().to_vec()).collect();
    let format = raw::Format { width: WIDTH, height: HEIGHT, rate: Rate::new(50, 1).unwrap() };
    let mut reader = raw::Reader::new(&file[..], format).unwrap();
    let read: Vec<Frame> = std::iter::from_fn(|| reader.next_frame().unwrap()).collect();
    assert_eq!(read.iter().map(|frame| frame.pts_us).collect::<Vec<_>>(), [0, 20_000, 40_000]);
    assert!(read.iter().zip(&sent).all(|(read, sent)| read.i420() == sent.i420()));
    let mut cut = raw::Reader::new(&file[..file.len() - 1], format).unwrap();
    assert!(cut.next_frame().is_ok() && cut.next_frame().is_ok());
    refused(cut.next_frame(), &["middle of a picture"]);
}

#[test]
fn ivf_round_trips_real_av1() {
    let sent = units(20, Mode::L1T3);
    let track = VideoTrack::from_key_unit(&sent[0].data).unwrap();
    assert_eq!((track.width, track.height), (WIDTH, HEIGHT));
    let mut writer = ivf::Writer::new(Vec::new(), &track).unwrap();
    sent.iter().for_each(|unit| writer.write(unit).unwrap());
    let file = writer.finish().unwrap();
    let mut reader = ivf::Reader::new(&file[..]).unwrap();
    assert_eq!((reader.track().width, reader.track().height), (WIDTH, HEIGHT));
    let read: Vec<EncodedUnit> = std::iter::from_fn(|| reader.next_unit().unwrap()).collect();
    assert_eq!(read, sent);
    assert_eq!(pictures(&read).len(), 20);
}

#[test]
fn ivf_refuses_other_codecs_and_long_frames() {
    let track = VideoTrack { width: 64, height: 64, config: Vec::new() };
    let file = ivf::Writer::new(Vec::new(), &track).unwrap().finish().unwrap();
    let mut other = file.clone();
    other[8..12].copy_from_slice(b"VP90");
    refused(ivf::Reader::new(&other[..]), &["VP90", "ffmpeg"]);
    let mut long = file.clone();
    long.extend([0xff; 12]);
    refused(ivf::Reader::new(&long[..]).unwrap().next_unit(), &["4294967295", "bound"]);
    let mut zero = file;
    zero[16..20].fill(0);
    refused(ivf::Reader::new(&zero[..]), &["time base"]);
    let huge = EncodedUnit { data: vec![0; 9 << 20], key: false, pts_us: 0 };
    assert!(matches!(ivf::Writer::new(Vec::new(), &track).unwrap().write(&huge), Err(Error::TooLong { .. })));
}

#[test]
fn a_real_sequence_header_is_understood_in_every_mode() {
    for mode in Mode::ALL {
        let unit = units(1, mode).remove(0);
        let header = obu::sequence_header(&unit.data).unwrap();
        let sequence = SequenceHeader::parse(header.payload).unwrap();
        assert!(sequence.is_i420() && sequence.profile == 0, "{mode}: {sequence:?}");
        assert_eq!((sequence.max_width, sequence.max_height), (WIDTH, HEIGHT), "{mode}");
        let points = mode.spatial_layers() * mode.temporal_layers();
        if points > 1 {
            assert_eq!(sequence.operating_points, points, "{mode}");
        }
        let record = obu::config_record(&sequence, header);
        assert_eq!((record[0], record[2] & 0xfc, record[3]), (0x81, 0x0c, 0), "{mode}");
        assert_eq!(obu::parse(&record[4..]).unwrap()[0].payload, header.payload);
        for len in 0..header.payload.len().saturating_sub(2) {
            assert!(SequenceHeader::parse(&header.payload[..len]).is_err(), "{mode}: {len}");
        }
    }
}

#[test]
fn key_detection_agrees_with_the_encoder() {
    for mode in [Mode::L1T1, Mode::L1T3, Mode::L2T2, Mode::L3T3] {
        let units = units(40, mode);
        assert!(units.iter().filter(|unit| unit.key).count() >= 2);
        for unit in units {
            assert_eq!(obu::is_key(&unit.data).unwrap(), unit.key, "{mode} at {}", unit.pts_us);
            assert_eq!(obu::with_delimiter(&obu::without_delimiters(&unit.data).unwrap()).unwrap(), unit.data);
        }
    }
}

#[test]
fn wav_round_trips_through_files_and_pipes_and_an_independent_reader() {
    for channels in [1u8, 2] {
        let format = wav::Format { sample_rate_hz: 48_000, channels };
        let pcm: Vec<i16> = (0..4_801i32 * i32::from(channels)).map(|at| (at * 37 % 65_536 - 32_768) as i16).collect();
        let mut file = wav::Writer::new(Cursor::new(Vec::new()), format).unwrap();
        pcm.chunks(700).for_each(|part| file.write(part).unwrap());
        let file = file.finish_file().unwrap().into_inner();
        let mut independent = hound::WavReader::new(&file[..]).unwrap();
        assert_eq!(independent.spec().channels, channels.into());
        assert_eq!(independent.samples::<i16>().map(Result::unwrap).collect::<Vec<_>>(), pcm);

        let mut pipe = wav::Writer::new(Vec::new(), format).unwrap();
        pipe.write(&pcm).unwrap();
        for stream in [file, pipe.finish().unwrap()] {
            let mut reader = wav::Reader::new(&stream[..]).unwrap();
            assert_eq!(reader.format(), format);
            let read: Vec<i16> = std::iter::from_fn(|| reader.read(960).unwrap()).flatten().collect();
            assert_eq!(read.len(), 6 * 960 * usize::from(channels), "the last block is filled up");
            assert_eq!(read[..pcm.len()], pcm);
            assert!(read[pcm.len()..].iter().all(|sample| *sample == 0));
        }
    }
}

#[test]
fn wav_of_an_independent_writer_is_read() {
    let spec = hound::WavSpec {
        channels: 2,
        sample_rate: 16_000,
        bits_per_sample: 16,
        sample_format: hound::SampleFormat::Int,
    };
    let mut file = Cursor::new(Vec::new());
    let mut writer = hound::WavWriter::new(&mut file, spec).unwrap();
    (0..640i16).for_each(|sample| writer.write_sample(sample).unwrap());
    writer.finalize().unwrap();
    let mut reader = wav::Reader::new(&file.get_ref()[..]).unwrap();
    assert_eq!(reader.format(), wav::Format { sample_rate_hz: 16_000, channels: 2 });
    assert_eq!(reader.read(320).unwrap().unwrap(), (0..640).collect::<Vec<i16>>());
    assert!(reader.read(320).unwrap().is_none());
}

#[test]
fn wav_refuses_what_it_does_not_take_with_a_command() {
    let wav = |tag: u16, channels: u16, rate: u32, bits: u16| {
        let mut file = b"RIFF\0\0\0\0WAVELIST\x03\0\0\0abc\0fmt \x10\0\0\0".to_vec();
        file.extend(tag.to_le_bytes().into_iter().chain(channels.to_le_bytes()).chain(rate.to_le_bytes()));
        file.extend([0; 6].into_iter().chain(bits.to_le_bytes()).chain(*b"data\x02\0\0\0\x01\x02"));
        file
    };
    let open = |file: Vec<u8>| wav::Reader::new(Cursor::new(file));
    assert_eq!(open(wav(1, 1, 48_000, 16)).unwrap().read(1).unwrap().unwrap(), [0x0201]);
    refused(open(wav(1, 1, 48_000, 24)), &["24 bit", "ffmpeg", "pcm_s16le"]);
    refused(open(wav(3, 1, 48_000, 32)), &["encoding 3", "ffmpeg"]);
    refused(open(wav(1, 6, 48_000, 16)), &["6 channels"]);
    refused(open(wav(1, 1, 0, 16)), &["0 Hz"]);
    refused(open(wav(1, 1, 44_100, 16)).unwrap().format().check_for_opus(), &["44100", "-ar 48000"]);
    refused(open(b"RIFF\0\0\0\0AVI LIST".to_vec()), &["WAVE"]);
    refused(open(b"RIFF\0\0\0\0WAVEfmt \xff\xff\xff\xff".to_vec()), &["bound"]);
    refused(open(b"RIFF\0\0\0\0WAVEdata\x02\0\0\0\x01\x02".to_vec()), &["format must come before"]);
}
