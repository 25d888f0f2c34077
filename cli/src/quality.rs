//! The figures that `eval` and `demo` print.

use anyhow::Result;
use serde::Serialize;
use vocoder::mel::MelExtractor;
use vocoder::metrics;

/// Distances of a rendering from its recording, both at 24 kHz.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Quality {
    /// Mean absolute difference of the log-mels, in nat.
    pub ls_mae: f64,
    /// Mean squared difference of the log-mels.
    pub ls_mse: f64,
    /// Multi-resolution STFT distance.
    pub mr_stft: f64,
}

impl Quality {
    /// Compares two signals over the length of the shorter. `extractor` is the paper's.
    ///
    /// # Errors
    /// Signals without a sample.
    pub fn measure(
        reference: &[f32],
        generated: &[f32],
        extractor: &mut MelExtractor,
    ) -> Result<Self> {
        let length = reference.len().min(generated.len());
        let (reference, generated) = (&reference[..length], &generated[..length]);
        let (a, b) = (extractor.extract(reference)?, extractor.extract(generated)?);
        Ok(Self {
            ls_mae: metrics::ls_mae(&a, &b)?,
            ls_mse: metrics::ls_mse(&a, &b)?,
            mr_stft: metrics::mr_stft(reference, generated)?,
        })
    }

    /// The mean of each figure.
    pub fn mean<'a>(all: impl Iterator<Item = &'a Self> + Clone) -> Self {
        let count = all.clone().count().max(1) as f64;
        let mean = |figure: fn(&Self) -> f64| all.clone().map(figure).sum::<f64>() / count;
        Self {
            ls_mae: mean(|q| q.ls_mae),
            ls_mse: mean(|q| q.ls_mse),
            mr_stft: mean(|q| q.mr_stft),
        }
    }

    /// The figures as cells of a table.
    pub fn cells(&self) -> Vec<String> {
        [self.ls_mae, self.ls_mse, self.mr_stft].map(|figure| format!("{figure:.3}")).to_vec()
    }
}
