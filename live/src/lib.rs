//! The vocoder in real time.
//!
//! [`Player`] is the audio thread's half: it copies sound to and from preallocated queues, and never
//! allocates, locks, waits (but for offline renders) or touches a tensor. Behind it a worker takes
//! chunks of input, makes mel of them, shapes it, and runs the network; a loader packs weights, and frees
//! what is no longer used. The plugin and `vocoder play` share all of it.
//!
//! ```text
//! host's thread          worker                              loader
//! -------------          ------                              ------
//! player.rs   --chunk--> worker.rs -> chain.rs               loader.rs
//!     ^                      resample, mel, shape,  <-slot--  renderers for other steps,
//!     `------chunk------     renderer, resample     --slot->  seeds and follows
//! ```

mod bridge;
mod chain;
mod chunk;
mod clip;
mod controls;
mod fade;
mod loader;
mod model;
mod offline;
mod overload;
mod player;
mod resample;
mod shape;
mod telemetry;
mod timing;
mod voices;
mod watch;
mod worker;

#[cfg(test)]
mod tests;

pub use chunk::NoteEvent;
pub use controls::{Compute, Controls, MAX_STEPS, Quality, Wait};
pub use offline::render_offline;
pub use player::{Player, RATES, Setup, Source};
pub use telemetry::{Status, Telemetry};
pub use timing::Timing;
pub use voices::{LoadedVoice, VoiceChoice, built_in_voices, load_voice};
pub use watch::{MelFrame, Remote};
