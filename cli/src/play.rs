//! `vocoder play`: through the sound card, files while they are rendered, or live from the microphone.

#[cfg(feature = "sound")]
mod card;
#[cfg(feature = "sound")]
mod file;
#[cfg(feature = "sound")]
mod live;
mod queue;

use std::path::PathBuf;

use ::live::Quality;
use anyhow::Result;
use clap::Args;

use crate::render::How;

/// Plays files while they are rendered, or what the microphone hears, re-synthesised
#[derive(Debug, Args)]
#[cfg_attr(not(feature = "sound"), allow(dead_code))]
pub struct PlayArgs {
    /// Audio or mel files
    #[arg(value_name = "INPUT", required_unless_present = "live", conflicts_with = "live")]
    inputs: Vec<PathBuf>,
    /// From the microphone to the speakers, through the real-time engine [default voice: speech-stream]
    #[arg(long)]
    live: bool,
    /// What latency is spent on, live: low, balanced or studio
    #[arg(long, value_name = "QUALITY", default_value = "balanced")]
    quality: Quality,
    /// Semitones by which the pitch of the mel moves, live
    #[arg(long, value_name = "SEMITONES", default_value_t = 0.0, allow_negative_numbers = true, value_parser = semitones)]
    pitch: f32,
    /// Semitones by which the formants move, live
    #[arg(long, value_name = "SEMITONES", default_value_t = 0.0, allow_negative_numbers = true, value_parser = semitones)]
    formant: f32,
    /// How far the chain follows the input's own waveform, live: 0 to 1
    #[arg(long, value_name = "SHARE", default_value_t = 0.0, value_parser = share)]
    follow: f32,
    /// Share of the re-synthesised sound, live: 0 to 1
    #[arg(long, value_name = "SHARE", default_value_t = 1.0, value_parser = share)]
    mix: f32,
    /// Sound card to play on, by a part of its name (see `vocoder devices`)
    #[arg(long, value_name = "NAME")]
    output: Option<String>,
    /// Sound card to listen to, live, by a part of its name
    #[arg(long, value_name = "NAME")]
    input: Option<String>,
    #[command(flatten)]
    how: How,
}

fn semitones(text: &str) -> Result<f32, String> {
    within(text, -24.0..=24.0)
}

fn share(text: &str) -> Result<f32, String> {
    within(text, 0.0..=1.0)
}

fn within(text: &str, range: std::ops::RangeInclusive<f32>) -> Result<f32, String> {
    match text.parse() {
        Ok(value) if range.contains(&value) => Ok(value),
        _ => Err(format!("expected a number from {} to {}", range.start(), range.end())),
    }
}

/// Runs the verb.
///
/// # Errors
/// Wrong usage; a build without sound; no such card; those of rendering.
#[cfg(feature = "sound")]
pub fn run(args: &PlayArgs, quiet: bool) -> Result<()> {
    crate::device::use_threads(args.how.threads)?;
    if args.live { live::run(args, quiet) } else { file::run(args, quiet) }
}

/// Runs the verb.
///
/// # Errors
/// Always: this build has no sound.
#[cfg(not(feature = "sound"))]
pub fn run(_args: &PlayArgs, _quiet: bool) -> Result<()> {
    Err(crate::failure::usage(
        "play: this program was built without sound: build it with `make sound`, which installs \
         ALSA's headers on Linux (cargo: --features sound)",
    ))
}
