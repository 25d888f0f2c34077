//! Levels by the noise scheduling of BDDM (Lam et al. 2022, arXiv 2203.13508, algorithm 3): from the
//! noisiest step down, each beta is a share of the greatest that it could be,
//!
//! ```text
//! alpha_{n-1} = alpha_n / sqrt(1 - beta_n)
//! beta_{n-1}  = min(1 - alpha_{n-1}^2, beta_n) ratio
//! ```
//!
//! and the first alpha and beta are those of a grid that serve clips best.
//!
//! Note: BDDM trains a second network to predict the ratio from the noisy signal. Here the voice's own
//! network tells it: the ratio is the mean square of the noise that it finds in noisy crops of the
//! recordings, the share of the noise that it can tell from the signal. That is near 1 under strong
//! noise, where steps stay long, and less the cleaner the signal, where they shorten. It is measured on
//! crops at each level, not on each clip's own chain.

use super::bound::{CLEANEST, CROPS, crops};
use crate::corpus::Clip;
use crate::objective::difference;
use candle_core::Device;
use vocoder::Result;
use vocoder::schedule::{FIRST_LEVEL, lambda, level_of_lambda};
use vocoder::voice::Voice;

/// Shares of the greatest first beta, 1 - alpha_N^2, that a search tries.
pub(super) const FIRST_SHARES: [f64; 5] = [0.1, 0.3, 0.5, 0.7, 0.9];

/// Points on which the ratio is measured.
const GRID: usize = 12;

/// A ratio of 1 would leave no noise for the steps that follow.
const GREATEST: f64 = 0.99;

/// The ratio as a function of the level.
pub(super) struct Ratios {
    /// Lambdas, rising.
    grid: Vec<f64>,
    ratios: Vec<f64>,
}

impl Ratios {
    /// Measures the ratios of `voice` on crops of `clips`.
    pub fn measure(voice: &Voice, device: &Device, clips: Vec<Clip>) -> Result<Self> {
        let (config, mut maker) = crops(voice, clips)?;
        let network = voice.network(device)?;
        let first = lambda(FIRST_LEVEL);
        let at = |i: usize| first + (CLEANEST - first) * i as f64 / (GRID - 1) as f64;
        let grid: Vec<f64> = (0..GRID).map(at).collect();
        let mut ratios = Vec::with_capacity(GRID);
        for &point in &grid {
            let batch = maker.make_even(CROPS, level_of_lambda(point))?;
            let off = difference(&network, &config, &batch)?.flatten_all()?.to_vec1::<f32>()?;
            let found = off.iter().zip(&batch.noise).map(|(off, e)| f64::from(off + e).powi(2));
            ratios.push((found.sum::<f64>() / off.len() as f64).clamp(1e-3, GREATEST));
        }
        Ok(Self { grid, ratios })
    }

    /// The levels of `steps` steps from level `first` on, whose first beta is `share` of the greatest:
    /// lambdas. None if they run into the clean signal.
    pub fn levels(&self, first: f64, share: f64, steps: usize) -> Option<Vec<f64>> {
        let (mut alpha, mut beta) = (first, (1.0 - first * first) * share);
        let mut lambdas = vec![lambda(first)];
        while lambdas.len() < steps {
            alpha /= (1.0 - beta).sqrt();
            beta = beta.min(1.0 - alpha * alpha) * self.at(lambda(alpha));
            let before = lambdas[lambdas.len() - 1];
            // What two neighbouring levels must lie apart, and the cleanest that training knows.
            if !(lambda(alpha) > before + 1e-3 && alpha < vocoder::schedule::LAST_LEVEL) {
                return None;
            }
            lambdas.push(lambda(alpha));
        }
        Some(lambdas)
    }

    /// The ratio at a lambda, linear between the points.
    fn at(&self, lambda: f64) -> f64 {
        let above = self.grid.partition_point(|l| *l < lambda);
        match (above.checked_sub(1), self.grid.get(above)) {
            (Some(below), Some(next)) => {
                let part = (lambda - self.grid[below]) / (next - self.grid[below]);
                self.ratios[below] + (self.ratios[above] - self.ratios[below]) * part
            }
            (None, _) => self.ratios[0],
            (Some(last), None) => self.ratios[last],
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn the_algorithm_by_hand() {
        // A ratio of 1/2 everywhere, alpha_3^2 = 0.1 and beta_3 = 0.5 0.9 = 0.45:
        // alpha_2^2 = 0.1 / 0.55 = 0.181818, beta_2 = min(0.818, 0.45) / 2 = 0.225,
        // alpha_1^2 = 0.181818 / 0.775 = 0.234604.
        let ratios = Ratios { grid: vec![-2.0, 3.0], ratios: vec![0.5, 0.5] };
        let lambdas = ratios.levels(0.1f64.sqrt(), 0.5, 3).unwrap();
        let squares: Vec<f64> = lambdas.iter().map(|l| level_of_lambda(*l).powi(2)).collect();
        for (found, expected) in squares.iter().zip([0.1, 0.181_818, 0.234_604]) {
            assert!((found - expected).abs() < 1e-5, "{squares:?}");
        }
    }

    #[test]
    fn ratios_are_read_between_the_points() {
        let ratios = Ratios { grid: vec![-1.0, 0.0, 2.0], ratios: vec![0.9, 0.5, 0.1] };
        for (lambda, expected) in [(-3.0, 0.9), (-0.5, 0.7), (0.0, 0.5), (1.0, 0.3), (9.0, 0.1)] {
            assert!((ratios.at(lambda) - expected).abs() < 1e-12, "{lambda}");
        }
    }
}
