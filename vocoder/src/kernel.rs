//! One-dimensional convolution for CPUs, forward and backward, without im2col.
//!
//! Signals are `[rows, channels]`, a row a time step, channels contiguous, so that every tap of every
//! output row is a row of the input (or nothing, at the edges). Weights are `[taps, ci, co]`.
//! [`forward`] also gives the gradient of the input, by [`flip`]ped weights. The order of additions
//! for a row does not depend on where the row lies nor on the number of threads: signals computed in
//! pieces equal the whole bit for bit.

pub(crate) mod panel;
pub(crate) mod plain;
mod tile;

use rayon::prelude::*;
use tile::{ForwardTile, GradientTile};

/// Rows that one task computes before it takes another block: the block of input and output stays
/// in the second-level cache at 128 channels.
const BLOCK_ROWS: usize = 240;

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

    /// The output rows `from..to` whose tap `tap` reads inside the signal, and the signed distance
    /// from an output row to the row that it reads.
    fn span(&self, tap: usize) -> (usize, usize, isize) {
        let offset = (tap * self.dilation) as isize - self.left as isize;
        let from = (-offset).clamp(0, self.rows as isize) as usize;
        let to = (self.rows as isize - offset).clamp(from as isize, self.rows as isize) as usize;
        (from, to, offset)
    }
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

/// `y[b, t, :] = bias + sum over taps of x[b, t + tap * dilation - left, :] w[tap]`.
///
/// `x` `[batch, rows, ci]`, `w` `[taps, ci, co]`, `bias` `[co]`, returns `[batch, rows, co]`.
pub(crate) fn forward(shape: &ConvShape, x: &[f32], w: &[f32], bias: Option<&[f32]>) -> Vec<f32> {
    let packed = Packed::new(shape, w, bias);
    let wide = packed.width;
    let mut y = vec![0f32; shape.batch * shape.rows * wide];
    if y.is_empty() {
        return y;
    }
    let tasks: Vec<_> = y
        .chunks_mut(shape.rows * wide)
        .zip(x.chunks(shape.rows * shape.ci))
        .flat_map(|(y, x)| {
            y.chunks_mut(BLOCK_ROWS * wide).enumerate().map(move |(i, y)| (x, i * BLOCK_ROWS, y))
        })
        .collect();
    tasks.into_par_iter().for_each(|(x, first_row, y)| {
        pulp::Arch::new().dispatch(ForwardTile { shape, packed: &packed, x, first_row, y });
    });
    if wide == shape.co {
        return y;
    }
    y.chunks(wide).flat_map(|row| &row[..shape.co]).copied().collect()
}

/// Gradients of the weights `[taps, ci, co]` and of the bias `[co]`, from the input `x`
/// `[batch, rows, ci]` and the gradient `dy` `[batch, rows, co]` of the output.
pub(crate) fn weight_gradient(shape: &ConvShape, x: &[f32], dy: &[f32]) -> (Vec<f32>, Vec<f32>) {
    let wide = shape.co.next_multiple_of(LANES);
    let padded;
    let dy = if wide == shape.co {
        dy
    } else {
        padded = widen(dy, shape.co, wide);
        &padded[..]
    };
    // A fixed split, so that the sum's order does not depend on the number of threads.
    let parts = shape.batch.clamp(1, 8);
    let per_part = shape.batch.div_ceil(parts).max(1);
    let sums: Vec<(Vec<f32>, Vec<f32>)> = (0..shape.batch.div_ceil(per_part))
        .into_par_iter()
        .map(|part| {
            let mut dw = vec![0f32; shape.taps * shape.ci * wide];
            let mut db = vec![0f32; wide];
            let signals = part * per_part..((part + 1) * per_part).min(shape.batch);
            for b in signals {
                let x = &x[b * shape.rows * shape.ci..][..shape.rows * shape.ci];
                let dy = &dy[b * shape.rows * wide..][..shape.rows * wide];
                pulp::Arch::new().dispatch(GradientTile { shape, wide, x, dy, dw: &mut dw });
                for row in dy.chunks_exact(wide) {
                    db.iter_mut().zip(row).for_each(|(sum, v)| *sum += v);
                }
            }
            (dw, db)
        })
        .collect();
    let mut total = (vec![0f32; shape.taps * shape.ci * wide], vec![0f32; wide]);
    for (dw, db) in &sums {
        total.0.iter_mut().zip(dw).for_each(|(sum, v)| *sum += v);
        total.1.iter_mut().zip(db).for_each(|(sum, v)| *sum += v);
    }
    if wide == shape.co {
        return total;
    }
    let narrow = |v: &[f32]| v.chunks(wide).flat_map(|r| &r[..shape.co]).copied().collect();
    (narrow(&total.0), narrow(&total.1))
}

/// Rows of `narrow` values, each padded with zeros to `wide`.
fn widen(values: &[f32], narrow: usize, wide: usize) -> Vec<f32> {
    let mut out = vec![0f32; values.len() / narrow * wide];
    for (to, from) in out.chunks_mut(wide).zip(values.chunks(narrow)) {
        to[..narrow].copy_from_slice(from);
    }
    out
}

/// Weights in the order in which the tiles read them: `[panel][tap][ci][panel width]`.
struct Packed {
    /// Output channels with padding.
    width: usize,
    /// Output channels of one panel: 64, 48, 32 or 16.
    panel: usize,
    weights: Vec<f32>,
    bias: Vec<f32>,
}

impl Packed {
    fn new(shape: &ConvShape, w: &[f32], bias: Option<&[f32]>) -> Self {
        let width = shape.co.next_multiple_of(LANES);
        let panel = panel_width(width);
        let per_panel = shape.taps * shape.ci * panel;
        let mut weights = vec![0f32; width / panel * per_panel];
        for (row, values) in w.chunks_exact(shape.co).enumerate() {
            for (column, values) in values.chunks(panel).enumerate() {
                weights[column * per_panel + row * panel..][..values.len()].copy_from_slice(values);
            }
        }
        let mut bias = bias.map_or_else(Vec::new, <[f32]>::to_vec);
        bias.resize(width, 0.0);
        Packed { width, panel, weights, bias }
    }
}

/// The widest panel of at most four times [`LANES`] that divides `width`.
pub(crate) fn panel_width(width: usize) -> usize {
    (1..=4).rev().map(|n| n * LANES).find(|panel| width.is_multiple_of(*panel)).unwrap_or(LANES)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::noise::Noise;
    use proptest::prelude::*;

    fn random(seed: u64, len: usize) -> Vec<f32> {
        let mut out = vec![0f32; len];
        Noise::new(seed).fill(0, 0, &mut out);
        out
    }

    fn close(a: &[f32], b: &[f32], scale: f32) {
        assert_eq!(a.len(), b.len());
        for (i, (x, y)) in a.iter().zip(b).enumerate() {
            assert!((x - y).abs() <= 2e-6 * scale, "value {i}: {x} against {y}");
        }
    }

    fn shapes() -> impl Strategy<Value = ConvShape> {
        (1usize..4, 1usize..300, 1usize..40, 1usize..100, 1usize..6, 1usize..9, 0f64..=1.0)
            .prop_map(|(batch, rows, ci, co, taps, dilation, lean)| {
                let left = ((dilation * (taps - 1)) as f64 * lean) as usize;
                ConvShape { batch, rows, ci, co, taps, dilation, left }
            })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn tiles_equal_their_plain_twin(shape in shapes(), seed in 0u64..1000) {
            let x = random(seed, shape.batch * shape.rows * shape.ci);
            let w = random(seed + 1, shape.taps * shape.ci * shape.co);
            let bias = random(seed + 2, shape.co);
            let scale = (shape.taps * shape.ci) as f32;
            let y = forward(&shape, &x, &w, Some(&bias));
            close(&y, &plain::forward(&shape, &x, &w, Some(&bias)), scale);

            let dy = random(seed + 3, y.len());
            let (dw, db) = weight_gradient(&shape, &x, &dy);
            let (dw_plain, db_plain) = plain::weight_gradient(&shape, &x, &dy);
            let scale = (shape.batch * shape.rows) as f32;
            close(&dw, &dw_plain, scale);
            close(&db, &db_plain, scale);
        }

        #[test]
        fn the_gradient_is_the_adjoint(shape in shapes(), seed in 0u64..1000) {
            // <conv(x), dy> = <x, conv^T(dy)> for every x and dy.
            let x = random(seed, shape.batch * shape.rows * shape.ci);
            let w = random(seed + 1, shape.taps * shape.ci * shape.co);
            let y = forward(&shape, &x, &w, None);
            let dy = random(seed + 3, y.len());
            let flipped = flip(&w, shape.taps, shape.ci, shape.co);
            let dx = forward(&shape.transposed(), &dy, &flipped, None);
            let dot = |a: &[f32], b: &[f32]| {
                a.iter().zip(b).map(|(p, q)| f64::from(*p) * f64::from(*q)).sum::<f64>()
            };
            let (forward, backward) = (dot(&y, &dy), dot(&x, &dx));
            prop_assert!((forward - backward).abs() <= 1e-4 * (1.0 + forward.abs()).max(100.0));
        }
    }

    #[test]
    fn a_piece_equals_the_whole_bit_for_bit() {
        let shape =
            ConvShape { batch: 1, rows: 700, ci: 24, co: 40, taps: 3, dilation: 4, left: 4 };
        let x = random(1, shape.rows * shape.ci);
        let w = random(2, shape.taps * shape.ci * shape.co);
        let whole = forward(&shape, &x, &w, None);
        let piece = ConvShape { rows: 133, ..shape };
        let part = forward(&piece, &x[97 * shape.ci..][..133 * shape.ci], &w, None);
        assert_eq!(part[4 * 40..129 * 40], whole[101 * 40..226 * 40]);
    }
}
