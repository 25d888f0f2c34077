//! Changing the number of rows by a whole factor, without filters.

use super::{Element, by_dtype, output, portable, with_values};
use candle_core::backend::BackendStorage;
use candle_core::{CpuStorage, CustomOp1, Layout, Result, Shape, Tensor};

/// Repeats each row `factor` times (nearest upsampling): `[batch, rows, c]` ->
/// `[batch, rows * factor, c]`.
///
/// # Errors
/// Those of the tensor library.
pub fn repeat(x: &Tensor, factor: usize) -> Result<Tensor> {
    if factor == 1 {
        return Ok(x.clone());
    }
    if !x.device().is_cpu() {
        return portable::repeat(x, factor);
    }
    x.contiguous()?.apply_op1(Repeat(factor))
}

/// Keeps the first of each `factor` rows (nearest downsampling): `[batch, rows, c]` ->
/// `[batch, rows / factor, c]`.
///
/// # Errors
/// A number of rows that the factor does not divide.
pub fn decimate(x: &Tensor, factor: usize) -> Result<Tensor> {
    let rows = x.dim(1)?;
    if factor == 0 || !rows.is_multiple_of(factor) {
        candle_core::bail!("{rows} rows are not a multiple of the factor {factor}");
    }
    if factor == 1 {
        return Ok(x.clone());
    }
    if !x.device().is_cpu() {
        return portable::decimate(x, factor);
    }
    x.contiguous()?.apply_op1(Decimate(factor))
}

struct Repeat(usize);

impl CustomOp1 for Repeat {
    fn name(&self) -> &'static str {
        "repeat"
    }

    fn cpu_fwd(&self, x: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let (batch, rows, channels) = layout.shape().dims3()?;
        by_dtype!(x.dtype(), T => {
            let x = T::slice(x, layout)?;
            let mut y = Vec::with_capacity(x.len() * self.0);
            for row in x.chunks(channels) {
                for _ in 0..self.0 {
                    y.extend_from_slice(row);
                }
            }
            output(y, (batch, rows * self.0, channels))
        })
    }

    fn bwd(&self, x: &Tensor, _y: &Tensor, dy: &Tensor) -> Result<Option<Tensor>> {
        let (_, _, channels) = x.dims3()?;
        let dx = by_dtype!(x.dtype(), T => with_values::<T, 1, _>([dy], |[dy]| {
            let mut dx = vec![T::default(); dy.len() / self.0];
            for (dx, group) in dx.chunks_mut(channels).zip(dy.chunks(channels * self.0)) {
                for row in group.chunks(channels) {
                    dx.iter_mut().zip(row).for_each(|(sum, v)| *sum += *v);
                }
            }
            Tensor::from_vec(dx, x.shape(), x.device())
        }))?;
        Ok(Some(dx))
    }
}

struct Decimate(usize);

impl CustomOp1 for Decimate {
    fn name(&self) -> &'static str {
        "decimate"
    }

    fn cpu_fwd(&self, x: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let (batch, rows, channels) = layout.shape().dims3()?;
        by_dtype!(x.dtype(), T => {
            let x = T::slice(x, layout)?;
            let mut y = Vec::with_capacity(x.len() / self.0);
            for group in x.chunks(channels * self.0) {
                y.extend_from_slice(&group[..channels]);
            }
            output(y, (batch, rows / self.0, channels))
        })
    }

    fn bwd(&self, x: &Tensor, _y: &Tensor, dy: &Tensor) -> Result<Option<Tensor>> {
        let (_, _, channels) = x.dims3()?;
        let dx = by_dtype!(x.dtype(), T => with_values::<T, 1, _>([dy], |[dy]| {
            let mut dx = vec![T::default(); dy.len() * self.0];
            for (group, row) in dx.chunks_mut(channels * self.0).zip(dy.chunks(channels)) {
                group[..channels].copy_from_slice(row);
            }
            Tensor::from_vec(dx, x.shape(), x.device())
        }))?;
        Ok(Some(dx))
    }
}
