//! What a noise level says of signal, noise and velocity, sample by sample (f64).
//!
//! alpha = l, sigma = sqrt(1 - l^2). The forward process is WaveGrad's (Chen et al. 2020, eq. 8);
//! v is the velocity of Salimans & Ho 2022. The levels are within (0, 1), both excluded.

use crate::schedule::sigma;

/// The forward process: x = alpha x0 + sigma eps.
pub fn forward(level: f64, x0: f64, eps: f64) -> f64 {
    level * x0 + sigma(level) * eps
}

/// x0 = (x - sigma eps) / alpha.
pub fn x0_from_eps(level: f64, x: f64, eps: f64) -> f64 {
    (x - sigma(level) * eps) / level
}

/// eps = (x - alpha x0) / sigma.
pub fn eps_from_x0(level: f64, x: f64, x0: f64) -> f64 {
    (x - level * x0) / sigma(level)
}

/// v = alpha eps - sigma x0.
pub fn v_from(level: f64, x0: f64, eps: f64) -> f64 {
    level * eps - sigma(level) * x0
}

/// x0 = alpha x - sigma v.
pub fn x0_from_v(level: f64, x: f64, v: f64) -> f64 {
    level * x - sigma(level) * v
}

/// eps = sigma x + alpha v.
pub fn eps_from_v(level: f64, x: f64, v: f64) -> f64 {
    sigma(level) * x + level * v
}

/// score = -eps / sigma, the gradient of ln p(x) (Song et al. 2021, eq. 5 in this notation).
pub fn score_from_eps(level: f64, eps: f64) -> f64 {
    -eps / sigma(level)
}

/// eps = -sigma score.
pub fn eps_from_score(level: f64, score: f64) -> f64 {
    -sigma(level) * score
}

/// x0 = (x + sigma^2 score) / alpha (Tweedie's formula).
pub fn x0_from_score(level: f64, x: f64, score: f64) -> f64 {
    (x + sigma(level).powi(2) * score) / level
}

/// The mean of WaveGrad's reverse step (Chen et al. 2020, Algorithm 2; Ho et al. 2020, eq. 11):
/// (x - (1 - a) / sigma eps) / sqrt(a), with a = 1 - beta of the step.
pub fn posterior_mean(level: f64, one_minus_beta: f64, x: f64, eps: f64) -> f64 {
    (x - (1.0 - one_minus_beta) / sigma(level) * eps) / one_minus_beta.sqrt()
}
