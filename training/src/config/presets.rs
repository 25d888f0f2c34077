//! Configs by name.

use super::{
    Distillation, LevelDraw, Loss, OptimiserConfig, Precision, SavingConfig, TrainConfig, Weighting,
};
use vocoder::config::{LevelEncoding, ModelConfig};
use vocoder::mel::MelConfig;
use vocoder::prior::PriorConfig;
use vocoder::{Error, Result};

impl TrainConfig {
    /// Names of the presets, for messages.
    pub const PRESETS: [&'static str; 10] = [
        "paper-base",
        "lj-half",
        "lj-quarter",
        "speech-quarter",
        "speech-small",
        "speech-stream",
        "overfit-one",
        "distill-progressive",
        "distill-consistency",
        "distill-guidance",
    ];

    /// The preset `name`.
    ///
    /// `paper-base` is WaveGrad Base as published; the `lj-` presets are narrower networks for one
    /// speaker; the `speech-` presets are what the shipped voices use: the spectral prior and levels
    /// uniform in log-SNR, `speech-stream` for a causal network; `overfit-one` learns a single clip in minutes, as a check; the
    /// `distill-` presets are for students, whose mel and network are their teacher's.
    ///
    /// # Errors
    /// Unknown names, with the known ones.
    pub fn preset(name: &str) -> Result<Self> {
        let mel = MelConfig::default();
        let shape = match name {
            "paper-base" => "base",
            "lj-half" => "half",
            "lj-quarter" | "speech-quarter" => "quarter",
            "distill-progressive" | "distill-consistency" | "distill-guidance" => "quarter",
            "speech-small" => "small",
            "speech-stream" => "stream-quarter",
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
            keep_clips: false,
            precision: Precision::F32,
            levels: LevelDraw::Hierarchical { first_beta: 1e-6, last_beta: 0.01, steps: 1000 },
            mel_dropout: 0.0,
            loss: Loss::L1,
            weighting: Weighting::Uniform,
            stft: 0.0,
            distill: None,
            optimiser: OptimiserConfig {
                learning_rate: 2e-4,
                accumulate: 1,
                warm_up: 1000,
                final_rate: 1.0,
                beta1: 0.9,
                beta2: 0.999,
                weight_decay: 0.0,
                clip: 1.0,
                ema: 0.9999,
            },
            saving: SavingConfig {
                every: 5000,
                keep: 3,
                validate_every: 2500,
                validate_crops: 32,
                preview_every: 25_000,
                preview_clips: 1,
                preview_seconds: 3.0,
            },
            model: ModelConfig::preset(shape, mel.n_mels)?,
            mel,
        };
        if name != "paper-base" {
            // Our own networks: inputs of unit size, and levels told and drawn in log-SNR.
            config.model.level = LevelEncoding::LogSnr { scale: 32.0 };
            config.model.prior =
                PriorConfig::Spectral { floor: 3e-4, order: 128, smear_hz: 12.0, share: 0.5 };
            (config.model.mel_shift, config.model.mel_scale) = (6.0, 1.0 / 3.0);
            config.levels = LevelDraw::LogSnr { min: -3.0, max: 5.0 };
            config.batch = 32;
            config.optimiser.learning_rate = 5e-4;
            config.optimiser.final_rate = 0.1;
        }
        match name {
            "speech-quarter" | "speech-small" | "speech-stream" => {
                config.gain_db = [-12.0, 6.0];
                config.batch = 16;
                config.steps = 20_000;
                config.optimiser.learning_rate = 1e-3;
                config.optimiser.warm_up = 300;
                config.optimiser.ema = 0.999;
                config.saving.every = 500;
                config.saving.keep = 2;
                config.saving.validate_every = 500;
                config.saving.preview_every = 5000;
            }
            "distill-progressive" | "distill-consistency" | "distill-guidance" => {
                config.gain_db = [-12.0, 6.0];
                config.batch = 8;
                config.steps = 4000;
                // A student begins as its teacher: it has less far to go.
                config.optimiser.learning_rate = 2e-4;
                config.optimiser.warm_up = 100;
                config.optimiser.final_rate = 0.05;
                config.optimiser.ema = 0.99;
                config.saving.every = 250;
                config.saving.keep = 2;
                config.saving.validate_every = 250;
                config.saving.validate_crops = 16;
                config.saving.preview_every = 1000;
                config.distill = Some(match name {
                    "distill-progressive" => {
                        (config.weighting, config.loss) = (Weighting::TruncatedSnr, Loss::Mse);
                        Distillation::Progressive { steps: 4 }
                    }
                    "distill-consistency" => {
                        // Song et al. 2023 found a perceptual distance best; this is sound's.
                        (config.weighting, config.stft) = (Weighting::TruncatedSnr, 0.1);
                        Distillation::Consistency { levels: 40 }
                    }
                    _ => Distillation::Guidance { weight: 1.5 },
                });
            }
            "overfit-one" => {
                config.batch = 4;
                config.steps = 600;
                config.optimiser.learning_rate = 2e-3;
                config.optimiser.warm_up = 50;
                config.optimiser.ema = 0.99;
                config.saving.every = 200;
                config.saving.keep = 2;
                config.saving.validate_every = 200;
                config.saving.validate_crops = 4;
                config.saving.preview_every = 600;
            }
            _ => {}
        }
        Ok(config)
    }
}
