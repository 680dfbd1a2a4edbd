//! Protection of one message over unreliable datagrams of one hop.
//!
//! Model: [`Encoder`] cuts a message into `n` equal source symbols and adds repair symbols; each becomes one datagram.
//! [`Decoder`] gives the message back as soon as enough of its datagrams arrived, in any order. A message that fits one
//! datagram has `n = 1`, and its repair symbols are copies. [`repair_for`] tells how much repair a loss asks for.
//!
//! Laws: a message comes out exactly once and unchanged, or not at all; what one neighbour can make a decoder hold is
//! bounded by [`Limits`]; a message that is late, or that newer ones displaced, is given up and never waited for.

mod decoder;
mod encoder;
mod repair;
mod symbol;

pub use decoder::{
    AGE_MS_MAX, ATTEMPTS_MAX, BYTES_MAX, Decoder, Error as DecodeError, Limits, MESSAGES_MAX, SYMBOL_COST, Stats,
    WINDOW,
};
pub use encoder::{Encoder, Error as EncodeError, Symbols};
pub use repair::{EXACT_DECODE_PPM, LOSS_PPM_MAX, PPM, RepairTable, repair_for};
pub use symbol::{HEADER_LEN, Header, MAGIC, MESSAGE_LEN_MAX, REPAIR_MAX, SOURCE_MAX, SYMBOL_LEN_MAX, is_symbol};
