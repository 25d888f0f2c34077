//! Products of bytes, summed exactly in 32 bits: for processors with AVX512_VNNI, which multiply four times as
//! many of these in an instruction as of f32.
//!
//! Each row of inputs, and each column of weights, has a unit of its own, a 127th of its largest magnitude. In
//! tiles these are the rows and columns of a single point, rounded after Winograd's sums, and the points are
//! those that make the least of that noise. The instruction takes one side without signs, so inputs have 128
//! more, and each sum begins with what that adds.
//!
//! Measured on one Zen 4 core: 3.7 times the f32 peak.

use pulp::Simd;

#[cfg(target_arch = "x86_64")]
use super::group;
use super::units::{self, ROUNDER, Whole, unit};
use super::{Panel, Value};
use crate::engine::Isa;
use crate::kernel::winograd::{self, POINTS, Points};

/// Units in the largest magnitude of a row or column.
const MOST: f32 = 127.0;

/// What an input has more: it is stored as the byte without a sign that the sum is.
const OFFSET: i32 = 128;

impl Value for i8 {
    const DEPTH: usize = 4;
    const SCALED: bool = true;
    const POINTS: Points = Points::CALM;

    #[inline(always)]
    fn round(value: f32) -> Self {
        (value + ROUNDER).to_bits() as i8
    }

    #[inline(always)]
    fn round_input(value: f32) -> Self {
        (value + (ROUNDER + OFFSET as f32)).to_bits() as i8
    }

    #[inline(always)]
    fn pack_row<const LEAKY: bool>(row: &[f32], to: &mut [Self]) -> f32 {
        units::pack_row::<Self, LEAKY>(row, to, MOST)
    }

    #[inline(always)]
    fn pack_tile<S: Simd, const LEAKY: bool>(
        simd: S,
        rows: &[&[f32]; POINTS],
        to: &mut [Self],
        stride: usize,
        n: usize,
    ) -> [f32; POINTS] {
        let most = winograd::largest_sums::<S, Self, LEAKY>(simd, rows, n);
        let (mut units, mut scales) = ([0f32; POINTS], [0f32; POINTS]);
        for k in 0..POINTS {
            units[k] = unit(most[k] / MOST);
            scales[k] = 1.0 / units[k];
        }
        winograd::rounded_inputs::<S, Self, LEAKY>(simd, rows, &scales, to, stride, n);
        units
    }

    fn column_unit(_depth: usize, _point: Option<usize>, most: f32, _sum: f32) -> f32 {
        unit(most / MOST)
    }

    fn column_start(weights: impl Iterator<Item = Self>) -> i32 {
        -OFFSET * weights.map(i32::from).sum::<i32>()
    }

    fn columns(_: Isa, width: usize) -> usize {
        width
    }

    fn compute(panel: Panel<'_, Self>, isa: Isa) {
        panel.check();
        #[cfg(target_arch = "x86_64")]
        if isa.has_vnni() {
            // SAFETY: `isa` was only made where the processor has these instructions; the shape was
            // checked.
            unsafe { x86::compute(panel) };
            return;
        }
        isa.arch().dispatch(|| units::plain(panel, isa));
    }
}

impl Whole for i8 {
    #[inline(always)]
    fn product(input: Self, weight: Self) -> i32 {
        i32::from(input as u8) * i32::from(weight)
    }
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use super::{Panel, group};
    use std::arch::x86_64::{
        __m512, __m512i, _mm512_add_ps, _mm512_cvtepi32_ps, _mm512_dpbusd_epi32, _mm512_loadu_ps,
        _mm512_loadu_si512, _mm512_mul_ps, _mm512_set1_epi32, _mm512_set1_ps, _mm512_setzero_si512,
        _mm512_storeu_ps,
    };

    /// # Safety
    /// The processor has AVX512F and AVX512_VNNI; the panel was checked.
    #[target_feature(enable = "avx512f,avx512vnni")]
    pub(super) unsafe fn compute(panel: Panel<'_, i8>) {
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

    /// In groups of `MR` rows or fewer, with `NV` vectors a panel.
    ///
    /// # Safety
    /// As [`compute`].
    #[target_feature(enable = "avx512f,avx512vnni")]
    unsafe fn run<const MR: usize, const NV: usize>(mut panel: Panel<'_, i8>) {
        for tap in 0..panel.taps {
            let mut r = 0;
            while r < panel.count {
                let rows = group(panel.count - r, MR);
                // SAFETY: by the caller's contract. The rows that a tile has beyond the group's are computed
                // again by the next.
                unsafe {
                    match rows {
                        ..=3 if MR > 3 => tile::<3, NV>(&mut panel, r, tap, rows),
                        4 if MR > 4 => tile::<4, NV>(&mut panel, r, tap, rows),
                        5 if MR > 5 => tile::<5, NV>(&mut panel, r, tap, rows),
                        6 if MR > 6 => tile::<6, NV>(&mut panel, r, tap, rows),
                        7 | 8 if MR > 8 => tile::<8, NV>(&mut panel, r, tap, rows),
                        _ => tile::<MR, NV>(&mut panel, r, tap, rows),
                    }
                }
                r += rows;
            }
        }
    }

    /// The rows from `r` on, `live` of them; adds what a tap gives to what those before it gave.
    ///
    /// # Safety
    /// As [`run`].
    #[inline]
    #[target_feature(enable = "avx512f,avx512vnni")]
    unsafe fn tile<const MR: usize, const NV: usize>(
        panel: &mut Panel<'_, i8>,
        r: usize,
        tap: usize,
        live: usize,
    ) {
        let unit = r + tap * panel.unit_step();
        let Panel { rows, row_step, tap_step, depth, weights, width, .. } = *panel;
        // SAFETY: within the slices, by `Panel::check`.
        unsafe {
            let starts = panel.column_starts.as_ptr().add(tap * width).cast::<__m512i>();
            let mut start = [_mm512_setzero_si512(); NV];
            for (j, start) in start.iter_mut().enumerate() {
                *start = _mm512_loadu_si512(starts.add(j));
            }
            let mut sums = [start; MR];
            let row = rows.as_ptr().add(r * row_step + tap * tap_step);
            let w = weights.as_ptr().add(tap * depth * width).cast::<__m512i>();
            for four in 0..depth / 4 {
                let mut vectors = [_mm512_setzero_si512(); NV];
                for (j, vector) in vectors.iter_mut().enumerate() {
                    *vector = _mm512_loadu_si512(w.add(four * NV + j));
                }
                for (i, sums) in sums.iter_mut().enumerate() {
                    // All four channels lie within the row.
                    let all = row.add(i * row_step + 4 * four).cast::<i32>().read_unaligned();
                    let value = _mm512_set1_epi32(all);
                    for (sum, vector) in sums.iter_mut().zip(&vectors) {
                        *sum = _mm512_dpbusd_epi32(*sum, value, *vector);
                    }
                }
            }
            let mut units: [__m512; NV] = [_mm512_set1_ps(0.0); NV];
            let column_units = panel.column_units.as_ptr().add(tap * width);
            for (j, unit) in units.iter_mut().enumerate() {
                *unit = _mm512_loadu_ps(column_units.add(16 * j));
            }
            let row_units = panel.row_units.as_ptr().add(unit);
            let to = panel.out.as_mut_ptr().add(r * width);
            for (i, row) in sums.iter().enumerate() {
                if tap > 0 && i >= live {
                    break;
                }
                let row_unit = _mm512_set1_ps(*row_units.add(i));
                for (j, sum) in row.iter().enumerate() {
                    let to = to.add(i * width + 16 * j);
                    let mut value =
                        _mm512_mul_ps(_mm512_cvtepi32_ps(*sum), _mm512_mul_ps(row_unit, units[j]));
                    if tap > 0 {
                        value = _mm512_add_ps(_mm512_loadu_ps(to), value);
                    }
                    _mm512_storeu_ps(to, value);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::panel::units::tests::all_give_the_same_bits;
    use crate::kernel::tests::random;
    use crate::kernel::winograd::tests::{Calm, sums};

    #[test]
    fn every_instruction_set_gives_the_same_bits() {
        all_give_the_same_bits(|seed, n| {
            random(seed, n).iter().map(|v| (v.to_bits() >> 3) as i8).collect()
        });
    }

    #[test]
    fn a_rows_largest_has_the_most_units() {
        let mut to = [0i8; 4];
        let stored = |to: [i8; 4]| to.map(|v| i32::from(v as u8) - OFFSET);
        let unit = i8::pack_row::<false>(&[0.5, -2.0, 0.0, 1.5], &mut to);
        assert_eq!(stored(to), [32, -127, 0, 95]);
        assert!((unit - 2.0 / 127.0).abs() < 1e-8);
        // Leaky ReLU comes first; the smallest unit is for silence.
        let unit = i8::pack_row::<true>(&[0.5, -2.0, 0.0, 0.375], &mut to);
        assert_eq!(stored(to), [127, -102, 0, 95]);
        assert!((unit - 0.5 / 127.0).abs() < 1e-8);
        assert!(i8::pack_row::<false>(&[0.0; 4], &mut to) > 0.0);
        assert_eq!(stored(to), [0; 4]);
    }

    /// 3 x 5 - 2 x 7, each input stored with 128 more.
    #[test]
    fn sums_begin_with_what_the_offset_adds() {
        let (rows, weights) = ([3, -2, 0, 0], [5i8, 7, 0, 0]);
        let products = rows.iter().zip(weights).map(|(row, w)| (row + OFFSET) * i32::from(w));
        assert_eq!(products.sum::<i32>() + i8::column_start(weights.into_iter()), 1);
    }

    /// Each point of a tile has a unit of its own, by which its largest sum is the most; of every number of
    /// channels, so that some don't fill a register.
    #[test]
    fn each_points_largest_sum_has_the_most_units() {
        struct Pack<'a>(&'a [&'a [f32]; POINTS], &'a mut [i8], usize);

        impl pulp::WithSimd for Pack<'_> {
            type Output = [f32; POINTS];

            fn with_simd<S: Simd>(self, simd: S) -> Self::Output {
                i8::pack_tile::<S, true>(simd, self.0, self.1, self.2, self.2)
            }
        }

        for isa in Isa::all() {
            for n in 1..40 {
                let values = random(n as u64, POINTS * n);
                let rows: [&[f32]; POINTS] = std::array::from_fn(|k| &values[k * n..][..n]);
                let exact = sums::<Calm, true>(isa, &rows, n);
                let mut to = vec![0i8; POINTS * n];
                let units = isa.arch().dispatch(Pack(&rows, &mut to, n));
                for k in 0..POINTS {
                    let (to, exact) = (&to[k * n..][..n], &exact[k * n..][..n]);
                    let mut most = 0;
                    for (to, exact) in to.iter().zip(exact) {
                        let whole = i32::from(*to as u8) - OFFSET;
                        most = most.max(whole.abs());
                        let error = (whole as f32 * units[k] - exact.0).abs();
                        assert!(error <= 0.5001 * units[k], "{isa} {n} {k}: {error} {}", units[k]);
                    }
                    assert_eq!(most, MOST as i32, "{isa} {n} {k}");
                }
            }
        }
    }
}
