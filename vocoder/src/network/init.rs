//! Random weights to start training from.

use super::Weights;
use crate::config::{LEAKY_SLOPE, ModelConfig};
use crate::noise::Noise;
use crate::{Error, Result};
use candle_core::{Device, Tensor};

/// Weights for a fresh network, the same for the same seed on every machine.
///
/// Normal with the variance that keeps a leaky ReLU network's signals level (He et al. 2015,
/// eq. 15); biases zero, except that FiLM starts as the identity (shift 0, scale 1) and the
/// last convolution small, so that the first prediction is near zero. The open implementations
/// start FiLM's scale around zero, which fades the signal through each block.
///
/// # Errors
/// Those of the tensor library.
pub fn initial_weights(config: &ModelConfig, seed: u64) -> Result<Weights> {
    let noise = Noise::new(seed);
    let mut weights = Weights::new();
    for (index, parameter) in config.parameters().into_iter().enumerate() {
        let count = parameter.shape.iter().product();
        let mut values = vec![0f32; count];
        match parameter.shape[..] {
            [taps, ci, _] => {
                noise.fill(index as u64, 0, &mut values);
                let gain = match parameter.name.as_str() {
                    "last.weight" => 0.1,
                    name if is_film_output(name) => 0.3,
                    // The last of each branch that is added to another: sums stay near unit size.
                    name if name.starts_with("up") && name.contains(".conv.1") => 0.5,
                    name if name.starts_with("up") && name.contains(".conv.3") => 0.5,
                    name if name.starts_with("down") && name.contains(".conv.2") => 0.5,
                    _ => (2.0 / (1.0 + LEAKY_SLOPE * LEAKY_SLOPE)).sqrt(),
                };
                let gain = if parameter.name.contains(".residual") { 1.0 } else { gain };
                let deviation = (gain / ((taps * ci) as f64).sqrt()) as f32;
                values.iter_mut().for_each(|v| *v *= deviation);
            }
            [channels] if is_film_output(&parameter.name) => {
                values[channels / 2..].fill(1.0);
            }
            [_] => {}
            _ => {
                return Err(Error::mismatch(
                    parameter.name,
                    "a weight of 3 dimensions or a bias",
                    format!("{:?}", parameter.shape),
                ));
            }
        }
        let tensor = Tensor::from_vec(values, parameter.shape, &Device::Cpu)?;
        weights.insert(parameter.name, tensor);
    }
    Ok(weights)
}

/// Whether a parameter makes FiLM's shifts and, after them, its scales.
pub(super) fn is_film_output(name: &str) -> bool {
    name.starts_with("film") && name.contains("output")
}
