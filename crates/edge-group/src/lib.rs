//! MLS group session that yields epoch keys.
