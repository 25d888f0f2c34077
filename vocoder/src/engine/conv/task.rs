//! What one thread computes of a convolution: pack the input, multiply, finish and store.

use pulp::{Simd, WithSimd};

use super::form::Form;
use super::{Conv, Epilogue, Input, Scratch, Scratched, ZEROS};
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
    fn with_simd<S: Simd>(mut self, simd: S) {
        // What follows is mostly plain code, compiled for the instructions of `S`.
        match self.conv.width {
            64 => self.run::<S, 64>(simd),
            48 => self.run::<S, 48>(simd),
            32 => self.run::<S, 32>(simd),
            _ => self.run::<S, 16>(simd),
        }
    }
}

impl<T: Scratched> Task<'_, T> {
    #[inline(always)]
    fn run<S: Simd, const WIDTH: usize>(&mut self, simd: S) {
        let conv = self.conv;
        let count = self.pack(simd);
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
    fn pack<S: Simd>(&mut self, simd: S) -> usize {
        match self.input.leaky {
            true => self.pack_as::<S, true>(simd),
            false => self.pack_as::<S, false>(simd),
        }
    }

    #[inline(always)]
    fn pack_as<S: Simd, const LEAKY: bool>(&mut self, simd: S) -> usize {
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
        let grid = self.conv.grid;
        let count = grid.tiles(self.from..self.from + rows, dilation);
        let stride = (count + MAX_GROUP) * depth;
        at_least(inputs, POINTS * stride + MAX_GROUP * depth);
        let high = count + MAX_GROUP;
        at_least(units, POINTS * high);
        let (mut at, mut start) = (0, 0);
        while start < rows {
            let part = grid.part(self.from + start, rows - start);
            for phase in 0..dilation.min(part) {
                for output in (phase..part).step_by(TILE * dilation) {
                    // Of rows that only outputs beyond the part would read, a tile sees nothing.
                    let mut taken = [&ZEROS[..ci]; POINTS];
                    for (i, row) in taken.iter_mut().enumerate() {
                        if output + i.saturating_sub(POINTS - TILE) * dilation < part {
                            let at = start + output + i * dilation;
                            *row = self.input.row(first + at as isize);
                        }
                    }
                    let to = &mut inputs[at * depth..];
                    let of_tile = T::pack_tile::<S, LEAKY>(simd, &taken, to, stride, ci);
                    for (p, unit) in of_tile.into_iter().enumerate() {
                        units[p * high + at] = unit;
                        to[p * stride..][ci..depth].fill(T::default());
                    }
                    at += 1;
                }
            }
            start += part;
        }
        count
    }

    /// Finishes and stores the columns of a panel from column `column` on. `stride`: sums of a point.
    #[inline(always)]
    fn store<const WIDTH: usize>(&mut self, column: usize, stride: usize) {
        // A count that the compiler knows makes straight code of the loops.
        match self.conv.co - column {
            live if live < WIDTH => self.store_columns::<WIDTH>((column, live), stride),
            _ => self.store_columns::<WIDTH>((column, WIDTH), stride),
        }
    }

    /// The same, of which `live` columns are stored.
    #[inline(always)]
    fn store_columns<const WIDTH: usize>(&mut self, (column, live): (usize, usize), stride: usize) {
        let Conv { co, dilation, .. } = *self.conv;
        let rows = self.out.len() / co;
        let whole = live / LANES * LANES;
        let sums = &self.scratch.sums;
        let mut finish = Finish {
            bias: &self.conv.bias,
            epilogue: &self.epilogue,
            at: self.at,
            co,
            raw: self.raw,
            out: self.out,
        };
        if !self.form.tiled {
            for row in 0..rows {
                let sums = &sums[row * WIDTH..][..WIDTH];
                for n in (0..whole).step_by(LANES) {
                    finish.columns::<LANES>(row, column + n, load(sums, n));
                }
                for n in whole..live {
                    finish.columns::<1>(row, column + n, load(sums, n));
                }
            }
            return;
        }
        let (mut at, mut start) = (0, 0);
        while start < rows {
            let part = self.conv.grid.part(self.from + start, rows - start);
            for phase in 0..dilation.min(part) {
                for output in (phase..part).step_by(TILE * dilation) {
                    let count = TILE.min((part - output).div_ceil(dilation));
                    let first = start + output;
                    let sums = &sums[at * WIDTH..];
                    for n in (0..whole).step_by(LANES) {
                        let tile = winograd::outputs::<LANES>(T::POINTS, &sums[n..], stride);
                        // In registers, if the compiler knows which row it is.
                        for which in 0..TILE {
                            if which < count {
                                let row = first + which * dilation;
                                finish.columns::<LANES>(row, column + n, tile[which]);
                            }
                        }
                    }
                    for n in whole..live {
                        let tile = winograd::outputs::<1>(T::POINTS, &sums[n..], stride);
                        for (which, &values) in tile[..count].iter().enumerate() {
                            finish.columns::<1>(first + which * dilation, column + n, values);
                        }
                    }
                    at += 1;
                }
            }
            start += part;
        }
    }
}

/// From sums to what is stored.
struct Finish<'a> {
    bias: &'a [f32],
    epilogue: &'a Epilogue<'a>,
    /// The row of the epilogue's slices at which `out` begins.
    at: usize,
    /// Channels of a row.
    co: usize,
    raw: &'a mut [f32],
    out: &'a mut [f32],
}

impl Finish<'_> {
    /// Finishes `N` columns of a row from column `column` on in registers, and stores them.
    #[inline(always)]
    fn columns<const N: usize>(&mut self, row: usize, column: usize, mut v: [f32; N]) {
        let co = self.co;
        let place = row * co + column;
        let Epilogue { residual, film, leaky: active, plus } = *self.epilogue;
        let bias: [f32; N] = load(self.bias, column);
        for i in 0..N {
            v[i] += bias[i];
        }
        if let Some((rows, repeat, phase)) = residual {
            let row = self.at + row + phase;
            // Division costs as much as a narrow row does.
            let repetition = if repeat == 1 { row } else { (row as u32 / repeat as u32) as usize };
            let residual: [f32; N] = load(rows, repetition * co + column);
            for i in 0..N {
                v[i] += residual[i];
            }
        }
        if !self.raw.is_empty() {
            self.raw[place..place + N].copy_from_slice(&v);
        }
        if let Some(film) = film {
            let film = &film[(self.at + row) * 2 * co..][..2 * co];
            let (shift, scale): ([f32; N], [f32; N]) =
                (load(film, column), load(film, co + column));
            for i in 0..N {
                v[i] = v[i] * scale[i] + shift[i];
            }
        }
        if active {
            for i in 0..N {
                v[i] = leaky(v[i]);
            }
        }
        if let Some(plus) = plus {
            let plus: [f32; N] = load(plus, column);
            for i in 0..N {
                v[i] += plus[i];
            }
        }
        self.out[place..place + N].copy_from_slice(&v);
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
