//! The levels that are best by the likelihood bound: exact, by dynamic programming over measured
//! errors (Watson et al. 2021, arXiv 2106.03802, in the continuous form of Kingma et al. 2021).
//!
//! The bound is not the ear; its minimum is where a search may start. Levels are told by lambda, half
//! their log-SNR.

use crate::batch::BatchMaker;
use crate::config::TrainConfig;
use crate::corpus::Clip;
use crate::objective::difference;
use candle_core::Device;
use std::sync::Arc;
use vocoder::Result;
use vocoder::schedule::{FIRST_LEVEL, lambda, level_of_lambda};
use vocoder::voice::Voice;

/// Points of the grid that the error curve is measured on.
const GRID: usize = 48;

/// Lambda of the cleanest level that may be visited: noise at -39 dB of the signal.
pub(super) const CLEANEST: f64 = 4.5;

/// Lambda at which the bound's last jump ends.
const END: f64 = 5.0;

/// Crops on which the errors are measured.
pub(super) const CROPS: usize = 16;

/// Measured errors of a voice.
pub(super) struct Bound {
    /// Lambdas, rising.
    grid: Vec<f64>,
    /// Mean squared error of the predicted clean (whitened) signal at each.
    errors: Vec<f64>,
}

impl Bound {
    /// Measures the errors of `voice` on crops of `clips`.
    pub fn measure(voice: &Voice, device: &Device, clips: Vec<Clip>) -> Result<Self> {
        let first = lambda(FIRST_LEVEL);
        let grid: Vec<f64> =
            (0..GRID).map(|i| first + (CLEANEST - first) * i as f64 / (GRID - 1) as f64).collect();
        let errors = error_curve(voice, device, clips, &grid)?;
        Ok(Self { grid, errors })
    }

    /// The cheapest `steps` levels from the grid's point at or above `first` on, which becomes
    /// `first` itself.
    pub fn path(&self, first: f64, steps: usize) -> Vec<f64> {
        let from = self.grid.partition_point(|&l| l < first - 1e-9).min(self.grid.len() - 1);
        let mut path = cheapest_path(&self.grid[from..], &self.errors[from..], steps);
        path[0] = first;
        path
    }
}

/// Cuts and noises crops of `clips` as the training of `voice` did.
pub(super) fn crops(voice: &Voice, clips: Vec<Clip>) -> Result<(TrainConfig, BatchMaker)> {
    let mut config = TrainConfig::preset("speech-quarter")?;
    (config.model, config.mel) = (voice.model.clone(), voice.mel.clone());
    let crop = config.crop_frames * config.mel.hop;
    let clips: Vec<Clip> = clips.into_iter().filter(|clip| clip.samples.len() >= crop).collect();
    let maker = BatchMaker::new(&config, Arc::new(clips))?;
    Ok((config, maker))
}

/// Mean squared error of the predicted clean (whitened) signal at each point of the grid.
fn error_curve(voice: &Voice, device: &Device, clips: Vec<Clip>, grid: &[f64]) -> Result<Vec<f64>> {
    let (config, mut maker) = crops(voice, clips)?;
    let network = voice.network(device)?;
    grid.iter()
        .map(|&point| {
            let batch = maker.make_even(CROPS, level_of_lambda(point))?;
            let error = difference(&network, &config, &batch)?.sqr()?.mean_all()?;
            let error = f64::from(error.to_scalar::<f32>()?);
            // x0 - x0_hat = (sigma / l) (eps_hat - eps).
            Ok(error * (-2.0 * point).exp())
        })
        .collect()
}

/// The path of `steps` points that begins at the grid's first and has the least bound, by dynamic
/// programming: a jump from t to s costs (SNR_s - SNR_t) e(t) / 2, and the last one ends at [`END`].
fn cheapest_path(grid: &[f64], errors: &[f64], steps: usize) -> Vec<f64> {
    let snr = |point: f64| (2.0 * point).exp();
    let jump = |from: usize, to: f64| 0.5 * (snr(to) - snr(grid[from])) * errors[from];
    // costs[n][i]: least cost of a path of n + 1 points that ends at i, and the point before.
    let mut costs = vec![vec![(f64::INFINITY, 0); grid.len()]; steps.min(grid.len())];
    costs[0][0].0 = 0.0;
    for n in 1..costs.len() {
        for to in n..grid.len() {
            for from in n - 1..to {
                let cost = costs[n - 1][from].0 + jump(from, grid[to]);
                if cost < costs[n][to].0 {
                    costs[n][to] = (cost, from);
                }
            }
        }
    }
    let last = costs.len() - 1;
    let total = |i: usize| costs[last][i].0 + jump(i, END);
    let mut at = (0..grid.len()).min_by(|a, b| total(*a).total_cmp(&total(*b))).unwrap_or(0);
    let mut path = vec![grid[at]];
    for n in (1..=last).rev() {
        at = costs[n][at].1;
        path.push(grid[at]);
    }
    path.reverse();
    // More steps than points: the rest goes before the end.
    while path.len() < steps {
        let end = path.len() - 1;
        let before = end.checked_sub(1).map_or(path[end] - 1.0, |i| path[i]);
        path.insert(end, 0.5 * (before + path[end]));
    }
    path
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cheapest_path_is_the_cheapest_of_all() {
        let grid: Vec<f64> = (0..9).map(|i| -2.0 + 0.75 * f64::from(i)).collect();
        let errors: Vec<f64> = grid.iter().map(|l| 1.0 / (1.0 + (1.7 * l).exp())).collect();
        let snr = |l: f64| (2.0 * l).exp();
        let cost = |path: &[usize]| -> f64 {
            (0..path.len())
                .map(|n| {
                    let to = path.get(n + 1).map_or(END, |i| grid[*i]);
                    0.5 * (snr(to) - snr(grid[path[n]])) * errors[path[n]]
                })
                .sum()
        };
        for steps in 2..5usize {
            let found = cheapest_path(&grid, &errors, steps);
            let indices: Vec<usize> = found
                .iter()
                .filter_map(|l| grid.iter().position(|g| (g - l).abs() < 1e-12))
                .collect();
            assert_eq!((indices.len(), indices[0]), (steps, 0));
            // Every other path: choose steps - 1 of the eight later points.
            for choice in (0..256u32).filter(|c| c.count_ones() as usize == steps - 1) {
                let rest = (1..9).filter(|i| choice >> (i - 1) & 1 == 1);
                let path: Vec<usize> = std::iter::once(0).chain(rest).collect();
                assert!(cost(&indices) <= cost(&path) * (1.0 + 1e-12), "{indices:?} {path:?}");
            }
        }
    }

    #[test]
    fn more_steps_than_points_still_rise() {
        let errors = vec![0.1; 4];
        let path = cheapest_path(&[-2.0, 0.0, 2.0, 4.0], &errors, 7);
        assert_eq!(path.len(), 7);
        assert!(path.windows(2).all(|pair| pair[0] < pair[1]), "{path:?}");
    }
}
