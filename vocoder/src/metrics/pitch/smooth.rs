//! The last touch of a contour: a low-pass over each voiced section.

use super::contour::voiced;

/// Frames of 1 ms that a section is continued by at either end, for the filter to settle.
const MARGIN: usize = 300;

/// Butterworth of order 2 at 30 Hz for 1000 frames a second (MATLAB's butter(2, 30 / 500), as WORLD).
const B: [f64; 2] = [0.007_820_208_033_497_172, 0.015_640_416_066_994_345];
const A: [f64; 2] = [1.734_725_768_809_275_4, -0.766_006_600_943_264_1];

/// Each section of `f0_hz` without its fast changes, forwards and backwards, so that nothing is late.
/// Before and after it goes on as it begins and ends.
pub(super) fn smoothed(f0_hz: &[f64]) -> Vec<f64> {
    let mut out = vec![0.0; f0_hz.len()];
    for (first, last) in voiced(f0_hz) {
        let mut section = vec![f0_hz[first]; MARGIN];
        section.extend_from_slice(&f0_hz[first..=last]);
        section.resize(section.len() + MARGIN, f0_hz[last]);
        for _ in 0..2 {
            filter(&mut section);
            section.reverse();
        }
        out[first..=last].copy_from_slice(&section[MARGIN..MARGIN + last - first + 1]);
    }
    out
}

fn filter(x: &mut [f64]) {
    let mut state = [0.0; 2];
    for x in x {
        let next = *x + A[0] * state[0] + A[1] * state[1];
        *x = B[0] * (next + state[1]) + B[1] * state[0];
        state = [next, state[0]];
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Twice the filter: at 30 Hz a quarter of the power is left, so half the swing.
    #[test]
    fn slow_changes_stay_and_fast_ones_go() {
        let swing = |hz: f64| {
            let mut f0_hz = vec![0.0; 1000];
            for (i, f0) in f0_hz.iter_mut().enumerate().skip(100).take(800) {
                *f0 = 200.0 + 10.0 * (std::f64::consts::TAU * hz * i as f64 / 1000.0).sin();
            }
            let out = smoothed(&f0_hz);
            assert!(out[99] == 0.0 && out[100] > 0.0 && out[899] > 0.0 && out[900] == 0.0);
            out[300..700].iter().fold(0.0, |most: f64, f0| most.max(f0 - 200.0))
        };
        for (hz, expected) in [(2.0, 10.0), (30.0, 5.0), (200.0, 0.0)] {
            assert!((swing(hz) - expected).abs() < 0.05, "{hz}: {}", swing(hz));
        }
    }
}
