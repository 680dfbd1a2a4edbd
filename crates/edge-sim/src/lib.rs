//! Seeded link emulator and whole-mesh simulator on a virtual clock.
