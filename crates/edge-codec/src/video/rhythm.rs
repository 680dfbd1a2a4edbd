//! What a stream carried lately: how many sizes, and which picture numbers, so that a receiver knows what to wait for.

use std::collections::VecDeque;

use super::MAX_SPATIAL;

/// Pictures that count as lately.
const WINDOW: usize = 8;
/// Distances between pictures that must be known before numbers are taken to be left out on purpose.
const MIN_DISTANCES: usize = 3;

/// A picture that was released or given up.
#[derive(Debug, Clone, Copy)]
pub(super) struct Passed {
    pub(super) number: u64,
    /// Highest spatial layer that arrived.
    pub(super) spatial: u8,
    pub(super) temporal: u8,
    /// Begins anew: its distance to the picture before says nothing.
    pub(super) start: bool,
}

/// The last few pictures of a stream.
#[derive(Debug, Default)]
pub(super) struct Rhythm {
    passed: VecDeque<Passed>,
}

impl Rhythm {
    pub(super) fn pass(&mut self, picture: Passed) {
        if self.passed.len() == WINDOW {
            self.passed.pop_front();
        }
        self.passed.push_back(picture);
    }

    /// A layer came after its picture had passed.
    pub(super) fn came_late(&mut self, number: u64, spatial: u8) {
        if let Some(picture) = self.passed.iter_mut().find(|picture| picture.number == number) {
            picture.spatial = picture.spatial.max(spatial);
        }
    }

    /// Highest spatial layer carried lately.
    pub(super) fn top_spatial(&self) -> u8 {
        self.passed.iter().map(|picture| picture.spatial).max().unwrap_or(MAX_SPATIAL as u8 - 1)
    }

    /// The pictures between the last one and `number` that should have come, at most `limit`, each with its likely
    /// temporal layer. Pictures that a relay leaves out for their temporal layer are not among them.
    pub(super) fn missing(&self, number: u64, limit: usize) -> Vec<(u64, u8)> {
        let Some(last) = self.passed.back() else { return Vec::new() };
        let (stride, pattern, phase) = (self.stride(), self.pattern(), self.phase());
        let numbers = (1u64..).map_while(|step| Some((step, last.number.checked_add(step.checked_mul(stride)?)?)));
        let between = numbers.take_while(|(_, at)| *at < number).take(limit);
        between.map(|(step, at)| (at, temporal_at(pattern, phase + step as usize))).collect()
    }

    /// The usual distance between the numbers of two pictures.
    fn stride(&self) -> u64 {
        let pairs = self.passed.iter().zip(self.passed.iter().skip(1));
        let distances = pairs.filter(|(_, next)| !next.start).map(|(one, next)| next.number.abs_diff(one.number));
        let distances: Vec<u64> = distances.collect();
        match distances.iter().min() {
            Some(shortest) if distances.len() >= MIN_DISTANCES => (*shortest).max(1),
            _ => 1,
        }
    }

    fn pattern(&self) -> &'static [u8] {
        match self.passed.iter().map(|picture| picture.temporal).max() {
            None | Some(0) => &[0],
            Some(1) => &[0, 1],
            Some(_) => &[0, 2, 1, 2],
        }
    }

    /// Place of the last picture in the pattern.
    fn phase(&self) -> usize {
        let before = self.passed.iter().rev().nth(1).map_or(0, |picture| picture.temporal);
        match (self.passed.back().map_or(0, |picture| picture.temporal), before) {
            (0, _) => 0,
            (1, _) => self.pattern().len() / 2,
            (_, 0) => 1,
            (_, _) => 3,
        }
    }
}

fn temporal_at(pattern: &[u8], place: usize) -> u8 {
    pattern.get(place % pattern.len().max(1)).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rhythm(pictures: &[(u64, u8)]) -> Rhythm {
        let mut rhythm = Rhythm::default();
        for (number, temporal) in pictures {
            rhythm.pass(Passed { number: *number, spatial: 0, temporal: *temporal, start: *number == 0 });
        }
        rhythm
    }

    #[test]
    fn a_lost_picture_is_missing_with_its_temporal_layer() {
        let rhythm = rhythm(&[(0, 0), (1, 2), (2, 1), (3, 2), (4, 0), (5, 2)]);
        assert_eq!(rhythm.missing(10, 64), [(6, 1), (7, 2), (8, 0), (9, 2)]);
        assert!(rhythm.missing(6, 64).is_empty());
        assert_eq!(rhythm.missing(u64::MAX, 2).len(), 2);
    }

    #[test]
    fn pictures_left_out_by_temporal_layer_are_not_missing() {
        let slow = rhythm(&[(0, 0), (4, 0), (8, 0), (12, 0)]);
        assert!(slow.missing(16, 64).is_empty());
        assert_eq!(slow.missing(20, 64), [(16, 0)]);
        let half = rhythm(&[(0, 0), (2, 1), (4, 0), (6, 1)]);
        assert!(half.missing(8, 64).is_empty());
        assert_eq!(half.missing(12, 64), [(8, 0), (10, 1)]);
    }

    #[test]
    fn one_adjacent_pair_ends_the_leaving_out() {
        let rhythm = rhythm(&[(0, 0), (4, 0), (8, 0), (12, 0), (13, 2)]);
        assert_eq!(rhythm.missing(15, 64), [(14, 1)]);
    }
}
