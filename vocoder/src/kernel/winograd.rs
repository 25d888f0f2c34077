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

mod inputs;

pub(crate) use inputs::{REACH, inputs, largest_sums, rounded_inputs, whole_inputs};

/// Outputs of a tile.
pub(crate) const TILE: usize = 4;

/// Products of a tile.
pub(crate) const POINTS: usize = TILE + 2;

/// Scales or units that change nothing.
pub(crate) const ONES: [f32; POINTS] = [1.0; POINTS];

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

    /// With less noise where sums of inputs and of weights are rounded: 3 dB below that of [`Points::WHOLE`]
    /// (a test prints it). Found on a grid; the least is flat.
    pub const CALM: Self = Points { inner: 0.7, outer: 1.5 };
}

/// G g: the weights of the products from the three taps.
#[inline(always)]
pub(crate) fn weights(points: Points, [a, b, c]: [f32; 3]) -> [f32; POINTS] {
    let (a, b, c) = (f64::from(a), f64::from(b), f64::from(c));
    let (inner, outer) = (f64::from(points.inner), f64::from(points.outer));
    let (inner2, outer2) = (inner * inner, outer * outer);
    // Numbers that the compiler knows.
    let (inner_scale, outer_scale) =
        (0.5 / (inner2 * (inner2 - outer2)), 0.5 / (outer2 * (outer2 - inner2)));
    let (even, odd) = (inner_scale * (a + inner2 * c), inner_scale * inner * b);
    let (even2, odd2) = (outer_scale * (a + outer2 * c), outer_scale * outer * b);
    [
        (a * (1.0 / (inner2 * outer2))) as f32,
        (even + odd) as f32,
        (even - odd) as f32,
        (even2 + odd2) as f32,
        (even2 - odd2) as f32,
        c as f32,
    ]
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
/// the transpose of [`outputs`].
#[inline(always)]
pub(crate) fn outputs_transposed(rows: &[&[f32]; TILE], out: &mut [f32], stride: usize, n: usize) {
    let [y0, y1, y2, y3] = [0, 1, 2, 3].map(|i| &rows[i][..n]);
    let [o0, o1, o2, o3, o4, o5] = inputs::six_rows(out, stride, n);
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
pub(crate) mod tests {
    use pulp::{Simd, WithSimd};

    use super::*;
    use crate::engine::Isa;
    use crate::kernel::panel::{Panel, Value};
    use crate::kernel::rows::leaky;
    use crate::kernel::tests::random;

    /// The sums of a tile's inputs, after leaky ReLU if they are `LEAKY`, in units of 1.
    pub(crate) fn sums<T: Value, const LEAKY: bool>(
        isa: Isa,
        rows: &[&[f32]; POINTS],
        n: usize,
    ) -> Vec<T> {
        struct Sums<'a, T, const LEAKY: bool>(&'a [&'a [f32]; POINTS], &'a mut [T], usize);

        impl<T: Value, const LEAKY: bool> WithSimd for Sums<'_, T, LEAKY> {
            type Output = ();

            fn with_simd<S: Simd>(self, simd: S) {
                rounded_inputs::<S, T, LEAKY>(simd, self.0, &ONES, self.1, self.2, self.2);
            }
        }

        let mut out = vec![T::default(); POINTS * n];
        isa.arch().dispatch(Sums::<T, LEAKY>(rows, &mut out, n));
        out
    }

    /// Not rounded, at the points of bytes.
    #[derive(Clone, Copy, Default)]
    pub(crate) struct Calm(pub f32);

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

    /// One channel against the definition.
    fn one_channel<T: Value>(isa: Isa, plain: impl Fn(T) -> f32) {
        let (d, g) = ([3.0, -1.0, 2.0, 0.5, -4.0, 1.5], [0.5, -2.0, 3.0]);
        let singles = d.map(|v| [v]);
        let rows: [&[f32]; POINTS] = std::array::from_fn(|i| &singles[i][..]);
        let all = sums::<T, false>(isa, &rows, 1).into_iter().zip(weights(T::POINTS, g));
        let products: Vec<f32> = all.map(|(a, b)| plain(a) * b).collect();
        for (t, [found]) in outputs::<1>(T::POINTS, &products, 1).into_iter().enumerate() {
            let expected: f32 = (0..3).map(|k| g[k] * d[t + k]).sum();
            assert!((found - expected).abs() < 1e-4, "{isa} {t}: {found} {expected}");
        }
    }

    #[test]
    fn a_tile_equals_the_convolution() {
        for isa in Isa::all() {
            one_channel::<f32>(isa, |v| v);
            one_channel::<Calm>(isa, |v| v.0);
        }
    }

    /// How far the noise of sums that are rounded to bytes lies below a convolution, in dB, for normal weights
    /// and normal inputs after leaky ReLU.
    fn noise(points: Points) -> f64 {
        const CHANNELS: usize = 256;
        let round = |values: &mut [f32]| {
            let unit = values.iter().fold(0f32, |most, v| most.max(v.abs())) / 127.0;
            values.iter_mut().for_each(|v| *v = (*v / unit).round() * unit);
        };
        let by_point = |all: Vec<[f32; POINTS]>| {
            std::array::from_fn::<Vec<f32>, POINTS, _>(|k| {
                let mut values = all.iter().map(|sums| sums[k]).collect::<Vec<f32>>();
                round(&mut values);
                values
            })
        };
        let (mut signal, mut error) = (0f64, 0f64);
        for seed in 0..200 {
            let g = random(2 * seed, 3 * CHANNELS);
            let d = random(2 * seed + 1, POINTS * CHANNELS);
            let g: Vec<[f32; 3]> = g.chunks(3).map(|g| [g[0], g[1], g[2]]).collect();
            let d = d.chunks(POINTS).map(|d| std::array::from_fn(|i| leaky(d[i])));
            let d: Vec<[f32; POINTS]> = d.collect();
            let factors = Factors::of(points);
            let left = by_point(d.iter().map(|d| inputs::transform(*d, &factors)).collect());
            let right = by_point(g.iter().map(|g| weights(points, *g)).collect());
            let products: [f32; POINTS] =
                std::array::from_fn(|k| left[k].iter().zip(&right[k]).map(|(a, b)| a * b).sum());
            for (t, [found]) in outputs::<1>(points, &products, 1).into_iter().enumerate() {
                let each =
                    d.iter().zip(&g).map(|(d, g)| (0..3).map(|k| g[k] * d[t + k]).sum::<f32>());
                let exact: f32 = each.sum();
                signal += f64::from(exact).powi(2);
                error += f64::from(found - exact).powi(2);
            }
        }
        10.0 * (signal / error).log10()
    }

    #[test]
    fn calm_points_are_calmer() {
        let (whole, calm) = (noise(Points::WHOLE), noise(Points::CALM));
        println!(
            "noise below the signal: {whole:.1} dB at whole points, {calm:.1} dB at calm ones"
        );
        assert!(calm > whole + 2.5, "{whole} {calm}");
    }

    /// The taps' gradients of one channel against the definition.
    #[test]
    fn a_tiles_gradient_equals_the_correlation() {
        let (d, y) = ([3.0, -1.0, 2.0, 0.5, -4.0, 1.5], [0.5, -2.0, 3.0, 1.0]);
        let singles = d.map(|v| [v]);
        let mut left = [0f32; POINTS];
        inputs(&std::array::from_fn(|i| &singles[i][..]), &mut left, 1, 1);
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
