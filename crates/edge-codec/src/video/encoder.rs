use bytes::Bytes;

use super::aom::{Aom, Kind};
use super::structure::{Picture, Plan, Start, Structure};
use super::{EncoderConfig, Error, Frame, Mode, Recovery, unit_id};

/// One layer of one encoded picture: what travels as one chunk and may be dropped as one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LayerFrame {
    /// Low-overhead OBUs. The base layer's start with a temporal delimiter and, in a key frame, the sequence header, so
    /// that the layers of a picture one after the other are a temporal unit.
    pub data: Bytes,
    /// Belongs to a key picture: decoding can start with that picture's base layer.
    pub key: bool,
    /// Belongs to a picture whose upper spatial layers need only the layer below: a receiver may start them here.
    pub switch: bool,
    /// Picture size step, 0 smallest.
    pub spatial: u8,
    /// Frame rate step, 0 slowest.
    pub temporal: u8,
    /// Nothing references this frame.
    pub discardable: bool,
    /// The highest layer of its picture.
    pub end_of_unit: bool,
    /// Number of the picture in the stream.
    pub frame_number: u64,
    /// [`unit_id`] of the picture's number and `spatial`.
    pub unit_id: u64,
    /// Every unit that must have been decoded before, ascending; at most two.
    pub references: Vec<u64>,
    /// Place in the temporal pattern, which is 0 2 1 2 with three temporal layers.
    pub temporal_index: u8,
    /// The picture's own presentation time, in µs.
    pub pts_us: u64,
    /// The picture's own capture time, in µs; 0 = unknown.
    pub captured_us: u64,
}

/// An AV1 encoder of one stream. Belongs to one thread at a time; each call encodes its picture to the end.
pub struct Encoder {
    aom: Aom,
    config: EncoderConfig,
    structure: Structure,
    wanted: Option<Recovery>,
    number: u64,
    tick: i64,
    phase: u8,
    last_pts_us: Option<u64>,
    key_us: u64,
    switch_us: u64,
    long_term_us: u64,
}

impl Encoder {
    /// A long-term reference younger than this is not used for recovery: who asks for one has probably lost it too.
    pub const LONG_TERM_MIN_AGE_US: u64 = 250_000;

    /// Makes an encoder; its first picture is a key frame. Fails with [`Error::InvalidConfig`] on a field out of
    /// bounds and [`Error::EncodeFailed`] when the library refuses.
    pub fn new(config: EncoderConfig) -> Result<Self, Error> {
        config.check()?;
        let mut aom = Aom::new(&config).map_err(Error::EncodeFailed)?;
        aom.set_layers(&config, &layer_rates_kbps(config.mode, config.bitrate_kbps)).map_err(Error::EncodeFailed)?;
        Ok(Self {
            aom,
            structure: Structure::new(config.mode),
            wanted: Some(Recovery::KeyFrame),
            number: config.first_frame_number,
            config,
            tick: 0,
            phase: 0,
            last_pts_us: None,
            key_us: 0,
            switch_us: 0,
            long_term_us: 0,
        })
    }

    /// Encodes one picture into its layers, lowest first. Fails with [`Error::DimensionsMismatch`] or
    /// [`Error::TimeNotAscending`] and no effect, or with [`Error::EncodeFailed`]: then the next one is a key frame.
    pub fn encode(&mut self, frame: &Frame) -> Result<Vec<LayerFrame>, Error> {
        self.check_frame(frame)?;
        let picture = self.picture(frame.pts_us);
        let layers = self.encode_layers(frame, &picture);
        self.tick += 1;
        match layers {
            Ok(layers) => {
                self.advance(frame.pts_us, &picture);
                Ok(layers)
            }
            Err(error) => {
                self.wanted = Some(Recovery::KeyFrame);
                self.number += 1;
                Err(error)
            }
        }
    }

    /// Makes the next picture one that receivers can recover with. The strongest of several requests wins; a long-term
    /// reference that is too young to be in receivers' hands becomes a key frame.
    pub fn request(&mut self, recovery: Recovery) {
        self.wanted = self.wanted.max(Some(recovery));
    }

    /// Changes the rate of all layers together, in kbit/s, from the next picture on; fails with
    /// [`Error::InvalidConfig`] out of [`EncoderConfig::BITRATE_KBPS`].
    pub fn set_bitrate(&mut self, bitrate_kbps: u32) -> Result<(), Error> {
        let changed = EncoderConfig { bitrate_kbps, ..self.config.clone() };
        changed.check()?;
        let rates = layer_rates_kbps(changed.mode, bitrate_kbps);
        self.aom.set_layers(&changed, &rates).map_err(Error::EncodeFailed)?;
        self.config = changed;
        Ok(())
    }

    /// What the encoder was made for, with the current bit rate.
    pub fn config(&self) -> &EncoderConfig {
        &self.config
    }

    /// Number of the next picture.
    pub fn next_frame_number(&self) -> u64 {
        self.number
    }

    fn check_frame(&self, frame: &Frame) -> Result<(), Error> {
        let (expected_w, expected_h) = (self.config.width, self.config.height);
        let (actual_w, actual_h) = (frame.width(), frame.height());
        if (expected_w, expected_h) != (actual_w, actual_h) {
            return Err(Error::DimensionsMismatch { expected_w, expected_h, actual_w, actual_h });
        }
        match self.last_pts_us {
            Some(previous_us) if frame.pts_us <= previous_us => {
                Err(Error::TimeNotAscending { pts_us: frame.pts_us, previous_us })
            }
            _ => Ok(()),
        }
    }

    fn picture(&self, pts_us: u64) -> Picture {
        let start = self.start(pts_us);
        let phase = if start == Start::Continue { self.phase } else { 0 };
        let base = self.structure.temporal(phase) == 0;
        let keep =
            base && start != Start::LongTerm && due(pts_us, self.long_term_us, self.config.long_term_interval_ms);
        Picture { number: self.number, start, phase, keep }
    }

    fn start(&self, pts_us: u64) -> Start {
        let layered = self.config.mode.spatial_layers() > 1;
        let settled = pts_us.saturating_sub(self.long_term_us) >= Self::LONG_TERM_MIN_AGE_US;
        if due(pts_us, self.key_us, self.config.key_interval_ms) {
            return Start::Key;
        }
        match self.wanted {
            Some(Recovery::LongTermReference) if settled => Start::LongTerm,
            Some(Recovery::Switch) if layered => Start::Switch,
            Some(Recovery::Switch) | None => {
                let switch = layered && self.phase == 0 && due(pts_us, self.switch_us, self.config.switch_interval_ms);
                if switch { Start::Switch } else { Start::Continue }
            }
            Some(_) => Start::Key,
        }
    }

    fn encode_layers(&mut self, frame: &Frame, picture: &Picture) -> Result<Vec<LayerFrame>, Error> {
        let mut layers = Vec::with_capacity(self.config.mode.spatial_layers().into());
        for spatial in 0..self.config.mode.spatial_layers() {
            let plan = self.structure.plan(picture, spatial);
            let references = self.structure.references(&plan);
            let data = self.encode_layer(frame, picture, spatial, &plan)?;
            self.structure.commit(picture, spatial, &plan);
            let mut layer = self.describe(frame, picture, spatial, &plan);
            (layer.data, layer.references) = (data, references);
            layers.push(layer);
        }
        Ok(layers)
    }

    fn encode_layer(&mut self, frame: &Frame, picture: &Picture, spatial: u8, plan: &Plan) -> Result<Bytes, Error> {
        let kind = match (plan.last, plan.golden) {
            (None, None) => Kind::Key,
            (None, Some(_)) => Kind::Switch,
            (Some(_), _) => Kind::Predicted,
        };
        let temporal = self.structure.temporal(picture.phase);
        self.aom.set_layer(spatial, temporal, plan).map_err(Error::EncodeFailed)?;
        self.aom.encode(frame, self.tick, kind).map(Bytes::from).map_err(Error::EncodeFailed)
    }

    fn describe(&self, frame: &Frame, picture: &Picture, spatial: u8, plan: &Plan) -> LayerFrame {
        LayerFrame {
            data: Bytes::new(),
            key: picture.start == Start::Key,
            switch: picture.start != Start::Continue,
            spatial,
            temporal: self.structure.temporal(picture.phase),
            discardable: plan.refresh == 0,
            end_of_unit: spatial + 1 == self.config.mode.spatial_layers(),
            frame_number: picture.number,
            unit_id: unit_id(picture.number, spatial),
            references: Vec::new(),
            temporal_index: picture.phase,
            pts_us: frame.pts_us,
            captured_us: frame.captured_us,
        }
    }

    fn advance(&mut self, pts_us: u64, picture: &Picture) {
        self.number += 1;
        self.phase = self.structure.next_phase(picture.phase);
        self.last_pts_us = Some(pts_us);
        if picture.start != Start::Continue {
            (self.wanted, self.switch_us) = (None, pts_us);
        } else if self.wanted == Some(Recovery::Switch) {
            self.wanted = None;
        }
        if picture.start == Start::Key {
            self.key_us = pts_us;
        }
        if picture.keep || picture.start == Start::Key {
            self.long_term_us = pts_us;
        }
    }
}

impl std::fmt::Debug for Encoder {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("Encoder").field("config", &self.config).field("number", &self.number).finish_non_exhaustive()
    }
}

fn due(now_us: u64, last_us: u64, interval_ms: u32) -> bool {
    now_us.saturating_sub(last_us) >= u64::from(interval_ms) * 1_000
}

/// Rates by spatial and then temporal layer, cumulative over the temporal layers of a spatial one.
fn layer_rates_kbps(mode: Mode, total_kbps: u32) -> Vec<u32> {
    let spatial: &[u32] = match mode.spatial_layers() {
        1 => &[100],
        2 => &[30, 70],
        _ => &[10, 25, 65],
    };
    let temporal: &[u32] = match mode.temporal_layers() {
        1 => &[100],
        2 => &[60, 100],
        _ => &[50, 70, 100],
    };
    let rate = |size: u32, speed: u32| (total_kbps * size / 100 * speed / 100).max(1);
    spatial.iter().flat_map(|size| temporal.iter().map(move |speed| rate(*size, *speed))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_cumulative_within_a_size() {
        assert_eq!(layer_rates_kbps(Mode::L1T1, 600), [600]);
        assert_eq!(layer_rates_kbps(Mode::L2T2, 1_000), [180, 300, 420, 700]);
        assert_eq!(layer_rates_kbps(Mode::L3T3, 1_000), [50, 70, 100, 125, 175, 250, 325, 455, 650]);
    }
}
