//! Register tiles of the convolutions: sums of products of rows with a panel of weights.
//!
//! With [`outer`](super::outer), the only `unsafe` code of the library. Contract of every raw access:
//! [`Panel::check`] has compared the slices' lengths with the job's shape before any tile runs.
//!
//! Measured on one Zen 4 core: 88 to 95 % of the f32 peak of 117 G operations/s, 75 to 90 % of the
//! bf16 peak of 230. The `gemm` crate, the fastest of the well-kept ones in f32, packs both sides
//! anew in every call and knows no bf16.

use half::bf16;
use pulp::{Simd, WithSimd};

use super::LANES;
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
    /// Columns of the panel: 16, 32, 48 or 64.
    pub width: usize,
    /// Rows of output.
    pub count: usize,
    /// `[count + MAX_GROUP][width]`; what lies after `count` rows is left undefined.
    pub out: &'a mut [f32],
}

/// A precision in which products are computed. Sums are always f32.
pub(crate) trait Value: Copy + Default + Send + Sync + 'static {
    /// Neighbouring channels that one instruction multiplies.
    const DEPTH: usize;

    /// Rounds to the precision.
    fn round(value: f32) -> Self;

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

impl Value for bf16 {
    const DEPTH: usize = 2;

    /// To nearest, ties to even; NaN is not expected (inputs are checked where they enter).
    #[inline(always)]
    fn round(value: f32) -> Self {
        let bits = value.to_bits();
        Self::from_bits((bits.wrapping_add(0x7fff + (bits >> 16 & 1)) >> 16) as u16)
    }

    fn columns(_: Isa, width: usize) -> usize {
        width
    }

    fn compute(panel: Panel<'_, Self>, isa: Isa) {
        panel.check();
        #[cfg(target_arch = "x86_64")]
        if isa.has_bf16() {
            // SAFETY: `isa` was only made where the processor has these instructions; the shape was
            // checked.
            unsafe { x86::compute(panel) };
            return;
        }
        isa.arch().dispatch(|| plain(panel));
    }
}

impl<T: Value> Panel<'_, T> {
    fn check(&self) {
        assert!(self.depth.is_multiple_of(T::DEPTH) && matches!(self.width, 16 | 32 | 48 | 64));
        assert!(self.weights.len() >= self.taps * self.depth * self.width);
        assert!(self.out.len() >= (self.count + MAX_GROUP) * self.width);
        let last = (self.count + MAX_GROUP - 1) * self.row_step;
        assert!(self.rows.len() >= last + (self.taps.max(1) - 1) * self.tap_step + self.depth);
    }
}

/// See [`crate::engine::peak_gflops`].
pub(crate) fn peak_gflops<T: Value>(isa: Isa) -> f64 {
    let (depth, width, count) = (96, 64, 60);
    let rows = vec![T::round(0.5); (count + MAX_GROUP) * depth];
    let weights = vec![T::round(0.5); depth * width];
    let mut out = vec![0f32; (count + MAX_GROUP) * width];
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

/// The obvious way, for machines without bf16 instructions and for tests.
#[inline(always)]
pub(crate) fn plain(panel: Panel<'_, bf16>) {
    let Panel { rows, row_step, tap_step, taps, depth, weights, width, count, out } = panel;
    for r in 0..count {
        let sums = &mut out[r * width..][..width];
        sums.fill(0.0);
        for tap in 0..taps {
            let row = &rows[r * row_step + tap * tap_step..][..depth];
            for (c, value) in row.iter().enumerate() {
                let pair = &weights[(tap * depth + c / 2 * 2) * width..][..2 * width];
                for (n, sum) in sums.iter_mut().enumerate() {
                    *sum += value.to_f32() * pair[2 * n + c % 2].to_f32();
                }
            }
        }
    }
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

#[cfg(target_arch = "x86_64")]
mod x86 {
    use super::Panel;
    use half::bf16;
    use std::arch::x86_64::{
        __m512, __m512bh, __m512i, _mm512_dpbf16_ps, _mm512_loadu_si512, _mm512_set1_epi32,
        _mm512_setzero_ps, _mm512_storeu_ps,
    };

    /// # Safety
    /// The processor has AVX512F and AVX512_BF16; the panel was checked.
    #[target_feature(enable = "avx512f,avx512bf16")]
    pub(super) unsafe fn compute(panel: Panel<'_, bf16>) {
        // SAFETY: by the caller's contract.
        unsafe {
            match panel.width / 16 {
                4 => run::<6, 4>(panel),
                3 => run::<8, 3>(panel),
                2 => run::<12, 2>(panel),
                _ => run::<14, 1>(panel),
            }
        }
    }

    /// # Safety
    /// As [`compute`], with `NV` vectors a panel.
    #[target_feature(enable = "avx512f,avx512bf16")]
    unsafe fn run<const MR: usize, const NV: usize>(panel: Panel<'_, bf16>) {
        let Panel { rows, row_step, tap_step, taps, depth, weights, width, count, out } = panel;
        for r in (0..count).step_by(MR) {
            let mut sums: [[__m512; NV]; MR] = [[_mm512_setzero_ps(); NV]; MR];
            for tap in 0..taps {
                // SAFETY: within the slices, by `Panel::check`.
                let (row, w) = unsafe {
                    (
                        rows.as_ptr().add(r * row_step + tap * tap_step),
                        weights.as_ptr().add(tap * depth * width).cast::<__m512i>(),
                    )
                };
                for pair in 0..depth / 2 {
                    let mut vectors = [[0i64; 8]; NV];
                    for (j, vector) in vectors.iter_mut().enumerate() {
                        // SAFETY: as above.
                        unsafe {
                            let v = _mm512_loadu_si512(w.add(pair * NV + j));
                            *vector = std::mem::transmute::<__m512i, [i64; 8]>(v);
                        }
                    }
                    for (i, sums) in sums.iter_mut().enumerate() {
                        // SAFETY: as above; both channels of the pair lie within the row.
                        let both = unsafe {
                            row.add(i * row_step + 2 * pair).cast::<i32>().read_unaligned()
                        };
                        let value = _mm512_set1_epi32(both);
                        for (sum, vector) in sums.iter_mut().zip(&vectors) {
                            // SAFETY: vectors of the same size, any bits are values.
                            let (value, vector) = unsafe {
                                (
                                    std::mem::transmute::<__m512i, __m512bh>(value),
                                    std::mem::transmute::<[i64; 8], __m512bh>(*vector),
                                )
                            };
                            *sum = _mm512_dpbf16_ps(*sum, value, vector);
                        }
                    }
                }
            }
            for (i, row) in sums.iter().enumerate() {
                for (j, sum) in row.iter().enumerate() {
                    // SAFETY: as above.
                    unsafe {
                        _mm512_storeu_ps(out.as_mut_ptr().add((r + i) * width + 16 * j), *sum);
                    }
                }
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
