//! Parts of a sound whose phases are turned by one angle.
//!
//! Turned so, a sound keeps all magnitudes, and a part of it, cut out along what is quiet, nearly all. So a
//! search finds parts that are right but for their angles, a syllable or a few harmonics each, and between them
//! seams that no stirring mends: the part on one side would have to turn as a whole. (Domains and their walls, as
//! magnets have them.) A turn takes such a part: from a seam to another one, between quiet bins.

use std::f32::consts::TAU;
use std::ops::Range;

use realfft::num_complex::Complex32;

/// Uniform values that a turn is drawn with.
pub(super) const DRAWS: usize = 7;

/// Seams that the second one is drawn from, on one side of the first.
const SEAMS: f32 = 4.0;

/// The part's height where it has two edges, in Hz.
const HEIGHTS: Range<f32> = 60.0..530.0;

/// How far an edge goes for the quietest bin, in Hz.
const EDGE: f32 = 70.0;

/// A part, whose bins may end beyond a spectrum's, and what its spectra are multiplied with.
#[derive(Debug, PartialEq)]
pub(super) struct Turn {
    pub frames: Range<usize>,
    pub bins: Range<usize>,
    pub by: Complex32,
}

impl Turn {
    /// A turn between seams of `frames`, whose `misfits` these are, and among bins below `top`, `spacing` Hz apart.
    /// `draws` are from 0 to below 1; `magnitudes` adds those of a frame's bins to its argument.
    pub fn draw(
        draws: [f32; DRAWS],
        frames: &Range<usize>,
        misfits: &[f32],
        (top, spacing): (usize, f32),
        mut magnitudes: impl FnMut(usize, &mut [f32]),
    ) -> Self {
        let [angle, first, second, side, kind, at, height] = draws;
        let seams = seams(misfits);
        let one = drawn(&seams, misfits, first);
        // The next one more often than those farther away.
        let away = 1 + (SEAMS * second * second) as usize;
        let other =
            if side < 0.5 { one.saturating_sub(away) } else { (one + away).min(seams.len() - 1) };
        let (from, to) = (seams[one.min(other)], seams[one.max(other)]);
        let frames = frames.start + from..frames.start + to;

        let mut sum = vec![0.0; top];
        frames.clone().for_each(|frame| magnitudes(frame, &mut sum));
        let reach = (EDGE / spacing) as usize;
        // At the bottom and beyond the top there is no edge to move.
        let quietest = |bin: f32| {
            let bin = bin as usize;
            if bin == 0 || bin >= top {
                return bin;
            }
            let near = bin.saturating_sub(reach).max(1)..(bin + reach + 1).min(top);
            near.min_by(|a, b| sum[*a].total_cmp(&sum[*b])).unwrap_or(bin)
        };
        let whole = top as f32;
        let bins = if kind < 0.25 {
            // Now and then all of it.
            0..quietest(whole * (0.07 + at))
        } else if kind < 0.5 {
            quietest(whole * at)..usize::MAX
        } else {
            let height = (HEIGHTS.start + height * (HEIGHTS.end - HEIGHTS.start)) / spacing;
            let low = (whole - height).max(0.0) * at;
            quietest(low)..quietest(low + height)
        };
        Self { frames, bins, by: Complex32::from_polar(1.0, TAU * angle) }
    }

    /// Turns `spectrum`, the one of `frame`.
    pub fn apply(&self, frame: usize, spectrum: &mut [Complex32]) {
        let bins = self.bins.start.min(spectrum.len())..self.bins.end.min(spectrum.len());
        if self.frames.contains(&frame) && bins.start < bins.end {
            spectrum[bins].iter_mut().for_each(|value| *value *= self.by);
        }
    }
}

/// Frames that fit worse than those beside them, between the first and the end.
fn seams(misfits: &[f32]) -> Vec<usize> {
    let inner = misfits.windows(3).enumerate();
    let inner = inner.filter(|(_, m)| m[1] >= m[0] && m[1] > m[2]).map(|(before, _)| before + 1);
    std::iter::once(0).chain(inner).chain([misfits.len()]).collect()
}

/// Which of the `seams` between the first and the last, as often as it fits badly, for `draw` of 0 to 1.
fn drawn(seams: &[usize], misfits: &[f32], draw: f32) -> usize {
    let inner = &seams[1..seams.len() - 1];
    let mut left = draw * inner.iter().map(|seam| misfits[*seam]).sum::<f32>();
    let passed = inner.iter().position(|seam| {
        left -= misfits[*seam];
        left <= 0.0
    });
    passed.map_or(0, |index| index + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Seams at 2 and 5, of which the second fits three times as badly.
    const MISFITS: [f32; 8] = [0.0, 1.0, 2.0, 1.0, 1.0, 6.0, 1.0, 0.0];

    fn turn(draws: [f32; DRAWS]) -> Turn {
        // Quiet at bins 20 and 60 of 100, 10 Hz apart.
        Turn::draw(draws, &(100..108), &MISFITS, (100, 10.0), |_, sum| {
            for (bin, out) in sum.iter_mut().enumerate() {
                *out += if bin == 20 || bin == 60 { 0.1 } else { 1.0 };
            }
        })
    }

    #[test]
    fn it_reaches_from_a_seam_to_another_between_quiet_bins_by_hand() {
        assert_eq!(seams(&MISFITS), [0, 2, 5, 8]);
        assert_eq!(
            [0.1, 0.24, 0.26, 0.9].map(|draw| drawn(&seams(&MISFITS), &MISFITS, draw)),
            [1, 1, 2, 2]
        );
        // From frame 105 to the left, the next seam; up to bin 7 + 50, and 60 is near.
        let low = turn([0.25, 0.9, 0.0, 0.0, 0.1, 0.5, 0.0]);
        assert_eq!((low.frames, low.bins), (102..105, 0..60));
        assert!((low.by - Complex32::I).norm() < 1e-6);
        // To the right, four seams on, of which there is one; from bin 23, and 20 is near.
        let high = turn([0.5, 0.9, 0.9, 0.9, 0.4, 0.23, 0.0]);
        assert_eq!((high.frames, high.bins), (105..108, 20..usize::MAX));
        // From 102 to the left; 53 bins high, from bin 0.4 * 47 = 18 to 71, of which 60 is too far away.
        let band = turn([0.5, 0.1, 0.9, 0.0, 0.9, 0.4, 1.0]);
        assert_eq!((band.frames, band.bins.start), (100..102, 20));
        assert!((64..79).contains(&band.bins.end), "{}", band.bins.end);
        // All of it.
        assert_eq!(turn([0.5, 0.1, 0.0, 0.0, 0.1, 0.95, 0.0]).bins, 0..102);
    }

    #[test]
    fn nothing_but_its_part_is_turned() {
        let turn = Turn { frames: 3..5, bins: 2..usize::MAX, by: Complex32::I };
        for frame in 0..8 {
            let mut spectrum = [Complex32::ONE; 4];
            turn.apply(frame, &mut spectrum);
            let upper = if (3..5).contains(&frame) { Complex32::I } else { Complex32::ONE };
            assert_eq!(spectrum, [Complex32::ONE, Complex32::ONE, upper, upper]);
        }
    }

    #[test]
    fn any_draw_of_any_tile_is_taken() {
        let ends = [0.0, 0.5, 1.0 - f32::EPSILON];
        for misfits in [&[][..], &[1.0], &[0.0; 5], &[f32::INFINITY; 4], &[f32::NAN; 4], &MISFITS] {
            for pattern in 0..3usize.pow(DRAWS as u32) {
                let draws = std::array::from_fn(|i| ends[pattern / 3usize.pow(i as u32) % 3]);
                let frames = 5..5 + misfits.len();
                let turn = Turn::draw(draws, &frames, misfits, (3, 50.0), |_, _| {});
                assert!(frames.start <= turn.frames.start && turn.frames.end <= frames.end);
                turn.apply(5, &mut [Complex32::ONE; 4]);
            }
        }
    }
}
