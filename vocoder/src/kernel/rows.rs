//! Where the convolutions of training read: signals as they were stored, activated on the way, so that
//! nothing is stored twice.

use super::ConvShape;
use super::winograd::TILE;
use crate::config::LEAKY_SLOPE;

/// The input of a convolution.
#[derive(Clone, Copy)]
pub(crate) struct Source<'a> {
    /// `[batch][rows * keep][channels]`.
    pub x: &'a [f32],
    /// Only every `keep`-th row is seen.
    pub keep: usize,
    /// What is done with its values.
    pub activation: Activation<'a>,
}

/// What is done with a signal on its way into a convolution.
#[derive(Clone, Copy)]
pub(crate) enum Activation<'a> {
    /// Nothing.
    Plain,
    /// Leaky ReLU.
    Leaky,
    /// Leaky ReLU, and a value a channel added: `[batch][channels]`.
    LeakyPlus(&'a [f32]),
    /// Modulation, then leaky ReLU: `[batch][rows][2 channels]`, the shift first.
    Film(&'a [f32]),
}

impl<'a> Source<'a> {
    /// A signal as it is.
    pub fn plain(x: &'a [f32]) -> Self {
        Source { x, keep: 1, activation: Activation::Plain }
    }

    /// A signal with an activation.
    pub fn new(x: &'a [f32], activation: Activation<'a>) -> Self {
        Source { x, keep: 1, activation }
    }

    /// Writes the rows that the run reads, `[run.rows + span][ci]`; those outside the clip are zeros.
    #[inline(always)]
    pub fn stage(&self, shape: &ConvShape, run: &Run, out: &mut [f32]) {
        let ci = shape.ci;
        for (i, to) in out.chunks_exact_mut(ci).enumerate() {
            let row = (run.from + i) as isize - shape.left as isize;
            if !(0..shape.rows as isize).contains(&row) {
                to.fill(0.0);
                continue;
            }
            let row = run.clip * shape.rows + row as usize;
            let x = &self.x[row * self.keep * ci..][..ci];
            match self.activation {
                Activation::Plain => to.copy_from_slice(x),
                Activation::Leaky => to.iter_mut().zip(x).for_each(|(to, x)| *to = leaky(*x)),
                Activation::LeakyPlus(offset) => {
                    let offset = &offset[run.clip * ci..][..ci];
                    for ((to, x), offset) in to.iter_mut().zip(x).zip(offset) {
                        *to = leaky(*x) + offset;
                    }
                }
                Activation::Film(film) => {
                    let (shift, scale) = film[row * 2 * ci..][..2 * ci].split_at(ci);
                    for ((to, x), (shift, scale)) in
                        to.iter_mut().zip(x).zip(shift.iter().zip(scale))
                    {
                        *to = leaky(scale * x + shift);
                    }
                }
            }
        }
    }
}

/// Leaky ReLU of slope [`LEAKY_SLOPE`].
#[inline(always)]
pub(crate) fn leaky(v: f32) -> f32 {
    let low = v * LEAKY_SLOPE as f32;
    // One instruction, unlike `f32::max`, which minds NaN.
    if v > low { v } else { low }
}

/// A value as it is, or after leaky ReLU.
#[inline(always)]
pub(crate) fn seen<const LEAKY: bool>(v: f32) -> f32 {
    if LEAKY { leaky(v) } else { v }
}

/// Leaky ReLU's slope at `v`.
#[inline(always)]
pub(crate) fn slope(v: f32) -> f32 {
    if v > 0.0 { 1.0 } else { LEAKY_SLOPE as f32 }
}

/// Rows of one clip that a task computes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Run {
    pub clip: usize,
    /// The first of its output rows.
    pub from: usize,
    pub rows: usize,
    /// The first of its rows among the task's staged ones.
    pub staged: usize,
}

/// The rows `from..to`, counted through the batch, clip by clip.
pub(crate) fn runs(shape: &ConvShape, from: usize, to: usize) -> impl Iterator<Item = Run> {
    let (rows, span) = (shape.rows, shape.span());
    let (mut at, mut staged) = (from, 0);
    std::iter::from_fn(move || {
        if at >= to {
            return None;
        }
        let (clip, from) = (at / rows, at % rows);
        let run = Run { clip, from, rows: (rows - from).min(to - at), staged };
        at += run.rows;
        staged += run.rows + span;
        Some(run)
    })
}

/// Cuts the rows of a batch into tasks of about `most` rows, of whole clips or of parts of one that
/// begin where a tile does: results don't depend on where the cuts are. Returns the ends.
pub(crate) fn cuts(shape: &ConvShape, most: usize) -> Vec<usize> {
    let total = shape.batch * shape.rows;
    if most >= shape.rows {
        let step = most / shape.rows * shape.rows;
        return (1..=total.div_ceil(step)).map(|i| (i * step).min(total)).collect();
    }
    let unit = TILE * shape.dilation;
    let step = shape.rows.div_ceil(shape.rows.div_ceil(most)).next_multiple_of(unit);
    let within = (1..=shape.rows.div_ceil(step)).map(|i| (i * step).min(shape.rows));
    let within: Vec<usize> = within.collect();
    (0..shape.batch).flat_map(|b| within.iter().map(move |end| b * shape.rows + end)).collect()
}

/// Tiles that cover `rows` rows, phase by phase of the dilation.
pub(crate) fn tiles(rows: usize, dilation: usize) -> usize {
    (0..dilation.min(rows)).map(|phase| (rows - phase).div_ceil(dilation).div_ceil(TILE)).sum()
}

/// The first output row of each tile of `rows` rows.
#[inline(always)]
pub(crate) fn tile_rows(rows: usize, dilation: usize) -> impl Iterator<Item = usize> {
    (0..dilation.min(rows)).flat_map(move |phase| (phase..rows).step_by(TILE * dilation))
}

/// Grows `buffer` to at least `len`.
pub(crate) fn at_least(buffer: &mut Vec<f32>, len: usize) {
    if buffer.len() < len {
        buffer.resize(len, 0.0);
    }
}
