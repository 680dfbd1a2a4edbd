//! Which layers of a stream one child can still decode, given what it was not sent.
//!
//! Two rules of the codec are all this needs. Within a frame, a layer builds on every layer below it. Across frames, a
//! layer builds on itself in frames of a lower temporal layer, and in the base temporal layer on the frame before; a
//! key frame builds on nothing, and a switch point of an upper spatial layer only on the layers below it.

use edge_wire::layer::Layer;
use edge_wire::link::Hint;

/// Tracked spatial layers; higher ones are not sent to a child whose stream is tracked.
const SPATIAL: usize = 8;
/// Tracked quality layers, likewise.
const QUALITY: usize = 4;
const CELLS: usize = SPATIAL * QUALITY;
/// Above every temporal layer: the chain is whole.
const WHOLE: u16 = 256;

/// One child's chains, one for each (spatial, quality) cell.
#[derive(Debug, Clone)]
pub(crate) struct Chain {
    /// Lowest temporal layer that cannot be decoded, for each cell. 0 waits for a frame to resume at; any other is
    /// whole again with the next frame of a lower temporal layer.
    broken_from: [u16; CELLS],
    /// Cells of the current frame that were dropped without harm to later frames.
    gap: u32,
}

/// Whether layers that were lost may come back at the next frame that allows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Resume {
    Allowed,
    /// Not yet: the child has just proved too slow for them.
    Held,
}

/// A set of layers that is given up at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cut {
    /// Quality layers from this one up.
    Quality(u8),
    /// Spatial layers from this one up.
    Spatial(u8),
    /// Temporal layers from this one up.
    Temporal(u8),
}

impl Cut {
    pub(crate) fn covers(self, layer: Layer) -> bool {
        match self {
            Self::Quality(from) => layer.quality >= from,
            Self::Spatial(from) => layer.spatial >= from,
            Self::Temporal(from) => layer.temporal >= from,
        }
    }
}

impl Chain {
    /// A child that was sent nothing yet.
    pub(crate) fn new() -> Self {
        Self { broken_from: [0; CELLS], gap: 0 }
    }

    /// Decides whether the next chunk of the stream can be decoded by this child, and takes note of either.
    pub(crate) fn offer(&mut self, layer: Layer, hint: Hint, resume: Resume) -> bool {
        self.start_frame(hint);
        let Some(cell) = cell_of(layer) else { return false };
        let temporal = u16::from(layer.temporal);
        let continues = self.broken_from[cell] > temporal;
        let resumes = resumes_at(layer, hint) && (cell == 0 || resume == Resume::Allowed);
        if self.has_below(layer) && (continues || resumes) {
            self.broken_from[cell] = WHOLE;
            return true;
        }
        self.break_at(cell, temporal, hint);
        false
    }

    /// Takes note of a chunk that the child will not be sent.
    pub(crate) fn lose(&mut self, layer: Layer, hint: Hint) {
        self.start_frame(hint);
        if let Some(cell) = cell_of(layer) {
            self.break_at(cell, u16::from(layer.temporal), hint);
        }
    }

    /// Takes note that the newest chunks of a set of layers were dropped.
    pub(crate) fn cut(&mut self, cut: Cut) {
        for (cell, broken_from) in self.broken_from.iter_mut().enumerate() {
            match cut {
                Cut::Temporal(from) => *broken_from = (*broken_from).min(u16::from(from)),
                Cut::Spatial(from) if spatial_of(cell) >= usize::from(from) => *broken_from = 0,
                Cut::Quality(from) if cell % QUALITY >= usize::from(from) => *broken_from = 0,
                Cut::Spatial(_) | Cut::Quality(_) => {}
            }
        }
    }

    /// Takes note that everything was dropped.
    pub(crate) fn cut_all(&mut self) {
        self.broken_from = [0; CELLS];
    }

    /// Whether nothing can be decoded before the next key frame.
    pub(crate) fn waits_for_key(&self) -> bool {
        self.broken_from[0] == 0
    }

    /// The lowest spatial layer up to `max` that waits for a frame to resume at.
    pub(crate) fn waits_for_switch(&self, max: u8) -> Option<u8> {
        (1..=max).take(SPATIAL - 1).find(|&spatial| self.broken_from[usize::from(spatial) * QUALITY] == 0)
    }

    fn start_frame(&mut self, hint: Hint) {
        if hint.frame_start {
            self.gap = 0;
        }
    }

    fn break_at(&mut self, cell: usize, temporal: u16, hint: Hint) {
        match hint.discardable {
            true => self.gap |= 1 << cell,
            false => self.broken_from[cell] = self.broken_from[cell].min(temporal),
        }
    }

    /// Whether the child has, in this frame, every layer below `layer`.
    fn has_below(&self, layer: Layer) -> bool {
        let temporal = u16::from(layer.temporal);
        let spatial = usize::from(layer.spatial);
        let quality = usize::from(layer.quality);
        (0..=spatial)
            .flat_map(|s| (0..=quality).map(move |q| s * QUALITY + q))
            .filter(|&cell| cell != spatial * QUALITY + quality)
            .all(|cell| self.broken_from[cell] > temporal && self.gap & (1 << cell) == 0)
    }
}

/// Whether decoding of the chunk's own cell can begin here. Only a frame of the base temporal layer gives later frames
/// all that they build on.
fn resumes_at(layer: Layer, hint: Hint) -> bool {
    let begins = match layer.spatial == 0 && layer.quality == 0 {
        true => hint.key && hint.frame_start,
        false => hint.key || hint.switch,
    };
    begins && layer.temporal == 0
}

fn cell_of(layer: Layer) -> Option<usize> {
    let (spatial, quality) = (usize::from(layer.spatial), usize::from(layer.quality));
    (spatial < SPATIAL && quality < QUALITY).then_some(spatial * QUALITY + quality)
}

fn spatial_of(cell: usize) -> usize {
    cell / QUALITY
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: Hint =
        Hint { key: true, frame_start: true, switch: false, discardable: false, audio: false, temporal_index: 0 };
    const START: Hint = Hint { key: false, ..KEY };
    const PLAIN: Hint = Hint { frame_start: false, ..START };

    fn started(spatial_layers: u8) -> Chain {
        let mut chain = Chain::new();
        for spatial in 0..spatial_layers {
            let hint = if spatial == 0 { KEY } else { Hint { frame_start: false, ..KEY } };
            assert!(chain.offer(Layer::new(spatial, 0, 0), hint, Resume::Allowed));
        }
        chain
    }

    #[test]
    fn a_layer_above_a_discardable_one_that_was_dropped_goes_for_this_frame_only() {
        let mut chain = started(2);
        chain.lose(Layer::new(0, 2, 0), Hint { discardable: true, ..START });
        assert!(!chain.offer(Layer::new(1, 2, 0), Hint { discardable: true, ..PLAIN }, Resume::Allowed));
        assert!(chain.offer(Layer::new(0, 2, 0), START, Resume::Allowed));
        assert!(chain.offer(Layer::new(1, 2, 0), PLAIN, Resume::Allowed));
    }

    #[test]
    fn an_upper_layer_resumes_only_in_the_base_temporal_layer() {
        let mut chain = started(2);
        chain.cut(Cut::Spatial(1));
        let switch = Hint { switch: true, ..PLAIN };
        assert!(chain.offer(Layer::new(0, 1, 0), START, Resume::Allowed));
        assert!(!chain.offer(Layer::new(1, 1, 0), switch, Resume::Allowed));
        assert!(chain.offer(Layer::new(0, 0, 0), START, Resume::Allowed));
        assert!(!chain.offer(Layer::new(1, 0, 0), switch, Resume::Held));
        assert!(chain.offer(Layer::new(1, 0, 0), switch, Resume::Allowed));
    }

    #[test]
    fn a_switch_does_not_start_the_base_nor_a_layer_above_a_missing_one() {
        let mut chain = started(3);
        chain.cut(Cut::Spatial(1));
        let switch = Hint { switch: true, ..PLAIN };
        assert!(!chain.offer(Layer::new(2, 0, 0), switch, Resume::Allowed));
        assert_eq!(chain.waits_for_switch(255), Some(1));
        chain.cut_all();
        assert!(!chain.offer(Layer::BASE, Hint { switch: true, ..START }, Resume::Allowed));
        assert!(chain.waits_for_key());
    }

    #[test]
    fn quality_needs_every_cell_of_its_cube() {
        let mut chain = started(2);
        assert!(chain.offer(Layer::new(0, 0, 1), Hint { frame_start: false, ..KEY }, Resume::Allowed));
        assert!(chain.offer(Layer::new(1, 0, 1), Hint { frame_start: false, ..KEY }, Resume::Allowed));
        chain.cut(Cut::Quality(1));
        assert!(chain.offer(Layer::BASE, START, Resume::Allowed));
        assert!(chain.offer(Layer::new(1, 0, 0), PLAIN, Resume::Allowed));
        assert!(!chain.offer(Layer::new(1, 0, 1), Hint { switch: true, ..PLAIN }, Resume::Allowed));
    }

    #[test]
    fn layers_beyond_the_tracked_ones_are_not_sent() {
        let mut chain = started(2);
        for layer in [Layer::new(8, 0, 0), Layer::new(0, 0, 4), Layer::new(255, 255, 255)] {
            assert!(!chain.offer(layer, KEY, Resume::Allowed));
        }
        assert!(chain.offer(Layer::new(0, 255, 0), START, Resume::Allowed));
        assert!(!chain.waits_for_key());
    }
}
