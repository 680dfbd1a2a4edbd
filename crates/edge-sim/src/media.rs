//! The publisher's stream: the cadence, layers and sizes of 720p30 L1T3 at 2.5 Mbit/s, with short sealed payloads.
//!
//! What is sealed carries a mark instead of a picture, so that crypto stays cheap and forgeries show; links are charged
//! the size of the picture.

use bytes::Bytes;
use edge_crypto::Secret;
use edge_crypto::hash::sha256;
use edge_seal::payload::{Flags, Header, Origin, Payload, References, Track};
use edge_seal::{EpochDek, Sender, inner_nonce};
use edge_wire::chunk::{CodecId, InnerSealed, OVERHEAD};
use edge_wire::id::{Epoch, Fingerprint, StreamId};
use edge_wire::layer::Layer;
use edge_wire::link::{Hint, PREFIX_LEN};

use crate::ledger::{KeyTag, Ledger};
use crate::rng::Rng;

/// Pictures a second.
pub const FPS: u64 = 30;
/// Time between two pictures, in µs.
pub const INTERVAL_US: u64 = 1_000_000 / FPS;
/// Longest time without a key frame, in pictures.
pub const KEY_EVERY: u64 = 2 * FPS;
/// Shortest time between key frames that are asked for, in pictures.
pub const KEY_APART_MIN: u64 = FPS / 2;
/// Pictures in a temporal group.
pub const GROUP: u64 = 4;

/// Bytes of the mark inside each payload.
const MARK_LEN: usize = 16;

/// How many bytes pictures have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sizes {
    /// Mean rate of the stream, key frames included, in kbit/s.
    pub rate_kbps: u64,
    /// Size of a key frame against the mean picture, in percent.
    pub key_percent: u64,
    /// Size of a picture of each temporal layer against the mean one, in percent.
    pub layer_percent: [u64; 3],
    /// Largest deviation of one picture either way, in percent.
    pub spread_percent: u64,
}

impl Default for Sizes {
    /// 2.5 Mbit/s; a group of four has 180, 60, 90 and 60 percent of a mean picture, a key frame 400.
    fn default() -> Self {
        Self { rate_kbps: 2_500, key_percent: 400, layer_percent: [180, 90, 60], spread_percent: 20 }
    }
}

impl Sizes {
    /// What each temporal layer takes, in kbit/s; their sum is the whole stream.
    pub fn layers_kbps(&self) -> [u64; 3] {
        let [base, middle, top] = self.layer_percent;
        let percents = [self.key_percent + 14 * base, 15 * middle, 30 * top];
        percents.map(|percent| self.mean() * percent / 100 * 8 * FPS / KEY_EVERY / 1000)
    }

    /// Bytes of a mean picture, such that key frames fit into the rate too.
    fn mean(&self) -> u64 {
        let per_interval = self.rate_kbps * 1000 / 8 / FPS;
        let (extra, base) = (self.key_percent.saturating_sub(self.layer_percent[0]), KEY_EVERY * 100);
        per_interval * base / (base + extra)
    }
}

/// One sealed picture.
#[derive(Debug, Clone)]
pub struct Frame {
    /// Counts from 0.
    pub number: u64,
    /// When it was captured, in µs.
    pub at_us: u64,
    /// What relays are told.
    pub hint: Hint,
    /// The sealed mark.
    pub inner: InnerSealed,
    /// Bytes that a link is charged for the whole message.
    pub wire_len: usize,
}

/// What the run knows about a picture afterwards.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sheet {
    /// When it was captured, in µs.
    pub at_us: u64,
    /// Its layer.
    pub layer: Layer,
    /// Pictures back to the one it is predicted from; 0 for a key frame.
    pub refers_back: u8,
    /// Bytes on a link.
    pub wire_len: usize,
}

/// Seals the pictures of one stream.
pub struct Source {
    seed: u64,
    stream: StreamId,
    origin: Origin,
    sender: Sender,
    key_tag: KeyTag,
    sizes: Sizes,
    rng: Rng,
    since_key: u64,
    key_wanted: bool,
    sheets: Vec<Sheet>,
    /// Number of the first picture of each epoch, from epoch 1 on.
    epochs: Vec<u64>,
}

impl Source {
    /// A source that has published nothing, in epoch 1.
    pub fn new(seed: u64, publisher: Fingerprint, sizes: Sizes) -> Self {
        let stream = StreamId(sha256(&[b"edge/sim/stream", &seed.to_be_bytes()]));
        let epoch = Epoch(1);
        Self {
            seed,
            stream,
            origin: Origin::from(publisher),
            sender: Sender::new(stream, epoch, dek(seed, epoch)),
            key_tag: KeyTag::of(&dek_bytes(seed, epoch)),
            sizes,
            rng: Rng::labelled(seed, 0xf4a3),
            since_key: 0,
            key_wanted: true,
            sheets: Vec::new(),
            epochs: vec![0],
        }
    }

    /// The stream.
    pub fn stream(&self) -> StreamId {
        self.stream
    }

    /// The publisher as receivers pin it.
    pub fn origin(&self) -> Origin {
        self.origin
    }

    /// The epoch that seals now.
    pub fn epoch(&self) -> Epoch {
        self.sender.epoch()
    }

    /// Moves to the next epoch, as a group does when members come and go.
    pub fn rotate(&mut self) -> Result<(), edge_seal::Error> {
        let epoch = Epoch(self.sender.epoch().0 + 1);
        self.sender.rekey(epoch, dek(self.seed, epoch))?;
        self.key_tag = KeyTag::of(&dek_bytes(self.seed, epoch));
        self.epochs.push(self.sheets.len() as u64);
        Ok(())
    }

    /// Asks for a key frame; it comes as soon as the last one is [`KEY_APART_MIN`] pictures back.
    pub fn want_key(&mut self) {
        self.key_wanted = true;
    }

    /// Captures and seals the next picture.
    pub fn capture(&mut self, at_us: u64, ledger: &mut Ledger) -> Result<Frame, edge_seal::Error> {
        let number = self.sheets.len() as u64;
        let asked = self.key_wanted && self.since_key >= KEY_APART_MIN;
        let key = number == 0 || self.since_key >= KEY_EVERY || asked;
        if key {
            (self.since_key, self.key_wanted) = (0, false);
        }
        let (temporal, refers_back) = place_in_group(self.since_key);
        let layer = Layer::new(0, temporal, 0);
        let data_len = self.draw_len(key, temporal);
        let wire_len = data_len + edge_seal::payload::MAX_HEADER_LEN + OVERHEAD + PREFIX_LEN;
        let header = self.header(number, at_us, layer, if key { 0 } else { refers_back })?;
        let inner = self.sender.seal_frame(&header, &mark(self.seed, number))?;
        ledger.record(self.key_tag, inner_nonce(self.stream, inner.header.epoch, inner.header.seq));
        let hint = Hint {
            key,
            frame_start: true,
            discardable: temporal == 2,
            temporal_index: (self.since_key % GROUP) as u8,
            ..Hint::default()
        };
        self.since_key += 1;
        self.sheets.push(Sheet { at_us, layer, refers_back: if key { 0 } else { refers_back }, wire_len });
        Ok(Frame { number, at_us, hint, inner, wire_len })
    }

    /// What was published, by number.
    pub fn sheets(&self) -> &[Sheet] {
        &self.sheets
    }

    /// Bytes on a link of the picture that a clear header names; of a mean one when there is no such picture.
    pub fn wire_len(&self, header: &edge_wire::chunk::Header) -> usize {
        let first = usize::try_from(header.epoch.0).ok().and_then(|epoch| self.epochs.get(epoch.checked_sub(1)?));
        let number = first.and_then(|first| usize::try_from(first.checked_add(header.seq.0)?).ok());
        let sheet = number.and_then(|number| self.sheets.get(number));
        sheet.map_or(self.sizes.mean() as usize, |sheet| sheet.wire_len)
    }

    /// Whether an opened payload is what was published under its number.
    pub fn is_genuine(&self, payload: &Payload) -> bool {
        let Some(sheet) = self.sheets.get(payload.header.frame_number as usize) else { return false };
        payload.header.layer == sheet.layer && payload.data == mark(self.seed, payload.header.frame_number)
    }

    fn header(&self, number: u64, at_us: u64, layer: Layer, back: u8) -> Result<Header, edge_seal::Error> {
        let references = match back {
            0 => References::NONE,
            back => References::new(&[u32::from(back)])?,
        };
        let key = if back == 0 { Flags::KEY_FRAME } else { Flags::NONE };
        let discardable = if layer.temporal == 2 { Flags::DISCARDABLE } else { Flags::NONE };
        Ok(Header {
            flags: key | discardable | Flags::END_OF_UNIT,
            track: Track::VIDEO,
            codec: CodecId::AV1_SVC,
            layer,
            sender: self.origin,
            frame_number: number,
            pts_us: at_us,
            captured_us: at_us,
            duration_us: INTERVAL_US as u32,
            unit_id: number,
            references,
        })
    }

    fn draw_len(&mut self, key: bool, temporal: u8) -> usize {
        let percent = match key {
            true => self.sizes.key_percent,
            false => self.sizes.layer_percent.get(usize::from(temporal)).copied().unwrap_or(100),
        };
        let spread = self.sizes.spread_percent.min(100);
        let drawn = 100 - spread + self.rng.below(2 * spread + 1);
        (self.sizes.mean() * percent / 100 * drawn / 100) as usize
    }
}

/// Temporal layer, and distance to the picture it is predicted from.
fn place_in_group(since_key: u64) -> (u8, u8) {
    match since_key % GROUP {
        0 => (0, GROUP as u8),
        2 => (1, 2),
        _ => (2, 1),
    }
}

/// The key of an epoch, as every member of the group knows it.
pub fn dek(seed: u64, epoch: Epoch) -> EpochDek {
    EpochDek::new(Secret::from(dek_bytes(seed, epoch)))
}

fn dek_bytes(seed: u64, epoch: Epoch) -> [u8; 32] {
    sha256(&[b"edge/sim/dek", &seed.to_be_bytes(), &epoch.0.to_be_bytes()])
}

fn mark(seed: u64, number: u64) -> Bytes {
    let digest = sha256(&[b"edge/sim/mark", &seed.to_be_bytes(), &number.to_be_bytes()]);
    Bytes::copy_from_slice(&digest[..MARK_LEN])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_stream_has_its_rate_and_its_cadence() {
        let mut source = Source::new(1, Fingerprint([9; 32]), Sizes::default());
        let mut ledger = Ledger::new();
        for number in 0..3000 {
            if number == 1500 {
                source.rotate().unwrap();
            }
            source.capture(number * INTERVAL_US, &mut ledger).unwrap();
        }
        let bits: usize = source.sheets().iter().map(|sheet| sheet.wire_len * 8).sum();
        let kbps = bits as u64 / 100_000;
        assert!((2_450..2_600).contains(&kbps), "{kbps}");
        let keys = source.sheets().iter().filter(|sheet| sheet.refers_back == 0).count();
        assert_eq!((keys, ledger.seals(), ledger.repeats()), (50, 3000, 0));
    }
}
