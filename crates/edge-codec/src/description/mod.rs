//! Multiple description: a stream cut in time into streams that decode without each other.
//!
//! Picture `n` belongs to one description, all descriptions take turns, and each has an encoder of its own at its share
//! of the rate. [`Encoders`] makes them, [`Merge`] puts the pictures of those that arrive into one order. Whoever gets
//! half of the descriptions shows half of the pictures, each at full quality.

mod encoders;
mod merge;

pub use encoders::{Described, Encoders};
pub use merge::{Counters, DEFAULT_MAX_WAIT_US, Merge, Shown};

use crate::video::Error;

/// Most descriptions of one stream.
pub const MAX_DESCRIPTIONS: usize = 4;

/// How a stream is cut into descriptions: which of them has a picture, and under which number of its own.
///
/// Descriptions count in the order of their sub-stream paths. With four, the pictures of the first two alternate
/// evenly, as do those of the last two, so that two descriptions from one half of the path tree have no long gap.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Split {
    count: u8,
}

impl Split {
    /// Not cut: description 0 has every picture under its own number.
    pub const WHOLE: Self = Self { count: 1 };

    /// Cuts into `count` descriptions: 1, 2 or 4, else [`Error::InvalidConfig`].
    pub const fn new(count: u8) -> Result<Self, Error> {
        match count {
            1 | 2 | 4 => Ok(Self { count }),
            _ => Err(Error::InvalidConfig { field: "descriptions", requirement: "1, 2 or 4" }),
        }
    }

    /// Number of descriptions.
    pub const fn count(self) -> u8 {
        self.count
    }

    /// The description that has picture `number` of the stream.
    pub fn description(self, number: u64) -> u8 {
        let turn = number % u64::from(self.count);
        (0..self.count).find(|description| self.turn(*description) == turn).unwrap_or(0)
    }

    /// Under which number its description has picture `number` of the stream: consecutive within each description.
    pub fn counter(self, number: u64) -> u64 {
        number / u64::from(self.count)
    }

    /// The stream's number of picture `counter` of `description`; `None` when there is no such picture.
    pub fn number(self, description: u8, counter: u64) -> Option<u64> {
        let first = counter.checked_mul(u64::from(self.count))?;
        (description < self.count).then(|| first.checked_add(self.turn(description)))?
    }

    /// When in each round a description has its turn.
    fn turn(self, description: u8) -> u64 {
        match (self.count, description) {
            (4, 1) => 2,
            (4, 2) => 1,
            _ => u64::from(description),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_powers_of_two_up_to_four_are_cut() {
        let accepted: Vec<u8> = (0..=u8::MAX).filter(|count| Split::new(*count).is_ok()).collect();
        assert_eq!(accepted, [1, 2, 4]);
    }

    #[test]
    fn every_picture_has_one_place() {
        for count in [1, 2, 4] {
            let split = Split::new(count).unwrap();
            for number in 0..100 {
                let (description, counter) = (split.description(number), split.counter(number));
                assert_eq!(split.number(description, counter), Some(number));
                assert_eq!(split.description(number + u64::from(count)), description);
            }
        }
        let order: Vec<u8> = (0..4).map(|number| Split::new(4).unwrap().description(number)).collect();
        assert_eq!(order, [0, 2, 1, 3]);
    }

    #[test]
    fn pictures_that_cannot_be_have_no_number() {
        let split = Split::new(4).unwrap();
        assert_eq!(split.number(4, 0), None);
        assert_eq!(split.number(0, u64::MAX / 2), None);
        assert_eq!(split.number(3, u64::MAX / 4), Some(u64::MAX));
        assert_eq!(Split::WHOLE.number(0, u64::MAX), Some(u64::MAX));
    }
}
