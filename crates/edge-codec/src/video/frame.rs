use super::Error;
use super::scale;

/// Smallest width and height, in pixels.
pub const MIN_SIDE: u32 = 16;
/// Largest width, in pixels.
pub const MAX_WIDTH: u32 = 4096;
/// Largest height, in pixels.
pub const MAX_HEIGHT: u32 = 2304;

/// A picture: 8-bit I420, the three planes dense and one after the other.
#[derive(Clone, PartialEq, Eq)]
pub struct Frame {
    width: u32,
    height: u32,
    data: Vec<u8>,
    /// Presentation time, in µs of the stream's media time.
    pub pts_us: u64,
    /// Capture time, in µs of the publisher's Unix clock; 0 = unknown.
    pub captured_us: u64,
}

impl Frame {
    /// Takes the Y, U and V planes as one buffer. Sides must be even and within [`MIN_SIDE`], [`MAX_WIDTH`] and
    /// [`MAX_HEIGHT`], and the buffer exactly as long as they say; else [`Error::InvalidFrame`].
    pub fn new(width: u32, height: u32, data: Vec<u8>) -> Result<Self, Error> {
        match sides_fit(width, height) && data.len() == i420_len(width, height) {
            true => Ok(Self { width, height, data, pts_us: 0, captured_us: 0 }),
            false => Err(Error::InvalidFrame { width, height, len: data.len() }),
        }
    }

    /// A black picture; sides as in [`Frame::new`].
    pub fn black(width: u32, height: u32) -> Result<Self, Error> {
        if !sides_fit(width, height) {
            return Err(Error::InvalidFrame { width, height, len: 0 });
        }
        let mut data = vec![BLACK_LUMA; i420_len(width, height)];
        data.iter_mut().skip(luma_len(width, height)).for_each(|chroma| *chroma = GREY_CHROMA);
        Self::new(width, height, data)
    }

    /// The same picture at another presentation and capture time, in µs.
    pub fn at(mut self, pts_us: u64, captured_us: u64) -> Self {
        self.pts_us = pts_us;
        self.captured_us = captured_us;
        self
    }

    /// Luma columns.
    pub fn width(&self) -> u32 {
        self.width
    }

    /// Luma rows.
    pub fn height(&self) -> u32 {
        self.height
    }

    /// All three planes, Y then U then V.
    pub fn i420(&self) -> &[u8] {
        &self.data
    }

    /// Luma, `width` bytes a row.
    pub fn y(&self) -> &[u8] {
        self.planes().0
    }

    /// Blue difference, `width / 2` bytes a row.
    pub fn u(&self) -> &[u8] {
        self.planes().1
    }

    /// Red difference, `width / 2` bytes a row.
    pub fn v(&self) -> &[u8] {
        self.planes().2
    }

    /// Y, U and V for drawing.
    pub fn planes_mut(&mut self) -> (&mut [u8], &mut [u8], &mut [u8]) {
        let luma = luma_len(self.width, self.height);
        let (y, chroma) = self.data.split_at_mut(luma);
        let (u, v) = chroma.split_at_mut(luma / 4);
        (y, u, v)
    }

    /// The picture at another size, box-filtered down or bilinear up; sides as in [`Frame::new`].
    pub fn scale_to(&self, width: u32, height: u32) -> Result<Self, Error> {
        if (width, height) == (self.width, self.height) {
            return Ok(self.clone());
        }
        let mut out = Self::black(width, height)?.at(self.pts_us, self.captured_us);
        let (y, u, v) = out.planes_mut();
        let (from, to) = (scale::Size::new(self.width, self.height), scale::Size::new(width, height));
        scale::plane(self.y(), from, y, to);
        scale::plane(self.u(), from.half(), u, to.half());
        scale::plane(self.v(), from.half(), v, to.half());
        Ok(out)
    }

    fn planes(&self) -> (&[u8], &[u8], &[u8]) {
        let luma = luma_len(self.width, self.height);
        let (y, chroma) = self.data.split_at(luma);
        let (u, v) = chroma.split_at(luma / 4);
        (y, u, v)
    }
}

impl std::fmt::Debug for Frame {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "Frame({}x{} at {} µs)", self.width, self.height, self.pts_us)
    }
}

const BLACK_LUMA: u8 = 16;
const GREY_CHROMA: u8 = 128;

fn sides_fit(width: u32, height: u32) -> bool {
    let even = width.is_multiple_of(2) && height.is_multiple_of(2);
    even && (MIN_SIDE..=MAX_WIDTH).contains(&width) && (MIN_SIDE..=MAX_HEIGHT).contains(&height)
}

fn luma_len(width: u32, height: u32) -> usize {
    width as usize * height as usize
}

fn i420_len(width: u32, height: u32) -> usize {
    luma_len(width, height) / 2 * 3
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_and_lengths_are_checked() {
        assert!(Frame::new(16, 16, vec![0; 384]).is_ok());
        assert!(Frame::new(16, 16, vec![0; 383]).is_err());
        assert!(Frame::new(14, 16, vec![0; 336]).is_err());
        assert!(Frame::new(17, 16, vec![0; 408]).is_err());
        assert!(Frame::black(4096, 2304).is_ok());
        assert!(Frame::black(4098, 2304).is_err());
        assert!(Frame::black(4096, 2306).is_err());
    }

    #[test]
    fn a_flat_picture_stays_flat_at_any_size() {
        let mut frame = Frame::black(64, 48).unwrap();
        frame.planes_mut().0.fill(77);
        frame.planes_mut().2.fill(33);
        for (width, height) in [(16, 16), (640, 360), (32, 480), (62, 46)] {
            let scaled = frame.scale_to(width, height).unwrap();
            assert!(scaled.y().iter().all(|luma| *luma == 77));
            assert!(scaled.u().iter().all(|chroma| *chroma == GREY_CHROMA));
            assert!(scaled.v().iter().all(|chroma| *chroma == 33));
        }
    }

    #[test]
    fn halving_averages_each_square() {
        let mut frame = Frame::black(32, 32).unwrap();
        frame.planes_mut().0.iter_mut().enumerate().for_each(|(at, luma)| *luma = if at % 2 == 0 { 50 } else { 150 });
        assert!(frame.scale_to(16, 16).unwrap().y().iter().all(|luma| *luma == 100));
    }
}
