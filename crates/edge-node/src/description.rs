//! What a stream carries, as the publisher tells it to each newcomer inside the Welcome.

use edge_wire::{Error, Reader, Writer};
use serde::Serialize;

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
}

impl Description {
    /// Appends the canonical bytes.
    pub fn write(&self, out: &mut Writer) {
        out.u16(self.width).u16(self.height).u32(self.rate_num).u32(self.rate_den);
        out.u8(self.spatial_layers).u8(self.temporal_layers).u8(self.audio_channels);
    }

    /// Reads what [`write`](Self::write) wrote.
    pub fn read(reader: &mut Reader<'_>) -> Result<Self, Error> {
        let this = Self {
            width: reader.u16("width")?,
            height: reader.u16("height")?,
            rate_num: reader.u32("rate_num")?,
            rate_den: reader.u32("rate_den")?,
            spatial_layers: reader.u8("spatial_layers")?,
            temporal_layers: reader.u8("temporal_layers")?,
            audio_channels: reader.u8("audio_channels")?,
        };
        match this.rate_den == 0 || this.spatial_layers > 3 || this.temporal_layers > 3 || this.audio_channels > 2 {
            true => Err(Error::Invalid { field: "description", rule: "names no stream that could be made" }),
            false => Ok(this),
        }
    }
}
