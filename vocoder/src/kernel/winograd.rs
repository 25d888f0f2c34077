//! Convolutions of three taps with half the multiplications (Winograd 1980; Lavin & Gray 2016, arXiv
//! 1509.09308, sections 4.1 and 4.3): F(4, 3) makes four neighbouring outputs from six products of sums
//! of inputs with sums of weights, instead of twelve.
//!
//! Y = A' [(G g) . (B' d)], with the interpolation points 0, 1, -1, 2, -2. In bf16 the transforms are
//! computed in f32 and rounded once: rendered speech differs from f32's by 62 dB less than its level,
//! by 68 dB in the direct form. F(2, 3), a third fewer multiplications, was slower in both precisions.
//!
//! The gradient of the taps is the transpose of the same: g' = G' [(B' d) . (A y')], with products summed
//! over the tiles.

use super::panel::Value;

/// Outputs of a tile.
pub(crate) const TILE: usize = 4;

/// Products of a tile.
pub(crate) const POINTS: usize = TILE + 2;

/// G g: the weights of the products from the three taps.
pub(crate) fn weights([a, b, c]: [f32; 3]) -> [f32; POINTS] {
    let (a, b, c) = (f64::from(a), f64::from(b), f64::from(c));
    [
        a / 4.0,
        -(a + b + c) / 6.0,
        -(a - b + c) / 6.0,
        a / 24.0 + b / 12.0 + c / 6.0,
        a / 24.0 - b / 12.0 + c / 6.0,
        c,
    ]
    .map(|v| v as f32)
}

/// G' m: the gradient of the three taps from those of the products' weights, the transpose of
/// [`weights`].
#[inline(always)]
pub(crate) fn weights_transposed(m: [f32; POINTS]) -> [f32; 3] {
    let [m0, m1, m2, m3, m4, m5] = m;
    let (inner, outer) = (m1 + m2, m3 + m4);
    [
        m0 / 4.0 - inner / 6.0 + outer / 24.0,
        (m2 - m1) / 6.0 + (m3 - m4) / 12.0,
        (outer - inner) / 6.0 + m5,
    ]
}

/// A y for the columns of four rows of outputs' gradients: six rows of `out`, at distance `stride`, by
/// which the tile's inputs (as [`inputs`] leaves them) are multiplied to the gradient of the weights;
/// the transpose of [`output`].
#[inline(always)]
pub(crate) fn outputs_transposed(rows: &[&[f32]; TILE], out: &mut [f32], stride: usize, n: usize) {
    let [y0, y1, y2, y3] = [0, 1, 2, 3].map(|i| &rows[i][..n]);
    let [o0, o1, o2, o3, o4, o5] = six_rows(out, stride, n);
    for c in 0..n {
        let [y0, y1, y2, y3] = [y0[c], y1[c], y2[c], y3[c]];
        let (even, odd) = (y0 + y2, y1 + y3);
        let (even2, odd2) = (y0 + 4.0 * y2, 2.0 * y1 + 8.0 * y3);
        o0[c] = y0;
        o1[c] = even + odd;
        o2[c] = even - odd;
        o3[c] = even2 + odd2;
        o4[c] = even2 - odd2;
        o5[c] = y3;
    }
}

/// B' d for `n` channels: from six rows of inputs to six rows of `out`, at distance `stride`.
#[inline(always)]
pub(crate) fn inputs<T: Value, const LEAKY: bool>(
    rows: &[&[f32]; POINTS],
    out: &mut [T],
    stride: usize,
    n: usize,
) {
    #[inline(always)]
    fn activated<const LEAKY: bool>(v: f32) -> f32 {
        if LEAKY { super::rows::leaky(v) } else { v }
    }
    let [d0, d1, d2, d3, d4, d5] = [0, 1, 2, 3, 4, 5].map(|i| &rows[i][..n]);
    let [o0, o1, o2, o3, o4, o5] = six_rows(out, stride, n);
    for c in 0..n {
        let [d0, d1, d2, d3, d4, d5] =
            [d0[c], d1[c], d2[c], d3[c], d4[c], d5[c]].map(activated::<LEAKY>);
        let (even, odd) = (d4 - 4.0 * d2, d3 - 4.0 * d1);
        let (even2, odd2) = (d4 - d2, 2.0 * (d3 - d1));
        o0[c] = T::round(4.0 * d0 - 5.0 * d2 + d4);
        o1[c] = T::round(even + odd);
        o2[c] = T::round(even - odd);
        o3[c] = T::round(even2 + odd2);
        o4[c] = T::round(even2 - odd2);
        o5[c] = T::round(4.0 * d1 - 5.0 * d3 + d5);
    }
}

/// The first `n` columns of six rows at distance `stride`.
#[inline(always)]
fn six_rows<T>(out: &mut [T], stride: usize, n: usize) -> [&mut [T]; POINTS] {
    let (o0, rest) = out.split_at_mut(stride);
    let (o1, rest) = rest.split_at_mut(stride);
    let (o2, rest) = rest.split_at_mut(stride);
    let (o3, rest) = rest.split_at_mut(stride);
    let (o4, o5) = rest.split_at_mut(stride);
    [&mut o0[..n], &mut o1[..n], &mut o2[..n], &mut o3[..n], &mut o4[..n], &mut o5[..n]]
}

/// Row `which` of A' p, from six rows of products at distance `stride`, for the columns of `out`.
#[inline(always)]
pub(crate) fn output(which: usize, products: &[f32], stride: usize, out: &mut [f32]) {
    let width = out.len();
    let row = |i: usize| &products[i * stride..][..width];
    let (p1, p2, p3, p4) = (row(1), row(2), row(3), row(4));
    match which {
        0 => {
            let p0 = row(0);
            for n in 0..width {
                out[n] = p0[n] + (p1[n] + p2[n]) + (p3[n] + p4[n]);
            }
        }
        1 => {
            for n in 0..width {
                out[n] = (p1[n] - p2[n]) + 2.0 * (p3[n] - p4[n]);
            }
        }
        2 => {
            for n in 0..width {
                out[n] = (p1[n] + p2[n]) + 4.0 * (p3[n] + p4[n]);
            }
        }
        _ => {
            let p5 = row(5);
            for n in 0..width {
                out[n] = (p1[n] - p2[n]) + 8.0 * (p3[n] - p4[n]) + p5[n];
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One channel against the definition.
    #[test]
    fn a_tile_equals_the_convolution() {
        let (d, g) = ([3.0, -1.0, 2.0, 0.5, -4.0, 1.5], [0.5, -2.0, 3.0]);
        let singles: Vec<[f32; 1]> = d.iter().map(|&v| [v]).collect();
        let rows: [&[f32]; POINTS] = std::array::from_fn(|i| &singles[i][..]);
        let mut sums = [0f32; POINTS];
        inputs::<f32, false>(&rows, &mut sums, 1, 1);
        let products: Vec<f32> = sums.iter().zip(weights(g)).map(|(a, b)| a * b).collect();
        for t in 0..TILE {
            let expected: f32 = (0..3).map(|k| g[k] * d[t + k]).sum();
            let mut out = [0f32];
            output(t, &products, 1, &mut out);
            assert!((out[0] - expected).abs() < 1e-4, "{t}: {} {expected}", out[0]);
        }
    }

    /// The taps' gradients of one channel against the definition.
    #[test]
    fn a_tiles_gradient_equals_the_correlation() {
        let (d, y) = ([3.0, -1.0, 2.0, 0.5, -4.0, 1.5], [0.5, -2.0, 3.0, 1.0]);
        let singles = d.map(|v| [v]);
        let mut left = [0f32; POINTS];
        inputs::<f32, false>(&std::array::from_fn(|i| &singles[i][..]), &mut left, 1, 1);
        let singles = y.map(|v| [v]);
        let mut right = [0f32; POINTS];
        outputs_transposed(&std::array::from_fn(|i| &singles[i][..]), &mut right, 1, 1);
        let found = weights_transposed(std::array::from_fn(|p| left[p] * right[p]));
        for (k, found) in found.iter().enumerate() {
            let expected: f32 = (0..TILE).map(|t| y[t] * d[t + k]).sum();
            assert!((found - expected).abs() < 1e-4, "{k}: {found} {expected}");
        }
    }
}
