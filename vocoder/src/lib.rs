//! A diffusion vocoder: mel spectrograms to sound in 1 to 50 reverse steps.
//!
//! The library reads top to bottom along the data: [`audio`] -> [`mel`] -> [`render`], which asks a
//! [`voice`]'s [`network`] for the noise at each level of a [`schedule`] and moves on by a
//! [`sampler`]. It opens no device, prints nothing and parses no command line.

pub mod adapter;
pub mod audio;
pub mod colour_map;
pub mod config;
pub mod engine;
pub mod error;
pub mod griffin_lim;
pub mod guidance;
pub mod mel;
pub mod metrics;
pub mod network;
pub mod noise;
pub mod ops;
pub mod output_file;
#[cfg(feature = "pictures")]
pub mod picture;
pub mod prior;
pub mod protobuf;
pub mod render;
pub mod sampler;
pub mod schedule;
pub mod start;
pub mod trace;
pub mod voice;

mod kernel;
mod stft;

pub use error::{Error, Result};
