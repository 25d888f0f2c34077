//! Fourier transforms of real signals: a complex one of half the length, and what makes the one of the
//! other. The crate `realfft` does the same, but for loops that no wide registers are used in, which cost
//! half of its time here.

use std::f64::consts::TAU;
use std::sync::Arc;

use pulp::{Arch, Simd, WithSimd};
use rustfft::num_complex::Complex32;
use rustfft::{Fft, FftPlanner};

/// Plans and scratch memory for one even length.
pub(super) struct RealFft {
    arch: Arch,
    forward: Arc<dyn Fft<f32>>,
    inverse: Arc<dyn Fft<f32>>,
    /// exp(-2 pi i k / length), half as many as the length.
    turns: Vec<Complex32>,
    /// Even samples as real parts, odd ones as imaginary parts; or their spectrum.
    pairs: Vec<Complex32>,
    scratch: Vec<Complex32>,
}

impl RealFft {
    pub fn new(length: usize) -> Self {
        let half = length / 2;
        let mut planner = FftPlanner::new();
        let (forward, inverse) = (planner.plan_fft_forward(half), planner.plan_fft_inverse(half));
        let scratch = forward.get_inplace_scratch_len().max(inverse.get_inplace_scratch_len());
        let turn = |k: usize| {
            let angle = TAU * k as f64 / length as f64;
            Complex32::new(angle.cos() as f32, -angle.sin() as f32)
        };
        Self {
            arch: Arch::new(),
            forward,
            inverse,
            turns: (0..half).map(turn).collect(),
            pairs: vec![Complex32::ZERO; half],
            scratch: vec![Complex32::ZERO; scratch],
        }
    }

    /// The spectrum, `length / 2 + 1`, of `signal`, `length`.
    pub fn forward(&mut self, signal: &[f32], spectrum: &mut [Complex32]) {
        for (pair, two) in self.pairs.iter_mut().zip(signal.as_chunks::<2>().0) {
            *pair = Complex32::new(two[0], two[1]);
        }
        self.forward.process_with_scratch(&mut self.pairs, &mut self.scratch);
        let half = self.pairs.len();
        let first = self.pairs[0];
        spectrum[0] = Complex32::new(first.re + first.im, 0.0);
        spectrum[half] = Complex32::new(first.re - first.im, 0.0);
        let (pairs, turns) = (&self.pairs[1..], &self.turns[1..]);
        self.arch.dispatch(Split { pairs, turns, out: &mut spectrum[1..half] });
    }

    /// `length` times the signal of `spectrum`, whose first and last values count as real.
    pub fn inverse(&mut self, spectrum: &[Complex32], signal: &mut [f32]) {
        let half = self.pairs.len();
        let (first, last) = (spectrum[0].re, spectrum[half].re);
        self.pairs[0] = Complex32::new(first + last, first - last);
        let (spectrum, turns) = (&spectrum[1..half], &self.turns[1..]);
        self.arch.dispatch(Join { spectrum, turns, out: &mut self.pairs[1..] });
        self.inverse.process_with_scratch(&mut self.pairs, &mut self.scratch);
        for (pair, two) in self.pairs.iter().zip(signal.as_chunks_mut::<2>().0) {
            *two = [pair.re, pair.im];
        }
    }
}

/// From the spectrum Z of pairs to that of the samples: X[k] = E + W^k O, with the spectra of the even
/// samples, 2 E = Z[k] + conj Z[half - k], and of the odd ones, 2 i O = Z[k] - conj Z[half - k].
struct Split<'a> {
    pairs: &'a [Complex32],
    turns: &'a [Complex32],
    out: &'a mut [Complex32],
}

impl WithSimd for Split<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let Self { pairs, turns, out } = self;
        let mirrored = pairs.iter().rev();
        for (((out, z), mirrored), turn) in out.iter_mut().zip(pairs).zip(mirrored).zip(turns) {
            let (sum_re, sum_im) = (z.re + mirrored.re, z.im - mirrored.im);
            // O, twice.
            let (odd_re, odd_im) = (z.im + mirrored.im, mirrored.re - z.re);
            out.re = 0.5 * (sum_re + (turn.re * odd_re - turn.im * odd_im));
            out.im = 0.5 * (sum_im + (turn.re * odd_im + turn.im * odd_re));
        }
    }
}

/// The way back: Z[k] = E + i O, both twice what [`Split`] calls so.
struct Join<'a> {
    spectrum: &'a [Complex32],
    turns: &'a [Complex32],
    out: &'a mut [Complex32],
}

impl WithSimd for Join<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let Self { spectrum, turns, out } = self;
        let mirrored = spectrum.iter().rev();
        for (((out, x), mirrored), turn) in out.iter_mut().zip(spectrum).zip(mirrored).zip(turns) {
            let (sum_re, sum_im) = (x.re + mirrored.re, x.im - mirrored.im);
            let (lean_re, lean_im) = (x.re - mirrored.re, x.im + mirrored.im);
            let odd_re = turn.re * lean_re + turn.im * lean_im;
            let odd_im = turn.re * lean_im - turn.im * lean_re;
            out.re = sum_re - odd_im;
            out.im = sum_im + odd_re;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::noise::Noise;

    #[test]
    fn it_is_the_fourier_sum_and_comes_back() {
        for length in [2, 4, 30, 64, 1200, 2048] {
            let mut signal = vec![0.0; length];
            Noise::new(length as u64).fill(0, 0, &mut signal);
            let mut fft = RealFft::new(length);
            let mut spectrum = vec![Complex32::ZERO; length / 2 + 1];
            fft.forward(&signal, &mut spectrum);
            let deviation = (length as f64).sqrt();
            for (k, found) in spectrum.iter().enumerate().step_by(1 + length / 64) {
                let (mut re, mut im) = (0.0, 0.0);
                for (i, &x) in signal.iter().enumerate() {
                    let angle = TAU * (k * i % length) as f64 / length as f64;
                    re += f64::from(x) * angle.cos();
                    im -= f64::from(x) * angle.sin();
                }
                let off = (f64::from(found.re) - re).hypot(f64::from(found.im) - im);
                assert!(off < 1e-6 * deviation, "{length}, bin {k}: {found} for {re} {im}");
            }
            let mut back = vec![0.0; length];
            fft.inverse(&spectrum, &mut back);
            for (back, x) in back.iter().zip(&signal) {
                assert!((back / length as f32 - x).abs() < 1e-5, "{length}: {back} {x}");
            }
        }
    }
}
