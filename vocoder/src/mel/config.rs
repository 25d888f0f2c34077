//! What a mel spectrogram is made of: every setting that changes its values.

use serde::{Deserialize, Serialize};

use super::filter_bank;
use crate::{Error, Result};

/// The perceptual frequency scale on which the bands are evenly spaced.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum MelScale {
    /// Linear below 1 kHz, logarithmic above (Slaney's Auditory Toolbox; librosa's default).
    Slaney,
    /// `2595 log10(1 + f/700)` (torchaudio's default).
    Htk,
}

/// How each band's triangle is scaled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum MelNorm {
    /// A peak of 1.
    None,
    /// An area of 1 Hz: `2 / (upper edge - lower edge)`.
    Slaney,
}

/// The power of the spectrum's magnitude that the bands sum.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Power {
    /// Power 1.
    Magnitude,
    /// Power 2.
    Energy,
}

impl Power {
    /// The exponent: 1 or 2.
    pub fn exponent(self) -> u32 {
        match self {
            Power::Magnitude => 1,
            Power::Energy => 2,
        }
    }
}

/// How a band's linear value becomes a mel value. The floor is applied first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum MelLog {
    /// `ln x`.
    Natural,
    /// `log10 x`.
    Log10,
    /// `20 log10 x` of a magnitude, `10 log10 x` of an energy.
    Db,
    /// [`MelLog::Db`] with -80 dB mapped to 0 and +20 dB to 1, clipped to that range
    /// (lmnt-com/wavegrad 0.1.5, `preprocess.py`).
    UnitDb,
}

/// Where frame 0 lies. Both kinds pad by reflection about the first and the last sample.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum MelPadding {
    /// `n_fft / 2` on both sides: frame `f` is centred on sample `f hop`, and there are
    /// `len / hop + 1` frames (librosa, torchaudio, Tacotron 2).
    Centre,
    /// `(n_fft - hop) / 2` on both sides: frame `f` is centred on the middle of its hop, and there
    /// are `len / hop` frames (HiFi-GAN's `mel_spectrogram`).
    HifiGan,
}

/// Every setting that changes the values of a mel spectrogram.
///
/// The default is the paper's features (WaveGrad, section 4.1): preset `wavegrad-24k`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MelConfig {
    /// Samples per second of the audio.
    pub sample_rate: u32,
    /// Bands.
    pub n_mels: usize,
    /// Length of the Fourier transform, in samples. Even.
    pub n_fft: usize,
    /// Length of the periodic Hann window, in samples, centred in `n_fft`.
    pub window: usize,
    /// Samples from one frame to the next.
    pub hop: usize,
    /// Lower edge of the lowest band.
    pub f_min_hz: f32,
    /// Upper edge of the highest band.
    pub f_max_hz: f32,
    /// Spacing of the bands.
    pub scale: MelScale,
    /// Scaling of the bands.
    pub norm: MelNorm,
    /// What the bands sum.
    pub power: Power,
    /// Added to each bin's energy before anything else: HiFi-GAN takes `sqrt(re² + im² + 1e-9)`.
    #[serde(default)]
    pub energy_guard: f32,
    /// Divide the spectrum by the window's root sum of squares (torchaudio's `normalized=True`).
    #[serde(default)]
    pub unit_window: bool,
    /// How a band's value is compressed.
    pub log: MelLog,
    /// The smallest linear value of a band. Smaller ones are raised to it.
    pub floor: f32,
    /// Where frame 0 lies.
    pub padding: MelPadding,
}

impl Default for MelConfig {
    fn default() -> Self {
        MelConfig {
            sample_rate: 24_000,
            n_mels: 128,
            n_fft: 2048,
            window: 1200,
            hop: 300,
            f_min_hz: 20.0,
            f_max_hz: 12_000.0,
            scale: MelScale::Slaney,
            norm: MelNorm::Slaney,
            power: Power::Magnitude,
            energy_guard: 0.0,
            unit_window: false,
            log: MelLog::Natural,
            floor: 1e-5,
            padding: MelPadding::Centre,
        }
    }
}

/// Longest transform that a configuration may ask for: keeps a damaged file from taking all memory.
const MAX_N_FFT: usize = 1 << 17;

impl MelConfig {
    /// Checks that the settings agree with each other.
    ///
    /// # Errors
    /// The first setting that is out of range, with the range.
    pub fn validate(&self) -> Result<()> {
        let nyquist = self.sample_rate as f32 / 2.0;
        let bins = self.n_fft / 2 + 1;
        let rules: [(bool, &str, String); 10] = [
            (
                (1..=768_000).contains(&self.sample_rate),
                "sample_rate",
                format!("expected 1 to 768000, got {}", self.sample_rate),
            ),
            (
                self.n_fft.is_multiple_of(2) && (2..=MAX_N_FFT).contains(&self.n_fft),
                "n_fft",
                format!("expected an even number up to {MAX_N_FFT}, got {}", self.n_fft),
            ),
            (
                (2..=self.n_fft).contains(&self.window),
                "window",
                format!("expected 2 to n_fft ({}), got {}", self.n_fft, self.window),
            ),
            (
                (1..=self.window).contains(&self.hop),
                "hop",
                format!("expected 1 to window ({}), got {}", self.window, self.hop),
            ),
            (
                (1..=bins).contains(&self.n_mels),
                "n_mels",
                format!("expected 1 to n_fft / 2 + 1 ({bins}), got {}", self.n_mels),
            ),
            (
                self.f_min_hz >= 0.0 && self.f_min_hz < self.f_max_hz,
                "f_min_hz",
                format!("expected 0 to below f_max_hz ({}), got {}", self.f_max_hz, self.f_min_hz),
            ),
            (
                self.f_max_hz <= nyquist,
                "f_max_hz",
                format!("expected at most half the rate ({nyquist}), got {}", self.f_max_hz),
            ),
            (
                self.floor > 0.0 && self.floor.is_finite(),
                "floor",
                format!("expected above 0, got {}", self.floor),
            ),
            (
                self.energy_guard >= 0.0 && self.energy_guard.is_finite(),
                "energy_guard",
                format!("expected 0 or more, got {}", self.energy_guard),
            ),
            (
                self.padding == MelPadding::Centre || (self.n_fft - self.hop).is_multiple_of(2),
                "hop",
                format!("expected an even number for this padding, got {}", self.hop),
            ),
        ];
        match rules.into_iter().find(|(holds, ..)| !holds) {
            None => Ok(()),
            Some((_, field, reason)) => Err(Error::config(format!("mel {field}"), reason)),
        }
    }

    /// Samples that the padding adds on either side.
    pub fn pad(&self) -> usize {
        match self.padding {
            MelPadding::Centre => self.n_fft / 2,
            MelPadding::HifiGan => (self.n_fft - self.hop) / 2,
        }
    }

    /// Zeros on either side of the window within `n_fft` samples.
    pub(super) fn margin(&self) -> usize {
        (self.n_fft - self.window) / 2
    }

    /// Samples from `frame * hop`, a frame's place, to the end of its window: what a live stream
    /// waits for.
    pub fn look_ahead(&self) -> usize {
        self.margin() + self.window - self.pad()
    }

    /// Checks that `got` are these very settings.
    ///
    /// # Errors
    /// The first setting that differs, what was expected and what came.
    pub fn expect(&self, got: &MelConfig) -> Result<()> {
        let fields = |config: &MelConfig| -> Vec<(String, String)> {
            let text = serde_json::to_string(config).unwrap_or_default();
            let map: serde_json::Map<_, _> = serde_json::from_str(&text).unwrap_or_default();
            map.into_iter().map(|(name, value)| (name, value.to_string())).collect()
        };
        for ((name, expected), (_, came)) in fields(self).into_iter().zip(fields(got)) {
            if expected != came {
                return Err(Error::mismatch(format!("mel {name}"), expected, came));
            }
        }
        Ok(())
    }

    /// Frames of a clip of `len` samples: `len / hop + 1` when centred, else `len / hop`.
    pub fn frames(&self, len: usize) -> usize {
        match self.padding {
            MelPadding::Centre => len / self.hop + 1,
            MelPadding::HifiGan => len / self.hop,
        }
    }

    /// The mel value of a band's linear value.
    pub fn compress(&self, linear: f32) -> f32 {
        let x = linear.max(self.floor);
        match self.log {
            MelLog::Natural => x.ln(),
            MelLog::Log10 => x.log10(),
            MelLog::Db => self.db_factor() * x.log10(),
            MelLog::UnitDb => ((self.db_factor() * x.log10() + 80.0) / 100.0).clamp(0.0, 1.0),
        }
    }

    /// The linear value of a band (magnitude or energy, as [`MelConfig::power`] says) that
    /// [`MelConfig::compress`] maps to `value`.
    pub fn expand(&self, value: f32) -> f32 {
        match self.log {
            MelLog::Natural => value.exp(),
            MelLog::Log10 => 10f32.powf(value),
            MelLog::Db => 10f32.powf(value / self.db_factor()),
            MelLog::UnitDb => 10f32.powf((value * 100.0 - 80.0) / self.db_factor()),
        }
    }

    /// The smallest value that these settings can produce: that of the floor.
    pub fn min_value(&self) -> f32 {
        self.compress(self.floor)
    }

    /// A bound that no audio within [-1, 1] can exceed: each bin at the window's sum, in the band
    /// of the greatest weight. Builds the filter bank: call it once a file, not once a frame.
    pub fn max_value(&self) -> f32 {
        let bins = self.n_fft / 2 + 1;
        let weight =
            filter_bank(self).chunks(bins).map(|band| band.iter().sum::<f32>()).fold(0.0, f32::max);
        // A periodic Hann window sums to half its length and its squares to three eighths.
        let window = self.window as f32;
        let gain = if self.unit_window { (0.375 * window).sqrt() } else { 1.0 };
        let magnitude = ((window / 2.0).powi(2) + self.energy_guard).sqrt() / gain;
        self.compress(weight * magnitude.powi(self.power.exponent() as i32))
    }

    fn db_factor(&self) -> f32 {
        20.0 / self.power.exponent() as f32
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn an_unknown_field_is_refused() {
        let mut json = serde_json::to_value(MelConfig::default()).unwrap();
        json["hop_length"] = 256.into();
        assert!(serde_json::from_value::<MelConfig>(json).is_err());
    }

    #[test]
    fn the_differing_setting_is_named() {
        let paper = MelConfig::default();
        paper.expect(&paper.clone()).unwrap();
        let other = MelConfig { hop: 256, ..paper.clone() };
        assert_eq!(paper.expect(&other).unwrap_err().to_string(), "mel hop: expected 300, got 256");
        let other = MelConfig { log: MelLog::UnitDb, floor: 1e-7, ..paper.clone() };
        let message = paper.expect(&other).unwrap_err().to_string();
        assert_eq!(message, "mel floor: expected 0.00001, got 1e-7");
    }

    #[test]
    fn contradictions_name_the_setting() {
        let paper = MelConfig::default;
        let cases = [
            (MelConfig { sample_rate: 0, ..paper() }, "sample_rate"),
            (MelConfig { n_fft: 2047, ..paper() }, "n_fft"),
            (MelConfig { n_fft: 1 << 40, ..paper() }, "n_fft"),
            (MelConfig { window: 4096, ..paper() }, "window"),
            (MelConfig { hop: 0, ..paper() }, "hop"),
            (MelConfig { hop: 1201, ..paper() }, "hop"),
            (MelConfig { hop: 301, padding: MelPadding::HifiGan, ..paper() }, "hop"),
            (MelConfig { n_mels: 0, ..paper() }, "n_mels"),
            (MelConfig { f_min_hz: 12_000.0, ..paper() }, "f_min_hz"),
            (MelConfig { f_min_hz: f32::NAN, ..paper() }, "f_min_hz"),
            (MelConfig { f_max_hz: 12_001.0, ..paper() }, "f_max_hz"),
            (MelConfig { floor: 0.0, ..paper() }, "floor"),
            (MelConfig { energy_guard: -1.0, ..paper() }, "energy_guard"),
        ];
        for (config, field) in cases {
            let message = config.validate().unwrap_err().to_string();
            assert!(message.starts_with(&format!("mel {field}:")), "{message}");
        }
    }

    #[test]
    fn compression_by_hand_and_back() {
        let of = |log, power| MelConfig { log, power, ..MelConfig::default() };
        let cases = [
            (of(MelLog::Natural, Power::Magnitude), 1.0f32.exp(), 1.0),
            (of(MelLog::Log10, Power::Energy), 0.01, -2.0),
            (of(MelLog::Db, Power::Magnitude), 0.01, -40.0),
            (of(MelLog::Db, Power::Energy), 0.01, -20.0),
            (of(MelLog::UnitDb, Power::Magnitude), 0.01, 0.4),
        ];
        for (config, linear, value) in cases {
            assert!((config.compress(linear) - value).abs() < 1e-5, "{:?}", config.log);
            assert!((config.expand(value) / linear - 1.0).abs() < 1e-5, "{:?}", config.log);
            assert_eq!(config.compress(0.0), config.min_value());
        }
    }
}
