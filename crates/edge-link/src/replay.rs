//! The sliding replay window: which of the newest `width` numbers were seen.

/// Width of a window that nobody configured.
pub const WIDTH_DEFAULT: usize = 1024;
/// Widest window, in numbers; a bound on memory.
pub const WIDTH_MAX: usize = 1 << 16;

/// What a number is to a window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Never seen.
    Fresh,
    /// Seen before.
    Duplicate,
    /// So far behind the highest number that the window has forgotten it.
    StaleBelowWindow,
}

/// A window's width was not a multiple of 64 between 64 and [`WIDTH_MAX`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("window width {0} is not a multiple of 64 from 64 to {WIDTH_MAX}")]
pub struct WidthError(pub usize);

/// One bit for each of the newest `width` numbers, in a ring. Admit a number only after its message was authenticated.
#[derive(Debug, Clone)]
pub struct Window {
    bits: Box<[u64]>,
    highest: Option<u64>,
}

impl Window {
    /// An empty window over `width` numbers.
    pub fn new(width: usize) -> Result<Self, WidthError> {
        match width.is_multiple_of(WORD) && (WORD..=WIDTH_MAX).contains(&width) {
            true => Ok(Self::of_words(width / WORD)),
            false => Err(WidthError(width)),
        }
    }

    /// What `number` is; changes nothing.
    pub fn check(&self, number: u64) -> Outcome {
        match self.highest {
            None => Outcome::Fresh,
            Some(highest) if number > highest => Outcome::Fresh,
            Some(highest) if highest - number >= self.width() => Outcome::StaleBelowWindow,
            Some(_) if self.is_set(number) => Outcome::Duplicate,
            Some(_) => Outcome::Fresh,
        }
    }

    /// What `number` is; a fresh one is marked as seen and the window slides up to it.
    pub fn admit(&mut self, number: u64) -> Outcome {
        let outcome = self.check(number);
        if outcome == Outcome::Fresh {
            self.slide(number);
            let (word, bit) = self.place(number);
            self.bits[word] |= bit;
        }
        outcome
    }

    /// The highest number admitted.
    pub fn highest(&self) -> Option<u64> {
        self.highest
    }

    fn of_words(words: usize) -> Self {
        Self { bits: vec![0; words].into(), highest: None }
    }

    /// Forgets the numbers that leave the window when `number` becomes its top.
    fn slide(&mut self, number: u64) {
        let Some(highest) = self.highest else {
            self.highest = Some(number);
            return;
        };
        if number <= highest {
            return;
        }
        if number - highest >= self.width() {
            self.bits.fill(0);
        } else {
            for skipped in highest + 1..=number {
                let (word, bit) = self.place(skipped);
                self.bits[word] &= !bit;
            }
        }
        self.highest = Some(number);
    }

    fn is_set(&self, number: u64) -> bool {
        let (word, bit) = self.place(number);
        self.bits[word] & bit != 0
    }

    /// Word index (always in range) and bit of `number` in the ring.
    fn place(&self, number: u64) -> (usize, u64) {
        let slot = number % self.width();
        ((slot / 64) as usize, 1 << (slot % 64))
    }

    fn width(&self) -> u64 {
        (self.bits.len() * WORD) as u64
    }
}

impl Default for Window {
    fn default() -> Self {
        Self::of_words(WIDTH_DEFAULT / WORD)
    }
}

const WORD: usize = 64;
