//! Register tiles of the convolutions: sums of products of rows with a panel of weights.
//!
//! With [`outer`](super::outer), the only `unsafe` code of the library. Contract of every raw access:
//! [`Panel::check`] has compared the slices' lengths with the job's shape before any tile runs.
//!
//! Measured on one Zen 4 core: 88 to 95 % of the f32 peak of 117 G operations/s, 75 to 90 % of the
//! bf16 peak of 230. The `gemm` crate, the fastest of the well-kept ones in f32, packs both sides
//! anew in every call and knows neither bf16 nor whole numbers.

mod bf16;
mod int16;
mod int8;
mod units;

use pulp::{Simd, WithSimd};

use super::LANES;
use super::rows::seen;
use super::winograd::{self, ONES, POINTS, Points};
use crate::engine::Isa;

/// Rows are computed in groups of at most this many; inputs and outputs have room for the last
/// group's.
pub(crate) const MAX_GROUP: usize = 14;

/// `out[r][n] = sum over taps and channels of rows[r * row_step + tap * tap_step + c] w[tap][c][n]`.
pub(crate) struct Panel<'a, T> {
    /// The input, with room for [`MAX_GROUP`] rows beyond the last.
    pub rows: &'a [T],
    /// Values between the first channels of neighbouring output rows.
    pub row_step: usize,
    /// Values between the first channels of neighbouring taps.
    pub tap_step: usize,
    pub taps: usize,
    /// Channels, a multiple of [`Value::DEPTH`].
    pub depth: usize,
    /// `[width / columns][taps][depth / DEPTH][columns][DEPTH]`, with the columns of
    /// [`Value::columns`].
    pub weights: &'a [T],
    /// The unit of each row of `rows`, taps too, which lie whole rows apart; read of
    /// [scaled](Value::SCALED) values only.
    pub row_units: &'a [f32],
    /// `[taps][width]`, the unit of each column of `weights`; read of scaled values only.
    pub column_units: &'a [f32],
    /// `[taps][width]`, [where](Value::column_start) each column's sum begins; read of scaled values only.
    pub column_starts: &'a [i32],
    /// Columns of the panel: 16, 32, 48 or 64.
    pub width: usize,
    /// Rows of output.
    pub count: usize,
    /// `[count + MAX_GROUP][width]`; what lies after `count` rows is left undefined.
    pub out: &'a mut [f32],
}

/// A precision in which products are computed. Sums over all channels and taps are f32.
pub(crate) trait Value: Copy + Default + Send + Sync + 'static {
    /// Neighbouring channels that one instruction multiplies.
    const DEPTH: usize;

    /// Whether values have fewer bits than what they are made of.
    const ROUNDED: bool = Self::DEPTH > 1;

    /// Whether values are multiples of a unit that each row of inputs, and each column of weights, has
    /// for itself. Of other values it is 1.
    const SCALED: bool = false;

    /// Where Winograd's tiles are taken.
    const POINTS: Points = Points::WHOLE;

    /// The nearest value to so many units.
    fn round(value: f32) -> Self;

    /// The same, as inputs are stored.
    #[inline(always)]
    fn round_input(value: f32) -> Self {
        Self::round(value)
    }

    /// Rounds a row of inputs, which begins `to`, and returns its unit.
    #[inline(always)]
    fn pack_row<const LEAKY: bool>(row: &[f32], to: &mut [Self]) -> f32 {
        for (to, &v) in to.iter_mut().zip(row) {
            *to = Self::round_input(seen::<LEAKY>(v));
        }
        1.0
    }

    /// The sums of a tile's inputs, as [`winograd::rounded_inputs`] leaves them, and the units of the six rows.
    #[inline(always)]
    fn pack_tile<S: Simd, const LEAKY: bool>(
        simd: S,
        rows: &[&[f32]; POINTS],
        to: &mut [Self],
        stride: usize,
        n: usize,
    ) -> [f32; POINTS] {
        winograd::rounded_inputs::<S, Self, LEAKY>(simd, rows, &ONES, to, stride, n);
        ONES
    }

    /// The unit of a column of `depth` weights, the largest of which is `most`, and which sum to `sum`,
    /// without their signs; in tiles, those of point `point`.
    fn column_unit(_depth: usize, _point: Option<usize>, _most: f32, _sum: f32) -> f32 {
        1.0
    }

    /// Where the sum of a column of weights begins, that it may come out right.
    fn column_start(_weights: impl Iterator<Item = Self>) -> i32 {
        0
    }

    /// Columns of a panel of `width` that a register tile computes, and whose weights lie side by side.
    /// Read at the distance of a whole panel they would share few sets of the first-level cache: on
    /// Zen 3 in AVX2 a fifth of the time went there.
    fn columns(isa: Isa, width: usize) -> usize;

    /// Computes the job.
    fn compute(panel: Panel<'_, Self>, isa: Isa);
}

impl Value for f32 {
    const DEPTH: usize = 1;

    #[inline(always)]
    fn round(value: f32) -> Self {
        value
    }

    fn columns(isa: Isa, width: usize) -> usize {
        if isa.lanes() == LANES { width } else { LANES }
    }

    fn compute(panel: Panel<'_, Self>, isa: Isa) {
        panel.check();
        isa.arch().dispatch(panel);
    }
}

impl<T: Value> Panel<'_, T> {
    fn check(&self) {
        assert!(self.depth.is_multiple_of(T::DEPTH) && matches!(self.width, 16 | 32 | 48 | 64));
        assert!(self.weights.len() >= self.taps * self.depth * self.width);
        assert!(self.out.len() >= (self.count + MAX_GROUP) * self.width);
        let last = (self.count + MAX_GROUP - 1) * self.row_step;
        assert!(self.rows.len() >= last + (self.taps.max(1) - 1) * self.tap_step + self.depth);
        if T::SCALED {
            let columns = self.taps * self.width;
            assert!(self.column_units.len() >= columns && self.column_starts.len() >= columns);
            let last = self.count + MAX_GROUP - 1 + (self.taps.max(1) - 1) * self.unit_step();
            assert!(self.row_units.len() > last);
        }
    }

    /// Units of rows between neighbouring taps.
    fn unit_step(&self) -> usize {
        self.tap_step / self.row_step
    }
}

/// See [`crate::engine::peak_gflops`].
pub(crate) fn peak_gflops<T: Value>(isa: Isa) -> f64 {
    let (depth, width, count) = (96, 64, 60);
    let rows = vec![T::round(0.5); (count + MAX_GROUP) * depth];
    let weights = vec![T::round(0.5); depth * width];
    let mut out = vec![0f32; (count + MAX_GROUP) * width];
    let units = [1f32; 128];
    let mut best = f64::MAX;
    for _ in 0..200 {
        let start = std::time::Instant::now();
        for _ in 0..5 {
            let panel = Panel {
                rows: &rows,
                row_step: depth,
                tap_step: 0,
                taps: 1,
                depth,
                weights: &weights,
                row_units: &units,
                column_units: &units,
                column_starts: &[0; 128],
                width,
                count,
                out: &mut out,
            };
            T::compute(panel, isa);
        }
        best = best.min(start.elapsed().as_secs_f64());
    }
    (5 * 2 * depth * width * count) as f64 / best / 1e9
}

impl WithSimd for Panel<'_, f32> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        // 32 registers of 16 lanes, 16 of 8 lanes, 32 of 4 lanes; sums fill most of them.
        match (S::F32_LANES, self.width / 16) {
            (16, 4) => self.run::<S, 6, 4>(simd),
            (16, 3) => self.run::<S, 8, 3>(simd),
            (16, 2) => self.run::<S, 12, 2>(simd),
            (16, _) => self.run::<S, 14, 1>(simd),
            (8, _) => self.run::<S, 6, 2>(simd),
            (4, _) => self.run::<S, 6, 4>(simd),
            _ => self.run::<S, 2, 16>(simd),
        }
    }
}

/// Rows of the next group where `left` rows are left: groups of at most `most`, none much smaller than the
/// others. Seven rows in groups of six would leave one, and a single row keeps the multipliers as long
/// waiting for its sums as four do.
fn group(left: usize, most: usize) -> usize {
    left.div_ceil(left.div_ceil(most))
}

impl Panel<'_, f32> {
    /// In groups of `MR` rows or fewer.
    #[inline(always)]
    fn run<S: Simd, const MR: usize, const NV: usize>(mut self, simd: S) {
        let columns = NV * S::F32_LANES;
        for column in (0..self.width).step_by(columns) {
            let mut r = 0;
            while r < self.count {
                let rows = group(self.count - r, MR);
                // The rows that a tile has beyond the group's are computed again by the next.
                match rows {
                    ..=3 if MR > 3 => self.tile::<S, 3, NV>(simd, r, column),
                    4 if MR > 4 => self.tile::<S, 4, NV>(simd, r, column),
                    5 if MR > 5 => self.tile::<S, 5, NV>(simd, r, column),
                    6 if MR > 6 => self.tile::<S, 6, NV>(simd, r, column),
                    7 | 8 if MR > 8 => self.tile::<S, 8, NV>(simd, r, column),
                    _ => self.tile::<S, MR, NV>(simd, r, column),
                }
                r += rows;
            }
        }
    }

    /// The rows from `r` and the columns from `column` on.
    #[inline(always)]
    fn tile<S: Simd, const MR: usize, const NV: usize>(
        &mut self,
        simd: S,
        r: usize,
        column: usize,
    ) {
        let Panel { rows, row_step, tap_step, taps, depth, weights, width, .. } = *self;
        let columns = NV * S::F32_LANES;
        let weights = &weights[column * taps * depth..];
        let mut sums = [[simd.splat_f32s(0.0); NV]; MR];
        for tap in 0..taps {
            // SAFETY: `check` saw to it that rows up to `count + MAX_GROUP` (more than `r + MR`) of
            // `depth` values, `taps * depth` rows of weights, and the outputs lie within their slices.
            unsafe {
                let row = rows.as_ptr().add(r * row_step + tap * tap_step);
                let w = weights.as_ptr().add(tap * depth * columns);
                accumulate::<S, MR, NV>(simd, row, row_step, w, depth, &mut sums);
            }
        }
        for (i, row) in sums.iter().enumerate() {
            for (j, sum) in row.iter().enumerate() {
                // SAFETY: as above.
                unsafe {
                    let at = (r + i) * width + column + j * S::F32_LANES;
                    self.out.as_mut_ptr().add(at).cast::<S::f32s>().write_unaligned(*sum);
                }
            }
        }
    }
}

/// `sums[i] += rows[i * row_step + c] * w[c]` over `n` channels `c`.
///
/// # Safety
/// `MR` rows of `n` values at distance `row_step`; `n` rows of `NV` vectors.
#[inline(always)]
unsafe fn accumulate<S: Simd, const MR: usize, const NV: usize>(
    simd: S,
    rows: *const f32,
    row_step: usize,
    w: *const f32,
    n: usize,
    sums: &mut [[S::f32s; NV]; MR],
) {
    for c in 0..n {
        let mut weights = [simd.splat_f32s(0.0); NV];
        for (j, weight) in weights.iter_mut().enumerate() {
            // SAFETY: by the caller's contract.
            *weight =
                unsafe { w.add((c * NV + j) * S::F32_LANES).cast::<S::f32s>().read_unaligned() };
        }
        for i in 0..MR {
            // SAFETY: by the caller's contract.
            let value = simd.splat_f32s(unsafe { *rows.add(i * row_step + c) });
            for j in 0..NV {
                sums[i][j] = simd.mul_add_e_f32s(value, weights[j], sums[i][j]);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::group;

    #[test]
    fn groups_are_even_and_leave_no_row_out() {
        let sizes = |count: usize, most: usize| {
            let mut left = count;
            std::iter::from_fn(|| {
                (left > 0).then(|| {
                    let rows = group(left, most);
                    left -= rows;
                    rows
                })
            })
            .collect::<Vec<usize>>()
        };
        assert_eq!(sizes(7, 6), [4, 3]);
        assert_eq!(sizes(19, 6), [5, 5, 5, 4]);
        assert_eq!(sizes(24, 6), [6; 4]);
        assert_eq!(sizes(1, 14), [1]);
        for most in [2, 6, 8, 12, 14] {
            for count in 0..200 {
                let sizes = sizes(count, most);
                assert_eq!(sizes.iter().sum::<usize>(), count);
                assert_eq!(sizes.len(), count.div_ceil(most));
                assert!(sizes.iter().all(|rows| *rows <= most && 2 * rows + 1 >= sizes[0]));
            }
        }
    }
}
