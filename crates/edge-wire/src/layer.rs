//! Layers of a scalable stream and the policy that admits them.

use crate::{Error, Reader};

/// One cell of the layer cube; 0 is the base on each axis, and decoding a layer needs every layer below it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Layer {
    /// Picture size step.
    pub spatial: u8,
    /// Frame rate step.
    pub temporal: u8,
    /// Fidelity step.
    pub quality: u8,
}

impl Layer {
    /// The layer that every policy admits.
    pub const BASE: Self = Self::new(0, 0, 0);

    /// A cell from its three steps.
    pub const fn new(spatial: u8, temporal: u8, quality: u8) -> Self {
        Self { spatial, temporal, quality }
    }

    /// Reads three bytes.
    pub fn read(reader: &mut Reader<'_>) -> Result<Self, Error> {
        let [spatial, temporal, quality] = reader.array("layer")?;
        Ok(Self { spatial, temporal, quality })
    }

    /// The three bytes.
    pub const fn to_bytes(self) -> [u8; 3] {
        [self.spatial, self.temporal, self.quality]
    }
}

/// The highest layers a receiver wants, one cap an axis.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Policy {
    /// Highest spatial layer.
    pub max_spatial: u8,
    /// Highest temporal layer.
    pub max_temporal: u8,
    /// Highest quality layer.
    pub max_quality: u8,
}

impl Policy {
    /// The base layer only.
    pub const BLINKING_DOT: Self = Self::new(0, 0, 0);
    /// Everything.
    pub const UNCAPPED: Self = Self::new(255, 255, 255);

    /// A policy from its three caps.
    pub const fn new(max_spatial: u8, max_temporal: u8, max_quality: u8) -> Self {
        Self { max_spatial, max_temporal, max_quality }
    }

    /// Whether `layer` is at or below every cap.
    pub const fn admits(self, layer: Layer) -> bool {
        layer.spatial <= self.max_spatial && layer.temporal <= self.max_temporal && layer.quality <= self.max_quality
    }
}

impl Default for Policy {
    fn default() -> Self {
        Self::UNCAPPED
    }
}
