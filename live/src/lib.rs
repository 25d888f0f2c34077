//! The vocoder in real time.
//!
//! [`Player`] is the audio thread's half: it copies sound to and from preallocated queues, and never
//! allocates, locks, waits (but for offline renders) or touches a tensor. Behind it a worker takes
//! chunks of input, makes mel of them, shapes it, and runs the network; a loader reads voices and packs
//! their weights, and frees what is no longer used. The plugin and `vocoder play` share all of it.

mod controls;
mod telemetry;

pub use controls::{Compute, Controls, MAX_STEPS, Quality, Wait};
pub use telemetry::{Status, Telemetry};

// SKETCH of what follows.
use std::path::PathBuf;
use std::sync::Arc;

/// Which voice to play.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum VoiceChoice {
    /// A voice that is built in, by name (`speech-stream`).
    BuiltIn(String),
    /// A voice file.
    File(PathBuf),
}

/// Where a player runs.
#[derive(Debug, Clone)]
pub struct Setup {
    pub rate: u32,
    /// The longest block that the host announces; longer ones are cut.
    pub max_block: usize,
    /// 1 or 2; each channel has a network of its own.
    pub channels: usize,
    pub quality: Quality,
    pub compute: Compute,
    pub voice: VoiceChoice,
    /// The host renders offline: the audio thread waits for the worker.
    pub offline: bool,
    /// What is played: the input, or notes on a clip.
    pub source: Source,
}

/// What is made into mel.
#[derive(Debug, Clone)]
pub enum Source {
    /// The input's sound.
    Input,
    /// Notes play a clip (audio or mel file); none is silence.
    Clip(Option<PathBuf>),
}

/// What the instrument hears.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum NoteEvent {
    On { key: u8, velocity: f32 },
    Off { key: u8 },
    /// All notes end at once.
    Panic,
}

/// The audio thread's half.
pub struct Player {}

/// The editor's half: `Clone`, any thread but the audio thread.
#[derive(Clone)]
pub struct Remote {}

impl Player {
    /// Starts worker and loader. Not for the audio thread.
    ///
    /// # Errors
    /// A rate or block out of range. A voice that can't be read is NOT an error: the sound passes dry and
    /// the telemetry says why.
    pub fn new(_setup: &Setup, _telemetry: Arc<Telemetry>) -> vocoder::Result<(Self, Remote)> {
        unimplemented!()
    }
    /// In samples of the host.
    pub fn latency(&self) -> u32 {
        unimplemented!()
    }
    /// Processes a block in place. `mix` (0 dry to 1 wet; bypass is 0) and `gain` hold a value a sample.
    /// `notes`: (sample in the block, event), in order; empty for effects.
    /// Returns false after an offline render timed out.
    pub fn process(
        &mut self,
        _channels: &mut [&mut [f32]],
        _controls: &Controls,
        _mix: &[f32],
        _gain: &[f32],
        _notes: &[(u32, NoteEvent)],
    ) -> bool {
        unimplemented!()
    }
    /// Forgets what was heard; allowed on the audio thread.
    pub fn reset(&mut self) {}
}

impl Remote {
    /// Plays another voice from now on, loaded in the background. If its latency differs, `Err` with the
    /// new latency's need for a new player is told by the telemetry (`needs_restart`).
    pub fn select_voice(&self, _voice: VoiceChoice) {}
    /// Plays another clip.
    pub fn select_clip(&self, _clip: Option<PathBuf>) {}
    /// The frames of input and output mel since the last call (at most the newest 256), for scrolling
    /// pictures: log-mel values, `[frames][n_mels]`. Only one reader at a time gets them.
    pub fn take_mels(&self) -> Vec<MelFrame> {
        Vec::new()
    }
}

/// A frame for the editor: 128 bands or fewer.
pub struct MelFrame {
    pub input: Vec<f32>,
    pub output: Vec<f32>,
}
