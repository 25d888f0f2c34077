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
    fn named(&self, part: impl Fn(&Slot) -> candle_core::Result<Tensor>) -> Result<Weights> {
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
mod tests;
