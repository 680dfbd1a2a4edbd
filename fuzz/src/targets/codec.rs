//! `edge-codec`: bit streams. An input is a sequence of packets, each behind its 16-bit length, because what a decoder
//! does with one depends on those before it.

use edge_codec::{audio, video};
use edge_wire::{Reader, Writer};

use super::{SMALL, built};
use crate::{Cost, Target, Verdict};

pub(super) const TARGETS: &[Target] = &[
    Target { name: "av1_obu", cost: Cost::Parse, alloc_max: SMALL, run: obu, seeds: units },
    Target { name: "av1_decoder", cost: Cost::Decode, alloc_max: PICTURES, run: av1, seeds: streams },
    Target { name: "opus_decoder", cost: Cost::Crypto, alloc_max: SMALL, run: opus, seeds: sounds },
];

/// What the AV1 decoder may hold: reference pictures of the largest size.
const PICTURES: usize = 512 << 20;
/// Packets that one input may hold.
const PACKETS_MAX: usize = 16;

fn packets(input: &[u8]) -> Vec<&[u8]> {
    let mut reader = Reader::new(input);
    std::iter::from_fn(|| reader.bytes16("packet", usize::from(u16::MAX)).ok()).take(PACKETS_MAX).collect()
}

fn obu(input: &[u8]) -> Verdict {
    let total: usize = video::obu::walk(input).map(|obu| obu.payload.len()).sum();
    assert!(total <= input.len(), "units overlap");
    if video::obu::has_sequence_header(input) { Verdict::Accepted } else { Verdict::Refused }
}

fn av1(input: &[u8]) -> Verdict {
    let mut decoder = built(video::Decoder::new(1));
    let mut pictures = 0;
    for (number, unit) in (0..).zip(packets(input)) {
        let frames = decoder.decode(unit, number * 33_333).unwrap_or_default();
        assert!(frames.iter().all(|frame| frame.width() <= video::MAX_WIDTH && frame.height() <= video::MAX_HEIGHT));
        pictures += frames.len();
    }
    pictures += decoder.flush().len();
    if pictures > 0 { Verdict::Accepted } else { Verdict::Refused }
}

fn opus(input: &[u8]) -> Verdict {
    let mut decoder = built(audio::Decoder::new(audio::OPUS_RATE_HZ, 2));
    let mut verdict = Verdict::Refused;
    for packet in packets(input) {
        let _ = audio::packet_duration_us(packet);
        if audio::has_fec(packet) {
            let _ = decoder.decode_fec(packet);
        }
        match decoder.decode(packet) {
            Ok(_) => verdict = Verdict::Accepted,
            Err(_) => drop(decoder.conceal(audio::FrameDuration::Ms20)),
        }
    }
    verdict
}

fn prefixed<'a>(packets: impl IntoIterator<Item = &'a [u8]>) -> Vec<u8> {
    let mut out = Writer::new();
    packets.into_iter().for_each(|packet| {
        out.bytes16(packet);
    });
    out.finish()
}

/// Six pictures of 64 × 64 in every mode, as temporal units.
pub(super) fn encoded(mode: video::Mode) -> Vec<Vec<u8>> {
    let config = video::EncoderConfig::live(64, 64, 60).with_mode(mode);
    let mut encoder = built(video::Encoder::new(config));
    let picture = |number: u64| {
        let data = (0..64 * 64 * 3 / 2).map(|at| (at * 7 + number * 13).to_le_bytes()[0]).collect();
        built(video::Frame::new(64, 64, data)).at(number * 33_333, 0)
    };
    (0..6)
        .map(|number| built(encoder.encode(&picture(number))).iter().flat_map(|frame| frame.data.to_vec()).collect())
        .collect()
}

fn streams() -> Vec<Vec<u8>> {
    let of = |mode| prefixed(encoded(mode).iter().map(Vec::as_slice));
    [video::Mode::L1T1, video::Mode::L1T3, video::Mode::L3T3].map(of).to_vec()
}

fn units() -> Vec<Vec<u8>> {
    encoded(video::Mode::L3T3).into_iter().take(2).collect()
}

fn sounds() -> Vec<Vec<u8>> {
    let packets = opus_packets();
    vec![prefixed(packets.iter().map(Vec::as_slice)), prefixed(packets.iter().take(1).map(Vec::as_slice))]
}

/// Five packets of 20 ms.
pub(super) fn opus_packets() -> Vec<Vec<u8>> {
    let mut encoder = built(audio::Encoder::new(audio::EncoderConfig::VOICE));
    let samples = encoder.config().samples();
    let block = |number: usize| -> Vec<i16> {
        (0..samples).map(|at| i16::try_from((at * (97 + number)) % 20_000).unwrap_or(0)).collect()
    };
    (0..5).map(|number| built(encoder.encode(&block(number))).data.to_vec()).collect()
}
