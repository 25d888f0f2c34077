//! Networks of ivanvovk/WaveGrad (read at commit 721c37c): what its state dict says of the shape, and the
//! weights under our names and in our layout.
//!
//! The network is the paper's with its factor of 5000, and resamples linearly both ways
//! ([`Resampling::Linear`]). Scale and shift come from two convolutions where ours are one of both.
//! Checkpoints from before its commit 2ecf360 (October 2020) hold a table of sines of time, and are refused.
//! Note: those of the four weeks until commit 911ddd2 have the same tensors but other frequencies, and
//! can't be told apart.

use super::lmnt::to_our_layout;
use crate::config::{ModelConfig, Resampling};
use crate::network::Weights;
use crate::{Error, Result};
use candle_core::Tensor;
use std::collections::HashMap;

/// The config of the network whose state dict is `state`, of names without the prefix `nn.`: channel
/// counts as the weights have them, factors and dilations, which weights don't tell, as its
/// `configs/default.json` has them, which are Base's.
///
/// # Errors
/// A weight that the network has and `state` doesn't.
pub fn model_config(state: &HashMap<String, Tensor>) -> Result<ModelConfig> {
    let channels = |name: &str| -> Result<(usize, usize)> {
        let (co, ci, _) = tensor(state, &format!("{}.weight", state_name(name)))?.dims3()?;
        Ok((co, ci))
    };
    let (first, n_mels) = channels("mel")?;
    let (stem, _) = channels("stem")?;
    let width = |part: &str, i: usize| Ok(channels(&format!("{part}.{i}.residual"))?.0);
    let base = ModelConfig::preset("base", n_mels)?;
    Ok(ModelConfig {
        first,
        stem,
        down: (0..base.down.len()).map(|i| width("down", i)).collect::<Result<_>>()?,
        up: (0..base.up.len()).map(|i| width("up", i)).collect::<Result<_>>()?,
        resampling: Resampling::Linear,
        ..base
    })
}

/// The weights of `config`, taken from the state dict.
///
/// # Errors
/// A weight that is missing from `state` or has another shape than `config` says.
pub fn weights(config: &ModelConfig, state: &HashMap<String, Tensor>) -> Result<Weights> {
    let mut weights = Weights::new();
    for parameter in config.parameters() {
        let Some((layer, kind)) = parameter.name.rsplit_once('.') else { continue };
        let ours = match layer.strip_suffix(".output") {
            // Ours makes the shift, then the scale.
            Some(film) => {
                let part = |part| {
                    to_our_layout(tensor(state, &format!("{}.{kind}", modulation(film, part)))?)
                };
                let (shift, scale) = (part("shift")?, part("scale")?);
                Tensor::cat(&[&shift, &scale], shift.rank() - 1)?
            }
            None => to_our_layout(tensor(state, &format!("{}.{kind}", state_name(layer)))?)?,
        };
        if ours.dims() != parameter.shape {
            return Err(Error::mismatch(
                format!("weight `{}`", parameter.name),
                format!("{:?}", parameter.shape),
                format!("{:?}", ours.dims()),
            ));
        }
        weights.insert(parameter.name, ours);
    }
    Ok(weights)
}

/// The name in the state dict of our layer `name`, of all but the second convolution of a FiLM module.
fn state_name(name: &str) -> String {
    let parts = name.split('.').collect::<Vec<_>>();
    let conv = match parts[..] {
        ["mel"] => "ublock_preconv".into(),
        ["last"] => "ublock_postconv".into(),
        ["stem"] => "dblock_preconv".into(),
        ["down", block, "residual"] => format!("dblocks.{block}.residual_branch.0"),
        ["down", block, "conv", layer] => {
            // The first in the sequence resamples.
            let place = layer.parse::<usize>().map_or(0, |layer| layer + 1);
            format!("dblocks.{block}.main_branch.{place}.convolution")
        }
        ["film", block, "input"] => format!("films.{block}.signal_conv.0"),
        ["up", block, "residual"] => format!("ublocks.{block}.first_block_residual_branch.0"),
        ["up", block, "conv", layer] => {
            let place = match layer {
                "0" => "first_block_main_branch.upsampling.2",
                "1" => "first_block_main_branch.modulation.convolution",
                "2" => "second_block_main_branch.modulation_0.convolution",
                _ => "second_block_main_branch.modulation_1.convolution",
            };
            format!("ublocks.{block}.{place}")
        }
        _ => name.to_owned(),
    };
    format!("{conv}.conv1d")
}

/// The convolution that makes the `part` (shift or scale) of our module `film.N`.
fn modulation(film: &str, part: &str) -> String {
    format!("films.{}.{part}_conv.conv1d", film.trim_start_matches("film."))
}

fn tensor<'a>(state: &'a HashMap<String, Tensor>, name: &str) -> Result<&'a Tensor> {
    state.get(name).ok_or_else(|| {
        Error::mismatch("weights of ivanvovk/WaveGrad", format!("`{name}`"), "no such tensor")
    })
}
