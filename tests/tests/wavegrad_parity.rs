//! Our network with the weights of the PyPI package `wavegrad` 0.1.5 against the package itself:
//! forward and gradient, block by block and whole.
//!
//! The package's side is `tests/reference/wavegrad/reference.safetensors`, made by the program
//! beside it from a narrow network. To check the full size too:
//! `make_reference.py --full FILE`, then `WAVEGRAD_REFERENCE=FILE cargo test --test wavegrad_parity`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::BTreeMap;
use std::path::PathBuf;

use candle_core::{D, Tensor, Var};
use vocoder::config::{LevelEncoding, ModelConfig};
use vocoder::network::{Ends, Network, Weights, encode_level, initial_weights};
use vocoder::ops::{self, Taps};
use vocoder::voice::lmnt;
use vocoder_tests::arrays::{Arrays, assert_close, assert_close_relative, reference_path};

/// Of the largest value of an array, or of 1 where that is smaller. Both sides compute in f32 and
/// add in different orders; the largest difference seen is 3e-6 (6e-6 of 2.1 at full size).
const FORWARD_TOLERANCE: f64 = 2e-5;

/// Of the largest value of a gradient; the largest difference seen is 8e-6.
const GRADIENT_TOLERANCE: f64 = 2e-5;

fn reference() -> Arrays {
    let path = std::env::var_os("WAVEGRAD_REFERENCE").map(PathBuf::from);
    Arrays::read(&path.unwrap_or_else(|| reference_path("wavegrad/reference.safetensors")))
}

/// PyTorch's `[batch, channels, time]` as our `[batch, rows, channels]`.
fn rows(theirs: &Tensor) -> Tensor {
    theirs.transpose(1, 2).unwrap().contiguous().unwrap()
}

fn levels(theirs: &Tensor) -> Vec<f64> {
    theirs.to_vec1::<f32>().unwrap().into_iter().map(f64::from).collect()
}

/// The level as a FiLM module of that many input channels wants it.
fn encoded(config: &ModelConfig, level: &Tensor, channels: usize) -> Tensor {
    let values = encode_level(&config.level, &levels(level), channels);
    Tensor::from_vec(values, (level.elem_count(), 1, channels), level.device()).unwrap()
}

fn config_and_weights(reference: &Arrays) -> (ModelConfig, Weights) {
    let state = reference.under("model.");
    let config = lmnt::model_config(&state).unwrap();
    config.validate(300).unwrap();
    let weights = lmnt::weights(&config, &state).unwrap();
    (config, weights)
}

/// Weights that gradients can be asked for, and the network over them.
fn trainable(config: &ModelConfig, weights: &Weights) -> (Network, BTreeMap<String, Var>) {
    let variables = weights
        .iter()
        .map(|(name, tensor)| (name.clone(), Var::from_tensor(tensor).unwrap()))
        .collect::<BTreeMap<_, _>>();
    let shared = variables.iter().map(|(n, v)| (n.clone(), v.as_tensor().clone())).collect();
    (Network::new(config, &shared).unwrap(), variables)
}

#[test]
fn the_whole_network_and_its_gradients() {
    let reference = reference();
    let (config, weights) = config_and_weights(&reference);
    let (network, variables) = trainable(&config, &weights);
    let audio = Var::from_tensor(reference.get("input.audio")).unwrap();
    let mel = Var::from_tensor(&rows(reference.get("input.mel"))).unwrap();
    let level = levels(reference.get("input.level"));

    let output = network.forward(&audio, &mel, &level).unwrap();
    let expected = reference.get("output.last_conv").squeeze(1).unwrap();
    assert_close("output", &output, &expected, FORWARD_TOLERANCE);

    let loss = (reference.get("input.target") - output).unwrap().abs().unwrap();
    let loss = loss.mean_all().unwrap();
    assert_close("loss", &loss, reference.get("loss"), FORWARD_TOLERANCE);

    let gradients = loss.backward().unwrap();
    for (name, variable) in &variables {
        let theirs = reference.get(&format!("grad.model.{}", lmnt::state_name(name)));
        let theirs = lmnt::to_our_layout(theirs).unwrap();
        let ours = gradients.get(variable).unwrap_or_else(|| panic!("{name} has no gradient"));
        assert_close_relative(name, ours, &theirs, GRADIENT_TOLERANCE);
    }
    let ours = gradients.get(&audio).unwrap();
    assert_close_relative("audio", ours, reference.get("grad.input.audio"), GRADIENT_TOLERANCE);
    let ours = gradients.get(&mel).unwrap();
    assert_close_relative("mel", ours, &rows(reference.get("grad.input.mel")), GRADIENT_TOLERANCE);
}

/// Each block of the network on the input that it had in the package.
#[test]
fn each_block_of_the_network() {
    let reference = reference();
    let (config, weights) = config_and_weights(&reference);
    let network = Network::new(&config, &weights).unwrap();
    let output = |name: String| rows(reference.get(&format!("output.{name}")));
    let close = |what: String, ours: &Tensor, theirs: &Tensor| {
        assert_close(&what, ours, theirs, FORWARD_TOLERANCE);
    };
    let conv = |x: &Tensor, name: &str, left: usize| {
        let (weight, bias) =
            (&weights[&format!("{name}.weight")], &weights[&format!("{name}.bias")]);
        ops::conv1d(x, weight, bias, Taps { dilation: 1, left }).unwrap()
    };

    let audio = reference.get("input.audio").unsqueeze(2).unwrap();
    close("stem".into(), &conv(&audio, "stem", 2), &output("downsample.0".into()));
    let mel = rows(reference.get("input.mel"));
    close("mel".into(), &conv(&mel, "mel", 1), &output("first_conv".into()));
    let last = config.up.len() - 1;
    let x = output(format!("upsample.{last}"));
    close("last".into(), &conv(&x, "last", 1), &output("last_conv".into()));

    for (i, down) in network.down().iter().enumerate() {
        let ours = down.forward(&output(format!("downsample.{i}")), &Ends::default()).unwrap();
        close(format!("down.{i}"), &ours, &output(format!("downsample.{}", i + 1)));
    }
    let film = |i: usize| {
        let halves = ["shift", "scale"].map(|half| output(format!("film.{i}.{half}")));
        Tensor::cat(&halves, 2).unwrap()
    };
    for (i, block) in network.film().iter().enumerate() {
        let x = output(format!("downsample.{i}"));
        let level = encoded(&config, reference.get("input.level"), x.dim(2).unwrap());
        close(format!("film.{i}"), &block.forward(&x, &level, &Ends::default()).unwrap(), &film(i));
    }
    for (i, up) in network.up().iter().enumerate() {
        let x = if i == 0 {
            output("first_conv".into())
        } else {
            output(format!("upsample.{}", i - 1))
        };
        let ours = up.forward(&x, &film(last - i), &Ends::default()).unwrap();
        close(format!("up.{i}"), &ours, &output(format!("upsample.{i}")));
    }
}

/// A block by itself in the reference: its inputs as variables, and what is expected.
struct Single<'a> {
    reference: &'a Arrays,
    name: &'a str,
}

impl Single<'_> {
    fn array(&self, key: &str) -> Tensor {
        let theirs = self.reference.get(&format!("block.{}.{key}", self.name));
        if theirs.rank() == 3 { rows(theirs) } else { theirs.clone() }
    }

    fn input(&self, key: &str) -> Var {
        Var::from_tensor(&self.array(&format!("input.{key}"))).unwrap()
    }

    fn weight(&self, key: &str) -> Tensor {
        let theirs = self.reference.get(&format!("block.{}.model.{key}", self.name));
        lmnt::to_our_layout(theirs).unwrap()
    }

    /// Compares the output with `block.NAME.output`, and the gradients of sum(output * cotangent).
    /// `outputs` are by what follows `output` in their names, `weights` by name in the package.
    fn check(
        &self,
        outputs: &[(&str, Tensor)],
        inputs: &[(&str, &Var)],
        weights: &[(String, &Var)],
    ) {
        let mut objective = Tensor::new(0f32, &candle_core::Device::Cpu).unwrap();
        for (key, ours) in outputs {
            let what = format!("{} output{key}", self.name);
            let theirs = self.array(&format!("output{key}"));
            assert_close(&what, ours, &theirs, FORWARD_TOLERANCE);
            let cotangent = self.array(&format!("cotangent{key}"));
            objective = (objective + (ours * cotangent).unwrap().sum_all().unwrap()).unwrap();
        }
        let gradients = objective.backward().unwrap();
        for (key, variable) in inputs {
            let what = format!("{} gradient of {key}", self.name);
            let theirs = self.array(&format!("grad.input.{key}"));
            let ours = gradients.get(variable).unwrap_or_else(|| panic!("no {what}"));
            assert_close_relative(&what, ours, &theirs, GRADIENT_TOLERANCE);
        }
        for (key, variable) in weights {
            let what = format!("{} gradient of {key}", self.name);
            let theirs = self.reference.get(&format!("block.{}.grad.model.{key}", self.name));
            let theirs = lmnt::to_our_layout(theirs).unwrap();
            let ours = gradients.get(variable).unwrap_or_else(|| panic!("no {what}"));
            assert_close_relative(&what, ours, &theirs, GRADIENT_TOLERANCE);
        }
    }

    /// A network of `config` whose block `ours` (`down.0`, `film.0` or `up.0`) has the weights of
    /// this block, and those weights by name in the package.
    fn network(&self, config: &ModelConfig, ours: &str) -> (Network, Vec<(String, Var)>) {
        let mut weights = initial_weights(config, 1).unwrap();
        let mut variables = Vec::new();
        for (name, tensor) in &mut weights {
            if name.starts_with(ours) {
                // Without the kind and the number of the block: `conv.0.weight`.
                let theirs = lmnt::state_name(name).splitn(3, '.').nth(2).unwrap().to_owned();
                let variable = Var::from_tensor(&self.weight(&theirs)).unwrap();
                *tensor = variable.as_tensor().clone();
                variables.push((theirs, variable));
            }
        }
        assert!(!variables.is_empty());
        (Network::new(config, &weights).unwrap(), variables)
    }
}

/// The smallest network with a down block: two rates.
fn two_rates() -> ModelConfig {
    ModelConfig {
        n_mels: 3,
        first: 4,
        stem: 2,
        down: vec![2],
        up: vec![4, 4],
        factors: vec![1, 1],
        up_dilations: vec![[1, 2, 4, 8]; 2],
        level: LevelEncoding::Level { scale: 1.0 },
        ..ModelConfig::preset("base", 3).unwrap()
    }
}

fn by_reference(variables: &[(String, Var)]) -> Vec<(String, &Var)> {
    variables.iter().map(|(name, variable)| (name.clone(), variable)).collect()
}

#[test]
fn single_convolutions_at_batch_3() {
    let reference = reference();
    for (name, dilation, left) in
        [("conv_k3_d8", 8, 8), ("conv_k3_d8_short", 8, 8), ("conv_k5", 1, 2), ("conv_k1", 1, 0)]
    {
        let single = Single { reference: &reference, name };
        let x = single.input("x");
        let weight = Var::from_tensor(&single.weight("weight")).unwrap();
        let bias = Var::from_tensor(&single.weight("bias")).unwrap();
        let y = ops::conv1d(&x, &weight, &bias, Taps { dilation, left }).unwrap();
        let weights = [("weight".to_owned(), &weight), ("bias".to_owned(), &bias)];
        single.check(&[("", y)], &[("x", &x)], &weights);
    }
}

#[test]
fn single_down_blocks_at_batch_3() {
    let reference = reference();
    for (name, factor, ci, co) in [("dblock_f5", 5, 6, 10), ("dblock_f3", 3, 10, 4)] {
        let single = Single { reference: &reference, name };
        let config =
            ModelConfig { stem: ci, down: vec![co], factors: vec![1, factor], ..two_rates() };
        let (network, weights) = single.network(&config, "down.0");
        let x = single.input("x");
        let y = network.down()[0].forward(&x, &Ends::default()).unwrap();
        single.check(&[("", y)], &[("x", &x)], &by_reference(&weights));
    }
}

#[test]
fn a_single_film_at_batch_3() {
    let reference = reference();
    let single = Single { reference: &reference, name: "film" };
    let config = ModelConfig { stem: 6, up: vec![4, 9], ..two_rates() };
    let (network, weights) = single.network(&config, "film.0");
    let x = single.input("x");
    let level = encoded(&config, &single.array("input.level"), 6);
    let y = network.film()[0].forward(&x, &level, &Ends::default()).unwrap();
    let half = |first| y.narrow(D::Minus1, first, 9).unwrap();
    single.check(
        &[(".shift", half(0)), (".scale", half(9))],
        &[("x", &x)],
        &by_reference(&weights),
    );
}

#[test]
fn single_up_blocks_at_batch_3() {
    let reference = reference();
    for (name, factor) in [("ublock_f3", 3), ("ublock_f5", 5)] {
        let single = Single { reference: &reference, name };
        let config =
            ModelConfig { first: 9, up: vec![6, 4], factors: vec![factor, 1], ..two_rates() };
        let (network, weights) = single.network(&config, "up.0");
        let [x, shift, scale] = ["x", "shift", "scale"].map(|key| single.input(key));
        let film = Tensor::cat(&[shift.as_tensor(), scale.as_tensor()], 2).unwrap();
        let y = network.up()[0].forward(&x, &film, &Ends::default()).unwrap();
        let inputs = [("x", &x), ("shift", &shift), ("scale", &scale)];
        single.check(&[("", y)], &inputs, &by_reference(&weights));
    }
}
