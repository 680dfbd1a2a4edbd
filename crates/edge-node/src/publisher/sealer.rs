//! Seals each frame once and hands it to the hub.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use edge_codec::description::Described;
use edge_codec::video::LayerFrame;
use edge_seal::payload::{Flags, Header, Origin, References, Track};
use edge_seal::{EpochDek, Sender};
use edge_wire::chunk::CodecId;
use edge_wire::id::Epoch;
use edge_wire::layer::Layer;
use edge_wire::link::Hint;
use tokio::sync::mpsc;

use super::capture::{Sound, Unit};
use crate::hub::Hub;
use crate::{Error, description};

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

/// A description's own nonce space, and who carries it.
pub(super) struct Lane {
    pub(super) sender: Sender,
    pub(super) hub: Hub,
}

/// The stream's only sealer.
pub(super) struct Sealer {
    /// The whole stream.
    pub(super) main: Lane,
    /// What pictures go into, by description; empty when they go into the whole stream.
    pub(super) lanes: Vec<Lane>,
    pub(super) origin: Origin,
    pub(super) frame_duration_us: u32,
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
            self.totals.epoch.store(self.main.sender.epoch().0, Ordering::Relaxed);
            tokio::select! {
                biased;
                Some((epoch, dek)) = keys.recv() => self.rekey(epoch, dek)?,
                unit = units.recv() => match unit {
                    Some(Unit::Video(picture)) => self.video(&picture)?,
                    Some(Unit::Audio(sound)) => self.audio(&sound)?,
                    None => return Ok(()),
                },
            }
        }
    }

    /// All lanes in one step: no picture of the new epoch goes out before every lane is in it.
    fn rekey(&mut self, epoch: Epoch, dek: EpochDek) -> Result<(), Error> {
        for lane in &mut self.lanes {
            lane.sender.rekey(epoch, description::copy(&dek))?;
        }
        Ok(self.main.sender.rekey(epoch, dek)?)
    }

    fn video(&mut self, picture: &Described) -> Result<(), Error> {
        for (at, layer) in picture.layers.iter().enumerate() {
            let hint = Hint {
                key: layer.key,
                frame_start: at == 0,
                switch: layer.switch,
                discardable: layer.discardable,
                audio: false,
                temporal_index: layer.temporal_index,
            };
            let header = self.video_header(layer)?;
            self.seal(Some(picture.description), &header, &layer.data, hint)?;
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
            codec: if self.lanes.is_empty() { CodecId::AV1_SVC } else { CodecId::MDC },
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
        self.seal(None, &header, &sound.data, hint)?;
        self.totals.sounds.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    fn seal(&mut self, description: Option<u8>, header: &Header, data: &[u8], hint: Hint) -> Result<(), Error> {
        let own = description.and_then(|description| self.lanes.get_mut(usize::from(description)));
        let lane = own.unwrap_or(&mut self.main);
        let chunk = lane.sender.seal_frame(header, data)?;
        self.totals.chunks.fetch_add(1, Ordering::Relaxed);
        self.totals.bytes.fetch_add(u64::try_from(chunk.ciphertext.len()).unwrap_or(u64::MAX), Ordering::Relaxed);
        lane.hub.forward(chunk, hint);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use edge_alm::path::{Descriptions, SubStreamPath};
    use edge_crypto::Secret;
    use edge_wire::id::{Fingerprint, StreamId};

    use super::*;
    use crate::event::Reporter;
    use crate::hub::Room;
    use crate::lane;
    use crate::neighbours::Neighbours;

    fn dek(byte: u8) -> EpochDek {
        EpochDek::new(Secret::from([byte; 32]))
    }

    fn picture(description: u8) -> Described {
        let layer = LayerFrame {
            frame_number: 0,
            unit_id: 0,
            references: Vec::new(),
            spatial: 0,
            temporal: 0,
            key: true,
            switch: true,
            discardable: false,
            end_of_unit: true,
            temporal_index: 0,
            data: vec![1].into(),
            pts_us: 0,
            captured_us: 0,
        };
        Described { number: description.into(), description, layers: vec![layer] }
    }

    #[test]
    fn no_two_paths_share_a_nonce_and_all_change_their_key_in_one_step() {
        let neighbours = Neighbours::new(StreamId([1; 32]), Fingerprint([2; 32]));
        let (reporter, _events) = Reporter::channel();
        let lane = |path: &SubStreamPath| {
            let (hub, _) = lane::hub(path, &neighbours, Room::default(), &reporter).unwrap();
            Lane { sender: Sender::new(hub.stream(), Epoch(1), dek(1)), hub }
        };
        let mut sealer = Sealer {
            main: lane(&SubStreamPath::WHOLE),
            lanes: Descriptions::Four.leaves().iter().map(lane).collect(),
            origin: Origin::from(Fingerprint([2; 32])),
            frame_duration_us: 1,
            totals: Arc::default(),
        };
        let mut streams: Vec<StreamId> = sealer.lanes.iter().map(|lane| lane.sender.stream()).collect();
        streams.push(sealer.main.sender.stream());
        streams.sort_unstable();
        streams.dedup();
        assert_eq!(streams.len(), 5, "each path has its own stream, which is part of every nonce");
        for epoch in [1, 2] {
            for description in [0, 2, 1, 3, 0] {
                sealer.video(&picture(description)).unwrap();
            }
            let sealed: Vec<(u64, u64)> =
                sealer.lanes.iter().map(|lane| (lane.sender.epoch().0, lane.sender.sealed())).collect();
            assert_eq!(sealed, [(epoch, 2), (epoch, 1), (epoch, 1), (epoch, 1)]);
            assert_eq!(sealer.main.sender.sealed(), 0, "pictures of a cut stream go by their lanes only");
            sealer.rekey(Epoch(epoch + 1), dek(10 + epoch as u8)).unwrap();
        }
    }
}
