//! The async node: drives the cores on real sockets, files and clocks.
