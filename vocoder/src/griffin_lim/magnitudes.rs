//! Bands to bins: magnitudes that give a mel, from nothing or from magnitudes that nearly do.

use pulp::{Arch, Simd, WithSimd};

use super::columns::Columns;
use crate::mel::{MelConfig, Power, filter_bank, hann_energy};

/// Rounds of the multiplicative update. 30 leave 0.1 % of a band's value in the mean.
const ROUNDS: usize = 30;

/// The least that [`MelInverse::fit`] takes a bin or a band for, as a part of full scale: nothing is below
/// what it could raise.
const LEAST: f32 = 1e-9;

/// Inverts the filter bank A of one config: non-negative x with A x = mel, by the multiplicative
/// update x <- x A'b / A'A x (Lee & Seung 2001), which descends on |A x - b|^2 and keeps x positive.
///
/// It starts from the bands' mean values, spread by the transposed bank, and so ends near a smooth
/// solution: A has far fewer rows than columns, and many x fit.
pub(crate) struct MelInverse {
    arch: Arch,
    config: MelConfig,
    bands: Vec<Band>,
    /// The same weights.
    columns: Columns,
    /// What the magnitudes were divided by in the mel ([`MelConfig::unit_window`]).
    gain: f32,
    target: Vec<f32>,
    /// One value a band.
    values: Vec<f32>,
    /// A'b and A'A x.
    numerator: Vec<f32>,
    denominator: Vec<f32>,
    /// One over A'1; 0 for bins outside all bands.
    shares: Vec<f32>,
}

/// Bins that are added up side by side, so that a register can hold them.
const LANES: usize = 8;

/// The bins of a band that carry weight, and as many beside them as make up [`LANES`].
struct Band {
    first: usize,
    weights: Vec<f32>,
    sum: f32,
}

impl MelInverse {
    pub(crate) fn new(config: &MelConfig) -> Self {
        Self::decimated(config, 1, config.n_mels)
    }

    /// Inverts the lowest `count` bands alone, for spectra of a sound that keeps every `factor`-th sample:
    /// their lowest `n_fft / factor / 2 + 1` bins, one part in `factor` of their values.
    pub(crate) fn decimated(config: &MelConfig, factor: usize, count: usize) -> Self {
        let bins = config.n_fft / factor / 2 + 1;
        let window_gain = if config.unit_window { hann_energy(config.window).sqrt() } else { 1.0 };
        let rows = filter_bank(config);
        let rows = rows.chunks(config.n_fft / 2 + 1).take(count);
        let rows: Vec<&[f32]> = rows.map(|row| &row[..bins]).collect();
        let columns = Columns::new(&rows, bins);
        let mut shares = vec![0.0; bins];
        columns.sum(&vec![1.0; count], &mut shares);
        shares.iter_mut().filter(|sum| **sum > 0.0).for_each(|sum| *sum = 1.0 / *sum);
        Self {
            arch: Arch::new(),
            bands: rows.into_iter().map(Band::from_row).collect(),
            columns,
            shares,
            gain: window_gain / factor as f32,
            target: vec![0.0; count],
            values: vec![0.0; count],
            numerator: vec![0.0; bins],
            denominator: vec![0.0; bins],
            config: config.clone(),
        }
    }

    /// Magnitudes (`n_fft / 2 + 1`) that give the mel values `frame`. Bins outside all bands get 0.
    pub(crate) fn spread(&mut self, frame: &[f32], magnitudes: &mut [f32]) {
        self.arch.dispatch(Spread { inverse: self, frame, magnitudes });
    }

    #[inline(always)]
    fn spread_here(&mut self, frame: &[f32], magnitudes: &mut [f32]) {
        for (target, &value) in self.target.iter_mut().zip(frame) {
            *target = self.config.expand(value);
        }
        self.start(magnitudes);
        self.columns.sum(&self.target, &mut self.numerator);
        for _ in 0..ROUNDS {
            for (value, band) in self.values.iter_mut().zip(&self.bands) {
                *value = band.of(magnitudes);
            }
            self.columns.sum(&self.values, &mut self.denominator);
            for ((x, up), down) in magnitudes.iter_mut().zip(&self.numerator).zip(&self.denominator)
            {
                *x *= if *down > 0.0 { up / down } else { 0.0 };
            }
        }
        if self.config.power == Power::Energy {
            magnitudes.iter_mut().for_each(|x| *x = x.sqrt());
        }
        magnitudes.iter_mut().for_each(|x| *x *= self.gain);
    }

    /// The values of the bands that [`MelInverse::fit`] works towards, `n_mels`, of the mel values `frame`.
    pub(crate) fn target(&self, frame: &[f32], target: &mut [f32]) {
        let gain = self.gain.powi(self.config.power.exponent() as i32);
        for (target, &value) in target.iter_mut().zip(frame) {
            *target = gain * self.config.expand(value);
        }
    }

    /// Brings magnitudes (`n_fft / 2 + 1`) that are near them to the bands' values `target`, and keeps how
    /// a band is spread over its bins: one round of the multiplicative update for the divergence of A x
    /// from the target (Lee & Seung 2001, equation 5), x <- x A'(b / A x) / A'1. Bins outside all bands
    /// get 0.
    ///
    /// Inlined, to be compiled for its caller's instruction set.
    #[inline(always)]
    pub(crate) fn fit(&mut self, target: &[f32], magnitudes: &mut [f32]) {
        let energy = self.config.power == Power::Energy;
        for (x, magnitude) in self.denominator.iter_mut().zip(&*magnitudes) {
            let value = magnitude.max(LEAST);
            *x = if energy { value * value } else { value };
        }
        for (value, band) in self.values.iter_mut().zip(&self.bands) {
            *value = band.of(&self.denominator);
        }
        for (value, target) in self.values.iter_mut().zip(target) {
            *value = target / value.max(f32::MIN_POSITIVE);
        }
        self.columns.sum(&self.values, &mut self.numerator);
        for ((magnitude, up), share) in magnitudes.iter_mut().zip(&self.numerator).zip(&self.shares)
        {
            let factor = up * share;
            *magnitude = magnitude.max(LEAST) * if energy { factor.sqrt() } else { factor };
        }
    }

    /// The squares of what the bands of `magnitudes` are off their values `target` by, added up; of energies
    /// those of their roots, so that all are amplitudes squared.
    #[inline(always)]
    pub(crate) fn misfit(&mut self, target: &[f32], magnitudes: &[f32]) -> f32 {
        let energy = self.config.power == Power::Energy;
        for (x, &value) in self.denominator.iter_mut().zip(magnitudes) {
            *x = if energy { value * value } else { value };
        }
        let off = |(band, &target): (&Band, &f32)| {
            let value = band.of(&self.denominator);
            if energy { target.sqrt() - value.sqrt() } else { target - value }
        };
        self.bands.iter().zip(target).map(off).map(|off| off * off).sum()
    }

    /// Each bin the mean, weighted by A, of its bands' mean values.
    fn start(&mut self, magnitudes: &mut [f32]) {
        // Relative weights: narrow bands of great weight count as much as wide ones.
        let inverse = |band: &Band| if band.sum > 0.0 { 1.0 / band.sum } else { 0.0 };
        for ((value, band), target) in self.values.iter_mut().zip(&self.bands).zip(&self.target) {
            *value = target * inverse(band) * inverse(band);
        }
        self.columns.sum(&self.values, magnitudes);
        for (value, band) in self.values.iter_mut().zip(&self.bands) {
            *value = inverse(band);
        }
        self.columns.sum(&self.values, &mut self.denominator);
        for (x, weight) in magnitudes.iter_mut().zip(&self.denominator) {
            *x = if *weight > 0.0 { *x / weight } else { 0.0 };
        }
    }
}

/// [`MelInverse::spread`], compiled for each instruction set.
struct Spread<'a> {
    inverse: &'a mut MelInverse,
    frame: &'a [f32],
    magnitudes: &'a mut [f32],
}

impl WithSimd for Spread<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        self.inverse.spread_here(self.frame, self.magnitudes);
    }
}

impl Band {
    fn from_row(row: &[f32]) -> Self {
        let first = row.iter().position(|&w| w > 0.0).unwrap_or(0);
        let end = row.iter().rposition(|&w| w > 0.0).map_or(first, |last| last + 1);
        let width = (end - first).next_multiple_of(LANES).min(row.len());
        let first = first.min(row.len() - width);
        let weights = row[first..first + width].to_vec();
        Self { first, sum: weights.iter().sum(), weights }
    }

    /// This row of A times x.
    #[inline(always)]
    fn of(&self, x: &[f32]) -> f32 {
        let mut lanes = [0.0; LANES];
        let (weights, rest) = self.weights.as_chunks::<LANES>();
        let (x, x_rest) = x[self.first..][..self.weights.len()].as_chunks::<LANES>();
        for (w, x) in weights.iter().zip(x) {
            lanes.iter_mut().zip(w).zip(x).for_each(|((sum, w), x)| *sum += w * x);
        }
        let rest: f32 = rest.iter().zip(x_rest).map(|(w, x)| w * x).sum();
        let [a, b, c, d, e, f, g, h] = lanes;
        ((a + e) + (c + g)) + ((b + f) + (d + h)) + rest
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::noise::Noise;

    #[test]
    fn bins_give_back_the_bands() {
        for name in MelConfig::PRESETS {
            let config = MelConfig::preset(name).unwrap();
            let bins = config.n_fft / 2 + 1;
            let mut spectrum = vec![0.0; bins];
            Noise::new(2).fill(0, 0, &mut spectrum);
            // A spectral tilt of 40 dB under Rayleigh-like ripple.
            for (k, x) in spectrum.iter_mut().enumerate() {
                *x = (0.1 + x.abs()) * 10f32.powf(-2.0 * k as f32 / bins as f32);
            }
            let mut inverse = MelInverse::new(&config);
            let exponent = config.power.exponent() as i32;
            let bands = |inverse: &MelInverse, x: &[f32]| -> Vec<f32> {
                let x: Vec<f32> = x.iter().map(|x| (x / inverse.gain).powi(exponent)).collect();
                inverse.bands.iter().map(|band| band.of(&x)).collect()
            };
            let target = bands(&inverse, &spectrum);
            let mel: Vec<f32> = target.iter().map(|&v| config.compress(v)).collect();
            let mut x = vec![9.0; bins];
            inverse.spread(&mel, &mut x);
            assert!(x.iter().all(|&x| x >= 0.0));
            let errors: Vec<f32> = bands(&inverse, &x)
                .iter()
                .zip(&target)
                .filter(|&(_, &t)| t > config.floor)
                .map(|(got, t)| (got / t).ln().abs())
                .collect();
            let mean = errors.iter().sum::<f32>() / errors.len() as f32;
            let worst = errors.iter().fold(0.0f32, |a, &b| a.max(b));
            // Neighbours differ by more in energy, and the update needs more rounds for that.
            let energy = config.power == Power::Energy;
            let (most, worst_of_all) = if energy { (0.02, 1.0) } else { (0.005, 0.1) };
            assert!(mean < most && worst < worst_of_all, "{name}: mean {mean}, worst {worst} nat");
        }
    }
    #[test]
    fn fitting_is_its_formula() {
        for name in MelConfig::PRESETS {
            let config = MelConfig::preset(name).unwrap();
            let (bins, bands) = (config.n_fft / 2 + 1, config.n_mels);
            let mut inverse = MelInverse::new(&config);
            let mut parts = vec![0.0; bins + bands];
            Noise::new(3).fill(0, 0, &mut parts);
            let mel: Vec<f32> = parts[bins..].iter().map(|v| config.compress(v.abs())).collect();
            let mut target = vec![0.0; bands];
            inverse.target(&mel, &mut target);
            let given: Vec<f32> = parts[..bins].iter().map(|x| 0.1 + x.abs()).collect();
            let mut ours = given.clone();
            inverse.fit(&target, &mut ours);

            // Over the whole matrix, in f64, of what the mel says a band is.
            let exponent = config.power.exponent() as i32;
            let rows: Vec<&[f32]> = Vec::from_iter(filter_bank(&config).leak().chunks(bins));
            let gain = f64::from(inverse.gain);
            let x: Vec<f64> = given.iter().map(|&x| (f64::from(x) / gain).powi(exponent)).collect();
            let ratios: Vec<f64> = rows
                .iter()
                .zip(&mel)
                .map(|(row, &v)| {
                    let band: f64 = row.iter().zip(&x).map(|(&w, x)| f64::from(w) * x).sum();
                    f64::from(config.expand(v)) / band
                })
                .collect();
            for k in 0..bins {
                let column = || rows.iter().map(|row| f64::from(row[k]));
                let (up, sum) =
                    (column().zip(&ratios).map(|(w, r)| w * r).sum::<f64>(), column().sum::<f64>());
                let factor = if sum > 0.0 { up / sum } else { 0.0 };
                let expected = f64::from(given[k]) * factor.powf(1.0 / f64::from(exponent));
                let off = (f64::from(ours[k]) - expected).abs();
                assert!(
                    off < 1e-4 * expected.max(1e-6),
                    "{name}, bin {k}: {} for {expected}",
                    ours[k]
                );
            }
        }
    }

    #[test]
    fn a_level_is_fitted_at_once_and_silence_can_rise() {
        let config = MelConfig::default();
        let bins = config.n_fft / 2 + 1;
        let mut inverse = MelInverse::new(&config);
        let mel = vec![config.compress(0.5); config.n_mels];
        let mut target = vec![0.0; config.n_mels];
        inverse.target(&mel, &mut target);
        let mut right = vec![0.0; bins];
        inverse.spread(&mel, &mut right);
        for _ in 0..20 {
            inverse.fit(&target, &mut right);
        }
        // Magnitudes three times as great are fitted in one round, as the formula has it.
        let mut three: Vec<f32> = right.iter().map(|x| 3.0 * x).collect();
        inverse.fit(&target, &mut three);
        for (a, b) in three.iter().zip(&right) {
            assert!((a - b).abs() < 0.02 * b.max(1e-6), "{a} for {b}");
        }
        let mut silence = vec![0.0; bins];
        inverse.fit(&target, &mut silence);
        let of = |x: &[f32]| inverse.bands[60].of(x);
        assert!(
            (of(&silence) / target[60] - 1.0).abs() < 0.2,
            "{} of {}",
            of(&silence),
            target[60]
        );
    }
}
