//! What one thread computes of a convolution: pack the input, multiply, finish and store.

use pulp::{Simd, WithSimd};

use super::{Conv, Epilogue, Input, Scratch, Scratched, ZEROS};
use crate::engine::Isa;
use crate::kernel::panel::{MAX_GROUP, Panel};
use crate::kernel::panel_width;
use crate::kernel::rows::leaky;
use crate::kernel::winograd::{self, POINTS, TILE};

/// The rows of `out`, computed by one thread.
pub(super) struct Task<'a, T> {
    pub conv: &'a Conv<T>,
    pub isa: Isa,
    pub input: Input<'a>,
    /// The row of the clip, and of the epilogue's slices, at which `out` begins.
    pub from: usize,
    pub at: usize,
    pub epilogue: Epilogue<'a>,
    pub raw: &'a mut [f32],
    pub out: &'a mut [f32],
    pub scratch: &'a mut Scratch<T>,
}

impl<T: Scratched> WithSimd for Task<'_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(mut self, _: S) {
        // What follows is plain code, compiled for the instructions of `S`.
        match panel_width(self.conv.bias.len()) {
            64 => self.run::<64>(),
            48 => self.run::<48>(),
            32 => self.run::<32>(),
            _ => self.run::<16>(),
        }
    }
}

impl<T: Scratched> Task<'_, T> {
    #[inline(always)]
    fn run<const WIDTH: usize>(&mut self) {
        let conv = self.conv;
        let count = self.pack();
        let points = if conv.tiled { POINTS } else { 1 };
        let room = (count + MAX_GROUP) * conv.depth;
        let sums = (count + MAX_GROUP) * WIDTH;
        at_least(&mut self.scratch.sums, points * sums);
        // Neighbouring rows are neighbouring taps where the dilation is 1.
        let merged = conv.dilation == 1 || conv.taps == 1;
        let (taps, depth) = match conv.tiled {
            true => (1, conv.depth),
            false if merged => (1, conv.taps * conv.depth),
            false => (conv.taps, conv.depth),
        };
        for panel in 0..conv.bias.len() / WIDTH {
            for point in 0..points {
                let at = (panel * points + point) * taps * depth * WIDTH;
                T::compute(
                    Panel {
                        rows: &self.scratch.inputs[point * room..],
                        row_step: conv.depth,
                        tap_step: conv.dilation * conv.depth,
                        taps,
                        depth,
                        weights: &conv.weights[at..][..taps * depth * WIDTH],
                        width: WIDTH,
                        count,
                        out: &mut self.scratch.sums[point * sums..][..sums],
                    },
                    self.isa,
                );
            }
            self.store::<WIDTH>(panel * WIDTH, sums);
        }
    }

    /// Packs the inputs of the task's rows, and returns the number of rows (direct) or tiles.
    #[inline(always)]
    fn pack(&mut self) -> usize {
        if self.input.leaky { self.pack_as::<true>() } else { self.pack_as::<false>() }
    }

    #[inline(always)]
    fn pack_as<const LEAKY: bool>(&mut self) -> usize {
        let Conv { ci, taps, dilation, left, tiled, depth, .. } = *self.conv;
        let rows = self.out.len() / self.conv.co;
        let first = self.from as isize - left as isize;
        let inputs = &mut self.scratch.inputs;
        if !tiled {
            let span = dilation * (taps - 1);
            // Merged taps read beyond the last row.
            at_least(inputs, (rows + span + taps + MAX_GROUP) * depth);
            for (i, to) in inputs.chunks_exact_mut(depth).take(rows + span).enumerate() {
                let row = self.input.row(first + i as isize);
                for (to, &v) in to.iter_mut().zip(&row[..ci]) {
                    *to = T::round(if LEAKY { leaky(v) } else { v });
                }
                to[ci..].fill(T::default());
            }
            return rows;
        }
        let count = tiles(rows, dilation);
        let stride = (count + MAX_GROUP) * depth;
        at_least(inputs, POINTS * stride + MAX_GROUP * depth);
        let mut at = 0;
        for phase in 0..dilation.min(rows) {
            for output in (phase..rows).step_by(TILE * dilation) {
                let mut taken = [&ZEROS[..ci]; POINTS];
                for (i, row) in taken.iter_mut().enumerate() {
                    *row = self.input.row(first + (output + i * dilation) as isize);
                }
                let to = &mut inputs[at * depth..];
                winograd::inputs::<T, LEAKY>(&taken, to, stride, ci);
                if depth > ci {
                    (0..POINTS).for_each(|p| to[p * stride + ci] = T::default());
                }
                at += 1;
            }
        }
        count
    }

    /// Finishes and stores the columns of a panel from column `column` on. `stride`: sums of a point.
    #[inline(always)]
    fn store<const WIDTH: usize>(&mut self, column: usize, stride: usize) {
        let Conv { co, dilation, tiled, .. } = *self.conv;
        let rows = self.out.len() / co;
        if !tiled {
            for row in 0..rows {
                let mut values = [0f32; WIDTH];
                values.copy_from_slice(&self.scratch.sums[row * WIDTH..][..WIDTH]);
                self.finish(row, column, &mut values);
            }
            return;
        }
        let mut at = 0;
        for phase in 0..dilation.min(rows) {
            for first in (phase..rows).step_by(TILE * dilation) {
                for which in 0..TILE {
                    let row = first + which * dilation;
                    if row >= rows {
                        break;
                    }
                    let mut values = [0f32; WIDTH];
                    let products = &self.scratch.sums[at * WIDTH..];
                    winograd::output(which, products, stride, &mut values);
                    self.finish(row, column, &mut values);
                }
                at += 1;
            }
        }
    }

    /// From the sums of a row's columns to what is stored.
    #[inline(always)]
    fn finish<const WIDTH: usize>(&mut self, row: usize, column: usize, values: &mut [f32; WIDTH]) {
        // A count that the compiler knows makes straight code of the loops.
        match self.conv.co - column {
            live if live < WIDTH => self.finish_columns(row, column, live, values),
            _ => self.finish_columns(row, column, WIDTH, values),
        }
    }

    #[inline(always)]
    fn finish_columns<const WIDTH: usize>(
        &mut self,
        row: usize,
        column: usize,
        live: usize,
        values: &mut [f32; WIDTH],
    ) {
        let co = self.conv.co;
        let place = row * co + column;
        for (v, b) in values.iter_mut().zip(&self.conv.bias[column..][..WIDTH]) {
            *v += b;
        }
        let Epilogue { residual, film, leaky: activate, plus } = self.epilogue;
        if let Some((residual, repeat, phase)) = residual {
            let repetition = (self.at + row + phase) as u32 / repeat as u32;
            let from = &residual[repetition as usize * co + column..][..live];
            values.iter_mut().zip(from).for_each(|(v, r)| *v += r);
        }
        if !self.raw.is_empty() {
            self.raw[place..][..live].copy_from_slice(&values[..live]);
        }
        if let Some(film) = film {
            let modulation = &film[(self.at + row) * 2 * co..][..2 * co];
            let (shift, scale) = modulation.split_at(co);
            let pairs = shift[column..][..live].iter().zip(&scale[column..][..live]);
            values.iter_mut().zip(pairs).for_each(|(v, (shift, scale))| *v = *v * scale + shift);
        }
        if activate {
            values.iter_mut().for_each(|v| *v = leaky(*v));
        }
        if let Some(plus) = plus {
            values.iter_mut().zip(&plus[column..][..live]).for_each(|(v, p)| *v += p);
        }
        self.out[place..][..live].copy_from_slice(&values[..live]);
    }
}

/// Tiles that cover `rows` rows, phase by phase of the dilation.
fn tiles(rows: usize, dilation: usize) -> usize {
    (0..dilation.min(rows)).map(|phase| (rows - phase).div_ceil(dilation).div_ceil(TILE)).sum()
}

/// Grows `buffer` to at least `len`.
fn at_least<T: Copy + Default>(buffer: &mut Vec<T>, len: usize) {
    if buffer.len() < len {
        buffer.resize(len, T::default());
    }
}
