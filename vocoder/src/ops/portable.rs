//! Every operation composed of the tensor library's own, with its gradients: for GPUs, and as the
//! slow twin of the CPU operations in the tests. Only compositions whose gradients were found right
//! by finite differences are used.

use super::Taps;
use crate::config::LEAKY_SLOPE;
use candle_core::{Result, Tensor};

/// As [`super::conv1d`]: the shifted signals side by side, times the weights as one matrix.
///
/// # Errors
/// Those of the tensor library.
pub fn conv1d(x: &Tensor, w: &Tensor, bias: &Tensor, taps: Taps) -> Result<Tensor> {
    products(x, w, taps)?.broadcast_add(bias)
}

/// The convolution without its bias, in the type of `x` and `w`.
///
/// # Errors
/// Those of the tensor library.
pub fn products(x: &Tensor, w: &Tensor, taps: Taps) -> Result<Tensor> {
    let (batch, rows, ci) = x.dims3()?;
    let (count, _, co) = w.dims3()?;
    let right = taps.dilation * (count - 1) - taps.left;
    let columns = if count == 1 {
        x.contiguous()?
    } else {
        let padded = x.pad_with_zeros(1, taps.left, right)?;
        let shifted: Vec<Tensor> =
            (0..count).map(|k| padded.narrow(1, k * taps.dilation, rows)).collect::<Result<_>>()?;
        Tensor::cat(&shifted, 2)?
    };
    let y = columns.reshape((batch * rows, count * ci))?.matmul(&w.reshape((count * ci, co))?)?;
    y.reshape((batch, rows, co))
}

/// As [`super::leaky`].
///
/// # Errors
/// Those of the tensor library.
pub fn leaky(x: &Tensor) -> Result<Tensor> {
    x.maximum(&x.affine(LEAKY_SLOPE, 0.0)?)
}

/// As [`super::leaky_plus`].
///
/// # Errors
/// Those of the tensor library.
pub fn leaky_plus(x: &Tensor, offset: &Tensor) -> Result<Tensor> {
    leaky(x)?.broadcast_add(offset)
}

/// As [`super::film`].
///
/// # Errors
/// Those of the tensor library.
pub fn film(x: &Tensor, shift_scale: &Tensor) -> Result<Tensor> {
    let channels = x.dim(2)?;
    let shift = shift_scale.narrow(2, 0, channels)?;
    let scale = shift_scale.narrow(2, channels, channels)?;
    leaky(&(scale.mul(x)? + shift)?)
}

/// As [`super::repeat`].
///
/// # Errors
/// Those of the tensor library.
pub fn repeat(x: &Tensor, factor: usize) -> Result<Tensor> {
    let (batch, rows, channels) = x.dims3()?;
    let wide = x.unsqueeze(2)?.broadcast_as((batch, rows, factor, channels))?;
    wide.reshape((batch, rows * factor, channels))
}

/// As [`super::decimate`].
///
/// # Errors
/// Those of the tensor library.
pub fn decimate(x: &Tensor, factor: usize) -> Result<Tensor> {
    let (batch, rows, channels) = x.dims3()?;
    x.reshape((batch, rows / factor, factor, channels))?.narrow(2, 0, 1)?.squeeze(2)
}
