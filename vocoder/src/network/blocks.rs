//! The three blocks of WaveGrad (paper, figure 3 and its appendix; the order of operations is that
//! of the open implementations).

use super::{Build, Conv};
use crate::ops::{decimate, film, leaky, leaky_plus, repeat};
use candle_core::{Result, Tensor};

/// A downsampling block: keeps the first of each `factor` rows, three dilated convolutions, and a
/// residual.
#[derive(Debug, Clone)]
pub struct Down {
    factor: usize,
    residual: Conv,
    convs: [Conv; 3],
}

impl Down {
    pub(super) fn new(build: &Build, name: &str, factor: usize, dilations: [usize; 3]) -> Self {
        Down {
            factor,
            residual: build.conv(&format!("{name}.residual"), 1),
            convs: [0, 1, 2].map(|j| build.conv(&format!("{name}.conv.{j}"), dilations[j])),
        }
    }

    /// `[batch, rows, ci]` -> `[batch, rows / factor, co]`.
    ///
    /// # Errors
    /// Those of the operations.
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let x = decimate(x, self.factor)?;
        let mut h = x.clone();
        for conv in &self.convs {
            h = conv.forward(&leaky(&h)?)?;
        }
        h + self.residual.forward(&x)?
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
    pub fn forward(&self, x: &Tensor, level: &Tensor) -> Result<Tensor> {
        self.output.forward(&leaky_plus(&self.input.forward(x)?, level)?)
    }
}

/// An upsampling block: repeats each row `factor` times and runs two residual halves of two
/// convolutions, all but the first modulated by the same [`Film`].
#[derive(Debug, Clone)]
pub struct Up {
    factor: usize,
    residual: Conv,
    convs: [Conv; 4],
}

impl Up {
    pub(super) fn new(build: &Build, name: &str, factor: usize, dilations: [usize; 4]) -> Self {
        Up {
            factor,
            residual: build.conv(&format!("{name}.residual"), 1),
            convs: [0, 1, 2, 3].map(|j| build.conv(&format!("{name}.conv.{j}"), dilations[j])),
        }
    }

    /// `x` `[batch, rows, ci]` and the modulation `[batch, rows * factor, 2 * co]` ->
    /// `[batch, rows * factor, co]`.
    ///
    /// # Errors
    /// Those of the operations.
    pub fn forward(&self, x: &Tensor, modulation: &Tensor) -> Result<Tensor> {
        let [first, second, third, fourth] = &self.convs;
        // The 1x1 convolution commutes with the repetition and costs less before it.
        let residual = repeat(&self.residual.forward(x)?, self.factor)?;
        let h = first.forward(&repeat(&leaky(x)?, self.factor)?)?;
        let h = (second.forward(&film(&h, modulation)?)? + residual)?;
        let y = third.forward(&film(&h, modulation)?)?;
        fourth.forward(&film(&y, modulation)?)? + h
    }
}
