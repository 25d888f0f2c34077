//! One trial: a tile is changed, searched, and compared with what it was.

use std::ops::Range;

use realfft::num_complex::Complex32;

use super::running::Attempt;
use super::turn::{DRAWS, Turn};
use super::{Change, Found, STIR, Tile, Trials};
use crate::griffin_lim::aim::{self, Aim, with_magnitude};
use crate::griffin_lim::low_band::LowBand;
use crate::mel::MelConfig;
use crate::stft::DecimatedStft;

/// Rounds of a trial's search.
const ROUNDS: usize = 200;

/// After how many of them it is given up, where the misfit is more than this many times what would be kept.
const CHECKS: [(usize, f32); 2] = [(ROUNDS / 4, 3.0), (ROUNDS / 2, 1.7)];

/// Plans and scratch memory of one thread.
pub(super) struct Worker {
    stft: DecimatedStft,
    aim: Aim,
    /// The sound under the tile's frames.
    samples: Vec<f32>,
    /// What frames add to it.
    sums: Vec<f32>,
    magnitudes: Vec<f32>,
    /// `[frames][bins]`: see [`aim::Frame`].
    spectra: Vec<Complex32>,
    before: Vec<Complex32>,
    noise: Vec<f32>,
    changed: Vec<Complex32>,
}

/// What the first round's spectra are changed by.
enum Start<'a> {
    Stir(&'a Range<usize>),
    Turn(Turn),
}

impl Worker {
    pub fn new(config: &MelConfig, band: &LowBand) -> Self {
        let stft = DecimatedStft::new(config.n_fft, config.hop, config.window, band.factor);
        Self {
            aim: Aim::decimated(config, band.factor, band.bands),
            samples: Vec::new(),
            sums: Vec::new(),
            magnitudes: vec![0.0; stft.bins()],
            spectra: Vec::new(),
            before: Vec::new(),
            noise: Vec::new(),
            changed: Vec::new(),
            stft,
        }
    }

    /// As [`Aim::begin`].
    pub fn begin(&mut self, mel: &[f32], target: &mut [f32]) -> f32 {
        self.aim.begin(mel, &mut self.magnitudes, target)
    }

    /// How far `samples`, the sound from sample `origin` on, are off the mel in `frame`.
    pub fn misfit(&mut self, of: &Trials, samples: &[f32], origin: usize, frame: usize) -> f32 {
        let now = self.stft.analyse(samples, origin, frame);
        of.scales[frame] * self.aim.misfit(now, of.target(frame), &mut self.magnitudes)
    }

    /// Takes the part of `sound` that a trial of `tile` looks at.
    pub fn take(&mut self, sound: &[f32], tile: &Tile) {
        self.samples.clear();
        self.samples.extend_from_slice(&sound[self.under(tile)]);
    }

    /// The samples under the tile's frames.
    fn under(&self, tile: &Tile) -> Range<usize> {
        let (first, last) = (tile.frames.start, tile.frames.end - 1);
        let origin = self.stft.span(first).start.min(tile.samples.start);
        origin..self.stft.span(last).end.max(tile.samples.end)
    }

    /// What a trial makes of the part that was [taken](Worker::take), if it is to be kept.
    pub fn attempt(&mut self, of: &Trials, attempt: &Attempt) -> Option<Found> {
        let origin = self.under(attempt.tile).start;
        let mut samples = std::mem::take(&mut self.samples);
        let found = self.search(of, attempt, &mut samples, origin);
        self.samples = samples;
        found
    }

    fn search(
        &mut self,
        of: &Trials,
        attempt: &Attempt,
        samples: &mut [f32],
        origin: usize,
    ) -> Option<Found> {
        let tile = attempt.tile;
        let values = tile.frames.len() * self.stft.bins();
        self.spectra.resize(values, Complex32::ZERO);
        self.before.resize(values, Complex32::ZERO);
        let start = self.start(of, attempt, samples, origin);
        for round in 0..ROUNDS {
            if let Some((_, times)) = CHECKS.iter().find(|(check, _)| *check == round) {
                let misfit: f32 = self.misfits(of, samples, origin, &tile.frames).iter().sum();
                if misfit > times * attempt.limit {
                    return None;
                }
            }
            // The first round has none before it, and from what was changed there is nowhere to go on.
            let momentum = if round < 2 { 0.0 } else { of.momentum };
            let start = start.as_ref().filter(|_| round == 0);
            self.improve(of, tile, samples, origin, (momentum, start));
            self.synthesise(of, tile, samples, origin);
        }
        let misfits = self.misfits(of, samples, origin, &tile.frames);
        (misfits.iter().sum::<f32>() < attempt.limit).then(|| Found {
            samples: samples[tile.samples.start - origin..tile.samples.end - origin].to_vec(),
            misfits,
        })
    }

    fn misfits(
        &mut self,
        of: &Trials,
        samples: &[f32],
        origin: usize,
        frames: &Range<usize>,
    ) -> Vec<f32> {
        frames.clone().map(|frame| self.misfit(of, samples, origin, frame)).collect()
    }

    /// Draws what the change says.
    fn start<'a>(
        &mut self,
        of: &Trials,
        attempt: &'a Attempt,
        samples: &[f32],
        origin: usize,
    ) -> Option<Start<'a>> {
        let frames = &attempt.tile.frames;
        match &attempt.change {
            Change::Nothing => None,
            Change::Stir { frames, stream } => {
                self.noise.resize(2 * self.stft.bins() * frames.len(), 0.0);
                of.noise.fill(*stream, 0, &mut self.noise);
                Some(Start::Stir(frames))
            }
            Change::Turn { stream } => {
                let mut draws = [0.0; DRAWS];
                of.noise.fill_evenly(*stream, &mut draws);
                let magnitudes = |frame: usize, sum: &mut [f32]| {
                    let now = self.stft.analyse(samples, origin, frame);
                    sum.iter_mut().zip(now).for_each(|(sum, value)| *sum += value.norm());
                };
                let band = (of.band.top, of.band.spacing);
                Some(Start::Turn(Turn::draw(draws, frames, &attempt.misfits, band, magnitudes)))
            }
        }
    }

    /// A round's spectra from those of the sound, with a momentum and, at first, changed.
    fn improve(
        &mut self,
        of: &Trials,
        tile: &Tile,
        samples: &[f32],
        origin: usize,
        (momentum, start): (f32, Option<&Start>),
    ) {
        let bins = self.stft.bins();
        for (row, frame) in tile.frames.clone().enumerate() {
            let mut now = self.stft.analyse(samples, origin, frame);
            if let Some(start) = start {
                self.changed.clear();
                self.changed.extend_from_slice(now);
                start.apply(frame, &self.noise, &mut self.changed);
                now = &self.changed;
            }
            let range = row * bins..(row + 1) * bins;
            let mut state = aim::Frame {
                target: of.target(frame),
                magnitudes: &mut self.magnitudes,
                before: &mut self.before[range.clone()],
                spectrum: &mut self.spectra[range],
            };
            self.aim.advance(now, momentum, &mut state);
        }
    }

    /// The tile's samples whose spectra are nearest to the round's.
    fn synthesise(&mut self, of: &Trials, tile: &Tile, samples: &mut [f32], origin: usize) {
        self.sums.clear();
        self.sums.resize(samples.len(), 0.0);
        let spectra = self.spectra.chunks_exact(self.stft.bins());
        for (frame, spectrum) in tile.frames.clone().zip(spectra) {
            self.stft.add(spectrum, of.weights[frame], frame, &mut self.sums, origin);
        }
        let inner = tile.samples.start - origin..tile.samples.end - origin;
        let sums = self.sums[inner.clone()].iter().zip(&of.gains[tile.samples.clone()]);
        samples[inner].iter_mut().zip(sums).for_each(|(x, (sum, gain))| *x = sum * gain);
    }
}

impl Start<'_> {
    /// Changes `spectrum`, the one of `frame`. `noise` is that of all frames to stir, `[frames][bins][2]`.
    fn apply(&self, frame: usize, noise: &[f32], spectrum: &mut [Complex32]) {
        match self {
            Self::Stir(frames) if frames.contains(&frame) => {
                let noise =
                    noise.as_chunks::<2>().0[spectrum.len() * (frame - frames.start)..].iter();
                for (value, [re, im]) in spectrum.iter_mut().zip(noise) {
                    *value += with_magnitude(Complex32::new(*re, *im), STIR * value.norm());
                }
            }
            Self::Stir(_) => {}
            Self::Turn(turn) => turn.apply(frame, spectrum),
        }
    }
}
