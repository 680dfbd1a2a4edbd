//! What a stream carries, as the publisher tells it to each newcomer inside the Welcome.

use edge_alm::path::Descriptions;
use edge_codec::description::Split;
use edge_crypto::Secret;
use edge_seal::EpochDek;
use edge_wire::{Error, Reader, Writer};
use serde::{Serialize, Serializer};

/// Picture and sound of a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Description {
    /// Full picture width in pixels; 0 without video.
    pub width: u16,
    /// Full picture height in pixels; 0 without video.
    pub height: u16,
    /// Frames per second, numerator.
    pub rate_num: u32,
    /// Frames per second, denominator; never 0.
    pub rate_den: u32,
    /// Spatial layers of the video, 0 to 3.
    pub spatial_layers: u8,
    /// Temporal layers of the video, 0 to 3.
    pub temporal_layers: u8,
    /// Channels of 48 kHz Opus sound; 0 without sound.
    pub audio_channels: u8,
    /// Into how many descriptions the pictures are cut.
    #[serde(serialize_with = "count")]
    pub descriptions: Descriptions,
}

/// Where in the byte of the temporal layers the splits are counted.
const SPLITS_SHIFT: u8 = 4;

impl Description {
    /// Appends the canonical bytes.
    pub fn write(&self, out: &mut Writer) {
        out.u16(self.width).u16(self.height).u32(self.rate_num).u32(self.rate_den);
        let splits: u8 = match self.descriptions {
            Descriptions::One => 0,
            Descriptions::Two => 1,
            Descriptions::Four => 2,
        };
        out.u8(self.spatial_layers).u8(self.temporal_layers | splits << SPLITS_SHIFT).u8(self.audio_channels);
    }

    /// Reads what [`write`](Self::write) wrote.
    pub fn read(reader: &mut Reader<'_>) -> Result<Self, Error> {
        let invalid = Error::Invalid { field: "description", rule: "names no stream that could be made" };
        let mut this = Self {
            width: reader.u16("width")?,
            height: reader.u16("height")?,
            rate_num: reader.u32("rate_num")?,
            rate_den: reader.u32("rate_den")?,
            spatial_layers: reader.u8("spatial_layers")?,
            temporal_layers: reader.u8("temporal_layers")?,
            audio_channels: reader.u8("audio_channels")?,
            descriptions: Descriptions::One,
        };
        this.descriptions = match this.temporal_layers >> SPLITS_SHIFT {
            0 => Descriptions::One,
            1 => Descriptions::Two,
            2 => Descriptions::Four,
            _ => return Err(invalid),
        };
        this.temporal_layers &= (1 << SPLITS_SHIFT) - 1;
        match this.rate_den == 0 || this.spatial_layers > 3 || this.temporal_layers > 3 || this.audio_channels > 2 {
            true => Err(invalid),
            false => Ok(this),
        }
    }
}

fn count<S: Serializer>(descriptions: &Descriptions, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_u64(u64::try_from(descriptions.leaves().len()).unwrap_or(1))
}

/// The same cut as the codec knows it.
pub(crate) fn split(descriptions: Descriptions) -> Result<Split, edge_codec::video::Error> {
    Split::new(match descriptions {
        Descriptions::One => 1,
        Descriptions::Two => 2,
        Descriptions::Four => 4,
    })
}

/// A copy of an epoch's key for the nonce space of another description.
pub(crate) fn copy(dek: &EpochDek) -> EpochDek {
    EpochDek::new(Secret::from(*dek.secret().expose()))
}
