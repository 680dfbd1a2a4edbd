//! Key bundles, key files, safety codes and announce attestations.
