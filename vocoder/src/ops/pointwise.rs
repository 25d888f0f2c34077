//! Activation and modulation, value by value.

use super::{Element, by_dtype, output, portable, with_values};
use crate::config::LEAKY_SLOPE;
use candle_core::backend::BackendStorage;
use candle_core::{CpuStorage, CustomOp1, CustomOp2, Layout, Result, Shape, Tensor};
use rayon::prelude::*;

/// Values that one task of the thread pool computes.
const TASK: usize = 1 << 16;

/// Leaky ReLU of slope [`LEAKY_SLOPE`]. Any shape.
///
/// # Errors
/// Those of the tensor library.
pub fn leaky(x: &Tensor) -> Result<Tensor> {
    if !x.device().is_cpu() {
        return portable::leaky(x);
    }
    x.contiguous()?.apply_op1(Leaky)
}

/// `leaky(x) + offset`, the offset alike for every row: `x` `[batch, rows, c]`, `offset`
/// `[batch, 1, c]`, which is taken as constant (it has no gradient).
///
/// # Errors
/// Shapes that don't fit each other.
pub fn leaky_plus(x: &Tensor, offset: &Tensor) -> Result<Tensor> {
    let (batch, _, channels) = x.dims3()?;
    if offset.dims() != [batch, 1, channels] {
        candle_core::bail!("offset {:?} does not fit {:?}", offset.shape(), x.shape());
    }
    let offset = offset.detach();
    if !x.device().is_cpu() {
        return portable::leaky_plus(x, &offset);
    }
    x.contiguous()?.apply_op2(&offset.contiguous()?, LeakyPlus)
}

/// Feature-wise modulation and activation: `leaky(scale * x + shift)`.
///
/// `x` `[batch, rows, c]`, `shift_scale` `[batch, rows, 2c]` with the shift in its first half.
///
/// # Errors
/// Shapes that don't fit each other.
pub fn film(x: &Tensor, shift_scale: &Tensor) -> Result<Tensor> {
    let (batch, rows, channels) = x.dims3()?;
    if shift_scale.dims() != [batch, rows, 2 * channels] {
        candle_core::bail!("FiLM {:?} does not fit {:?}", shift_scale.shape(), x.shape());
    }
    if !x.device().is_cpu() {
        return portable::film(x, shift_scale);
    }
    x.contiguous()?.apply_op2(&shift_scale.contiguous()?, Film)
}

fn leaky_value<T: Element>(v: T) -> T {
    if v.to_f64() > 0.0 { v } else { v * T::from_f64(LEAKY_SLOPE) }
}

/// The slope of the leaky ReLU whose value was `y` (the sign survives it).
fn leaky_slope<T: Element>(y: T) -> T {
    T::from_f64(if y.to_f64() > 0.0 { 1.0 } else { LEAKY_SLOPE })
}

struct Leaky;

impl CustomOp1 for Leaky {
    fn name(&self) -> &'static str {
        "leaky"
    }

    fn cpu_fwd(&self, x: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        by_dtype!(x.dtype(), T => {
            let x = T::slice(x, layout)?;
            output(x.par_iter().with_min_len(TASK).map(|v| leaky_value(*v)).collect(), layout.shape())
        })
    }

    fn bwd(&self, _x: &Tensor, y: &Tensor, dy: &Tensor) -> Result<Option<Tensor>> {
        Ok(Some(by_dtype!(y.dtype(), T => leaky_gradient::<T>(y, dy))?))
    }
}

fn leaky_gradient<T: Element>(y: &Tensor, dy: &Tensor) -> Result<Tensor> {
    with_values::<T, 2, _>([y, dy], |[y, dy]| {
        let pairs = y.par_iter().zip(dy).with_min_len(TASK);
        Ok(pairs.map(|(y, dy)| leaky_slope(*y) * *dy).collect::<Vec<T>>())
    })
    .and_then(|dx| Tensor::from_vec(dx, y.shape(), y.device()))
}

struct LeakyPlus;

impl CustomOp2 for LeakyPlus {
    fn name(&self) -> &'static str {
        "leaky_plus"
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        x_layout: &Layout,
        offset: &CpuStorage,
        offset_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let (_, rows, channels) = x_layout.shape().dims3()?;
        by_dtype!(x.dtype(), T => {
            let x = T::slice(x, x_layout)?;
            let offset = T::slice(offset, offset_layout)?;
            let mut y = vec![T::default(); x.len()];
            y.par_chunks_mut(channels).zip(x.par_chunks(channels)).with_min_len(TASK / channels).enumerate().for_each(
                |(row, (y, x))| {
                    let offset = &offset[row / rows * channels..][..channels];
                    for ((y, x), offset) in y.iter_mut().zip(x).zip(offset) {
                        *y = leaky_value(*x) + *offset;
                    }
                },
            );
            output(y, x_layout.shape())
        })
    }

    fn bwd(
        &self,
        x: &Tensor,
        _offset: &Tensor,
        _y: &Tensor,
        dy: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>)> {
        // The sign of the input is that of its leaky ReLU.
        Ok((Some(by_dtype!(x.dtype(), T => leaky_gradient::<T>(x, dy))?), None))
    }
}

struct Film;

impl CustomOp2 for Film {
    fn name(&self) -> &'static str {
        "film"
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        x_layout: &Layout,
        film: &CpuStorage,
        film_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let (_, _, channels) = x_layout.shape().dims3()?;
        by_dtype!(x.dtype(), T => {
            let x = T::slice(x, x_layout)?;
            let film = T::slice(film, film_layout)?;
            let mut y = vec![T::default(); x.len()];
            y.par_chunks_mut(channels)
                .zip(x.par_chunks(channels).zip(film.par_chunks(2 * channels)))
                .with_min_len(TASK / channels)
                .for_each(|(y, (x, film))| {
                    let (shift, scale) = film.split_at(channels);
                    for ((y, x), (shift, scale)) in y.iter_mut().zip(x).zip(shift.iter().zip(scale)) {
                        *y = leaky_value(*scale * *x + *shift);
                    }
                });
            output(y, x_layout.shape())
        })
    }

    fn bwd(
        &self,
        x: &Tensor,
        film: &Tensor,
        y: &Tensor,
        dy: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let (_, _, c) = x.dims3()?;
        let (dx, dfilm) = by_dtype!(x.dtype(), T => {
            with_values::<T, 4, _>([x, film, y, dy], |[x, film, y, dy]| {
                let mut dx = vec![T::default(); x.len()];
                let mut dfilm = vec![T::default(); film.len()];
                dx.par_chunks_mut(c)
                    .zip(dfilm.par_chunks_mut(2 * c))
                    .zip(x.par_chunks(c).zip(film.par_chunks(2 * c)))
                    .zip(y.par_chunks(c).zip(dy.par_chunks(c)))
                    .with_min_len(TASK / c)
                    .for_each(|(((dx, dfilm), (x, film)), (y, dy))| {
                        let (dshift, dscale) = dfilm.split_at_mut(c);
                        let scale = &film[c..];
                        for i in 0..c {
                            let d = leaky_slope(y[i]) * dy[i];
                            dx[i] = d * scale[i];
                            dshift[i] = d;
                            dscale[i] = d * x[i];
                        }
                    });
                Ok((dx, dfilm))
            })
            .and_then(|(dx, dfilm)| {
                Ok((
                    Tensor::from_vec(dx, x.shape(), x.device())?,
                    Tensor::from_vec(dfilm, film.shape(), film.device())?,
                ))
            })
        })?;
        Ok((Some(dx), Some(dfilm)))
    }
}
