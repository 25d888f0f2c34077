//! Register tiles of the weights' gradients: sums over time of outer products of two signals' rows.
//!
//! With [`panel`](super::panel), the only `unsafe` code of the library. Contract of every raw access:
//! [`Outer::check`] has compared the slices' lengths with the job's shape before any tile runs.

use pulp::{Simd, WithSimd};

/// `sums[c][n] += sum over t < count of left[t * left_step + c] * right[t * right_step + n]`.
pub(crate) struct Outer<'a> {
    /// `count` rows of at least `channels` values.
    pub left: &'a [f32],
    /// Values between neighbouring rows of `left`.
    pub left_step: usize,
    pub channels: usize,
    /// `count` rows of at least `width` values.
    pub right: &'a [f32],
    /// Values between neighbouring rows of `right`.
    pub right_step: usize,
    /// Columns: 16, 32, 48 or 64.
    pub width: usize,
    /// Rows of both.
    pub count: usize,
    /// `[channels][sums_step]`, of which the first `width` columns are added to.
    pub sums: &'a mut [f32],
    pub sums_step: usize,
}

impl Outer<'_> {
    /// Computes the job with the instructions of `arch`.
    pub fn compute(self, arch: pulp::Arch) {
        self.check();
        if self.count > 0 {
            arch.dispatch(self);
        }
    }

    fn check(&self) {
        assert!(matches!(self.width, 16 | 32 | 48 | 64) && self.channels > 0);
        let rows = self.count.saturating_sub(1);
        assert!(self.left.len() >= rows * self.left_step + self.channels);
        assert!(self.right.len() >= rows * self.right_step + self.width);
        assert!(self.sums.len() >= (self.channels - 1) * self.sums_step + self.width);
    }
}

impl WithSimd for Outer<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        // 16 sums hide the latency of a multiplication; more would read less, but the reads are not
        // what limits (measured on Zen 4).
        match (S::F32_LANES, self.width / 16) {
            (16, 4) => self.run::<S, 4, 4>(simd),
            (16, 3) => self.run::<S, 8, 3>(simd),
            (16, 2) => self.run::<S, 8, 2>(simd),
            (16, _) => self.run::<S, 16, 1>(simd),
            (8, _) => self.run::<S, 4, 2>(simd),
            (4, _) => self.run::<S, 4, 4>(simd),
            _ => self.run::<S, 1, 16>(simd),
        }
    }
}

impl Outer<'_> {
    #[inline(always)]
    fn run<S: Simd, const MR: usize, const NV: usize>(self, simd: S) {
        let Outer { left, left_step, channels, right, right_step, width, count, sums, sums_step } =
            self;
        for column in (0..width).step_by(NV * S::F32_LANES) {
            for channel in (0..channels).step_by(MR) {
                let live = MR.min(channels - channel);
                // Channels past the last repeat it; their sums are dropped.
                let at: [usize; MR] = std::array::from_fn(|i| channel + i.min(live - 1));
                let mut tile = [[simd.splat_f32s(0.0); NV]; MR];
                // SAFETY: `check` saw to it that `count` rows of `channels` values to the left and of
                // `width` values to the right lie within their slices; `at` are channels, and `column`
                // with `NV` vectors ends within the width.
                unsafe {
                    let mut l = left.as_ptr();
                    let mut r = right.as_ptr().add(column);
                    for t in 0..count {
                        let mut row = [simd.splat_f32s(0.0); NV];
                        for (j, vector) in row.iter_mut().enumerate() {
                            *vector = r.add(j * S::F32_LANES).cast::<S::f32s>().read_unaligned();
                        }
                        for i in 0..MR {
                            let value = simd.splat_f32s(*l.add(at[i]));
                            for j in 0..NV {
                                tile[i][j] = simd.mul_add_e_f32s(value, row[j], tile[i][j]);
                            }
                        }
                        if t + 1 < count {
                            l = l.add(left_step);
                            r = r.add(right_step);
                        }
                    }
                }
                for (i, row) in tile.iter().enumerate().take(live) {
                    for (j, sum) in row.iter().enumerate() {
                        // SAFETY: as above, for `sums`.
                        unsafe {
                            let at = (channel + i) * sums_step + column + j * S::F32_LANES;
                            let place = sums.as_mut_ptr().add(at).cast::<S::f32s>();
                            place.write_unaligned(simd.add_f32s(place.read_unaligned(), *sum));
                        }
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::engine::Isa;
    use crate::noise::Noise;

    #[test]
    fn tiles_equal_the_definition() {
        let mut values = vec![0f32; 8000];
        Noise::new(5).fill(0, 0, &mut values);
        for isa in Isa::all() {
            for (count, channels, width) in
                [(0, 3, 16), (1, 1, 16), (7, 5, 32), (13, 16, 48), (40, 9, 64)]
            {
                let (left_step, right_step, sums_step) = (channels + 3, width + 16, width + 16);
                let (left, right) = values.split_at(4000);
                let mut sums = vec![1f32; channels * sums_step];
                let job = Outer {
                    left,
                    left_step,
                    channels,
                    right,
                    right_step,
                    width,
                    count,
                    sums: &mut sums,
                    sums_step,
                };
                job.compute(isa.arch());
                for c in 0..channels {
                    for n in 0..sums_step {
                        let live = if n < width { count } else { 0 };
                        let product =
                            |t: usize| left[t * left_step + c] * right[t * right_step + n];
                        let expected = 1.0 + (0..live).map(product).sum::<f32>();
                        let found = sums[c * sums_step + n];
                        assert!((found - expected).abs() < 1e-4, "{isa}: {found} {expected}");
                    }
                }
            }
        }
    }
}
