//! The vocoder as a plugin: an effect and an instrument in one bundle, as VST3, CLAP and (feature
//! `standalone`) a program.
//!
//! Everything between sound in and sound out is the crate `live`. Here are the parameters and what is
//! saved ([`params`], [`state`], [`presets`], [`voices`]), the two faces that hosts see ([`effect`],
//! [`instrument`]) over what they share ([`chassis`] for the audio thread, [`workshop`] for all other
//! threads), and the [`editor`] in its [`pane`].
//! Hosts come in through nice-plug for VST3, through `entry` for CLAP.

pub mod chassis;
pub mod editor;
pub mod effect;
mod entry;
pub mod instrument;
pub mod pane;
pub mod params;
pub mod presets;
#[cfg(feature = "standalone")]
pub mod standalone;
pub mod state;
pub mod updater;
pub mod voices;
pub mod workshop;

pub use effect::Effect;
pub use instrument::Instrument;

nice_plug::nice_export_vst3!(Effect, Instrument);
