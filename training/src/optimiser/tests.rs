#![allow(clippy::unwrap_used)]
use super::*;
use candle_core::Device;

fn config() -> OptimiserConfig {
    OptimiserConfig {
        learning_rate: 0.1,
        accumulate: 1,
        warm_up: 10,
        final_rate: 0.1,
        beta1: 0.9,
        beta2: 0.99,
        weight_decay: 0.5,
        clip: 1.0,
        ema: 0.9,
    }
}

fn optimiser(values: [f32; 2]) -> Optimiser {
    let weight = Tensor::new(&[values], &Device::Cpu).unwrap();
    let state = State::fresh(Weights::from([("w".to_string(), weight)])).unwrap();
    Optimiser::new(config(), state).unwrap()
}

fn values(weights: &Weights) -> Vec<f32> {
    weights["w"].flatten_all().unwrap().to_vec1().unwrap()
}

/// Steps on the loss 3 w0 + 4 w1, whose gradient is (3, 4), of norm 5.
fn step(optimiser: &mut Optimiser) -> f64 {
    let slope = Tensor::new(&[[3f32, 4.0]], &Device::Cpu).unwrap();
    let loss = (optimiser.weights().unwrap()["w"].clone() * slope).unwrap().sum_all().unwrap();
    let gradients = optimiser.gradients(&loss.backward().unwrap(), None).unwrap();
    let norm = optimiser.norm(&gradients).unwrap();
    optimiser.step(&gradients, norm, 0.1).unwrap();
    norm
}

#[test]
fn the_first_step_by_hand() {
    let mut optimiser = optimiser([1.0, -2.0]);
    assert!((step(&mut optimiser) - 5.0).abs() < 1e-6);
    // Clipped to (0.6, 0.8). After correction the moments are g and g^2, so the direction is
    // the sign, 1: w (1 - 0.1 * 0.5) - 0.1 = 0.85 and -2.0.
    let w = values(&optimiser.weights().unwrap());
    assert!((w[0] - 0.85).abs() < 1e-6 && (w[1] + 2.0).abs() < 1e-6, "{w:?}");
    let state = optimiser.state().unwrap();
    // 0.1 g and 0.01 g^2.
    let (first, second) = (values(&state.first), values(&state.second));
    assert!((first[0] - 0.06).abs() < 1e-7 && (first[1] - 0.08).abs() < 1e-7);
    assert!((second[0] - 0.0036).abs() < 1e-8 && (second[1] - 0.0064).abs() < 1e-8);
    // Decay (1 + 1) / (10 + 1) = 2/11 while it warms up: 1 * 2/11 + 0.85 * 9/11.
    let mean = values(&state.mean);
    assert!((mean[0] - 0.877_272_7).abs() < 1e-6, "{mean:?}");
}

#[test]
fn a_state_that_was_saved_goes_on_the_same() {
    let mut whole = optimiser([0.3, 0.7]);
    (0..5).for_each(|_| _ = step(&mut whole));
    let mut half = optimiser([0.3, 0.7]);
    (0..2).for_each(|_| _ = step(&mut half));
    let mut half = Optimiser::new(config(), half.state().unwrap()).unwrap();
    (0..3).for_each(|_| _ = step(&mut half));
    assert_eq!(values(&whole.weights().unwrap()), values(&half.weights().unwrap()));
    assert_eq!(values(&whole.mean_weights().unwrap()), values(&half.mean_weights().unwrap()));
}

/// The pass over memory against the step in tensors, over more values than a thread takes at once.
#[test]
fn one_pass_equals_the_step_in_tensors() {
    let tensor = |k: f32| {
        let values = (0..70_000).map(|i| (i as f32 * k).sin()).collect();
        Tensor::from_vec(values, (7, 10_000), &Device::Cpu).unwrap()
    };
    let slot = || Slot {
        var: Var::from_tensor(&tensor(0.1)).unwrap(),
        first: tensor(0.2),
        second: tensor(0.3).sqr().unwrap(),
        mean: tensor(0.4),
    };
    let factors = Factors {
        scale: 0.7,
        beta1: 0.9,
        beta2: 0.99,
        correct1: 0.3,
        correct2: 0.1,
        kept: 0.95,
        rate: 0.01,
        mean: 0.8,
    };
    let (mut a, mut b, gradient) = (slot(), slot(), tensor(0.5));
    a.step(&gradient, &factors).unwrap();
    host::step(&mut b, &gradient, &factors).unwrap();
    let pairs = [
        (a.var.as_tensor(), b.var.as_tensor()),
        (&a.first, &b.first),
        (&a.second, &b.second),
        (&a.mean, &b.mean),
    ];
    for (a, b) in pairs {
        let off = (a - b).unwrap().abs().unwrap().max_all().unwrap();
        assert!(off.to_scalar::<f32>().unwrap() < 1e-6);
    }
    let norm = host::norm(&Weights::from([("w".into(), gradient.clone())])).unwrap();
    let expected = gradient.sqr().unwrap().sum_all().unwrap().to_scalar::<f32>().unwrap();
    assert!((norm / f64::from(expected).sqrt() - 1.0).abs() < 1e-5);
}

#[test]
fn weights_side_by_side_step_as_by_name() {
    let model = ModelConfig::preset("eighth", 16).unwrap();
    let weights = vocoder::network::initial_weights(&model, 1).unwrap();
    let (decayed, config) = (config(), OptimiserConfig { weight_decay: 0.0, ..config() });
    let state = || State::fresh(weights.clone()).unwrap();
    let mut named = Optimiser::new(config, state()).unwrap();
    let mut flat = Optimiser::flat(config, &model, state()).unwrap();
    for step in 1..4 {
        let slope = |w: &Tensor| (w.sin().unwrap() * f64::from(step)).unwrap();
        let all: Weights = weights.iter().map(|(n, w)| (n.clone(), slope(w))).collect();
        let joined = Weights::from([(FLAT.to_owned(), join(&model, &all).unwrap())]);
        let (a, b) = (named.norm(&all).unwrap(), flat.norm(&joined).unwrap());
        assert!((a / b - 1.0).abs() < 1e-6);
        named.step(&all, a, 0.1).unwrap();
        flat.step(&joined, a, 0.1).unwrap();
    }
    let (a, b) = (named.state().unwrap(), flat.state().unwrap());
    for (a, b) in
        [(a.weights, b.weights), (a.mean, b.mean), (a.first, b.first), (a.second, b.second)]
    {
        let all = |w| join(&model, &w).unwrap().to_vec1::<f32>().unwrap();
        assert_eq!(all(a), all(b));
    }
    assert!(Optimiser::flat(decayed, &model, state()).is_err());
}

#[test]
fn the_rate_rises_then_falls_along_a_cosine() {
    let rate = |step| Optimiser::rate(&config(), step, 110);
    assert!((rate(0) - 0.01).abs() < 1e-12);
    assert!((rate(9) - 0.1).abs() < 1e-12);
    assert!((rate(60) - 0.055).abs() < 1e-12);
    assert!((rate(110) - 0.01).abs() < 1e-12);
}

#[test]
fn a_checkpoint_of_other_shapes_is_refused() {
    let w = Tensor::zeros((2, 3), DType::F32, &Device::Cpu).unwrap();
    let mut state = State::fresh(Weights::from([("w".to_string(), w)])).unwrap();
    let other = Tensor::zeros(3, DType::F32, &Device::Cpu).unwrap();
    state.second.insert("w".to_string(), other);
    assert!(Optimiser::new(config(), state).is_err());
}
