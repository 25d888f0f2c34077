//! D4C's love train: whether a frame is voiced (Morise 2016, "D4C, a band-aperiodicity estimator for
//! high-quality speech synthesis", section 3.4).

use std::f64::consts::PI;
use std::sync::Arc;

use realfft::num_complex::Complex64;
use realfft::{RealFftPlanner, RealToComplex};

use super::RATE;

/// Room for the longest window.
const N_FFT: usize = 2048;

/// A window of three periods of a lower pitch would not fit.
const LOWEST_HZ: f64 = 40.0;

/// Power is summed from the first to the second, and to the third frequency, in Hz.
const BOUNDS_HZ: [f64; 3] = [100.0, 4000.0, 7900.0];

/// Plans and scratch memory.
pub(super) struct LoveTrain {
    forward: Arc<dyn RealToComplex<f64>>,
    frame: Vec<f64>,
    spectrum: Vec<Complex64>,
}

impl LoveTrain {
    pub fn new() -> Self {
        let forward = RealFftPlanner::new().plan_fft_forward(N_FFT);
        let (frame, spectrum) = (forward.make_input_vec(), forward.make_output_vec());
        Self { forward, frame, spectrum }
    }

    /// The share of the power from 100 Hz to 7.9 kHz that is below 4 kHz, of three periods of `f0_hz` of
    /// `signal` (not empty, at 16 kHz) about `time_s`, under a Blackman window and without their mean. NaN for
    /// silence.
    ///
    /// Note: WORLD adds noise at -120 dB before, for the frames that are silence; the gate on energy
    /// has these.
    pub fn low_share(&mut self, signal: &[f64], time_s: f64, f0_hz: f64) -> f64 {
        let f0_hz = f0_hz.max(LOWEST_HZ);
        let half = (1.5 * RATE / f0_hz + 0.5) as isize;
        let centre = (time_s * RATE).round() as isize;
        let last = signal.len() as isize - 1;
        let blackman = |i: isize| {
            let turn = PI * 2.0 * i as f64 / 3.0 / RATE * f0_hz;
            0.42 + 0.5 * turn.cos() + 0.08 * (2.0 * turn).cos()
        };
        let window: Vec<f64> = (-half..=half).map(blackman).collect();
        self.frame.fill(0.0);
        for ((x, weight), at) in self.frame.iter_mut().zip(&window).zip(centre - half..) {
            *x = signal[at.clamp(0, last) as usize] * weight;
        }
        let mean = self.frame.iter().sum::<f64>() / window.iter().sum::<f64>();
        for (x, weight) in self.frame.iter_mut().zip(&window) {
            *x -= weight * mean;
        }
        // The buffers come from the plan: this can't fail.
        let done = self.forward.process(&mut self.frame, &mut self.spectrum);
        debug_assert!(done.is_ok());
        let [above, low, all] = BOUNDS_HZ.map(|hz| (hz * N_FFT as f64 / RATE).ceil() as usize);
        let power = |bins: &[Complex64]| bins.iter().map(Complex64::norm_sqr).sum::<f64>();
        let below = power(&self.spectrum[above + 1..=low]);
        below / (below + power(&self.spectrum[low + 1..=all]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn low_and_high_tones_are_told_apart() {
        let mut train = LoveTrain::new();
        let mut share = |parts: &[(f64, f64)]| {
            let sample = |i: usize| {
                parts.iter().map(|(a, hz)| a * (2.0 * PI * hz * i as f64 / RATE).sin()).sum()
            };
            let signal: Vec<f64> = (0..3200).map(sample).collect();
            train.low_share(&signal, 0.1, 200.0)
        };
        assert!(share(&[(1.0, 1000.0)]) > 0.999);
        assert!(share(&[(1.0, 6000.0)]) < 0.001);
        // By hand: powers of 4 below and 1 above 4 kHz.
        assert!((share(&[(2.0, 1000.0), (1.0, 6000.0)]) - 0.8).abs() < 0.01);
        assert!(train.low_share(&[0.0; 3200], 0.1, 200.0).is_nan());
    }
}
