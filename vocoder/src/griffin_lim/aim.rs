//! What a round of the search makes of one frame: from the spectrum that a sound has to the one that the
//! next sound is to have. Compiled for each instruction set: these loops would cost more than the
//! transforms around them.

use pulp::{Arch, Simd, WithSimd};
use realfft::num_complex::Complex32;

use super::{Hold, MelInverse};
use crate::mel::{MelConfig, hann_energy};

/// What is quieter is not heard better for a greater weight: -60 dBFS.
const LEAST_SQUARE: f32 = 1e-6;

/// Settings and scratch memory of the step.
pub(super) struct Aim {
    arch: Arch,
    hold: Hold,
    /// How far magnitudes go, in a round, to those of the sound, where they are held to the mel: 1 all the
    /// way.
    share: f32,
    inverse: MelInverse,
    /// The squares of the magnitudes of a sound whose mean square is 1.
    unit: f32,
}

/// One frame under search. All but `target` have `n_fft / 2 + 1` values.
pub(super) struct Frame<'a> {
    /// `n_mels`: see [`MelInverse::target`].
    pub target: &'a [f32],
    /// What the next spectrum is held to.
    pub magnitudes: &'a mut [f32],
    /// The sound's spectrum of the round before.
    pub before: &'a mut [Complex32],
    /// The spectrum to synthesise next.
    pub spectrum: &'a mut [Complex32],
}

impl Aim {
    pub fn new(config: &MelConfig, hold: Hold, share: f32) -> Self {
        let unit = 0.5 * config.n_fft as f32 * hann_energy(config.window);
        Self { arch: Arch::new(), hold, share, inverse: MelInverse::new(config), unit }
    }

    /// Held to the lowest `count` bands, for a sound that keeps every `factor`-th sample.
    pub fn decimated(config: &MelConfig, factor: usize, count: usize) -> Self {
        let unit =
            0.5 * config.n_fft as f32 * hann_energy(config.window) / (factor * factor) as f32;
        let inverse = MelInverse::decimated(config, factor, count);
        Self { arch: Arch::new(), hold: Hold::Mel, share: 1.0, inverse, unit }
    }

    /// The frame's magnitudes and target as the mel values `mel` have them; returns what the frame weighs
    /// beside those that overlap it ([`Stft::add`](crate::stft::Stft::add)).
    ///
    /// Held to the mel, that is one over its amplitude: a mel is as exact, in its logarithm, in quiet frames as
    /// in loud ones, and what a loud frame is off by would drown a quiet one beside it. Measured against equal
    /// weights: LS-MAE 0.0154 to 0.0138 after 1000 rounds over whole clips, PESQ-WB 3.89 to 3.95 after 24
    /// rounds a frame. Held to magnitudes, all weigh the same: Griffin-Lim as it is known.
    pub fn begin(&mut self, mel: &[f32], magnitudes: &mut [f32], target: &mut [f32]) -> f32 {
        self.inverse.spread(mel, magnitudes);
        self.inverse.target(mel, target);
        match self.hold {
            Hold::Magnitudes => 1.0,
            Hold::Mel => {
                let square = magnitudes.iter().map(|m| m * m).sum::<f32>() / self.unit;
                1.0 / (square + LEAST_SQUARE).sqrt()
            }
        }
    }

    /// From the sound's spectrum `now` to the next: magnitudes of `now` brought to the mel, where they are
    /// held to it, and phases of `now + momentum (now - before)` (Perraudin et al. 2013, algorithm 2).
    pub fn advance(&mut self, now: &[Complex32], momentum: f32, frame: &mut Frame) {
        self.arch.dispatch(Advance { aim: self, now, momentum, frame });
    }

    /// How far the spectrum `now` is off `target`: see [`MelInverse::misfit`].
    pub fn misfit(&mut self, now: &[Complex32], target: &[f32], magnitudes: &mut [f32]) -> f32 {
        self.arch.dispatch(|| {
            for (magnitude, now) in magnitudes.iter_mut().zip(now) {
                *magnitude = now.norm_sqr().sqrt();
            }
            self.inverse.misfit(target, magnitudes)
        })
    }

    /// As [`Aim::advance`] for a first spectrum, which there is none before: its phases with the
    /// magnitudes that the frame has.
    pub fn start(&self, now: &[Complex32], frame: &mut Frame) {
        frame.before.copy_from_slice(now);
        for ((out, now), magnitude) in frame.spectrum.iter_mut().zip(now).zip(&*frame.magnitudes) {
            *out = with_magnitude(*now, *magnitude);
        }
    }
}

/// [`Aim::advance`], compiled for each instruction set.
struct Advance<'a, 'b> {
    aim: &'a mut Aim,
    now: &'a [Complex32],
    momentum: f32,
    frame: &'a mut Frame<'b>,
}

impl WithSimd for Advance<'_, '_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let Self { aim, now, momentum, frame } = self;
        let Frame { target, magnitudes, before, spectrum } = frame;
        if aim.hold == Hold::Mel {
            for (magnitude, now) in magnitudes.iter_mut().zip(now) {
                // No `norm`, which guards against overflow by a call.
                let now = now.norm_sqr().sqrt();
                let before = *magnitude;
                *magnitude =
                    if aim.share < 1.0 { before + (now - before) * aim.share } else { now };
            }
            aim.inverse.fit(target, magnitudes);
        }
        let values = spectrum.iter_mut().zip(before.iter_mut());
        for (((out, before), now), magnitude) in values.zip(now).zip(magnitudes.iter()) {
            *out = with_magnitude(now + (now - *before) * momentum, *magnitude);
            *before = *now;
        }
    }
}

/// `value` stretched to `magnitude`; 0 of 0.
#[inline(always)]
pub(super) fn with_magnitude(value: Complex32, magnitude: f32) -> Complex32 {
    let square = value.norm_sqr();
    let scale = magnitude / square.sqrt();
    value * if square > 1e-30 { scale } else { 0.0 }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::mel::MelExtractor;

    #[test]
    fn a_frame_weighs_one_over_its_amplitude() {
        let config = MelConfig::default();
        for (amplitude, weight) in [(0.2f32, 5.0), (0.01, 100.0), (0.0, 1000.0)] {
            // White noise, whose mean square is known, in every band.
            let mut sound = vec![0.0; 24_000];
            crate::noise::Noise::new(3).fill(0, 0, &mut sound);
            sound.iter_mut().for_each(|v| *v *= amplitude);
            let mel = MelExtractor::new(&config).unwrap().extract(&sound).unwrap();
            let bins = config.n_fft / 2 + 1;
            let (mut magnitudes, mut target) = (vec![0.0; bins], vec![0.0; config.n_mels]);
            let mut of = |hold| {
                let mut aim = Aim::new(&config, hold, 1.0);
                let frames = 10..70;
                let count = frames.len() as f32;
                let weight = |f| aim.begin(mel.frame(f), &mut magnitudes, &mut target);
                frames.map(weight).sum::<f32>() / count
            };
            let found = of(Hold::Mel);
            // Bands smooth the noise's spectrum: its inverse has a little less energy.
            assert!((found / weight - 1.0).abs() < 0.15, "{found} at {amplitude}");
            assert_eq!(of(Hold::Magnitudes), 1.0);
        }
    }
}
