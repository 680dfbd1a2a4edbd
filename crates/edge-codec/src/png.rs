//! Pictures as PNG files.

use std::io::Write;

use crate::video::Frame;

/// Why a picture could not be written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A plane is shorter than the size says, or a side is odd or 0.
    #[error("planes do not make a picture of {width}x{height}")]
    Planes {
        /// Luma columns.
        width: u32,
        /// Luma rows.
        height: u32,
    },
    /// Encoding or writing failed.
    #[error("writing a PNG failed")]
    Png(#[from] png::EncodingError),
}

/// Three planes of an 8-bit 4:2:0 picture, rows dense.
#[derive(Debug, Clone, Copy)]
pub struct Planes<'a> {
    /// Luma.
    pub y: &'a [u8],
    /// Blue difference.
    pub u: &'a [u8],
    /// Red difference.
    pub v: &'a [u8],
}

/// Writes a picture as an RGB PNG.
pub fn write_frame(out: impl Write, frame: &Frame) -> Result<(), Error> {
    write_i420(out, frame.width(), frame.height(), Planes { y: frame.y(), u: frame.u(), v: frame.v() })
}

/// Writes planes as an RGB PNG, read as BT.601 in limited range. Sides must be even.
pub fn write_i420(out: impl Write, width: u32, height: u32, planes: Planes<'_>) -> Result<(), Error> {
    let rgb = rgb(width, height, planes).ok_or(Error::Planes { width, height })?;
    let mut encoder = png::Encoder::new(out, width, height);
    encoder.set_color(png::ColorType::Rgb);
    encoder.set_depth(png::BitDepth::Eight);
    encoder.set_compression(png::Compression::Fast);
    let mut writer = encoder.write_header()?;
    writer.write_image_data(&rgb)?;
    Ok(writer.finish()?)
}

fn rgb(width: u32, height: u32, planes: Planes<'_>) -> Option<Vec<u8>> {
    if width == 0 || height == 0 || !width.is_multiple_of(2) || !height.is_multiple_of(2) {
        return None;
    }
    let (columns, rows) = (usize::try_from(width).ok()?, usize::try_from(height).ok()?);
    let luma = planes.y.get(..columns.checked_mul(rows)?)?;
    let half = columns / 2;
    let (u, v) = (planes.u.get(..luma.len() / 4)?, planes.v.get(..luma.len() / 4)?);
    let mut out = Vec::with_capacity(luma.len() * 3);
    for (row, line) in luma.chunks_exact(columns).enumerate() {
        let chroma = row / 2 * half..row / 2 * half + half;
        let pairs = u.get(chroma.clone())?.iter().zip(v.get(chroma)?);
        for (pair, (u, v)) in line.chunks_exact(2).zip(pairs) {
            pair.iter().for_each(|y| out.extend_from_slice(&pixel(*y, *u, *v)));
        }
    }
    Some(out)
}

/// BT.601, limited range, in 1/256.
fn pixel(y: u8, u: u8, v: u8) -> [u8; 3] {
    let (y, u, v) = (298 * (i32::from(y) - 16), i32::from(u) - 128, i32::from(v) - 128);
    [y + 409 * v, y - 100 * u - 208 * v, y + 516 * u].map(|sum| ((sum + 128) >> 8).clamp(0, 255) as u8)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_colours() {
        assert_eq!(pixel(16, 128, 128), [0, 0, 0]);
        assert_eq!(pixel(235, 128, 128), [255, 255, 255]);
        assert_eq!(pixel(81, 90, 240), [255, 0, 0]);
        assert_eq!(pixel(145, 54, 34), [0, 255, 1]);
        assert_eq!(pixel(41, 240, 110), [0, 0, 255]);
    }

    #[test]
    fn a_picture_reads_back() {
        let mut frame = Frame::black(32, 16).unwrap();
        frame.planes_mut().0[..32].fill(235);
        let mut file = Vec::new();
        write_frame(&mut file, &frame).unwrap();
        let mut reader = png::Decoder::new(std::io::Cursor::new(file)).read_info().unwrap();
        let mut pixels = vec![0; 32 * 16 * 3];
        let info = reader.next_frame(&mut pixels).unwrap();
        assert_eq!((info.width, info.height), (32, 16));
        assert!(pixels[..96].iter().all(|byte| *byte == 255) && pixels[96..].iter().all(|byte| *byte == 0));
    }

    #[test]
    fn short_planes_and_odd_sides_are_refused() {
        let planes = Planes { y: &[0; 256], u: &[0; 64], v: &[0; 64] };
        assert!(write_i420(Vec::new(), 16, 16, planes).is_ok());
        for (width, height) in [(17, 16), (16, 0), (16, 18), (u32::MAX - 1, u32::MAX - 1)] {
            assert!(matches!(write_i420(Vec::new(), width, height, planes), Err(Error::Planes { .. })));
        }
        assert!(write_i420(Vec::new(), 16, 16, Planes { v: &[0; 63], ..planes }).is_err());
    }
}
