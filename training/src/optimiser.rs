//! AdamW with saved moments, clipping by global norm, and the exponential mean of the weights.

mod host;

use crate::config::OptimiserConfig;
use candle_core::backprop::GradStore;
use candle_core::{DType, Device, Tensor, Var};
use std::collections::BTreeMap;
use vocoder::config::ModelConfig;
use vocoder::network::{Weights, join, split};
use vocoder::{Error, Result};

/// Keeps Adam's divisor away from zero.
const EPSILON: f64 = 1e-8;

/// The trained weights with all that the optimiser knows of each.
pub struct Optimiser {
    config: OptimiserConfig,
    slots: BTreeMap<String, Slot>,
    /// The network whose weights lie side by side in the only slot, if they do.
    flat: Option<ModelConfig>,
    /// Steps taken.
    step: u64,
}

/// The name of the only slot, where weights lie side by side.
const FLAT: &str = "weights";

struct Slot {
    var: Var,
    first: Tensor,
    second: Tensor,
    mean: Tensor,
}

/// The numbers of one step.
struct Factors {
    /// Of the gradient, which clips its global norm.
    scale: f64,
    beta1: f64,
    beta2: f64,
    /// What the means of the first steps lack.
    correct1: f64,
    correct2: f64,
    /// What decay leaves of a weight.
    kept: f64,
    rate: f64,
    /// Decay of the mean weight.
    mean: f64,
}

impl Slot {
    /// The step in tensors, on any device; [`host::step`] is the same in one pass.
    fn step(&mut self, gradient: &Tensor, factors: &Factors) -> Result<()> {
        let Factors { scale, beta1, beta2, correct1, correct2, kept, rate, mean } = *factors;
        let g = (gradient * scale)?;
        self.first = ((&self.first * beta1)? + (&g * (1.0 - beta1))?)?;
        self.second = ((&self.second * beta2)? + (g.sqr()? * (1.0 - beta2))?)?;
        let divisor = ((&self.second / correct2)?.sqrt()? + EPSILON)?;
        let direction = ((&self.first / correct1)? / divisor)?;
        let moved = ((self.var.as_tensor() * kept)? - (direction * rate)?)?;
        self.var.set(&moved)?;
        self.mean = ((&self.mean * mean)? + (&moved * (1.0 - mean))?)?.detach();
        Ok(())
    }
}

/// Whether one pass over memory does it.
fn on_host(tensor: &Tensor) -> bool {
    tensor.device().is_cpu() && tensor.dtype() == DType::F32
}

/// The optimiser's state as tensors by name, for checkpoints.
#[derive(Debug, Clone, Default)]
pub struct State {
    /// Steps taken.
    pub step: u64,
    /// The weights.
    pub weights: Weights,
    /// Exponential mean of the weights.
    pub mean: Weights,
    /// Mean gradient.
    pub first: Weights,
    /// Mean squared gradient.
    pub second: Weights,
}

impl State {
    /// The state before the first step.
    ///
    /// # Errors
    /// Those of the tensor library.
    pub fn fresh(weights: Weights) -> Result<Self> {
        let zeros = |weights: &Weights| -> Result<Weights> {
            weights.iter().map(|(name, w)| Ok((name.clone(), w.zeros_like()?))).collect()
        };
        let (first, second) = (zeros(&weights)?, zeros(&weights)?);
        Ok(State { step: 0, mean: weights.clone(), weights, first, second })
    }
}

impl Optimiser {
    /// An optimiser that goes on from `state`, on the device of its tensors.
    ///
    /// # Errors
    /// A state whose parts have different names or shapes.
    pub fn new(config: OptimiserConfig, state: State) -> Result<Self> {
        let mut slots = BTreeMap::new();
        for (name, weight) in &state.weights {
            let part = |part: &Weights, what: &str| match part.get(name) {
                Some(tensor) if tensor.dims() == weight.dims() => Ok(tensor.clone()),
                _ => Err(Error::mismatch(
                    format!("checkpoint, {what} of `{name}`"),
                    format!("shape {:?}", weight.dims()),
                    "another, or none",
                )),
            };
            let slot = Slot {
                var: Var::from_tensor(weight)?,
                first: part(&state.first, "mean gradient")?,
                second: part(&state.second, "mean squared gradient")?,
                mean: part(&state.mean, "mean weight")?,
            };
            slots.insert(name.clone(), slot);
        }
        Ok(Optimiser { config, slots, flat: None, step: state.step })
    }

    /// As [`Optimiser::new`], with all weights of the network side by side: one step over one array where
    /// launching many small ones would take longer than computing them.
    ///
    /// # Errors
    /// A state that doesn't fit the network; decay, which takes weights and biases differently.
    pub fn flat(config: OptimiserConfig, model: &ModelConfig, state: State) -> Result<Self> {
        if config.weight_decay != 0.0 {
            let found = config.weight_decay;
            return Err(Error::mismatch("decay of weights side by side", 0.0, found));
        }
        let join = |part: &Weights| -> Result<Weights> {
            Ok(Weights::from([(FLAT.to_owned(), join(model, part)?)]))
        };
        let joined = State {
            step: state.step,
            weights: join(&state.weights)?,
            mean: join(&state.mean)?,
            first: join(&state.first)?,
            second: join(&state.second)?,
        };
        Ok(Optimiser { flat: Some(model.clone()), ..Self::new(config, joined)? })
    }

    /// All weights side by side, if they lie so. They change in place.
    pub fn side_by_side(&self) -> Option<&Tensor> {
        self.flat.as_ref().and_then(|_| self.slots.get(FLAT)).map(|slot| slot.var.as_tensor())
    }

    /// By name, whether they lie side by side or not.
    fn named(
        &self,
        part: impl Fn(&Slot) -> candle_core::Result<Tensor>,
    ) -> Result<Weights> {
        match (&self.flat, self.slots.get(FLAT)) {
            (Some(model), Some(slot)) => split(model, &part(slot)?),
            _ => {
                let all = self.slots.iter();
                all.map(|(name, slot)| Ok((name.clone(), part(slot)?))).collect()
            }
        }
    }

    /// The trained weights. They change in place.
    ///
    /// # Errors
    /// Those of the tensor library.
    pub fn weights(&self) -> Result<Weights> {
        self.named(|slot| Ok(slot.var.as_tensor().clone()))
    }

    /// The exponential mean of the weights: what becomes the voice.
    ///
    /// # Errors
    /// Those of the tensor library.
    pub fn mean_weights(&self) -> Result<Weights> {
        self.named(|slot| Ok(slot.mean.clone()))
    }

    /// Steps taken.
    pub fn step_count(&self) -> u64 {
        self.step
    }

    /// Everything that a checkpoint must hold.
    ///
    /// # Errors
    /// Those of the tensor library.
    pub fn state(&self) -> Result<State> {
        // Side by side they leave the device in one piece.
        let copied = |tensor: &Tensor| match self.flat {
            Some(_) => tensor.to_device(&Device::Cpu)?.copy(),
            None => tensor.copy(),
        };
        Ok(State {
            step: self.step,
            weights: self.named(|slot| copied(slot.var.as_tensor()))?,
            mean: self.named(|slot| copied(&slot.mean))?,
            first: self.named(|slot| copied(&slot.first))?,
            second: self.named(|slot| copied(&slot.second))?,
        })
    }

    /// The gradients of the trained weights by name, added to `sum` where there is one.
    ///
    /// # Errors
    /// A weight without gradient; a device that fails.
    pub fn gradients(&self, store: &GradStore, sum: Option<&Weights>) -> Result<Weights> {
        let mut gradients = Weights::new();
        for (name, slot) in &self.slots {
            let gradient = store
                .get(slot.var.as_tensor())
                .ok_or_else(|| Error::mismatch(format!("gradient of `{name}`"), "one", "none"))?;
            let gradient = match sum.and_then(|sum| sum.get(name)) {
                Some(sum) => (sum + gradient)?,
                None => gradient.clone(),
            };
            gradients.insert(name.clone(), gradient);
        }
        Ok(gradients)
    }

    /// Global norm of the gradients: the root of the sum of all squares.
    ///
    /// # Errors
    /// A device that fails.
    pub fn norm(&self, gradients: &Weights) -> Result<f64> {
        if gradients.values().all(on_host) {
            return host::norm(gradients);
        }
        let squares: Vec<Tensor> =
            gradients.values().map(|g| Ok(g.sqr()?.sum_all()?)).collect::<Result<_>>()?;
        // The only wait for the device in a step, besides reading the loss.
        let squares = Tensor::stack(&squares, 0)?.to_vec1::<f32>()?;
        Ok(squares.iter().map(|s| f64::from(*s)).sum::<f64>().sqrt())
    }

    /// One step of AdamW at `rate`, of all weights' gradients, whose global norm is `norm` and is
    /// clipped.
    ///
    /// # Errors
    /// A weight without gradient; a device that fails.
    pub fn step(&mut self, gradients: &Weights, norm: f64, rate: f64) -> Result<()> {
        self.step += 1;
        let OptimiserConfig { beta1, beta2, weight_decay, clip, ema, .. } = self.config;
        let steps = self.step.min(i32::MAX as u64) as i32;
        for (name, slot) in &mut self.slots {
            let Some(gradient) = gradients.get(name) else {
                return Err(Error::mismatch(format!("gradient of `{name}`"), "one", "none"));
            };
            // Biases are not decayed.
            let decay = if slot.var.dims().len() > 1 { rate * weight_decay } else { 0.0 };
            let factors = Factors {
                scale: (clip / norm.max(EPSILON)).min(1.0),
                beta1,
                beta2,
                correct1: 1.0 - beta1.powi(steps),
                correct2: 1.0 - beta2.powi(steps),
                kept: 1.0 - decay,
                rate,
                mean: ema.min((1.0 + self.step as f64) / (10.0 + self.step as f64)),
            };
            if on_host(gradient) {
                host::step(slot, gradient, &factors)?;
            } else {
                slot.step(gradient, &factors)?;
            }
        }
        Ok(())
    }

    /// The learning rate of `step` (from 0) of `steps`: a linear rise, then a half cosine down.
    pub fn rate(config: &OptimiserConfig, step: u64, steps: u64) -> f64 {
        if step < config.warm_up {
            return config.learning_rate * (step + 1) as f64 / config.warm_up as f64;
        }
        let past = (step - config.warm_up) as f64 / (steps - config.warm_up).max(1) as f64;
        let fall = 0.5 - 0.5 * (std::f64::consts::PI * past.min(1.0)).cos();
        config.learning_rate * (1.0 - (1.0 - config.final_rate) * fall)
    }
}

#[cfg(test)]
mod tests {
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
}
