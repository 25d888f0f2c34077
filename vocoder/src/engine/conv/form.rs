//! A convolution's weights, packed for one way of computing it.

use crate::engine::Isa;
use crate::kernel::panel::Value;
use crate::kernel::winograd::{self, POINTS};
use crate::kernel::{LANES, panel_width};

/// Weights as one way of computing reads them.
pub(super) struct Form<T> {
    /// Whether it is Winograd's tiles.
    pub tiled: bool,
    /// `[panel][point]` of [`Panel::weights`](crate::kernel::panel::Panel::weights); in the direct form there are no points.
    pub weights: Vec<T>,
    /// Of [scaled](Value::SCALED) weights, else empty: `[panel][point]`, in the direct form `[panel][tap]`, of
    /// [`Panel::column_units`](crate::kernel::panel::Panel::column_units).
    pub units: Vec<f32>,
    /// As `units`, of [`Panel::column_starts`](crate::kernel::panel::Panel::column_starts).
    pub starts: Vec<i32>,
}

impl<T: Value> Form<T> {
    /// Packs `weight` `[taps, ci, co]` for Winograd's tiles (of three taps) or for the direct form.
    pub fn pack(
        isa: Isa,
        (taps, ci, co): (usize, usize, usize),
        weight: &[f32],
        tiled: bool,
    ) -> Self {
        let (depth, wide) = (ci.next_multiple_of(T::DEPTH), co.next_multiple_of(LANES));
        let width = panel_width(wide);
        let points = if tiled { POINTS } else { taps };
        let columns = T::columns(isa, width);
        let groups = width / columns;
        let mut weights = vec![T::default(); points * depth * wide];
        let scaled = if T::SCALED { points * wide } else { 0 };
        let (mut units, mut starts) = (vec![1f32; scaled], vec![0i32; scaled]);
        // `[point][depth][columns]` of one group, so that reads and writes run along.
        let mut group = vec![0f32; points * depth * columns];
        for first in (0..wide).step_by(columns) {
            let (panel, index) = (first / width, first % width / columns);
            group.fill(0.0);
            for c in 0..ci {
                for o in first..co.min(first + columns) {
                    let tap = |k: usize| weight[(k * ci + c) * co + o];
                    let mut put = |p, v| group[(p * depth + c) * columns + o - first] = v;
                    if tiled {
                        let all = winograd::weights(T::POINTS, [tap(0), tap(1), tap(2)]);
                        all.into_iter().enumerate().for_each(|(p, v)| put(p, v));
                    } else {
                        (0..taps).for_each(|k| put(k, tap(k)));
                    }
                }
            }
            for (p, values) in group.chunks_exact(depth * columns).enumerate() {
                // See `Panel::weights`: a point is a job, while all taps are one.
                let at = match tiled {
                    true => (panel * points + p) * groups + index,
                    false => (panel * groups + index) * points + p,
                };
                let to = &mut weights[at * depth * columns..][..depth * columns];
                if !T::SCALED {
                    round_columns(values, columns, &[], to);
                    continue;
                }
                let at = (panel * points + p) * width + first % width;
                let units = &mut units[at..][..columns];
                measure_columns::<T>(values, tiled.then_some(p), units);
                round_columns(values, columns, units, to);
                for (o, start) in starts[at..][..columns].iter_mut().enumerate() {
                    let column = to.chunks_exact(T::DEPTH).skip(o).step_by(columns);
                    *start = T::column_start(column.flatten().copied());
                }
            }
        }
        Form { tiled, weights, units, starts }
    }
}

/// The units of the columns of `[depth][columns]`.
fn measure_columns<T: Value>(values: &[f32], point: Option<usize>, units: &mut [f32]) {
    let columns = units.len();
    let (mut most, mut sum) = (vec![0f32; columns], vec![0f32; columns]);
    for row in values.chunks_exact(columns) {
        for ((most, sum), value) in most.iter_mut().zip(&mut sum).zip(row) {
            *most = most.max(value.abs());
            *sum += value.abs();
        }
    }
    for ((unit, most), sum) in units.iter_mut().zip(most).zip(sum) {
        *unit = T::column_unit(values.len() / columns, point, most, sum);
    }
}

/// From `[depth][columns]` to `[depth / DEPTH][columns][DEPTH]`, in units if there are any.
fn round_columns<T: Value>(values: &[f32], columns: usize, units: &[f32], to: &mut [T]) {
    for (c, row) in values.chunks_exact(columns).enumerate() {
        for (o, &value) in row.iter().enumerate() {
            let value = units.get(o).map_or(value, |unit| value / unit);
            to[(c / T::DEPTH * columns + o) * T::DEPTH + c % T::DEPTH] = T::round(value);
        }
    }
}
