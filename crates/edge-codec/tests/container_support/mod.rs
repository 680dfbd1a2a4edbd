//! Streams for the container tests: real AV1 and Opus, an MP4 file by hand, and changed copies of any file.
#![allow(dead_code)]

use edge_codec::audio;
use edge_codec::container::webm::Tracks;
use edge_codec::container::{AudioTrack, EncodedUnit, OpusPacket, VideoTrack};
use edge_codec::pattern;
use edge_codec::video::{self, Decoder, Encoder, EncoderConfig, Mode};

pub(crate) const WIDTH: u32 = 64;
pub(crate) const HEIGHT: u32 = 64;

/// `count` temporal units at 30 frames a second, all layers of a picture in one.
pub(crate) fn units(count: u32, mode: Mode) -> Vec<EncodedUnit> {
    let config = EncoderConfig { key_interval_ms: 500, ..EncoderConfig::live(WIDTH, HEIGHT, 100).with_mode(mode) };
    let pattern = pattern::Video::new(WIDTH, HEIGHT, (30, 1)).unwrap();
    let mut encoder = Encoder::new(config).unwrap();
    (0..count)
        .map(|number| {
            let layers = encoder.encode(&pattern.frame(number)).unwrap();
            let data = layers.iter().flat_map(|layer| layer.data.to_vec()).collect();
            EncodedUnit { data, key: layers[0].key, pts_us: layers[0].pts_us }
        })
        .collect()
}

/// `count` packets of 20 ms.
pub(crate) fn opus(count: u64) -> Vec<OpusPacket> {
    let mut encoder = audio::Encoder::new(audio::EncoderConfig::VOICE).unwrap();
    let mut tone = pattern::Tone::new(1);
    (0..count)
        .map(|number| {
            let mut pcm = vec![0; 960];
            tone.fill(&mut pcm);
            OpusPacket { data: encoder.encode(&pcm).unwrap().data, pts_us: number * 20_000 }
        })
        .collect()
}

pub(crate) fn tracks(first: &EncodedUnit) -> Tracks {
    let video = VideoTrack::from_key_unit(&first.data).unwrap();
    let audio = AudioTrack { channels: 1, pre_skip: 312, sample_rate_hz: 48_000 };
    Tracks { video: Some(video), audio: Some(audio) }
}

/// Decodes every unit and gives the luma of every picture.
pub(crate) fn pictures<'a>(units: impl IntoIterator<Item = &'a EncodedUnit>) -> Vec<Vec<u8>> {
    let mut decoder = Decoder::new(1).unwrap();
    let mut frames: Vec<video::Frame> = Vec::new();
    units.into_iter().for_each(|unit| frames.extend(decoder.decode(&unit.data, unit.pts_us).unwrap()));
    frames.extend(decoder.flush());
    frames.iter().map(|frame| frame.y().to_vec()).collect()
}

/// Calls `check` with copies of `file`: cut at every length, every bit flipped, every byte replaced.
pub(crate) fn mutate(file: &[u8], mut check: impl FnMut(&[u8])) {
    (0..file.len()).for_each(|len| check(&file[..len]));
    let mut changed = file.to_vec();
    for at in 0..file.len() {
        for byte in (0..8).map(|bit| file[at] ^ 1 << bit).chain([0x00, 0x01, 0x7f, 0xff]) {
            changed[at] = byte;
            check(&changed);
        }
        changed[at] = file[at];
    }
    for at in 0..file.len().saturating_sub(4) {
        changed[at..at + 4].fill(0xff);
        check(&changed);
        changed[at..at + 4].copy_from_slice(&file[at..at + 4]);
    }
}

/// An MP4 file: AV1 in chunks of three samples, Opus in one chunk, index last, video delayed by an empty edit of 40 ms.
pub(crate) fn mp4(units: &[EncodedUnit], packets: &[OpusPacket]) -> Vec<u8> {
    use edge_codec::container::obu;
    let first = VideoTrack::from_key_unit(&units[0].data).unwrap();
    let bare: Vec<Vec<u8>> = units.iter().map(|unit| obu::without_delimiters(&unit.data).unwrap()).collect();
    let mut file = boxed(b"ftyp", &[b"isom\0\0\0\0av01"]);
    let media_at = file.len() + 8;
    let media: Vec<u8> =
        bare.concat().into_iter().chain(packets.iter().flat_map(|packet| packet.data.clone())).collect();
    file.extend(boxed(b"mdat", &[&media]));

    let sizes: Vec<u32> = bare.iter().map(|unit| unit.len() as u32).collect();
    let offset = |sample: usize| media_at as u32 + sizes[..sample].iter().sum::<u32>();
    let chunks: Vec<u32> = (0..sizes.len()).step_by(3).map(offset).collect();
    let (full, rest) = (sizes.len() / 3, sizes.len() % 3);
    let mut runs = vec![[1, 3, 1]];
    if rest > 0 {
        runs.push([full as u32 + 1, rest as u32, 1]);
    }
    let sides = [(first.width as u16).to_be_bytes(), (first.height as u16).to_be_bytes()].concat();
    let av01 = boxed(b"av01", &[&dref(), &[0; 16], &sides, &[0; 50], &boxed(b"av1C", &[&first.config])]);
    let table = table(&av01, &sizes, 1_000, &runs, &chunks);
    let edits = words(&[0, 2, 40, u32::MAX, 0x1_0000, 60_000, 0, 0x1_0000]);
    let video = trak(
        1,
        30_000,
        [b"vide", &boxed(b"vmhd", &[&[0; 12]])],
        &table,
        &boxed(b"edts", &[&boxed(b"elst", &[&edits])]),
    );

    let sizes: Vec<u32> = packets.iter().map(|packet| packet.data.len() as u32).collect();
    let at = media_at as u32 + bare.concat().len() as u32;
    let head = [&[0, 1, 1, 56][..], &48_000u32.to_be_bytes(), &[0, 0, 0]].concat();
    let opus = boxed(
        b"Opus",
        &[&dref(), &[0; 8], &[0, 1, 0, 16, 0, 0, 0, 0], &words(&[48_000 << 16]), &boxed(b"dOps", &[&head])],
    );
    let table = self::table(&opus, &sizes, 960, &[[1, sizes.len() as u32, 1]], &[at]);
    let audio = trak(2, 48_000, [b"soun", &boxed(b"smhd", &[&[0; 8]])], &table, &[]);

    let movie =
        boxed(b"mvhd", &[&words(&[0, 0, 0, 1_000, 1_000, 0x1_0000]), &[0; 12], &[0; 36], &[0; 24], &words(&[3])]);
    file.extend(boxed(b"moov", &[&movie, &video, &audio]));
    file
}

fn trak(id: u32, timescale: u32, media: [&[u8]; 2], table: &[u8], edits: &[u8]) -> Vec<u8> {
    let [handler, header] = media;
    let tkhd = boxed(b"tkhd", &[&words(&[7, 0, 0, id, 0, 1_000]), &[0; 60]]);
    let mdhd = boxed(b"mdhd", &[&words(&[0, 0, 0, timescale, timescale, 0x55c4_0000])]);
    let hdlr = boxed(b"hdlr", &[&words(&[0, 0]), handler, &[0; 12], b"\0"]);
    let dinf = boxed(b"dinf", &[&boxed(b"dref", &[&words(&[0, 1]), &boxed(b"url ", &[&words(&[1])])])]);
    let minf = boxed(b"minf", &[header, &dinf, table]);
    boxed(b"trak", &[&tkhd, edits, &boxed(b"mdia", &[&mdhd, &hdlr, &minf])])
}

fn table(entry: &[u8], sizes: &[u32], duration: u32, runs: &[[u32; 3]], chunks: &[u32]) -> Vec<u8> {
    let count = sizes.len() as u32;
    let parts = [
        boxed(b"stsd", &[&words(&[0, 1]), entry]),
        boxed(b"stts", &[&words(&[0, 1, count, duration])]),
        boxed(b"stsc", &[&words(&[0, runs.len() as u32]), &words(&runs.concat())]),
        boxed(b"stsz", &[&words(&[0, 0, count]), &words(sizes)]),
        boxed(b"stco", &[&words(&[0, chunks.len() as u32]), &words(chunks)]),
    ];
    boxed(b"stbl", &[&parts.concat()])
}

fn dref() -> [u8; 8] {
    [0, 0, 0, 0, 0, 0, 0, 1]
}

fn words(words: &[u32]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_be_bytes()).collect()
}

pub(crate) fn boxed(kind: &[u8; 4], parts: &[&[u8]]) -> Vec<u8> {
    let contents = parts.concat();
    [&(contents.len() as u32 + 8).to_be_bytes()[..], kind, &contents].concat()
}
