//! One convolution of the network, with what comes right before and after it.

mod form;
mod task;

use std::cell::RefCell;

use super::Isa;
use crate::kernel::panel::Value;
use crate::kernel::winograd::{POINTS, TILE};
use crate::kernel::{LANES, panel_width};
use form::Form;
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
    /// Packs `weight` `[taps, ci, co]` for `isa` and for the form that is fastest for the shape; `few`: rows
    /// may come a few at a time, so that the form depends on how many there are.
    pub fn new(
        isa: Isa,
        (taps, ci, co): (usize, usize, usize),
        weight: &[f32],
        bias: &[f32],
        (dilation, left): (usize, usize),
        few: bool,
    ) -> Self {
        let wide = co.next_multiple_of(LANES);
        let mut bias = bias.to_vec();
        bias.resize(wide, 0.0);
        let (depth, width) = (ci.next_multiple_of(T::DEPTH), panel_width(wide));
        let tiled = tiles_pay::<T>(taps, ci, co);
        let pack = |tiled| Form::pack(isa, (taps, ci, co), weight, tiled);
        let (form, few) = (pack(tiled), (few && tiled).then(|| pack(false)));
        Conv { ci, co, taps, dilation, left, depth, width, form, few, bias }
    }

    /// The form that is faster for `rows` rows.
    fn form(&self, rows: usize) -> &Form<T> {
        let in_tiles = POINTS * tiles(rows, self.dilation).max(LEAST_GROUP);
        let in_rows = self.taps * rows.max(LEAST_GROUP);
        match &self.few {
            // Tiles have twice the weights to read.
            Some(direct) if in_rows <= in_tiles => direct,
            _ => &self.form,
        }
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
        let (unit, products) =
            if form.tiled { (TILE * self.dilation, POINTS.div_ceil(TILE)) } else { (1, 1) };
        let per_row = products * self.depth * size_of::<T>();
        let most = (TASK_BYTES / per_row).max(1);
        let tasks = rows.div_ceil(most).next_multiple_of(threads);
        let per_task = rows.div_ceil(tasks).next_multiple_of(unit);
        self.split((isa, form), input, (from, 0, per_task), epilogue, raw, out);
    }

    /// Halves the rows until a task is left; `(first row of the clip, first row of the epilogue, rows
    /// of a task)`.
    fn split(
        &self,
        (isa, form): (Isa, &Form<T>),
        input: Input<'_>,
        (from, at, per_task): (usize, usize, usize),
        epilogue: Epilogue<'_>,
        raw: &mut [f32],
        out: &mut [f32],
    ) {
        let tasks = (out.len() / self.co).div_ceil(per_task);
        if tasks > 1 {
            let rows = tasks / 2 * per_task;
            let (left, right) = out.split_at_mut(rows * self.co);
            let (raw_left, raw_right) = raw.split_at_mut((rows * self.co).min(raw.len()));
            rayon::join(
                || {
                    let place = (from, at, per_task);
                    self.split((isa, form), input, place, epilogue, raw_left, left);
                },
                || {
                    let place = (from + rows, at + rows, per_task);
                    self.split((isa, form), input, place, epilogue, raw_right, right);
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
fn tiles_pay<T: Value>(taps: usize, ci: usize, co: usize) -> bool {
    taps == 3 && ci.min(co) >= if T::DEPTH == 1 || T::SCALED { 32 } else { 96 }
}

/// Rows that take register tiles ([`Panel`](crate::kernel::panel::Panel)) no longer than fewer: each sum waits
/// for the one before.
const LEAST_GROUP: usize = 4;

/// Tiles that cover `rows` rows, phase by phase of the dilation.
fn tiles(rows: usize, dilation: usize) -> usize {
    (0..dilation.min(rows)).map(|phase| (rows - phase).div_ceil(dilation).div_ceil(TILE)).sum()
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
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::kernel::tests::random;
    use crate::kernel::{ConvShape, plain};
    use half::bf16;
    use proptest::prelude::*;

    /// A convolution that has but one form, whatever is fastest.
    fn in_form<T: Scratched>(
        isa: Isa,
        shape: (usize, usize, usize),
        weight: &[f32],
        bias: &[f32],
        place: (usize, usize),
        tiled: bool,
    ) -> Conv<T> {
        let form = Form::pack(isa, shape, weight, tiled);
        Conv { form, ..Conv::new(isa, shape, weight, bias, place, false) }
    }

    /// A convolution over a whole signal, in two calls that meet at row `cut`.
    fn whole<T: Scratched>(isa: Isa, conv: &Conv<T>, x: &[f32], cut: usize) -> Vec<f32> {
        let rows = x.len() / conv.ci;
        let input =
            Input { data: x, first: 0, channels: conv.ci, keep: 1, repeat: 1, leaky: false };
        let mut out = vec![f32::NAN; rows * conv.co];
        let (left, right) = out.split_at_mut(cut * conv.co);
        conv.run(isa, input, 0, Epilogue::default(), &mut [], left);
        conv.run(isa, input, cut, Epilogue::default(), &mut [], right);
        out
    }

    fn worst(a: &[f32], b: &[f32]) -> f32 {
        a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, |m, d| if d > m { d } else { m })
    }

    fn shapes() -> impl Strategy<Value = ConvShape> {
        (1usize..150, 1usize..20, 1usize..100, 1usize..6, 1usize..9, 0f64..=1.0).prop_map(
            |(rows, half_ci, co, taps, dilation, lean)| {
                let left = ((dilation * (taps - 1)) as f64 * lean) as usize;
                ConvShape { batch: 1, rows, ci: 2 * half_ci, co, taps, dilation, left }
            },
        )
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]

        #[test]
        fn every_form_equals_the_plain_twin(s in shapes(), seed in 0u64..1000, cut in 0f64..1.0) {
            let x = random(seed, s.rows * s.ci);
            let w = random(seed + 1, s.taps * s.ci * s.co);
            let bias = random(seed + 2, s.co);
            let expected = plain::forward(&s, &x, &w, Some(&bias));
            let round = |v: &[f32]| v.iter().map(|v| bf16::round(*v).to_f32()).collect::<Vec<f32>>();
            let rounded = plain::forward(&s, &round(&x), &round(&w), Some(&bias));
            let cut = (cut * s.rows as f64) as usize;
            let scale = ((s.taps * s.ci) as f32).sqrt();
            for isa in Isa::all() {
                for tiled in [false, s.taps == 3] {
                    let (shape, place) = ((s.taps, s.ci, s.co), (s.dilation, s.left));
                    let conv = in_form::<f32>(isa, shape, &w, &bias, place, tiled);
                    let error = worst(&whole(isa, &conv, &x, cut), &expected);
                    prop_assert!(error < 1e-5 * scale, "{isa} f32 tiled {tiled}: {error}");
                    // The direct form is exact in the rounded factors; in tiles sums of inputs and of
                    // weights are rounded, each by 2^-9.
                    let conv = in_form::<bf16>(isa, shape, &w, &bias, place, tiled);
                    let (twin, most) = if tiled { (&expected, 0.25) } else { (&rounded, 1e-5) };
                    let error = worst(&whole(isa, &conv, &x, cut), twin);
                    prop_assert!(error < most * scale, "{isa} bf16 tiled {tiled}: {error}");
                    // Sums of rounded inputs are exact in tiles; their weights are not.
                    let conv = in_form::<i16>(isa, shape, &w, &bias, place, tiled);
                    let most = if tiled { 0.02 } else { 0.004 };
                    let error = worst(&whole(isa, &conv, &x, cut), &expected);
                    prop_assert!(error < most * scale, "{isa} int16 tiled {tiled}: {error}");
                    let conv = in_form::<i8>(isa, shape, &w, &bias, place, tiled);
                    let most = if tiled { 0.3 } else { 0.1 };
                    let error = worst(&whole(isa, &conv, &x, cut), &expected);
                    prop_assert!(error < most * scale, "{isa} int8 tiled {tiled}: {error}");
                }
            }
        }
    }

    #[test]
    fn few_rows_are_computed_directly_and_many_in_tiles() {
        let weight = random(1, 3 * 128 * 128);
        let isa = Isa::detect().unwrap();
        let conv = |few, dilation| {
            let place = (dilation, 2 * dilation);
            Conv::<f32>::new(isa, (3, 128, 128), &weight, &[0.0; 128], place, few)
        };
        let tiled = |few, dilation, rows| conv(few, dilation).form(rows).tiled;
        assert_eq!([1, 5, 25].map(|rows| tiled(true, 1, rows)), [false, false, true]);
        // Of each phase of the dilation there are one or two rows, where a tile computes four.
        assert_eq!([5, 12, 75].map(|rows| tiled(true, 8, rows)), [false, false, true]);
        assert_eq!([1, 5, 25].map(|rows| tiled(false, 1, rows)), [true; 3]);
    }
}
