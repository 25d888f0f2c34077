//! What a run does: [`TrainConfig`], its presets, and TOML files that change them.

use serde::{Deserialize, Serialize};
use std::path::Path;
use vocoder::config::{LevelEncoding, ModelConfig};
use vocoder::mel::MelConfig;
use vocoder::prior::PriorConfig;
use vocoder::{Error, Result};

/// Everything that decides a run's result, but for the data.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrainConfig {
    /// Selects initial weights, crops, levels and noise.
    pub seed: u64,
    /// Optimiser steps in all (paper: 1 million).
    pub steps: u64,
    /// Crops in a batch (paper: 256).
    pub batch: usize,
    /// Frames of a crop (paper: 24).
    pub crop_frames: usize,
    /// A crop's level is changed by a random gain between these, in dB, so that the voice knows soft
    /// and loud (paper: 0, 0).
    pub gain_db: [f32; 2],
    /// Threads that prepare batches beside the training itself.
    pub workers: usize,
    /// How noise levels are drawn.
    pub levels: LevelDraw,
    /// Distance of predicted and true noise.
    pub loss: Loss,
    /// The optimiser.
    pub optimiser: OptimiserConfig,
    /// When to save and to validate.
    pub saving: SavingConfig,
    /// Mel that conditions the network.
    pub mel: MelConfig,
    /// Shape of the network.
    pub model: ModelConfig,
}

/// How training draws noise levels.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum LevelDraw {
    /// WaveGrad's: an interval of the schedule of `steps` betas linear from `first_beta` to
    /// `last_beta`, then a level uniform within it (section 3.2; 1e-6, 0.01 and 1000 in the open
    /// implementations).
    Hierarchical {
        /// The cleanest step's beta.
        first_beta: f64,
        /// The noisiest step's beta.
        last_beta: f64,
        /// Number of betas.
        steps: usize,
    },
    /// Half the log-SNR uniform between `min` and `max` (Kingma et al. 2021, section 5.1: the
    /// expectation of a loss in log-SNR).
    LogSnr {
        /// ln(l / sigma) of the noisiest level.
        min: f64,
        /// ln(l / sigma) of the cleanest level.
        max: f64,
    },
}

/// Distance of predicted and true noise, a mean over samples.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Loss {
    /// Mean absolute difference (paper, Algorithm 1).
    L1,
    /// Mean squared difference (Ho et al. 2020, eq. 14).
    Mse,
}

/// AdamW (Loshchilov & Hutter 2019, algorithm 2) and what surrounds it.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OptimiserConfig {
    /// Peak learning rate (not in the paper; 2e-4 in lmnt-com/wavegrad).
    pub learning_rate: f64,
    /// Steps over which the rate rises to its peak.
    pub warm_up: u64,
    /// Rate at the last step over the peak, reached along a half cosine; 1 keeps it constant.
    pub final_rate: f64,
    /// Decay of the mean gradient.
    pub beta1: f64,
    /// Decay of the mean squared gradient.
    pub beta2: f64,
    /// Decoupled decay of weights (not biases), times the rate.
    pub weight_decay: f64,
    /// Gradients are scaled down to this global norm.
    pub clip: f64,
    /// Decay of the exponential mean of the weights, which is what becomes the voice; rises to this
    /// as (1 + n) / (10 + n).
    pub ema: f64,
}

/// When a run saves and validates.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SavingConfig {
    /// Steps between checkpoints.
    pub every: u64,
    /// Checkpoints that are kept.
    pub keep: usize,
    /// Steps between validations.
    pub validate_every: u64,
    /// Crops that a validation looks at.
    pub validate_crops: usize,
}

impl TrainConfig {
    /// Names of the presets, for messages.
    pub const PRESETS: [&'static str; 6] =
        ["paper-base", "lj-half", "lj-quarter", "speech-quarter", "speech-small", "overfit-one"];

    /// The preset `name`.
    ///
    /// `paper-base` is WaveGrad Base as published; the `lj-` presets are narrower networks for one
    /// speaker; the `speech-` presets are what the shipped voices use: the spectral prior and levels
    /// uniform in log-SNR; `overfit-one` learns a single clip in minutes, as a check.
    ///
    /// # Errors
    /// Unknown names, with the known ones.
    pub fn preset(name: &str) -> Result<Self> {
        let mel = MelConfig::default();
        let shape = match name {
            "paper-base" => "base",
            "lj-half" => "half",
            "lj-quarter" | "speech-quarter" => "quarter",
            "speech-small" => "small",
            "overfit-one" => "eighth",
            other => {
                let known = Self::PRESETS.join(", ");
                return Err(Error::mismatch("training preset", known, format!("`{other}`")));
            }
        };
        let mut config = TrainConfig {
            seed: 1,
            steps: 1_000_000,
            batch: 256,
            crop_frames: 24,
            gain_db: [0.0, 0.0],
            workers: 2,
            levels: LevelDraw::Hierarchical { first_beta: 1e-6, last_beta: 0.01, steps: 1000 },
            loss: Loss::L1,
            optimiser: OptimiserConfig {
                learning_rate: 2e-4,
                warm_up: 1000,
                final_rate: 1.0,
                beta1: 0.9,
                beta2: 0.999,
                weight_decay: 0.0,
                clip: 1.0,
                ema: 0.9999,
            },
            saving: SavingConfig { every: 5000, keep: 3, validate_every: 2500, validate_crops: 32 },
            model: ModelConfig::preset(shape, mel.n_mels)?,
            mel,
        };
        if name != "paper-base" {
            // Our own networks: inputs of unit size, and levels told and drawn in log-SNR.
            config.model.level = LevelEncoding::LogSnr { scale: 32.0 };
            config.model.prior = PriorConfig::Spectral { floor: 3e-4, order: 128, smear_hz: 12.0 };
            (config.model.mel_shift, config.model.mel_scale) = (6.0, 1.0 / 3.0);
            config.levels = LevelDraw::LogSnr { min: -2.5, max: 5.0 };
            config.batch = 32;
            config.optimiser.learning_rate = 5e-4;
            config.optimiser.final_rate = 0.1;
        }
        match name {
            "speech-quarter" | "speech-small" => {
                config.gain_db = [-12.0, 6.0];
                config.batch = 16;
                config.steps = 20_000;
                config.optimiser.learning_rate = 1e-3;
                config.optimiser.warm_up = 300;
                config.optimiser.ema = 0.999;
                config.saving =
                    SavingConfig { every: 500, keep: 2, validate_every: 500, validate_crops: 32 };
            }
            "overfit-one" => {
                config.batch = 4;
                config.steps = 600;
                config.optimiser.learning_rate = 2e-3;
                config.optimiser.warm_up = 50;
                config.optimiser.ema = 0.99;
                config.saving =
                    SavingConfig { every: 200, keep: 2, validate_every: 200, validate_crops: 4 };
            }
            _ => {}
        }
        Ok(config)
    }

    /// Reads a TOML file: `preset = NAME` (`speech-quarter` if absent) and the keys that differ.
    ///
    /// # Errors
    /// A file that can't be read or parsed, unknown keys, values out of range.
    pub fn read(path: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(path).map_err(|e| Error::io(path, e))?;
        Self::from_toml(&text).map_err(|e| Error::file(path, e.to_string()))
    }

    /// As [`TrainConfig::read`], from the text of the file.
    ///
    /// # Errors
    /// As [`TrainConfig::read`].
    pub fn from_toml(text: &str) -> Result<Self> {
        let bad = |e: &dyn std::fmt::Display| {
            let message = e.to_string();
            let line: Vec<&str> =
                message.lines().map(str::trim).filter(|l| !l.is_empty()).collect();
            Error::config("training config", line.join(" "))
        };
        let mut changes: toml::Table = text.parse().map_err(|e: toml::de::Error| bad(&e))?;
        let preset = match changes.remove("preset") {
            None => "speech-quarter".to_string(),
            Some(toml::Value::String(name)) => name,
            Some(other) => return Err(Error::mismatch("preset", "a name", other)),
        };
        let base = toml::Table::try_from(Self::preset(&preset)?).map_err(|e| bad(&e))?;
        let merged = toml::Value::Table(merge(base, changes));
        let config: TrainConfig = merged.try_into().map_err(|e: toml::de::Error| bad(&e))?;
        config.validate()?;
        Ok(config)
    }

    /// The config as TOML, every key written out.
    ///
    /// # Errors
    /// Values that TOML can't hold.
    pub fn to_toml(&self) -> Result<String> {
        toml::to_string(self).map_err(|e| Error::config("training config", e.to_string()))
    }

    /// Checks ranges, and that mel and model fit each other.
    ///
    /// # Errors
    /// The first key that is out of range.
    pub fn validate(&self) -> Result<()> {
        self.mel.validate()?;
        self.model.validate(self.mel.hop)?;
        if self.model.n_mels != self.mel.n_mels {
            return Err(Error::mismatch("model.n_mels", self.mel.n_mels, self.model.n_mels));
        }
        let o = &self.optimiser;
        let checks = [
            ("steps", self.steps >= 1, "at least 1"),
            ("batch", (1..=65_536).contains(&self.batch), "1 to 65536"),
            ("crop_frames", (1..=4096).contains(&self.crop_frames), "1 to 4096"),
            ("workers", (1..=256).contains(&self.workers), "1 to 256"),
            (
                "gain_db",
                self.gain_db[0] <= self.gain_db[1] && self.gain_db.iter().all(|g| g.abs() <= 60.0),
                "a range within -60 to 60",
            ),
            (
                "optimiser.learning_rate",
                o.learning_rate > 0.0 && o.learning_rate <= 1.0,
                "above 0, at most 1",
            ),
            ("optimiser.final_rate", (0.0..=1.0).contains(&o.final_rate), "0 to 1"),
            ("optimiser.beta1", (0.0..1.0).contains(&o.beta1), "at least 0, below 1"),
            ("optimiser.beta2", (0.0..1.0).contains(&o.beta2), "at least 0, below 1"),
            ("optimiser.weight_decay", (0.0..=1.0).contains(&o.weight_decay), "0 to 1"),
            ("optimiser.clip", o.clip > 0.0, "above 0"),
            ("optimiser.ema", (0.0..1.0).contains(&o.ema), "at least 0, below 1"),
            ("saving.every", self.saving.every >= 1, "at least 1"),
            ("saving.keep", self.saving.keep >= 1, "at least 1"),
            ("saving.validate_every", self.saving.validate_every >= 1, "at least 1"),
        ];
        for (key, fine, expected) in checks {
            if !fine {
                return Err(Error::config(key, format!("expected {expected}")));
            }
        }
        match self.levels {
            LevelDraw::LogSnr { min, max }
                if !(min < max && min.abs() <= 10.0 && max.abs() <= 10.0) =>
            {
                let reason =
                    format!("expected min below max, within -10 to 10, got {min} and {max}");
                Err(Error::config("levels.log-snr", reason))
            }
            LevelDraw::Hierarchical { first_beta, last_beta, steps }
                if !(0.0 < first_beta
                    && first_beta <= last_beta
                    && last_beta < 1.0
                    && (1..=100_000).contains(&steps)) =>
            {
                let reason = format!(
                    "expected 0 < first_beta <= last_beta < 1 in 1 to 100000 steps, got {first_beta}, {last_beta}, {steps}"
                );
                Err(Error::config("levels.hierarchical", reason))
            }
            _ => Ok(()),
        }
    }
}

/// `base` with the values of `changes`, table by table. A choice between kinds (a table of one key,
/// such as `levels`) is replaced as a whole.
fn merge(mut base: toml::Table, changes: toml::Table) -> toml::Table {
    for (key, value) in changes {
        match (base.remove(&key), value) {
            (Some(toml::Value::Table(old)), toml::Value::Table(new))
                if old.len() > 1 || old.keys().eq(new.keys()) =>
            {
                base.insert(key, toml::Value::Table(merge(old, new)));
            }
            (_, value) => {
                base.insert(key, value);
            }
        }
    }
    base
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn every_preset_is_valid_and_survives_toml() {
        for name in TrainConfig::PRESETS {
            let config = TrainConfig::preset(name).unwrap();
            config.validate().unwrap();
            assert_eq!(TrainConfig::from_toml(&config.to_toml().unwrap()).unwrap(), config);
        }
    }

    #[test]
    fn a_file_changes_only_what_it_names() {
        let config = TrainConfig::from_toml(
            "preset = 'lj-quarter'\nbatch = 3\n[optimiser]\nclip = 2.5\n[levels.hierarchical]\nfirst_beta = 1e-6\nlast_beta = 0.01\nsteps = 1000",
        )
        .unwrap();
        let mut expected = TrainConfig::preset("lj-quarter").unwrap();
        expected.batch = 3;
        expected.optimiser.clip = 2.5;
        expected.levels =
            LevelDraw::Hierarchical { first_beta: 1e-6, last_beta: 0.01, steps: 1000 };
        assert_eq!(config, expected);
    }

    #[test]
    fn mistakes_are_named_on_one_line() {
        for (text, word) in [
            ("bacth = 3", "bacth"),
            ("batch = 'many'", "batch"),
            ("preset = 'huge'", "speech-quarter"),
            ("batch = 0", "65536"),
            ("[mel]\nhop = 256", "hop"),
            ("[", "training config"),
        ] {
            let message = TrainConfig::from_toml(text).unwrap_err().to_string();
            assert!(message.contains(word) && !message.contains('\n'), "{text}: {message}");
        }
    }
}
