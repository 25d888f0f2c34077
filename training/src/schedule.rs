//! Learns the noise levels that suit a voice and its start, for a number of steps.
//!
//! Candidates are judged by their sound: the [distance](Distance) of held-out clips rendered with
//! them from the recordings, all with the same noise. A search descends from the best of a few
//! seeds: the minimum of the likelihood bound, levels evenly spaced in log-SNR, what was learned for
//! another number of steps, and everybody else's schedules ([`rivals()`]). The first level is free, too,
//! unless it is held: a chain that starts from noise at a level of which the network expects signal
//! breaks the promise that the start makes ([prior mismatch](vocoder::schedule)), and a network that is
//! far from converged may sound better so than by long steps through levels that it has hardly learned.
//! What the learner finds says which. So are the [scales](Schedule::scale) of the predicted noise, unless they are
//! held at 1: levels alone trade disturbance for weak bands that are too weak, scales mend these.

mod bilateral;
mod bound;
mod judge;
mod rivals;
mod search;

use crate::corpus::Clip;
use bilateral::{FIRST_SHARES, Ratios};
use bound::{Bound, CLEANEST};
use candle_core::Device;
use judge::Judge;
pub use judge::{CLIP_SECONDS, Distance};
pub use rivals::rivals;
pub use search::Held;
use search::{Candidate, Found, descend};
use std::sync::OnceLock;
use vocoder::engine::Precision;
use vocoder::griffin_lim::GriffinLim;
use vocoder::render::{Polish, Renderer, Settings};
use vocoder::sampler::{Clip as Clipping, SamplerKind};
use vocoder::schedule::{FIRST_LEVEL, Schedule, lambda};
use vocoder::start::Start;
use vocoder::voice::Voice;
use vocoder::{Error, Result};

/// First levels that a search from Griffin-Lim's sound tries.
const FIRST_LEVELS: [f64; 6] = [0.6, 0.8, 0.9, 0.96, 0.99, 0.998];

/// First levels that a search from noise tries.
const FROM_NOISE: [f64; 5] = [0.2, 0.4, 0.6, 0.75, 0.9];

/// Last levels, as lambda, that a search tries.
const LASTS: [f64; 6] = [1.0, 1.5, 2.25, 3.0, 3.75, CLEANEST];

/// Strides of the search in lambda.
const STRIDES: [f64; 4] = [0.8, 0.4, 0.2, 0.1];

/// A learned schedule.
#[derive(Debug, Clone)]
pub struct Learned {
    /// The levels.
    pub schedule: Schedule,
    /// Distance of the clips rendered with it.
    pub distance: Distance,
    /// Candidates that were rendered.
    pub tried: usize,
}

/// What schedules for one voice are learned from.
pub struct Learner<'a> {
    voice: &'a Voice,
    device: Device,
    sampler: SamplerKind,
    start: Start,
    held: Held,
    judge: Judge,
    clips: Vec<Clip>,
    /// Measured when it is first asked for.
    bound: OnceLock<Bound>,
    ratios: OnceLock<Ratios>,
}

impl<'a> Learner<'a> {
    /// Prepares up to `renders` of `clips` to judge candidates by. Chains start at `start`, whose level is
    /// where the search begins, and stays if the first level is held.
    ///
    /// # Errors
    /// No clip of at least two seconds; a device that fails.
    pub fn new(
        voice: &'a Voice,
        device: &Device,
        (sampler, start, held): (SamplerKind, Start, Held),
        clips: Vec<Clip>,
        renders: usize,
    ) -> Result<Self> {
        start.validate()?;
        let judge = Judge::new(&voice.mel, &clips, renders)?;
        let (device, bound, ratios) = (device.clone(), OnceLock::new(), OnceLock::new());
        Ok(Learner { voice, device, sampler, start, held, judge, clips, bound, ratios })
    }

    /// Learns the levels for `steps` steps, from `neighbour` on if there is one: a schedule that was
    /// learned for another number, or for this one, than which what is learned is then no worse.
    /// `observe` hears of each candidate: how many there were, and the least distance so far; if it says
    /// false, learning ends with [`Error::Stopped`].
    ///
    /// # Errors
    /// No steps, or more than a schedule can have; a device that fails.
    pub fn learn(
        &self,
        steps: usize,
        neighbour: Option<&Schedule>,
        mut observe: impl FnMut(usize, f64) -> bool,
    ) -> Result<Learned> {
        let neighbour = neighbour.filter(|n| !self.held.first || self.begins(n));
        let (mut tried, mut least) = (0, f64::INFINITY);
        let mut distance = |candidate: &Candidate| {
            let distance = self.distance(&candidate.schedule()?)?.total;
            tried += 1;
            least = least.min(distance);
            if observe(tried, least) { Ok(distance) } else { Err(Error::Stopped) }
        };
        let mut best: Option<Found> = None;
        let (known, neighbour) = match neighbour {
            Some(known) if known.steps() == steps => (Some(self.held.candidate(known)), None),
            neighbour => (None, neighbour),
        };
        let seeds = self.seeds(steps, neighbour)?.into_iter().map(Candidate::plain);
        for candidate in known.into_iter().chain(seeds) {
            let distance = distance(&candidate)?;
            if best.as_ref().is_none_or(|best| distance < best.distance) {
                best = Some(Found { candidate, distance });
            }
        }
        let mut best =
            best.ok_or_else(|| Error::mismatch("schedule", "at least one step", steps))?;
        descend(&mut best, self.held, &STRIDES, &mut distance)?;
        let schedule = best.candidate.schedule()?;
        Ok(Learned { distance: self.distance(&schedule)?, schedule, tried })
    }

    /// The distance of the clips rendered with `schedule`.
    ///
    /// # Errors
    /// A device that fails.
    pub fn distance(&self, schedule: &Schedule) -> Result<Distance> {
        self.judge.distance(&self.sounds(schedule)?)
    }

    /// The clips rendered with `schedule`, at [`SAMPLE_RATE`](vocoder::metrics::SAMPLE_RATE).
    ///
    /// # Errors
    /// A device that fails.
    pub fn sounds(&self, schedule: &Schedule) -> Result<Vec<Vec<f32>>> {
        self.judge.sounds(|mel| {
            let settings = Settings {
                schedule: schedule.clone(),
                sampler: self.sampler,
                guidance: 1.0,
                clip: Clipping::Signal(1.0),
                start: self.start,
                seed: 0,
                chunk_frames: 1000,
                // Levels make no difference to what trials find, and these cost many times the chain.
                polish: Polish::Clip { rounds: self.voice.polish, trials: 0 },
                precision: Precision::Auto,
            };
            Renderer::new(self.voice, &self.device, settings)?.render(mel)
        })
    }

    /// The recordings of the clips, as [`Learner::sounds`].
    pub fn recordings(&self) -> impl Iterator<Item = &[f32]> {
        self.judge.recordings()
    }

    /// The distance of what [`Learner::sounds`] or [`Learner::griffin_lim`] made.
    ///
    /// # Errors
    /// Sounds that are not finite.
    pub fn judge(&self, sounds: &[Vec<f32>]) -> Result<Distance> {
        self.judge.distance(sounds)
    }

    /// The same clips by Griffin-Lim alone, with as many rounds as the start has.
    ///
    /// # Errors
    /// None that a learner would not have had before.
    pub fn griffin_lim(&self) -> Result<Vec<Vec<f32>>> {
        let iterations = match self.start {
            Start::GriffinLim { iterations, .. } => iterations,
            Start::Noise | Start::Given => GriffinLim::default().iterations,
        };
        let search = GriffinLim { iterations, ..GriffinLim::default() };
        self.judge.sounds(|mel| search.render(mel))
    }

    /// The schedule that the voice would use for `steps` steps if none were learned.
    ///
    /// # Errors
    /// No steps, or more than a schedule can have.
    pub fn even(&self, steps: usize) -> Result<Schedule> {
        Schedule::plain(steps, first_level(self.start))
    }

    /// The best of `candidates` schedules of a grid search in the manner of WaveGrad (Chen et al. 2020,
    /// appendix B, in the order of lmnt-com/wavegrad): betas m_n 10^e_n, the exponents e_n evenly
    /// spaced from -6 to -1 and the digits m_n, 1 to 9, by chance, which here is the same each time.
    /// Judged as everything else here. None if no draw made a schedule.
    ///
    /// # Errors
    /// A device that fails.
    pub fn grid_search(&self, steps: usize, candidates: usize) -> Result<Option<Schedule>> {
        let mut best: Option<(f64, Schedule)> = None;
        for candidate in 0..candidates {
            let betas: Vec<f64> = (0..steps)
                .map(|n| {
                    let exponent = -6.0 + 5.0 * n as f64 / (steps.max(2) - 1) as f64;
                    digit(candidate * steps + n) * 10f64.powf(exponent)
                })
                .collect();
            let schedule = Schedule::from_betas(&betas)?;
            let distance = self.distance(&schedule)?.total;
            if best.as_ref().is_none_or(|(least, _)| distance < *least) {
                best = Some((distance, schedule));
            }
        }
        Ok(best.map(|(_, schedule)| schedule))
    }

    /// The best of the schedules of `steps` steps that BDDM's algorithm makes from a grid of first levels
    /// and first betas, as its authors search (Lam et al. 2022, section 3.3). None if it makes none.
    ///
    /// # Errors
    /// A device that fails.
    pub fn bilateral(&self, steps: usize) -> Result<Option<Schedule>> {
        if self.ratios.get().is_none() {
            let measured = Ratios::measure(self.voice, &self.device, self.clips.clone())?;
            _ = self.ratios.set(measured);
        }
        let Some(ratios) = self.ratios.get() else { return Ok(None) };
        let firsts = match self.start {
            Start::Noise | Start::Given => [&[FIRST_LEVEL][..], &FROM_NOISE].concat(),
            Start::GriffinLim { level, .. } => vec![level],
        };
        let mut best: Option<(f64, Schedule)> = None;
        for first in firsts {
            for share in FIRST_SHARES {
                let Some(lambdas) = ratios.levels(first, share, steps) else { continue };
                let schedule = Candidate::plain(lambdas).schedule()?;
                let distance = self.distance(&schedule)?.total;
                if best.as_ref().is_none_or(|(least, _)| distance < *least) {
                    best = Some((distance, schedule));
                }
            }
        }
        Ok(best.map(|(_, schedule)| schedule))
    }

    fn bound(&self) -> Result<&Bound> {
        if let Some(bound) = self.bound.get() {
            return Ok(bound);
        }
        let measured = Bound::measure(self.voice, &self.device, self.clips.clone())?;
        Ok(self.bound.get_or_init(|| measured))
    }

    /// Whether `schedule` begins where the start is tied to.
    fn begins(&self, schedule: &Schedule) -> bool {
        (lambda(first_level(self.start)) - lambda(schedule.levels()[0])).abs() < 1e-6
    }

    /// Where the search may start from: lambdas.
    fn seeds(&self, steps: usize, neighbour: Option<&Schedule>) -> Result<Vec<Vec<f64>>> {
        let even = |first: f64, last: f64, bend: f64| -> Vec<f64> {
            let part = |i: usize| (i as f64 / (steps.max(2) - 1) as f64).powf(bend);
            (0..steps).map(|i| first + (last - first) * part(i)).collect()
        };
        // What is used without learning: the result is never worse.
        let unlearned = self.even(steps)?;
        let mut seeds = vec![unlearned.levels().iter().map(|l| lambda(*l)).collect()];
        let mut firsts = vec![first_level(self.start)];
        if !self.held.first && neighbour.is_none() {
            firsts.extend(match self.start {
                Start::Noise | Start::Given => &FROM_NOISE[..],
                Start::GriffinLim { .. } => &FIRST_LEVELS,
            });
        }
        if let Some(neighbour) = neighbour {
            // Where the first level is free, the neighbour has found it.
            firsts = vec![neighbour.levels()[0]];
            let lambdas: Vec<f64> = neighbour.levels().iter().map(|l| lambda(*l)).collect();
            let last = lambdas[lambdas.len() - 1].max(lambdas[0] + 1.0).min(CLEANEST);
            seeds.push(match lambdas.len() {
                1 => even(lambdas[0], last.max(lambdas[0] + 0.1), 1.0),
                _ => resampled(&lambdas, steps),
            });
        }
        for (_, rival) in rivals(steps, self.start)? {
            let rival =
                if self.held.first { rival.tie_to_prior(first_level(self.start))? } else { rival };
            seeds.push(rival.levels().iter().map(|l| lambda(*l)).collect());
        }
        // BDDM's takes a search of its own, which a free first level makes worth while.
        if !self.held.first && self.start == Start::Noise && neighbour.is_none() {
            let found = self.bilateral(steps)?;
            seeds.extend(found.map(|s| s.levels().iter().map(|l| lambda(*l)).collect()));
        }
        for first in firsts.into_iter().map(lambda) {
            if steps == 1 {
                seeds.push(vec![first]);
                continue;
            }
            let bends: &[f64] = if self.held.first { &[0.7, 1.0, 1.4] } else { &[1.0] };
            for last in LASTS.into_iter().filter(|l| *l > first + 0.5) {
                // From Griffin-Lim's sound the first level matters more than the last.
                if self.held.first || last == 3.0 || last == CLEANEST {
                    seeds.extend(bends.iter().map(|bend| even(first, last, *bend)));
                }
            }
            if first < CLEANEST - 1.0 {
                seeds.push(self.bound()?.path(first, steps));
            }
        }
        Ok(seeds)
    }
}

/// A digit from 1 to 9 that looks like chance: SplitMix64 (Steele et al. 2014) of `index`.
fn digit(index: usize) -> f64 {
    let mut z = (index as u64 + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    ((z ^ (z >> 31)) % 9 + 1) as f64
}

/// The first level of schedules that were not learned for `start`.
fn first_level(start: Start) -> f64 {
    match start {
        Start::Noise | Start::Given => FIRST_LEVEL,
        Start::GriffinLim { level, .. } => level,
    }
}

/// `lambdas` (two or more) read at `count` evenly spaced places, ends included; of one, the first.
fn resampled(lambdas: &[f64], count: usize) -> Vec<f64> {
    let last = lambdas.len() - 1;
    (0..count)
        .map(|i| {
            let at = (i * last) as f64 / (count.max(2) - 1) as f64;
            let below = (at as usize).min(last - 1);
            lambdas[below] + (lambdas[below + 1] - lambdas[below]) * (at - below as f64)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_are_all_drawn_about_equally_often() {
        for wanted in 1..=9 {
            let count = (0..900).filter(|&i| digit(i) == f64::from(wanted)).count();
            assert!((70..=130).contains(&count), "{wanted}: {count}");
        }
    }

    #[test]
    fn resampling_keeps_the_ends_and_the_shape() {
        let lambdas = [-1.0, 0.0, 3.0];
        assert_eq!(resampled(&lambdas, 3), lambdas);
        assert_eq!(resampled(&lambdas, 5), [-1.0, -0.5, 0.0, 1.5, 3.0]);
        assert_eq!(resampled(&lambdas, 2), [-1.0, 3.0]);
        assert_eq!(resampled(&lambdas, 1), [-1.0]);
    }
}
