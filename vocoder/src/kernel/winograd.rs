//! Convolutions of three taps with half the multiplications (Winograd 1980; Lavin & Gray 2016, arXiv
//! 1509.09308, sections 4.1 and 4.3): F(4, 3) makes four neighbouring outputs from six products of sums
//! of inputs with sums of weights, instead of twelve.
//!
//! Y = A' [(G g) . (B' d)], with interpolation [`Points`] 0, 1, -1, 2, -2 if the precision wants no others.
//! In bf16 the transforms are computed in f32 and rounded once: rendered speech differs from f32's by 62 dB
//! less than its level, by 68 dB in the direct form. Of whole numbers of 16 bits the sums are whole numbers,
//! and exact. F(2, 3), a third fewer multiplications, was slower in f32 and bf16.
//!
//! The gradient of the taps is the transpose of the same: g' = G' [(B' d) . (A y')], with products summed
//! over the tiles.

use std::num::Wrapping;

use pulp::{Simd, bytemuck};

use super::panel::Value;
use super::rows::seen;
use crate::config::LEAKY_SLOPE;

/// Outputs of a tile.
pub(crate) const TILE: usize = 4;

/// Products of a tile.
pub(crate) const POINTS: usize = TILE + 2;

/// Scales or units that change nothing.
pub(crate) const ONES: [f32; POINTS] = [1.0; POINTS];

/// Columns that are transformed at a time. Arrays of known size stay in registers, while slices would be
/// checked for overlap.
const SPAN: usize = 8;

/// The same for whole numbers, of which a register holds twice as many.
const WHOLE_SPAN: usize = 16;

/// Where the polynomials are taken that a tile multiplies: at 0, at these two with either sign, and at
/// infinity.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Points {
    pub inner: f32,
    pub outer: f32,
}

impl Points {
    /// The usual ones, with whole numbers in the sums of inputs.
    pub const WHOLE: Self = Points { inner: 1.0, outer: 2.0 };

    /// With the least noise where sums of inputs and of weights are rounded: 3.4 dB below that of
    /// [`Points::WHOLE`], the four outputs having about as much each (independent normal inputs after leaky
    /// ReLU, 256 channels).
    pub const CALM: Self = Points { inner: 0.7, outer: 1.5 };
}

/// G g: the weights of the products from the three taps.
pub(crate) fn weights(points: Points, taps: [f32; 3]) -> [f32; POINTS] {
    let [a, b, c] = taps.map(f64::from);
    let (inner, outer) = (f64::from(points.inner), f64::from(points.outer));
    let (inner2, outer2) = (inner * inner, outer * outer);
    let both = |at: f64, scale: f64| {
        let (even, odd) = ((a + at * at * c) / scale, at * b / scale);
        (even + odd, even - odd)
    };
    let (p1, p2) = both(inner, 2.0 * inner2 * (inner2 - outer2));
    let (p3, p4) = both(outer, 2.0 * outer2 * (outer2 - inner2));
    [a / (inner2 * outer2), p1, p2, p3, p4, c].map(|v| v as f32)
}

/// G' m: the gradient of the three taps from those of the products' weights, the transpose of
/// [`weights`] of [`Points::WHOLE`].
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
pub(crate) fn inputs(rows: &[&[f32]; POINTS], out: &mut [f32], stride: usize, n: usize) {
    let mut out = six_rows(out, stride, n);
    let whole = n / SPAN * SPAN;
    for c in (0..whole).step_by(SPAN) {
        input_columns::<SPAN>(rows, &mut out, c);
    }
    for c in whole..n {
        input_columns::<1>(rows, &mut out, c);
    }
}

/// [`inputs`] for the columns from `c` on.
#[inline(always)]
fn input_columns<const N: usize>(
    rows: &[&[f32]; POINTS],
    out: &mut [&mut [f32]; POINTS],
    c: usize,
) {
    let mut d = [[0f32; N]; POINTS];
    for (d, row) in d.iter_mut().zip(rows) {
        d.copy_from_slice(&row[c..c + N]);
    }
    let factors = Factors::of(Points::WHOLE);
    let mut p = [[0f32; N]; POINTS];
    for i in 0..N {
        let one = [d[0][i], d[1][i], d[2][i], d[3][i], d[4][i], d[5][i]];
        let sums = transform(one, &factors);
        for k in 0..POINTS {
            p[k][i] = sums[k];
        }
    }
    for (out, p) in out.iter_mut().zip(&p) {
        out[c..c + N].copy_from_slice(p);
    }
}

/// As [`inputs`], in the values of a precision and, before them, its units: of each point's row `scales` says
/// how many are one.
#[inline(always)]
pub(crate) fn rounded_inputs<S: Simd, T: Value, const LEAKY: bool>(
    simd: S,
    rows: &[&[f32]; POINTS],
    scales: &[f32; POINTS],
    out: &mut [T],
    stride: usize,
    n: usize,
) {
    let out = six_rows(out, stride, n);
    for c in (0..n).step_by(S::F32_LANES) {
        let mut sums = vector_sums::<S, T, LEAKY>(simd, rows, c, n);
        for k in 0..POINTS {
            sums[k] = simd.mul_f32s(sums[k], simd.splat_f32s(scales[k]));
        }
        let sums: &[f32] = bytemuck::cast_slice(&sums);
        for k in 0..POINTS {
            let (sums, out) = (&sums[k * S::F32_LANES..], &mut out[k][c..]);
            match S::F32_LANES.min(n - c) {
                16 => round_columns::<T, 16>(sums, out),
                8 => round_columns::<T, 8>(sums, out),
                4 => round_columns::<T, 4>(sums, out),
                some => (0..some).for_each(|i| out[i] = T::round_input(sums[i])),
            }
        }
    }
}

#[inline(always)]
fn round_columns<T: Value, const N: usize>(sums: &[f32], out: &mut [T]) {
    let (mut values, mut rounded) = ([0f32; N], [T::default(); N]);
    values.copy_from_slice(&sums[..N]);
    for i in 0..N {
        rounded[i] = T::round_input(values[i]);
    }
    out[..N].copy_from_slice(&rounded);
}

/// The largest magnitude of each of the six rows that [`rounded_inputs`] rounds, for scales of 1.
#[inline(always)]
pub(crate) fn largest_sums<S: Simd, T: Value, const LEAKY: bool>(
    simd: S,
    rows: &[&[f32]; POINTS],
    n: usize,
) -> [f32; POINTS] {
    let mut most = [simd.splat_f32s(0.0); POINTS];
    for c in (0..n).step_by(S::F32_LANES) {
        let sums = vector_sums::<S, T, LEAKY>(simd, rows, c, n);
        for k in 0..POINTS {
            most[k] = simd.max_f32s(most[k], simd.abs_f32s(sums[k]));
        }
    }
    let mut largest = [0f32; POINTS];
    for k in 0..POINTS {
        largest[k] = simd.reduce_max_f32s(most[k]);
    }
    largest
}

/// B' d of a register of the `n` channels, from channel `c` on; of those that there are not it is 0.
#[inline(always)]
fn vector_sums<S: Simd, T: Value, const LEAKY: bool>(
    simd: S,
    rows: &[&[f32]; POINTS],
    c: usize,
    n: usize,
) -> [S::f32s; POINTS] {
    let slope = simd.splat_f32s(LEAKY_SLOPE as f32);
    let mut d = [Vector { simd, v: slope }; POINTS];
    for k in 0..POINTS {
        let row = &rows[k][c..n];
        let v = match row.len() >= S::F32_LANES {
            true => bytemuck::pod_read_unaligned(bytemuck::cast_slice(&row[..S::F32_LANES])),
            false => simd.partial_load_f32s(row),
        };
        d[k].v = if LEAKY { simd.max_f32s(v, simd.mul_f32s(v, slope)) } else { v };
    }
    let factors = Factors::splat(simd, T::POINTS);
    let sums = transform(d, &factors);
    let mut out = [slope; POINTS];
    for k in 0..POINTS {
        out[k] = sums[k].v;
    }
    out
}

/// What [`Points`] make of inputs: they, their squares, and the sum and the product of the squares.
struct Factors<V> {
    inner: V,
    outer: V,
    inner2: V,
    outer2: V,
    sum: V,
    product: V,
}

impl Factors<f32> {
    #[inline(always)]
    fn of(points: Points) -> Self {
        let Points { inner, outer } = points;
        let (inner2, outer2) = (inner * inner, outer * outer);
        Factors { inner, outer, inner2, outer2, sum: inner2 + outer2, product: inner2 * outer2 }
    }
}

impl Factors<Wrapping<i16>> {
    /// Of [`Points::WHOLE`].
    const WHOLE: Self = Factors {
        inner: Wrapping(1),
        outer: Wrapping(2),
        inner2: Wrapping(1),
        outer2: Wrapping(4),
        sum: Wrapping(5),
        product: Wrapping(4),
    };
}

impl<S: Simd> Factors<Vector<S>> {
    #[inline(always)]
    fn splat(simd: S, points: Points) -> Self {
        let f = Factors::of(points);
        Factors {
            inner: Vector::splat(simd, f.inner),
            outer: Vector::splat(simd, f.outer),
            inner2: Vector::splat(simd, f.inner2),
            outer2: Vector::splat(simd, f.outer2),
            sum: Vector::splat(simd, f.sum),
            product: Vector::splat(simd, f.product),
        }
    }
}

/// What [`transform`] computes with.
trait Number: Copy {
    /// `self + factor * other`.
    fn plus(self, factor: Self, other: Self) -> Self;

    /// `self - factor * other`.
    fn less(self, factor: Self, other: Self) -> Self;
}

impl Number for f32 {
    #[inline(always)]
    fn plus(self, factor: Self, other: Self) -> Self {
        self + factor * other
    }

    #[inline(always)]
    fn less(self, factor: Self, other: Self) -> Self {
        self - factor * other
    }
}

impl Number for Wrapping<i16> {
    #[inline(always)]
    fn plus(self, factor: Self, other: Self) -> Self {
        self + factor * other
    }

    #[inline(always)]
    fn less(self, factor: Self, other: Self) -> Self {
        self - factor * other
    }
}

/// A register.
#[derive(Clone, Copy)]
struct Vector<S: Simd> {
    simd: S,
    v: S::f32s,
}

impl<S: Simd> Vector<S> {
    #[inline(always)]
    fn splat(simd: S, value: f32) -> Self {
        Vector { simd, v: simd.splat_f32s(value) }
    }
}

impl<S: Simd> Number for Vector<S> {
    #[inline(always)]
    fn plus(self, factor: Self, other: Self) -> Self {
        Vector { v: self.simd.mul_add_e_f32s(factor.v, other.v, self.v), ..self }
    }

    #[inline(always)]
    fn less(self, factor: Self, other: Self) -> Self {
        Vector { v: self.simd.negate_mul_add_e_f32s(factor.v, other.v, self.v), ..self }
    }
}

/// B' d of one channel.
#[inline(always)]
fn transform<V: Number>([d0, d1, d2, d3, d4, d5]: [V; POINTS], f: &Factors<V>) -> [V; POINTS] {
    let (even, odd) = (d4.less(f.outer2, d2), d3.less(f.outer2, d1));
    let (even2, odd2) = (d4.less(f.inner2, d2), d3.less(f.inner2, d1));
    [
        d4.less(f.sum, d2).plus(f.product, d0),
        even.plus(f.inner, odd),
        even.less(f.inner, odd),
        even2.plus(f.outer, odd2),
        even2.less(f.outer, odd2),
        d5.less(f.sum, d3).plus(f.product, d1),
    ]
}

/// How far a tile's sums of [`Points::WHOLE`], point by point, may reach beyond its largest input.
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
    let mut out = six_rows(out, stride, n);
    let whole = n / WHOLE_SPAN * WHOLE_SPAN;
    for c in (0..whole).step_by(WHOLE_SPAN) {
        whole_columns::<LEAKY, WHOLE_SPAN>(rows, scale, &mut out, c);
    }
    for c in whole..n {
        whole_columns::<LEAKY, 1>(rows, scale, &mut out, c);
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
        let sums = transform(one, &Factors::<Wrapping<i16>>::WHOLE);
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

/// A' p: `N` columns of a tile's four rows, from six rows of products at distance `stride`.
#[inline(always)]
pub(crate) fn outputs<const N: usize>(
    points: Points,
    products: &[f32],
    stride: usize,
) -> [[f32; N]; TILE] {
    let Factors { inner: x1, outer: x2, inner2, outer2, .. } = Factors::of(points);
    let (inner3, outer3) = (x1 * inner2, x2 * outer2);
    let mut p = [[0f32; N]; POINTS];
    for (k, p) in p.iter_mut().enumerate() {
        p.copy_from_slice(&products[k * stride..][..N]);
    }
    let (mut inner, mut outer) = ([0f32; N], [0f32; N]);
    let (mut inner_odd, mut outer_odd) = ([0f32; N], [0f32; N]);
    // A loop for each, or the compiler makes vectors of sums and differences in turn.
    for i in 0..N {
        inner[i] = p[1][i] + p[2][i];
    }
    for i in 0..N {
        outer[i] = p[3][i] + p[4][i];
    }
    for i in 0..N {
        inner_odd[i] = p[1][i] - p[2][i];
    }
    for i in 0..N {
        outer_odd[i] = p[3][i] - p[4][i];
    }
    let mut out = [[0f32; N]; TILE];
    for i in 0..N {
        out[0][i] = p[0][i] + inner[i] + outer[i];
    }
    for i in 0..N {
        out[1][i] = x1 * inner_odd[i] + x2 * outer_odd[i];
    }
    for i in 0..N {
        out[2][i] = inner2 * inner[i] + outer2 * outer[i];
    }
    for i in 0..N {
        out[3][i] = inner3 * inner_odd[i] + outer3 * outer_odd[i] + p[5][i];
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::Isa;
    use crate::kernel::panel::Panel;

    /// One channel against the definition.
    fn one_channel<T: Value>(round: impl Fn(T) -> f32) {
        let (d, g) = ([3.0, -1.0, 2.0, 0.5, -4.0, 1.5], [0.5, -2.0, 3.0]);
        let singles: Vec<[f32; 1]> = d.iter().map(|&v| [v]).collect();
        let rows: [&[f32]; POINTS] = std::array::from_fn(|i| &singles[i][..]);
        let mut sums = [T::default(); POINTS];
        inputs::<T, false>(&rows, &ONES, &mut sums, 1, 1);
        let all = sums.into_iter().zip(weights(T::POINTS, g));
        let products: Vec<f32> = all.map(|(a, b)| round(a) * b).collect();
        for (t, [found]) in outputs::<1>(T::POINTS, &products, 1).into_iter().enumerate() {
            let expected: f32 = (0..3).map(|k| g[k] * d[t + k]).sum();
            assert!((found - expected).abs() < 1e-4, "{t}: {found} {expected}");
        }
    }

    #[test]
    fn a_tile_equals_the_convolution() {
        one_channel::<f32>(|v| v);
        one_channel::<Calm>(|v| v.0);
    }

    /// Not rounded, at the points of bytes.
    #[derive(Clone, Copy, Default)]
    struct Calm(f32);

    impl Value for Calm {
        const DEPTH: usize = 1;
        const POINTS: Points = Points::CALM;

        fn round(value: f32) -> Self {
            Calm(value)
        }

        fn columns(_: Isa, width: usize) -> usize {
            width
        }

        fn compute(_: Panel<'_, Self>, _: Isa) {}
    }

    /// Of all inputs of one magnitude, those of the worst signs.
    #[test]
    fn no_sum_reaches_further() {
        let mut most = [0f32; POINTS];
        for signs in 0..1 << POINTS {
            let inputs = std::array::from_fn(|i| if signs >> i & 1 == 1 { 1f32 } else { -1.0 });
            let sums = transform(inputs, &Factors::of(Points::WHOLE));
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
            inputs::<f32, true>(&rows, &ONES, &mut expected, n, n);
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
        inputs::<f32, false>(&std::array::from_fn(|i| &singles[i][..]), &ONES, &mut left, 1, 1);
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
