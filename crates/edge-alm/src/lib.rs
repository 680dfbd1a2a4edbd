//! Reachability tracking and fan-out planning.
