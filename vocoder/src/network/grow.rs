//! A wider network that begins as a narrower one: so that what the narrow one has learned need not be
//! learned again.

use super::init::is_film_output;
use super::{Weights, initial_weights};
use crate::config::ModelConfig;
use crate::{Error, Result};
use candle_core::{Device, Tensor};

/// Weights, on the CPU, for the network `wide` that predicts, for now, what `narrow` predicts with `weights`
/// (function-preserving growth: Chen, Goodfellow & Shlens 2016, arXiv 1511.05641).
///
/// The channels of the narrow network become the first of the wide one's. The others begin with the random
/// weights of [`initial_weights`] for `seed`, and what they say to the former is weighted with 0: they have
/// nothing to undo, and learn from the first step on, since what they say is there to be weighted. (The
/// paper doubles channels instead, which then have to part.)
///
/// Only the mel's path can grow, `first` and `up`: the noise level is told to the waveform's path by as many
/// numbers as that has channels, which mean other frequencies for another count.
///
/// # Errors
/// A network that is not as wide as the narrow one, or that differs in more than `first` and `up`; weights
/// that are not the narrow one's.
pub fn grown(
    weights: &Weights,
    narrow: &ModelConfig,
    wide: &ModelConfig,
    seed: u64,
) -> Result<Weights> {
    let alike = ModelConfig { first: narrow.first, up: narrow.up.clone(), ..wide.clone() };
    let widths = |config: &ModelConfig| [&[config.first], config.up.as_slice()].concat();
    let (from, to) = (widths(narrow), widths(wide));
    if alike != *narrow || from.len() != to.len() || from.iter().zip(&to).any(|(a, b)| a > b) {
        return Err(Error::mismatch(
            "network to grow into",
            format!("the same but for `first` and `up`, each at least {from:?}"),
            format!("{to:?}, or another in other settings"),
        ));
    }
    let mut grown = initial_weights(wide, seed)?;
    for (old, new) in narrow.parameters().iter().zip(wide.parameters()) {
        let given = weights.get(&old.name).filter(|tensor| tensor.dims() == old.shape);
        let Some(given) = given else {
            let expected = format!("`{}` of shape {:?}", old.name, old.shape);
            return Err(Error::mismatch("weights", expected, "none such"));
        };
        // FiLM's shifts come before its scales: two groups of channels, each of which grows.
        let groups = if is_film_output(&new.name) { 2 } else { 1 };
        let values = given.flatten_all()?.to_vec1::<f32>()?;
        let mut out = grown[&new.name].flatten_all()?.to_vec1::<f32>()?;
        place(&values, &old.shape, &mut out, &new.shape, groups);
        let tensor = Tensor::from_vec(out, new.shape, &Device::Cpu)?;
        grown.insert(new.name, tensor);
    }
    Ok(grown)
}

/// Lays `old`, `[.., inputs, outputs]`, into `new`, whose outputs are `groups` groups that grow alike: from old
/// inputs as they were, from new ones 0 to the old outputs.
fn place(old: &[f32], old_shape: &[usize], new: &mut [f32], new_shape: &[usize], groups: usize) {
    let ends = |shape: &[usize]| match *shape {
        [.., inputs, outputs] => (inputs, outputs),
        _ => (1, shape[0]),
    };
    let ((ci, co), (new_ci, new_co)) = (ends(old_shape), ends(new_shape));
    let (part, new_part) = (co / groups, new_co / groups);
    for (row, out) in new.chunks_exact_mut(new_co).enumerate() {
        let (tap, input) = (row / new_ci, row % new_ci);
        for (group, out) in out.chunks_exact_mut(new_part).enumerate() {
            let out = &mut out[..part];
            if input < ci {
                out.copy_from_slice(&old[(tap * ci + input) * co + group * part..][..part]);
            } else {
                out.fill(0.0);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::network::Network;
    use crate::noise::Noise;

    fn narrow() -> ModelConfig {
        ModelConfig::preset("eighth", 128).unwrap()
    }

    fn wide() -> ModelConfig {
        ModelConfig { first: 112, up: vec![80, 64, 48, 20, 18], ..narrow() }
    }

    fn noise(shape: &[usize], index: u64) -> Tensor {
        let mut values = vec![0f32; shape.iter().product()];
        Noise::new(5).fill(index, 0, &mut values);
        Tensor::from_vec(values, shape, &Device::Cpu).unwrap()
    }

    #[test]
    fn it_says_what_the_narrow_network_says_and_its_new_channels_can_learn() {
        let weights = initial_weights(&narrow(), 1).unwrap();
        // Biases are zero and FiLM's scales one in random weights: trained ones are neither.
        let weights: Weights = weights
            .iter()
            .zip(0..)
            .map(|((name, tensor), index)| {
                let more = (noise(tensor.dims(), index) * 0.02).unwrap();
                (name.clone(), (tensor + more).unwrap())
            })
            .collect();
        let grown = grown(&weights, &narrow(), &wide(), 2).unwrap();
        let (signal, mel) = (noise(&[1, 4 * 300], 900), noise(&[1, 4, 128], 901));
        let said = |config: &ModelConfig, weights: &Weights| {
            let network = Network::new(config, weights).unwrap();
            let said = network.forward(&signal, &mel, &[0.7]).unwrap();
            said.flatten_all().unwrap().to_vec1::<f32>().unwrap()
        };
        let (before, after) = (said(&narrow(), &weights), said(&wide(), &grown));
        let greatest = before.iter().fold(0f32, |a, v| a.max(v.abs()));
        assert!(greatest > 0.01);
        for (a, b) in before.iter().zip(&after) {
            assert!((a - b).abs() < 1e-5 * greatest, "{a} {b}");
        }
        // New channels speak: with other weights behind them, the sound is another.
        let mut heard = grown.clone();
        heard.insert("last.weight".into(), noise(grown["last.weight"].dims(), 950));
        let mut silent = heard["last.weight"].flatten_all().unwrap().to_vec1::<f32>().unwrap();
        silent.chunks_exact_mut(18).for_each(|tap| tap[16..].fill(0.0));
        let mut unheard = grown;
        let shape = heard["last.weight"].dims().to_vec();
        unheard
            .insert("last.weight".into(), Tensor::from_vec(silent, shape, &Device::Cpu).unwrap());
        assert_ne!(said(&wide(), &heard), said(&wide(), &unheard));
    }

    #[test]
    fn what_cannot_be_grown_into_is_refused() {
        let weights = initial_weights(&narrow(), 1).unwrap();
        for other in [
            ModelConfig { first: 95, ..narrow() },
            ModelConfig { up: vec![80, 64, 48, 20, 15], ..narrow() },
            ModelConfig { up: vec![64, 64, 32, 16], ..wide() },
            ModelConfig { stem: 16, ..wide() },
            ModelConfig { down: vec![16, 16, 32, 80], ..wide() },
        ] {
            let refused = grown(&weights, &narrow(), &other, 2).unwrap_err().to_string();
            assert!(refused.contains("at least [96, 64, 64, 32, 16, 16]"), "{refused}");
        }
        let mut less = weights;
        less.remove("up.2.conv.1.bias");
        let refused = grown(&less, &narrow(), &wide(), 2).unwrap_err().to_string();
        assert!(refused.contains("up.2.conv.1.bias"), "{refused}");
    }
}
