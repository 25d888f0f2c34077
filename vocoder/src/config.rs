//! The shape of the network: [`ModelConfig`], its presets and the list of its parameters.
//!
//! One config describes the network for training, rendering and streaming; it travels in every
//! voice file. The default reading of WaveGrad (Chen et al. 2021, arXiv 2009.00713, section 3)
//! follows the three open implementations where the paper leaves a choice.

mod presets;

use crate::prior::PriorConfig;
use crate::{Error, Result};
use serde::{Deserialize, Serialize};

/// The slope of every leaky ReLU for negative values.
pub const LEAKY_SLOPE: f64 = 0.2;

/// Shape of a WaveGrad network.
///
/// Written with the hop and band count of Base: the mel passes `first` -> `up[0]` … `up[4]`, each
/// block repeating its rows `factors[i]` times, while the noisy waveform passes `stem` -> `down[0]`
/// … `down[3]` the other way; after each stage of the waveform's path a FiLM module scales and
/// shifts the block of the mel's path that runs at the same rate.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelConfig {
    /// Bands of the mel that conditions the network (paper: 128).
    pub n_mels: usize,
    /// Channels of the convolution over the mel (paper: 768).
    pub first: usize,
    /// Channels of the convolution over the waveform (paper: 32).
    pub stem: usize,
    /// Taps of that convolution (paper: 5).
    #[serde(default = "paper_stem_taps")]
    pub stem_taps: usize,
    /// Taps of every other convolution but the 1x1 residuals (paper: 3, for which the engine has
    /// its fastest forms).
    #[serde(default = "paper_taps")]
    pub taps: usize,
    /// Channels of the downsampling blocks, from the waveform's rate to the mel's
    /// (paper: 128, 128, 256, 512). One fewer than `up`.
    pub down: Vec<usize>,
    /// Channels of the upsampling blocks, from the mel's rate to the waveform's
    /// (paper: 512, 512, 256, 128, 128).
    pub up: Vec<usize>,
    /// Upsampling factor of each block in `up` (paper: 5, 5, 3, 2, 2); their product is the hop.
    /// The downsampling blocks take the same factors backwards, without the first.
    pub factors: Vec<usize>,
    /// Dilations of the four convolutions of each upsampling block.
    pub up_dilations: Vec<[usize; 4]>,
    /// Dilations of the three convolutions of each downsampling block (paper: 1, 2, 4).
    pub down_dilations: [usize; 3],
    /// How the noise level is told to the network.
    pub level: LevelEncoding,
    /// On which side convolutions see.
    pub padding: Padding,
    /// Added to the log-mel before `mel_scale` is applied.
    pub mel_shift: f32,
    /// Multiplies the shifted log-mel, so that the network sees values of about unit size.
    pub mel_scale: f32,
    /// What the chain starts from.
    pub prior: PriorConfig,
    /// What the last convolution's output means. Not written where it is the paper's, as before there
    /// was a choice.
    #[serde(default, skip_serializing_if = "Prediction::is_noise")]
    pub prediction: Prediction,
    /// How rows become more and fewer. Not written where they are repeated.
    #[serde(default, skip_serializing_if = "Resampling::is_nearest")]
    pub resampling: Resampling,
}

/// What the network's last convolution predicts, of a noisy signal x = l u + sigma e, sigma =
/// sqrt(1 - l^2), whose clean signal u and noise e are whitened by the prior.
///
/// Whatever it is, [`Network::forward`](crate::network::Network::forward) returns the noise.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Prediction {
    /// e (paper).
    #[default]
    Noise,
    /// v = l e - sigma u (Salimans & Ho 2022, arXiv 2202.00512, section 4 and appendix D): of unit size
    /// at every level, and no error is divided by a small l. e = sigma x + l v, u = l x - sigma v.
    Velocity,
}

impl Prediction {
    fn is_noise(&self) -> bool {
        *self == Prediction::Noise
    }
}

/// How the blocks change the number of rows.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Resampling {
    /// Rows are repeated, and the first of each few is kept (lmnt-com/wavegrad, coqui-ai/TTS).
    #[default]
    Nearest,
    /// Between rows, both ways (ivanvovk/WaveGrad): see [`crate::ops::widen`]. Symmetric networks only,
    /// rendered by their definition: the CPU engine has no such layers.
    Linear,
}

impl Resampling {
    fn is_nearest(&self) -> bool {
        *self == Resampling::Nearest
    }
}

/// How the noise level becomes a vector of sines and cosines, added inside each FiLM module.
///
/// With `d` channels, angle `k` of `d/2` is `p * 10^(-4k/(d/2))`, where `p` is below.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum LevelEncoding {
    /// `p = scale * l` (paper: scale 5000; the PyPI package `wavegrad` 0.1.5 leaves it at 1, where
    /// small noise can't be told apart).
    Level {
        /// Radians per unit of noise level.
        scale: f64,
    },
    /// `p = scale * ln(l / sqrt(1 - l^2))`, half the log-SNR, limited to ±10: resolves small noise
    /// and large noise alike.
    LogSnr {
        /// Radians per unit of half log-SNR.
        scale: f64,
    },
}

/// On which side the convolutions are padded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Padding {
    /// Both sides alike: the network sees as far ahead as back (paper).
    Symmetric,
    /// All padding on the past's side; the mel alone leads, by `look_ahead` frames.
    Causal {
        /// Frames of mel that the network sees ahead of the waveform.
        look_ahead: usize,
    },
}

/// One parameter of the network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parameter {
    /// Name in the voice file.
    pub name: String,
    /// `[taps, channels in, channels out]` for a weight, `[channels out]` for a bias.
    pub shape: Vec<usize>,
}

impl ModelConfig {
    /// Samples of waveform per frame of mel: the product of the factors.
    pub fn hop(&self) -> usize {
        self.factors.iter().product()
    }

    /// Factors of the downsampling blocks, from the waveform's rate to the mel's.
    pub fn down_factors(&self) -> Vec<usize> {
        self.factors.iter().skip(1).rev().copied().collect()
    }

    /// Channels of the waveform's path from the stem on: the inputs of the FiLM modules.
    pub fn down_channels(&self) -> Vec<usize> {
        std::iter::once(self.stem).chain(self.down.iter().copied()).collect()
    }

    /// Checks that the parts agree with each other and with the mel's `hop`.
    ///
    /// # Errors
    /// The first key that is out of range or doesn't fit, with what was expected.
    pub fn validate(&self, hop: usize) -> Result<()> {
        let blocks = self.up.len();
        if blocks == 0 {
            return Err(Error::config("model.up", "expected at least one block, got none"));
        }
        for (key, len, expected) in [
            ("model.factors", self.factors.len(), blocks),
            ("model.up_dilations", self.up_dilations.len(), blocks),
            ("model.down", self.down.len(), blocks - 1),
        ] {
            if len != expected {
                let reason = format!("expected {expected} entries for {blocks} blocks, got {len}");
                return Err(Error::config(key, reason));
            }
        }
        let channels = [self.n_mels, self.first, self.stem];
        for &value in channels.iter().chain(&self.down).chain(&self.up) {
            if !(1..=4096).contains(&value) {
                let reason = format!("expected channel counts of 1 to 4096, got {value}");
                return Err(Error::config("model", reason));
            }
        }
        for channels in self.down_channels() {
            if channels % 2 != 0 {
                let reason = format!("expected an even count for sine and cosine, got {channels}");
                return Err(Error::config("model.stem and model.down", reason));
            }
        }
        for (key, taps) in [("model.taps", self.taps), ("model.stem_taps", self.stem_taps)] {
            if taps % 2 == 0 || taps > MAX_TAPS {
                let reason = format!("expected an odd count of 1 to {MAX_TAPS}, got {taps}");
                return Err(Error::config(key, reason));
            }
        }
        let dilations = self.up_dilations.iter().flatten().chain(&self.down_dilations);
        for &value in dilations.chain(&self.factors) {
            if !(1..=1024).contains(&value) {
                let reason = format!("expected factors and dilations of 1 to 1024, got {value}");
                return Err(Error::config("model", reason));
            }
        }
        let product = self.factors.iter().try_fold(1usize, |p, &f| p.checked_mul(f));
        if product != Some(hop) {
            let reason = format!(
                "expected factors whose product is the mel's hop of {hop}, got {:?}",
                self.factors
            );
            return Err(Error::config("model.factors", reason));
        }
        if !(self.mel_shift.is_finite() && self.mel_scale.is_finite() && self.mel_scale != 0.0) {
            let reason =
                format!("expected finite values, got {} and {}", self.mel_shift, self.mel_scale);
            return Err(Error::config("model.mel_shift and model.mel_scale", reason));
        }
        let (LevelEncoding::Level { scale } | LevelEncoding::LogSnr { scale }) = self.level;
        if !(scale.is_finite() && scale > 0.0) {
            return Err(Error::config(
                "model.level",
                format!("expected a positive scale, got {scale}"),
            ));
        }
        if let Padding::Causal { look_ahead } = self.padding
            && look_ahead > 64
        {
            let reason = format!("expected at most 64 frames, got {look_ahead}");
            return Err(Error::config("model.padding.causal.look_ahead", reason));
        }
        if self.resampling == Resampling::Linear && self.padding != Padding::Symmetric {
            let reason = "expected nearest for a causal network, for linear looks ahead";
            return Err(Error::config("model.resampling", reason));
        }
        self.prior.validate()
    }

    /// Every parameter of the network in a fixed order, which is also the order of optimiser state
    /// and random initialisation.
    pub fn parameters(&self) -> Vec<Parameter> {
        let mut list = Vec::new();
        let taps = self.taps;
        let mut conv = |name: String, taps: usize, ci: usize, co: usize| {
            list.push(Parameter { name: format!("{name}.weight"), shape: vec![taps, ci, co] });
            list.push(Parameter { name: format!("{name}.bias"), shape: vec![co] });
        };
        conv("mel".into(), taps, self.n_mels, self.first);
        conv("stem".into(), self.stem_taps, 1, self.stem);
        let down = self.down_channels();
        for (i, pair) in down.windows(2).enumerate() {
            conv(format!("down.{i}.residual"), 1, pair[0], pair[1]);
            for j in 0..self.down_dilations.len() {
                conv(format!("down.{i}.conv.{j}"), taps, pair[usize::from(j > 0)], pair[1]);
            }
        }
        for (i, (&channels, &target)) in down.iter().zip(self.up.iter().rev()).enumerate() {
            conv(format!("film.{i}.input"), taps, channels, channels);
            conv(format!("film.{i}.output"), taps, channels, 2 * target);
        }
        let mut ci = self.first;
        for (i, &co) in self.up.iter().enumerate() {
            conv(format!("up.{i}.residual"), 1, ci, co);
            for j in 0..4 {
                conv(format!("up.{i}.conv.{j}"), taps, if j == 0 { ci } else { co }, co);
            }
            ci = co;
        }
        conv("last".into(), taps, ci, 1);
        list
    }

    /// Number of trained values.
    pub fn parameter_count(&self) -> usize {
        self.parameters().iter().map(|p| p.shape.iter().product::<usize>()).sum()
    }

    /// Multiply-adds of one step per frame of mel, counted as the open implementations run the
    /// layers (residuals at the higher rate), so that speeds compare.
    pub fn macs_per_frame(&self) -> usize {
        let (hop, taps) = (self.hop(), self.taps);
        let mut macs = taps * self.n_mels * self.first + self.stem_taps * self.stem * hop;
        let down = self.down_channels();
        let mut rate = hop;
        let factors = self.down_factors();
        for (i, (&c, &target)) in down.iter().zip(self.up.iter().rev()).enumerate() {
            macs += rate * taps * c * (c + 2 * target);
            if let (Some(&next), Some(factor)) = (down.get(i + 1), factors.get(i)) {
                macs += rate * c * next;
                rate /= factor;
                macs += rate * taps * next * (c + 2 * next);
            }
        }
        let (mut ci, mut rate) = (self.first, 1);
        for (&co, factor) in self.up.iter().zip(&self.factors) {
            rate *= factor;
            macs += rate * co * (ci + taps * (ci + 3 * co));
            ci = co;
        }
        macs + rate * taps * ci
    }
}

/// Most taps of a convolution.
const MAX_TAPS: usize = 31;

/// For voices of before this could be chosen, too.
fn paper_taps() -> usize {
    3
}

fn paper_stem_taps() -> usize {
    5
}

#[cfg(test)]
mod tests;
