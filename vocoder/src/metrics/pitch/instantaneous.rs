//! Pitch from the instantaneous frequency of its harmonics (Flanagan & Golden 1966; Morise 2017), and
//! StoneMask, which mends a pitch by it.

use std::f64::consts::TAU;

use realfft::num_complex::Complex64;

/// Most harmonics that a pitch is told from.
pub(super) const HARMONICS: usize = 6;

/// A piece of a signal, three periods of a pitch long, under a Blackman window and under that window's
/// derivative.
pub(super) struct Window {
    rate: f64,
    /// Transform length that the frequencies lie on the bins of.
    n_fft: usize,
    /// The real part under the window, the imaginary part under its derivative.
    samples: Vec<Complex64>,
}

impl Window {
    /// Around `time_s` of `signal` of `rate` samples per second; beyond its ends it stands still.
    pub fn new(signal: &[f64], rate: f64, time_s: f64, f0_hz: f64) -> Self {
        let half = (1.5 * rate / f0_hz + 1.0) as isize;
        let length = (2 * half + 1) as usize;
        // Note: a sample early, as WORLD counts from 1; the window moves along.
        let first = (time_s * rate).round() as isize - half - 1;
        // A rotation a sample instead of a cosine; cos 2x = 2 cos^2 x - 1.
        let turn = TAU / length as f64;
        let step = Complex64::from_polar(1.0, turn);
        let mut phase = Complex64::from_polar(1.0, turn * (first as f64 - time_s * rate));
        let blackman = |_| {
            let cos = phase.re;
            phase *= step;
            0.42 + 0.5 * cos + 0.08 * (2.0 * cos * cos - 1.0)
        };
        let window: Vec<f64> = (0..length).map(blackman).collect();
        let at = |i: usize| window.get(i).copied().unwrap_or(0.0);
        let last = signal.len() as isize - 1;
        let sample = |i: usize| {
            let x = signal[(first + i as isize).clamp(0, last) as usize];
            let before = if i == 0 { 0.0 } else { at(i - 1) };
            Complex64::new(x * window[i], x * (before - at(i + 1)) / 2.0)
        };
        let samples = (0..length).map(sample).collect();
        Self { rate, n_fft: 4 << length.ilog2(), samples }
    }

    /// The mean of the instantaneous frequencies of harmonics 1 to `harmonics` (at most
    /// [`HARMONICS`]) of `f0_hz`, each by its number, weighted by amplitude; and how far they are from
    /// `f0_hz`, as the mean share of it.
    pub fn mean_frequency(&self, f0_hz: f64, harmonics: usize) -> (f64, f64) {
        let bin = |k: usize| (f0_hz * self.n_fft as f64 / self.rate * k as f64).round() as usize;
        let bins = std::array::from_fn(|i| bin(i + 1).min(self.n_fft / 2));
        let (mut sum, mut weight, mut deviation) = (0.0, 0.0, 0.0);
        for (i, (amplitude, frequency_hz)) in self.at(bins).into_iter().take(harmonics).enumerate()
        {
            let k = (i + 1) as f64;
            sum += amplitude * frequency_hz;
            weight += amplitude * k;
            deviation += ((frequency_hz / k - f0_hz) / f0_hz).abs();
        }
        (sum / (weight + 1e-12), deviation / harmonics as f64)
    }

    /// The amplitude and the instantaneous frequency at each bin: the bin's, and
    /// Im(conj(X) X') / |X|^2 rate / 2 pi, X' being the spectrum under the derivative (Flanagan &
    /// Golden, eq. 9). So few bins are summed faster as they stand than by a transform.
    fn at(&self, bins: [usize; HARMONICS]) -> [(f64, f64); HARMONICS] {
        let hz = |bin: usize| bin as f64 * self.rate / self.n_fft as f64;
        let turns = bins.map(|bin| Complex64::from_polar(1.0, -TAU * hz(bin) / self.rate));
        // Of each bin: the phase, X and X'.
        let mut sums =
            [(Complex64::new(1.0, 0.0), Complex64::default(), Complex64::default()); HARMONICS];
        for sample in &self.samples {
            for ((phase, plain, derived), turn) in sums.iter_mut().zip(&turns) {
                *plain += *phase * sample.re;
                *derived += *phase * sample.im;
                *phase *= turn;
            }
        }
        std::array::from_fn(|i| {
            let (_, plain, derived) = sums[i];
            let power = plain.norm_sqr();
            if power == 0.0 {
                return (0.0, 0.0);
            }
            let shift = (plain.conj() * derived).im / power * self.rate / TAU;
            (power.sqrt(), hz(bins[i]) + shift)
        })
    }
}

/// `f0_hz` at `time_s`, mended by the first two harmonics and then by the first six (StoneMask of Morise
/// et al. 2009 and WORLD). What moves by more than a fifth stays as it was. 0 stays 0.
pub(super) fn stone_mask(signal: &[f64], rate: f64, time_s: f64, f0_hz: f64) -> f64 {
    /// Below, and above a twelfth of the rate, nothing is mended: there is no pitch.
    const LOWEST_HZ: f64 = 40.0;
    if f0_hz <= LOWEST_HZ || f0_hz > rate / 12.0 {
        return 0.0;
    }
    let window = Window::new(signal, rate, time_s, f0_hz);
    let (rough, _) = window.mean_frequency(f0_hz, 2);
    if rough <= 0.0 || rough > 2.0 * f0_hz {
        return f0_hz;
    }
    let (fine, _) = window.mean_frequency(rough, HARMONICS);
    if (fine - f0_hz).abs() > 0.2 * f0_hz { f0_hz } else { fine }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn voice(f0_hz: f64, rate: f64) -> Vec<f64> {
        let sample = |i: usize| {
            let turn = TAU * f0_hz * i as f64 / rate;
            (1..=8).map(|k| (f64::from(k) * turn).sin() / f64::from(k)).sum()
        };
        (0..rate as usize / 2).map(sample).collect()
    }

    #[test]
    fn a_steady_voice_has_its_own_frequency() {
        let signal = voice(151.3, 16_000.0);
        for guess in [140.0, 151.3, 165.0] {
            let mended = stone_mask(&signal, 16_000.0, 0.2, guess);
            assert!((mended - 151.3).abs() < 0.05, "{guess}: {mended}");
        }
        let window = Window::new(&signal, 16_000.0, 0.2, 151.3);
        assert!(window.mean_frequency(151.3, 6).1 < 1e-3);
        // Two thirds of the pitch has no harmonics where it should.
        assert!(window.mean_frequency(100.9, 6).1 > 0.02);
    }

    #[test]
    fn what_is_out_of_range_or_too_far_off_is_not_mended() {
        let signal = voice(151.3, 16_000.0);
        for none in [0.0, 40.0, 1400.0] {
            assert_eq!(stone_mask(&signal, 16_000.0, 0.2, none), 0.0);
        }
        assert_eq!(stone_mask(&[0.0; 8000], 16_000.0, 0.2, 120.0), 120.0);
    }

    /// The slow twin: the whole spectrum's definition, at one bin.
    #[test]
    fn the_bins_are_the_transforms() {
        let signal = voice(200.0, 8000.0);
        let window = Window::new(&signal, 8000.0, 0.1, 200.0);
        assert_eq!((window.samples.len(), window.n_fft), (123, 256));
        let bin = 7;
        let mut sums = [Complex64::default(); 2];
        for (i, sample) in window.samples.iter().enumerate() {
            let turn = Complex64::from_polar(1.0, -TAU * (bin * i) as f64 / 256.0);
            sums[0] += turn * sample.re;
            sums[1] += turn * sample.im;
        }
        let shift = (sums[0].re * sums[1].im - sums[0].im * sums[1].re) / sums[0].norm_sqr();
        let (amplitude, hz) = window.at([bin; HARMONICS])[0];
        assert!((amplitude - sums[0].norm()).abs() < 1e-9);
        assert!((hz - (7.0 / 256.0 + shift / TAU) * 8000.0).abs() < 1e-9);
    }
}
