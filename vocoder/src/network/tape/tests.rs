//! The tape against the network's definition.
#![allow(clippy::unwrap_used)]

use crate::config::{ModelConfig, Padding};
use crate::network::{Network, Weights, initial_weights};
use crate::noise::Noise;
use candle_core::{DType, Device, Tensor, Var};

fn random(seed: u64, shape: &[usize]) -> Tensor {
    let mut values = vec![0f32; shape.iter().product()];
    Noise::new(seed).fill(0, 0, &mut values);
    Tensor::from_vec(values, shape, &Device::Cpu).unwrap()
}

/// Three rates; narrow layers and wide ones, a block that does not repeat.
fn config() -> ModelConfig {
    ModelConfig {
        n_mels: 5,
        first: 34,
        stem: 2,
        down: vec![36, 6],
        up: vec![48, 33, 32],
        factors: vec![3, 1, 2],
        up_dilations: vec![[1, 2, 1, 2], [1, 2, 4, 8], [1, 2, 4, 8]],
        ..ModelConfig::preset("base", 5).unwrap()
    }
}

/// The prediction, and the gradients of all weights, of the signal and of the mel.
fn run(config: &ModelConfig, dtype: DType) -> Vec<(String, Tensor)> {
    let (mut variables, mut weights) = (Vec::new(), Weights::new());
    for (index, (name, tensor)) in initial_weights(config, 3).unwrap().into_iter().enumerate() {
        // Biases and FiLM away from their first values, where much is zero.
        let tensor = (&tensor + (random(index as u64, tensor.dims()) * 0.1).unwrap()).unwrap();
        let variable = Var::from_tensor(&tensor.to_dtype(dtype).unwrap()).unwrap();
        weights.insert(name.clone(), variable.as_tensor().clone());
        variables.push((name, variable));
    }
    let network = Network::new(config, &weights).unwrap();
    let input = |seed, shape: &[usize]| {
        Var::from_tensor(&random(seed, shape).to_dtype(dtype).unwrap()).unwrap()
    };
    let (signal, mel) =
        (input(1000, &[3, 30 * config.hop()]), input(1001, &[3, 30, config.n_mels]));
    let y = network.forward(&signal, &mel, &[0.95, 0.5, 0.05]).unwrap();
    variables.extend([("signal".into(), signal), ("mel".into(), mel)]);
    let gradients = y.sqr().unwrap().mean_all().unwrap().backward().unwrap();
    let mut results = vec![("prediction".to_owned(), y.detach())];
    results.extend(variables.into_iter().map(|(n, v)| (n, gradients.get(&v).unwrap().clone())));
    results
}

#[test]
fn the_tape_equals_the_definition() {
    let symmetric = config();
    let causal = ModelConfig { padding: Padding::Causal { look_ahead: 1 }, ..config() };
    // Repetition that can't be folded into the convolution after it; a factor of two in causal form;
    // other kernels.
    let dilated = ModelConfig { up_dilations: vec![[2, 1, 1, 2]; 3], ..config() };
    let two = ModelConfig { factors: vec![2, 1, 2], ..causal.clone() };
    let five = ModelConfig { taps: 5, stem_taps: 1, ..config() };
    for config in [symmetric, causal, dilated, two, five] {
        for ((name, found), (_, expected)) in
            run(&config, DType::F32).iter().zip(&run(&config, DType::F64))
        {
            let found = found.to_dtype(DType::F64).unwrap();
            let largest = |t: &Tensor| {
                let all = t.abs().unwrap().flatten_all().unwrap().to_vec1::<f64>().unwrap();
                all.into_iter().fold(0f64, f64::max)
            };
            let (off, scale) = (largest(&(&found - expected).unwrap()), largest(expected));
            assert!(scale > 0.0, "{name} tests nothing");
            // f32 in another order; see `tests/tests/gradients.rs`.
            assert!(off <= 1e-4 * scale, "{name}: off by {off:e} of {scale:e}");
        }
    }
}

#[test]
fn a_second_way_back_is_the_first() {
    let config = config();
    let mut weights = initial_weights(&config, 3).unwrap();
    let variable = Var::from_tensor(&weights["mel.bias"]).unwrap();
    weights.insert("mel.bias".into(), variable.as_tensor().clone());
    let network = Network::new(&config, &weights).unwrap();
    let (signal, mel) = (random(1, &[1, 4 * config.hop()]), random(2, &[1, 4, config.n_mels]));
    let y = network.forward(&signal, &mel, &[0.5]).unwrap();
    let gradient = || {
        let gradients = y.sqr().unwrap().sum_all().unwrap().backward().unwrap();
        gradients.get(&variable).unwrap().to_vec1::<f32>().unwrap()
    };
    assert_eq!(gradient(), gradient());
}
