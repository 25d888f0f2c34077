//! One convolution of the network, with what comes right before and after it.

mod form;
mod grid;
mod task;

use std::cell::RefCell;

use super::Isa;
use crate::kernel::panel::Value;
use crate::kernel::winograd::{POINTS, TILE};
use crate::kernel::{LANES, panel_width};
use form::Form;
pub(super) use grid::Arrival;
use grid::{Grid, tiles};
use task::Task;

/// Most channels of a row: zeros stand for rows outside the signal.
const MAX_CHANNELS: usize = 4096;
static ZEROS: [f32; MAX_CHANNELS] = [0.0; MAX_CHANNELS];

/// Bytes of packed inputs that a task works on: half of a second-level cache of 1 MiB, the other
/// half being for weights and sums.
const TASK_BYTES: usize = 320 << 10;

/// A convolution's shape and packed weights in precision `T`.
pub(super) struct Conv<T> {
    pub ci: usize,
    pub co: usize,
    pub taps: usize,
    pub dilation: usize,
    /// Rows of zeros before the signal: tap `k` of row `t` reads row `t + k * dilation - left`.
    pub left: usize,
    /// Channels in, with padding.
    depth: usize,
    /// Channels out of a panel.
    width: usize,
    form: Form<T>,
    /// The direct form as well, where `form` is tiles and rows may come a few at a time.
    few: Option<Form<T>>,
    /// Where tiles begin.
    grid: Grid,
    /// `[co]` with padding.
    bias: Vec<f32>,
}

/// Where a convolution reads.
#[derive(Clone, Copy)]
pub(super) struct Input<'a> {
    /// Rows from row `first` on, flat, at the source's own rate.
    pub data: &'a [f32],
    pub first: usize,
    pub channels: usize,
    /// Only every `keep`-th row is seen.
    pub keep: usize,
    /// Each row is seen `repeat` times.
    pub repeat: usize,
    /// Leaky ReLU on the way.
    pub leaky: bool,
}

impl<'a> Input<'a> {
    /// Row `t`, or zeros outside the signal.
    #[inline(always)]
    fn row(&self, t: isize) -> &'a [f32] {
        // Division costs as much as a narrow row does.
        let seen = if self.repeat == 1 { t } else { t.div_euclid(self.repeat as isize) };
        let at = seen * self.keep as isize - self.first as isize;
        let range = at.max(0) as usize * self.channels;
        if t < 0 || at < 0 || range + self.channels > self.data.len() {
            return &ZEROS[..self.channels];
        }
        &self.data[range..range + self.channels]
    }
}

/// What happens to the sums, in this order. Slices begin at the first output row.
#[derive(Clone, Copy, Default)]
pub(super) struct Epilogue<'a> {
    /// Added: `[rows / repeat][co]`, and the repeat; the first row's phase within a repetition.
    pub residual: Option<(&'a [f32], usize, usize)>,
    /// Multiplied and added: `[rows][2 co]`, the shift first.
    pub film: Option<&'a [f32]>,
    /// Leaky ReLU.
    pub leaky: bool,
    /// Added after the activation: `[co]`.
    pub plus: Option<&'a [f32]>,
}

impl<T: Scratched> Conv<T> {
    /// Packs `weight` `[taps, ci, co]` for `isa` and for the form that is fastest for the shape and for how
    /// rows come.
    pub fn new(
        isa: Isa,
        (taps, ci, co): (usize, usize, usize),
        weight: &[f32],
        bias: &[f32],
        (dilation, left): (usize, usize),
        arrival: Arrival,
    ) -> Self {
        let wide = co.next_multiple_of(LANES);
        let mut bias = bias.to_vec();
        bias.resize(wide, 0.0);
        let (depth, width) = (ci.next_multiple_of(T::DEPTH), panel_width(wide));
        let mut tiled = tiles_pay::<T>((taps, ci, co), arrival.alone);
        if arrival.alone {
            tiled &= !direct_pays(taps, arrival.frame, dilation);
        }
        let few = tiled && !arrival.alone && arrival.frame <= FEW_ROWS;
        let pack = |tiled| Form::pack(isa, (taps, ci, co), weight, tiled);
        let (form, few) = (pack(tiled), few.then(|| pack(false)));
        let grid = Grid::new(dilation, arrival);
        Conv { ci, co, taps, dilation, left, depth, width, form, few, grid, bias }
    }

    /// The form that is faster for `rows` rows.
    fn form(&self, rows: usize) -> &Form<T> {
        match &self.few {
            Some(direct) if direct_pays(self.taps, rows, self.dilation) => direct,
            _ => &self.form,
        }
    }

    /// The last row up to `end` up to which rows may be computed before the next ones: any, or where tiles
    /// begin.
    pub fn whole(&self, end: usize) -> usize {
        if self.form.tiled { self.grid.floor(end) } else { end }
    }

    /// Rows that it looks ahead.
    pub fn ahead(&self) -> usize {
        self.dilation * (self.taps - 1) - self.left
    }

    /// Bytes of weights.
    pub fn bytes(&self) -> usize {
        let forms = std::iter::once(&self.form).chain(&self.few);
        forms.map(|form| size_of_val(form.weights.as_slice())).sum()
    }

    /// Computes the rows of `out` `[rows][co]`, the first being row `from` of the clip. What is stored
    /// in `raw`, if it is not empty, is the value before the modulation.
    pub fn run(
        &self,
        isa: Isa,
        input: Input<'_>,
        from: usize,
        epilogue: Epilogue<'_>,
        raw: &mut [f32],
        out: &mut [f32],
    ) {
        let rows = out.len() / self.co;
        if rows == 0 {
            return;
        }
        let threads = rayon::current_num_threads();
        let form = self.form(rows);
        let unit = if form.tiled { TILE * self.dilation } else { 1 };
        let products = if form.tiled { POINTS.div_ceil(TILE) } else { 1 };
        let per_row = products * self.depth * size_of::<T>();
        let most = (TASK_BYTES / per_row).max(1);
        let tasks = rows.div_ceil(most).next_multiple_of(threads);
        let per_task = rows.div_ceil(tasks).next_multiple_of(unit);
        let place = (from, 0, rows.div_ceil(per_task));
        self.split((isa, form, per_task), input, place, epilogue, raw, out);
    }

    /// Halves the rows until a task is left, of about so many rows; `(first row of the clip, first row of
    /// the epilogue, tasks)`.
    fn split(
        &self,
        how @ (isa, form, per_task): (Isa, &Form<T>, usize),
        input: Input<'_>,
        (from, at, tasks): (usize, usize, usize),
        epilogue: Epilogue<'_>,
        raw: &mut [f32],
        out: &mut [f32],
    ) {
        if tasks > 1 {
            let half = tasks / 2;
            // Tiles may begin earlier, by less than a task.
            let begin = from + half * per_task;
            let begin = if form.tiled { self.grid.floor(begin) } else { begin };
            let rows = begin - from;
            let (left, right) = out.split_at_mut(rows * self.co);
            let (raw_left, raw_right) = raw.split_at_mut((rows * self.co).min(raw.len()));
            rayon::join(
                || self.split(how, input, (from, at, half), epilogue, raw_left, left),
                || {
                    let place = (begin, at + rows, tasks - half);
                    self.split(how, input, place, epilogue, raw_right, right);
                },
            );
            return;
        }
        T::with_scratch(|scratch| {
            isa.arch().dispatch(Task {
                conv: self,
                form,
                isa,
                input,
                from,
                at,
                epilogue,
                raw,
                out,
                scratch,
            });
        });
    }
}

/// Whether tiles are faster than the direct form for a shape. Measured in whole networks (`vocoder
/// bench`): for narrower layers the transforms cost more than the multiplications that they save.
fn tiles_pay<T: Value>((taps, ci, co): (usize, usize, usize), alone: bool) -> bool {
    let least = match T::DEPTH {
        // Of tiles that end with each frame more are not full.
        4 if alone => 64,
        2 if !T::SCALED => 96,
        _ => 32,
    };
    taps == 3 && ci.min(co) >= least
}

/// Rows of a frame up to which convolutions are packed for few rows as well: below this, tiles are half
/// empty, and reading their weights, which are twice as many, takes longer than multiplying.
const FEW_ROWS: usize = 12;

/// Rows that take register tiles ([`Panel`](crate::kernel::panel::Panel)) no longer than fewer: each sum waits
/// for the one before.
const LEAST_GROUP: usize = 4;

/// Whether the direct form has no more products than tiles for `rows` rows at a time. Tiles have twice
/// the weights to read.
fn direct_pays(taps: usize, rows: usize, dilation: usize) -> bool {
    let in_tiles = POINTS * tiles(rows, dilation).max(LEAST_GROUP);
    taps * rows.max(LEAST_GROUP) <= in_tiles
}

/// Buffers of a thread: packed inputs with their units, and sums.
#[derive(Default)]
pub(super) struct Scratch<T> {
    inputs: Vec<T>,
    units: Vec<f32>,
    sums: Vec<f32>,
}

/// Lends the thread's buffers.
pub(super) trait Scratched: Value {
    fn with_scratch<R>(f: impl FnOnce(&mut Scratch<Self>) -> R) -> R;
}

macro_rules! scratched {
    ($type:ty) => {
        impl Scratched for $type {
            fn with_scratch<R>(f: impl FnOnce(&mut Scratch<Self>) -> R) -> R {
                thread_local! {
                    static SCRATCH: RefCell<Scratch<$type>> = RefCell::default();
                }
                SCRATCH.with_borrow_mut(f)
            }
        }
    };
}
scratched!(f32);
scratched!(half::bf16);
scratched!(i16);
scratched!(i8);

#[cfg(test)]
mod tests;
