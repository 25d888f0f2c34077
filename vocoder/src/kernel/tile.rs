//! Register tiles of the convolution kernels: the only `unsafe` code of the library.
//!
//! A tile keeps `MR` rows by `NV` vectors of sums in registers. Contract of every raw access: the
//! callers in `kernel.rs` pass slices of exactly the lengths that [`ConvShape`] states (checked
//! once per tile call), rows that lie outside the signal are replaced by a row of zeros of `ci`
//! values, and panels hold `taps * ci * panel` weights.
//!
//! Measured on one Zen 4 core (f32 peak 117 G operations/s): 80 to 95 % of peak at 64 channels and
//! more; library matrix products on shifted views reach 20 to 30 % there, since they pack the
//! signal anew for every tap.

use super::{ConvShape, Packed};
use pulp::{Simd, WithSimd};

/// Most values that a row of a tile's input holds; zeros for rows outside the signal.
const MAX_CHANNELS: usize = 4096;
static ZEROS: [f32; MAX_CHANNELS] = [0.0; MAX_CHANNELS];

/// Most taps times rows of one tile.
const MAX_POINTERS: usize = 14 * 16;

/// Some rows of the output of one signal.
pub(super) struct ForwardTile<'a> {
    pub shape: &'a ConvShape,
    pub packed: &'a Packed,
    /// The whole signal, `[rows, ci]`.
    pub x: &'a [f32],
    /// The output row at which `y` begins.
    pub first_row: usize,
    /// Rows of output, `[n, packed.width]`.
    pub y: &'a mut [f32],
}

impl WithSimd for ForwardTile<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        // 32 registers of 16 lanes, 16 of 8 lanes, 32 of 4 lanes; sums fill most of them.
        match (S::F32_LANES, self.packed.panel / super::LANES) {
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

impl ForwardTile<'_> {
    #[inline(always)]
    fn run<S: Simd, const MR: usize, const NV: usize>(self, simd: S) {
        let ForwardTile { shape, packed, x, first_row, y } = self;
        let (wide, panel) = (packed.width, packed.panel);
        let rows = y.len() / wide;
        let columns = NV * S::F32_LANES;
        let per_panel = shape.taps * shape.ci * panel;
        assert!(x.len() == shape.rows * shape.ci && shape.ci <= MAX_CHANNELS);
        assert!(shape.taps * MR <= MAX_POINTERS && first_row + rows <= shape.rows);
        assert!(packed.weights.len() == wide / panel * per_panel && panel % columns == 0);
        for column in (0..wide).step_by(columns) {
            let weights = &packed.weights[column / panel * per_panel + column % panel..];
            let bias = &packed.bias[column..][..columns];
            for t in (0..rows).step_by(MR) {
                let mut inputs = [ZEROS.as_ptr(); MAX_POINTERS];
                for tap in 0..shape.taps {
                    for i in 0..MR {
                        // Rows past the end compute the last row again; they are not stored.
                        let row = first_row + (t + i).min(rows - 1) + tap * shape.dilation;
                        if row >= shape.left && row - shape.left < shape.rows {
                            inputs[tap * MR + i] = x[(row - shape.left) * shape.ci..].as_ptr();
                        }
                    }
                }
                let mut sums = [[simd.splat_f32s(0.0); NV]; MR];
                for row in &mut sums {
                    for (j, sum) in row.iter_mut().enumerate() {
                        *sum = load(simd, &bias[j * S::F32_LANES..]);
                    }
                }
                // SAFETY: each input points to `ci` readable values (a row of `x`, or zeros);
                // `weights` has `taps * ci` rows at distance `panel`, `columns` values in each.
                unsafe {
                    for tap in 0..shape.taps {
                        let mut row = [ZEROS.as_ptr(); MR];
                        row.copy_from_slice(&inputs[tap * MR..][..MR]);
                        let w = weights.as_ptr().add(tap * shape.ci * panel);
                        accumulate::<S, MR, NV>(simd, &row, w, panel, shape.ci, &mut sums);
                    }
                }
                for (i, row) in sums.iter().enumerate().take(rows - t) {
                    let y = &mut y[(t + i) * wide + column..][..columns];
                    for (j, sum) in row.iter().enumerate() {
                        store(simd, &mut y[j * S::F32_LANES..], *sum);
                    }
                }
            }
        }
    }
}

/// `sums[i] += rows[i][c] * w[c]` over `n` channels `c`.
///
/// # Safety
/// `rows` point to `n` values; `w` to `n` rows of `NV` vectors, `stride` values apart.
#[inline(always)]
unsafe fn accumulate<S: Simd, const MR: usize, const NV: usize>(
    simd: S,
    rows: &[*const f32; MR],
    w: *const f32,
    stride: usize,
    n: usize,
    sums: &mut [[S::f32s; NV]; MR],
) {
    for c in 0..n {
        let mut weights = [simd.splat_f32s(0.0); NV];
        for (j, weight) in weights.iter_mut().enumerate() {
            // SAFETY: by the caller's contract.
            *weight =
                unsafe { w.add(c * stride + j * S::F32_LANES).cast::<S::f32s>().read_unaligned() };
        }
        for i in 0..MR {
            // SAFETY: by the caller's contract.
            let value = simd.splat_f32s(unsafe { *rows[i].add(c) });
            for j in 0..NV {
                sums[i][j] = simd.mul_add_e_f32s(value, weights[j], sums[i][j]);
            }
        }
    }
}

/// The weight gradient of one signal, added to `dw`.
pub(super) struct GradientTile<'a> {
    pub shape: &'a ConvShape,
    /// Channels of `dy` and `dw`: `co` with padding.
    pub wide: usize,
    /// `[rows, ci]`.
    pub x: &'a [f32],
    /// `[rows, wide]`.
    pub dy: &'a [f32],
    /// `[taps, ci, wide]`.
    pub dw: &'a mut [f32],
}

impl WithSimd for GradientTile<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        match (S::F32_LANES, super::panel_width(self.wide) / super::LANES) {
            (16, 4) => self.run::<S, 4, 4>(simd),
            (16, 3) => self.run::<S, 4, 3>(simd),
            (16, 2) => self.run::<S, 8, 2>(simd),
            (16, _) => self.run::<S, 16, 1>(simd),
            (8, _) => self.run::<S, 4, 2>(simd),
            (4, _) => self.run::<S, 4, 4>(simd),
            _ => self.run::<S, 1, 16>(simd),
        }
    }
}

impl GradientTile<'_> {
    #[inline(always)]
    fn run<S: Simd, const MR: usize, const NV: usize>(self, simd: S) {
        let GradientTile { shape, wide, x, dy, dw } = self;
        let ci = shape.ci;
        let columns = NV * S::F32_LANES;
        assert!(x.len() == shape.rows * ci && dy.len() == shape.rows * wide);
        assert!(dw.len() == shape.taps * ci * wide && wide % columns == 0);
        for block in (0..shape.rows).step_by(super::BLOCK_ROWS) {
            let block_end = (block + super::BLOCK_ROWS).min(shape.rows);
            for tap in 0..shape.taps {
                let (from, to, offset) = shape.span(tap);
                let (from, to) = (from.max(block), to.min(block_end));
                if from >= to {
                    continue;
                }
                let first = (from as isize + offset) as usize;
                let x = &x[first * ci..(first + to - from) * ci];
                for column in (0..wide).step_by(columns) {
                    let dy = &dy[from * wide + column..(to - 1) * wide + column + columns];
                    for channel in (0..ci).step_by(MR) {
                        let mut sums = [[simd.splat_f32s(0.0); NV]; MR];
                        let live = MR.min(ci - channel);
                        // Channels past the last repeat it; their sums are dropped.
                        let channels: [usize; MR] =
                            std::array::from_fn(|i| channel + i.min(live - 1));
                        for t in 0..to - from {
                            let mut gradient = [simd.splat_f32s(0.0); NV];
                            for (j, g) in gradient.iter_mut().enumerate() {
                                // SAFETY: `dy` was cut to end with the last row's columns.
                                *g = unsafe {
                                    let at = dy.as_ptr().add(t * wide + j * S::F32_LANES);
                                    at.cast::<S::f32s>().read_unaligned()
                                };
                            }
                            for i in 0..MR {
                                // SAFETY: `x` holds `to - from` rows of `ci` channels.
                                let value = unsafe { *x.as_ptr().add(t * ci + channels[i]) };
                                let value = simd.splat_f32s(value);
                                for j in 0..NV {
                                    sums[i][j] =
                                        simd.mul_add_e_f32s(value, gradient[j], sums[i][j]);
                                }
                            }
                        }
                        for (i, row) in sums.iter().enumerate().take(live) {
                            let dw = &mut dw[(tap * ci + channel + i) * wide + column..][..columns];
                            for (j, sum) in row.iter().enumerate() {
                                let dw = &mut dw[j * S::F32_LANES..];
                                let total = simd.add_f32s(load(simd, dw), *sum);
                                store(simd, dw, total);
                            }
                        }
                    }
                }
            }
        }
    }
}

/// The first vector of `values`.
#[inline(always)]
fn load<S: Simd>(_: S, values: &[f32]) -> S::f32s {
    assert!(values.len() >= S::F32_LANES);
    // SAFETY: the length was checked.
    unsafe { values.as_ptr().cast::<S::f32s>().read_unaligned() }
}

/// Writes `vector` over the first values of `out`.
#[inline(always)]
fn store<S: Simd>(_: S, out: &mut [f32], vector: S::f32s) {
    assert!(out.len() >= S::F32_LANES);
    // SAFETY: the length was checked.
    unsafe { out.as_mut_ptr().cast::<S::f32s>().write_unaligned(vector) }
}
