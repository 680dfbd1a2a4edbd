//! Hop keys, outer seal, link counters and the replay window.
