//! Pure functions of witnessed inputs: consent decay.
//!
//! Model: what a peer may still keep follows from when content was admitted, under which consent, and whether that was
//! withdrawn. [`decay`] computes it; whoever owns the bytes applies it.
//!
//! Laws: no clock, no input or output; equal inputs give equal answers; erased bytes never count as present again.

pub mod decay;
