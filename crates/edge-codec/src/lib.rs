//! AV1 with scalable layers, Opus, containers and a test pattern.
