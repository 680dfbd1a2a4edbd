//! Seeded mutations: the same seed gives the same inputs on every machine.

/// Splitmix64.
#[derive(Debug, Clone)]
pub struct Rng(u64);

impl Rng {
    /// A stream that depends only on `seed`.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next 64 bits.
    pub fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `bound`; 0 when `bound` is 0.
    pub fn below(&mut self, bound: usize) -> usize {
        let bound = u64::try_from(bound).unwrap_or(u64::MAX);
        usize::try_from(self.bits().checked_rem(bound).unwrap_or(0)).unwrap_or(0)
    }

    fn byte(&mut self) -> u8 {
        self.bits().to_le_bytes()[0]
    }
}

/// FNV-1a, to name inputs and to seed one stream a target.
pub fn hash(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}

/// Longest input that a mutation makes, in bytes.
pub const MAX_LEN: usize = 2 << 20;

const STEPS_MAX: usize = 4;
const INSERT_MAX: usize = 64;
const REPEAT_MAX: usize = 16;

/// Numbers at which length fields, counters and sizes tend to break.
const EDGES: [u64; 14] = [
    0,
    1,
    0x7f,
    0x80,
    0xff,
    0x100,
    0x7fff,
    0xffff,
    0x0001_0000,
    0x7fff_ffff,
    0x8000_0000,
    0xffff_ffff,
    i64::MAX as u64,
    u64::MAX,
];

/// One to a few mutations of `input`; `other` is another valid input to splice with.
pub fn mutate(input: &[u8], other: &[u8], rng: &mut Rng) -> Vec<u8> {
    let mut out = input.to_vec();
    for _ in 0..=rng.below(STEPS_MAX) {
        step(&mut out, other, rng);
    }
    out.truncate(MAX_LEN);
    out
}

fn step(out: &mut Vec<u8>, other: &[u8], rng: &mut Rng) {
    match rng.below(10) {
        0 => flip(out, rng),
        1 => set(out, rng),
        2 => out.truncate(rng.below(out.len() + 1)),
        3 => remove(out, rng),
        4 => insert(out, rng),
        5 => repeat(out, rng),
        6 => splice(out, other, rng),
        7 | 8 => number(out, rng),
        _ => digits(out, rng),
    }
}

fn flip(out: &mut [u8], rng: &mut Rng) {
    let (at, bit) = (rng.below(out.len()), rng.below(8));
    if let Some(byte) = out.get_mut(at) {
        *byte ^= 1 << bit;
    }
}

fn set(out: &mut [u8], rng: &mut Rng) {
    let (at, value) = (rng.below(out.len()), rng.byte());
    if let Some(byte) = out.get_mut(at) {
        *byte = value;
    }
}

fn remove(out: &mut Vec<u8>, rng: &mut Rng) {
    let range = range(out, rng);
    out.drain(range);
}

fn insert(out: &mut Vec<u8>, rng: &mut Rng) {
    let at = rng.below(out.len() + 1);
    let fresh: Vec<u8> = (0..=rng.below(INSERT_MAX)).map(|_| rng.byte()).collect();
    out.splice(at..at, fresh);
}

/// Says a part again and again: what is valid once need not be valid twice.
fn repeat(out: &mut Vec<u8>, rng: &mut Rng) {
    let range = range(out, rng);
    let (at, part) = (range.end, out[range].to_vec());
    let times = 1 + rng.below(REPEAT_MAX);
    if part.len().saturating_mul(times) <= MAX_LEN {
        out.splice(at..at, part.repeat(times));
    }
}

fn splice(out: &mut Vec<u8>, other: &[u8], rng: &mut Rng) {
    let (from, to) = (rng.below(other.len() + 1), rng.below(out.len() + 1));
    out.truncate(to);
    out.extend_from_slice(&other[from..]);
}

/// Overwrites two, four or eight bytes with a number at an edge, in either byte order.
fn number(out: &mut [u8], rng: &mut Rng) {
    let width = [1, 2, 4, 8][rng.below(4)];
    let near = EDGES[rng.below(EDGES.len())].wrapping_add(rng.bits() % 3).wrapping_sub(1);
    let (big, little) = (near.to_be_bytes(), near.to_le_bytes());
    let bytes = if rng.below(3) == 0 { &little[..width] } else { &big[8 - width..] };
    let at = rng.below(out.len());
    if let Some(place) = out.get_mut(at..at + width) {
        place.copy_from_slice(bytes);
    }
}

/// Replaces a run of decimal digits, for text formats.
fn digits(out: &mut Vec<u8>, rng: &mut Rng) {
    let from = rng.below(out.len());
    let Some(start) = out.iter().skip(from).position(u8::is_ascii_digit).map(|at| at + from) else {
        return flip(out, rng);
    };
    let len = out[start..].iter().take_while(|byte| byte.is_ascii_digit()).count();
    let values =
        ["0", "-1", "1e9", "65536", "4294967296", "18446744073709551616", "99999999999999999999999", "0x1", ""];
    out.splice(start..start + len, values[rng.below(values.len())].bytes());
}

fn range(out: &[u8], rng: &mut Rng) -> std::ops::Range<usize> {
    let start = rng.below(out.len() + 1);
    start..start + rng.below(out.len() - start + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_gives_the_same_inputs() {
        let run = || {
            let mut rng = Rng::new(7);
            (0..1000).map(|_| hash(&mutate(b"{\"a\": 12}", b"other", &mut rng))).collect::<Vec<_>>()
        };
        assert_eq!(run(), run());
        let mut distinct = run();
        distinct.sort_unstable();
        distinct.dedup();
        assert!(distinct.len() > 800, "{} distinct inputs", distinct.len());
    }

    #[test]
    fn empty_inputs_are_mutated_too() {
        let mut rng = Rng::new(1);
        assert!((0..100).any(|_| !mutate(b"", b"", &mut rng).is_empty()));
    }
}
