//! Objective distances between two signals.
