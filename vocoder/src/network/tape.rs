//! The network on CPUs with gradients, for training: forward and backward in one piece, with a tape of
//! its own.
//!
//! [`Network`](super::Network) defines what is computed; this computes the same in f32, faster and in
//! less memory than an operation at a time:
//!
//! - **Winograd's convolutions** of three taps, forward, for the input's and for the weights' gradient;
//!   repetition folded into the convolution after it (`tape/expand.rs`).
//! - **One pass over memory** a convolution: activations are computed while its input is packed, their
//!   gradients while its sums lie in the first-level cache. So the tape keeps no activated signals.
//! - **The same memory** for every step ([`Buffers`]).

mod backward;
mod expand;
mod forward;
pub(super) mod plan;
#[cfg(test)]
mod tests;

use crate::Result;
use crate::config::ModelConfig;
use crate::engine::Isa;
use crate::kernel::buffers::Buffers;
use crate::network::encode_level;
use crate::ops::{Element, with_values};
use backward::{Backward, InputGradients};
use candle_core::{CpuStorage, CustomOp3, Layout, Shape, Tensor};
use forward::Tape;
use plan::Plan;
use std::sync::{Arc, Mutex, PoisonError};

/// A network's convolutions, and the memory of its steps.
#[derive(Debug)]
pub(super) struct Taped {
    config: ModelConfig,
    plan: Plan,
    home: Buffers,
    /// Batch and frames of the arrays in `home`.
    fits: Mutex<(usize, usize)>,
}

/// One step's sizes and inputs.
struct Pass<'a> {
    plan: &'a Plan,
    isa: Isa,
    home: &'a Buffers,
    batch: usize,
    frames: usize,
    /// All weights, side by side.
    weights: &'a [f32],
    /// For each FiLM module the encoded levels, `[batch][channels]`.
    levels: &'a [Vec<f32>],
}

impl Taped {
    /// For networks of `config`.
    pub fn new(config: &ModelConfig) -> Self {
        let (plan, home) = (Plan::new(config), Buffers::default());
        Taped { config: config.clone(), plan, home, fits: Mutex::default() }
    }

    /// As [`Network::forward`](super::Network::forward), whose checks have passed, on a prepared mel,
    /// with all `weights` side by side in the order of [`ModelConfig::parameters`].
    ///
    /// # Errors
    /// Those of the tensor library; [`ISA_VARIABLE`](crate::engine::ISA_VARIABLE) names instructions
    /// that this machine lacks.
    pub fn forward(
        self: &Arc<Self>,
        signal: &Tensor,
        mel: &Tensor,
        weights: &Tensor,
        levels: &[f64],
    ) -> Result<Tensor> {
        let encode = |channels: usize| encode_level(&self.config.level, levels, channels);
        let levels = self.config.down_channels().into_iter().map(encode).collect();
        let sizes = (mel.dim(0)?, mel.dim(1)?);
        let mut fits = self.fits.lock().unwrap_or_else(PoisonError::into_inner);
        if *fits != sizes {
            self.home.clear();
            *fits = sizes;
        }
        drop(fits);
        let step =
            Step { taped: self.clone(), isa: Isa::detect()?, levels, tape: Mutex::default() };
        Ok(signal.contiguous()?.apply_op3(&mel.contiguous()?, &weights.contiguous()?, step)?)
    }
}

/// One step as an operation on the signal, the mel and all weights.
struct Step {
    taped: Arc<Taped>,
    isa: Isa,
    levels: Vec<Vec<f32>>,
    /// What the forward pass has left for the way back.
    tape: Mutex<Option<Tape>>,
}

impl Step {
    fn pass<'a>(&'a self, mel: &Shape, weights: &'a [f32]) -> candle_core::Result<Pass<'a>> {
        let (batch, frames, _) = mel.dims3()?;
        let Taped { plan, home, .. } = &*self.taped;
        if weights.len() != plan.len {
            candle_core::bail!("{} weights in the place of {}", weights.len(), plan.len);
        }
        Ok(Pass { plan, isa: self.isa, home, batch, frames, weights, levels: &self.levels })
    }
}

impl CustomOp3 for Step {
    fn name(&self) -> &'static str {
        "network"
    }

    fn cpu_fwd(
        &self,
        signal: &CpuStorage,
        signal_layout: &Layout,
        mel: &CpuStorage,
        mel_layout: &Layout,
        weights: &CpuStorage,
        weights_layout: &Layout,
    ) -> candle_core::Result<(CpuStorage, Shape)> {
        let signal = f32::slice(signal, signal_layout)?;
        let mel = f32::slice(mel, mel_layout)?;
        let pass = self.pass(mel_layout.shape(), f32::slice(weights, weights_layout)?)?;
        let mut out = vec![0f32; signal.len()];
        let tape = pass.forward(signal, mel, &mut out);
        *self.tape.lock().unwrap_or_else(PoisonError::into_inner) = Some(tape);
        Ok((CpuStorage::F32(out), signal_layout.shape().clone()))
    }

    fn bwd(
        &self,
        signal: &Tensor,
        mel: &Tensor,
        weights: &Tensor,
        y: &Tensor,
        dy: &Tensor,
    ) -> candle_core::Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let wanted = |t: &Tensor| vec![0f32; if t.track_op() { t.elem_count() } else { 0 }];
        let (mut dsignal, mut dmel) = (wanted(signal), wanted(mel));
        let mut dweights = vec![0f32; weights.elem_count()];
        with_values::<f32, 4, _>([signal, mel, weights, dy], |[x, bands, values, dy]| {
            let pass = self.pass(mel.shape(), values)?;
            let tape = self.tape.lock().unwrap_or_else(PoisonError::into_inner).take();
            // A second way back over the same step has to go forward again.
            let tape = tape.unwrap_or_else(|| pass.forward(x, bands, &mut vec![0f32; x.len()]));
            let inputs = InputGradients { signal: &mut dsignal, mel: &mut dmel };
            let mut backward = Backward { pass: &pass, gradient: &mut dweights };
            backward.run((x, bands), tape, dy, inputs);
            Ok(())
        })?;
        let tensor = |values: Vec<f32>, like: &Tensor| {
            (!values.is_empty())
                .then(|| Tensor::from_vec(values, like.shape(), y.device()))
                .transpose()
        };
        Ok((tensor(dsignal, signal)?, tensor(dmel, mel)?, tensor(dweights, weights)?))
    }
}
