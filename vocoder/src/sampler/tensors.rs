//! Steps on tensors, for chains that stay on a device.

use candle_core::Tensor;

use super::{Clip, Sampler};
use crate::Result;

impl Sampler {
    /// As [`Sampler::advance`], for a batch of whole clips: `x` and `eps_hat` `[batch, samples]`, `fresh` unit
    /// noise where [`Sampler::needs_noise`], `deviation` as [`Sampler::set_deviation`]'s. `before` is the
    /// clean signal that the step before predicted, and then what this one has.
    pub(crate) fn advance_tensors(
        &self,
        step: usize,
        x: &Tensor,
        eps_hat: &Tensor,
        fresh: Option<&Tensor>,
        deviation: &Tensor,
        before: &mut Option<Tensor>,
    ) -> Result<Tensor> {
        let Some(c) = self.steps.get(step).copied() else { return Ok(x.clone()) };
        let scaled = |tensor: &Tensor, by: f32| tensor.affine(f64::from(by), 0.0);
        let mut clean = (scaled(x, c.clean_from_x)? + scaled(eps_hat, c.clean_from_eps)?)?;
        if let Clip::Signal(limit) = self.clip {
            let limit = (deviation.recip()? * f64::from(limit))?;
            clean = clean.maximum(&limit.neg()?)?.minimum(&limit)?;
        }
        let mut moved = (scaled(x, c.x)? + scaled(&clean, c.clean)?)?;
        if self.looks_back {
            if let Some(before) = before.as_ref().filter(|_| step > 0) {
                moved = (moved + scaled(before, c.previous)?)?;
            }
            *before = Some(clean);
        }
        if let Some(fresh) = fresh.filter(|_| c.noise != 0.0) {
            moved = (moved + scaled(fresh, c.noise)?)?;
        }
        Ok(moved)
    }
}
