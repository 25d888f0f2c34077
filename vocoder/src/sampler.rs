//! From one noise level to the next.
//!
//! A [`Sampler`] is given the sample at one level and the network's prediction of the noise in it,
//! and moves the sample to the next level. Whatever the rule, a step is linear:
//!
//! ```text
//! x0_hat = clip(x / alpha_t - (sigma_t / alpha_t) scale_t eps_hat)
//! D      = x0_hat, or x0_hat extrapolated from this step and the one before (2M)
//! x     <- a x + b D + c z          z: fresh unit noise
//! ```
//!
//! with t the level that the sample is at, s the one that it moves to, alpha = l,
//! sigma = sqrt(1 - l^2). The rules differ in a, b, c and D alone. The clean signal, l = 1, is
//! reached by a = c = 0, b = 1, D = x0_hat: the last step adds no noise. scale_t is 1 unless the
//! schedule [says otherwise](Schedule::scale).
//!
//! A rule that asks the network twice a step, such as Heun's, is two such updates, the second at the
//! level that the first has reached. What is counted below is these *evaluations*: for most rules
//! one a step.

mod coefficients;
mod kind;
pub mod level;
mod tensors;

use coefficients::Coefficients;
pub use kind::SamplerKind;

use crate::schedule::{Schedule, sigma};
use crate::{Error, Result};

/// What happens to the predicted clean signal before it is used.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Clip {
    /// Nothing.
    #[default]
    None,
    /// It is held within +- this amplitude (1 is full scale). The noise prediction follows it, as in
    /// Ho et al. 2020. In whitened form the limit is divided by the deviation: see
    /// [`Sampler::set_deviation`].
    Signal(f32),
}

/// Runs a schedule, step by step, over one window of samples.
///
/// The state is per sample, so a window may be [cropped](Sampler::crop) between steps, and pieces of
/// any size give the samples of the whole.
#[derive(Clone, Debug)]
pub struct Sampler {
    steps: Vec<Coefficients>,
    clip: Clip,
    /// The deviation S per sample, empty for 1.
    deviation: Vec<f32>,
    /// x0_hat of the evaluation before, per sample; empty for rules that don't look back.
    previous: Vec<f32>,
    looks_back: bool,
}

/// Rows that [`Sampler::move_rows`] moves to the next level, a sample each. Slices that a rule has no
/// use for may be empty.
pub(crate) struct Rows<'a> {
    /// At the step's level.
    pub x: &'a [f32],
    /// The network's prediction.
    pub eps_hat: &'a [f32],
    /// Unit noise.
    pub fresh: &'a [f32],
    /// As [`Sampler::set_deviation`]'s.
    pub deviation: &'a [f32],
    /// The clean signal that the step before predicted.
    pub before: &'a [f32],
    /// Receives the clean signal that is predicted now.
    pub clean: &'a mut [f32],
}

impl Sampler {
    /// The rule `kind` on the levels of `schedule`.
    pub fn new(kind: SamplerKind, schedule: &Schedule, clip: Clip) -> Self {
        Self {
            steps: coefficients::of_schedule(kind, schedule),
            clip,
            deviation: Vec::new(),
            previous: Vec::new(),
            looks_back: kind.looks_back(),
        }
    }

    /// From now on, what stands for the predicted noise is the predicted velocity v = l e - sigma u,
    /// from which the clean signal is l x - sigma v and the noise sigma x + l v (Salimans & Ho 2022, appendix D).
    pub(crate) fn take_velocities(&mut self) {
        for c in &mut self.steps {
            // x / l - (sigma / l) scale (sigma x + l v)
            let (s, variance) = (c.scale, sigma(c.level).powi(2));
            c.clean_from_x = ((1.0 - s * variance) / c.level) as f32;
            c.clean_from_eps = (-s * sigma(c.level)) as f32;
        }
    }

    /// Number of evaluations of the network.
    pub fn steps(&self) -> usize {
        self.steps.len()
    }

    /// The level at which the network is asked for evaluation `step`; none beyond the last.
    pub fn level(&self, step: usize) -> Option<f64> {
        self.steps.get(step).map(|c| c.level)
    }

    /// Whether evaluation `step` (0 is the noisiest) adds fresh noise.
    pub fn needs_noise(&self, step: usize) -> bool {
        self.steps.get(step).is_some_and(|c| c.noise != 0.0)
    }

    /// Declares that the chain runs on u = x / S (see [`prior`](crate::prior)), S being `deviation`
    /// per sample of the window, above 0. Only [`Clip::Signal`] needs it: it then means the signal
    /// S u, not u. Without this, S is 1.
    pub fn set_deviation(&mut self, deviation: &[f32]) {
        self.deviation.clear();
        self.deviation.extend_from_slice(deviation);
    }

    /// Whether a step uses the clean signal that the step before predicted.
    pub(crate) fn looks_back(&self) -> bool {
        self.looks_back
    }

    /// As [`Sampler::advance`], for rows whose state the caller keeps: from `rows.x` into `out`.
    pub(crate) fn move_rows(&self, step: usize, rows: Rows<'_>, out: &mut [f32]) {
        let Some(c) = self.steps.get(step).copied() else { return };
        let Rows { x, eps_hat, fresh, deviation, before, clean } = rows;
        for (i, out) in out.iter_mut().enumerate() {
            let x0 = c.clean_from_x * x[i] + c.clean_from_eps * eps_hat[i];
            let x0 = self.clipped(x0, deviation.get(i));
            let mut moved = c.x * x[i] + c.clean * x0;
            if let Some(before) = before.get(i) {
                moved += c.previous * before;
            }
            if let Some(clean) = clean.get_mut(i) {
                *clean = x0;
            }
            if let Some(fresh) = fresh.get(i) {
                moved += c.noise * fresh;
            }
            *out = moved;
        }
    }

    /// Takes `left` samples from the front and `right` from the end of the window's state, for a
    /// window that shrinks between two steps.
    ///
    /// # Errors
    /// The window has fewer samples.
    pub fn crop(&mut self, left: usize, right: usize) -> Result<()> {
        for state in [&mut self.previous, &mut self.deviation] {
            if state.is_empty() {
                continue;
            }
            if left + right > state.len() {
                let expected = format!("at most {} samples to crop", state.len());
                return Err(Error::mismatch("sampler window", expected, left + right));
            }
            state.truncate(state.len() - right);
            state.drain(..left);
        }
        Ok(())
    }

    /// Moves `x` from the level of evaluation `step` (0 is the noisiest) on, in place.
    ///
    /// `eps_hat` is the network's prediction at [the level](Sampler::level) of `step`; `z` is unit noise, which may be
    /// empty unless [`Sampler::needs_noise`]. Steps are run in their order; step 0 starts anew.
    ///
    /// # Errors
    /// `step` is not of this schedule, or the lengths differ (from each other, from the window of
    /// the step before or from the deviation).
    pub fn advance(
        &mut self,
        step: usize,
        x: &mut [f32],
        eps_hat: &[f32],
        z: &[f32],
    ) -> Result<()> {
        let c = self.steps.get(step).copied().ok_or_else(|| {
            Error::mismatch("sampler step", format!("below {}", self.steps.len()), step)
        })?;
        let z = if c.noise == 0.0 { &[] } else { z };
        self.check_lengths(step, &c, x.len(), eps_hat.len(), z.len())?;
        if self.looks_back && step == 0 {
            self.previous.clear();
            self.previous.resize(x.len(), 0.0);
        }
        for (i, x) in x.iter_mut().enumerate() {
            let clean = c.clean_from_x * *x + c.clean_from_eps * eps_hat[i];
            let clean = self.clipped(clean, self.deviation.get(i));
            let mut moved = c.x * *x + c.clean * clean;
            if self.looks_back {
                moved += c.previous * self.previous[i];
                self.previous[i] = clean;
            }
            if let Some(z) = z.get(i) {
                moved += c.noise * z;
            }
            *x = moved;
        }
        Ok(())
    }

    /// `clean` within the limit, where the signal's deviation is `deviation` (1 if there is none).
    fn clipped(&self, clean: f32, deviation: Option<&f32>) -> f32 {
        match self.clip {
            Clip::None => clean,
            Clip::Signal(limit) => {
                let limit = limit / deviation.copied().unwrap_or(1.0);
                clean.max(-limit).min(limit)
            }
        }
    }

    fn check_lengths(
        &self,
        step: usize,
        c: &Coefficients,
        window: usize,
        eps_hat: usize,
        z: usize,
    ) -> Result<()> {
        let expect = |what: &str, applies: bool, got: usize| {
            if !applies || got == window {
                return Ok(());
            }
            Err(Error::mismatch(format!("sampler: {what}"), format!("{window} samples"), got))
        };
        expect("predicted noise", true, eps_hat)?;
        expect("fresh noise", c.noise != 0.0, z)?;
        expect("deviation", !self.deviation.is_empty(), self.deviation.len())?;
        expect("window of the step before", self.looks_back && step > 0, self.previous.len())
    }
}

#[cfg(test)]
mod tests;
#[cfg(test)]
mod toy_tests;
