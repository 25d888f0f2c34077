//! What training minimises: the distance of predicted and true noise (WaveGrad, Algorithm 1), or of the
//! velocities of networks that predict these (Salimans & Ho 2022, section 4), weighted by the level, and
//! optionally the STFT distance of the clean signals that they imply.

use crate::batch::Batch;
use crate::config::{Loss, TrainConfig, Weighting};
use crate::stft::{RESOLUTIONS, StftDistance};
use candle_core::{Device, Tensor};
use vocoder::Result;
use vocoder::config::Prediction;
use vocoder::network::Network;
use vocoder::schedule::sigma;

/// The loss of one config, ready for one device.
pub struct Objective {
    config: TrainConfig,
    stft: Option<StftDistance>,
}

impl Objective {
    /// Prepares for networks on `device`.
    ///
    /// # Errors
    /// A device that fails.
    pub fn new(config: &TrainConfig, device: &Device) -> Result<Self> {
        let stft = (config.stft > 0.0)
            .then(|| StftDistance::new(&RESOLUTIONS, candle_core::DType::F32, device));
        Ok(Objective { config: config.clone(), stft: stft.transpose()? })
    }

    /// The loss over a batch, a scalar.
    ///
    /// The noise is unit normal in the whitened signal: with the energy-shaped prior this is
    /// PriorGrad's loss weighted by the inverse variance (Lee et al. 2022, eq. 5), with the spectral
    /// prior SpecGrad's (Koizumi et al. 2022, eq. 7); see [`vocoder::prior`].
    ///
    /// # Errors
    /// Shapes that don't fit the network; a device that fails.
    pub fn loss(&self, network: &Network, batch: &Batch) -> Result<Tensor> {
        let difference = difference(network, &self.config, batch)?;
        let distance = match self.config.model.prediction {
            Prediction::Noise => distance(self.config.loss, &difference)?,
            // e' - e = l (v' - v).
            Prediction::Velocity => {
                let slopes: Vec<f32> = batch.levels.iter().map(|l| (1.0 / l) as f32).collect();
                let slopes = Tensor::from_vec(slopes, (batch.levels.len(), 1), network.device())?;
                distance(self.config.loss, &difference.broadcast_mul(&slopes)?)?
            }
        };
        let mut loss = match self.config.weighting {
            Weighting::Uniform => distance.mean_all()?,
            weighting => {
                let weights: Vec<f32> =
                    batch.levels.iter().map(|l| self.weight(weighting, *l) as f32).collect();
                let weights = Tensor::from_slice(&weights, weights.len(), network.device())?;
                (distance.mean(1)? * weights)?.mean_all()?
            }
        };
        if let Some(stft) = &self.stft {
            let (true_clean, predicted_clean) = clean_signals(network, batch, &difference)?;
            let term = stft.distance(&true_clean, &predicted_clean)?;
            loss = (loss + (term * self.config.stft)?)?;
        }
        Ok(loss)
    }

    /// How much a crop at `level` counts.
    fn weight(&self, weighting: Weighting, level: f64) -> f64 {
        let weight = weight(weighting, level)
            * match self.config.model.prediction {
                Prediction::Noise => 1.0,
                // The square of the velocity's difference is the noise's over l^2 (Hang et al. 2023,
                // section 3.4: min(SNR, gamma) / (SNR + 1)).
                Prediction::Velocity => level * level,
            };
        match (self.config.loss, weighting) {
            // Distances of clean signals, whose unit is not the noise's: their root is the amplitude's.
            (Loss::L1, Weighting::TruncatedSnr | Weighting::Clean) => weight.sqrt(),
            _ => weight,
        }
    }

    /// The plain mean distance of predicted and true noise, which compares across weightings: what
    /// validation reports.
    ///
    /// # Errors
    /// As [`Objective::loss`].
    pub fn noise_distance(&self, network: &Network, batch: &Batch) -> Result<f64> {
        let difference = difference(network, &self.config, batch)?;
        let mean = distance(self.config.loss, &difference)?.mean_all()?;
        Ok(f64::from(mean.to_scalar::<f32>()?))
    }
}

/// Predicted less true noise, `[batch, crop_frames * hop]`.
///
/// # Errors
/// As [`Objective::loss`].
pub fn difference(network: &Network, config: &TrainConfig, batch: &Batch) -> Result<Tensor> {
    let count = batch.levels.len();
    let device = network.device();
    let samples = config.crop_frames * config.mel.hop;
    let tensor = |values: &[f32], shape: (usize, usize)| Tensor::from_slice(values, shape, device);
    let noisy = tensor(&batch.noisy, (count, samples))?;
    let noise = tensor(&batch.noise, (count, samples))?;
    let mel_shape = (count, config.crop_frames, config.mel.n_mels);
    let mel = Tensor::from_slice(&batch.mel, mel_shape, device)?;
    Ok((network.forward(&noisy, &mel, &batch.levels)? - noise)?)
}

/// The distance of each sample.
fn distance(loss: Loss, difference: &Tensor) -> Result<Tensor> {
    Ok(match loss {
        Loss::L1 => difference.abs()?,
        Loss::Mse => difference.sqr()?,
    })
}

/// How much the squared difference of noises at `level` counts.
fn weight(weighting: Weighting, level: f64) -> f64 {
    let snr = level * level / (1.0 - level * level);
    match weighting {
        Weighting::Uniform => 1.0,
        Weighting::MinSnr { gamma } => snr.min(gamma) / snr,
        Weighting::TruncatedSnr => snr.max(1.0) / snr,
        Weighting::Clean => 1.0 / snr,
    }
}

/// The true and the predicted clean signals, both times their level: l u = noisy - sigma e. Unlike u
/// itself, the prediction of l u is no division by a small level, and the STFT distance ignores scale.
/// The signals are whitened by the prior, as everything that the network sees.
fn clean_signals(
    network: &Network,
    batch: &Batch,
    difference: &Tensor,
) -> Result<(Tensor, Tensor)> {
    let samples = difference.dim(1)?;
    let mut clean = Vec::with_capacity(batch.noisy.len());
    let sigmas: Vec<f32> = batch.levels.iter().map(|l| sigma(*l) as f32).collect();
    let crops = batch.noisy.chunks(samples).zip(batch.noise.chunks(samples));
    for ((noisy, noise), sigma) in crops.zip(&sigmas) {
        clean.extend(noisy.iter().zip(noise).map(|(y, e)| y - sigma * e));
    }
    let clean = Tensor::from_vec(clean, difference.shape(), network.device())?;
    let sigmas = Tensor::from_slice(&sigmas, (sigmas.len(), 1), network.device())?;
    let predicted = (&clean - difference.broadcast_mul(&sigmas)?)?;
    Ok((clean, predicted))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use vocoder::network::initial_weights;

    /// A network that predicts 0: the difference is minus the noise.
    fn silent(config: &TrainConfig) -> Network {
        let mut weights = initial_weights(&config.model, 1).unwrap();
        for name in ["last.weight", "last.bias"] {
            weights.insert(name.into(), weights[name].zeros_like().unwrap());
        }
        Network::new(&config.model, &weights).unwrap()
    }

    /// Two crops at l^2 of 0.9 (SNR 9) and 0.5 (SNR 1), with noise of 1 and of -3 everywhere.
    fn case(change: impl Fn(&mut TrainConfig)) -> f64 {
        let mut config = TrainConfig::preset("overfit-one").unwrap();
        change(&mut config);
        let samples = config.crop_frames * config.mel.hop;
        let batch = Batch {
            noisy: (0..2 * samples).map(|i| (i as f32 * 0.3).sin()).collect(),
            noise: [vec![1.0; samples], vec![-3.0; samples]].concat(),
            mel: vec![0.0; 2 * config.crop_frames * config.mel.n_mels],
            levels: vec![0.9f64.sqrt(), 0.5f64.sqrt()],
        };
        let objective = Objective::new(&config, &Device::Cpu).unwrap();
        let loss = objective.loss(&silent(&config), &batch).unwrap();
        f64::from(loss.to_scalar::<f32>().unwrap())
    }

    #[test]
    fn losses_and_weights_by_hand() {
        let min_snr = |c: &mut TrainConfig| c.weighting = Weighting::MinSnr { gamma: 5.0 };
        // (1 + 3) / 2 and (1 + 9) / 2.
        assert!((case(|_| {}) - 2.0).abs() < 1e-6);
        assert!((case(|c| c.loss = Loss::Mse) - 5.0).abs() < 1e-6);
        // The first counts 5 / 9, the second 1: (5/9 + 3) / 2 and (5/9 + 9) / 2.
        assert!((case(min_snr) - 16.0 / 9.0).abs() < 1e-5);
        let both = case(|c| {
            min_snr(c);
            c.loss = Loss::Mse;
        });
        assert!((both - 43.0 / 9.0).abs() < 1e-5);
    }

    #[test]
    fn distances_of_clean_signals_by_hand() {
        let of = |weighting, loss| case(|c| (c.weighting, c.loss) = (weighting, loss));
        // SNR 9 and 1: squares count 1/9 and 1, or 1 and 1 where truncated; amplitudes 1/3 and 1.
        assert!((of(Weighting::Clean, Loss::Mse) - (1.0 / 9.0 + 9.0) / 2.0).abs() < 1e-5);
        assert!((of(Weighting::Clean, Loss::L1) - (1.0 / 3.0 + 3.0) / 2.0).abs() < 1e-5);
        assert!((of(Weighting::TruncatedSnr, Loss::Mse) - 5.0).abs() < 1e-5);
        // Below an SNR of 1: l^2 = 0.2, SNR 1/4.
        assert!((weight(Weighting::TruncatedSnr, 0.2f64.sqrt()) - 4.0).abs() < 1e-9);
    }

    #[test]
    fn distances_of_velocities_by_hand() {
        // The network says v' = 0, so e' = sigma x and the distance is |v| = |e - sigma x| / l.
        let samples = 7200;
        let x = |i: usize| (i as f64 * 0.3).sin();
        let mean = |crop: usize, level: f64, noise: f64, power: i32| -> f64 {
            let sigma = (1.0 - level * level).sqrt();
            let v = |i| ((noise - sigma * x(crop * samples + i)) / level).abs().powi(power);
            (0..samples).map(v).sum::<f64>() / samples as f64
        };
        let (first, second) = (0.9f64.sqrt(), 0.5f64.sqrt());
        for (loss, power) in [(Loss::L1, 1), (Loss::Mse, 2)] {
            let parts = [mean(0, first, 1.0, power), mean(1, second, -3.0, power)];
            let velocity = |c: &mut TrainConfig| {
                c.model.prediction = Prediction::Velocity;
                c.loss = loss;
            };
            let found = case(velocity);
            assert!((found - (parts[0] + parts[1]) / 2.0).abs() < 1e-4, "{found} {parts:?}");
            // SNR 9 and 1: min(SNR, 5) / (SNR + 1) is 1/2 both times.
            let found = case(|c| {
                velocity(c);
                c.weighting = Weighting::MinSnr { gamma: 5.0 };
            });
            assert!((found - (parts[0] + parts[1]) / 4.0).abs() < 1e-4, "{found} {parts:?}");
        }
    }

    #[test]
    fn the_stft_term_compares_the_clean_signals() {
        // The predicted clean signal times its level is the noisy one, for no noise is predicted: the
        // term is the distance of noisy and clean.
        let config = TrainConfig::preset("overfit-one").unwrap();
        let samples = config.crop_frames * config.mel.hop;
        let noisy: Vec<f32> = (0..2 * samples).map(|i| (i as f32 * 0.3).sin()).collect();
        let clean: Vec<f32> = noisy
            .iter()
            .enumerate()
            .map(|(i, y)| if i < samples { y - 0.1f32.sqrt() } else { y + 3.0 * 0.5f32.sqrt() })
            .collect();
        let tensor = |v: Vec<f32>| Tensor::from_vec(v, (2, samples), &Device::Cpu).unwrap();
        let stft = StftDistance::new(&RESOLUTIONS, candle_core::DType::F32, &Device::Cpu).unwrap();
        let term = stft.distance(&tensor(clean), &tensor(noisy)).unwrap();
        let expected = 2.0 + 0.25 * f64::from(term.to_scalar::<f32>().unwrap());
        let found = case(|c| c.stft = 0.25);
        assert!(expected > 2.01 && (found - expected).abs() < 1e-3, "{found}, {expected}");
    }
}
