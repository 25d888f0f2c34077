//! What a run does: [`TrainConfig`], its presets, and TOML files that change them.

mod check;
mod comments;
mod file;
mod presets;

use serde::{Deserialize, Serialize};
use vocoder::config::ModelConfig;
use vocoder::mel::MelConfig;
use vocoder::ops::Products;

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
    /// Whether each clip is prepared once, at a gain of its own, and kept in memory (8 MB a minute), rather
    /// than each crop anew: for GPUs that outrun the workers.
    #[serde(default)]
    pub keep_clips: bool,
    /// In what the products of convolutions and of their gradients are computed; weights, sums and all
    /// else are f32.
    #[serde(default)]
    pub precision: Precision,
    /// How noise levels are drawn.
    pub levels: LevelDraw,
    /// Share of the crops whose mel becomes the floor, that of silence, from which a network learns to
    /// predict without one: classifier-free guidance (Ho & Salimans 2022, algorithm 1; there 0.1 to
    /// 0.5; paper: 0). The prior still follows the true mel.
    #[serde(default)]
    pub mel_dropout: f64,
    /// Distance of predicted and true noise.
    pub loss: Loss,
    /// How much a crop counts by its noise level.
    #[serde(default)]
    pub weighting: Weighting,
    /// Weight of the multi-resolution STFT distance of the predicted and the true clean signal
    /// (Yamamoto et al. 2020, eq. 6), added to the loss (paper: 0, without it).
    #[serde(default)]
    pub stft: f64,
    /// What is learned from a teacher, if there is one, in the place of the true noise. The levels are
    /// then those that the student will visit, and `levels` is of no account.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub distill: Option<Distillation>,
    /// The optimiser.
    pub optimiser: OptimiserConfig,
    /// When to save and to validate.
    pub saving: SavingConfig,
    /// Mel that conditions the network.
    pub mel: MelConfig,
    /// Shape of the network.
    pub model: ModelConfig,
}

/// Of products: see [`Products`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Precision {
    /// 24 significant bits.
    #[default]
    F32,
    /// 11 significant bits, on GPUs that have TensorFloat-32.
    Tf32,
    /// 8 significant bits.
    Bf16,
    /// On NVIDIA GPUs signals and operands in half precision, 11 significant bits, by kernels of our own:
    /// the fastest. The gradient is scaled to its range. On other devices f32.
    F16,
}

impl Precision {
    /// As the network knows it.
    pub fn products(self) -> Products {
        match self {
            Precision::F32 => Products::F32,
            Precision::Tf32 => Products::Tf32,
            Precision::Bf16 => Products::Bf16,
            Precision::F16 => Products::F16,
        }
    }
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
    /// Half the log-SNR from a Laplace density, most often near `centre` (Hang et al. 2024,
    /// arXiv 2407.03297, section 3.2), cut off at `min` and `max`.
    LogSnrLaplace {
        /// ln(l / sigma) of the most frequent level.
        centre: f64,
        /// Mean distance from the centre, in ln(l / sigma).
        scale: f64,
        /// ln(l / sigma) of the noisiest level.
        min: f64,
        /// ln(l / sigma) of the cleanest level.
        max: f64,
    },
}

/// What a student learns from its teacher: see [`distill`](crate::distill).
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Distillation {
    /// One step for each two of the teacher (Salimans & Ho 2022).
    Progressive {
        /// The student's steps: half of the teacher's.
        steps: usize,
    },
    /// The clean signal from any level (Song et al. 2023).
    Consistency {
        /// Levels of the discretised schedule (there: 18 to 40).
        levels: usize,
    },
    /// What the teacher predicts under guidance (Meng et al. 2023), at any level.
    Guidance {
        /// The weight: see [`guidance`](vocoder::guidance).
        weight: f64,
    },
}

/// How much a crop's noise loss counts by its noise level.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Weighting {
    /// All alike (paper, Algorithm 1).
    #[default]
    Uniform,
    /// min(SNR, gamma) / SNR (Hang et al. 2023, arXiv 2303.09556, section 3.4, for predicted noise):
    /// the weak noise of nearly clean signals counts less.
    MinSnr {
        /// SNR, l^2 / (1 - l^2), up to which a crop counts in full (there: 5).
        gamma: f64,
    },
    /// max(SNR, 1) / SNR: the distance of clean signals where there is more noise than signal, of noises
    /// elsewhere (Salimans & Ho 2022, section 4, the truncated SNR).
    TruncatedSnr,
    /// 1 / SNR: the distance of clean signals (Song et al. 2023, lambda of 1).
    Clean,
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
    /// Batches whose mean gradient makes one step: the crops of a step are `batch` times this, in the
    /// memory of `batch` (paper: 1).
    #[serde(default = "one")]
    pub accumulate: usize,
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
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
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
    /// Steps between previews: held-out clips rendered and drawn; 0 for none. A preview takes the time
    /// of 56 network steps a clip.
    #[serde(default)]
    pub preview_every: u64,
    /// Held-out clips in a preview.
    #[serde(default = "one")]
    pub preview_clips: usize,
    /// Most seconds of a clip that a preview renders, from its middle.
    #[serde(default = "three")]
    pub preview_seconds: f64,
}

fn one() -> usize {
    1
}

fn three() -> f64 {
    3.0
}
