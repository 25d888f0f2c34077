//! Products of bf16 with f32 sums: by AVX512_BF16, and plainly where that is missing.

use half::bf16;

use super::{Panel, Value};
use crate::engine::Isa;

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

/// The obvious way, for machines without bf16 instructions and for tests.
#[inline(always)]
fn plain(panel: Panel<'_, bf16>) {
    let Panel { rows, row_step, tap_step, taps, depth, weights, width, count, out, .. } = panel;
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
        let Panel { rows, row_step, tap_step, taps, depth, weights, width, count, out, .. } = panel;
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
