//! AV1 with scalable layers, Opus, containers and a test pattern.
//!
//! Model: every codec is a plain synchronous object that one thread owns. A picture or a block of samples goes in,
//! what it became comes out of the same call. Layers of one picture are separate byte strings that name, by unit
//! id, exactly which earlier ones they need; [`video::Assembler`] lets nothing else through to the decoder. A stream
//! may be cut into [`description`]s, each of which decodes without the others.
//!
//! Laws: no network, no clock, no task. No hidden look-ahead: the packets of a picture are returned by the call that
//! took it, under that picture's own time. A frame whose references are missing is never decoded. Input from a peer
//! or a file gives a typed error, never a panic, and never an allocation above a named bound. `unsafe` lives in one
//! small module a C library.

pub mod audio;
pub mod container;
pub mod description;
pub mod pattern;
pub mod png;
pub mod video;
