//! Dilated convolution along the rows.

use super::{Element, Taps, by_dtype, output, portable, with_values};
use crate::engine::Isa;
use crate::kernel::{self, ConvShape, plain};
use candle_core::backend::BackendStorage;
use candle_core::{CpuStorage, CustomOp3, Layout, Result, Shape, Tensor};

/// `y[b, t, :] = bias + sum over k of x[b, t + k * dilation - left, :] w[k]`, as many rows out as in.
///
/// `x` `[batch, rows, ci]`, `w` `[taps, ci, co]`, `bias` `[co]`; returns `[batch, rows, co]`.
///
/// # Errors
/// Shapes that don't fit each other.
pub fn conv1d(x: &Tensor, w: &Tensor, bias: &Tensor, taps: Taps) -> Result<Tensor> {
    let (_, _, ci) = x.dims3()?;
    let (count, w_ci, co) = w.dims3()?;
    if w_ci != ci || bias.dims() != [co] || count == 0 || taps.left > taps.dilation * (count - 1) {
        candle_core::bail!(
            "convolution of {:?} by {:?} with bias {:?} and {taps:?} does not fit",
            x.shape(),
            w.shape(),
            bias.shape()
        );
    }
    if !x.device().is_cpu() {
        return portable::conv1d(x, w, bias, taps);
    }
    x.contiguous()?.apply_op3(&w.contiguous()?, &bias.contiguous()?, Conv1d(taps))
}

struct Conv1d(Taps);

impl Conv1d {
    fn shape(&self, x: &Shape, w: &Shape) -> Result<ConvShape> {
        let (batch, rows, ci) = x.dims3()?;
        let (taps, _, co) = w.dims3()?;
        let Taps { dilation, left } = self.0;
        Ok(ConvShape { batch, rows, ci, co, taps, dilation, left })
    }
}

impl CustomOp3 for Conv1d {
    fn name(&self) -> &'static str {
        "conv1d"
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        x_layout: &Layout,
        w: &CpuStorage,
        w_layout: &Layout,
        bias: &CpuStorage,
        bias_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let shape = self.shape(x_layout.shape(), w_layout.shape())?;
        by_dtype!(x.dtype(), T => {
            let x = T::slice(x, x_layout)?;
            let w = T::slice(w, w_layout)?;
            let bias = T::slice(bias, bias_layout)?;
            let y = T::forward(&shape, x, w, bias)?;
            output(y, (shape.batch, shape.rows, shape.co))
        })
    }

    fn bwd(
        &self,
        x: &Tensor,
        w: &Tensor,
        _bias: &Tensor,
        _y: &Tensor,
        dy: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let shape = self.shape(x.shape(), w.shape())?;
        by_dtype!(x.dtype(), T => with_values::<T, 3, _>([x, w, dy], |[xs, ws, dys]| {
            let (dw, db) = T::weight_gradient(&shape, xs, dys)?;
            // What is not trained (the mel, the noisy waveform) needs no gradient.
            let dx = if x.track_op() {
                let dx = T::input_gradient(&shape, ws, dys)?;
                Some(Tensor::from_vec(dx, x.shape(), x.device())?)
            } else {
                None
            };
            let dw = Tensor::from_vec(dw, w.shape(), w.device())?;
            let db = Tensor::from_vec(db, shape.co, w.device())?;
            Ok((dx, Some(dw), Some(db)))
        }))
    }
}

/// Single precision runs on the tiles, double precision on their plain twin.
trait Kernels: Element {
    fn forward(s: &ConvShape, x: &[Self], w: &[Self], bias: &[Self]) -> Result<Vec<Self>>;
    fn input_gradient(s: &ConvShape, w: &[Self], dy: &[Self]) -> Result<Vec<Self>>;
    fn weight_gradient(s: &ConvShape, x: &[Self], dy: &[Self]) -> Result<(Vec<Self>, Vec<Self>)>;
}

impl Kernels for f32 {
    fn forward(s: &ConvShape, x: &[f32], w: &[f32], bias: &[f32]) -> Result<Vec<f32>> {
        Ok(kernel::forward(isa()?, s, x, w, bias))
    }
    fn input_gradient(s: &ConvShape, w: &[f32], dy: &[f32]) -> Result<Vec<f32>> {
        Ok(kernel::input_gradient(isa()?, s, w, dy))
    }
    fn weight_gradient(s: &ConvShape, x: &[f32], dy: &[f32]) -> Result<(Vec<f32>, Vec<f32>)> {
        Ok(kernel::weight_gradient(isa()?, s, x, dy))
    }
}

fn isa() -> Result<Isa> {
    Isa::detect().map_err(candle_core::Error::wrap)
}

impl Kernels for f64 {
    fn forward(s: &ConvShape, x: &[f64], w: &[f64], bias: &[f64]) -> Result<Vec<f64>> {
        Ok(plain::forward(s, x, w, Some(bias)))
    }
    fn input_gradient(s: &ConvShape, w: &[f64], dy: &[f64]) -> Result<Vec<f64>> {
        let flipped = plain::flip(w, s.taps, s.ci, s.co);
        Ok(plain::forward(&s.transposed(), dy, &flipped, None))
    }
    fn weight_gradient(s: &ConvShape, x: &[f64], dy: &[f64]) -> Result<(Vec<f64>, Vec<f64>)> {
        Ok(plain::weight_gradient(s, x, dy))
    }
}
