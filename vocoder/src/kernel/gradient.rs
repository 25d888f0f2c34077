//! The gradient of a convolution's weights: for each tap the sum over time of the outer products of
//! input rows with gradients of output rows, three taps in Winograd's form with half the products.
//!
//! Time is cut into a fixed number of parts, whose sums are added in their order: results don't depend
//! on the number of threads.

mod reduce;

use pulp::{Simd, WithSimd};
use rayon::prelude::*;
use std::cell::RefCell;

use super::buffers::Buffers;
use super::conv::{tile_inputs, tiles_pay};
use super::outer::Outer;
use super::rows::{Run, Source, at_least, cuts, runs, tile_rows, tiles};
use super::winograd::{self, POINTS, TILE};
use super::{ConvShape, LANES, panel_width};
use crate::engine::Isa;

/// Bytes of packed rows that are multiplied at a time.
const CHUNK_BYTES: usize = 512 << 10;

/// Parts of the time, each with sums of its own, as long as all sums together stay below so many values.
const PARTS: usize = 8;
const MOST_SUMS: usize = 4 << 20;

/// How the work is cut and the sums lie: `[part][panel][point][depth][width]`, each panel followed by
/// the bias' `[width]`.
#[derive(Clone, Copy)]
struct Layout {
    tiled: bool,
    /// Products of a tile, or taps.
    points: usize,
    /// Channels in, with padding.
    depth: usize,
    /// Channels out of a panel.
    width: usize,
    panels: usize,
    /// Panels that a task computes.
    group: usize,
    parts: usize,
}

impl Layout {
    fn new(shape: &ConvShape, tiled: bool) -> Self {
        let wide = shape.co.next_multiple_of(LANES);
        let width = panel_width(wide);
        let (points, depth) = match tiled {
            true => (POINTS, shape.ci.next_multiple_of(LANES)),
            false => (shape.taps, shape.ci),
        };
        let panels = wide / width;
        let sums = points * depth * wide;
        // Few rows are not worth sums of their own.
        let most = (shape.batch * shape.rows).div_ceil(64).min(PARTS);
        let parts = (MOST_SUMS / sums).clamp(1, most.max(1));
        let group = panels.div_ceil(PARTS.div_ceil(parts));
        Layout { tiled, points, depth, width, panels, group, parts }
    }

    /// Sums of one panel.
    fn panel(&self) -> usize {
        (self.points * self.depth + 1) * self.width
    }
}

/// Writes the gradients of the weights `[taps, ci, co]` and of the bias `[co]`, from the input and the
/// gradient `dy` `[batch, rows, co]` of the output.
pub(crate) fn weight_gradient(
    isa: Isa,
    home: &Buffers,
    shape: &ConvShape,
    source: Source<'_>,
    dy: &[f32],
    (dw, db): (&mut [f32], &mut [f32]),
) {
    in_form(isa, home, shape, source, dy, (dw, db), tiles_pay(shape));
}

pub(super) fn in_form(
    isa: Isa,
    home: &Buffers,
    shape: &ConvShape,
    source: Source<'_>,
    dy: &[f32],
    (dw, db): (&mut [f32], &mut [f32]),
    tiled: bool,
) {
    assert!(dy.len() == shape.batch * shape.rows * shape.co);
    if dy.is_empty() {
        dw.fill(0.0);
        db.fill(0.0);
        return;
    }
    let layout = Layout::new(shape, tiled);
    let part = layout.panels * layout.panel();
    let mut sums = home.take(layout.parts * part);
    let per_row = (shape.ci + layout.width) * size_of::<f32>() * if tiled { 3 } else { 2 } / 2;
    let total = shape.batch * shape.rows;
    let chunks = cuts(shape, (CHUNK_BYTES / per_row).min(total.div_ceil(layout.parts)).max(1));
    let (chunks, parts) = (&chunks, layout.parts);
    let tasks: Vec<_> = sums
        .chunks_mut(part)
        .enumerate()
        .flat_map(|(i, sums)| {
            let own = chunks.len() * i / parts..chunks.len() * (i + 1) / parts;
            sums.chunks_mut(layout.group * layout.panel()).enumerate().map(move |(group, sums)| {
                let first_panel = group * layout.group;
                Task { layout, shape, isa, source, dy, chunks, own: own.clone(), first_panel, sums }
            })
        })
        .collect();
    tasks.into_par_iter().for_each(|task| {
        SCRATCH.with_borrow_mut(|scratch| isa.arch().dispatch(Work(task, scratch)));
    });

    let (first, rest) = dw.split_at_mut(shape.ci * shape.co);
    let mut taps: Vec<&mut [f32]> = vec![first];
    taps.extend(rest.chunks_mut(shape.ci * shape.co));
    reduce::reduce(isa, shape, &layout, &sums, taps);
    db.fill(0.0);
    for sums in sums.chunks(part) {
        for (panel, db) in sums.chunks(layout.panel()).zip(db.chunks_mut(layout.width)) {
            let from = &panel[layout.panel() - layout.width..];
            db.iter_mut().zip(from).for_each(|(sum, v)| *sum += v);
        }
    }
}

/// Buffers of a thread.
struct Scratch {
    staged: Vec<f32>,
    left: Vec<f32>,
    right: Vec<f32>,
}

thread_local! {
    static SCRATCH: RefCell<Scratch> =
        const { RefCell::new(Scratch { staged: Vec::new(), left: Vec::new(), right: Vec::new() }) };
}

/// The sums of some panels over one part of the time.
struct Task<'a> {
    layout: Layout,
    shape: &'a ConvShape,
    isa: Isa,
    source: Source<'a>,
    dy: &'a [f32],
    /// Ends of all chunks, and which are the part's.
    chunks: &'a [usize],
    own: std::ops::Range<usize>,
    first_panel: usize,
    sums: &'a mut [f32],
}

/// A task with its thread's buffers.
struct Work<'a>(Task<'a>, &'a mut Scratch);

impl WithSimd for Work<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let Work(mut task, scratch) = self;
        task.sums.fill(0.0);
        for chunk in task.own.clone() {
            let from = chunk.checked_sub(1).map_or(0, |before| task.chunks[before]);
            task.add(from, task.chunks[chunk], scratch);
        }
    }
}

impl Task<'_> {
    /// Adds the rows `from..to` of the batch.
    #[inline(always)]
    fn add(&mut self, from: usize, to: usize, scratch: &mut Scratch) {
        let ConvShape { ci, co, .. } = *self.shape;
        let Layout { tiled, width, .. } = self.layout;
        let span = self.shape.span();
        for run in runs(self.shape, from, to) {
            let (at, len) = (run.staged * ci, (run.rows + span) * ci);
            at_least(&mut scratch.staged, at + len);
            self.source.stage(self.shape, &run, &mut scratch.staged[at..][..len]);
        }
        let count = if tiled { self.pack_left(from, to, scratch) } else { 0 };
        for index in 0..self.sums.len() / self.layout.panel() {
            let column = (self.first_panel + index) * width;
            let live = width.min(co - column);
            let sums = index * self.layout.panel()..(index + 1) * self.layout.panel();
            let bias = &mut self.sums[sums.end - width..sums.end];
            for row in self.dy[from * co..to * co].chunks_exact(co) {
                bias.iter_mut().zip(&row[column..][..live]).for_each(|(sum, v)| *sum += v);
            }
            if tiled {
                self.pack_right(from, to, column, live, count, scratch);
                self.multiply_tiles(sums.start, count, scratch);
            } else {
                self.multiply_rows(sums.start, from, to, column, live, scratch);
            }
        }
    }

    /// The staged rows as tiles, `[point][16 channels][tile][16]`. Returns the number of tiles.
    #[inline(always)]
    fn pack_left(&self, from: usize, to: usize, scratch: &mut Scratch) -> usize {
        let ConvShape { ci, dilation, .. } = *self.shape;
        let Scratch { staged, left, .. } = scratch;
        let depth = self.layout.depth;
        let count: usize = runs(self.shape, from, to).map(|r| tiles(r.rows, dilation)).sum();
        let stride = count * depth;
        at_least(left, POINTS * stride);
        let mut at = 0;
        for run in runs(self.shape, from, to) {
            let staged = &staged[run.staged * ci..][..(run.rows + self.shape.span()) * ci];
            for output in tile_rows(run.rows, dilation) {
                let rows = tile_inputs(staged, ci, output, dilation);
                for channel in (0..ci).step_by(LANES) {
                    let place = &mut left[channel * count + at * LANES..];
                    let rows = rows.map(|row| &row[channel..]);
                    if channel + LANES <= ci {
                        winograd::inputs(&rows, place, stride, LANES);
                    } else {
                        for point in 0..POINTS {
                            place[point * stride..][..LANES].fill(0.0);
                        }
                        winograd::inputs(&rows, place, stride, ci - channel);
                    }
                }
                at += 1;
            }
        }
        count
    }

    /// Some columns of the gradient's rows as tiles, `[point][tile][width]`.
    #[inline(always)]
    fn pack_right(
        &self,
        from: usize,
        to: usize,
        column: usize,
        live: usize,
        count: usize,
        scratch: &mut Scratch,
    ) {
        static ZEROS: [f32; 64] = [0.0; 64];
        let ConvShape { co, rows, dilation, .. } = *self.shape;
        let (width, right) = (self.layout.width, &mut scratch.right);
        let stride = count * width;
        at_least(right, POINTS * stride);
        let mut at = 0;
        for Run { clip, from, rows: own, .. } in runs(self.shape, from, to) {
            let dy = &self.dy[(clip * rows + from) * co..][..own * co];
            for output in tile_rows(own, dilation) {
                let taken: [&[f32]; TILE] = std::array::from_fn(|i| {
                    let row = output + i * dilation;
                    if row < own { &dy[row * co + column..][..live] } else { &ZEROS[..live] }
                });
                let place = &mut right[at * width..];
                if live < width {
                    for point in 0..POINTS {
                        place[point * stride..][..width].fill(0.0);
                    }
                }
                winograd::outputs_transposed(&taken, place, stride, live);
                at += 1;
            }
        }
    }

    #[inline(always)]
    fn multiply_tiles(&mut self, first: usize, count: usize, scratch: &Scratch) {
        let Layout { depth, width, .. } = self.layout;
        for point in 0..POINTS {
            for channel in (0..depth).step_by(LANES) {
                let job = Outer {
                    left: &scratch.left[(point * depth + channel) * count..],
                    left_step: LANES,
                    channels: LANES,
                    right: &scratch.right[point * count * width..],
                    right_step: width,
                    width,
                    count,
                    sums: &mut self.sums[first + (point * depth + channel) * width..],
                    sums_step: width,
                };
                job.compute(self.isa.arch());
            }
        }
    }

    /// Tap by tap, straight from the staged rows.
    #[inline(always)]
    fn multiply_rows(
        &mut self,
        first: usize,
        from: usize,
        to: usize,
        column: usize,
        live: usize,
        scratch: &mut Scratch,
    ) {
        let ConvShape { ci, co, taps, dilation, .. } = *self.shape;
        let Layout { depth, width, .. } = self.layout;
        let Scratch { staged, right, .. } = scratch;
        let dy = &self.dy[from * co..to * co];
        // Columns that end within a vector are padded.
        let (rows, step) = if live == width {
            (&dy[column..], co)
        } else {
            at_least(right, (to - from) * width);
            for (to, row) in right.chunks_exact_mut(width).zip(dy.chunks_exact(co)) {
                to[..live].copy_from_slice(&row[column..][..live]);
                to[live..].fill(0.0);
            }
            (&right[..], width)
        };
        let mut at = 0;
        for run in runs(self.shape, from, to) {
            for tap in 0..taps {
                let job = Outer {
                    left: &staged[(run.staged + tap * dilation) * ci..],
                    left_step: ci,
                    channels: ci,
                    right: &rows[at * step..],
                    right_step: step,
                    width,
                    count: run.rows,
                    sums: &mut self.sums[first + tap * depth * width..],
                    sums_step: width,
                };
                job.compute(self.isa.arch());
            }
            at += run.rows;
        }
    }
}
