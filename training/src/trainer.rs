//! One step of training: gradients of one or more batches, a guard against values that are not finite,
//! an optimiser step.

use crate::batch::Batch;
use crate::checkpoint::Progress;
use crate::config::{Precision, TrainConfig};
use crate::distill::Distiller;
use crate::objective::Objective;
use crate::optimiser::{Optimiser, State};
use crate::ranks::Ranks;
use candle_core::{Device, Tensor};
use std::sync::Arc;
use vocoder::network::{Network, Weights};
use vocoder::{Error, Result};

/// Steps in a row without a finite gradient that end a run.
pub const MAX_SKIPPED_IN_A_ROW: u64 = 20;

/// A network that is being trained.
pub struct Trainer {
    config: TrainConfig,
    objective: Objective,
    optimiser: Optimiser,
    network: Network,
    distiller: Option<Arc<Distiller>>,
    /// How far it is.
    pub progress: Progress,
}

/// What became of a step.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Outcome {
    /// The weights moved.
    Taken {
        /// Mean loss of the batches.
        loss: f64,
        /// Global norm of the gradient, before clipping.
        gradient_norm: f64,
        /// Learning rate.
        rate: f64,
    },
    /// Loss or gradient was not finite: nothing moved.
    Skipped,
}

impl Trainer {
    /// Goes on from `state`, on the device of its tensors.
    ///
    /// # Errors
    /// A state that doesn't fit the config's network.
    pub fn new(config: &TrainConfig, state: State, progress: Progress) -> Result<Self> {
        let products = config.precision.products();
        let device = state.weights.values().next().map_or(&Device::Cpu, Tensor::device);
        let flat = Network::steps_flat(&config.model, device, products)
            && config.optimiser.weight_decay == 0.0;
        let optimiser = match flat {
            true => Optimiser::flat(config.optimiser, &config.model, state)?,
            false => Optimiser::new(config.optimiser, state)?,
        };
        let network = match optimiser.side_by_side() {
            Some(flat) => Network::over_flat(&config.model, flat, products)?,
            None => Network::with_products(&config.model, &optimiser.weights()?, products)?,
        };
        if config.precision == Precision::Tf32 {
            // A switch of the whole program; without CUDA it does nothing.
            candle_core::cuda::set_gemm_reduced_precision_f32(true);
        }
        let objective = Objective::new(config, network.device())?;
        let (config, distiller) = (config.clone(), None);
        Ok(Trainer { config, objective, optimiser, network, distiller, progress })
    }

    /// Learns from a teacher, if there is one, from now on.
    #[must_use]
    pub fn taught_by(mut self, distiller: Option<Arc<Distiller>>) -> Self {
        self.distiller = distiller;
        self
    }

    /// One step on the mean gradient of `batches`.
    ///
    /// # Errors
    /// Batches that don't fit the network; a device that fails; more than
    /// [`MAX_SKIPPED_IN_A_ROW`] steps in a row without a finite gradient.
    pub fn step(&mut self, batches: &[Batch]) -> Result<Outcome> {
        self.step_among(&Ranks::alone(), batches)
    }

    /// As [`Trainer::step`], on the mean gradient of the batches of all processes of `ranks`, of which
    /// `batches` are this one's. Each has as many.
    ///
    /// # Errors
    /// As [`Trainer::step`].
    pub fn step_among(&mut self, ranks: &Ranks, batches: &[Batch]) -> Result<Outcome> {
        let parts = batches.len() * ranks.size();
        let (mut gradients, mut total): (Option<Weights>, Option<Tensor>) = (None, None);
        for batch in batches {
            let taught = match &self.distiller {
                Some(distiller) => Some(distiller.target(batch, || self.mean_network())?),
                None => None,
            };
            let batch = taught.as_ref().unwrap_or(batch);
            let mut loss = self.objective.loss(&self.network, batch)?;
            if parts > 1 {
                loss = (loss / parts as f64)?;
            }
            gradients = Some(self.optimiser.gradients(&loss.backward()?, gradients.as_ref())?);
            let loss = loss.detach();
            total = Some(match total {
                Some(total) => (total + loss)?,
                None => loss,
            });
        }
        let (Some(mut gradients), Some(mut total)) = (gradients, total) else {
            return Err(Error::mismatch("training step", "at least one batch", "none"));
        };
        ranks.sum(&mut gradients, &mut total)?;
        // The only two waits for the device in a step.
        let gradient_norm = self.optimiser.norm(&gradients)?;
        let loss = f64::from(total.to_scalar::<f32>()?);
        let rate = Optimiser::rate(&self.config.optimiser, self.progress.step, self.config.steps);
        self.progress.step += 1;
        if !(gradient_norm.is_finite() && loss.is_finite()) {
            return self.skip();
        }
        self.progress.skipped_in_a_row = 0;
        self.optimiser.step(&gradients, gradient_norm, rate)?;
        Ok(Outcome::Taken { loss, gradient_norm, rate })
    }

    fn skip(&mut self) -> Result<Outcome> {
        self.progress.skipped += 1;
        self.progress.skipped_in_a_row += 1;
        if self.progress.skipped_in_a_row > MAX_SKIPPED_IN_A_ROW {
            return Err(Error::mismatch(
                format!("training, step {}", self.progress.step),
                "a finite loss and gradient",
                format!(
                    "{} steps in a row without; the last checkpoint is intact",
                    self.progress.skipped_in_a_row
                ),
            ));
        }
        Ok(Outcome::Skipped)
    }

    /// What it learns from, if not from the true noise.
    pub fn distiller(&self) -> Option<&Distiller> {
        self.distiller.as_deref()
    }

    fn mean_network(&self) -> Result<Network> {
        let products = self.config.precision.products();
        Network::with_products(&self.config.model, &self.mean_weights()?, products)
    }

    /// The exponential mean of the weights: what becomes the voice.
    ///
    /// # Errors
    /// Those of the tensor library.
    pub fn mean_weights(&self) -> Result<Weights> {
        self.optimiser.mean_weights()
    }

    /// Everything that a checkpoint must hold besides [`Trainer::progress`].
    ///
    /// # Errors
    /// Those of the tensor library.
    pub fn state(&self) -> Result<State> {
        self.optimiser.state()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::batch::BatchMaker;
    use crate::corpus::Clip;
    use std::sync::Arc;
    use vocoder::network::initial_weights;

    fn config() -> TrainConfig {
        let mut config = TrainConfig::preset("overfit-one").unwrap();
        config.model.first = 16;
        config.model.down = vec![8, 8, 8, 8];
        config.model.up = vec![8, 8, 8, 8, 8];
        config.batch = 2;
        config.crop_frames = 4;
        config
    }

    fn trainer(config: &TrainConfig) -> Trainer {
        let weights = initial_weights(&config.model, 3).unwrap();
        Trainer::new(config, State::fresh(weights).unwrap(), Progress::default()).unwrap()
    }

    fn batches(config: &TrainConfig, count: u64) -> Vec<Batch> {
        let samples = (0..9000).map(|i| (9000.0 * (i as f32 * 0.07).sin()) as i16).collect();
        let clips = Arc::new(vec![Clip { id: "a".into(), samples }]);
        let mut maker = BatchMaker::new(config, clips).unwrap();
        (0..count).map(|step| maker.make(step).unwrap()).collect()
    }

    fn values(weights: &Weights) -> Vec<f32> {
        weights.values().flat_map(|w| w.flatten_all().unwrap().to_vec1::<f32>().unwrap()).collect()
    }

    #[test]
    fn a_poisoned_batch_is_skipped_and_counted() {
        let config = config();
        let batches = batches(&config, 3);
        let mut poisoned = batches[1].clone();
        poisoned.noisy[5] = f32::NAN;
        let (mut clean, mut hurt) = (trainer(&config), trainer(&config));
        clean.step(&batches[..1]).unwrap();
        hurt.step(&batches[..1]).unwrap();
        let before = hurt.state().unwrap();
        assert_eq!(hurt.step(&[poisoned.clone()]).unwrap(), Outcome::Skipped);
        let after = hurt.state().unwrap();
        for (a, b) in [
            (&before.weights, &after.weights),
            (&before.mean, &after.mean),
            (&before.first, &after.first),
            (&before.second, &after.second),
        ] {
            assert_eq!(values(a), values(b));
        }
        assert_eq!((hurt.progress.step, hurt.progress.skipped, after.step), (2, 1, 1));
        assert!(matches!(hurt.step(&batches[2..]).unwrap(), Outcome::Taken { .. }));
        assert_eq!(hurt.progress.skipped_in_a_row, 0);

        for _ in 0..MAX_SKIPPED_IN_A_ROW {
            assert_eq!(hurt.step(&[poisoned.clone()]).unwrap(), Outcome::Skipped);
        }
        let message = hurt.step(&[poisoned]).unwrap_err().to_string();
        assert!(message.contains("21 steps in a row") && message.contains("intact"), "{message}");
    }

    #[test]
    fn accumulated_batches_step_as_one_large_batch() {
        let config = config();
        let parts = batches(&config, 2);
        let whole = Batch {
            noisy: [&parts[0].noisy[..], &parts[1].noisy].concat(),
            noise: [&parts[0].noise[..], &parts[1].noise].concat(),
            mel: [&parts[0].mel[..], &parts[1].mel].concat(),
            levels: [&parts[0].levels[..], &parts[1].levels].concat(),
        };
        let (mut one, mut two) = (trainer(&config), trainer(&config));
        let Outcome::Taken { loss, gradient_norm, .. } = one.step(&[whole]).unwrap() else {
            unreachable!()
        };
        let Outcome::Taken { loss: l, gradient_norm: n, .. } = two.step(&parts).unwrap() else {
            unreachable!()
        };
        assert!((loss - l).abs() < 1e-6 && (gradient_norm / n - 1.0).abs() < 1e-5);
        let (a, b) = (one.state().unwrap(), two.state().unwrap());
        let scale = values(&a.first).iter().fold(0f32, |m, v| m.max(v.abs()));
        for (x, y) in values(&a.first).iter().zip(values(&b.first)) {
            assert!((x - y).abs() < 1e-4 * scale, "{x} {y}");
        }
    }
}
