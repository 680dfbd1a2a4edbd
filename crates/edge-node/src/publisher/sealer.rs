//! Seals each frame once and hands it to the hub.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use edge_codec::video::LayerFrame;
use edge_seal::payload::{Flags, Header, Origin, References, Track};
use edge_seal::{EpochDek, Sender};
use edge_wire::chunk::CodecId;
use edge_wire::id::Epoch;
use edge_wire::layer::Layer;
use edge_wire::link::Hint;
use tokio::sync::mpsc;

use super::capture::{Sound, Unit};
use crate::Error;
use crate::hub::Hub;

/// Epoch keys that may wait for the next frame boundary.
pub(super) const MAX_KEYS: usize = 8;

/// What was sealed so far.
#[derive(Debug, Default)]
pub(super) struct Totals {
    pub(super) frames: AtomicU64,
    pub(super) sounds: AtomicU64,
    pub(super) chunks: AtomicU64,
    pub(super) bytes: AtomicU64,
    pub(super) epoch: AtomicU64,
}

/// The stream's only sealer.
pub(super) struct Sealer {
    pub(super) sender: Sender,
    pub(super) origin: Origin,
    pub(super) frame_duration_us: u32,
    pub(super) hub: Hub,
    pub(super) totals: Arc<Totals>,
}

impl Sealer {
    /// Seals until the capture ends. A new epoch begins between two frames.
    pub(super) async fn run(
        mut self,
        mut units: mpsc::Receiver<Unit>,
        mut keys: mpsc::Receiver<(Epoch, EpochDek)>,
    ) -> Result<(), Error> {
        loop {
            self.totals.epoch.store(self.sender.epoch().0, Ordering::Relaxed);
            tokio::select! {
                biased;
                Some((epoch, dek)) = keys.recv() => self.sender.rekey(epoch, dek)?,
                unit = units.recv() => match unit {
                    Some(Unit::Video(layers)) => self.video(&layers)?,
                    Some(Unit::Audio(sound)) => self.audio(&sound)?,
                    None => return Ok(()),
                },
            }
        }
    }

    fn video(&mut self, layers: &[LayerFrame]) -> Result<(), Error> {
        for (at, layer) in layers.iter().enumerate() {
            let hint = Hint {
                key: layer.key,
                frame_start: at == 0,
                switch: layer.switch,
                discardable: layer.discardable,
                audio: false,
                temporal_index: layer.temporal_index,
            };
            let header = self.video_header(layer)?;
            self.seal(&header, &layer.data, hint)?;
        }
        self.totals.frames.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    fn video_header(&self, layer: &LayerFrame) -> Result<Header, Error> {
        let flag = |on: bool, flag: Flags| if on { flag } else { Flags::NONE };
        let mut distances: Vec<u32> =
            layer.references.iter().filter_map(|unit| u32::try_from(layer.unit_id.checked_sub(*unit)?).ok()).collect();
        distances.sort_unstable();
        distances.dedup();
        Ok(Header {
            flags: flag(layer.key, Flags::KEY_FRAME)
                | flag(layer.switch, Flags::SWITCH_POINT)
                | flag(layer.end_of_unit, Flags::END_OF_UNIT)
                | flag(layer.discardable, Flags::DISCARDABLE),
            track: Track::VIDEO,
            codec: CodecId::AV1_SVC,
            layer: Layer::new(layer.spatial, layer.temporal, 0),
            sender: self.origin,
            frame_number: layer.frame_number,
            pts_us: layer.pts_us,
            captured_us: layer.captured_us,
            duration_us: self.frame_duration_us,
            unit_id: layer.unit_id,
            references: References::new(&distances).map_err(edge_seal::Error::from)?,
        })
    }

    fn audio(&mut self, sound: &Sound) -> Result<(), Error> {
        let header = Header {
            flags: Flags::KEY_FRAME | Flags::END_OF_UNIT | Flags::DISCARDABLE,
            track: Track::AUDIO,
            codec: CodecId::OPAQUE,
            layer: Layer::BASE,
            sender: self.origin,
            frame_number: sound.number,
            pts_us: sound.pts_us,
            captured_us: sound.captured_us,
            duration_us: sound.duration_us,
            unit_id: sound.number,
            references: References::NONE,
        };
        let hint = Hint { audio: true, ..Hint::default() };
        self.seal(&header, &sound.data, hint)?;
        self.totals.sounds.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    fn seal(&mut self, header: &Header, data: &[u8], hint: Hint) -> Result<(), Error> {
        let chunk = self.sender.seal_frame(header, data)?;
        self.totals.chunks.fetch_add(1, Ordering::Relaxed);
        self.totals.bytes.fetch_add(u64::try_from(chunk.ciphertext.len()).unwrap_or(u64::MAX), Ordering::Relaxed);
        self.hub.forward(chunk, hint);
        Ok(())
    }
}
