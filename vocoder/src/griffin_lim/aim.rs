//! What a round of the search makes of one frame: from the spectrum that a sound has to the one that the
//! next sound is to have. Compiled for each instruction set: these loops would cost more than the
//! transforms around them.

use pulp::{Arch, Simd, WithSimd};
use realfft::num_complex::Complex32;

use super::{Hold, MelInverse};
use crate::mel::MelConfig;

/// Settings and scratch memory of the step.
pub(super) struct Aim {
    arch: Arch,
    hold: Hold,
    /// How far magnitudes go, in a round, to those of the sound, where they are held to the mel: 1 all the
    /// way.
    share: f32,
    inverse: MelInverse,
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
        Self { arch: Arch::new(), hold, share, inverse: MelInverse::new(config) }
    }

    /// The frame's magnitudes and target as the mel values `mel` have them.
    pub fn begin(&mut self, mel: &[f32], magnitudes: &mut [f32], target: &mut [f32]) {
        self.inverse.spread(mel, magnitudes);
        self.inverse.target(mel, target);
    }

    /// From the sound's spectrum `now` to the next: magnitudes of `now` brought to the mel, where they are
    /// held to it, and phases of `now + momentum (now - before)` (Perraudin et al. 2013, algorithm 2).
    pub fn advance(&mut self, now: &[Complex32], momentum: f32, frame: &mut Frame) {
        self.arch.dispatch(Advance { aim: self, now, momentum, frame });
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
                *magnitude += (now.norm_sqr().sqrt() - *magnitude) * aim.share;
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
