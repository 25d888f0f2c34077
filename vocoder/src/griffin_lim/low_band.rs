//! The lowest bands of a clip as a sound of their own, at a fraction of the rate: where pitch is.

use crate::mel::{MelConfig, filter_bank};

/// The highest frequency that must lie in the band: the fundamental of any voice and a few harmonics.
const LEAST_TOP: f64 = 1190.0;

/// The band's uppermost bin as a part of half its rate: beyond it lies the filter's slope.
const USED: f64 = 0.87;

/// How a clip's low band is taken and put back. Samples are those of the padded clip.
pub(super) struct LowBand {
    /// Every `factor`-th sample is kept.
    pub factor: usize,
    /// How many of the mel's bands lie in it.
    pub bands: usize,
    /// How many of its spectra's bins.
    pub top: usize,
    /// From one of them to the next, in Hz.
    pub spacing: f32,
    /// A low-pass filter, from its middle on.
    taps: Vec<f32>,
}

impl LowBand {
    /// The low band of clips with these mels; none if it is too narrow to be worth a search.
    pub fn of(config: &MelConfig) -> Option<Self> {
        let half = f64::from(config.sample_rate) / 2.0;
        let fits = |factor: &usize| {
            config.n_fft.is_multiple_of(4 * factor)
                && USED * half / *factor as f64 >= LEAST_TOP
                && config.window >= 32 * factor
        };
        let factor = [16, 8, 4, 2].into_iter().find(fits)?;
        let bins = config.n_fft / 2 + 1;
        let top = (USED * (config.n_fft / 2 / factor) as f64) as usize;
        let below = |row: &&[f32]| row[top..].iter().all(|weight| *weight == 0.0);
        let bank = filter_bank(config);
        let bands = bank.chunks(bins).take_while(below).count();
        // A windowed sinc that falls from the band's top to half the rate.
        let cut = (1.0 + USED) / 2.0 / factor as f64;
        let reach = 24 * factor;
        let tap = |i: usize| {
            let turn = std::f64::consts::PI * i as f64;
            let sinc = if i == 0 { cut } else { (cut * turn).sin() / turn };
            (sinc * (0.5 + 0.5 * (turn / reach as f64).cos())) as f32
        };
        let spacing = config.sample_rate as f32 / config.n_fft as f32;
        let taps = (0..reach).map(tap).collect();
        (bands >= 16).then_some(Self { factor, bands, top, spacing, taps })
    }

    /// Every `factor`-th sample of `padded`, low-passed.
    pub fn take(&self, padded: &[f32]) -> Vec<f32> {
        let at = |i: isize| usize::try_from(i).ok().and_then(|i| padded.get(i)).unwrap_or(&0.0);
        let filtered = |middle: usize| {
            let sides = self.taps.iter().enumerate().skip(1).map(|(i, tap)| {
                tap * (at(middle as isize - i as isize) + at((middle + i) as isize))
            });
            self.taps[0] * padded[middle] + sides.sum::<f32>()
        };
        (0..padded.len()).step_by(self.factor).map(filtered).collect()
    }

    /// Adds what the low band has changed by to `padded`.
    pub fn put(&self, change: &[f32], padded: &mut [f32]) {
        let reach = self.taps.len() - 1;
        for (at, out) in padded.iter_mut().enumerate() {
            let first = at.saturating_sub(reach).div_ceil(self.factor);
            let last = ((at + reach) / self.factor).min(change.len() - 1);
            let sum: f32 =
                (first..=last).map(|j| change[j] * self.taps[at.abs_diff(j * self.factor)]).sum();
            *out += sum * self.factor as f32;
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn what_it_is_of_every_preset_by_hand() {
        for name in MelConfig::PRESETS {
            let config = MelConfig::preset(name).unwrap();
            let band = LowBand::of(&config).unwrap();
            // 87 % of an eighth of half the rate is 1305 Hz at 24 kHz, 1199 at 22.05.
            let factor = match config.sample_rate {
                44_100 | 48_000 => 16,
                22_050 | 24_000 => 8,
                _ => 4,
            };
            assert_eq!(band.factor, factor, "{name}");
            assert!(band.bands >= 16 && band.bands < config.n_mels, "{name}: {}", band.bands);
        }
        // A transform that cannot be divided has none, nor have bands too few.
        let odd = MelConfig { n_fft: 2046, ..MelConfig::default() };
        assert!(LowBand::of(&odd).is_none());
        let few = MelConfig { n_mels: 20, ..MelConfig::default() };
        assert!(LowBand::of(&few).is_none());
    }

    #[test]
    fn a_low_tone_is_taken_as_it_is_and_comes_back_and_a_high_one_is_not_heard() {
        let band = LowBand::of(&MelConfig::default()).unwrap();
        let tone = |hz: f64| -> Vec<f32> {
            let turn = std::f64::consts::TAU * hz / 24e3;
            (0..4800).map(|i| (turn * f64::from(i)).sin() as f32).collect()
        };
        for (hz, share) in [(150.0, 1.0), (1250.0, 1.0), (1600.0, 0.0), (4000.0, 0.0)] {
            let sound = tone(hz);
            let low = band.take(&sound);
            let mut back = vec![0.0; sound.len()];
            band.put(&low, &mut back);
            for i in 600..4200 {
                let expected = share * sound[i];
                assert!((back[i] - expected).abs() < 0.01, "{hz} Hz: {} for {expected}", back[i]);
                if i % 8 == 0 {
                    assert!((low[i / 8] - expected).abs() < 0.01, "{hz} Hz, taken");
                }
            }
        }
    }
}
