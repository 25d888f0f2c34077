//! All weights of a network in one array.

use super::Weights;
use crate::config::ModelConfig;
use crate::{Error, Result};
use candle_core::Tensor;

/// Weights by name, each a part of `flat`, in which they lie side by side in the order of
/// [`ModelConfig::parameters`].
///
/// # Errors
/// Another number of weights.
pub fn split(config: &ModelConfig, flat: &Tensor) -> Result<Weights> {
    let (mut weights, mut at) = (Weights::new(), 0);
    for parameter in config.parameters() {
        let count = parameter.shape.iter().product();
        let part = flat.narrow(0, at, count)?.reshape(parameter.shape)?;
        weights.insert(parameter.name, part);
        at += count;
    }
    if flat.elem_count() != at {
        return Err(Error::mismatch("weights", at, flat.elem_count()));
    }
    Ok(weights)
}

/// The inverse of [`split`]: a copy of all weights, side by side.
///
/// # Errors
/// A weight that is missing.
pub fn join(config: &ModelConfig, weights: &Weights) -> Result<Tensor> {
    let parts =
        config.parameters().into_iter().map(|parameter| match weights.get(&parameter.name) {
            Some(part) => Ok(part.detach().flatten_all()?),
            None => {
                Err(Error::mismatch("weights", format!("`{}`", parameter.name), "no such tensor"))
            }
        });
    Ok(Tensor::cat(&parts.collect::<Result<Vec<_>>>()?, 0)?)
}
