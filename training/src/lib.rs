//! Trains the vocoder: data set, objective, optimiser, checkpoints and the loop.
//!
//! Reads along the data: [`corpus`] decodes the clips, [`batch`] cuts and noises crops of them on
//! worker threads, [`run`] holds the loop, whose steps are [`trainer`]'s: it asks [`objective`] for the
//! loss and moves the weights by [`optimiser`]. A student learns from its teacher by [`distill`], several
//! processes learn together by [`ranks`]. The loop saves by [`checkpoint`], judges by
//! [`validation`], renders by [`preview`] and writes its course down by [`records`]: a [`log`],
//! TensorBoard's [`events`], a [`report`]. Every random choice is a function of the seed and the step,
//! so that a resumed run goes on as if it had never stopped.

pub mod batch;
pub mod cache;
pub mod checkpoint;
pub mod config;
pub mod corpus;
pub mod distill;
pub mod events;
pub mod log;
pub mod objective;
pub mod optimiser;
pub mod preview;
pub mod ranks;
pub mod records;
pub mod report;
pub mod run;
pub mod schedule;
pub mod stft;
pub mod trainer;
pub mod validation;

mod crc32c;

pub use config::TrainConfig;
pub use log::Event;
pub use ranks::Ranks;
pub use run::{About, Run, train, train_among};
