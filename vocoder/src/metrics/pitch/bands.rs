//! Harvest's first step: a bank of band-pass filters, whose zero crossings tell frequencies.

use std::f64::consts::TAU;
use std::sync::Arc;

use rayon::prelude::*;
use realfft::num_complex::Complex64;
use realfft::{ComplexToReal, RealFftPlanner, RealToComplex};

/// Filters in an octave.
const IN_OCTAVE: f64 = 40.0;

/// How far the frequency that a filter tells may be from its centre.
const NEAR: f64 = 0.1;

/// Least neighbouring filters that tell of a pitch for it to be a candidate.
const LEAST_BANDS: usize = 10;

/// Intervals between zero crossings of one kind that there must be more of.
const LEAST_INTERVALS: usize = 2;

/// A signal's spectrum, and the filters that look at it.
pub(super) struct Bank {
    rate: f64,
    samples: usize,
    range_hz: (f64, f64),
    centres_hz: Vec<f64>,
    spectrum: Vec<Complex64>,
    forward: Arc<dyn RealToComplex<f64>>,
    inverse: Arc<dyn ComplexToReal<f64>>,
}

impl Bank {
    /// Filters from below to above `range_hz` over `signal` of `rate` samples per second.
    pub fn new(signal: &[f64], rate: f64, range_hz: (f64, f64)) -> Self {
        let (lowest, highest) = (0.9 * range_hz.0, 1.1 * range_hz.1);
        let count = 1 + ((highest / lowest).log2() * IN_OCTAVE) as usize;
        let centre = |i: usize| lowest * 2f64.powf((i + 1) as f64 / IN_OCTAVE);
        let centres_hz: Vec<f64> = (0..count).map(centre).collect();
        let longest = 2 * (2.0 * rate / centres_hz[0]) as usize + 5;
        let n_fft = (signal.len() + longest + 1).next_power_of_two();
        let mut planner = RealFftPlanner::new();
        let (forward, inverse) = (planner.plan_fft_forward(n_fft), planner.plan_fft_inverse(n_fft));
        let mut bank = Self {
            rate,
            samples: signal.len(),
            range_hz,
            centres_hz,
            spectrum: Vec::new(),
            forward,
            inverse,
        };
        bank.spectrum = bank.transform(signal);
        bank
    }

    /// The mean pitch of each run of filters that agree, for each of `frames` milliseconds.
    pub fn candidates(&self, frames: usize) -> Vec<Vec<f64>> {
        let told: Vec<Vec<f64>> =
            self.centres_hz.par_iter().map(|&centre| self.frequencies(centre, frames)).collect();
        let mut column = vec![0.0; told.len()];
        let of_frame = |frame: usize| {
            column.iter_mut().zip(&told).for_each(|(value, band)| *value = band[frame]);
            runs(&column)
        };
        (0..frames).map(of_frame).collect()
    }

    /// What the filter at `centre_hz` tells each millisecond: the mean of the frequencies by falling
    /// and rising zero crossings, peaks and dips. 0 where it is too far from the filter's centre or out
    /// of range.
    fn frequencies(&self, centre_hz: f64, frames: usize) -> Vec<f64> {
        let filtered = self.filtered(centre_hz);
        let negated: Vec<f64> = filtered.iter().map(|x| -x).collect();
        let slope: Vec<f64> = filtered.windows(2).map(|pair| pair[1] - pair[0]).collect();
        let fall: Vec<f64> = slope.iter().map(|x| -x).collect();
        let tracks = [filtered, negated, slope, fall].map(|x| falling_intervals(&x, self.rate));
        if tracks.iter().any(|track| track.len() <= LEAST_INTERVALS) {
            return vec![0.0; frames];
        }
        let mut told = vec![0.0; frames];
        tracks.iter().for_each(|track| add_interpolated(track, &mut told));
        for f0_hz in &mut told {
            *f0_hz /= 4.0;
            let near = (*f0_hz / centre_hz - 1.0).abs() <= NEAR;
            if !near || *f0_hz < self.range_hz.0 || *f0_hz > self.range_hz.1 {
                *f0_hz = 0.0;
            }
        }
        told
    }

    /// The signal through a Nuttall window of four periods on either side's half, moved to `centre_hz`.
    /// One sample early, as WORLD has it.
    fn filtered(&self, centre_hz: f64) -> Vec<f64> {
        let half = (2.0 * self.rate / centre_hz + 0.5) as usize;
        let filter: Vec<f64> = (0..=2 * half)
            .map(|i| {
                let turn = TAU * centre_hz * (i as f64 - half as f64) / self.rate;
                nuttall(i as f64 / (2 * half) as f64) * turn.cos()
            })
            .collect();
        let mut product = self.transform(&filter);
        product.iter_mut().zip(&self.spectrum).for_each(|(a, b)| *a *= b);
        // The ends of a real signal's spectrum are real.
        let last = product.len() - 1;
        (product[0].im, product[last].im) = (0.0, 0.0);
        let mut out = self.inverse.make_output_vec();
        let done = self.inverse.process(&mut product, &mut out);
        debug_assert!(done.is_ok());
        out.drain(..=half);
        out.truncate(self.samples);
        out
    }

    fn transform(&self, signal: &[f64]) -> Vec<Complex64> {
        let (mut input, mut out) = (self.forward.make_input_vec(), self.forward.make_output_vec());
        input[..signal.len()].copy_from_slice(signal);
        // The buffers come from the plan: this can't fail.
        let done = self.forward.process(&mut input, &mut out);
        debug_assert!(done.is_ok());
        out
    }
}

/// Nuttall's window (1981, the four-term one with continuous first derivative) at `part` of its length.
fn nuttall(part: f64) -> f64 {
    let turn = TAU * part;
    0.355_768 - 0.487_396 * turn.cos() + 0.144_232 * (2.0 * turn).cos()
        - 0.012_604 * (3.0 * turn).cos()
}

/// Between each falling zero crossing and the next: (the middle in seconds, the frequency in Hz). The
/// crossings lie on straight lines between samples.
fn falling_intervals(signal: &[f64], rate: f64) -> Vec<(f64, f64)> {
    let crossings: Vec<f64> = signal
        .windows(2)
        .enumerate()
        .filter(|(_, pair)| pair[0] > 0.0 && pair[1] <= 0.0)
        // Note: counted from 1, as WORLD does; with the filter's sample the times are right.
        .map(|(i, pair)| (i + 1) as f64 - pair[0] / (pair[1] - pair[0]))
        .collect();
    let interval = |pair: &[f64]| ((pair[0] + pair[1]) / 2.0 / rate, rate / (pair[1] - pair[0]));
    crossings.windows(2).map(interval).collect()
}

/// Adds to each millisecond of `out` what lines through `points` (time in seconds, value; two or more,
/// times rising) say there. The outermost lines go on.
fn add_interpolated(points: &[(f64, f64)], out: &mut [f64]) {
    let mut after = 1;
    for (i, out) in out.iter_mut().enumerate() {
        let time = i as f64 / 1000.0;
        while after + 1 < points.len() && points[after].0 <= time {
            after += 1;
        }
        let ((t0, v0), (t1, v1)) = (points[after - 1], points[after]);
        *out += v0 + (time - t0) / (t1 - t0) * (v1 - v0);
    }
}

/// The means of the runs of [`LEAST_BANDS`] or more values above 0; the first and the last value belong
/// to none.
fn runs(column: &[f64]) -> Vec<f64> {
    let inner = &column[1..column.len() - 1];
    let long = |run: &&[f64]| run.len() >= LEAST_BANDS;
    // A run that reaches the last value but one ends where that one is.
    inner
        .split(|value| *value <= 0.0)
        .filter(long)
        .map(|run| run.iter().sum::<f64>() / run.len() as f64)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn crossings_tell_a_sines_frequency() {
        let sine: Vec<f64> = (0..800).map(|i| (TAU * 123.0 * i as f64 / 8000.0).sin()).collect();
        let found = falling_intervals(&sine, 8000.0);
        assert_eq!(found.len(), 11);
        assert!(found.iter().all(|(_, hz)| (hz - 123.0).abs() < 0.05), "{found:?}");
        // Between the falls after half a period and one and a half, counted from 1.
        assert!((found[0].0 * 8000.0 - (1.0 + 8000.0 / 123.0)).abs() < 0.05, "{found:?}");
    }

    #[test]
    fn lines_go_on_beyond_their_points() {
        let mut out = [1.0; 5];
        add_interpolated(&[(0.001, 2.0), (0.002, 4.0), (0.003, 3.0)], &mut out);
        let expected = [1.0, 3.0, 5.0, 4.0, 3.0];
        assert!(out.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-9), "{out:?}");
    }

    #[test]
    fn ten_bands_make_a_candidate() {
        let column = |count: usize| {
            let mut column = vec![0.0; 30];
            (0..count).for_each(|i| column[5 + i] = 100.0 + i as f64);
            column
        };
        assert!(runs(&column(9)).is_empty());
        assert_eq!(runs(&column(10)), [104.5]);
        // The outermost bands don't count.
        assert_eq!(runs(&[7.0; 12]), [7.0]);
        assert!(runs(&[7.0; 11]).is_empty());
    }

    #[test]
    fn a_filter_lets_its_own_tone_through() {
        let tone: Vec<f64> = (0..4000).map(|i| (TAU * 200.0 * i as f64 / 8000.0).sin()).collect();
        let bank = Bank::new(&tone, 8000.0, (60.0, 600.0));
        assert_eq!(bank.centres_hz.len(), 145);
        let middle = |centre: f64| bank.frequencies(centre, 501)[250];
        assert!((middle(205.0) - 200.0).abs() < 0.1, "{}", middle(205.0));
        // Another frequency than the filter's.
        assert_eq!(middle(240.0), 0.0);
    }
}
