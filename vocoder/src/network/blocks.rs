//! The three blocks of WaveGrad (paper, figure 3 and its appendix; the order of operations is that
//! of the open implementations).

use super::{Build, Conv, Ends};
use crate::config::Resampling;
use crate::ops::{decimate, film, leaky, leaky_plus, narrow, repeat, widen};
use candle_core::{Result, Tensor};

/// A downsampling block: one row for each `factor`, three dilated convolutions, and a residual.
#[derive(Debug, Clone)]
pub struct Down {
    factor: usize,
    resampling: Resampling,
    residual: Conv,
    convs: [Conv; 3],
}

impl Down {
    pub(super) fn new(build: &Build, name: &str, factor: usize, dilations: [usize; 3]) -> Self {
        Down {
            factor,
            resampling: build.resampling,
            residual: build.conv(&format!("{name}.residual"), 1),
            convs: [0, 1, 2].map(|j| build.conv(&format!("{name}.conv.{j}"), dilations[j])),
        }
    }

    /// `[batch, rows, ci]` -> `[batch, rows / factor, co]`.
    ///
    /// # Errors
    /// Those of the operations.
    pub fn forward(&self, x: &Tensor, ends: &Ends) -> Result<Tensor> {
        let x = match self.resampling {
            Resampling::Nearest => decimate(x, self.factor)?,
            Resampling::Linear => narrow(x, self.factor)?,
        };
        let mut h = x.clone();
        for conv in &self.convs {
            h = conv.forward(&leaky(&h)?, ends)?;
        }
        h + self.residual.forward(&x, ends)?
    }
}

/// Feature-wise linear modulation: from the waveform's path and the noise level, a shift and a
/// scale for each row and channel of the mel's path.
#[derive(Debug, Clone)]
pub struct Film {
    input: Conv,
    output: Conv,
}

impl Film {
    pub(super) fn new(build: &Build, name: &str) -> Self {
        Film {
            input: build.conv(&format!("{name}.input"), 1),
            output: build.conv(&format!("{name}.output"), 1),
        }
    }

    /// `x` `[batch, rows, c]` and the encoded level `[batch, 1, c]` -> shift and scale
    /// `[batch, rows, 2 * channels of the mel's path]`, the shift first.
    ///
    /// # Errors
    /// Those of the operations.
    pub fn forward(&self, x: &Tensor, level: &Tensor, ends: &Ends) -> Result<Tensor> {
        let hidden = leaky_plus(&self.input.forward(x, ends)?, level)?;
        self.output.forward(&hidden, ends)
    }
}

/// An upsampling block: makes `factor` rows of each and runs two residual halves of two convolutions,
/// all but the first modulated by the same [`Film`].
#[derive(Debug, Clone)]
pub struct Up {
    factor: usize,
    resampling: Resampling,
    residual: Conv,
    convs: [Conv; 4],
}

impl Up {
    pub(super) fn new(build: &Build, name: &str, factor: usize, dilations: [usize; 4]) -> Self {
        Up {
            factor,
            resampling: build.resampling,
            residual: build.conv(&format!("{name}.residual"), 1),
            convs: [0, 1, 2, 3].map(|j| build.conv(&format!("{name}.conv.{j}"), dilations[j])),
        }
    }

    /// `x` `[batch, rows, ci]` and the modulation `[batch, rows * factor, 2 * co]` ->
    /// `[batch, rows * factor, co]`.
    ///
    /// # Errors
    /// Those of the operations.
    pub fn forward(&self, x: &Tensor, modulation: &Tensor, ends: &Ends) -> Result<Tensor> {
        let [first, second, third, fourth] = &self.convs;
        let more = |x: &_| match self.resampling {
            Resampling::Nearest => repeat(x, self.factor),
            Resampling::Linear => widen(x, self.factor),
        };
        // The 1x1 convolution commutes with the resampling and costs less before it.
        let residual = more(&self.residual.forward(x, ends)?)?;
        let h = first.forward(&more(&leaky(x)?)?, ends)?;
        let h = (second.forward(&film(&h, modulation)?, ends)? + residual)?;
        let y = third.forward(&film(&h, modulation)?, ends)?;
        fourth.forward(&film(&y, modulation)?, ends)? + h
    }
}
