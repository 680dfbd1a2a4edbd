//! Plane scaling for display and recording: no ringing, no dependency, whole numbers only.

/// Columns and rows of a plane.
#[derive(Debug, Clone, Copy)]
pub(super) struct Size {
    width: usize,
    height: usize,
}

impl Size {
    pub(super) fn new(width: u32, height: u32) -> Self {
        Self { width: width as usize, height: height as usize }
    }

    pub(super) fn half(self) -> Self {
        Self { width: self.width / 2, height: self.height / 2 }
    }
}

/// Scales one plane in two passes, rows first.
pub(super) fn plane(source: &[u8], from: Size, out: &mut [u8], to: Size) {
    let columns = taps(from.width, to.width);
    let mut narrow = vec![0u8; to.width * from.height];
    for (row, line) in source.chunks_exact(from.width).zip(narrow.chunks_exact_mut(to.width)) {
        for (tap, pixel) in columns.iter().zip(line) {
            *pixel = tap.apply(|at| row.get(at).copied().unwrap_or_default());
        }
    }
    let rows = taps(from.height, to.height);
    for (tap, line) in rows.iter().zip(out.chunks_exact_mut(to.width)) {
        for (column, pixel) in line.iter_mut().enumerate() {
            *pixel = tap.apply(|at| narrow.get(at * to.width + column).copied().unwrap_or_default());
        }
    }
}

/// Where one output sample comes from: whole samples between two that count in part. Weights are 1/256.
struct Tap {
    first: usize,
    last: usize,
    first_weight: u32,
    last_weight: u32,
}

impl Tap {
    fn apply(&self, sample: impl Fn(usize) -> u8) -> u8 {
        let mut sum = u32::from(sample(self.first)) * self.first_weight;
        let mut weight = self.first_weight;
        if self.last > self.first {
            sum += (self.first + 1..self.last).map(|at| u32::from(sample(at)) * ONE).sum::<u32>();
            sum += u32::from(sample(self.last)) * self.last_weight;
            weight += (self.last - self.first - 1) as u32 * ONE + self.last_weight;
        }
        u8::try_from((sum + weight / 2) / weight.max(1)).unwrap_or(u8::MAX)
    }
}

const ONE: u32 = 256;

fn taps(from: usize, to: usize) -> Vec<Tap> {
    (0..to).map(|at| if to <= from { cover(at, from, to) } else { between(at, from, to) }).collect()
}

/// All the samples that the output sample covers.
fn cover(at: usize, from: usize, to: usize) -> Tap {
    let one = ONE as usize;
    let (start, end) = (at * from * one / to, (at + 1) * from * one / to);
    let (first, last) = (start / one, (end - 1) / one);
    let first_weight = if first == last { end - start } else { one - start % one };
    Tap { first, last, first_weight: first_weight as u32, last_weight: (end - last * one) as u32 }
}

/// The two samples around the output sample's centre.
fn between(at: usize, from: usize, to: usize) -> Tap {
    let one = ONE as usize;
    let centre = ((2 * at + 1) * from * one / (2 * to)).saturating_sub(one / 2).min((from - 1) * one);
    let first = centre / one;
    let part = (centre % one) as u32;
    let last = if part == 0 { first } else { first + 1 };
    Tap { first, last, first_weight: ONE - part, last_weight: part }
}
