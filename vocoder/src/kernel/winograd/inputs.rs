//! B' d: sums of a tile's inputs, plainly, rounded to a precision, and of whole numbers.

use std::num::Wrapping;
use std::ops::{Add, Mul, Sub};

use pulp::{Simd, bytemuck};

use super::{Factors, POINTS, Points};
use crate::config::LEAKY_SLOPE;
use crate::kernel::panel::Value;
use crate::kernel::rows::seen;

/// Columns that are transformed at a time. Arrays of known size stay in registers, while slices would be
/// checked for overlap.
const SPAN: usize = 8;

/// The same for whole numbers, of which a register holds twice as many.
const WHOLE_SPAN: usize = 16;

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
pub(super) trait Number: Copy {
    /// `self + factor * other`.
    fn plus(self, factor: Self, other: Self) -> Self;

    /// `self - factor * other`.
    fn less(self, factor: Self, other: Self) -> Self;
}

impl<V: Copy + Add<Output = V> + Sub<Output = V> + Mul<Output = V>> Number for V {
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
pub(super) fn transform<V: Number>(
    [d0, d1, d2, d3, d4, d5]: [V; POINTS],
    f: &Factors<V>,
) -> [V; POINTS] {
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
pub(super) fn six_rows<T>(out: &mut [T], stride: usize, n: usize) -> [&mut [T]; POINTS] {
    let (o0, rest) = out.split_at_mut(stride);
    let (o1, rest) = rest.split_at_mut(stride);
    let (o2, rest) = rest.split_at_mut(stride);
    let (o3, rest) = rest.split_at_mut(stride);
    let (o4, o5) = rest.split_at_mut(stride);
    [&mut o0[..n], &mut o1[..n], &mut o2[..n], &mut o3[..n], &mut o4[..n], &mut o5[..n]]
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::engine::Isa;
    use crate::kernel::tests::random;
    use crate::kernel::winograd::tests::sums;

    /// In registers and plainly, of every number of channels.
    #[test]
    fn registers_give_the_plain_sums() {
        for n in 1..40 {
            let values = random(n as u64, POINTS * n);
            let rows: [&[f32]; POINTS] = std::array::from_fn(|k| &values[k * n..][..n]);
            let mut plain = vec![0f32; POINTS * n];
            inputs(&rows, &mut plain, n, n);
            for isa in Isa::all() {
                for (a, b) in sums::<f32, false>(isa, &rows, n).iter().zip(&plain) {
                    assert!((a - b).abs() < 1e-5, "{isa} {n}: {a} {b}");
                }
            }
        }
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
            let expected = sums::<f32, true>(Isa::detect().unwrap(), &rows, n);
            let mut found = vec![0i16; POINTS * n];
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
}
