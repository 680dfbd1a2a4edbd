//! A scalable stream as its publisher makes it, and the judge of what a child could decode of it.

use std::collections::BTreeSet;

use edge_wire::chunk::InnerSealed;
use edge_wire::layer::Layer;
use edge_wire::link::Hint;

/// One layer of one frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Cell {
    pub(crate) frame: u64,
    pub(crate) spatial: u8,
}

/// One chunk of the stream and the cells that decoding it needs.
#[derive(Debug, Clone)]
pub(crate) struct Piece {
    pub(crate) cell: Cell,
    pub(crate) temporal: u8,
    pub(crate) hint: Hint,
    pub(crate) needs: Vec<Cell>,
    pub(crate) len: usize,
}

/// What a frame is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Delta,
    /// Upper layers from this one build on nothing but the layers below them. A frame of the base temporal layer.
    Switch(u8),
    Key,
}

/// An L3T3 publisher: three spatial layers, temporal order 0 2 1 2.
pub(crate) struct Publisher {
    spatial_layers: u8,
    frame: u64,
    position: usize,
    last_t0: u64,
    last_t1: Option<u64>,
    pieces: Vec<Piece>,
}

const TEMPORAL: [u8; 4] = [0, 2, 1, 2];

impl Publisher {
    pub(crate) fn new(spatial_layers: u8) -> Self {
        Self { spatial_layers, frame: 0, position: 0, last_t0: 0, last_t1: None, pieces: Vec::new() }
    }

    /// The chunks of the next frame, one a spatial layer. A key or switch frame starts a temporal group.
    pub(crate) fn next_frame(&mut self, kind: Kind, sizes: [usize; 3]) -> Vec<(InnerSealed, Hint)> {
        if kind != Kind::Delta {
            self.position = 0;
        }
        let temporal = TEMPORAL[self.position];
        let out = (0..self.spatial_layers).map(|spatial| self.piece(spatial, temporal, kind, sizes)).collect();
        match temporal {
            0 => (self.last_t0, self.last_t1) = (self.frame, None),
            1 => self.last_t1 = Some(self.frame),
            _ => {}
        }
        self.frame += 1;
        self.position = (self.position + 1) % TEMPORAL.len();
        out
    }

    pub(crate) fn piece_of(&self, seq: u64) -> &Piece {
        &self.pieces[seq as usize]
    }

    pub(crate) fn frames(&self) -> u64 {
        self.frame
    }

    pub(crate) fn pieces(&self) -> usize {
        self.pieces.len()
    }

    fn piece(&mut self, spatial: u8, temporal: u8, kind: Kind, sizes: [usize; 3]) -> (InnerSealed, Hint) {
        let cell = Cell { frame: self.frame, spatial };
        let mut needs = Vec::new();
        if spatial > 0 {
            needs.push(Cell { spatial: spatial - 1, ..cell });
        }
        let begins = match kind {
            Kind::Key => true,
            Kind::Switch(from) => spatial > 0 && spatial >= from,
            Kind::Delta => false,
        };
        if !begins {
            let frame = if temporal == 2 { self.last_t1.unwrap_or(self.last_t0) } else { self.last_t0 };
            needs.push(Cell { frame, spatial });
        }
        let hint = Hint {
            key: kind == Kind::Key,
            frame_start: spatial == 0,
            switch: begins && spatial > 0,
            discardable: temporal == 2 && spatial + 1 == self.spatial_layers,
            audio: false,
            temporal_index: self.position as u8,
        };
        let seq = self.pieces.len() as u64;
        let len = sizes[usize::from(spatial)];
        self.pieces.push(Piece { cell, temporal, hint, needs, len });
        (super::chunk(seq, Layer::new(spatial, temporal, 0), len), hint)
    }
}

/// Collects what one child was sent and checks each piece against what came before it.
#[derive(Default)]
pub(crate) struct Viewer {
    has: BTreeSet<Cell>,
}

impl Viewer {
    /// Takes a piece; `Err` names what is missing.
    pub(crate) fn take(&mut self, piece: &Piece) -> Result<(), Cell> {
        for need in &piece.needs {
            if !self.has.contains(need) {
                return Err(*need);
            }
        }
        self.has.insert(piece.cell);
        Ok(())
    }

    pub(crate) fn has(&self, frame: u64, spatial: u8) -> bool {
        self.has.contains(&Cell { frame, spatial })
    }

    pub(crate) fn count(&self) -> usize {
        self.has.len()
    }
}
