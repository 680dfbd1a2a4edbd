//! Raw I420 pictures, dense and without any header.

use std::io::Read;

use super::input::Input;
use super::{Error, Rate};
use crate::video::{Frame, MAX_HEIGHT, MAX_WIDTH};

const FORMAT: &str = "raw I420";
const MAX_I420_LEN: usize = MAX_WIDTH as usize * MAX_HEIGHT as usize / 2 * 3;

/// What raw pictures do not say of themselves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Format {
    /// Luma columns.
    pub width: u32,
    /// Luma rows.
    pub height: u32,
    /// Frames a second.
    pub rate: Rate,
}

/// Reads pictures one by one.
pub struct Reader<R> {
    input: Input<R>,
    format: Format,
    next_frame: u64,
}

impl<R: Read> Reader<R> {
    /// Sides that no picture has are [`Error::Picture`].
    pub fn new(reader: R, format: Format) -> Result<Self, Error> {
        Frame::black(format.width, format.height).map_err(Error::Picture)?;
        Ok(Self { input: Input::new(FORMAT, reader), format, next_frame: 0 })
    }

    /// Size and rate.
    pub fn format(&self) -> Format {
        self.format
    }

    /// The next picture at its time in the stream; none at a clean end.
    pub fn next_frame(&mut self) -> Result<Option<Frame>, Error> {
        let Format { width, height, rate } = self.format;
        let Some(data) = read_i420(&mut self.input, width, height)? else { return Ok(None) };
        let frame = Frame::new(width, height, data).map_err(Error::Picture)?;
        let pts_us = rate.time_us(self.next_frame);
        self.next_frame += 1;
        Ok(Some(frame.at(pts_us, 0)))
    }
}

/// Three planes; none at a clean end.
pub(super) fn read_i420<R: Read>(input: &mut Input<R>, width: u32, height: u32) -> Result<Option<Vec<u8>>, Error> {
    let len = u64::from(width) * u64::from(height) / 2 * 3;
    input.bytes_or_end("a picture", len, MAX_I420_LEN)
}
