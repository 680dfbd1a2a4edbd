//! Laboratory of network namespaces whose links are emulated in user space.
//!
//! Model: each [`Host`] is a Linux network namespace with one TUN device and the address 10.77.0.(number + 1). One
//! thread, the emulator, reads what hosts send, asks an [`edge_sim::link::Link`] for each ordered pair when it comes
//! out, and writes it into the other host's device then. No kernel module is needed, but root is.
//!
//! Laws: hosts reach each other through the emulator and nothing else; a laboratory that is dropped leaves no process,
//! namespace or device, and one that was killed leaves only what the next one removes; where no laboratory can be, the
//! answer is [`Error::Unavailable`], so that a test can say that it was skipped.

mod child;
mod emulator;
mod error;
mod lab;
mod namespace;

pub use child::Child;
pub use emulator::network::Counters;
pub use emulator::usage::Usage;
pub use error::{Error, Missing};
pub use lab::{HOSTS_MAX, Host, Lab, Settings};

/// Environment variable that allows tests to set up a laboratory; any value but `0` does.
pub const GATE: &str = "EDGE_NETLAB";

/// Whether tests may set up a laboratory: the person who runs them said so with [`GATE`].
pub fn is_wanted() -> bool {
    std::env::var_os(GATE).is_some_and(|value| !value.is_empty() && value != "0")
}
