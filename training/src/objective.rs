//! What training minimises: the distance of predicted and true noise (WaveGrad, Algorithm 1).

use crate::batch::Batch;
use crate::config::{Loss, TrainConfig};
use candle_core::Tensor;
use vocoder::Result;
use vocoder::network::Network;

/// The mean distance over a batch, a scalar.
///
/// The noise is unit normal in the whitened signal: with the energy-shaped prior this is PriorGrad's
/// loss weighted by the inverse variance (Lee et al. 2022, eq. 5), with the spectral prior SpecGrad's
/// (Koizumi et al. 2022, eq. 7); see [`vocoder::prior`].
///
/// # Errors
/// Shapes that don't fit the network; a device that fails.
pub fn loss(network: &Network, config: &TrainConfig, batch: &Batch) -> Result<Tensor> {
    let difference = difference(network, config, batch)?;
    Ok(match config.loss {
        Loss::L1 => difference.abs()?.mean_all()?,
        Loss::Mse => difference.sqr()?.mean_all()?,
    })
}

/// Predicted less true noise, `[batch, crop_frames * hop]`.
///
/// # Errors
/// As [`loss`].
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
