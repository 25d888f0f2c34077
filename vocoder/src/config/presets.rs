//! Networks by name.

use super::{
    LevelEncoding, ModelConfig, Padding, Prediction, Resampling, paper_stem_taps, paper_taps,
};
use crate::prior::PriorConfig;
use crate::{Error, Result};

impl ModelConfig {
    /// Names of the presets, for messages.
    pub const PRESETS: [&'static str; 10] = [
        "base",
        "large",
        "half",
        "small",
        "quarter",
        "eighth",
        "stream-half",
        "stream-small",
        "stream-quarter",
        "stream-eighth",
    ];

    /// The preset `name` over `n_mels` bands, with the paper's hop of 300 samples.
    ///
    /// `base` and `large` are the paper's; `large` follows each block by a twin that doesn't
    /// resample. The others are narrower, so that they run in real time on a CPU. The `stream-` presets
    /// are causal but for one frame of mel that they look ahead: 37.5 ms of latency in all with the
    /// paper's mel (see [`crate::render::latency`]).
    ///
    /// # Errors
    /// Unknown names, with the known ones.
    pub fn preset(name: &str, n_mels: usize) -> Result<Self> {
        if let Some(shape) = name.strip_prefix("stream-").filter(|_| Self::PRESETS.contains(&name))
        {
            let padding = Padding::Causal { look_ahead: 1 };
            return Ok(ModelConfig { padding, ..Self::preset(shape, n_mels)? });
        }
        let (first, stem, down, up): (usize, usize, &[usize], &[usize]) = match name {
            "base" => (768, 32, &[128, 128, 256, 512], &[512, 512, 256, 128, 128]),
            "half" => (384, 16, &[64, 64, 128, 256], &[256, 256, 128, 64, 64]),
            "small" => (256, 16, &[32, 48, 96, 192], &[192, 160, 96, 48, 32]),
            "quarter" => (192, 16, &[32, 32, 64, 128], &[128, 128, 64, 32, 32]),
            "eighth" => (96, 8, &[16, 16, 32, 64], &[64, 64, 32, 16, 16]),
            "large" => (
                768,
                32,
                &[32, 128, 128, 128, 128, 256, 256, 512, 512],
                &[512, 512, 512, 512, 256, 256, 128, 128, 128, 128],
            ),
            other => {
                return Err(Error::mismatch(
                    "model preset",
                    Self::PRESETS.join(", "),
                    format!("`{other}`"),
                ));
            }
        };
        let (factors, up_dilations) = if name == "large" {
            (vec![5, 1, 5, 1, 3, 1, 2, 1, 2, 1], vec![[1, 2, 4, 8]; 10])
        } else {
            let (coarse, fine) = ([1, 2, 1, 2], [1, 2, 4, 8]);
            (vec![5, 5, 3, 2, 2], vec![coarse, coarse, fine, fine, fine])
        };
        Ok(ModelConfig {
            n_mels,
            first,
            stem,
            stem_taps: paper_stem_taps(),
            taps: paper_taps(),
            down: down.to_vec(),
            up: up.to_vec(),
            factors,
            up_dilations,
            down_dilations: [1, 2, 4],
            level: LevelEncoding::Level { scale: 5000.0 },
            padding: Padding::Symmetric,
            mel_shift: 0.0,
            mel_scale: 1.0,
            prior: PriorConfig::Standard,
            prediction: Prediction::Noise,
            resampling: Resampling::Nearest,
        })
    }
}
