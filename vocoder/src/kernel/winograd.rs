//! Convolutions of three taps with half the multiplications (Winograd 1980; Lavin & Gray 2016, arXiv
//! 1509.09308, sections 4.1 and 4.3): F(4, 3) makes four neighbouring outputs from six products of sums
//! of inputs with sums of weights, instead of twelve.
//!
//! Y = A' [(G g) . (B' d)], with the interpolation points 0, 1, -1, 2, -2. In bf16 the transforms are
//! computed in f32 and rounded once: rendered speech differs from f32's by 62 dB less than its level,
//! by 68 dB in the direct form. Of whole numbers the sums are whole numbers, and exact. F(2, 3), a third fewer multiplications, was slower in both precisions.
//!
//! The gradient of the taps is the transpose of the same: g' = G' [(B' d) . (A y')], with products summed
//! over the tiles.

use std::num::Wrapping;
use std::ops::{Add, Mul, Sub};

use super::panel::Value;
use super::rows::seen;

/// Outputs of a tile.
pub(crate) const TILE: usize = 4;

/// Products of a tile.
pub(crate) const POINTS: usize = TILE + 2;

/// Columns that are transformed at a time. Arrays of known size stay in registers, while slices would be
/// checked for overlap.
const SPAN: usize = 8;

/// The same for whole numbers, of which a register holds twice as many.
const WHOLE_SPAN: usize = 16;

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
    let rows = rows.map(|row| &row[..n]);
    let mut out = six_rows(out, stride, n);
    let whole = n / SPAN * SPAN;
    for c in (0..whole).step_by(SPAN) {
        input_columns::<T, LEAKY, SPAN>(&rows, &mut out, c);
    }
    for c in whole..n {
        input_columns::<T, LEAKY, 1>(&rows, &mut out, c);
    }
}

/// [`inputs`] for the columns from `c` on.
#[inline(always)]
fn input_columns<T: Value, const LEAKY: bool, const N: usize>(
    rows: &[&[f32]; POINTS],
    out: &mut [&mut [T]; POINTS],
    c: usize,
) {
    let mut d = [[0f32; N]; POINTS];
    for (d, row) in d.iter_mut().zip(rows) {
        d.copy_from_slice(&row[c..c + N]);
        d.iter_mut().for_each(|v| *v = seen::<LEAKY>(*v));
    }
    let mut p = [[T::default(); N]; POINTS];
    for i in 0..N {
        let one = [d[0][i], d[1][i], d[2][i], d[3][i], d[4][i], d[5][i]];
        let sums = transform(one, (2.0, 4.0, 5.0));
        for k in 0..POINTS {
            p[k][i] = T::round(sums[k]);
        }
    }
    for (out, p) in out.iter_mut().zip(&p) {
        out[c..c + N].copy_from_slice(p);
    }
}

/// B' d of one channel; `(2, 4, 5)` as its numbers are written.
#[inline(always)]
fn transform<V>([d0, d1, d2, d3, d4, d5]: [V; POINTS], (two, four, five): (V, V, V)) -> [V; POINTS]
where
    V: Copy + Add<Output = V> + Sub<Output = V> + Mul<Output = V>,
{
    let (even, odd) = (d4 - four * d2, d3 - four * d1);
    let (even2, odd2) = (d4 - d2, two * (d3 - d1));
    [
        four * d0 - five * d2 + d4,
        even + odd,
        even - odd,
        even2 + odd2,
        even2 - odd2,
        four * d1 - five * d3 + d5,
    ]
}

/// How far a tile's sums, point by point, may reach beyond its largest input.
pub(crate) const REACH: [f32; POINTS] = [10.0, 10.0, 10.0, 6.0, 6.0, 10.0];

/// As [`inputs`], of the nearest whole numbers to `scale` times the rows. The sums are exact if ten times
/// the largest of these numbers has 16 bits.
#[inline(always)]
pub(crate) fn whole_inputs<const LEAKY: bool>(
    rows: &[&[f32]; POINTS],
    scale: f32,
    out: &mut [i16],
    stride: usize,
    n: usize,
) {
    let rows = rows.map(|row| &row[..n]);
    let mut out = six_rows(out, stride, n);
    let whole = n / WHOLE_SPAN * WHOLE_SPAN;
    for c in (0..whole).step_by(WHOLE_SPAN) {
        whole_columns::<LEAKY, WHOLE_SPAN>(&rows, scale, &mut out, c);
    }
    for c in whole..n {
        whole_columns::<LEAKY, 1>(&rows, scale, &mut out, c);
    }
}

/// [`whole_inputs`] for the columns from `c` on.
#[inline(always)]
fn whole_columns<const LEAKY: bool, const N: usize>(
    rows: &[&[f32]; POINTS],
    scale: f32,
    out: &mut [&mut [i16]; POINTS],
    c: usize,
) {
    let mut d = [[Wrapping(0i16); N]; POINTS];
    for (d, row) in d.iter_mut().zip(rows) {
        let mut values = [0f32; N];
        values.copy_from_slice(&row[c..c + N]);
        for i in 0..N {
            d[i] = Wrapping(i16::round(seen::<LEAKY>(values[i]) * scale));
        }
    }
    let mut p = [[0i16; N]; POINTS];
    for i in 0..N {
        let one = [d[0][i], d[1][i], d[2][i], d[3][i], d[4][i], d[5][i]];
        let sums = transform(one, (Wrapping(2), Wrapping(4), Wrapping(5)));
        for k in 0..POINTS {
            p[k][i] = sums[k].0;
        }
    }
    for (out, p) in out.iter_mut().zip(&p) {
        out[c..c + N].copy_from_slice(p);
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

/// A' p: a tile's four rows of `WIDTH` columns, from six rows of products at distance `stride`.
#[inline(always)]
pub(crate) fn outputs<const WIDTH: usize>(products: &[f32], stride: usize) -> [[f32; WIDTH]; TILE] {
    let mut out = [[0f32; WIDTH]; TILE];
    let rows: [&[f32]; POINTS] = std::array::from_fn(|i| &products[i * stride..][..WIDTH]);
    let span = SPAN.min(WIDTH);
    for n in (0..WIDTH).step_by(span) {
        let mut p = [[0f32; SPAN]; POINTS];
        for (p, row) in p.iter_mut().zip(rows) {
            p[..span].copy_from_slice(&row[n..n + span]);
        }
        let [p0, p1, p2, p3, p4, p5] = &p;
        for i in 0..span {
            let (inner, outer) = (p1[i] + p2[i], p3[i] + p4[i]);
            let (inner_odd, outer_odd) = (p1[i] - p2[i], p3[i] - p4[i]);
            out[0][n + i] = p0[i] + inner + outer;
            out[1][n + i] = inner_odd + 2.0 * outer_odd;
            out[2][n + i] = inner + 4.0 * outer;
            out[3][n + i] = inner_odd + 8.0 * outer_odd + p5[i];
        }
    }
    out
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
        for (t, [found]) in outputs::<1>(&products, 1).into_iter().enumerate() {
            let expected: f32 = (0..3).map(|k| g[k] * d[t + k]).sum();
            assert!((found - expected).abs() < 1e-4, "{t}: {found} {expected}");
        }
    }

    /// Of all inputs of one magnitude, those of the worst signs.
    #[test]
    fn no_sum_reaches_further() {
        let mut most = [0f32; POINTS];
        for signs in 0..1 << POINTS {
            let inputs = std::array::from_fn(|i| if signs >> i & 1 == 1 { 1f32 } else { -1.0 });
            let sums = transform(inputs, (2.0, 4.0, 5.0));
            (0..POINTS).for_each(|k| most[k] = sums[k].abs().max(most[k]));
        }
        assert_eq!(most, REACH);
    }

    /// Whole numbers of every channel count, against the sums of f32.
    #[test]
    fn whole_numbers_have_the_same_sums() {
        for n in [1, 15, 16, 37] {
            let rows: Vec<Vec<f32>> = (0..POINTS)
                .map(|k| (0..n).map(|c| ((k * 31 + c * 17) % 601) as f32 - 300.0).collect())
                .collect();
            let rows: [&[f32]; POINTS] = std::array::from_fn(|k| &rows[k][..]);
            let (mut expected, mut found) = (vec![0f32; POINTS * n], vec![0i16; POINTS * n]);
            inputs::<f32, true>(&rows, &mut expected, n, n);
            whole_inputs::<true>(&rows, 10.0, &mut found, n, n);
            for (k, (found, expected)) in found.iter().zip(&expected).enumerate() {
                // Leaky ReLU's fifths are whole in tenths, but for their own rounding.
                assert!(
                    (f32::from(*found) - 10.0 * expected).abs() < 0.02,
                    "{k}: {found} {expected}"
                );
            }
            let most = found.iter().map(|v| v.unsigned_abs()).max();
            assert!(most <= Some(30_000) && most >= Some(3000), "{most:?}");
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
