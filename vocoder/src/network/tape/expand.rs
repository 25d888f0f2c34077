//! Repetition, and its folding into the convolution after it, with their gradients. The formula stands
//! in `engine/expand.rs`: an output row is a sum of few products of rows before the repetition.

use rayon::prelude::*;

/// Rows of a batch before a repetition.
#[derive(Clone, Copy)]
pub(super) struct Repetition {
    /// Rows of a clip, each repeated `factor` times.
    pub rows: usize,
    pub factor: usize,
    /// Channels after the convolution.
    pub co: usize,
    pub causal: bool,
}

/// Which of the three products of a row, in their order in memory.
const A: usize = 0;
const C: usize = 1;
const B: usize = 2;

/// The products' weights `[ci][A, C, B][co]` from the convolution's `[3, ci, co]`.
pub(super) fn fold(w: &[f32], co: usize, out: &mut [f32]) {
    let (a, rest) = w.split_at(w.len() / 3);
    let (b, c) = rest.split_at(rest.len() / 2);
    let taps = a.chunks(co).zip(b.chunks(co)).zip(c.chunks(co));
    for (out, ((a, b), c)) in out.chunks_mut(3 * co).zip(taps) {
        out[..co].copy_from_slice(a);
        out[co..2 * co].copy_from_slice(c);
        for (out, ((a, b), c)) in out[2 * co..].iter_mut().zip(a.iter().zip(b).zip(c)) {
            *out = a + b + c;
        }
    }
}

/// The gradient of the convolution's weights from that of the products': the transpose of [`fold`].
pub(super) fn unfold(products: &[f32], co: usize, dw: &mut [f32]) {
    let (a, rest) = dw.split_at_mut(dw.len() / 3);
    let (b, c) = rest.split_at_mut(rest.len() / 2);
    let taps = a.chunks_mut(co).zip(b.chunks_mut(co)).zip(c.chunks_mut(co));
    for (row, ((a, b), c)) in products.chunks(3 * co).zip(taps) {
        for o in 0..co {
            let (da, dc, db) = (row[o], row[co + o], row[2 * co + o]);
            (a[o], b[o], c[o]) = (da + db, db, dc + db);
        }
    }
}

impl Repetition {
    /// The terms of output row `phase` of a repetition: sign, rows ahead, product.
    fn terms(&self, phase: usize) -> &'static [(f32, isize, usize)] {
        match (self.causal, phase) {
            (true, 0) => &[(1.0, -1, B), (-1.0, -1, C), (1.0, 0, C)],
            (true, 1) | (false, 0) => &[(1.0, 0, B), (-1.0, 0, A), (1.0, -1, A)],
            (false, phase) if phase + 1 == self.factor => &[(1.0, 0, B), (-1.0, 0, C), (1.0, 1, C)],
            _ => &[(1.0, 0, B)],
        }
    }

    /// The convolution's output `[batch][rows * factor][co]` from the products
    /// `[batch][rows][3][co]`.
    pub fn combine(&self, products: &[f32], bias: &[f32], out: &mut [f32]) {
        let Repetition { rows, factor, co, .. } = *self;
        out.par_chunks_mut(factor * co).with_min_len(8).enumerate().for_each(|(row, out)| {
            for (phase, out) in out.chunks_exact_mut(co).enumerate() {
                out.copy_from_slice(bias);
                for &(sign, ahead, which) in self.terms(phase) {
                    if (0..rows as isize).contains(&((row % rows) as isize + ahead)) {
                        let at = ((row as isize + ahead) as usize * 3 + which) * co;
                        let from = &products[at..at + co];
                        out.iter_mut().zip(from).for_each(|(sum, v)| *sum += sign * v);
                    }
                }
            }
        });
    }

    /// The gradient of the products from that of the output: the transpose of
    /// [`Repetition::combine`].
    pub fn combine_transposed(&self, dy: &[f32], out: &mut [f32]) {
        let Repetition { rows, factor, co, .. } = *self;
        out.par_chunks_mut(3 * co).with_min_len(8).enumerate().for_each(|(row, out)| {
            out.fill(0.0);
            // The row's products are read from its own repetition and from its neighbours'.
            for reader in -1..=1isize {
                if !(0..rows as isize).contains(&((row % rows) as isize + reader)) {
                    continue;
                }
                let first = (row as isize + reader) as usize * factor;
                for phase in 0..factor {
                    let dy = &dy[(first + phase) * co..][..co];
                    for &(sign, ahead, which) in self.terms(phase) {
                        if ahead == -reader {
                            let out = &mut out[which * co..][..co];
                            out.iter_mut().zip(dy).for_each(|(sum, v)| *sum += sign * v);
                        }
                    }
                }
            }
        });
    }
}

/// Each row of `channels` values `factor` times.
pub(super) fn repeat(x: &[f32], channels: usize, factor: usize, out: &mut [f32]) {
    let groups = out.par_chunks_mut(factor * channels).with_min_len(8);
    groups.zip(x.par_chunks(channels)).for_each(|(out, x)| {
        out.chunks_exact_mut(channels).for_each(|row| row.copy_from_slice(x));
    });
}

/// The sum of each `factor` rows: the transpose of [`repeat`].
pub(super) fn repeat_transposed(dy: &[f32], channels: usize, factor: usize, out: &mut [f32]) {
    let rows = out.par_chunks_mut(channels).with_min_len(8);
    rows.zip(dy.par_chunks(factor * channels)).for_each(|(out, dy)| {
        out.copy_from_slice(&dy[..channels]);
        for row in dy.chunks_exact(channels).skip(1) {
            out.iter_mut().zip(row).for_each(|(sum, v)| *sum += v);
        }
    });
}

/// Adds row `i` of `dx` to row `i * keep` of `sum`.
pub(super) fn add_kept(dx: &[f32], channels: usize, keep: usize, sum: &mut [f32]) {
    let groups = sum.par_chunks_mut(keep * channels).with_min_len(8);
    groups.zip(dx.par_chunks(channels)).for_each(|(sum, dx)| {
        sum.iter_mut().zip(dx).for_each(|(sum, v)| *sum += v);
    });
}
