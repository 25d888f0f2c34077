//! Learns the noise levels that suit a voice, for a number of steps.
//!
//! The start is the best of two kinds of candidates: the exact minimum of the likelihood bound over
//! paths on a grid, by dynamic programming over measured errors (Watson et al. 2021, arXiv
//! 2106.03802, in the continuous form of Kingma et al. 2021), and a family of curves in lambda, half
//! the log-SNR. Coordinate descent then moves single levels. Candidates are judged by their sound:
//! the distance of rendered clips from their recordings, all with the same noise. The first level
//! stays where unit noise is what the network expects.

use crate::batch::BatchMaker;
use crate::config::TrainConfig;
use crate::corpus::Clip;
use crate::objective::difference;
use candle_core::Device;
use std::sync::Arc;
use vocoder::engine::Precision;
use vocoder::mel::{Mel, MelExtractor};
use vocoder::metrics;
use vocoder::render::{Renderer, Settings};
use vocoder::sampler::{Clip as Clipping, SamplerKind};
use vocoder::schedule::{FIRST_LEVEL, Schedule, lambda, level_of_lambda};
use vocoder::voice::Voice;
use vocoder::{Error, Result};

/// Points of the grid that the error curve is measured on.
const GRID: usize = 48;

/// Half log-SNR of the cleanest level that may be visited: noise at -39 dB of the signal.
const CLEANEST: f64 = 4.5;

/// Half log-SNR at which the bound's last jump ends.
const END: f64 = 5.0;

/// Crops on which the errors are measured.
const CROPS: usize = 16;

/// Most steps for which single levels are moved; above, the family is dense enough.
const MOST_MOVED: usize = 12;

/// Seconds of a clip that a candidate renders.
const CLIP_SECONDS: usize = 2;

/// A learned schedule.
#[derive(Debug, Clone)]
pub struct Learned {
    /// The levels.
    pub schedule: Schedule,
    /// Distance of the clips rendered with it: LS-MAE plus MR-STFT.
    pub distance: f64,
    /// The same for the likelihood bound's minimum, before anything was rendered.
    pub bound_distance: f64,
    /// The same for levels equally spaced in log-SNR.
    pub plain_distance: f64,
}

/// What schedules for one voice are learned from.
pub struct Learner<'a> {
    voice: &'a Voice,
    device: Device,
    sampler: SamplerKind,
    clips: Vec<(Vec<f32>, Mel)>,
    /// Mean squared error of the predicted clean signal at each point of the grid.
    errors: Vec<f64>,
}

impl<'a> Learner<'a> {
    /// Measures the error curve of `voice` on `clips`, and prepares up to `renders` of them to judge
    /// candidates by.
    ///
    /// # Errors
    /// No clip of at least two seconds; a device that fails.
    pub fn new(
        voice: &'a Voice,
        device: &Device,
        sampler: SamplerKind,
        clips: Vec<Clip>,
        renders: usize,
    ) -> Result<Self> {
        let mut extractor = MelExtractor::new(&voice.mel)?;
        let length = CLIP_SECONDS * voice.mel.sample_rate as usize;
        let mut judged = Vec::new();
        let long: Vec<&Clip> = clips.iter().filter(|clip| clip.samples.len() >= length).collect();
        for clip in long.iter().step_by(long.len().div_ceil(renders.max(1)).max(1)) {
            // The middle: clips begin and end in silence.
            let from = (clip.samples.len() - length) / 2;
            let samples: Vec<f32> =
                clip.samples[from..from + length].iter().map(|v| f32::from(*v) / 32767.0).collect();
            let mel = extractor.extract(&samples)?;
            judged.push((samples, mel));
        }
        if judged.is_empty() {
            return Err(Error::mismatch(
                "data to learn a schedule from",
                format!("at least one clip of {CLIP_SECONDS} s or more"),
                format!("{} clips, all shorter", clips.len()),
            ));
        }
        let errors = error_curve(voice, device, clips)?;
        Ok(Learner { voice, device: device.clone(), sampler, clips: judged, errors })
    }

    /// Learns the levels for `steps` steps. `observe` hears of each candidate: its distance, and
    /// the best so far.
    ///
    /// # Errors
    /// No steps, or more than a schedule can have; a device that fails.
    pub fn learn(&self, steps: usize, mut observe: impl FnMut(f64, f64)) -> Result<Learned> {
        let first = lambda(FIRST_LEVEL);
        if steps == 1 {
            // Nothing to choose: the only level is the prior's.
            let schedule = Schedule::explicit(vec![FIRST_LEVEL])?;
            let distance = self.distance(&schedule)?;
            return Ok(Learned {
                schedule,
                distance,
                bound_distance: distance,
                plain_distance: distance,
            });
        }
        let bound = cheapest_path(&grid(), &self.errors, steps);
        let bound_distance = self.distance(&of_lambdas(&bound)?)?;
        observe(bound_distance, bound_distance);
        let mut best = (bound, bound_distance);
        let mut plain_distance = f64::INFINITY;
        for last in [1.5, 2.25, 3.0, 3.75, CLEANEST] {
            for bend in [0.7, 1.0, 1.4] {
                let lambdas: Vec<f64> = (0..steps)
                    .map(|i| {
                        let part = (i as f64 / (steps - 1) as f64).powf(bend);
                        first + (last - first) * part
                    })
                    .collect();
                let distance = self.distance(&of_lambdas(&lambdas)?)?;
                if bend == 1.0 && last == CLEANEST {
                    plain_distance = distance;
                }
                if distance < best.1 {
                    best = (lambdas, distance);
                }
                observe(distance, best.1);
            }
        }
        if steps <= MOST_MOVED {
            for share in [0.4, 0.2] {
                self.move_levels(&mut best, share, &mut observe)?;
            }
        }
        let schedule = of_lambdas(&best.0)?;
        Ok(Learned { schedule, distance: best.1, bound_distance, plain_distance })
    }

    /// Tries to move each level but the first by `share` of the way to its neighbours.
    fn move_levels(
        &self,
        best: &mut (Vec<f64>, f64),
        share: f64,
        observe: &mut impl FnMut(f64, f64),
    ) -> Result<()> {
        for i in 1..best.0.len() {
            for up in [true, false] {
                let here = best.0[i];
                let neighbour =
                    if up { best.0.get(i + 1).copied().unwrap_or(END) } else { best.0[i - 1] };
                let mut lambdas = best.0.clone();
                lambdas[i] = here + (neighbour - here) * share;
                let distance = self.distance(&of_lambdas(&lambdas)?)?;
                if distance < best.1 {
                    *best = (lambdas, distance);
                }
                observe(distance, best.1);
            }
        }
        Ok(())
    }

    /// Mean of LS-MAE plus MR-STFT over the clips rendered by `schedule`.
    fn distance(&self, schedule: &Schedule) -> Result<f64> {
        let settings = Settings {
            schedule: schedule.clone(),
            sampler: self.sampler,
            clip: Clipping::Signal(1.0),
            start: self.voice.start,
            seed: 0,
            chunk_frames: 1000,
            polish: self.voice.polish,
            precision: Precision::Auto,
        };
        let mut renderer = Renderer::new(self.voice, &self.device, settings)?;
        let mut total = 0.0;
        for (recording, mel) in &self.clips {
            let mut sound = renderer.render(mel)?;
            sound.truncate(recording.len());
            let (ls_mae, _) = metrics::log_spectral(recording, &sound)?;
            total += ls_mae + metrics::mr_stft(recording, &sound);
        }
        Ok(total / self.clips.len() as f64)
    }
}

/// Points of the grid, from the prior's level to the cleanest.
fn grid() -> Vec<f64> {
    let first = lambda(FIRST_LEVEL);
    (0..GRID).map(|i| first + (CLEANEST - first) * i as f64 / (GRID - 1) as f64).collect()
}

fn of_lambdas(lambdas: &[f64]) -> Result<Schedule> {
    Schedule::explicit(lambdas.iter().map(|l| level_of_lambda(*l)).collect::<Vec<f64>>())
}

/// Mean squared error of the predicted clean (whitened) signal at each point of the grid.
fn error_curve(voice: &Voice, device: &Device, clips: Vec<Clip>) -> Result<Vec<f64>> {
    let mut config = TrainConfig::preset("speech-quarter")?;
    (config.model, config.mel) = (voice.model.clone(), voice.mel.clone());
    let crop = config.crop_frames * config.mel.hop;
    let clips: Vec<Clip> = clips.into_iter().filter(|clip| clip.samples.len() >= crop).collect();
    let mut maker = BatchMaker::new(&config, Arc::new(clips))?;
    let network = voice.network(device)?;
    grid()
        .into_iter()
        .map(|point| {
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
    // More steps than points: the rest goes between the last two.
    while path.len() < steps {
        let end = path.len() - 1;
        path.insert(end, 0.5 * (path[end - 1] + path[end]));
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
