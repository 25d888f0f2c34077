//! Trials in the low band: other phases, kept where they fit the mel better.
//!
//! The search of [`search`](super::search) descends into the valley that it begins in. What it is off by there
//! is little, and yet most phases are not the recording's: there are many valleys. But in its low bands a mel
//! has more values than the sound has samples, and hardly any other sound than the recording's low band fits
//! them all: what a voice's pitch is heard by can be found. So trials go on, from valley to valley: something is
//! changed in a few frames, the frames about them are searched, and if these fit better than before, they stay.
//! What is changed is, in turn, the frames that fit worst, stirred with noise, and the angle of a part of the
//! sound ([`turn`]). A trial changes the samples of one tile alone, so that tiles which share no frame go side by
//! side ([`plan`]), and what is kept is an improvement of the whole.

mod plan;
mod running;
mod turn;
mod worker;

use std::ops::Range;
use std::sync::Mutex;

use super::GriffinLim;
use super::low_band::LowBand;
use crate::mel::Mel;
use crate::noise::Noise;
use crate::stft::DecimatedStft;
use plan::Plan;
use running::Running;
use worker::Worker;

/// Frames from one tile to the next, where frames are stirred.
const TILE: usize = 24;

/// Frames from one tile to the next, where a part is turned: a syllable or two.
const TURN_TILE: usize = 60;

/// How far each sweep's tiles lie beside those of the sweep before, in frames: no divisor of a tile's, so that
/// their ends move.
const STRIDE: usize = 11;

/// Frames that are stirred, about the one of the tile that fits worst.
const STIRRED: usize = 6;

/// Noise that they are stirred with, next to their own magnitudes.
const STIR: f32 = 4.0;

/// Tiles that fit better than the mean by this factor are left alone: 60 sweeps take half of the time and
/// find as much.
const PASSABLE: f32 = 0.5;

/// By how much a trial of the first sweep may fit worse and be kept, as a part of what was: a few steps
/// down are found by a step up. The last sweep keeps what is better, and nothing else.
const SLACK: f32 = 0.1;

/// Misfits count next to a frame's own mean square, and this part of the loudest frame's (-30 dB): of what is
/// quieter than that phases are not heard.
const QUIET: f32 = 1e-3;

/// The search for the low band of one clip. Samples are those of the padded clip, of which the band keeps one
/// in [`LowBand::factor`].
pub(super) struct Trials {
    band: LowBand,
    stft: DecimatedStft,
    sound: Vec<f32>,
    /// `[frames][bands]`: see [`MelInverse::target`](super::MelInverse::target).
    targets: Vec<f32>,
    /// `[frames]`: see [`Aim::begin`](super::aim::Aim::begin).
    weights: Vec<f32>,
    /// Of the sound, for [`DecimatedStft::add`].
    gains: Vec<f32>,
    /// `[frames]`: what squares of misfits are multiplied with.
    scales: Vec<f32>,
    /// `[frames]`: how far the sound is off the mel.
    misfits: Vec<f32>,
    noise: Noise,
    momentum: f32,
    /// One a thread, which alone locks it.
    workers: Vec<Mutex<Worker>>,
}

/// A part of the clip that one trial changes.
struct Tile {
    /// Frames of the clip, each of one tile of a sweep.
    own: Range<usize>,
    /// Those whose windows lie on its samples: its own, and as many of the next tile's as a window is long.
    frames: Range<usize>,
    /// None where most of them are held.
    samples: Range<usize>,
}

/// What a search of a tile begins with.
enum Change {
    /// What there is.
    Nothing,
    /// These frames, stirred with the noise of a stream.
    Stir { frames: Range<usize>, stream: u64 },
    /// A [`Turn`](turn::Turn) drawn with the noise of a stream.
    Turn { stream: u64 },
}

/// A trial worth keeping.
struct Found {
    samples: Vec<f32>,
    misfits: Vec<f32>,
}

impl Trials {
    /// Trials from `padded`, a sound near `mel`; none where the mel's low bands are too few, or where a window is
    /// longer than a tile: every other tile would share frames.
    pub fn new(settings: &GriffinLim, mel: &Mel, padded: &[f32]) -> Option<Self> {
        let config = &mel.config;
        let band = LowBand::of(config).filter(|_| config.window <= TILE * config.hop)?;
        let stft = DecimatedStft::new(config.n_fft, config.hop, config.window, band.factor);
        let mut worker = Worker::new(config, &band);
        let workers = 0..rayon::current_num_threads();
        let workers = workers.map(|_| Mutex::new(Worker::new(config, &band))).collect();
        let mut targets = vec![0.0; mel.frames * band.bands];
        let rows = targets.chunks_exact_mut(band.bands).enumerate();
        let weights: Vec<f32> =
            rows.map(|(frame, target)| worker.begin(mel.frame(frame), target)).collect();
        let sound = band.take(padded);
        let squares = || weights.iter().map(|weight| weight.powi(-2));
        let loudest = squares().fold(0.0, f32::max);
        let mut trials = Self {
            gains: stft.gains(&weights, sound.len()),
            scales: squares().map(|square| 1.0 / (square + QUIET * loudest)).collect(),
            misfits: Vec::new(),
            band,
            stft,
            sound,
            targets,
            weights,
            noise: Noise::new(settings.seed),
            momentum: settings.momentum,
            workers,
        };
        trials.misfits =
            (0..mel.frames).map(|frame| worker.misfit(&trials, &trials.sound, 0, frame)).collect();
        Some(trials)
    }

    /// Searches all frames, and then tries `sweeps` times about each that fits badly. The first `held` samples
    /// of the padded clip stay as they are.
    pub fn run(&mut self, sweeps: usize, held: usize) {
        let held = held.div_ceil(self.band.factor);
        let plan = Plan::new((0..=sweeps).map(|sweep| self.tiles(sweep, held)));
        let (sound, misfits) = (std::mem::take(&mut self.sound), std::mem::take(&mut self.misfits));
        (self.sound, self.misfits) = Running::new(self, &plan, sound, misfits).run();
    }

    /// Brings what has changed to `padded`, the sound at its full rate.
    pub fn put(&self, padded: &mut [f32]) {
        let mut change = self.band.take(padded);
        change.iter_mut().zip(&self.sound).for_each(|(x, sound)| *x = sound - *x);
        self.band.put(&change, padded);
    }

    fn target(&self, frame: usize) -> &[f32] {
        &self.targets[frame * self.band.bands..(frame + 1) * self.band.bands]
    }

    /// The tiles of a sweep, in order.
    fn tiles(&self, sweep: usize, held: usize) -> Vec<Tile> {
        let long = length(sweep);
        let offset = sweep * STRIDE % long;
        let count = (self.weights.len() + offset).div_ceil(long);
        let own = |index: usize| (index * long).saturating_sub(offset)..(index + 1) * long - offset;
        (0..count).map(|index| self.tile(own(index), held)).collect()
    }

    /// The tile of the frames `own`, as far as there are so many.
    fn tile(&self, own: Range<usize>, held: usize) -> Tile {
        let frames = self.weights.len();
        let (first, end) = (own.start, own.end.min(frames));
        let span = |frame| self.stft.span(frame);
        // From where the window of the frame before ends, so that tiles lie side by side.
        let from = if first == 0 { 0 } else { span(first - 1).end };
        let to = if end == frames { self.sound.len() } else { span(end - 1).end };
        let last = (end..frames).take_while(|frame| span(*frame).start < to).last();
        let samples = if held > usize::midpoint(from, to) { to..to } else { from.max(held)..to };
        Tile { own: first..end, frames: first..last.map_or(end, |last| last + 1), samples }
    }
}

/// Of a sweep's tiles, in frames; odd ones turn.
fn length(sweep: usize) -> usize {
    if sweep % 2 == 1 { TURN_TILE } else { TILE }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::griffin_lim::{Hold, padded, tests::sound};
    use crate::mel::{MelConfig, MelExtractor};

    /// The mel of a gliding tone, the tone itself and what a search from noise makes of the mel, padded.
    fn clip(config: &MelConfig) -> (Mel, [Vec<f32>; 2]) {
        let mut tone = sound(config);
        let mel = MelExtractor::new(config).unwrap().extract(&tone).unwrap();
        tone.resize(mel.frames * config.hop, 0.0);
        let search = GriffinLim { hold: Hold::Mel, ..GriffinLim::default() };
        let found = search.render(&mel).unwrap();
        let sounds = [padded(config, &tone), padded(config, &found)];
        (mel, sounds)
    }

    #[test]
    fn a_sound_fits_its_own_mel_but_at_the_ends() {
        for name in MelConfig::PRESETS {
            let config = MelConfig::preset(name).unwrap();
            let (mel, [tone, found]) = clip(&config);
            let inner = |padded: &[f32]| {
                let trials = Trials::new(&GriffinLim::default(), &mel, padded).unwrap();
                trials.misfits[8..mel.frames - 8].iter().sum::<f32>()
            };
            let (right, wrong) = (inner(&tone), inner(&found));
            assert!(right < 0.02 * wrong, "{name}: {right} of the tone, {wrong} of what is found");
        }
    }

    #[test]
    fn a_window_longer_than_a_tile_has_none() {
        for (hop, some) in [(50, true), (49, false)] {
            let config = MelConfig { hop, ..MelConfig::default() };
            let (mel, [tone, _]) = clip(&config);
            assert_eq!(Trials::new(&GriffinLim::default(), &mel, &tone).is_some(), some, "{hop}");
        }
    }

    #[test]
    fn what_is_kept_fits_better_and_is_counted_right() {
        const SWEEPS: usize = 8;
        let config = MelConfig::default();
        let (mel, [_, found]) = clip(&config);
        let mut trials = Trials::new(&GriffinLim::default(), &mel, &found).unwrap();
        // One trial after another.
        let plan = Plan::new((0..=SWEEPS).map(|sweep| trials.tiles(sweep, 0)));
        let running = Running::new(&trials, &plan, trials.sound.clone(), trials.misfits.clone());
        let mut searched = 0.0;
        for (number, trial) in plan.trials.iter().enumerate() {
            let of = || {
                let state = running.state();
                let tile: f32 = state.misfits[trial.tile.frames.clone()].iter().sum();
                (tile, state.misfits.iter().sum::<f32>())
            };
            let (before, _) = of();
            running.trial(number);
            let (after, all) = of();
            if trial.sweep == 0 {
                searched = all;
            } else {
                let slack = SLACK * (1.0 - trial.sweep as f32 / SWEEPS as f32);
                assert!(after <= before * (1.0 + slack + 1e-6), "{number}: {after} of {before}");
            }
        }
        let (sound, misfits) = {
            let state = running.state();
            (state.sound.clone(), state.misfits.clone())
        };
        let left: f32 = misfits.iter().sum();
        assert!(left < 0.7 * searched, "{left} of {searched}");
        // Tiles count the frames that they change, and no others change.
        let mut worker = Worker::new(&config, &trials.band);
        for (frame, misfit) in misfits.iter().enumerate() {
            let now = worker.misfit(&trials, &sound, 0, frame);
            assert!((now - misfit).abs() <= 1e-3 * now + 1e-9, "{frame}: {misfit} for {now}");
        }
        // In any order that they may have, they find the same.
        trials.run(SWEEPS, 0);
        assert!(trials.sound == sound && trials.misfits == misfits);
    }

    #[test]
    fn threads_make_no_difference_and_what_is_held_stays() {
        let config = MelConfig::default();
        let (mel, [tone, found]) = clip(&config);
        let held = config.pad() + 20 * config.hop;
        let given = [&tone[..held], &found[held..]].concat();
        let with = |threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| {
                let mut trials = Trials::new(&GriffinLim::default(), &mel, &given).unwrap();
                let before = trials.sound.clone();
                trials.run(3, held);
                let held = held.div_ceil(trials.band.factor);
                assert_eq!(trials.sound[..held], before[..held]);
                assert_ne!(trials.sound[held..], before[held..]);
                trials.sound
            })
        };
        let found = with(1);
        assert!((2..4).all(|threads| with(threads) == found));
    }

    #[test]
    fn only_the_low_band_is_changed_and_short_clips_are_taken() {
        let config = MelConfig::default();
        let (mel, [_, found]) = clip(&config);
        for frames in [1, 2, 5, 30] {
            let mel =
                Mel::new(config.clone(), mel.data[..frames * config.n_mels].to_vec()).unwrap();
            let mut padded = found[..(frames - 1) * config.hop + config.n_fft].to_vec();
            let before = padded.clone();
            let mut trials = Trials::new(&GriffinLim::default(), &mel, &padded).unwrap();
            trials.run(2, 0);
            trials.put(&mut padded);
            let mut change: Vec<f32> = padded.iter().zip(&before).map(|(a, b)| a - b).collect();
            assert!(change.iter().any(|x| x.abs() > 1e-4), "{frames} frames: nothing changed");
            let length = change.len().next_power_of_two();
            change.resize(length, 0.0);
            let mut stft = crate::stft::Stft::new(length, 1, length);
            let spectrum = stft.analyse(&change, 0);
            let energy =
                |bins: Range<usize>| spectrum[bins].iter().map(|v| v.norm_sqr()).sum::<f32>();
            let top = length * 1500 / config.sample_rate as usize;
            let (low, high) = (energy(0..top), energy(top..length / 2));
            assert!(high < 1e-4 * low, "{frames} frames: {high} above, {low} below");
        }
    }
}
