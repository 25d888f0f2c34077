//! What one thread computes of a convolution: pack the input, multiply, finish and store.

use pulp::{Simd, WithSimd};

use super::form::Form;
use super::{Conv, Epilogue, Input, Scratch, Scratched, ZEROS, tiles};
use crate::engine::Isa;
use crate::kernel::LANES;
use crate::kernel::panel::{MAX_GROUP, Panel};
use crate::kernel::rows::leaky;
use crate::kernel::winograd::{self, POINTS, TILE};

/// The rows of `out`, computed by one thread.
pub(super) struct Task<'a, T> {
    pub conv: &'a Conv<T>,
    pub form: &'a Form<T>,
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
        match self.conv.width {
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
        let Form { tiled, weights, units, starts } = self.form;
        let points = if *tiled { POINTS } else { 1 };
        let room = (count + MAX_GROUP) * conv.depth;
        let sums = (count + MAX_GROUP) * WIDTH;
        at_least(&mut self.scratch.sums, points * sums);
        // Neighbouring rows are neighbouring taps where the dilation is 1, unless each has its unit.
        let merged = conv.dilation == 1 && !T::SCALED || conv.taps == 1;
        let (taps, depth) = match *tiled {
            true => (1, conv.depth),
            false if merged => (1, conv.taps * conv.depth),
            false => (conv.taps, conv.depth),
        };
        for panel in 0..conv.bias.len() / WIDTH {
            for point in 0..points {
                let job = (panel * points + point) * taps;
                T::compute(
                    Panel {
                        rows: &self.scratch.inputs[point * room..],
                        row_step: conv.depth,
                        tap_step: conv.dilation * conv.depth,
                        taps,
                        depth,
                        weights: &weights[job * depth * WIDTH..][..taps * depth * WIDTH],
                        row_units: &self.scratch.units[point * (count + MAX_GROUP)..],
                        column_units: of_columns(units, job * WIDTH, taps * WIDTH),
                        column_starts: of_columns(starts, job * WIDTH, taps * WIDTH),
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
        let Conv { ci, taps, dilation, left, depth, .. } = *self.conv;
        let rows = self.out.len() / self.conv.co;
        let first = self.from as isize - left as isize;
        let Scratch { inputs, units, .. } = &mut *self.scratch;
        if !self.form.tiled {
            let span = dilation * (taps - 1);
            // Merged taps read beyond the last row.
            at_least(inputs, (rows + span + taps + MAX_GROUP) * depth);
            at_least(units, rows + span + MAX_GROUP);
            for (i, to) in inputs.chunks_exact_mut(depth).take(rows + span).enumerate() {
                let row = self.input.row(first + i as isize);
                units[i] = T::pack_row::<LEAKY>(&row[..ci], to);
                to[ci..].fill(T::default());
            }
            return rows;
        }
        let count = tiles(rows, dilation);
        let stride = (count + MAX_GROUP) * depth;
        at_least(inputs, POINTS * stride + MAX_GROUP * depth);
        let high = count + MAX_GROUP;
        at_least(units, POINTS * high);
        let mut at = 0;
        for phase in 0..dilation.min(rows) {
            for output in (phase..rows).step_by(TILE * dilation) {
                let mut taken = [&ZEROS[..ci]; POINTS];
                for (i, row) in taken.iter_mut().enumerate() {
                    *row = self.input.row(first + (output + i * dilation) as isize);
                }
                let to = &mut inputs[at * depth..];
                let of_tile = T::pack_tile::<LEAKY>(&taken, to, stride, ci);
                for (p, unit) in of_tile.into_iter().enumerate() {
                    units[p * high + at] = unit;
                    to[p * stride..][ci..depth].fill(T::default());
                }
                at += 1;
            }
        }
        count
    }

    /// Finishes and stores the columns of a panel from column `column` on. `stride`: sums of a point.
    #[inline(always)]
    fn store<const WIDTH: usize>(&mut self, column: usize, stride: usize) {
        let Conv { co, dilation, .. } = *self.conv;
        let rows = self.out.len() / co;
        if !self.form.tiled {
            for row in 0..rows {
                let mut values = [0f32; WIDTH];
                values.copy_from_slice(&self.scratch.sums[row * WIDTH..][..WIDTH]);
                self.finish(row, column, &values);
            }
            return;
        }
        let mut at = 0;
        for phase in 0..dilation.min(rows) {
            for first in (phase..rows).step_by(TILE * dilation) {
                let tile = winograd::outputs::<WIDTH>(T::POINTS, &self.scratch.sums[at * WIDTH..], stride);
                for (which, values) in tile.iter().enumerate() {
                    let row = first + which * dilation;
                    if row >= rows {
                        break;
                    }
                    self.finish(row, column, values);
                }
                at += 1;
            }
        }
    }

    /// From the sums of a row's columns to what is stored.
    #[inline(always)]
    fn finish<const WIDTH: usize>(&mut self, row: usize, column: usize, values: &[f32; WIDTH]) {
        // A count that the compiler knows makes straight code of the loops.
        match self.conv.co - column {
            live if live < WIDTH => self.finish_columns(row, column, &values[..live]),
            _ => self.finish_columns(row, column, &values[..WIDTH]),
        }
    }

    #[inline(always)]
    fn finish_columns(&mut self, row: usize, column: usize, values: &[f32]) {
        let (co, live) = (self.conv.co, values.len());
        let place = row * co + column;
        let Epilogue { residual, film, leaky, plus } = self.epilogue;
        let columns = Columns {
            bias: &self.conv.bias[column..][..live],
            residual: residual.map(|(rows, repeat, phase)| {
                let repetition = (self.at + row + phase) as u32 / repeat as u32;
                &rows[repetition as usize * co + column..][..live]
            }),
            film: film.map(|film| {
                let (shift, scale) = film[(self.at + row) * 2 * co..][..2 * co].split_at(co);
                (&shift[column..][..live], &scale[column..][..live])
            }),
            leaky,
            plus: plus.map(|plus| &plus[column..][..live]),
        };
        let mut raw = match self.raw.is_empty() {
            true => None,
            false => Some(&mut self.raw[place..][..live]),
        };
        let out = &mut self.out[place..][..live];
        let whole = live / LANES * LANES;
        for n in (0..whole).step_by(LANES) {
            columns.finish::<LANES>(n, values, raw.as_deref_mut(), out);
        }
        for n in whole..live {
            columns.finish::<1>(n, values, raw.as_deref_mut(), out);
        }
    }
}

/// What [`Epilogue`] says of some columns of a row.
struct Columns<'a> {
    bias: &'a [f32],
    residual: Option<&'a [f32]>,
    film: Option<(&'a [f32], &'a [f32])>,
    leaky: bool,
    plus: Option<&'a [f32]>,
}

impl Columns<'_> {
    /// Finishes `N` columns from column `n` on in registers, and stores them.
    #[inline(always)]
    fn finish<const N: usize>(
        &self,
        n: usize,
        values: &[f32],
        raw: Option<&mut [f32]>,
        out: &mut [f32],
    ) {
        let mut v: [f32; N] = load(values, n);
        let bias: [f32; N] = load(self.bias, n);
        (0..N).for_each(|i| v[i] += bias[i]);
        if let Some(residual) = self.residual {
            let residual: [f32; N] = load(residual, n);
            (0..N).for_each(|i| v[i] += residual[i]);
        }
        if let Some(raw) = raw {
            raw[n..n + N].copy_from_slice(&v);
        }
        if let Some((shift, scale)) = self.film {
            let (shift, scale): ([f32; N], [f32; N]) = (load(shift, n), load(scale, n));
            (0..N).for_each(|i| v[i] = v[i] * scale[i] + shift[i]);
        }
        if self.leaky {
            v = v.map(leaky);
        }
        if let Some(plus) = self.plus {
            let plus: [f32; N] = load(plus, n);
            (0..N).for_each(|i| v[i] += plus[i]);
        }
        out[n..n + N].copy_from_slice(&v);
    }
}

#[inline(always)]
fn load<const N: usize>(from: &[f32], n: usize) -> [f32; N] {
    let mut all = [0f32; N];
    all.copy_from_slice(&from[n..n + N]);
    all
}

/// `count` values from `at` on; of values that are not scaled there are none.
fn of_columns<V>(values: &[V], at: usize, count: usize) -> &[V] {
    if values.is_empty() { values } else { &values[at..][..count] }
}

/// Grows `buffer` to at least `len`.
fn at_least<T: Copy + Default>(buffer: &mut Vec<T>, len: usize) {
    if buffer.len() < len {
        buffer.resize(len, T::default());
    }
}
