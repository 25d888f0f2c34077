//! Every operation that is trained through, and the whole network, against finite differences in
//! f64; and the f32 kernels against the f64 path, which shares no arithmetic with them.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use candle_core::{DType, Tensor, Var};
use training::stft::{Resolution, StftDistance};
use vocoder::config::{LevelEncoding, ModelConfig, Padding};
use vocoder::network::{Network, Weights, initial_weights};
use vocoder::ops::{self, Taps, portable};
use vocoder_tests::arrays::{assert_close_relative, uniform};
use vocoder_tests::gradients::{assert_gradients, variable};

type Convolution = fn(&Tensor, &Tensor, &Tensor, Taps) -> candle_core::Result<Tensor>;

#[test]
fn convolution() {
    let ours: [(&str, Convolution); 2] = [("ops", ops::conv1d), ("portable", portable::conv1d)];
    for (path, conv1d) in ours {
        for (batch, count, dilation, rows) in [
            (1, 3, 1, 9),
            (3, 3, 1, 9),
            (3, 1, 1, 5),
            (2, 2, 3, 7),
            (2, 5, 1, 6),
            (2, 3, 8, 19),
            // The outer taps never meet the signal, or the signal is a single row.
            (2, 3, 8, 4),
            (3, 3, 2, 1),
        ] {
            let span = dilation * (count - 1);
            for left in [0, span / 2, span] {
                let what = format!(
                    "{path}: batch {batch}, {count} taps, dilation {dilation}, {left} left, {rows} rows"
                );
                let x = variable(1, &[batch, rows, 3]);
                let w = variable(2, &[count, 3, 4]);
                let bias = variable(3, &[4]);
                let taps = Taps { dilation, left };
                assert_gradients(&what, &[&x, &w, &bias], || conv1d(&x, &w, &bias, taps));
            }
        }
    }
}

#[test]
fn convolution_of_views() {
    // A transposed signal, weights narrowed out of a larger tensor, a broadcast cotangent.
    let (x, w, bias) = (variable(1, &[2, 3, 9]), variable(2, &[5, 3, 4]), variable(3, &[4]));
    let taps = Taps { dilation: 2, left: 2 };
    for conv1d in [ops::conv1d as Convolution, portable::conv1d] {
        assert_gradients("views", &[&x, &w, &bias], || {
            let y = conv1d(&x.transpose(1, 2)?, &w.narrow(0, 1, 3)?, &bias, taps)?;
            y.sum_keepdim(1)
        });
    }
}

#[test]
fn stft_distance() {
    let resolutions =
        [(16, 4, 8), (8, 3, 6)].map(|(n_fft, hop, window)| Resolution { n_fft, hop, window });
    let stft = StftDistance::new(&resolutions, DType::F64, &candle_core::Device::Cpu).unwrap();
    let (a, b) = (variable(1, &[2, 26]), variable(2, &[2, 26]));
    assert_gradients("STFT distance", &[&a, &b], || stft.distance(&a, &b));
}

#[test]
fn activations_and_modulation() {
    let (x, film) = (variable(1, &[3, 5, 4]), variable(2, &[3, 5, 8]));
    let offset = uniform(3, &[3, 1, 4]);
    assert_gradients("leaky", &[&x], || ops::leaky(&x));
    assert_gradients("leaky, portable", &[&x], || portable::leaky(&x));
    assert_gradients("leaky_plus", &[&x], || ops::leaky_plus(&x, &offset));
    assert_gradients("leaky_plus, portable", &[&x], || portable::leaky_plus(&x, &offset));
    assert_gradients("film", &[&x, &film], || ops::film(&x, &film));
    assert_gradients("film, portable", &[&x, &film], || portable::film(&x, &film));
}

#[test]
fn activations_and_modulation_of_views() {
    let (x, film) = (variable(1, &[3, 4, 5]), variable(2, &[3, 7, 8]));
    assert_gradients("leaky", &[&x], || ops::leaky(&x.transpose(1, 2)?));
    assert_gradients("film", &[&x, &film], || {
        ops::film(&x.transpose(1, 2)?, &film.narrow(1, 2, 5)?)?.sum_keepdim(2)
    });
}

#[test]
fn resampling() {
    for factor in [1, 2, 3, 5] {
        let (x, long) = (variable(1, &[3, 4, 2]), variable(2, &[3, 30, 2]));
        // The source is used elsewhere too, as in a block with a residual.
        assert_gradients("repeat", &[&x], || {
            ops::repeat(&x, factor)? + ops::repeat(&ops::leaky(&x)?, factor)?.sqr()?
        });
        assert_gradients("repeat, portable", &[&x], || {
            portable::repeat(&x, factor)? + portable::repeat(&ops::leaky(&x)?, factor)?.sqr()?
        });
        assert_gradients("decimate", &[&long], || ops::decimate(&long.sqr()?, factor));
        assert_gradients("decimate, portable", &[&long], || {
            portable::decimate(&long.sqr()?, factor)
        });
        assert_gradients("widen", &[&long], || ops::widen(&long.sqr()?, factor));
        assert_gradients("narrow", &[&long], || {
            ops::narrow(&long.narrow(1, 0, 15 - 15 % factor)?.sqr()?, factor)
        });
        assert_gradients("views", &[&long], || {
            ops::repeat(&ops::decimate(&long.narrow(1, 0, 15 - 15 % factor)?, factor)?, 2)
        });
    }
}

/// A network of three rates that is small enough to move each weight.
fn tiny() -> ModelConfig {
    ModelConfig {
        n_mels: 3,
        first: 3,
        stem: 2,
        down: vec![2, 4],
        up: vec![4, 3, 2],
        factors: vec![2, 3, 2],
        up_dilations: vec![[1, 2, 1, 2], [1, 2, 4, 8], [1, 2, 4, 8]],
        ..ModelConfig::preset("base", 3).unwrap()
    }
}

/// Uniform weights in f64 that keep signals at about unit size, and biases of up to 0.1.
fn uniform_weights(config: &ModelConfig) -> Weights {
    let parameters = config.parameters().into_iter().enumerate();
    let weight = |seed: usize, shape: &[usize]| {
        let largest = match *shape {
            [taps, ci, _] => (3.0 / (taps * ci) as f64).sqrt(),
            _ => 0.1,
        };
        uniform(seed as u64 + 10, shape).affine(largest, 0.0).unwrap()
    };
    parameters.map(|(seed, p)| (p.name, weight(seed, &p.shape))).collect()
}

#[test]
fn the_whole_network() {
    for (padding, level) in [
        (Padding::Symmetric, LevelEncoding::Level { scale: 5000.0 }),
        (Padding::Causal { look_ahead: 0 }, LevelEncoding::Level { scale: 1.0 }),
        (Padding::Causal { look_ahead: 1 }, LevelEncoding::LogSnr { scale: 32.0 }),
    ] {
        let config = ModelConfig { padding, level, mel_shift: 0.5, mel_scale: 0.7, ..tiny() };
        let weights = uniform_weights(&config);
        let mut variables = Vec::new();
        let mut shared = Weights::new();
        for (name, tensor) in weights {
            let variable = Var::from_tensor(&tensor).unwrap();
            shared.insert(name, variable.as_tensor().clone());
            variables.push(variable);
        }
        let network = Network::new(&config, &shared).unwrap();
        let signal = variable(1, &[2, 3 * config.hop()]);
        let mel = variable(2, &[2, 3, config.n_mels]);
        variables.extend([signal.clone(), mel.clone()]);
        let variables = variables.iter().collect::<Vec<_>>();
        assert_gradients(&format!("{padding:?}"), &variables, || {
            Ok(network.forward(&signal, &mel, &[0.9, 0.2]).unwrap())
        });
    }
}

/// The tiled f32 kernels against the plain f64 ones: output and every gradient of a preset.
#[test]
fn the_tuned_path_equals_the_plain_path() {
    let config = ModelConfig::preset("quarter", 80).unwrap();
    let weights = initial_weights(&config, 3).unwrap();
    let (signal, mel) = (uniform(1, &[3, 4 * config.hop()]), uniform(2, &[3, 4, 80]));
    let run = |dtype: DType| {
        let mut variables = Vec::new();
        let mut shared = Weights::new();
        for (name, tensor) in &weights {
            let variable = Var::from_tensor(&tensor.to_dtype(dtype).unwrap()).unwrap();
            shared.insert(name.clone(), variable.as_tensor().clone());
            variables.push((name.clone(), variable));
        }
        for (name, input) in [("signal", &signal), ("mel", &mel)] {
            let variable = Var::from_tensor(&input.to_dtype(dtype).unwrap()).unwrap();
            variables.push((name.to_owned(), variable));
        }
        let [.., (_, signal), (_, mel)] = &variables[..] else { unreachable!() };
        let network = Network::new(&config, &shared).unwrap();
        let output = network.forward(signal, mel, &[0.95, 0.5, 0.05]).unwrap();
        let mut gradients = output.sqr().unwrap().mean_all().unwrap().backward().unwrap();
        let mut results = vec![("output".to_owned(), output.detach())];
        for (name, variable) in &variables {
            results.push((name.clone(), gradients.remove(variable).unwrap()));
        }
        results
    };
    for ((name, tuned), (_, plain)) in run(DType::F32).iter().zip(&run(DType::F64)) {
        let tuned = tuned.to_dtype(DType::F64).unwrap();
        // Rounding is below 1e-5; a value that rounds to the other side of a leaky ReLU's kink adds
        // as much again.
        assert_close_relative(name, &tuned, plain, 1e-4);
    }
}
