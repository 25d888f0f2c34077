//! The slow, obvious twin of the convolution kernels, in any precision. Tests compare the tiles with
//! it, and double precision (finite differences) runs on it.

use super::ConvShape;
use std::ops::{AddAssign, Mul};

/// What the twins need of a number.
pub(crate) trait Number: Copy + Default + AddAssign + Mul<Output = Self> {}
impl Number for f32 {}
impl Number for f64 {}

/// As [`super::forward`].
pub(crate) fn forward<T: Number>(s: &ConvShape, x: &[T], w: &[T], bias: Option<&[T]>) -> Vec<T> {
    let mut y = vec![T::default(); s.batch * s.rows * s.co];
    if let Some(bias) = bias {
        y.chunks_mut(s.co).for_each(|row| row.copy_from_slice(bias));
    }
    each_tap(s, |tap, from, to| {
        for i in 0..s.ci {
            for o in 0..s.co {
                y[to * s.co + o] += x[from * s.ci + i] * w[(tap * s.ci + i) * s.co + o];
            }
        }
    });
    y
}

/// Weights for the input's gradient: taps reversed, channels in and out exchanged.
/// `[taps, ci, co]` -> `[taps, co, ci]`.
pub(crate) fn flip<T: Copy + Default>(w: &[T], taps: usize, ci: usize, co: usize) -> Vec<T> {
    let mut out = vec![T::default(); w.len()];
    for tap in 0..taps {
        for i in 0..ci {
            for o in 0..co {
                out[((taps - 1 - tap) * co + o) * ci + i] = w[(tap * ci + i) * co + o];
            }
        }
    }
    out
}

/// As [`super::weight_gradient`].
pub(crate) fn weight_gradient<T: Number>(s: &ConvShape, x: &[T], dy: &[T]) -> (Vec<T>, Vec<T>) {
    let mut dw = vec![T::default(); s.taps * s.ci * s.co];
    let mut db = vec![T::default(); s.co];
    each_tap(s, |tap, from, to| {
        for i in 0..s.ci {
            for o in 0..s.co {
                dw[(tap * s.ci + i) * s.co + o] += x[from * s.ci + i] * dy[to * s.co + o];
            }
        }
    });
    for row in dy.chunks(s.co) {
        db.iter_mut().zip(row).for_each(|(sum, v)| *sum += *v);
    }
    (dw, db)
}

/// Calls `visit(tap, input row, output row)` for each pair that the convolution joins; rows count
/// through the batch.
fn each_tap(s: &ConvShape, mut visit: impl FnMut(usize, usize, usize)) {
    for b in 0..s.batch {
        for t in 0..s.rows {
            for tap in 0..s.taps {
                let from = (t + tap * s.dilation) as isize - s.left as isize;
                if (0..s.rows as isize).contains(&from) {
                    visit(tap, b * s.rows + from as usize, b * s.rows + t);
                }
            }
        }
    }
}
