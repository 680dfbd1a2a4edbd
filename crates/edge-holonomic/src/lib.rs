//! Pure functions of witnessed inputs: consent decay.
