//! The noise levels that a sampler visits.
//!
//! A level is l = sqrt(alpha_bar) in (0, 1): 1 is clean, 0 is pure noise. A [`Schedule`] lists them
//! in the order in which they are visited, noisiest first; the clean signal, l = 1, comes after the
//! last one and is not listed. Papers list betas the other way round, beta_1 being the cleanest:
//! l_n = sqrt((1 - beta_1) … (1 - beta_n)) (Chen et al. 2020, WaveGrad).
//!
//! **Prior match.** A sampler starts from unit noise. At level l_N the network expects l_N of signal
//! in it. What is missing is [`Schedule::prior_mismatch`] = l_N^2 of variance. Published lists of
//! few steps break this promise (l_N of 0.5 to 0.96); [`Schedule::tie_to_prior`] mends them, and the
//! schedules by name keep it.
//!
//! **Scales.** A schedule may have a factor a step for the predicted noise: epsilon scaling (Ning et al. 2024,
//! arXiv 2308.15321, where the prediction is divided by it). It makes up for what few steps do to the sound:
//! predictions are means, and taken whole they leave weak bands too weak.

mod file;
mod named;
mod published;
mod stored;

use serde::{Deserialize, Serialize};

use crate::{Error, Result};

pub use named::NAMES;
pub use published::{PUBLISHED, Published};
use stored::Stored;

/// Most steps that a schedule may have.
pub const MAX_STEPS: usize = 1000;

/// The noisiest level of WaveGrad's training schedule, betas linear from 1e-6 to 0.01 in 1000 steps:
/// below it a network has seen nothing. The schedules by name start here.
pub const FIRST_LEVEL: f64 = 0.081_379_63;

/// The cleanest level of that schedule, sqrt(1 - 1e-6): noise 60 dB below the signal.
pub const LAST_LEVEL: f64 = 0.999_999_5;

/// The cleanest level of [`Schedule::plain`]: noise 30 dB below the signal as the prior whitens it.
/// Few steps are better spent above it than on what is hardly heard.
pub const PLAIN_LAST_LEVEL: f64 = 0.999_5;

/// The largest [`Schedule::prior_mismatch`] that passes as a match: 1 % of the variance, 0.04 dB.
pub const MAX_PRIOR_MISMATCH: f64 = 0.01;

/// What a [scale](Schedule::scale) may be: a factor, 1 being the network's own prediction.
pub const SCALES: std::ops::RangeInclusive<f64> = 0.5..=1.5;

/// sigma = sqrt(1 - l^2), the standard deviation of the noise at level `l`.
pub fn sigma(level: f64) -> f64 {
    ((1.0 - level) * (1.0 + level)).sqrt()
}

/// lambda = ln(l / sigma), half the logarithm of the signal-to-noise ratio at level `l`.
pub fn lambda(level: f64) -> f64 {
    (level / sigma(level)).ln()
}

/// The level at which [`lambda`] is `lambda`.
pub fn level_of_lambda(lambda: f64) -> f64 {
    // l^2 = SNR / (1 + SNR)
    (1.0 / (1.0 + (-2.0 * lambda).exp())).sqrt()
}

/// 1 to [`MAX_STEPS`] noise levels in (0, 1), strictly increasing: `levels()[0]` is the noisiest.
///
/// In JSON it is the list of its levels, or `{"levels": [...], "scales": [...]}`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Stored", into = "Stored")]
pub struct Schedule {
    levels: Vec<f64>,
    /// As many as levels; empty if all are 1.
    scales: Vec<f64>,
}

impl Schedule {
    /// The schedule that visits `levels`, noisiest first.
    ///
    /// # Errors
    /// No level, more than [`MAX_STEPS`], one outside (0, 1) or one not above its predecessor.
    pub fn explicit(levels: impl Into<Vec<f64>>) -> Result<Self> {
        let levels = levels.into();
        check_steps(levels.len())?;
        for (step, &level) in levels.iter().enumerate() {
            if !(level > 0.0 && level < 1.0) {
                return Err(Error::mismatch(
                    format!("schedule: level of step {step}"),
                    "a number between 0 and 1, both excluded",
                    level,
                ));
            }
            if step > 0 && level <= levels[step - 1] {
                return Err(Error::mismatch(
                    format!("schedule: level of step {step}"),
                    format!("more than {}, the level before it (noisiest first)", levels[step - 1]),
                    level,
                ));
            }
        }
        Ok(Self { levels, scales: Vec::new() })
    }

    /// The same levels, with factors for the predicted noise, in the order of the levels.
    ///
    /// # Errors
    /// Not as many as levels, or one outside [`SCALES`].
    pub fn scaled(mut self, scales: impl Into<Vec<f64>>) -> Result<Self> {
        self.scales = scales.into();
        if self.scales.len() != self.steps() {
            let expected = format!("{} scales, as many as levels", self.steps());
            return Err(Error::mismatch("schedule", expected, self.scales.len()));
        }
        for (step, scale) in self.scales.iter().enumerate() {
            if !SCALES.contains(scale) {
                let (least, most) = (SCALES.start(), SCALES.end());
                let what = format!("schedule: scale of step {step}");
                return Err(Error::mismatch(what, format!("{least} to {most}"), scale));
            }
        }
        if self.scales.iter().all(|scale| *scale == 1.0) {
            self.scales.clear();
        }
        Ok(self)
    }

    /// From `betas` in the papers' order, beta_1 (the cleanest step) first:
    /// l_n = sqrt((1 - beta_1) … (1 - beta_n)).
    ///
    /// # Errors
    /// No beta, more than [`MAX_STEPS`], one outside (0, 1), or so small that it changes nothing.
    pub fn from_betas(betas: &[f64]) -> Result<Self> {
        check_steps(betas.len())?;
        let mut alpha_bar = 1.0;
        let mut levels = Vec::with_capacity(betas.len());
        for (n, &beta) in betas.iter().enumerate() {
            if !(beta > 0.0 && beta < 1.0) {
                return Err(Error::mismatch(
                    format!("schedule: beta_{}", n + 1),
                    "a number between 0 and 1, both excluded",
                    beta,
                ));
            }
            alpha_bar *= 1.0 - beta;
            levels.push(f64::sqrt(alpha_bar));
        }
        levels.reverse();
        Self::explicit(levels)
    }

    /// The betas of this schedule, beta_1 (the cleanest step) first. The inverse of
    /// [`Schedule::from_betas`].
    pub fn to_betas(&self) -> Vec<f64> {
        let cleaner = self.levels.iter().skip(1).chain(&[1.0]);
        let mut betas: Vec<f64> =
            self.levels.iter().zip(cleaner).map(|(l, s)| (1.0 - l / s) * (1.0 + l / s)).collect();
        betas.reverse();
        betas
    }

    /// Betas from `first_beta` to `last_beta` in equal steps, both included. WaveGrad trains with
    /// (1e-6, 0.01, 1000) and renders with (1e-4, 0.005, 1000) or (1e-4, 0.05, 50).
    ///
    /// # Errors
    /// As [`Schedule::from_betas`].
    pub fn linear(first_beta: f64, last_beta: f64, steps: usize) -> Result<Self> {
        check_steps(steps)?;
        Self::from_betas(&spaced(first_beta, last_beta, steps).collect::<Vec<_>>())
    }

    /// alpha_bar = cos^2(((t + 0.008) / 1.008) pi / 2) over its value at t = 0, at t = 1/N … 1, with
    /// no beta above 0.999 (Nichol & Dhariwal 2021, eq. 17).
    ///
    /// # Errors
    /// `steps` is not within 1 to [`MAX_STEPS`].
    pub fn cosine(steps: usize) -> Result<Self> {
        let f = |t: f64| ((t + 0.008) / 1.008 * std::f64::consts::FRAC_PI_2).cos().powi(2);
        Self::from_alpha_bar(steps, |t| f(t) / f(0.0))
    }

    /// alpha_bar falling along a logistic curve from -3 to 3, at t = 1/N … 1, with no beta above
    /// 0.999 (Jabri, Fleet & Chen 2022, algorithm 1 at their default start, end and tau).
    ///
    /// # Errors
    /// `steps` is not within 1 to [`MAX_STEPS`].
    pub fn sigmoid(steps: usize) -> Result<Self> {
        let logistic = |x: f64| 1.0 / (1.0 + (-x).exp());
        let (top, bottom) = (logistic(3.0), logistic(-3.0));
        Self::from_alpha_bar(steps, |t| (top - logistic(6.0 * t - 3.0)) / (top - bottom))
    }

    /// Betas 1e-6, 2e-6, 3e-6, 5e-6, …, each the sum of the two before it: WaveGrad's list for 25
    /// steps. Its first level is 0.848: see [`Schedule::tie_to_prior`].
    ///
    /// # Errors
    /// `steps` is 0, or above 29, where beta passes 1.
    pub fn fibonacci(steps: usize) -> Result<Self> {
        check_steps(steps)?;
        let betas = std::iter::successors(Some((1e-6, 2e-6)), |&(a, b)| Some((b, a + b)));
        Self::from_betas(&betas.map(|(beta, _)| beta).take(steps).collect::<Vec<_>>())
    }

    /// Levels from `first_level` to `last_level`, both included, uniform in lambda = ln(l / sigma).
    /// A single step has `first_level`.
    ///
    /// # Errors
    /// `steps` is not within 1 to [`MAX_STEPS`], or the levels are not 0 < first < last < 1.
    pub fn log_snr(steps: usize, first_level: f64, last_level: f64) -> Result<Self> {
        check_steps(steps)?;
        Self::explicit([first_level, last_level])?;
        let lambdas = spaced(lambda(first_level), lambda(last_level), steps);
        Self::explicit(lambdas.map(level_of_lambda).collect::<Vec<_>>())
    }

    /// Levels uniform in lambda from `first_level` on, for a chain that nobody tuned: to
    /// [`PLAIN_LAST_LEVEL`], or a little further where the chain begins near it.
    ///
    /// # Errors
    /// As [`Schedule::log_snr`].
    pub fn plain(steps: usize, first_level: f64) -> Result<Self> {
        let beyond = level_of_lambda(lambda(first_level) + 1.0);
        Self::log_snr(steps, first_level, PLAIN_LAST_LEVEL.max(beyond))
    }

    /// Number of steps, that is evaluations of the network.
    pub fn steps(&self) -> usize {
        self.levels.len()
    }

    /// The levels, noisiest first.
    pub fn levels(&self) -> &[f64] {
        &self.levels
    }

    /// The factor for the noise that is predicted at the level of step `step`; 1 where none is told.
    pub fn scale(&self, step: usize) -> f64 {
        self.scales.get(step).copied().unwrap_or(1.0)
    }

    /// The [scale](Schedule::scale) of each step, noisiest first.
    pub fn scales(&self) -> impl Iterator<Item = f64> + '_ {
        (0..self.steps()).map(|step| self.scale(step))
    }

    /// Whether some [scale](Schedule::scale) is not 1.
    pub fn has_scales(&self) -> bool {
        !self.scales.is_empty()
    }

    /// The level that step `step` (below [`Schedule::steps`]) moves to: the next one, or 1.
    pub fn target(&self, step: usize) -> f64 {
        self.levels.get(step + 1).copied().unwrap_or(1.0)
    }

    /// Variance by which the chain's start, pure unit noise, differs from what the first level
    /// claims: l_N^2 of unit-variance signal is missing, and the noise is l_N^2 too strong.
    pub fn prior_mismatch(&self) -> f64 {
        self.levels[0] * self.levels[0]
    }

    /// Whether unit noise passes for the first level, within [`MAX_PRIOR_MISMATCH`].
    pub fn matches_prior(&self) -> bool {
        self.prior_mismatch() <= MAX_PRIOR_MISMATCH
    }

    /// The same levels, without scales, stretched in lambda so that it begins at `first_level`; the last level
    /// stays. With `first_level` of 0.1 or less ([`FIRST_LEVEL`], say) the result matches the prior.
    ///
    /// The map is affine in lambda, so the proportions of its steps, which is what a list of few
    /// levels was tuned for, stay.
    ///
    /// # Errors
    /// `first_level` is not above 0 and (but for a single step) below the last level.
    pub fn tie_to_prior(&self, first_level: f64) -> Result<Self> {
        let last = lambda(self.levels[self.steps() - 1]);
        let stretch = (lambda(first_level) - last) / (lambda(self.levels[0]) - last);
        let mut levels = vec![first_level];
        levels.extend(
            self.levels[1..].iter().map(|&l| level_of_lambda(last + (lambda(l) - last) * stretch)),
        );
        Self::explicit(levels)
    }

    /// From alpha_bar as a falling function of time t in (0, 1], read at t = 1/N … 1.
    fn from_alpha_bar(steps: usize, alpha_bar: impl Fn(f64) -> f64) -> Result<Self> {
        const MAX_BETA: f64 = 0.999;
        check_steps(steps)?;
        let mut cleaner = 1.0;
        let mut levels = Vec::with_capacity(steps);
        for n in 1..=steps {
            let value = alpha_bar(n as f64 / steps as f64).max(cleaner * (1.0 - MAX_BETA));
            levels.push(value.sqrt());
            cleaner = value;
        }
        levels.reverse();
        Self::explicit(levels)
    }
}

fn check_steps(steps: usize) -> Result<()> {
    if (1..=MAX_STEPS).contains(&steps) {
        return Ok(());
    }
    Err(Error::mismatch("schedule", format!("1 to {MAX_STEPS} steps"), steps))
}

/// `count` numbers from `first` to `last`, both included; of one, `first`.
fn spaced(first: f64, last: f64, count: usize) -> impl Iterator<Item = f64> {
    let gaps = (count - 1).max(1) as f64;
    (0..count).map(move |i| first + (last - first) * i as f64 / gaps)
}

#[cfg(test)]
mod tests;
