//! Bands to bins: the magnitudes that give a mel.

use crate::mel::{MelConfig, Power, filter_bank, hann};

/// Rounds of the multiplicative update. 30 leave 0.1 % of a band's value in the mean.
const ROUNDS: usize = 30;

/// Inverts the filter bank A of one config: non-negative x with A x = mel, by the multiplicative
/// update x <- x A'b / A'A x (Lee & Seung 2001), which descends on |A x - b|^2 and keeps x positive.
///
/// It starts from the bands' mean values, spread by the transposed bank, and so ends near a smooth
/// solution: A has far fewer rows than columns, and many x fit.
pub(crate) struct MelInverse {
    config: MelConfig,
    bands: Vec<Band>,
    /// What the magnitudes were divided by in the mel ([`MelConfig::unit_window`]).
    gain: f32,
    target: Vec<f32>,
    /// A'b and A'A x.
    numerator: Vec<f32>,
    denominator: Vec<f32>,
}

/// The bins of a band that carry weight.
struct Band {
    first: usize,
    weights: Vec<f32>,
    sum: f32,
}

impl MelInverse {
    pub(crate) fn new(config: &MelConfig) -> Self {
        let bins = config.n_fft / 2 + 1;
        let window_energy: f32 = hann(config.window).iter().map(|w| w * w).sum();
        Self {
            bands: filter_bank(config).chunks(bins).map(Band::from_row).collect(),
            gain: if config.unit_window { window_energy.sqrt() } else { 1.0 },
            target: vec![0.0; config.n_mels],
            numerator: vec![0.0; bins],
            denominator: vec![0.0; bins],
            config: config.clone(),
        }
    }

    /// Magnitudes (`n_fft / 2 + 1`) that give the mel values `frame`. Bins outside all bands get 0.
    pub(crate) fn spread(&mut self, frame: &[f32], magnitudes: &mut [f32]) {
        for (target, &value) in self.target.iter_mut().zip(frame) {
            *target = self.config.expand(value);
        }
        self.start(magnitudes);
        self.numerator.fill(0.0);
        for (band, &target) in self.bands.iter().zip(&self.target) {
            band.add_to(target, &mut self.numerator);
        }
        for _ in 0..ROUNDS {
            self.denominator.fill(0.0);
            for band in &self.bands {
                band.add_to(band.of(magnitudes), &mut self.denominator);
            }
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

    /// Each bin the mean, weighted by A, of its bands' mean values.
    fn start(&mut self, magnitudes: &mut [f32]) {
        magnitudes.fill(0.0);
        self.denominator.fill(0.0);
        for (band, &target) in self.bands.iter().zip(&self.target) {
            if band.sum > 0.0 {
                // Relative weights: narrow bands of great weight count as much as wide ones.
                band.add_to(target / (band.sum * band.sum), magnitudes);
                band.add_to(1.0 / band.sum, &mut self.denominator);
            }
        }
        for (x, weight) in magnitudes.iter_mut().zip(&self.denominator) {
            *x = if *weight > 0.0 { *x / weight } else { 0.0 };
        }
    }
}

impl Band {
    fn from_row(row: &[f32]) -> Self {
        let first = row.iter().position(|&w| w > 0.0).unwrap_or(0);
        let end = row.iter().rposition(|&w| w > 0.0).map_or(first, |last| last + 1);
        let weights = row[first..end].to_vec();
        Self { first, sum: weights.iter().sum(), weights }
    }

    /// This row of A times x.
    fn of(&self, x: &[f32]) -> f32 {
        self.weights.iter().zip(&x[self.first..]).map(|(w, x)| w * x).sum()
    }

    /// Adds `value` times this row of A.
    fn add_to(&self, value: f32, out: &mut [f32]) {
        out[self.first..].iter_mut().zip(&self.weights).for_each(|(out, w)| *out += w * value);
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
}
