//! Convolutions whose products are of fewer bits, for training: mixed precision.
//!
//! Weights, sums, gradients and all that lies between convolutions stay f32. On a GPU bf16 operands go
//! through its matrix units, which sum in f32 and round the result to bf16 once; TF32 is what its matrix
//! units do with f32 operands when they may. On the CPU the operands and results are rounded alike
//! and multiplied in f32: the same numbers but for the order of the sums, to see what they do to a loss
//! curve. It is slower than f32, not faster.

use super::{Taps, conv1d, portable};
use candle_core::backend::BackendStorage;
use candle_core::{CpuStorage, CustomOp1, DType, Layout, Result, Shape, Tensor};

/// In what the products of convolutions and of their gradients are computed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Products {
    /// Operands of 24 significant bits.
    #[default]
    F32,
    /// Operands of 11 significant bits, results of 24: NVIDIA's TensorFloat-32.
    Tf32,
    /// Operands and results of 8 significant bits: bfloat16.
    Bf16,
    /// What the network as a whole computes in half precision when it is trained on an NVIDIA GPU, signals
    /// and operands of 11 significant bits; f32 anywhere else.
    F16,
}

/// As [`conv1d`], with products of `products`; the bias is added in f32.
///
/// Note: on a GPU [`Products::Tf32`] is f32 unless the tensor library's switch for its products is on,
/// which is the whole program's: `candle_core::cuda::set_gemm_reduced_precision_f32`.
///
/// # Errors
/// As [`conv1d`].
pub fn conv1d_in(
    products: Products,
    x: &Tensor,
    w: &Tensor,
    bias: &Tensor,
    taps: Taps,
) -> Result<Tensor> {
    let round = |t: &Tensor, forward, backward| {
        t.contiguous()?.apply_op1(Round { products, forward, backward })
    };
    let none = || bias.zeros_like();
    match (products, x.device().is_cpu()) {
        (Products::F32 | Products::F16, _) | (Products::Tf32, false) => conv1d(x, w, bias, taps),
        (Products::Tf32, true) => {
            let y = conv1d(&round(x, true, false)?, &round(w, true, false)?, &none()?, taps)?;
            round(&y, false, true)?.broadcast_add(bias)
        }
        (Products::Bf16, true) => {
            let y = conv1d(&round(x, true, true)?, &round(w, true, true)?, &none()?, taps)?;
            round(&y, true, true)?.broadcast_add(bias)
        }
        (Products::Bf16, false) => {
            let (narrow, wide) = (DType::BF16, x.dtype());
            let y = portable::products(&x.to_dtype(narrow)?, &w.to_dtype(narrow)?, taps)?;
            y.to_dtype(wide)?.broadcast_add(bias)
        }
    }
}

/// `v` as a number of fewer bits, the nearest, of two as near the even one.
fn rounded(products: Products, v: f32) -> f32 {
    match products {
        Products::F32 | Products::F16 => v,
        Products::Bf16 => half::bf16::from_f32(v).to_f32(),
        // The lowest 13 of 23 bits of the fraction go.
        Products::Tf32 if v.is_finite() => {
            let bits = v.to_bits();
            f32::from_bits((bits + 0xfff + ((bits >> 13) & 1)) & !0x1fff)
        }
        Products::Tf32 => v,
    }
}

/// Rounds values on their way forward, and gradients on their way back.
struct Round {
    products: Products,
    forward: bool,
    backward: bool,
}

impl CustomOp1 for Round {
    fn name(&self) -> &'static str {
        "round"
    }

    fn cpu_fwd(&self, x: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let shape = layout.shape().clone();
        let (CpuStorage::F32(values), Some((from, to))) = (x, layout.contiguous_offsets()) else {
            candle_core::bail!("expected contiguous f32 values to round, got {:?}", x.dtype())
        };
        let values = &values[from..to];
        let out = match self.forward {
            true => values.iter().map(|v| rounded(self.products, *v)).collect(),
            false => values.to_vec(),
        };
        Ok((CpuStorage::F32(out), shape))
    }

    fn bwd(&self, _x: &Tensor, _y: &Tensor, dy: &Tensor) -> Result<Option<Tensor>> {
        if !self.backward {
            return Ok(Some(dy.clone()));
        }
        let (products, forward, backward) = (self.products, true, false);
        let dx =
            dy.detach().contiguous()?.apply_op1_no_bwd(&Round { products, forward, backward })?;
        Ok(Some(dx))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use candle_core::{Device, Var};

    #[test]
    fn rounding_by_hand() {
        let tf32 = |v| rounded(Products::Tf32, v);
        // 10 bits after the leading one: steps of 2^-10 above 1.
        let step = 2f32.powi(-10);
        assert_eq!(tf32(1.0 + 0.4 * step), 1.0);
        assert_eq!(tf32(1.0 + 0.6 * step), 1.0 + step);
        // Half-way: to the even one.
        assert_eq!(tf32(1.0 + 0.5 * step), 1.0);
        assert_eq!(tf32(-1.0 - 1.5 * step), -1.0 - 2.0 * step);
        assert!(tf32(f32::NAN).is_nan() && tf32(f32::INFINITY) == f32::INFINITY);
        // 7 bits after the leading one.
        assert_eq!(rounded(Products::Bf16, 1.0 + 0.6 / 128.0), 1.0 + 1.0 / 128.0);
        assert_eq!(rounded(Products::F32, 0.1), 0.1);
    }

    /// y = w x + bias of one sample and channel, and its gradients for dy = 1/3.
    fn multiply(products: Products, x: f32, w: f32, bias: f32) -> [f32; 4] {
        let var = |v: f32, shape: &[usize]| {
            Var::from_tensor(&Tensor::full(v, shape, &Device::Cpu).unwrap()).unwrap()
        };
        let (x, w, bias) = (var(x, &[1, 1, 1]), var(w, &[1, 1, 1]), var(bias, &[1]));
        let taps = Taps { dilation: 1, left: 0 };
        let y = conv1d_in(products, &x, &w, &bias, taps).unwrap();
        let gradients = (&y * (1.0 / 3.0)).unwrap().sum_all().unwrap().backward().unwrap();
        let value = |t: &Tensor| t.flatten_all().unwrap().to_vec1::<f32>().unwrap()[0];
        [&y, gradients.get(&x).unwrap(), gradients.get(&w).unwrap(), gradients.get(&bias).unwrap()]
            .map(value)
    }

    #[test]
    fn operands_results_and_gradients_are_rounded_where_they_should_be() {
        let (x, w, bias, dy) = (1.234_567_f32, 0.765_432_1_f32, 0.111_111_f32, 1.0f32 / 3.0);
        let bf16 = |v| rounded(Products::Bf16, v);
        let tf32 = |v| rounded(Products::Tf32, v);
        assert_eq!(multiply(Products::F32, x, w, bias), [x * w + bias, w * dy, x * dy, dy]);
        let found = multiply(Products::Bf16, x, w, bias);
        let expected = [
            bf16(bf16(x) * bf16(w)) + bias,
            bf16(bf16(w) * bf16(dy)),
            bf16(bf16(x) * bf16(dy)),
            dy,
        ];
        assert_eq!(found, expected);
        let found = multiply(Products::Tf32, x, w, bias);
        let expected = [tf32(x) * tf32(w) + bias, tf32(w) * tf32(dy), tf32(x) * tf32(dy), dy];
        assert_eq!(found, expected);
    }
}
