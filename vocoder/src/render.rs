//! Mel to sound.
