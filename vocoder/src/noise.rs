//! Gaussian noise indexed by position.
