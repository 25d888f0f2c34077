//! The pitch of a voice, frame by frame: how high, whether there is one, and how periodic the sound.
//!
//! As the figures of the field are made: at 16 kHz every 5 ms, Harvest (`pitch/harvest.rs`) mended by
//! StoneMask (`instantaneous.rs`) for the pitch, and D4C's love train (`love_train.rs`) with a gate on energy for
//! whether there is one. `tests/reference/pitch` has WORLD's own tracks, which these agree with, and the
//! program that made them.

mod bands;
mod contour;
mod harvest;
mod instantaneous;
mod love_train;
mod periodicity;
mod smooth;

use super::SAMPLE_RATE;
use crate::audio::resample;
use crate::{Error, Result};
use harvest::harvest;
use instantaneous::stone_mask;
use love_train::LoveTrain;
use periodicity::Periodicity;

/// Samples at [`SAMPLE_RATE`] from one frame's centre to the next: 5 ms.
pub const HOP: usize = SAMPLE_RATE as usize / 200;

/// Samples per second at which pitch is looked for.
const RATE: f64 = 16_000.0;

/// The same hop at [`RATE`], and the milliseconds of it.
const LOW_HOP: usize = 80;
const HOP_MS: usize = 5;

/// Samples at [`RATE`] that a frame's energy and periodicity are of: 50 ms.
const WINDOW: usize = 800;

/// The lowest and the highest pitch that is looked for, in Hz.
const RANGE_HZ: (f64, f64) = (60.0, 600.0);

/// Least share of the power from 100 Hz to 7.9 kHz that a voiced frame has below 4 kHz.
const VOICED_SHARE: f64 = 0.85;

/// How far a voiced frame's energy may be below the loudest one's, in dB.
const GATE_DB: f64 = 45.0;

/// One frame, centred [`HOP`] samples after the one before; the first is centred on sample 0.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Frame {
    /// The pitch in Hz; 0 where there is none.
    pub f0_hz: f64,
    /// Share of periodic power below about 1 kHz, 0 to 1: the highest peak of the autocorrelation.
    pub periodicity: f64,
    /// Mean square over the frame's 50 ms.
    pub energy: f64,
}

/// The pitch of a clip at [`SAMPLE_RATE`]: `samples.len() / HOP + 1` frames, or one more or less where
/// the resampled length is rounded. Takes about 2 MB a second of clip.
///
/// # Errors
/// Samples that are not finite.
pub fn track(samples: &[f32]) -> Result<Vec<Frame>> {
    if let Some(bad) = samples.iter().find(|x| !x.is_finite()) {
        return Err(Error::mismatch("pitch: samples", "finite numbers", bad));
    }
    if samples.is_empty() {
        return Ok(vec![Frame::default()]);
    }
    let signal: Vec<f64> =
        resample(samples, SAMPLE_RATE, RATE as u32)?.into_iter().map(f64::from).collect();
    let pitches = harvest(&signal, RANGE_HZ);
    let mut frames = Vec::with_capacity(signal.len() / LOW_HOP + 1);
    let mut periodicity = Periodicity::new();
    for i in 0..=signal.len() / LOW_HOP {
        let first = (i * LOW_HOP) as isize - (WINDOW / 2) as isize;
        let sample = |at: isize| {
            usize::try_from(at).ok().and_then(|at| signal.get(at)).copied().unwrap_or(0.0)
        };
        let window = (first..first + WINDOW as isize).map(sample);
        frames.push(Frame {
            f0_hz: pitches[(i * HOP_MS).min(pitches.len() - 1)],
            energy: window.clone().map(|x| x * x).sum::<f64>() / WINDOW as f64,
            periodicity: periodicity.of(window),
        });
    }
    let decibels = |energy: f64| 10.0 * (energy + 1e-12).log10();
    let loudest = frames.iter().map(|frame| decibels(frame.energy)).fold(f64::MIN, f64::max);
    let mut train = LoveTrain::new();
    for (i, frame) in frames.iter_mut().enumerate().filter(|(_, frame)| frame.f0_hz > 0.0) {
        let time_s = (i * HOP_MS) as f64 / 1000.0;
        let f0_hz = stone_mask(&signal, RATE, time_s, frame.f0_hz);
        let is_loud = decibels(frame.energy) > loudest - GATE_DB;
        let voiced =
            f0_hz > 0.0 && is_loud && train.low_share(&signal, time_s, f0_hz) > VOICED_SHARE;
        frame.f0_hz = if voiced { f0_hz } else { 0.0 };
    }
    Ok(frames)
}

#[cfg(test)]
mod tests;
