//! Log-mel spectrograms.
