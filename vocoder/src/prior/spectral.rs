//! The spectral envelope of a mel frame as an all-pole filter.

use std::f64::consts::TAU;

use pulp::{Arch, Simd, WithSimd};

use crate::mel::{MelConfig, filter_bank};

/// Points of the power spectrum from 0 Hz to half the sample rate: finer than any envelope.
const POINTS: usize = 1024;

/// White noise added to the envelope, relative to its power: -50 dB bounds the filter's gain.
const WHITE: f64 = 1e-5;

/// Turns the powers of a frame's bands into the reflection coefficients of the filter 1 / A(z) whose
/// response is the frame's envelope, by linear prediction (Markel & Gray 1976, chapter 3).
#[derive(Clone, Debug)]
pub(super) struct Envelope {
    arch: Arch,
    /// Per point: the bands on either side and how far it is on the way.
    between: Vec<(usize, usize, f64)>,
    /// Per band: its share of the mean square over the number of points that it covers.
    per_point: Vec<f64>,
    /// `[order + 1][POINTS]`: cosines times the lag window.
    cosines: Vec<f64>,
    order: usize,
    /// Of the envelope's powers, in the filter's response: the config's share.
    exponent: f64,
    least: f64,
}

impl Envelope {
    /// Plans for mels of `config`, filters of `order` poles of an envelope smeared by `smear_hz` (a
    /// Gaussian lag window) whose powers are raised to `exponent`, and no deviation below `floor`.
    pub fn new(config: &MelConfig, order: usize, smear_hz: f32, exponent: f32, floor: f32) -> Self {
        let bins = config.n_fft / 2 + 1;
        let bank = filter_bank(config);
        let rate = f64::from(config.sample_rate);
        let hz_per_bin = rate / config.n_fft as f64;
        let hz_per_point = rate / 2.0 / POINTS as f64;

        // A band narrower than a bin may have no weight; its neighbours speak for it.
        let mut centres = Vec::new();
        let mut per_point = vec![0.0; config.n_mels];
        for (band, weights) in bank.chunks(bins).enumerate() {
            let sum: f64 = weights.iter().map(|&w| f64::from(w)).sum();
            let peak = weights.iter().fold(0.0, |peak: f64, &w| peak.max(f64::from(w)));
            if sum > 0.0 {
                let moment: f64 =
                    weights.iter().enumerate().map(|(bin, &w)| bin as f64 * f64::from(w)).sum();
                centres.push((moment / sum * hz_per_bin, band));
                per_point[band] = hz_per_point / (sum / peak * hz_per_bin);
            }
        }
        let between = (0..POINTS)
            .map(|point| {
                let hz = (point as f64 + 0.5) * hz_per_point;
                let above = centres.partition_point(|(centre, _)| *centre < hz);
                let (low_hz, low) = centres[above.saturating_sub(1)];
                let (high_hz, high) = centres[above.min(centres.len() - 1)];
                let part = if high_hz > low_hz { (hz - low_hz) / (high_hz - low_hz) } else { 0.0 };
                (low, high, part.clamp(0.0, 1.0))
            })
            .collect();
        let cosines = (0..=order)
            .flat_map(|lag| {
                let smear = (-0.5 * (TAU * f64::from(smear_hz) * lag as f64 / rate).powi(2)).exp();
                let angle = TAU / 2.0 * lag as f64 / POINTS as f64;
                (0..POINTS).map(move |point| smear * (angle * (point as f64 + 0.5)).cos())
            })
            .collect();
        let least = f64::from(floor).powi(2);
        Envelope {
            arch: Arch::new(),
            between,
            per_point,
            cosines,
            order,
            exponent: f64::from(exponent),
            least,
        }
    }

    /// From each band's share of the mean square: the frame's deviation, and the `order` reflection
    /// coefficients of its envelope.
    pub fn of_bands(&self, shares: &[f32]) -> (f32, Vec<f32>) {
        let logs: Vec<f64> = shares
            .iter()
            .zip(&self.per_point)
            .map(|(&share, &per_point)| (f64::from(share) * per_point).max(1e-20).ln())
            .collect();
        let mut powers: Vec<f64> = self
            .between
            .iter()
            .map(|&(low, high, part)| (logs[low] + (logs[high] - logs[low]) * part).exp())
            .collect();
        if self.exponent < 1.0 {
            self.follow_in_part(&mut powers);
        }
        let mut correlation = vec![0.0; self.order + 1];
        self.arch.dispatch(Products {
            rows: &self.cosines,
            powers: &powers,
            out: &mut correlation,
        });
        correlation[0] += correlation[0] * WHITE + self.least;
        (correlation[0].sqrt() as f32, levinson(&correlation, self.order))
    }

    /// Powers P to c P^exponent, with the c that leaves a signal of these powers at unit deviation once it
    /// is whitened by them: the mean of P / (c P^exponent) is 1.
    fn follow_in_part(&self, powers: &mut [f64]) {
        let mut whitened = 0.0;
        for power in &mut *powers {
            let followed = power.powf(self.exponent);
            whitened += *power / followed;
            *power = followed;
        }
        let scale = whitened / powers.len() as f64;
        powers.iter_mut().for_each(|power| *power *= scale);
    }
}

/// Of each row of POINTS values its inner product with `powers`, in the same order of additions for every
/// instruction set.
struct Products<'a> {
    rows: &'a [f64],
    powers: &'a [f64],
    out: &'a mut [f64],
}

impl WithSimd for Products<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        // Enough sums side by side to hide what an addition takes.
        const LANES: usize = 16;
        let powers = self.powers.as_chunks::<LANES>().0;
        for (out, row) in self.out.iter_mut().zip(self.rows.chunks_exact(POINTS)) {
            let mut lanes = [0.0; LANES];
            for (row, powers) in row.as_chunks::<LANES>().0.iter().zip(powers) {
                lanes.iter_mut().zip(row).zip(powers).for_each(|((sum, a), b)| *sum += a * b);
            }
            *out = lanes.iter().sum();
        }
    }
}

/// Reflection coefficients of the linear predictor, by the Levinson-Durbin recursion.
fn levinson(correlation: &[f64], order: usize) -> Vec<f32> {
    let mut error = correlation[0];
    let mut predictor = vec![0.0; order + 1];
    let mut reflections = Vec::with_capacity(order);
    predictor[0] = 1.0;
    for m in 1..=order {
        let sum: f64 = (0..m).map(|i| predictor[i] * correlation[m - i]).sum();
        let reflection = -sum / error;
        let before = predictor.clone();
        for i in 1..=m {
            predictor[i] = before[i] + reflection * before[m - i];
        }
        error *= 1.0 - reflection * reflection;
        reflections.push((reflection as f32).clamp(-MAX_REFLECTION, MAX_REFLECTION));
    }
    reflections
}

/// Keeps the rotations of the lattice invertible in single precision.
const MAX_REFLECTION: f32 = 0.9999;

/// The rotations of a normalised lattice, one a reflection coefficient.
#[derive(Debug)]
pub(super) struct Sections {
    /// The reflection coefficients k.
    sines: Vec<f32>,
    /// sqrt(1 - k^2).
    cosines: Vec<f32>,
}

impl Sections {
    /// `order` sections that pass everything.
    pub fn new(order: usize) -> Self {
        Sections { sines: vec![0.0; order], cosines: vec![1.0; order] }
    }

    /// Sets the coefficients to those `part` of the way from `left` to `right`.
    pub fn set_between(&mut self, left: &[f32], right: &[f32], part: f32) {
        for ((k, a), b) in self.sines.iter_mut().zip(left).zip(right) {
            *k = a + (b - a) * part;
        }
        for (c, k) in self.cosines.iter_mut().zip(&self.sines) {
            *c = (1.0 - k * k).sqrt();
        }
    }
}

/// One sample through the normalised lattice of A(z) (Gray & Markel 1975): the signal becomes
/// white, at the same deviation. `memory` holds the backward signals of the sample before, one a
/// reflection coefficient.
pub(super) fn analyse(sample: f32, sections: &Sections, memory: &mut [f32]) -> f32 {
    let (mut forward, mut backward) = (sample, sample);
    let Sections { sines, cosines } = sections;
    for ((k, c), delayed) in sines.iter().zip(cosines).zip(memory) {
        let before = std::mem::replace(delayed, backward);
        forward = (forward + k * before) / c;
        backward = c * before + k * forward;
    }
    forward
}

/// The inverse of [`analyse`], whatever the coefficients do from sample to sample: one sample
/// through the normalised lattice of 1 / A(z).
///
/// Each section is a rotation, so that the filter never holds more energy than came in: it is stable
/// for any coefficients, which a direct form or a lattice that is not normalised is not once they
/// move.
pub(super) fn synthesise(sample: f32, sections: &Sections, memory: &mut [f32]) -> f32 {
    let mut forward = sample;
    for i in (0..memory.len()).rev() {
        let (k, c, before) = (sections.sines[i], sections.cosines[i], memory[i]);
        if i + 1 < memory.len() {
            memory[i + 1] = c * before + k * forward;
        }
        forward = c * forward - k * before;
    }
    if let Some(first) = memory.first_mut() {
        *first = forward;
    }
    forward
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::noise::Noise;

    #[test]
    fn levinson_by_hand() {
        // x[n] = 0.5 x[n-1] + e has correlation 0.5^lag times 4/3 of the error's variance.
        let reflections = levinson(&[4.0 / 3.0, 2.0 / 3.0, 1.0 / 3.0], 2);
        assert!((reflections[0] + 0.5).abs() < 1e-6 && reflections[1].abs() < 1e-6);
    }

    #[test]
    fn the_lattice_is_the_predictor() {
        // Reflections (-0.5, 0.2): A(z) = 1 - 0.6 z^-1 + 0.2 z^-2, and the error's deviation is
        // sqrt(0.75 * 0.96) of the signal's.
        let signal = [1.0, 2.0, -1.0, 0.5, 0.0];
        let gain = (0.75f32 * 0.96).sqrt();
        let mut memory = [0.0; 2];
        for n in 0..signal.len() {
            let at = |lag: usize| if n >= lag { signal[n - lag] } else { 0.0 };
            let expected = (signal[n] - 0.6 * at(1) + 0.2 * at(2)) / gain;
            assert!(
                (analyse(signal[n], &sections(&[-0.5, 0.2]), &mut memory) - expected).abs() < 1e-5
            );
        }
    }

    /// By hand: 4 and 1 followed by their roots 2 and 1 leave 2 and 1, 1.5 in the mean, so 1.5 goes into
    /// what is followed: 3 and 1.5, which leave 4/3 and 2/3, 1 in the mean.
    #[test]
    fn half_followed_powers_leave_unit_deviation() {
        let config = MelConfig::default();
        let of = |exponent| Envelope::new(&config, 8, 50.0, exponent, 1e-3);
        let mut powers = [4.0, 1.0];
        of(0.5).follow_in_part(&mut powers);
        assert!((powers[0] - 3.0).abs() < 1e-12 && (powers[1] - 1.5).abs() < 1e-12, "{powers:?}");

        // Nothing followed is the energy prior: no poles, the same deviation.
        let shares: Vec<f32> = (0..config.n_mels).map(|band| 1e-4 * (band % 7) as f32).collect();
        let (whole, _) = of(1.0).of_bands(&shares);
        let (none, reflections) = of(0.0).of_bands(&shares);
        assert!((none / whole - 1.0).abs() < 1e-3, "{none} {whole}");
        assert!(reflections.iter().all(|k| k.abs() < 1e-3), "{reflections:?}");
    }

    fn sections(reflections: &[f32]) -> Sections {
        let mut sections = Sections::new(reflections.len());
        sections.set_between(reflections, reflections, 0.0);
        sections
    }

    /// Coefficients that swing from one end to the other within a few samples.
    fn wild(n: usize) -> [f32; 8] {
        std::array::from_fn(|i| 0.999 * (n as f32 * 0.3 * (i + 1) as f32).sin())
    }

    #[test]
    fn synthesis_undoes_analysis_while_the_coefficients_move() {
        let mut signal = vec![0f32; 2000];
        Noise::new(5).fill(0, 0, &mut signal);
        let (mut forth, mut back) = ([0.0; 8], [0.0; 8]);
        for (n, &sample) in signal.iter().enumerate() {
            let reflections = sections(&wild(n / 40).map(|k| 0.9 * k));
            let white = analyse(sample, &reflections, &mut forth);
            let again = synthesise(white, &reflections, &mut back);
            assert!((again - sample).abs() < 1e-3, "{n}: {again} {sample}");
        }
    }

    #[test]
    fn no_coefficients_make_energy() {
        let mut signal = vec![0f32; 5000];
        Noise::new(6).fill(0, 0, &mut signal);
        let mut memory = [0.0; 8];
        let (mut into, mut out) = (0f64, 0f64);
        for (n, &sample) in signal.iter().enumerate() {
            into += f64::from(sample).powi(2);
            let value = f64::from(synthesise(sample, &sections(&wild(n)), &mut memory));
            out = out.max(value * value);
            assert!(value * value <= into * 1.001, "{n}");
        }
        assert!(out > 0.0);
    }
}
