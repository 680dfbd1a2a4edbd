//! What a viewer's trace file tells of each picture.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use super::error::Error;

/// Longest trace that is read, in bytes: hours of video.
const MAX_LEN: u64 = 256 * 1024 * 1024;

/// One decoded picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Shown {
    /// Number of the picture.
    pub(super) frame: u64,
    /// When it was captured, in µs since 1970.
    pub(super) captured_us: u64,
    /// When it came out of the decoder, in µs since 1970.
    pub(super) decoded_us: u64,
    /// Highest spatial layer that was decoded.
    pub(super) spatial: u8,
    /// Its temporal layer.
    pub(super) temporal: u8,
}

impl Shown {
    /// Capture to decoded.
    pub(super) fn latency_ms(&self) -> f64 {
        self.decoded_us.saturating_sub(self.captured_us) as f64 / 1000.0
    }
}

/// Reads a trace; a file that was never written is an empty one.
pub(super) fn read(path: &Path) -> Result<Vec<Shown>, Error> {
    let len = match fs::metadata(path) {
        Ok(metadata) => metadata.len(),
        Err(_) => return Ok(Vec::new()),
    };
    if len > MAX_LEN {
        return Err(Error::file("read", path, std::io::ErrorKind::FileTooLarge.into()));
    }
    let text = fs::read_to_string(path).map_err(|source| Error::file("read", path, source))?;
    Ok(text.lines().filter_map(parse).collect())
}

/// How much later than `direct` the same pictures came out of `relayed`, in ms.
pub(super) fn added_ms(relayed: &[Shown], direct: &[Shown]) -> Vec<f64> {
    let direct: BTreeMap<u64, u64> = direct.iter().map(|shown| (shown.frame, shown.decoded_us)).collect();
    let pair = |shown: &Shown| direct.get(&shown.frame).map(|at| (shown.decoded_us as f64 - *at as f64) / 1000.0);
    relayed.iter().filter_map(pair).collect()
}

fn parse(line: &str) -> Option<Shown> {
    let mut fields = line.split_ascii_whitespace();
    let shown = Shown {
        frame: fields.next()?.parse().ok()?,
        captured_us: fields.next()?.parse().ok()?,
        decoded_us: fields.next()?.parse().ok()?,
        spatial: fields.next()?.parse().ok()?,
        temporal: fields.next()?.parse().ok()?,
    };
    fields.next().is_none().then_some(shown)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(frame: u64, decoded_us: u64) -> Shown {
        Shown { frame, captured_us: 1_000, decoded_us, spatial: 2, temporal: 0 }
    }

    #[test]
    fn a_cut_line_is_no_picture() {
        assert_eq!(parse("7 1000 4000 2 0"), Some(shown(7, 4_000)));
        assert_eq!(parse("7 1000 4000 2"), None);
        assert_eq!(parse("7 1000 4000 2 0 9"), None);
        assert_eq!(parse("seven 1000 4000 2 0"), None);
    }

    #[test]
    fn pictures_pair_by_number_and_may_be_earlier() {
        let direct = [shown(1, 10_000), shown(2, 20_000)];
        let relayed = [shown(0, 1), shown(1, 12_500), shown(2, 19_000)];
        assert_eq!(added_ms(&relayed, &direct), [2.5, -1.0]);
    }
}
