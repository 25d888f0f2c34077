//! One-dimensional convolution for CPUs, forward and backward, without im2col.
//!
//! Signals are `[rows, channels]`, a row a time step, channels contiguous, so that every tap of every
//! output row is a row of the input (or nothing, at the edges). Weights are `[taps, ci, co]`.
//! [`conv`] computes a convolution and the gradient of its input, [`gradient`] that of its weights, over
//! the innermost loops of [`panel`] (which the inference engine has, too) and [`outer`]. Results don't
//! depend on the number of threads, bit for bit.

pub(crate) mod buffers;
pub(crate) mod conv;
pub(crate) mod finish;
pub(crate) mod gradient;
mod outer;
pub(crate) mod panel;
pub(crate) mod plain;
pub(crate) mod rows;
#[cfg(test)]
pub(crate) mod tests;
pub(crate) mod winograd;

use crate::engine::Isa;
use buffers::Buffers;
use conv::Packed;
use finish::Finish;
use rows::Source;

/// Output channels are computed in panels of a multiple of this many.
pub(crate) const LANES: usize = 16;

/// Shape of a convolution that keeps the number of rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ConvShape {
    /// Independent signals.
    pub batch: usize,
    /// Rows of each, in and out.
    pub rows: usize,
    /// Channels in.
    pub ci: usize,
    /// Channels out.
    pub co: usize,
    /// Taps of the kernel.
    pub taps: usize,
    /// Rows between taps.
    pub dilation: usize,
    /// Rows of zeros before the signal: tap `k` of row `t` reads row `t + k * dilation - left`.
    pub left: usize,
}

impl ConvShape {
    /// The shape of the convolution that carries the gradient from the output to the input.
    pub fn transposed(&self) -> Self {
        let left = self.dilation * (self.taps - 1) - self.left;
        ConvShape { ci: self.co, co: self.ci, left, ..*self }
    }

    /// Rows that an output row's taps reach over, less one.
    pub fn span(&self) -> usize {
        self.dilation * (self.taps - 1)
    }
}

/// `y[b, t, :] = bias + sum over taps of x[b, t + tap * dilation - left, :] w[tap]`.
///
/// `x` `[batch, rows, ci]`, `w` `[taps, ci, co]`, `bias` `[co]`, returns `[batch, rows, co]`.
pub(crate) fn forward(isa: Isa, shape: &ConvShape, x: &[f32], w: &[f32], bias: &[f32]) -> Vec<f32> {
    let packed = Packed::forward(isa, &Buffers::default(), shape, w);
    let mut y = vec![0f32; shape.batch * shape.rows * shape.co];
    conv::run(isa, &packed, shape, Source::plain(x), Finish::bias(bias), &mut y);
    y
}

/// Gradient of the input `[batch, rows, ci]`, from the weights `[taps, ci, co]` and the gradient `dy`
/// `[batch, rows, co]` of the output.
pub(crate) fn input_gradient(isa: Isa, shape: &ConvShape, w: &[f32], dy: &[f32]) -> Vec<f32> {
    let packed = Packed::backward(isa, &Buffers::default(), shape, w);
    let mut dx = vec![0f32; shape.batch * shape.rows * shape.ci];
    let finish = Finish::bias(&[]);
    conv::run(isa, &packed, &shape.transposed(), Source::plain(dy), finish, &mut dx);
    dx
}

/// Gradients of the weights `[taps, ci, co]` and of the bias `[co]`, from the input `x`
/// `[batch, rows, ci]` and the gradient `dy` `[batch, rows, co]` of the output.
pub(crate) fn weight_gradient(
    isa: Isa,
    shape: &ConvShape,
    x: &[f32],
    dy: &[f32],
) -> (Vec<f32>, Vec<f32>) {
    let (mut dw, mut db) = (vec![0f32; shape.taps * shape.ci * shape.co], vec![0f32; shape.co]);
    let home = Buffers::default();
    gradient::weight_gradient(isa, &home, shape, Source::plain(x), dy, (&mut dw, &mut db));
    (dw, db)
}

/// The widest panel of at most four times [`LANES`] that divides `width`.
pub(crate) fn panel_width(width: usize) -> usize {
    (1..=4).rev().map(|n| n * LANES).find(|panel| width.is_multiple_of(*panel)).unwrap_or(LANES)
}
