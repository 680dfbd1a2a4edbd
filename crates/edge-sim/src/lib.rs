//! Seeded link emulator and whole-mesh simulator on a virtual clock.
//!
//! Model: a [`link::Link`] is one direction of a network path as a pure function of time and seed; it keeps no packet
//! and no clock, so an emulator that moves real bytes uses the same type.
//!
//! Laws: no clock, socket, thread or system randomness; equal seeds give equal runs, in every process.

pub mod engine;
pub mod ledger;
pub mod link;
pub mod measure;
pub mod media;
pub mod net;
pub mod plot;
pub mod report;
pub mod rng;
pub mod scenario;
pub mod space;
pub mod world;
