//! A small MP4 file with both tracks, for the corpus: the product reads MP4 and does not write it.

use edge_codec::container::{AudioTrack, EncodedUnit, OpusPacket, VideoTrack};

const TIMESCALE: u32 = 48_000;

/// The file: `ftyp`, then `mdat`, then `moov`, so that offsets are known when the index is written.
pub(super) fn write(video: &VideoTrack, units: &[EncodedUnit], audio: AudioTrack, packets: &[OpusPacket]) -> Vec<u8> {
    let ftyp = boxed(b"ftyp", &[b"isom", &be32(0)[..], b"isomav01"]);
    let data_at = ftyp.len() + 8;
    let video_data: Vec<&[u8]> = units.iter().map(|unit| unit.data.as_slice()).collect();
    let audio_data: Vec<&[u8]> = packets.iter().map(|packet| packet.data.as_slice()).collect();
    let audio_at = data_at + video_data.iter().map(|data| data.len()).sum::<usize>();
    let mdat = boxed(b"mdat", &[&video_data.concat(), &audio_data.concat()]);
    let video_track = track(b"vide", &sample_table(&av01(video), &video_data, 1_600, data_at));
    let audio_track = track(b"soun", &sample_table(&opus(audio), &audio_data, 960, audio_at));
    let mvhd = full(b"mvhd", &[&[0; 8], &be32(TIMESCALE), &be32(0), &[0; 80]]);
    let moov = boxed(b"moov", &[&mvhd, &video_track, &audio_track]);
    [ftyp, mdat, moov].concat()
}

fn track(handler: &[u8; 4], table: &[u8]) -> Vec<u8> {
    let tkhd = full(b"tkhd", &[&[0; 80]]);
    let mdhd = full(b"mdhd", &[&[0; 8], &be32(TIMESCALE), &be32(0), &[0x55, 0xc4, 0, 0]]);
    let hdlr = full(b"hdlr", &[&[0; 4], handler, &[0; 13]]);
    let minf = boxed(b"minf", &[table]);
    boxed(b"trak", &[&tkhd, &boxed(b"mdia", &[&mdhd, &hdlr, &minf])])
}

/// All samples in one chunk at `offset`, each `ticks` long.
fn sample_table(entry: &[u8], samples: &[&[u8]], ticks: u32, offset: usize) -> Vec<u8> {
    let count = len32(samples.len());
    let sizes: Vec<u8> = samples.iter().flat_map(|sample| len32(sample.len())).collect();
    let stsd = full(b"stsd", &[&be32(1), entry]);
    let stts = full(b"stts", &[&be32(1), &count, &be32(ticks)]);
    let stsc = full(b"stsc", &[&be32(1), &be32(1), &count, &be32(1)]);
    let stsz = full(b"stsz", &[&be32(0), &count, &sizes]);
    let stco = full(b"stco", &[&be32(1), &len32(offset)]);
    boxed(b"stbl", &[&stsd, &stts, &stsc, &stsz, &stco])
}

fn av01(track: &VideoTrack) -> Vec<u8> {
    let side = |pixels: u32| u16::try_from(pixels).unwrap_or(u16::MAX).to_be_bytes();
    let av1c = boxed(b"av1C", &[&track.config]);
    let fields: [&[u8]; 6] =
        [&[0, 0, 0, 0, 0, 0, 0, 1], &[0; 16], &side(track.width), &side(track.height), &[0; 50], &av1c];
    boxed(b"av01", &fields)
}

fn opus(track: AudioTrack) -> Vec<u8> {
    let skip = track.pre_skip.to_be_bytes();
    let dops = boxed(b"dOps", &[&[0, track.channels], &skip, &be32(track.sample_rate_hz), &[0; 3]]);
    let fields: [&[u8]; 6] =
        [&[0, 0, 0, 0, 0, 0, 0, 1], &[0; 8], &[0, track.channels, 0, 16], &[0; 4], &be32(TIMESCALE << 16), &dops];
    boxed(b"Opus", &fields)
}

fn full(kind: &[u8; 4], parts: &[&[u8]]) -> Vec<u8> {
    boxed(kind, &[&[0; 4], &parts.concat()])
}

fn boxed(kind: &[u8; 4], parts: &[&[u8]]) -> Vec<u8> {
    let body = parts.concat();
    [&len32(body.len() + 8)[..], kind, &body].concat()
}

fn len32(len: usize) -> [u8; 4] {
    be32(u32::try_from(len).unwrap_or(u32::MAX))
}

fn be32(value: u32) -> [u8; 4] {
    value.to_be_bytes()
}
