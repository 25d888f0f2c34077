//! How far sound that is rendered as it arrives lags behind.

use crate::config::{ModelConfig, Padding};
use crate::mel::MelConfig;
use crate::network::reach;
use crate::prior::Prior;
use crate::start::Start;

use super::Polish;

/// The algorithmic latency of a stream: an output sample can be told when this many samples after its
/// place in the input are in. What computing takes comes on top.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Latency {
    /// Samples from the centre of a frame to the end of its window.
    pub mel: usize,
    /// Frames of mel that must be known after a frame's own, through all steps.
    pub frames: usize,
    /// Both, in samples.
    pub samples: usize,
}

impl Latency {
    /// In milliseconds, at the mel's rate.
    pub fn ms(&self, mel: &MelConfig) -> f64 {
        1000.0 * self.samples as f64 / f64::from(mel.sample_rate)
    }
}

/// The latency of a network in `steps` steps.
///
/// A causal network pays its look-ahead once, since only the mel runs ahead. A symmetric one sees the
/// signal's future in every step; its figure is an upper bound, and in fewer bits than f32 it works in blocks
/// of 0.2 s, which come on top, that pieces equal the whole.
pub fn latency(
    model: &ModelConfig,
    mel: &MelConfig,
    start: &Start,
    steps: usize,
    polish: Polish,
) -> Latency {
    let lag = lag(model, mel, start);
    let chain = match model.padding {
        Padding::Causal { .. } => lag,
        Padding::Symmetric => margin(mel, start) + steps * reach(model).frames_ahead,
    };
    let frames = polish.waits(mel, chain, lag);
    Latency { mel: mel.look_ahead(), frames, samples: mel.look_ahead() + frames * mel.hop }
}

/// Frames of mel that are always known after those whose sound the chain has told: all that it waits for
/// where it is causal, so that a polish finds them there. A symmetric one has none to promise.
pub(super) fn lag(model: &ModelConfig, mel: &MelConfig, start: &Start) -> usize {
    match model.padding {
        Padding::Causal { look_ahead } => margin(mel, start).max(look_ahead),
        Padding::Symmetric => 0,
    }
}

/// Frames that prior and start look ahead.
fn margin(mel: &MelConfig, start: &Start) -> usize {
    Prior::NEIGHBOURS + start.reach(mel)
}
