//! Log-mel spectrograms: what the vocoder is given, and how audio is turned into it.
//!
//! [`MelConfig`] holds every setting that changes the values, [`MelExtractor`] turns a clip into a
//! [`Mel`], [`MelStream`] does so with audio that arrives in pieces, [`mod@file`] stores mels.

mod config;
mod extractor;
pub mod file;
mod filter_bank;
mod presets;
mod stream;

pub use config::{MelConfig, MelLog, MelNorm, MelPadding, MelScale, Power};
pub(crate) use extractor::hann_energy;
pub use extractor::{MelExtractor, hann};
pub use filter_bank::filter_bank;
pub use stream::MelStream;

use crate::{Error, Result};

/// A log-mel spectrogram with the settings that made it.
#[derive(Clone, Debug, PartialEq)]
pub struct Mel {
    /// What the values mean.
    pub config: MelConfig,
    /// Number of frames.
    pub frames: usize,
    /// `[frames][n_mels]`: frame after frame.
    pub data: Vec<f32>,
}

/// How far beyond [`MelConfig::min_value`] and [`MelConfig::max_value`] a value may lie, as a part
/// of the distance between them: acoustic models overshoot a little, another scale by far.
const RANGE_TOLERANCE: f32 = 0.05;

impl Mel {
    /// A mel of `data`, `[frames][n_mels]`.
    ///
    /// # Errors
    /// An invalid config, no frame, a length that is no multiple of `n_mels`, a value that is not
    /// a finite number, or one that `config` cannot produce (by 5 % of its range).
    pub fn new(config: MelConfig, data: Vec<f32>) -> Result<Mel> {
        config.validate()?;
        let n_mels = config.n_mels;
        if data.is_empty() {
            return Err(Error::mismatch("mel", "at least one frame", "none"));
        }
        if !data.len().is_multiple_of(n_mels) {
            let expected = format!("a multiple of {n_mels} values");
            return Err(Error::mismatch("mel", expected, data.len()));
        }
        let (low, high) = (config.min_value(), config.max_value());
        let tolerance = RANGE_TOLERANCE * (high - low);
        let fits = |value: f32| value >= low - tolerance && value <= high + tolerance;
        if let Some(at) = data.iter().position(|&value| !fits(value)) {
            let what = format!("mel frame {}, band {}", at / n_mels, at % n_mels);
            let expected = format!("{low:.2} to {high:.2}, as these mel settings give");
            return Err(Error::mismatch(what, expected, data[at]));
        }
        Ok(Mel { frames: data.len() / n_mels, config, data })
    }

    /// The `n_mels` values of frame `index`.
    ///
    /// # Panics
    /// If `index` is not below [`Mel::frames`].
    pub fn frame(&self, index: usize) -> &[f32] {
        let n_mels = self.config.n_mels;
        &self.data[index * n_mels..(index + 1) * n_mels]
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn frames_lie_one_after_the_other() {
        let config = MelConfig { n_mels: 2, ..MelConfig::default() };
        let mel = Mel::new(config, vec![0.0, -1.0, -2.0, -3.0, -4.0, -5.0]).unwrap();
        assert_eq!(mel.frames, 3);
        assert_eq!(mel.frame(1), [-2.0, -3.0]);
    }

    #[test]
    fn what_the_config_cannot_produce_is_refused() {
        let new = |values: &[f32]| {
            let mut data = vec![-5.0; 256];
            data[130..130 + values.len()].copy_from_slice(values);
            Mel::new(MelConfig::default(), data)
        };
        assert!(new(&[-11.6]).is_ok(), "a small overshoot of the floor");
        for bad in [f32::NAN, f32::INFINITY, -20.0, 20.0] {
            let message = new(&[bad]).unwrap_err().to_string();
            assert!(message.starts_with("mel frame 1, band 2:"), "{message}");
        }
        assert!(Mel::new(MelConfig::default(), vec![]).is_err());
        assert!(Mel::new(MelConfig::default(), vec![-5.0; 127]).is_err());
    }
}
