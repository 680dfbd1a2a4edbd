//! Tickets as QR codes on a terminal.

use qrcode::{EcLevel, QrCode};

/// Two modules a character, dark on light. `None` when the text does not fit a code.
pub(crate) fn render(text: &str) -> Option<String> {
    // Upper case fits the denser alphanumeric mode, and tickets may be read in either case.
    let code = QrCode::with_error_correction_level(text.to_ascii_uppercase(), EcLevel::L).ok()?;
    let width = code.width();
    let colours = code.to_colors();
    let dark = |x: i64, y: i64| {
        let inside = |v: i64| usize::try_from(v).ok().filter(|v| *v < width);
        match (inside(x), inside(y)) {
            (Some(x), Some(y)) => colours.get(y * width + x).is_some_and(|colour| *colour == qrcode::Color::Dark),
            _ => false,
        }
    };
    let side = i64::try_from(width).ok()?;
    let mut out = String::new();
    for y in (-QUIET..side + QUIET).step_by(2) {
        for x in -QUIET..side + QUIET {
            out.push(match (dark(x, y), dark(x, y + 1)) {
                (true, true) => ' ',
                (true, false) => '▄',
                (false, true) => '▀',
                (false, false) => '█',
            });
        }
        out.push('\n');
    }
    Some(out)
}

/// Light modules around the code.
const QUIET: i64 = 2;
