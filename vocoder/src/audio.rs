//! Audio files in and out, and resampling.
