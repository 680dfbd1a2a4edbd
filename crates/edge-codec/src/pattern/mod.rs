//! A moving test picture that carries its own frame number, and a tone with a blip each second.
//!
//! Both are pure functions of the position in the stream: two runs give the same pictures and the same samples. Picture
//! and sound meet at whole seconds, where the picture flashes and the tone blips.

mod code;
mod draw;
mod tone;
mod video;

pub use code::{MAX_FRAME_NUMBER, read_frame_number};
pub use tone::Tone;
pub use video::Video;
