//! Rectangles, discs and digits on an I420 picture. Everything is clipped to the picture.

use crate::video::Frame;

/// Luma, blue difference, red difference.
pub(super) type Colour = [u8; 3];

/// Half-open bounds in luma pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Rect {
    pub(super) left: u32,
    pub(super) right: u32,
    pub(super) top: u32,
    pub(super) bottom: u32,
}

impl Rect {
    /// The inner half in each direction.
    pub(super) fn middle(&self) -> Self {
        let (wide, high) = ((self.right - self.left) / 4, (self.bottom - self.top) / 4);
        Self { left: self.left + wide, right: self.right - wide, top: self.top + high, bottom: self.bottom - high }
    }
}

/// A picture being drawn.
pub(super) struct Canvas<'a> {
    width: usize,
    height: usize,
    planes: [&'a mut [u8]; 3],
}

impl<'a> Canvas<'a> {
    pub(super) fn new(frame: &'a mut Frame) -> Self {
        let (width, height) = (frame.width() as usize, frame.height() as usize);
        let (y, u, v) = frame.planes_mut();
        Self { width, height, planes: [y, u, v] }
    }

    pub(super) fn width(&self) -> u32 {
        self.width as u32
    }

    pub(super) fn height(&self) -> u32 {
        self.height as u32
    }

    pub(super) fn fill(&mut self, rect: &Rect, colour: Colour) {
        for row in rect.top..rect.bottom {
            self.span(row, rect.left, rect.right, colour);
        }
    }

    /// A filled disc around a centre.
    pub(super) fn disc(&mut self, x: u32, y: u32, radius: u32, colour: Colour) {
        for row in y.saturating_sub(radius)..y + radius {
            let rise = i64::from(row) - i64::from(y);
            let half = (i64::from(radius).pow(2) - rise.pow(2)).max(0).isqrt() as u32;
            self.span(row, x.saturating_sub(half), x + half, colour);
        }
    }

    /// A filled square that stands on its tip.
    pub(super) fn diamond(&mut self, x: u32, y: u32, radius: u32, colour: Colour) {
        for row in y.saturating_sub(radius)..y + radius {
            let half = radius - row.abs_diff(y);
            self.span(row, x.saturating_sub(half), x + half, colour);
        }
    }

    /// Decimal digits, `height` pixels high, on a black ground.
    pub(super) fn number(&mut self, at: (u32, u32), height: u32, value: u32) {
        const DIGITS: u32 = 8;
        let unit = (height / 10).max(1);
        let (left, top) = at;
        self.fill(&Rect { left, right: left + unit * 7 * DIGITS, top, bottom: top + unit * 12 }, [16, 128, 128]);
        for place in 0..DIGITS {
            let digit = value / 10u32.pow(DIGITS - 1 - place) % 10;
            self.digit((left + unit * (7 * place + 1), top + unit), unit, digit);
        }
    }

    /// Seven segments on a grid of 5 x 10 units.
    fn digit(&mut self, at: (u32, u32), unit: u32, digit: u32) {
        const SEGMENTS: [u8; 10] = [0x77, 0x12, 0x5d, 0x5b, 0x3a, 0x6b, 0x6f, 0x52, 0x7f, 0x7b];
        const PLACES: [[u32; 4]; 7] =
            [[0, 5, 0, 2], [0, 2, 0, 6], [3, 5, 0, 6], [0, 5, 4, 6], [0, 2, 4, 10], [3, 5, 4, 10], [0, 5, 8, 10]];
        let lit = SEGMENTS.get(digit as usize).copied().unwrap_or_default();
        for (segment, [left, right, top, bottom]) in PLACES.into_iter().enumerate() {
            if lit >> (6 - segment) & 1 == 1 {
                let (x, y) = (at.0, at.1);
                let rect = Rect {
                    left: x + unit * left,
                    right: x + unit * right,
                    top: y + unit * top,
                    bottom: y + unit * bottom,
                };
                self.fill(&rect, [235, 128, 128]);
            }
        }
    }

    fn span(&mut self, row: u32, left: u32, right: u32, colour: Colour) {
        let (row, left, right) = (row as usize, left as usize, (right as usize).min(self.width));
        if row >= self.height || left >= right {
            return;
        }
        let [y, u, v] = &mut self.planes;
        fill_span(y, row * self.width + left, right - left, colour[0]);
        if row.is_multiple_of(2) {
            let (start, len) = (row / 2 * (self.width / 2) + left / 2, right / 2 - left / 2);
            fill_span(u, start, len, colour[1]);
            fill_span(v, start, len, colour[2]);
        }
    }
}

fn fill_span(plane: &mut [u8], start: usize, len: usize, value: u8) {
    if let Some(span) = plane.get_mut(start..start + len) {
        span.fill(value);
    }
}
