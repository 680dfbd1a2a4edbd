//! The frame number as black and white cells along the lower edge: two rows of 16, big enough to survive scaling to
//! 160x90 and coarse quantization. 24 bits of number, most significant first, then 8 bits of check.

use super::draw::{Canvas, Rect};
use crate::video::Frame;

/// Highest number that fits the cells.
pub const MAX_FRAME_NUMBER: u32 = (1 << 24) - 1;

const COLUMNS: u32 = 16;
const ROWS: u32 = 2;
/// Height of the two rows together is this part of the picture.
const BAND: u32 = 6;
const BLACK: u8 = 16;
const WHITE: u8 = 235;
/// Cell means between these two are not believed.
const DARK: u32 = 100;
const BRIGHT: u32 = 150;

/// The number that [`Video`](super::Video) drew into the picture, at whatever size it is now; `None` when the cells are
/// unclear or the check does not hold.
pub fn read_frame_number(frame: &Frame) -> Option<u32> {
    let mut word = 0u32;
    for cell in 0..COLUMNS * ROWS {
        let mean = mean(frame, &cell_rect(frame.width(), frame.height(), cell).middle());
        let bit = match mean {
            ..DARK => 0,
            BRIGHT.. => 1,
            _ => return None,
        };
        word = word << 1 | bit;
    }
    let (number, check) = (word >> 8, word as u8);
    (check == crc8(number)).then_some(number)
}

/// Draws the cells of `number`, of which the lowest 24 bits count.
pub(super) fn draw(canvas: &mut Canvas<'_>, number: u32) {
    let number = number & MAX_FRAME_NUMBER;
    let word = number << 8 | u32::from(crc8(number));
    for cell in 0..COLUMNS * ROWS {
        let bit = word >> (COLUMNS * ROWS - 1 - cell) & 1;
        let rect = cell_rect(canvas.width(), canvas.height(), cell);
        canvas.fill(&rect, [if bit == 1 { WHITE } else { BLACK }, 128, 128]);
    }
}

/// First row of the cells.
pub(super) fn top(height: u32) -> u32 {
    height - height / BAND
}

fn cell_rect(width: u32, height: u32, cell: u32) -> Rect {
    let (column, row) = (cell % COLUMNS, cell / COLUMNS);
    let (top, band) = (top(height), height / BAND);
    Rect {
        left: width * column / COLUMNS,
        right: width * (column + 1) / COLUMNS,
        top: top + band * row / ROWS,
        bottom: top + band * (row + 1) / ROWS,
    }
}

fn mean(frame: &Frame, rect: &Rect) -> u32 {
    let columns = rect.left as usize..rect.right as usize;
    let rows = frame.y().chunks_exact(frame.width() as usize).take(rect.bottom as usize).skip(rect.top as usize);
    let (mut sum, mut count) = (0, 0);
    for row in rows {
        let cells = row.get(columns.clone()).unwrap_or(&[]);
        sum += cells.iter().map(|luma| u32::from(*luma)).sum::<u32>();
        count += cells.len() as u32;
    }
    sum.checked_div(count).unwrap_or_default()
}

/// CRC-8 over the three bytes; starts at 0xff so that neither black nor white alone is a number.
fn crc8(number: u32) -> u8 {
    let step = |crc: u8| if crc & 0x80 != 0 { crc << 1 ^ 0x07 } else { crc << 1 };
    number.to_be_bytes().iter().skip(1).fold(0xff, |crc, byte| (0..8).fold(crc ^ byte, |crc, _| step(crc)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_single_bit_error_is_seen() {
        for number in [0, 1, 0x5a5a5a, MAX_FRAME_NUMBER] {
            let word = number << 8 | u32::from(crc8(number));
            for bit in 0..32 {
                let wrong = word ^ 1 << bit;
                assert_ne!(wrong as u8, crc8(wrong >> 8));
            }
        }
    }

    #[test]
    fn plain_pictures_carry_no_number() {
        let mut frame = Frame::black(160, 90).unwrap();
        assert_eq!(read_frame_number(&frame), None);
        frame.planes_mut().0.fill(WHITE);
        assert_eq!(read_frame_number(&frame), None);
        frame.planes_mut().0.fill(128);
        assert_eq!(read_frame_number(&frame), None);
    }
}
