//! What the precisions of whole numbers share: rounding, and the units that numbers are counted in.

use crate::kernel::rows::seen;

/// 1.5 x 2^23: added to a number below 2^22, the sum's lowest bits are the nearest whole number's.
pub(crate) const ROUNDER: f32 = 12_582_912.0;

/// Values that are compared side by side.
const SPAN: usize = 16;

/// Of silence, too, a number that may be divided by.
#[inline(always)]
pub(crate) fn unit(value: f32) -> f32 {
    if value > 1e-30 { value } else { 1e-30 }
}

/// The largest magnitude of some rows.
#[inline(always)]
pub(crate) fn largest<const LEAKY: bool>(rows: &[&[f32]]) -> f32 {
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
