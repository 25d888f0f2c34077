//! A convolution of training, forward and the gradient of its input: activate and pack the input,
//! multiply, finish and store, while all of it lies in a core's caches.
//!
//! The gradient of the input is a convolution itself, by the taps in reverse with channels in and out
//! exchanged: [`Packed::backward`]. Rows don't depend on the number of threads, bit for bit.

use pulp::{Simd, WithSimd};
use rayon::prelude::*;
use std::cell::RefCell;

use super::buffers::{Buffer, Buffers};
use super::finish::{Finish, Place};
use super::panel::{MAX_GROUP, Panel, Value};
use super::rows::{Source, at_least, cuts, runs, tile_rows, tiles};
use super::winograd::{self, POINTS, Points, TILE};
use super::{ConvShape, LANES, panel_width};
use crate::engine::Isa;

/// Bytes of packed inputs that a task works on: half of a second-level cache of 1 MiB, the other half
/// being for weights and sums.
const TASK_BYTES: usize = 384 << 10;

/// Most tasks that short signals are cut into, for machines of many cores, and the fewest rows of one,
/// below which weights are read more often than they are worth.
const TASKS: usize = 8;
const FEWEST_ROWS: usize = 48;

/// Whether tiles are faster than the direct form. Measured in whole training steps: for narrower layers
/// the transforms cost more than the multiplications that they save.
pub(super) fn tiles_pay(shape: &ConvShape) -> bool {
    shape.taps == 3 && shape.ci.min(shape.co) >= 32
}

/// Weights in the order in which they are read: `[panel][point]` of [`Panel::weights`]; in the direct form
/// there are no points.
pub(crate) struct Packed {
    tiled: bool,
    /// Channels out with padding, and those of a panel.
    wide: usize,
    width: usize,
    weights: Buffer,
}

impl Packed {
    /// Packs `w` `[taps, ci, co]` for [`run`].
    pub fn forward(isa: Isa, home: &Buffers, shape: &ConvShape, w: &[f32]) -> Self {
        Self::new(isa, home, shape, w, false, tiles_pay(shape))
    }

    /// Packs `w` `[taps, ci, co]` for the gradient of the input: [`run`] on [`ConvShape::transposed`].
    pub fn backward(isa: Isa, home: &Buffers, shape: &ConvShape, w: &[f32]) -> Self {
        Self::new(isa, home, &shape.transposed(), w, true, tiles_pay(shape))
    }

    /// `shape` is that of the convolution to run; `flipped` if `w` is `[taps, co, ci]`, reversed.
    pub(super) fn new(
        isa: Isa,
        home: &Buffers,
        shape: &ConvShape,
        w: &[f32],
        flipped: bool,
        tiled: bool,
    ) -> Self {
        let ConvShape { taps, ci, co, .. } = *shape;
        assert!(w.len() == taps * ci * co);
        let wide = co.next_multiple_of(LANES);
        let width = panel_width(wide);
        let points = if tiled { POINTS } else { taps };
        let mut weights = home.take(points * ci * wide);
        weights.par_chunks_mut(points * ci * width).enumerate().for_each(|(panel, out)| {
            let (column, group) = (panel * width, f32::columns(isa, width));
            let fill = PackPanel { shape, w, flipped, tiled, column, width, group, out };
            isa.arch().dispatch(fill);
        });
        Packed { tiled, wide, width, weights }
    }
}

/// Packs the columns of one panel.
struct PackPanel<'a> {
    shape: &'a ConvShape,
    w: &'a [f32],
    flipped: bool,
    tiled: bool,
    column: usize,
    width: usize,
    /// Columns that lie side by side.
    group: usize,
    out: &'a mut [f32],
}

impl WithSimd for PackPanel<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let PackPanel { shape, w, flipped, tiled, column, width, group, out } = self;
        let ConvShape { taps, ci, co, .. } = *shape;
        let live = width.min(co - column);
        let mut rows = [[0f32; 64]; LANES];
        for block in (0..ci).step_by(LANES) {
            let depth = LANES.min(ci - block);
            let mut taken = [[[0f32; 64]; LANES]; 3];
            for k in 0..taps {
                // Row by row, or transposed in blocks that stay in the first-level cache.
                if flipped {
                    for o in 0..live {
                        let from = ((taps - 1 - k) * co + column + o) * ci + block;
                        for (row, v) in rows.iter_mut().zip(&w[from..from + depth]) {
                            row[o] = *v;
                        }
                    }
                } else {
                    for (c, row) in rows.iter_mut().enumerate().take(depth) {
                        let from = (k * ci + block + c) * co + column;
                        row[..live].copy_from_slice(&w[from..from + live]);
                    }
                }
                if tiled {
                    taken[k] = rows;
                    continue;
                }
                for (c, row) in rows.iter().enumerate().take(depth) {
                    for (g, row) in row[..width].chunks_exact(group).enumerate() {
                        let at = (g * taps + k) * ci + block + c;
                        out[at * group..][..group].copy_from_slice(row);
                    }
                }
            }
            for c in 0..if tiled { depth } else { 0 } {
                let [a, b, d] = &taken;
                for n in 0..width {
                    let values = winograd::weights(Points::WHOLE, [a[c][n], b[c][n], d[c][n]]);
                    for (p, v) in values.iter().enumerate() {
                        let at = (p * (width / group) + n / group) * ci + block + c;
                        out[at * group + n % group] = *v;
                    }
                }
            }
        }
    }
}

/// `out[b, t, :] = finish(sum over taps of source[b, t + tap * dilation - left, :] w[tap])`:
/// `[batch, rows, co]`.
pub(crate) fn run(
    isa: Isa,
    packed: &Packed,
    shape: &ConvShape,
    source: Source<'_>,
    finish: Finish<'_>,
    out: &mut [f32],
) {
    let total = shape.batch * shape.rows;
    assert!(out.len() == total * shape.co);
    if total == 0 {
        return;
    }
    let per_row = shape.ci * size_of::<f32>() * if packed.tiled { 5 } else { 2 } / 2;
    let most = (TASK_BYTES / per_row).min(total.div_ceil(TASKS)).max(FEWEST_ROWS);
    let mut tasks = Vec::new();
    let (mut from, mut out, mut finish) = (0, out, finish);
    for to in cuts(shape, most) {
        let (head, rest) = out.split_at_mut((to - from) * shape.co);
        let (first, others) = finish.split(to - from, shape.co);
        tasks.push(Task { packed, shape, isa, source, from, to, finish: first, out: head });
        (from, out, finish) = (to, rest, others);
    }
    tasks.into_par_iter().for_each(|task| {
        SCRATCH.with_borrow_mut(|scratch| isa.arch().dispatch(Work(task, scratch)));
    });
}

/// Buffers of a thread.
struct Scratch {
    staged: Vec<f32>,
    packed: Vec<f32>,
    sums: Vec<f32>,
}

thread_local! {
    static SCRATCH: RefCell<Scratch> =
        const { RefCell::new(Scratch { staged: Vec::new(), packed: Vec::new(), sums: Vec::new() }) };
}

/// The rows `from..to` of the batch.
struct Task<'a> {
    packed: &'a Packed,
    shape: &'a ConvShape,
    isa: Isa,
    source: Source<'a>,
    from: usize,
    to: usize,
    finish: Finish<'a>,
    out: &'a mut [f32],
}

/// A task with its thread's buffers.
struct Work<'a>(Task<'a>, &'a mut Scratch);

impl WithSimd for Work<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        // What follows is plain code, compiled for the instructions of `S`: every function of it has to
        // be inlined here.
        let Work(task, scratch) = self;
        match task.packed.width {
            64 => task.run::<64>(scratch),
            48 => task.run::<48>(scratch),
            32 => task.run::<32>(scratch),
            _ => task.run::<16>(scratch),
        }
    }
}

impl Task<'_> {
    #[inline(always)]
    fn run<const WIDTH: usize>(mut self, scratch: &mut Scratch) {
        let ConvShape { ci, co, taps, dilation, .. } = *self.shape;
        let Packed { tiled, wide, .. } = *self.packed;
        let Scratch { staged, packed, sums } = scratch;
        let rows = self.stage(staged);
        let (points, count) = if tiled {
            (POINTS, self.pack(staged, packed))
        } else {
            // One run over all staged rows: those between two clips are computed for nothing.
            (1, rows - self.shape.span())
        };
        let stride = (count + MAX_GROUP) * WIDTH;
        at_least(sums, points * stride);
        // Neighbouring rows are neighbouring taps where the dilation is 1.
        let (taps, depth) = match tiled {
            true => (1, ci),
            false if dilation == 1 || taps == 1 => (1, taps * ci),
            false => (taps, ci),
        };
        for panel in 0..wide / WIDTH {
            for point in 0..points {
                let at = (panel * points + point) * taps * depth * WIDTH;
                let rows =
                    if tiled { &packed[point * (count + MAX_GROUP) * ci..] } else { &staged[..] };
                let job = Panel {
                    rows,
                    row_step: ci,
                    tap_step: dilation * ci,
                    taps,
                    depth,
                    weights: &self.packed.weights[at..][..taps * depth * WIDTH],
                    row_units: &[],
                    column_units: &[],
                    column_starts: &[],
                    width: WIDTH,
                    count,
                    out: &mut sums[point * stride..][..stride],
                };
                f32::compute(job, self.isa);
            }
            let column = panel * WIDTH;
            // A count that the compiler knows makes straight code of the loops.
            match co - column {
                live if live < WIDTH => self.store::<WIDTH>(column, live, sums, stride),
                _ => self.store::<WIDTH>(column, WIDTH, sums, stride),
            }
        }
    }

    /// Stages the rows that are read, and returns their number.
    #[inline(always)]
    fn stage(&self, staged: &mut Vec<f32>) -> usize {
        let (ci, span) = (self.shape.ci, self.shape.span());
        let mut rows = 0;
        for run in runs(self.shape, self.from, self.to) {
            rows = run.staged + run.rows + span;
            // Merged taps read beyond the last row.
            at_least(staged, (rows + self.shape.taps + MAX_GROUP) * ci);
            self.source.stage(
                self.shape,
                &run,
                &mut staged[run.staged * ci..][..(run.rows + span) * ci],
            );
        }
        rows
    }

    /// Packs the staged rows into tiles, `[point][tile][ci]`, and returns their number.
    #[inline(always)]
    fn pack(&self, staged: &[f32], packed: &mut Vec<f32>) -> usize {
        let ConvShape { ci, dilation, .. } = *self.shape;
        let count = runs(self.shape, self.from, self.to).map(|r| tiles(r.rows, dilation)).sum();
        let stride = (count + MAX_GROUP) * ci;
        at_least(packed, POINTS * stride + MAX_GROUP * ci);
        let mut at = 0;
        for run in runs(self.shape, self.from, self.to) {
            let staged = &staged[run.staged * ci..][..(run.rows + self.shape.span()) * ci];
            for output in tile_rows(run.rows, dilation) {
                let taken = tile_inputs(staged, ci, output, dilation);
                winograd::inputs(&taken, &mut packed[at * ci..], stride, ci);
                at += 1;
            }
        }
        count
    }

    /// Finishes and stores the columns of a panel from column `column` on. `stride`: sums of a point.
    #[inline(always)]
    fn store<const WIDTH: usize>(
        &mut self,
        column: usize,
        live: usize,
        sums: &[f32],
        stride: usize,
    ) {
        let ConvShape { co, dilation, .. } = *self.shape;
        let mut place = Place { from: self.from, local: 0, co, column, live };
        let (mut at, mut first) = (0, 0);
        for run in runs(self.shape, self.from, self.to) {
            if !self.packed.tiled {
                for row in 0..run.rows {
                    let mut values = [0f32; WIDTH];
                    values.copy_from_slice(&sums[(run.staged + row) * WIDTH..][..WIDTH]);
                    place.local = first + row;
                    self.finish.store(&place, &mut values, self.out);
                }
            } else {
                for output in tile_rows(run.rows, dilation) {
                    let mut tile = [[0f32; WIDTH]; TILE];
                    for n in (0..WIDTH).step_by(LANES) {
                        let sums = &sums[at * WIDTH + n..];
                        let some = winograd::outputs::<LANES>(Points::WHOLE, sums, stride);
                        for (row, some) in tile.iter_mut().zip(some) {
                            row[n..n + LANES].copy_from_slice(&some);
                        }
                    }
                    for (which, mut values) in tile.into_iter().enumerate() {
                        let row = output + which * dilation;
                        if row >= run.rows {
                            break;
                        }
                        place.local = first + row;
                        self.finish.store(&place, &mut values, self.out);
                    }
                    at += 1;
                }
            }
            first += run.rows;
        }
    }
}

/// The six rows that the tile at output row `output` reads; past the last one, any row (what it makes
/// is not stored).
#[inline(always)]
pub(super) fn tile_inputs(
    staged: &[f32],
    ci: usize,
    output: usize,
    dilation: usize,
) -> [&[f32]; POINTS] {
    let last = staged.len() / ci - 1;
    std::array::from_fn(|i| &staged[(output + i * dilation).min(last) * ci..][..ci])
}
