//! Schedules by name, for any number of steps. Each starts at [`FIRST_LEVEL`], and so matches the
//! prior.

use super::{FIRST_LEVEL, LAST_LEVEL, MAX_STEPS, Schedule, check_steps};
use crate::{Error, Result};

/// The names that [`Schedule::named`] knows.
pub const NAMES: &[&str] = &["linear", "cosine", "sigmoid", "fibonacci", "log-snr"];

impl Schedule {
    /// The schedule `name` (one of [`NAMES`]) in `steps` steps:
    ///
    /// - `linear`: WaveGrad's training schedule, betas linear from 1e-6 to 0.01 in 1000 steps, read
    ///   at `steps` equally spaced times (as DDIM does, Song et al. 2021);
    /// - `cosine`, `sigmoid`, `fibonacci`: the constructors of these names, tied to [`FIRST_LEVEL`];
    /// - `log-snr`: uniform in lambda from [`FIRST_LEVEL`] to [`LAST_LEVEL`].
    ///
    /// # Errors
    /// An unknown name, or a number of steps that the schedule cannot have.
    pub fn named(name: &str, steps: usize) -> Result<Self> {
        match name {
            "linear" => linear_training_schedule(steps),
            "cosine" => Self::cosine(steps)?.tie_to_prior(FIRST_LEVEL),
            "sigmoid" => Self::sigmoid(steps)?.tie_to_prior(FIRST_LEVEL),
            "fibonacci" => Self::fibonacci(steps)?.tie_to_prior(FIRST_LEVEL),
            "log-snr" => Self::log_snr(steps, FIRST_LEVEL, LAST_LEVEL),
            _ => Err(Error::mismatch("schedule", format!("one of {}", NAMES.join(", ")), name)),
        }
    }
}

fn linear_training_schedule(steps: usize) -> Result<Schedule> {
    check_steps(steps)?;
    let every = Schedule::linear(1e-6, 0.01, MAX_STEPS)?;
    // A time that falls between two of the 1000 levels is interpolated in ln(l).
    let at = |time: f64| {
        let below = (time.floor() as usize).clamp(1, MAX_STEPS);
        let above = (below + 1).min(MAX_STEPS);
        let ln = |n: usize| every.levels()[MAX_STEPS - n].ln();
        (ln(below) + (ln(above) - ln(below)) * (time - below as f64)).exp()
    };
    let times = (1..=steps).rev().map(|n| MAX_STEPS as f64 * n as f64 / steps as f64);
    Schedule::explicit(times.map(at).collect::<Vec<_>>())
}
