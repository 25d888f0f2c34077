//! Networks of the PyPI package `wavegrad` (lmnt-com/wavegrad, read at 0.1.5): what its state dict
//! says of the shape, and the weights under our names and in our layout.
//!
//! `tests/reference/wavegrad/README.md` draws the package's network and lists where it departs from
//! the paper.

use crate::config::{LevelEncoding, ModelConfig};
use crate::network::Weights;
use crate::{Error, Result};
use candle_core::Tensor;
use std::collections::HashMap;

/// The config of the network whose state dict is `state`: channel counts and taps as the weights have
/// them, factors and dilations fixed in the package, as Base has them.
///
/// # Errors
/// A weight that the package's network has and `state` doesn't.
pub fn model_config(state: &HashMap<String, Tensor>) -> Result<ModelConfig> {
    let channels = |name: String| -> Result<(usize, usize)> {
        let (co, ci, _) = tensor(state, &name)?.dims3()?;
        Ok((co, ci))
    };
    let (first, n_mels) = channels("first_conv.weight".into())?;
    let (stem, _, stem_taps) = tensor(state, "downsample.0.weight")?.dims3()?;
    let (_, _, taps) = tensor(state, "first_conv.weight")?.dims3()?;
    let base = ModelConfig::preset("base", n_mels)?;
    let down = (1..=base.down.len())
        .map(|i| Ok(channels(format!("downsample.{i}.residual_dense.weight"))?.0))
        .collect::<Result<_>>()?;
    let up = (0..base.up.len())
        .map(|i| Ok(channels(format!("upsample.{i}.block1.weight"))?.0))
        .collect::<Result<_>>()?;
    Ok(ModelConfig {
        first,
        stem,
        stem_taps,
        taps,
        down,
        up,
        // The package lacks the paper's factor of 5000.
        level: LevelEncoding::Level { scale: 1.0 },
        ..base
    })
}

/// The weights of `config`, taken from the state dict: renamed, and turned from
/// `[channels out, channels in, taps]` into `[taps, channels in, channels out]`.
///
/// # Errors
/// A weight that is missing from `state` or has another shape than `config` says.
pub fn weights(config: &ModelConfig, state: &HashMap<String, Tensor>) -> Result<Weights> {
    let mut weights = Weights::new();
    for parameter in config.parameters() {
        let name = state_name(&parameter.name);
        let ours = to_our_layout(tensor(state, &name)?)?;
        if ours.dims() != parameter.shape {
            return Err(Error::mismatch(
                format!("weight `{name}`"),
                format!("{:?} after [taps, channels in, channels out]", parameter.shape),
                format!("{:?}", ours.dims()),
            ));
        }
        weights.insert(parameter.name, ours);
    }
    Ok(weights)
}

/// A weight `[channels out, channels in, taps]` as `[taps, channels in, channels out]`; a bias as it
/// is.
///
/// # Errors
/// Those of the tensor library.
pub fn to_our_layout(parameter: &Tensor) -> Result<Tensor> {
    match parameter.rank() {
        3 => Ok(parameter.permute((2, 1, 0))?.contiguous()?),
        _ => Ok(parameter.clone()),
    }
}

/// The name in the package's state dict of our parameter `name`.
pub fn state_name(name: &str) -> String {
    let parts = name.split('.').collect::<Vec<_>>();
    match parts[..] {
        ["mel", kind] => format!("first_conv.{kind}"),
        ["last", kind] => format!("last_conv.{kind}"),
        ["stem", kind] => format!("downsample.0.{kind}"),
        ["down", block, "residual", kind] => {
            format!("downsample.{}.residual_dense.{kind}", next(block))
        }
        ["down", block, "conv", layer, kind] => {
            format!("downsample.{}.conv.{layer}.{kind}", next(block))
        }
        ["film", block, side, kind] => format!("film.{block}.{side}_conv.{kind}"),
        ["up", block, "residual", kind] => format!("upsample.{block}.block1.{kind}"),
        ["up", block, "conv", layer, kind] => {
            // Two convolutions in each of its `block2` and `block3`.
            let (half, layer) = match layer {
                "0" => (2, 0),
                "1" => (2, 1),
                "2" => (3, 0),
                _ => (3, 1),
            };
            format!("upsample.{block}.block{half}.{layer}.{kind}")
        }
        _ => name.to_owned(),
    }
}

/// The package counts the stem among its downsampling blocks, as number 0.
fn next(block: &str) -> usize {
    block.parse::<usize>().map_or(0, |block| block + 1)
}

fn tensor<'a>(state: &'a HashMap<String, Tensor>, name: &str) -> Result<&'a Tensor> {
    state.get(name).ok_or_else(|| {
        Error::mismatch("weights of the package wavegrad", format!("`{name}`"), "no such tensor")
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use candle_core::{DType, Device};
    use std::collections::HashSet;

    #[test]
    fn names_are_those_of_the_package() {
        // Read off `WaveGrad(params).state_dict()` of wavegrad 0.1.5.
        for (ours, theirs) in [
            ("mel.weight", "first_conv.weight"),
            ("stem.bias", "downsample.0.bias"),
            ("down.0.residual.weight", "downsample.1.residual_dense.weight"),
            ("down.3.conv.2.bias", "downsample.4.conv.2.bias"),
            ("film.4.input.weight", "film.4.input_conv.weight"),
            ("film.0.output.bias", "film.0.output_conv.bias"),
            ("up.2.residual.weight", "upsample.2.block1.weight"),
            ("up.4.conv.1.weight", "upsample.4.block2.1.weight"),
            ("up.0.conv.2.bias", "upsample.0.block3.0.bias"),
            ("last.weight", "last_conv.weight"),
        ] {
            assert_eq!(state_name(ours), theirs);
        }
    }

    #[test]
    fn every_parameter_has_a_name_of_its_own() {
        let parameters = ModelConfig::preset("base", 128).unwrap().parameters();
        let names = parameters.iter().map(|p| state_name(&p.name)).collect::<HashSet<_>>();
        assert_eq!(names.len(), parameters.len());
    }

    #[test]
    fn taps_come_first() {
        let theirs = Tensor::new(&[[[1f32, 2.0], [3.0, 4.0], [5.0, 6.0]]], &Device::Cpu).unwrap();
        let ours = to_our_layout(&theirs).unwrap();
        assert_eq!(ours.dims(), [2, 3, 1]);
        let values = ours.flatten_all().unwrap().to_vec1::<f32>().unwrap();
        assert_eq!(values, [1.0, 3.0, 5.0, 2.0, 4.0, 6.0]);
    }

    #[test]
    fn a_missing_or_misshapen_weight_is_named() {
        let empty = HashMap::new();
        let message = model_config(&empty).unwrap_err().to_string();
        assert!(message.contains("first_conv.weight"), "{message}");

        let config = ModelConfig::preset("eighth", 128).unwrap();
        let mut state = HashMap::new();
        for parameter in config.parameters() {
            let mut shape = parameter.shape.clone();
            shape.reverse();
            let zeros = Tensor::zeros(shape, DType::F32, &Device::Cpu).unwrap();
            state.insert(state_name(&parameter.name), zeros);
        }
        assert_eq!(weights(&config, &state).unwrap().len(), config.parameters().len());
        let short = Tensor::zeros(3, DType::F32, &Device::Cpu).unwrap();
        state.insert("film.2.output_conv.bias".into(), short);
        let message = weights(&config, &state).unwrap_err().to_string();
        assert!(
            message.contains("film.2.output_conv.bias") && message.contains("[3]"),
            "{message}"
        );
    }
}
