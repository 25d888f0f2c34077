//! The operations that the network is made of, each with its own gradient.
//!
//! On CPUs the network is trained in one piece (`network/tape.rs`); these are its definition, which GPUs
//! run and finite differences are taken of. Signals are `[batch, rows, channels]`. On CPU tensors each
//! operation runs on our kernels, forward and backward; on any other device it is composed of the tensor
//! library's own operations ([`portable`]), which are also the slow twin in the tests. candle 0.11.1's
//! `conv1d` and `upsample_nearest1d` are not used: they return wrong gradients for batches above one.

mod conv;
mod linear;
mod pointwise;
pub mod portable;
mod products;
mod resample;

pub use conv::conv1d;
pub use linear::{narrow, widen};
pub use pointwise::{film, leaky, leaky_plus};
pub use products::{Products, conv1d_in};
pub use resample::{decimate, repeat};

use candle_core::{CpuStorage, Layout, Result, Shape, Storage, Tensor};

/// Which rows a convolution reads: tap `k` of row `t` reads row `t + k * dilation - left`; rows
/// outside the signal are zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Taps {
    /// Rows between taps.
    pub dilation: usize,
    /// Rows of zeros before the signal, at most `dilation * (taps - 1)`.
    pub left: usize,
}

/// A number that the CPU operations compute in.
pub(crate) trait Element: candle_core::WithDType + crate::kernel::plain::Number {
    fn slice<'a>(storage: &'a CpuStorage, layout: &Layout) -> Result<&'a [Self]> {
        let Some((from, to)) = layout.contiguous_offsets() else {
            candle_core::bail!("expected a contiguous tensor, got {layout:?}")
        };
        Ok(&storage.as_slice::<Self>()?[from..to])
    }
}
impl Element for f32 {}
impl Element for f64 {}

/// Runs `body` over the values of contiguous CPU tensors.
pub(crate) fn with_values<T: Element, const N: usize, R>(
    tensors: [&Tensor; N],
    body: impl FnOnce([&[T]; N]) -> Result<R>,
) -> Result<R> {
    let tensors: Vec<Tensor> = tensors.iter().map(|t| t.contiguous()).collect::<Result<_>>()?;
    let guards: Vec<_> = tensors.iter().map(|t| t.storage_and_layout()).collect();
    let mut values: [&[T]; N] = [&[]; N];
    for (value, (storage, layout)) in values.iter_mut().zip(&guards) {
        let Storage::Cpu(storage) = &**storage else {
            candle_core::bail!("expected a tensor on the CPU")
        };
        *value = T::slice(storage, layout)?;
    }
    body(values)
}

/// Runs `body` over the values of f32 tensors on the CPU, in the order of their rows.
///
/// # Errors
/// A tensor elsewhere or of another type; those of `body`.
pub fn with_f32_values<const N: usize, R>(
    tensors: [&Tensor; N],
    body: impl FnOnce([&[f32]; N]) -> Result<R>,
) -> Result<R> {
    with_values(tensors, body)
}

/// A CPU tensor's storage and shape, as custom operations return them.
fn output<T: Element>(values: Vec<T>, shape: impl Into<Shape>) -> Result<(CpuStorage, Shape)> {
    Ok((T::to_cpu_storage_owned(values), shape.into()))
}

/// Dispatches `$body` with `$t` as `f32` or `f64` after a tensor's or storage's type.
macro_rules! by_dtype {
    ($dtype:expr, $t:ident => $body:expr) => {
        match $dtype {
            candle_core::DType::F32 => {
                type $t = f32;
                $body
            }
            candle_core::DType::F64 => {
                type $t = f64;
                $body
            }
            other => candle_core::bail!("expected f32 or f64 on the CPU, got {other:?}"),
        }
    };
}
use by_dtype;
