//! Where the clips of a batch end.

use crate::config::{ModelConfig, Resampling};
use crate::{Error, Result};
use candle_core::{DType, Device, Tensor};

/// Lets clips of different lengths share a batch: what lies after a clip's own rows is zero to every
/// convolution, as it is to a clip alone. The default is that all are as long as the batch.
#[derive(Debug, Clone, Default)]
pub struct Ends {
    /// 1 in a clip's rows, 0 after them: `[batch, rows, 1]`, at each rate of the network.
    masks: Vec<Tensor>,
}

impl Ends {
    /// Of clips of `frames` frames each, padded to the longest.
    ///
    /// # Errors
    /// Different lengths in a network that resamples linearly, which reads beyond a clip's end.
    pub fn new(
        config: &ModelConfig,
        frames: &[usize],
        device: &Device,
        dtype: DType,
    ) -> Result<Self> {
        let longest = frames.iter().copied().max().unwrap_or(0);
        if frames.iter().all(|count| *count == longest) {
            return Ok(Self::default());
        }
        if config.resampling == Resampling::Linear {
            let lengths = format!("{frames:?} frames");
            return Err(Error::mismatch(
                "batch",
                "clips of one length (linear resampling)",
                lengths,
            ));
        }
        let mut rate = 1;
        let rates = std::iter::once(1).chain(config.factors.iter().map(|factor| {
            rate *= factor;
            rate
        }));
        let mask = |rate: usize| {
            let rows = longest * rate;
            let own = |count: &usize| {
                let own = count * rate;
                std::iter::repeat_n(1f32, own).chain(std::iter::repeat_n(0f32, rows - own))
            };
            let values: Vec<f32> = frames.iter().flat_map(own).collect();
            Tensor::from_vec(values, (frames.len(), rows, 1), device)?.to_dtype(dtype)
        };
        Ok(Self { masks: rates.map(mask).collect::<candle_core::Result<_>>()? })
    }

    /// Whether all clips are as long as the batch.
    pub(super) fn are_none(&self) -> bool {
        self.masks.is_empty()
    }

    /// `x` `[batch, rows, channels]` with zeros after each clip's end.
    pub(super) fn cut(&self, x: &Tensor) -> candle_core::Result<Tensor> {
        let rows = x.dim(1)?;
        match self.masks.iter().find(|mask| mask.dims()[1] == rows) {
            Some(mask) => x.broadcast_mul(mask),
            None => Ok(x.clone()),
        }
    }
}
