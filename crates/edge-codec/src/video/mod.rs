//! AV1 in scalable layers: encoder, decoder, and the rule of what may be decoded.
//!
//! [`Encoder`] turns one picture into one [`LayerFrame`] a spatial layer, each with the exact list of units that it was
//! predicted from. [`Assembler`] takes layer frames as a network delivers them and releases temporal units whose
//! references are all there. [`Decoder`] turns such a unit into one picture, the highest layer that is in it.

mod aom;
mod assembler;
mod config;
mod decoder;
mod encoder;
mod error;
mod frame;
pub mod obu;
mod rhythm;
mod scale;
mod structure;

pub use assembler::{Assembler, AssemblerConfig, Counters, LayerInput, Output, Unit};
pub use config::{EncoderConfig, Mode};
pub use decoder::{Decoder, MAX_UNIT_BYTES};
pub use edge_wire::control::Recovery;
pub use encoder::{Encoder, LayerFrame};
pub use error::{AomFailure, Error};
pub use frame::{Frame, MAX_HEIGHT, MAX_WIDTH, MIN_SIDE};

/// Most spatial layers of a picture.
pub const MAX_SPATIAL: usize = 3;
/// Distance between the unit ids of two consecutive pictures; unit ids within a picture are consecutive.
pub const UNITS_PER_FRAME: u64 = 4;
/// Highest frame number that has unit ids.
pub const MAX_FRAME_NUMBER: u64 = u64::MAX / UNITS_PER_FRAME - 1;

/// The id of the layer frame `spatial` of picture `frame_number`: what [`LayerFrame::references`] holds.
///
/// `frame_number` is at most [`MAX_FRAME_NUMBER`] and `spatial` below [`MAX_SPATIAL`]; above that the id saturates.
pub const fn unit_id(frame_number: u64, spatial: u8) -> u64 {
    frame_number.saturating_mul(UNITS_PER_FRAME).saturating_add(spatial as u64)
}
