//! The WaveGrad network (Chen et al. 2021, arXiv 2009.00713, section 3 and figure 3): predicts the
//! noise in a waveform from the waveform, its mel and the noise level.
//!
//! Signals are `[batch, rows, channels]`. The waveform goes down to the mel's rate through [`Down`]
//! blocks, the mel goes up to the waveform's rate through [`Up`] blocks, and a [`Film`] module joins
//! the two at each rate. This definition serves training, rendering and streaming alike; on CPUs two
//! faster forms of it do the work, `tape.rs` for training and [`crate::engine`] for rendering. Names and
//! shapes of the weights are [`ModelConfig::parameters`].

mod blocks;
mod ends;
mod flat;
#[cfg(any(feature = "cuda", all(test, feature = "cuda-emulated")))]
mod gpu;
mod grow;
mod init;
mod level;
mod reach;
mod tape;

pub use blocks::{Down, Film, Up};
pub use ends::Ends;
pub use flat::{join, split};
pub use grow::grown;
pub use init::initial_weights;
pub(crate) use level::MAX_HALF_LOG_SNR;
pub use level::encode_level;
pub use reach::{Reach, reach};

use crate::config::{ModelConfig, Padding, Prediction, Resampling};
use crate::ops::{self, Products, Taps};
use crate::schedule::sigma;
use crate::{Error, Result};
use candle_core::{DType, Device, Tensor};
use std::collections::BTreeMap;
use std::sync::Arc;
use tape::Taped;

/// Weights by name.
pub type Weights = BTreeMap<String, Tensor>;

/// A network: a config and its weights.
#[derive(Debug, Clone)]
pub struct Network {
    config: ModelConfig,
    device: Device,
    dtype: DType,
    mel: Conv,
    stem: Conv,
    down: Vec<Down>,
    film: Vec<Film>,
    up: Vec<Up>,
    last: Conv,
    /// All weights in the order of [`ModelConfig::parameters`], and how to train them on CPUs.
    weights: Vec<Tensor>,
    taped: Arc<Taped>,
    /// All weights side by side, where the network was built over these.
    flat: Option<Tensor>,
    /// How to train them on NVIDIA GPUs in half precision, if their shapes allow it.
    #[cfg(feature = "cuda")]
    halved: Option<Arc<gpu::Halved>>,
    products: Products,
}

impl Network {
    /// Builds the network over `weights`, whose tensors it shares: when a trainer changes them in
    /// place, the network changes too.
    ///
    /// # Errors
    /// A parameter that is missing, has another shape, or that the config doesn't have.
    pub fn new(config: &ModelConfig, weights: &Weights) -> Result<Self> {
        Self::with_products(config, weights, Products::F32)
    }

    /// As [`Network::new`], with products of fewer bits in its convolutions, for training.
    ///
    /// # Errors
    /// As [`Network::new`].
    pub fn with_products(
        config: &ModelConfig,
        weights: &Weights,
        products: Products,
    ) -> Result<Self> {
        let parameters = config.parameters();
        for parameter in &parameters {
            let Some(tensor) = weights.get(&parameter.name) else {
                return Err(Error::mismatch(
                    "weights",
                    format!("`{}`", parameter.name),
                    "no such tensor",
                ));
            };
            if tensor.dims() != parameter.shape {
                return Err(Error::mismatch(
                    format!("weight `{}`", parameter.name),
                    format!("shape {:?}", parameter.shape),
                    format!("{:?}", tensor.dims()),
                ));
            }
        }
        if let Some(name) = weights.keys().find(|name| parameters.iter().all(|p| p.name != **name))
        {
            return Err(Error::mismatch("weights", "only the config's", format!("`{name}`")));
        }
        let build =
            Build { weights, padding: config.padding, resampling: config.resampling, products };
        let down = config.down_factors();
        let first = &weights["mel.weight"];
        Ok(Network {
            flat: None,
            #[cfg(feature = "cuda")]
            halved: Self::steps_flat(config, first.device(), products)
                .then(|| Arc::new(gpu::Halved::new(config))),
            device: first.device().clone(),
            dtype: first.dtype(),
            mel: build.conv("mel", 1),
            stem: build.conv("stem", 1),
            down: (0..config.down.len())
                .map(|i| Down::new(&build, &format!("down.{i}"), down[i], config.down_dilations))
                .collect(),
            film: (0..config.up.len()).map(|i| Film::new(&build, &format!("film.{i}"))).collect(),
            up: (0..config.up.len())
                .map(|i| {
                    Up::new(&build, &format!("up.{i}"), config.factors[i], config.up_dilations[i])
                })
                .collect(),
            last: build.conv("last", 1),
            weights: parameters.iter().map(|p| weights[&p.name].clone()).collect(),
            taped: Arc::new(Taped::new(config)),
            products,
            config: config.clone(),
        })
    }

    /// As [`Network::with_products`], over all weights side by side in the order of
    /// [`ModelConfig::parameters`]. Where [`Network::steps_flat`], the gradient of `flat` comes in one piece;
    /// elsewhere there is none.
    ///
    /// # Errors
    /// Another number of weights.
    pub fn over_flat(config: &ModelConfig, flat: &Tensor, products: Products) -> Result<Self> {
        let mut network = Self::with_products(config, &split(config, &flat.detach())?, products)?;
        network.flat = Some(flat.clone());
        Ok(network)
    }

    /// Whether forward and backward on `device` are one operation over all weights side by side, so that a
    /// trainer does best to keep them so.
    pub fn steps_flat(config: &ModelConfig, device: &Device, products: Products) -> bool {
        #[cfg(feature = "cuda")]
        return products == Products::F16 && device.is_cuda() && gpu::fits(config);
        #[cfg(not(feature = "cuda"))]
        {
            let _ = (config, device, products);
            false
        }
    }

    /// The config that the network was built from.
    pub fn config(&self) -> &ModelConfig {
        &self.config
    }

    /// Where the weights lie.
    pub fn device(&self) -> &Device {
        &self.device
    }

    /// The precision of the weights.
    pub fn dtype(&self) -> DType {
        self.dtype
    }

    /// The downsampling blocks, from the waveform's rate to the mel's.
    pub fn down(&self) -> &[Down] {
        &self.down
    }

    /// The FiLM modules, from the waveform's rate to the mel's.
    pub fn film(&self) -> &[Film] {
        &self.film
    }

    /// The upsampling blocks, from the mel's rate to the waveform's.
    pub fn up(&self) -> &[Up] {
        &self.up
    }

    /// Predicts the unit noise in `signal`, whatever [`Prediction`] its last convolution makes.
    ///
    /// `signal` `[batch, frames * hop]` is the noisy waveform over the prior's deviation, `mel`
    /// `[batch, frames, n_mels]` the log-mel as the config of the voice defines it, `levels` the
    /// noise level of each clip, in (0, 1]. Returns `[batch, frames * hop]`.
    ///
    /// # Errors
    /// Shapes that don't fit each other.
    pub fn forward(&self, signal: &Tensor, mel: &Tensor, levels: &[f64]) -> Result<Tensor> {
        self.forward_clips(signal, mel, levels, &Ends::default())
    }

    /// As [`Network::forward`], for clips that end where `ends` says; what is predicted after that means
    /// nothing. Their last frame of mel must be held up to the longest clip's end.
    ///
    /// # Errors
    /// As [`Network::forward`].
    pub fn forward_clips(
        &self,
        signal: &Tensor,
        mel: &Tensor,
        levels: &[f64],
        ends: &Ends,
    ) -> Result<Tensor> {
        let (batch, samples) = signal.dims2()?;
        let (mel_batch, frames, bands) = mel.dims3()?;
        let hop = self.config.hop();
        if (mel_batch, frames * hop, bands) != (batch, samples, self.config.n_mels)
            || levels.len() != batch
        {
            return Err(Error::mismatch(
                "network input",
                format!(
                    "a signal [batch, frames * {hop}], a mel [batch, frames, {}] and a level a clip",
                    self.config.n_mels
                ),
                format!("{:?}, {:?} and {} levels", signal.dims(), mel.dims(), levels.len()),
            ));
        }
        let mel = self.prepare_mel(mel)?;
        let predicted = if ends.are_none() && self.is_taped(signal, &mel) {
            self.taped.forward(signal, &mel, &self.side_by_side()?, levels)?
        } else if let Some(predicted) = self.halved(signal, &mel, levels, ends)? {
            predicted
        } else {
            self.evaluate(signal, &mel, levels, ends)?
        };
        match self.config.prediction {
            Prediction::Noise => Ok(predicted),
            Prediction::Velocity => self.noise_of_velocity(&predicted, signal, levels),
        }
    }

    /// Whether gradients may be asked for where the tape computes them.
    fn is_taped(&self, signal: &Tensor, mel: &Tensor) -> bool {
        self.device.is_cpu()
            && self.dtype == DType::F32
            && self.config.resampling == Resampling::Nearest
            && matches!(self.products, Products::F32 | Products::F16)
            && signal.elem_count() > 0
            && (signal.track_op() || mel.track_op() || self.is_trained())
    }

    /// Whether gradients of the weights may be asked for.
    fn is_trained(&self) -> bool {
        self.weights.iter().chain(&self.flat).any(Tensor::track_op)
    }

    /// All weights side by side, in the order of [`ModelConfig::parameters`].
    fn side_by_side(&self) -> Result<Tensor> {
        if let Some(flat) = &self.flat {
            return Ok(flat.clone());
        }
        let flat = self.weights.iter().map(Tensor::flatten_all);
        Ok(Tensor::cat(&flat.collect::<candle_core::Result<Vec<_>>>()?, 0)?)
    }

    /// On a GPU and in half precision, where that was asked for.
    #[cfg(feature = "cuda")]
    fn halved(
        &self,
        signal: &Tensor,
        mel: &Tensor,
        levels: &[f64],
        ends: &Ends,
    ) -> Result<Option<Tensor>> {
        let Some(halved) = &self.halved else { return Ok(None) };
        if !ends.are_none() || signal.elem_count() == 0 || signal.track_op() || mel.track_op() {
            return Ok(None);
        }
        Ok(Some(halved.forward(signal, mel, &self.side_by_side()?, levels)?))
    }

    #[cfg(not(feature = "cuda"))]
    fn halved(&self, _: &Tensor, _: &Tensor, _: &[f64], _: &Ends) -> Result<Option<Tensor>> {
        Ok(None)
    }

    /// The definition, up to what the last convolution predicts.
    fn evaluate(
        &self,
        signal: &Tensor,
        mel: &Tensor,
        levels: &[f64],
        ends: &Ends,
    ) -> Result<Tensor> {
        let batch = levels.len();
        let mut wave = self.stem.forward(&signal.unsqueeze(2)?, ends)?;
        let mut films = Vec::with_capacity(self.film.len());
        for (i, film) in self.film.iter().enumerate() {
            let encoded = encode_level(&self.config.level, levels, wave.dim(2)?);
            let encoded = Tensor::from_vec(encoded, (batch, 1, wave.dim(2)?), &self.device)?;
            films.push(film.forward(&wave, &encoded.to_dtype(self.dtype)?, ends)?);
            if let Some(down) = self.down.get(i) {
                wave = down.forward(&wave, ends)?;
            }
        }
        let mut x = self.mel.forward(mel, ends)?;
        for up in &self.up {
            // One FiLM a block, from the mel's rate to the waveform's.
            let Some(film) = films.pop() else { break };
            x = up.forward(&x, &film, ends)?;
        }
        Ok(self.last.forward(&x, ends)?.squeeze(2)?)
    }

    /// e = sigma x + l v (Salimans & Ho 2022, appendix D).
    fn noise_of_velocity(&self, v: &Tensor, signal: &Tensor, levels: &[f64]) -> Result<Tensor> {
        let column = |values: Vec<f64>| {
            let column = Tensor::from_vec(values, (levels.len(), 1), &Device::Cpu)?;
            column.to_dtype(self.dtype)?.to_device(&self.device)
        };
        let sigmas = column(levels.iter().map(|l| sigma(*l)).collect())?;
        let levels = column(levels.to_vec())?;
        Ok((signal.broadcast_mul(&sigmas)? + v.broadcast_mul(&levels)?)?)
    }

    /// The mel on the scale that the network sees, ahead by the look-ahead of causal networks (past
    /// the end the last frame is held).
    fn prepare_mel(&self, mel: &Tensor) -> Result<Tensor> {
        let (shift, scale) = (f64::from(self.config.mel_shift), f64::from(self.config.mel_scale));
        let mel = mel.affine(scale, shift * scale)?;
        let frames = mel.dim(1)?;
        match self.config.padding {
            Padding::Causal { look_ahead } if look_ahead > 0 && frames > 0 => {
                let last = mel.narrow(1, frames - 1, 1)?;
                let ahead = look_ahead.min(frames);
                let mut parts = vec![mel.narrow(1, ahead, frames - ahead)?];
                parts.extend(std::iter::repeat_n(last, ahead));
                Ok(Tensor::cat(&parts, 1)?)
            }
            _ => Ok(mel),
        }
    }
}

/// A convolution with its weights.
#[derive(Debug, Clone)]
struct Conv {
    weight: Tensor,
    bias: Tensor,
    taps: Taps,
    products: Products,
}

impl Conv {
    fn forward(&self, x: &Tensor, ends: &Ends) -> candle_core::Result<Tensor> {
        ops::conv1d_in(self.products, &ends.cut(x)?, &self.weight, &self.bias, self.taps)
    }
}

/// What the blocks are built from. [`Network::new`] has checked that every name is there.
struct Build<'a> {
    weights: &'a Weights,
    padding: Padding,
    resampling: Resampling,
    products: Products,
}

impl Build<'_> {
    fn conv(&self, name: &str, dilation: usize) -> Conv {
        let weight = self.weights[&format!("{name}.weight")].clone();
        let span = dilation * (weight.dims()[0] - 1);
        let left = match self.padding {
            Padding::Symmetric => span / 2,
            Padding::Causal { .. } => span,
        };
        let bias = self.weights[&format!("{name}.bias")].clone();
        Conv { weight, bias, taps: Taps { dilation, left }, products: self.products }
    }
}
