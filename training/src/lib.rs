//! Trains the vocoder: data set, objective, optimiser, checkpoints and the loop.
//!
//! Reads along the data: [`corpus`] decodes the clips, [`batch`] cuts and noises crops of them on
//! worker threads, [`run`] holds the loop, which asks [`objective`] for the loss, moves the weights by
//! [`optimiser`] and saves by [`checkpoint`]. Every random choice is a function of the seed and the
//! step, so that a resumed run goes on as if it had never stopped.

pub mod batch;
pub mod checkpoint;
pub mod config;
pub mod corpus;
pub mod objective;
pub mod optimiser;
pub mod run;
pub mod schedule;

pub use config::TrainConfig;
pub use run::{About, Event, Run, train};
