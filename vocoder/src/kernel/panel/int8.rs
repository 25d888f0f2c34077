//! Products of bytes, summed exactly in 32 bits: for processors with AVX512_VNNI, which multiply four times as
//! many of these in an instruction as of f32.
//!
//! Each row of inputs, and each column of weights, has a unit of its own, a 127th of its largest magnitude. In
//! tiles these are the rows and columns of a single point, rounded after Winograd's sums, and the points are
//! those that make the least of that noise. The instruction takes one side without signs, so inputs have 128
//! more, and each sum begins with what that adds.
//!
//! Measured on one Zen 4 core: PEAK.

use pulp::Simd;

#[cfg(target_arch = "x86_64")]
use super::group;
use super::units::{ROUNDER, largest, unit};
use super::{Panel, Value};
use crate::engine::Isa;
use crate::kernel::rows::seen;
use crate::kernel::winograd::{self, POINTS, Points};

/// Units in the largest magnitude of a row or column.
const MOST: f32 = 127.0;

/// What an input has more: it is stored as the byte without a sign that the sum is.
const OFFSET: i32 = 128;

/// Columns of the obvious way.
const COLUMNS: usize = 16;

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
        let unit = unit(largest::<LEAKY>(&[row]) / MOST);
        let scale = 1.0 / unit;
        for (to, &v) in to.iter_mut().zip(row) {
            *to = Self::round_input(seen::<LEAKY>(v) * scale);
        }
        unit
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
        isa.arch().dispatch(|| plain(panel));
    }
}

/// The obvious way, for other processors and for tests. Equal to the other, bit for bit.
#[inline(always)]
fn plain(panel: Panel<'_, i8>) {
    let unit_step = panel.unit_step();
    let Panel { rows, row_step, tap_step, taps, depth, weights, width, count, out, .. } = panel;
    for r in 0..count {
        for first in (0..width).step_by(COLUMNS) {
            let out = &mut out[r * width + first..][..COLUMNS];
            out.fill(0.0);
            for tap in 0..taps {
                let row = &rows[r * row_step + tap * tap_step..][..depth];
                let mut sums = [0i32; COLUMNS];
                sums.copy_from_slice(&panel.column_starts[tap * width + first..][..COLUMNS]);
                for (c, values) in row.chunks_exact(4).enumerate() {
                    let weights = &weights[(tap * depth + 4 * c) * width + 4 * first..];
                    for (sum, weights) in sums.iter_mut().zip(weights.chunks_exact(4)) {
                        for (value, weight) in values.iter().zip(weights) {
                            *sum += i32::from(*value as u8) * i32::from(*weight);
                        }
                    }
                }
                let row_unit = panel.row_units[r + tap * unit_step];
                let units = &panel.column_units[tap * width + first..][..COLUMNS];
                for ((out, sum), unit) in out.iter_mut().zip(sums).zip(units) {
                    *out += sum as f32 * (row_unit * unit);
                }
            }
        }
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
