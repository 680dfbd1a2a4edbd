use super::code::{self, MAX_FRAME_NUMBER};
use super::draw::{Canvas, Colour, Rect};
use crate::video::{Error, Frame};

/// The moving test picture: a textured ground that drifts, three shapes that bounce, the frame number in digits and in
/// cells that [`read_frame_number`](super::read_frame_number) reads, and a white square at each whole second.
#[derive(Debug, Clone)]
pub struct Video {
    ground: Frame,
    frame_rate: (u32, u32),
}

impl Video {
    /// A pattern of the given size, which must suit [`Frame::new`], and frame rate as numerator and denominator, both
    /// above 0; else [`Error::InvalidFrame`] or [`Error::InvalidConfig`].
    pub fn new(width: u32, height: u32, frame_rate: (u32, u32)) -> Result<Self, Error> {
        if frame_rate.0 == 0 || frame_rate.1 == 0 {
            return Err(Error::InvalidConfig { field: "frame_rate", requirement: "a fraction above 0" });
        }
        Ok(Self { ground: ground(width, height)?, frame_rate })
    }

    /// Picture `number`, at its own time, captured at an unknown one. The cells hold the lowest 24 bits of the number.
    pub fn frame(&self, number: u32) -> Frame {
        let mut frame = self.drifted(number);
        let mut canvas = Canvas::new(&mut frame);
        draw_shapes(&mut canvas, number);
        let height = canvas.height();
        canvas.number((height / 30, height / 30), height / 7, number & MAX_FRAME_NUMBER);
        if self.starts_second(number) {
            let (side, right) = (height / 6, canvas.width() - height / 30);
            let left = right.saturating_sub(side);
            canvas.fill(&Rect { left, right, top: height / 30, bottom: height / 30 + side }, [235, 128, 128]);
        }
        code::draw(&mut canvas, number);
        frame.at(self.pts_us(number), 0)
    }

    /// Presentation time of picture `number`, in µs.
    pub fn pts_us(&self, number: u32) -> u64 {
        let (num, den) = self.frame_rate;
        let time = u128::from(number) * u128::from(den) * 1_000_000 / u128::from(num);
        u64::try_from(time).unwrap_or(u64::MAX)
    }

    /// Whether `number` is the first picture of a second.
    fn starts_second(&self, number: u32) -> bool {
        let second = |number: u32| u64::from(number) * u64::from(self.frame_rate.1) / u64::from(self.frame_rate.0);
        number.checked_sub(1).is_none_or(|before| second(before) != second(number))
    }

    /// The ground moved left by two pixels a picture, around the edge.
    fn drifted(&self, number: u32) -> Frame {
        let mut frame = self.ground.clone();
        let shift = (number % (self.ground.width() / 2)) as usize;
        let (width, half) = (self.ground.width() as usize, self.ground.width() as usize / 2);
        let (y, u, v) = frame.planes_mut();
        for (plane, width, shift) in [(y, width, 2 * shift), (u, half, shift), (v, half, shift)] {
            plane.chunks_exact_mut(width).for_each(|row| row.rotate_left(shift));
        }
        frame
    }
}

const SHAPES: [(u32, u32, Colour); 3] = [(3, 2, [170, 90, 190]), (2, 3, [120, 180, 80]), (5, 1, [200, 60, 140])];

fn draw_shapes(canvas: &mut Canvas<'_>, number: u32) {
    let radius = canvas.height().min(canvas.width()) / 12;
    let (wide, high) = (canvas.width() - 2 * radius, code::top(canvas.height()) - 2 * radius);
    for (at, (fast_x, fast_y, colour)) in SHAPES.into_iter().enumerate() {
        let start = at as u32 * 97;
        let x = radius + bounce(number, fast_x, start, wide);
        let y = radius + bounce(number, fast_y, start, high);
        match at {
            0 => canvas.disc(x, y, radius, colour),
            1 => canvas.diamond(x, y, radius, colour),
            _ => {
                canvas.fill(&Rect { left: x - radius, right: x + radius, top: y - radius, bottom: y + radius }, colour)
            }
        }
    }
}

/// A place that goes to and fro between 0 and `span`.
fn bounce(number: u32, speed: u32, start: u32, span: u32) -> u32 {
    let span = u64::from(span.max(1));
    let at = (u64::from(number) * u64::from(speed) + u64::from(start)) % (2 * span);
    (if at < span { at } else { 2 * span - at }) as u32
}

/// Soft texture at three scales, seamless from right to left, with a colour gradient.
fn ground(width: u32, height: u32) -> Result<Frame, Error> {
    let mut frame = Frame::black(width, height)?;
    let (y, u, v) = frame.planes_mut();
    for (row, line) in y.chunks_exact_mut(width as usize).enumerate() {
        for (column, luma) in line.iter_mut().enumerate() {
            let texture: i32 =
                SCALES.iter().map(|(cell, gain)| texture(column, row, width as usize, *cell) * gain).sum();
            *luma = (110 + texture / 256).clamp(16, 235) as u8;
        }
    }
    let half = width as usize / 2;
    for (at, (blue, red)) in u.iter_mut().zip(v).enumerate() {
        let (column, row) = (at % half, at / half);
        *blue = (128 + texture(column, row, half, 48) / 6) as u8;
        *red = (128 + texture(column + 7, row + 31, half, 64) / 6) as u8;
    }
    Ok(frame)
}

/// Cell size in pixels and gain in 1/256 of a luma step.
const SCALES: [(usize, i32); 3] = [(64, 100), (16, 60), (4, 24)];

/// Value noise from -128 to 127: bilinear between hashed corners, `width` columns a period.
fn texture(column: usize, row: usize, width: usize, cell: usize) -> i32 {
    let columns = (width / cell).max(1);
    let scaled = column % width * columns * 256 / width;
    let (left, top) = (scaled / 256, row / cell);
    let (right_part, lower_part) = ((scaled % 256) as i32, (row % cell * 256 / cell) as i32);
    let corner = |x: usize, y: usize| i32::from(hash((x % columns) as u32, y as u32, cell as u32)) - 128;
    let mix = |one: i32, other: i32, part: i32| (one * (256 - part) + other * part) / 256;
    let upper = mix(corner(left, top), corner(left + 1, top), right_part);
    let lower = mix(corner(left, top + 1), corner(left + 1, top + 1), right_part);
    mix(upper, lower, lower_part)
}

fn hash(x: u32, y: u32, seed: u32) -> u8 {
    let mut word = x.wrapping_mul(0x9e37_79b1) ^ y.wrapping_mul(0x85eb_ca77) ^ seed.wrapping_mul(0xc2b2_ae3d);
    word ^= word >> 15;
    word = word.wrapping_mul(0x2c1b_3c6d);
    (word >> 13) as u8
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pattern::read_frame_number;

    #[test]
    fn the_number_is_read_back_at_every_size() {
        for (width, height) in [(640, 360), (1280, 720), (320, 180), (160, 90), (176, 144)] {
            let video = Video::new(width, height, (30, 1)).unwrap();
            for number in [0, 1, 29, 30, 1_799, 123_456, MAX_FRAME_NUMBER] {
                let frame = video.frame(number);
                assert_eq!(read_frame_number(&frame), Some(number));
                assert_eq!(read_frame_number(&frame.scale_to(160, 90).unwrap()), Some(number));
            }
        }
    }

    #[test]
    fn pictures_are_the_same_in_every_run_and_move() {
        let (one, other) = (Video::new(320, 180, (30, 1)).unwrap(), Video::new(320, 180, (30, 1)).unwrap());
        assert_eq!(one.frame(77), other.frame(77));
        assert_ne!(one.frame(77).i420(), one.frame(78).i420());
    }

    #[test]
    fn times_follow_the_frame_rate() {
        let film = Video::new(64, 64, (24_000, 1_001)).unwrap();
        assert_eq!(film.pts_us(24_000), 1_001_000_000);
        assert!(Video::new(64, 64, (0, 1)).is_err());
        assert!(Video::new(65, 64, (30, 1)).is_err());
    }

    #[test]
    fn the_smallest_and_largest_sizes_can_be_drawn() {
        for (width, height) in [(16, 16), (4096, 16), (16, 2304)] {
            Video::new(width, height, (30, 1)).unwrap().frame(12_345);
        }
    }
}
