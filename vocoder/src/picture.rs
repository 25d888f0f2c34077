//! Spectrogram pictures.
