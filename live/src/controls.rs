//! What a player can turn while it runs.

use std::fmt;
use std::str::FromStr;

use vocoder::{Error, Result};

/// Most reverse steps.
pub const MAX_STEPS: usize = 50;

/// One reading of all controls that shape the mel or the chain. The audio thread takes one at the first
/// sample of each chunk, so automation is as fine as chunks are (12.5 to 50 ms).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Controls {
    /// Reverse steps, 1 to [`MAX_STEPS`].
    pub steps: usize,
    /// By how many semitones the mel's harmonics move, -24 to 24; the envelope stays.
    pub pitch: f32,
    /// By how many semitones the mel's envelope moves, -24 to 24; the harmonics stay.
    pub formant: f32,
    /// Decibels per octave around 1 kHz, -12 to 12.
    pub tilt: f32,
    /// Time constant of the mel's smear in milliseconds, 0 (off) to 5000.
    pub smear_ms: f32,
    /// Holds the mel of the moment when it came on.
    pub freeze: bool,
    /// Deviation of the noise that the chain draws, 0 to 2; 1 is what the voice was trained on.
    pub temperature: f32,
    /// How far the chain follows the input's own waveform: 0 starts from pure noise, towards 1 it
    /// starts ever nearer to the input.
    pub follow: f32,
    /// Selects the noise.
    pub seed: u32,
    /// Draws another seed after each reset, so that no two passes are the same.
    pub running_seed: bool,
    /// Milliseconds in which a note of the instrument rises, 0 to 5000.
    pub attack_ms: f32,
    /// Milliseconds in which a note of the instrument falls by 60 dB after its key went up, 0 to 10000.
    pub release_ms: f32,
    /// Seconds of the clip that a second of a note goes through, 0 (it stands) to 4.
    pub speed: f32,
    /// Where in the clip a note begins, 0 to 1.
    pub begin: f32,
    /// Whether a note begins again at the clip's end; else it ends.
    pub looped: bool,
    /// False while nobody can hear the wet sound: the worker rests.
    pub heard: bool,
}

impl Default for Controls {
    fn default() -> Self {
        Self {
            steps: 6,
            pitch: 0.0,
            formant: 0.0,
            tilt: 0.0,
            smear_ms: 0.0,
            freeze: false,
            temperature: 1.0,
            follow: 0.0,
            seed: 1,
            running_seed: false,
            attack_ms: 10.0,
            release_ms: 300.0,
            speed: 1.0,
            begin: 0.0,
            looped: true,
            heard: true,
        }
    }
}

/// What latency is spent on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash)]
pub enum Quality {
    /// A polish that waits for nothing: the least latency.
    Low,
    /// A polish that waits for one frame: under 80 ms with the streaming voice.
    #[default]
    Balanced,
    /// A polish that waits for three frames, and chunks of two, which cost less to compute: the best sound,
    /// under 130 ms at 48 kHz in blocks of 512.
    Studio,
}

impl Quality {
    /// All, from the least latency to the best sound.
    pub const ALL: [Self; 3] = [Self::Low, Self::Balanced, Self::Studio];
}

impl fmt::Display for Quality {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Low => "low",
            Self::Balanced => "balanced",
            Self::Studio => "studio",
        })
    }
}

impl FromStr for Quality {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        Self::ALL
            .into_iter()
            .find(|quality| quality.to_string() == name)
            .ok_or_else(|| Error::mismatch("quality", "low, balanced or studio", name))
    }
}

/// Whether the audio thread may wait for the worker.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Wait {
    /// Only when the host says that it renders offline.
    #[default]
    Auto,
    /// Always: for hosts that render offline without saying so.
    Always,
}

/// Where the network is computed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash)]
pub enum Compute {
    /// The engine for CPUs.
    #[default]
    Cpu,
    /// The first GPU, in builds that have one.
    Gpu,
}
