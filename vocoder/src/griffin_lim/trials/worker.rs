//! One trial: a tile's frames are stirred, searched, and compared with what they were.

use std::ops::Range;

use realfft::num_complex::Complex32;

use super::{Found, STIR, Tile, Trials};
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
    stirred: Vec<Complex32>,
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
            stirred: Vec::new(),
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

    /// The tile after a trial, if it is to be kept.
    pub fn attempt(&mut self, of: &Trials, tile: &Tile) -> Option<Found> {
        let (first, last) = (tile.frames.start, tile.frames.end - 1);
        let origin = self.stft.span(first).start.min(tile.samples.start);
        let end = self.stft.span(last).end.max(tile.samples.end);
        let mut samples = std::mem::take(&mut self.samples);
        samples.clear();
        samples.extend_from_slice(&of.sound[origin..end]);
        let found = self.search(of, tile, &mut samples, origin);
        self.samples = samples;
        found
    }

    fn search(
        &mut self,
        of: &Trials,
        tile: &Tile,
        samples: &mut [f32],
        origin: usize,
    ) -> Option<Found> {
        let values = tile.frames.len() * self.stft.bins();
        self.spectra.resize(values, Complex32::ZERO);
        self.before.resize(values, Complex32::ZERO);
        for round in 0..ROUNDS {
            if let Some((_, times)) = CHECKS.iter().find(|(check, _)| *check == round) {
                let misfit: f32 = self.misfits(of, samples, origin, &tile.frames).iter().sum();
                if misfit > times * tile.limit {
                    return None;
                }
            }
            // The first round has none before it, and from what was stirred there is nowhere to go on.
            let momentum = if round < 2 { 0.0 } else { of.momentum };
            let stir = tile.stream.filter(|_| round == 0);
            self.improve(of, tile, samples, origin, (momentum, stir));
            self.synthesise(of, tile, samples, origin);
        }
        let misfits = self.misfits(of, samples, origin, &tile.frames);
        (misfits.iter().sum::<f32>() < tile.limit).then(|| Found {
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

    /// A round's spectra from those of the sound, with a momentum and, at first, the stream of the noise to
    /// stir with.
    fn improve(
        &mut self,
        of: &Trials,
        tile: &Tile,
        samples: &[f32],
        origin: usize,
        (momentum, stir): (f32, Option<u64>),
    ) {
        let bins = self.stft.bins();
        if let Some(stream) = stir {
            self.noise.resize(2 * bins * tile.stirred.len(), 0.0);
            of.noise.fill(stream, 0, &mut self.noise);
        }
        for (row, frame) in tile.frames.clone().enumerate() {
            let mut now = self.stft.analyse(samples, origin, frame);
            if stir.is_some() && tile.stirred.contains(&frame) {
                let noise = &self.noise[2 * bins * (frame - tile.stirred.start)..];
                let stirred = now.iter().zip(noise.as_chunks::<2>().0).map(|(value, [re, im])| {
                    value + with_magnitude(Complex32::new(*re, *im), STIR * value.norm())
                });
                self.stirred.clear();
                self.stirred.extend(stirred);
                now = &self.stirred;
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
