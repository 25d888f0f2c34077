//! What the precisions of whole numbers share: rounding, the units that numbers are counted in, and the
//! obvious way of computing.

use super::{Panel, Value};
use crate::engine::Isa;
use crate::kernel::rows::seen;

/// A precision of whole numbers, whose products are summed exactly in 32 bits.
pub(super) trait Whole: Value {
    /// The product of an input, as it is stored, with a weight.
    fn product(input: Self, weight: Self) -> i32;
}

/// 1.5 x 2^23: added to a number below 2^22, the sum's lowest bits are the nearest whole number's.
pub(super) const ROUNDER: f32 = 12_582_912.0;

/// Values that are compared side by side.
const SPAN: usize = 16;

/// Of silence, too, a number that may be divided by.
#[inline(always)]
pub(super) fn unit(value: f32) -> f32 {
    if value > 1e-30 { value } else { 1e-30 }
}

/// The largest magnitude of some rows.
#[inline(always)]
pub(super) fn largest<const LEAKY: bool>(rows: &[&[f32]]) -> f32 {
    // Loops over arrays of known size, which stay in registers.
    let mut lanes = [0f32; SPAN];
    for row in rows {
        let mut whole = row.chunks_exact(SPAN);
        for values in &mut whole {
            for i in 0..SPAN {
                lanes[i] = larger(lanes[i], seen::<LEAKY>(values[i]));
            }
        }
        for &value in whole.remainder() {
            lanes[0] = larger(lanes[0], seen::<LEAKY>(value));
        }
    }
    largest_lane(lanes)
}

/// The largest of some magnitudes.
#[inline(always)]
fn largest_lane(lanes: [f32; SPAN]) -> f32 {
    // In arrays of known size, or they would be compared one by one.
    let four = larger_half::<8, 4>(larger_half::<SPAN, 8>(lanes));
    let [a, b] = larger_half::<4, 2>(four);
    larger(a, b)
}

/// The larger of each value in the first half, and of its peer in the second.
#[inline(always)]
fn larger_half<const N: usize, const HALF: usize>(lanes: [f32; N]) -> [f32; HALF] {
    let mut half = [0f32; HALF];
    for i in 0..HALF {
        half[i] = larger(lanes[i], lanes[i + HALF]);
    }
    half
}

/// The larger of `most` and a value's magnitude: one instruction, unlike [`f32::max`], which minds NaN.
#[inline(always)]
fn larger(most: f32, value: f32) -> f32 {
    let magnitude = value.abs();
    if magnitude > most { magnitude } else { most }
}

/// Rounds a row of inputs, of which the largest magnitude is to be `most` units, and returns the unit.
#[inline(always)]
pub(super) fn pack_row<T: Value, const LEAKY: bool>(row: &[f32], to: &mut [T], most: f32) -> f32 {
    let unit = unit(largest::<LEAKY>(&[row]) / most);
    let scale = 1.0 / unit;
    for (to, &v) in to.iter_mut().zip(row) {
        *to = T::round_input(seen::<LEAKY>(v) * scale);
    }
    unit
}

/// The obvious way, for processors without a kernel and for tests. Equal to the kernels, bit for bit.
#[inline(always)]
pub(super) fn plain<T: Whole>(panel: Panel<'_, T>, isa: Isa) {
    let unit_step = panel.unit_step();
    let Panel { rows, row_step, tap_step, taps, depth, weights, width, count, out, .. } = panel;
    let columns = T::columns(isa, width);
    for r in 0..count {
        for first in (0..width).step_by(columns) {
            let out = &mut out[r * width + first..][..columns];
            out.fill(0.0);
            for tap in 0..taps {
                let row = &rows[r * row_step + tap * tap_step..][..depth];
                let weights = &weights[(first * taps + tap * columns) * depth..][..columns * depth];
                let mut sums = [0i32; 64];
                let sums = &mut sums[..columns];
                sums.copy_from_slice(&panel.column_starts[tap * width + first..][..columns]);
                let groups =
                    row.chunks_exact(T::DEPTH).zip(weights.chunks_exact(T::DEPTH * columns));
                for (values, group) in groups {
                    for (sum, weights) in sums.iter_mut().zip(group.chunks_exact(T::DEPTH)) {
                        for (value, weight) in values.iter().zip(weights) {
                            *sum = sum.wrapping_add(T::product(*value, *weight));
                        }
                    }
                }
                let row_unit = panel.row_units[r + tap * unit_step];
                let units = &panel.column_units[tap * width + first..][..columns];
                for ((out, sum), unit) in out.iter_mut().zip(sums).zip(units) {
                    *out += *sum as f32 * (row_unit * unit);
                }
            }
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::kernel::panel::MAX_GROUP;
    use crate::kernel::tests::random;

    /// Whether all instruction sets give the same bits, of `numbers` from a seed: of every number of rows, so
    /// that each size of tile is met, of each width, and with taps that lie apart.
    pub(in crate::kernel::panel) fn all_give_the_same_bits<T: Value>(
        numbers: impl Fn(u64, usize) -> Vec<T>,
    ) {
        let (depth, taps, unit_step) = (12, 3, 2);
        for (count, width) in (1..20).flat_map(|count| [16, 32, 48, 64].map(|w| (count, w))) {
            let high = count + MAX_GROUP + (taps - 1) * unit_step;
            let (rows, weights) = (numbers(1, high * depth), numbers(2, taps * depth * width));
            let (row_units, column_units) = (random(3, high), random(4, taps * width));
            // Where nothing has to come right, sums begin with 0.
            let start = T::column_start(weights.iter().copied().take(depth));
            let starts = (0..taps * width).map(|column| start * (column as i32 % 7));
            let starts = starts.collect::<Vec<i32>>();
            let compute = |isa: Isa| {
                let mut out = vec![f32::NAN; (count + MAX_GROUP) * width];
                let panel = Panel {
                    rows: &rows,
                    row_step: depth,
                    tap_step: unit_step * depth,
                    taps,
                    depth,
                    weights: &weights,
                    row_units: &row_units,
                    column_units: &column_units,
                    column_starts: &starts,
                    width,
                    count,
                    out: &mut out,
                };
                T::compute(panel, isa);
                out[..count * width].iter().map(|v| v.to_bits()).collect::<Vec<u32>>()
            };
            let all = Isa::all().into_iter().map(compute).collect::<Vec<_>>();
            assert!(all.windows(2).all(|pair| pair[0] == pair[1]), "{count} {width}");
            assert!(all[0].iter().all(|bits| f32::from_bits(*bits).is_finite()), "{count} {width}");
        }
    }
}
