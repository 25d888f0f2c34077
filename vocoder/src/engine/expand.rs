//! The first convolution of an upsampling block, folded with the repetition before it.
//!
//! Repeating each row `factor` times and convolving with taps (a, b, c) reads at most two different
//! rows per output: away from the seams all three taps meet the same row. So three products of each
//! row before the repetition are enough: A = a x, C = c x and B = (a + b + c) x. With taps t-1, t,
//! t+1 of a repetition i:
//!
//! ```text
//! first row    a x[i-1] + (b + c) x[i]    =  B[i] + A[i-1] - A[i]
//! in between   (a + b + c) x[i]           =  B[i]
//! last row     (a + b) x[i] + c x[i+1]    =  B[i] + C[i+1] - C[i]
//! ```
//!
//! instead of three products of each row after it: a factor of 5 costs a fifth.

use pulp::{Simd, WithSimd};

use super::Isa;
use super::conv::{Arrival, Conv, Scratched};
use crate::kernel::rows::leaky;

/// Rows that one task computes.
const TASK_ROWS: usize = 256;

/// The folded convolution.
pub(super) struct Expand<T> {
    /// From a row to `[A, C, B]`.
    pub products: Conv<T>,
    pub factor: usize,
    causal: bool,
    bias: Vec<f32>,
}

impl<T: Scratched> Expand<T> {
    /// Folds `weight` `[3, ci, co]`, whose taps lie one row apart, with a repetition of `factor`, at
    /// least 2.
    pub fn new(
        isa: Isa,
        (ci, co): (usize, usize),
        weight: &[f32],
        bias: &[f32],
        factor: usize,
        causal: bool,
    ) -> Self {
        let tap = |k: usize, c: usize, o: usize| weight[(k * ci + c) * co + o];
        let mut folded = Vec::with_capacity(3 * ci * co);
        for c in 0..ci {
            folded.extend((0..co).map(|o| tap(0, c, o)));
            folded.extend((0..co).map(|o| tap(2, c, o)));
            folded.extend((0..co).map(|o| tap(0, c, o) + tap(1, c, o) + tap(2, c, o)));
        }
        let (shape, no_bias) = ((1, ci, 3 * co), vec![0.0; 3 * co]);
        let products = Conv::new(isa, shape, &folded, &no_bias, (1, 0), Arrival::MANY);
        Self { products, factor, causal, bias: bias.to_vec() }
    }

    /// Channels out.
    pub fn co(&self) -> usize {
        self.bias.len()
    }

    /// Output rows that can be computed from `rows` rows of products.
    pub fn reaches(&self, rows: usize, ended: bool) -> usize {
        let ahead = usize::from(!self.causal && !ended);
        (rows * self.factor).saturating_sub(ahead)
    }

    /// The first row of products that output row `row` and those after it read.
    pub fn needs(&self, row: usize) -> usize {
        (row / self.factor).saturating_sub(1)
    }

    /// Modulates and activates: `out` `[rows][co]`, the first being row `from`, and `film`
    /// `[rows][2 co]` from the same row on. `products` are those from row `first` on.
    pub fn run(
        &self,
        isa: Isa,
        (products, first): (&[f32], usize),
        from: usize,
        film: &[f32],
        out: &mut [f32],
    ) {
        let co = self.co();
        if out.len() > TASK_ROWS * co {
            let rows = out.len() / co / 2;
            let (left, right) = out.split_at_mut(rows * co);
            rayon::join(
                || self.run(isa, (products, first), from, film, left),
                || self.run(isa, (products, first), from + rows, &film[rows * 2 * co..], right),
            );
            return;
        }
        isa.arch().dispatch(Rows { expand: self, products, first, from, film, out });
    }
}

struct Rows<'a, T> {
    expand: &'a Expand<T>,
    products: &'a [f32],
    first: usize,
    from: usize,
    film: &'a [f32],
    out: &'a mut [f32],
}

/// Which of the three products.
const A: usize = 0;
const C: usize = 1;
const B: usize = 2;

impl<T: Scratched> WithSimd for Rows<'_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let Rows { expand, products, first, from, film, out } = self;
        let co = expand.co();
        let row = |i: usize, which: usize| {
            // Beyond the signal's end there is nothing to add.
            let at = (i.checked_sub(first)? * 3 + which) * co;
            products.get(at..at + co)
        };
        for (index, (out, film)) in
            out.chunks_exact_mut(co).zip(film.chunks_exact(2 * co)).enumerate()
        {
            let (i, phase) = ((from + index) / expand.factor, (from + index) % expand.factor);
            let before = i.checked_sub(1);
            out.copy_from_slice(&expand.bias);
            let mut add = |sign: f32, values: Option<&[f32]>| {
                if let Some(values) = values {
                    out.iter_mut().zip(values).for_each(|(o, v)| *o += sign * v);
                }
            };
            match (expand.causal, phase) {
                // Taps t-2, t-1, t: (a + b) x[i-1] + c x[i], then a x[i-1] + (b + c) x[i].
                (true, 0) => {
                    add(1.0, before.and_then(|i| row(i, B)));
                    add(-1.0, before.and_then(|i| row(i, C)));
                    add(1.0, row(i, C));
                }
                (true, 1) | (false, 0) => {
                    add(1.0, row(i, B));
                    add(-1.0, row(i, A));
                    add(1.0, before.and_then(|i| row(i, A)));
                }
                (false, phase) if phase + 1 == expand.factor => {
                    add(1.0, row(i, B));
                    add(-1.0, row(i, C));
                    add(1.0, row(i + 1, C));
                }
                _ => add(1.0, row(i, B)),
            }
            let (shift, scale) = film.split_at(co);
            for ((o, shift), scale) in out.iter_mut().zip(shift).zip(scale) {
                *o = leaky(*o * scale + shift);
            }
        }
    }
}
