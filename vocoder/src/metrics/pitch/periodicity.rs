//! How periodic a sound is: the highest peak of its normalised autocorrelation.
//!
//! Boersma (1993, "Accurate short-term analysis of the fundamental frequency and the
//! harmonics-to-noise ratio of a sampled sound"): the autocorrelation of a windowed frame over that of
//! the window has a peak at the period, as high as the share of periodic power (eq. 9).
//!
//! Note: of the sound below about 1 kHz, where voices are periodic.

use std::f64::consts::{PI, TAU};
use std::sync::Arc;

use realfft::num_complex::Complex64;
use realfft::{ComplexToReal, RealFftPlanner, RealToComplex};

use super::{RANGE_HZ, RATE, WINDOW};

/// Room for a window and the longest period, so that nothing wraps around.
const N_FFT: usize = 2048;

/// The frequencies between which the weight of the power falls from 1 to 0, and the lowest that
/// counts, in Hz.
const LOW_PASS_HZ: (f64, f64) = (800.0, 1600.0);
const LOWEST_HZ: f64 = 40.0;

/// Plans and scratch memory.
pub(super) struct Periodicity {
    window: Vec<f64>,
    /// 1 / autocorrelation of the window, which is 1 at lag 0.
    gains: Vec<f64>,
    /// Per bin.
    low_pass: Vec<f64>,
    forward: Arc<dyn RealToComplex<f64>>,
    inverse: Arc<dyn ComplexToReal<f64>>,
    frame: Vec<f64>,
    spectrum: Vec<Complex64>,
    lags: Vec<f64>,
}

impl Periodicity {
    pub fn new() -> Self {
        let mut planner = RealFftPlanner::new();
        let (forward, inverse) = (planner.plan_fft_forward(N_FFT), planner.plan_fft_inverse(N_FFT));
        let turn = TAU / WINDOW as f64;
        let window = (0..WINDOW).map(|i| 0.5 - 0.5 * (turn * (i as f64 + 0.5)).cos()).collect();
        let mut new = Self {
            window,
            gains: Vec::new(),
            low_pass: vec![1.0; N_FFT / 2 + 1],
            frame: forward.make_input_vec(),
            spectrum: forward.make_output_vec(),
            lags: inverse.make_output_vec(),
            forward,
            inverse,
        };
        new.frame[..WINDOW].copy_from_slice(&new.window);
        new.correlate();
        let at_zero = new.lags[0];
        // Beyond the longest period, the window's own autocorrelation may come near 0.
        new.gains = (0..N_FFT / 2).map(|i| at_zero / new.lags[i].max(1e-9)).collect();
        new.low_pass = (0..=N_FFT / 2)
            .map(|bin| {
                let hz = bin as f64 * RATE / N_FFT as f64;
                let (flat, stop) = LOW_PASS_HZ;
                let part = ((stop - hz) / (stop - flat)).clamp(0.0, 1.0);
                if hz < LOWEST_HZ { 0.0 } else { 0.5 - 0.5 * (PI * part).cos() }
            })
            .collect();
        new
    }

    /// Of `frame`, [`WINDOW`] samples at 16 kHz: 0 (noise or silence) to 1 (periodic, with a pitch in
    /// range).
    pub fn of(&mut self, frame: impl Iterator<Item = f64> + Clone) -> f64 {
        let mean = frame.clone().sum::<f64>() / WINDOW as f64;
        self.frame.fill(0.0);
        for ((x, sample), weight) in self.frame.iter_mut().zip(frame).zip(&self.window) {
            *x = (sample - mean) * weight;
        }
        self.correlate();
        let scale = 1.0 / (self.lags[0] + 1e-12);
        let height = |lag: usize| self.lags[lag] * scale * self.gains[lag];
        let (shortest, longest) = ((RATE / RANGE_HZ.1) as usize, (RATE / RANGE_HZ.0) as usize);
        let mut highest: f64 = 0.0;
        for lag in shortest..=longest {
            let (before, here, after) = (height(lag - 1), height(lag), height(lag + 1));
            if here > before && here >= after {
                // The top of a parabola through the three.
                let slope = 0.5 * (after - before);
                highest = highest.max(here + 0.5 * slope * slope / (2.0 * here - before - after));
            }
        }
        highest.min(1.0)
    }

    /// The autocorrelation of `self.frame` below the low-pass, into `self.lags`.
    fn correlate(&mut self) {
        // The buffers come from the plans: neither transform can fail.
        let done = self.forward.process(&mut self.frame, &mut self.spectrum);
        debug_assert!(done.is_ok());
        for (value, weight) in self.spectrum.iter_mut().zip(&self.low_pass) {
            *value = Complex64::new(value.norm_sqr() * weight, 0.0);
        }
        let done = self.inverse.process(&mut self.spectrum, &mut self.lags);
        debug_assert!(done.is_ok());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tone_is_periodic_and_one_click_is_not() {
        let mut periodicity = Periodicity::new();
        for hz in [61.0, 150.0, 480.0] {
            let tone = (0..WINDOW).map(|i| (TAU * hz * i as f64 / RATE).sin());
            assert!(periodicity.of(tone) > 0.97, "{hz}");
        }
        let click = |i: usize| if i == 400 { 1.0 } else { 0.0 };
        assert!(periodicity.of((0..WINDOW).map(click)) < 0.2);
        assert_eq!(periodicity.of((0..WINDOW).map(|_| 0.0)), 0.0);
    }
}
