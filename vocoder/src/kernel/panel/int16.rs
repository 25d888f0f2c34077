//! Products of whole numbers of 16 bits, summed exactly in 32: for processors with AVX2 and no bf16, which
//! multiply twice as many of these in an instruction as of f32.
//!
//! Each row of inputs has a unit, a 4095th of its largest magnitude, and each column of weights one, by
//! which no sum can leave 32 bits whatever the inputs: weights have up to 16 bits. A tile's six rows share a
//! unit, a 3000th, so that Winograd's sums of them are whole numbers, too, and exact. That is finer than
//! bf16's 9 bits. Bytes would be no faster: AVX2 widens their products to 32 bits by one more instruction.
//!
//! Measured on one Zen 3 core: 1.5 to 1.6 times the f32 peak. A product takes an addition of its own, and
//! the two don't share the multipliers evenly, or it would be twice.

use pulp::Simd;

#[cfg(target_arch = "x86_64")]
use super::group;
use super::units::{self, ROUNDER, Whole, largest, unit};
use super::{Panel, Value};
use crate::engine::Isa;
use crate::kernel::winograd::{self, POINTS, REACH};

/// Units in the largest magnitude of a row.
const ROW_MOST: f32 = 4095.0;

/// Units in the largest magnitude of a tile, ten times which still has 16 bits.
const TILE_MOST: f32 = 3000.0;

/// What a sum of products must stay below, with room for the rounding of units: almost 2^31.
const SUM_MOST: f32 = ((1u32 << 31) - (1 << 20)) as f32;

/// Columns whose weights lie side by side, and of a register tile.
const COLUMNS: usize = 16;

impl Value for i16 {
    const DEPTH: usize = 2;
    const SCALED: bool = true;

    #[inline(always)]
    fn round(value: f32) -> Self {
        (value + ROUNDER).to_bits() as i16
    }

    #[inline(always)]
    fn pack_row<const LEAKY: bool>(row: &[f32], to: &mut [Self]) -> f32 {
        units::pack_row::<Self, LEAKY>(row, to, ROW_MOST)
    }

    #[inline(always)]
    fn pack_tile<S: Simd, const LEAKY: bool>(
        _: S,
        rows: &[&[f32]; POINTS],
        to: &mut [Self],
        stride: usize,
        n: usize,
    ) -> [f32; POINTS] {
        let unit = unit(largest::<LEAKY>(rows) / TILE_MOST);
        winograd::whole_inputs::<LEAKY>(rows, 1.0 / unit, to, stride, n);
        [unit; POINTS]
    }

    fn column_unit(depth: usize, point: Option<usize>, most: f32, sum: f32) -> f32 {
        let largest_input = point.map_or(ROW_MOST, |point| TILE_MOST * REACH[point]);
        // Each weight may be rounded up by half a unit.
        let room = SUM_MOST / largest_input - depth as f32 / 2.0;
        unit((sum / room).max(most / f32::from(i16::MAX)))
    }

    fn columns(_: Isa, _: usize) -> usize {
        COLUMNS
    }

    fn compute(panel: Panel<'_, Self>, isa: Isa) {
        panel.check();
        #[cfg(target_arch = "x86_64")]
        if isa.has_avx2() {
            // SAFETY: `isa` was only made where the processor has these instructions; the shape was
            // checked.
            unsafe { x86::compute(panel) };
            return;
        }
        isa.arch().dispatch(|| units::plain(panel, isa));
    }
}

impl Whole for i16 {
    #[inline(always)]
    fn product(input: Self, weight: Self) -> i32 {
        i32::from(input) * i32::from(weight)
    }
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use super::{COLUMNS, Panel, group};
    use std::arch::x86_64::{
        __m256, __m256i, _mm256_add_epi32, _mm256_add_ps, _mm256_cvtepi32_ps, _mm256_loadu_ps,
        _mm256_loadu_si256, _mm256_madd_epi16, _mm256_mul_ps, _mm256_set1_epi32, _mm256_set1_ps,
        _mm256_setzero_si256, _mm256_storeu_ps,
    };

    /// Registers of a tile's columns.
    const NV: usize = COLUMNS / 8;

    /// # Safety
    /// The processor has AVX2; the panel was checked.
    #[target_feature(enable = "avx2")]
    pub(super) unsafe fn compute(mut panel: Panel<'_, i16>) {
        let unit_step = panel.unit_step();
        for column in (0..panel.width).step_by(COLUMNS) {
            for tap in 0..panel.taps {
                let mut r = 0;
                while r < panel.count {
                    let rows = group(panel.count - r, 6);
                    let at = Place { r, column, tap, unit: r + tap * unit_step };
                    // SAFETY: by the caller's contract. The rows that a tile has beyond the group's are
                    // computed again by the next.
                    unsafe {
                        match rows {
                            ..=3 => tile::<3>(&mut panel, at, rows),
                            4 => tile::<4>(&mut panel, at, rows),
                            5 => tile::<5>(&mut panel, at, rows),
                            _ => tile::<6>(&mut panel, at, rows),
                        }
                    }
                    r += rows;
                }
            }
        }
    }

    /// Where a tile lies: its first row, column, tap and the first row's unit.
    #[derive(Clone, Copy)]
    struct Place {
        r: usize,
        column: usize,
        tap: usize,
        unit: usize,
    }

    /// The rows from `r` and the columns from `column` on; adds what a tap gives to what those before it gave.
    ///
    /// # Safety
    /// As [`compute`].
    #[inline]
    #[target_feature(enable = "avx2")]
    unsafe fn tile<const MR: usize>(panel: &mut Panel<'_, i16>, at: Place, live: usize) {
        let Panel { rows, row_step, tap_step, taps, depth, weights, width, .. } = *panel;
        let Place { r, column, tap, unit } = at;
        let mut sums = [[_mm256_setzero_si256(); NV]; MR];
        // SAFETY: within the slices, by `Panel::check`.
        unsafe {
            let row = rows.as_ptr().add(r * row_step + tap * tap_step);
            let w = weights.as_ptr().add((column * taps + tap * COLUMNS) * depth).cast::<__m256i>();
            for pair in 0..depth / 2 {
                let vectors: [__m256i; NV] =
                    std::array::from_fn(|j| _mm256_loadu_si256(w.add(pair * NV + j)));
                for (i, sums) in sums.iter_mut().enumerate() {
                    // Both channels of the pair lie within the row.
                    let both = row.add(i * row_step + 2 * pair).cast::<i32>().read_unaligned();
                    let value = _mm256_set1_epi32(both);
                    for (sum, vector) in sums.iter_mut().zip(&vectors) {
                        *sum = _mm256_add_epi32(*sum, _mm256_madd_epi16(value, *vector));
                    }
                }
            }
            let units = panel.column_units.as_ptr().add(tap * width + column);
            let units: [__m256; NV] = std::array::from_fn(|j| _mm256_loadu_ps(units.add(8 * j)));
            let row_units = panel.row_units.as_ptr().add(unit);
            let to = panel.out.as_mut_ptr().add(r * width + column);
            for (i, row) in sums.iter().enumerate() {
                if tap > 0 && i >= live {
                    break;
                }
                let row_unit = _mm256_set1_ps(*row_units.add(i));
                for (j, sum) in row.iter().enumerate() {
                    let to = to.add(i * width + 8 * j);
                    let mut value =
                        _mm256_mul_ps(_mm256_cvtepi32_ps(*sum), _mm256_mul_ps(row_unit, units[j]));
                    if tap > 0 {
                        value = _mm256_add_ps(_mm256_loadu_ps(to), value);
                    }
                    _mm256_storeu_ps(to, value);
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

    #[test]
    fn every_instruction_set_gives_the_same_bits() {
        all_give_the_same_bits(|seed, n| {
            random(seed, n).iter().map(|v| i16::round(v * 2000.0)).collect()
        });
    }

    /// The worst that can come: every input the largest, and every weight with its sign.
    #[test]
    fn no_sum_leaves_32_bits() {
        for point in [None, Some(0), Some(3)] {
            let largest = point.map_or(ROW_MOST, |point| TILE_MOST * REACH[point]);
            assert!(largest <= f32::from(i16::MAX));
            for depth in [2, 96, 512, 3 * 4096] {
                let column: Vec<f32> =
                    random(depth as u64, depth).iter().map(|v| v.abs()).collect();
                let most = column.iter().fold(0f32, |most, v| most.max(*v));
                let unit = i16::column_unit(depth, point, most, column.iter().sum());
                let whole =
                    column.iter().map(|v| i64::from(i16::round(v / unit))).collect::<Vec<i64>>();
                let sum = whole.iter().sum::<i64>() * largest as i64;
                assert!(sum < 1 << 31, "{point:?} {depth}: {sum}");
                // Neither is room wasted: the sum or the largest weight comes near its bound.
                let near = sum > 3 << 29 || whole.iter().any(|w| *w == i64::from(i16::MAX));
                assert!(near, "{point:?} {depth}: {sum}");
            }
        }
    }

    #[test]
    fn a_rows_largest_has_the_most_units() {
        let mut to = [0i16; 4];
        let unit = i16::pack_row::<false>(&[0.5, -2.0, 0.0, 1.5], &mut to);
        assert_eq!(to, [1024, -4095, 0, 3071]);
        assert!((unit - 2.0 / 4095.0).abs() < 1e-9);
        // Leaky ReLU comes first; the smallest unit is for silence.
        let unit = i16::pack_row::<true>(&[0.5, -2.0, 0.0, 0.375], &mut to);
        assert_eq!(to, [4095, -3276, 0, 3071]);
        assert!((unit - 0.5 / 4095.0).abs() < 1e-9);
        assert!(i16::pack_row::<false>(&[0.0; 4], &mut to) > 0.0);
        assert_eq!(to, [0; 4]);
    }
}
