//! Harvest: the pitch of a voice each millisecond (Morise 2017, "Harvest: a high-performance fundamental
//! frequency estimator from speech signals").
//!
//! 1. A bank of narrow band-pass filters, 40 an octave, each lets a sine of the pitch through if it
//!    lies there: its zero crossings tell a frequency ([`super::bands`]). Runs of ten or more
//!    neighbouring bands that agree are candidates.
//! 2. Each candidate, and those of the three milliseconds before and after, is refined by the
//!    instantaneous frequency of its harmonics and scored by how well these agree
//!    ([`super::instantaneous`]).
//! 3. The best of each frame are joined to contours, which are lengthened, merged and smoothed
//!    ([`super::contour`]).
//!
//! The constants are those of WORLD's program, by which the paper's were tuned (M. Morise; its
//! licence is in `LICENCE-world.txt`): this gives the same pitch, quirks included, and is tested against it.

use rayon::prelude::*;

use super::bands::Bank;
use super::contour::{Grid, contour};
use super::instantaneous::{HARMONICS, Window};

/// Samples per second that the filter bank works at.
const LOW_RATE: f64 = 8000.0;

/// Candidates of this many frames before and after are tried in a frame.
const SPREAD: usize = 3;

/// Least score of a candidate: the harmonics' mean deviation is below 40 %.
const LEAST_SCORE: f64 = 2.5;

/// A candidate without another one within 5 % in the frame before or after is dropped.
const NEIGHBOUR: f64 = 0.05;

/// A possible pitch of a frame.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Candidate {
    /// 0 where there is none.
    pub f0_hz: f64,
    /// 1 / mean relative deviation of the harmonics.
    pub score: f64,
}

/// The pitch in Hz, 0 where there is none, of `samples` at 16 kHz each millisecond, the first at sample
/// 0: `samples.len() / 16 + 1` values.
pub(super) fn harvest(samples: &[f64], (floor_hz, ceiling_hz): (f64, f64)) -> Vec<f64> {
    let frames = samples.len() / 16 + 1;
    if samples.len() < 2 {
        return vec![0.0; frames];
    }
    let mut low = halved(samples);
    let mean = low.iter().sum::<f64>() / low.len() as f64;
    low.iter_mut().for_each(|x| *x -= mean);

    let bank = Bank::new(&low, LOW_RATE, (floor_hz, ceiling_hz));
    let grid = spread(&bank.candidates(frames));
    let refined = |(frame, tried): (usize, Vec<f64>)| -> Vec<Candidate> {
        let refine = |f0_hz| refine(&low, frame, f0_hz, (floor_hz, ceiling_hz));
        tried.into_iter().map(refine).collect()
    };
    let mut grid: Grid = grid.into_par_iter().enumerate().map(refined).collect();
    drop_lonely(&mut grid);
    contour(&grid)
}

/// The pitch near `f0_hz` at the millisecond `frame`, by the instantaneous frequency of its harmonics.
fn refine(low: &[f64], frame: usize, f0_hz: f64, (floor, ceiling): (f64, f64)) -> Candidate {
    if f0_hz <= 0.0 {
        return Candidate::default();
    }
    let window = Window::new(low, LOW_RATE, frame as f64 / 1000.0, f0_hz);
    let harmonics = HARMONICS.min((0.5 * LOW_RATE / f0_hz) as usize);
    let (refined, deviation) = window.mean_frequency(f0_hz, harmonics);
    let score = 1.0 / (deviation + 1e-12);
    if (floor..=ceiling).contains(&refined) && score >= LEAST_SCORE {
        Candidate { f0_hz: refined, score }
    } else {
        Candidate::default()
    }
}

/// Each frame's own pitches, then those of the frames 1, 2, 3 before and after. All frames have the
/// same count; 0 is none.
fn spread(own: &[Vec<f64>]) -> Vec<Vec<f64>> {
    let most = own.iter().map(Vec::len).max().unwrap_or(0);
    let count = own.len();
    let places = |frame: usize| {
        let before = (1..=SPREAD).map(move |i| frame.checked_sub(i));
        let after = (1..=SPREAD).map(move |i| Some(frame + i).filter(|&at| at < count));
        std::iter::once(Some(frame)).chain(before).chain(after)
    };
    let pitch =
        |at: Option<usize>, i: usize| at.and_then(|at| own[at].get(i)).copied().unwrap_or(0.0);
    (0..count)
        .map(|frame| places(frame).flat_map(|at| (0..most).map(move |i| pitch(at, i))).collect())
        .collect()
}

/// Drops the candidates that no frame beside has a like one of.
fn drop_lonely(grid: &mut Grid) {
    let before = grid.clone();
    for (now, three) in grid.iter_mut().skip(1).zip(before.windows(3)) {
        for candidate in now.iter_mut().filter(|candidate| candidate.f0_hz > 0.0) {
            let apart = |other: &Candidate| (candidate.f0_hz - other.f0_hz).abs() / candidate.f0_hz;
            let beside = three[0].iter().chain(&three[2]);
            if beside.map(apart).fold(1.0, f64::min) > NEIGHBOUR {
                *candidate = Candidate::default();
            }
        }
    }
}

/// `samples` at half their rate, as MATLAB's `decimate` makes them: a Chebyshev filter of type I (order
/// 3, ripple 0.05 dB, edge 0.8 of the new band), forwards and backwards.
fn halved(samples: &[f64]) -> Vec<f64> {
    /// Samples by which both ends go on with their value, so that the filter settles: WORLD's, and
    /// those that `decimate` adds.
    const LAG: usize = 140;
    const MORE: usize = 9;
    let (first, last) = (samples[0], samples[samples.len() - 1]);
    let mut padded = vec![first; LAG + MORE];
    padded.extend_from_slice(samples);
    padded.resize(samples.len() + 2 * (LAG + MORE), last);
    for _ in 0..2 {
        low_pass(&mut padded);
        padded.reverse();
    }
    // `decimate` keeps the last sample: of an even number the odd ones, counted from 0.
    let begin = LAG + MORE + 1 - samples.len() % 2;
    padded[begin..].iter().copied().step_by(2).take(samples.len().div_ceil(2)).collect()
}

/// The filter of [`halved`], over `x` in place: WORLD's coefficients, of MATLAB's cheby1(3, 0.05, 0.4).
fn low_pass(x: &mut [f64]) {
    const A: [f64; 3] =
        [0.041_156_734_567_757_19, -0.425_991_124_591_896_36, 0.041_037_215_479_961_225];
    const B: [f64; 2] = [0.167_974_646_818_022_27, 0.503_923_940_454_066_7];
    let mut state = [0.0; 3];
    for x in x {
        let next = *x + A[0] * state[0] + A[1] * state[1] + A[2] * state[2];
        *x = B[0] * (next + state[2]) + B[1] * (state[0] + state[1]);
        state = [next, state[0], state[1]];
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn halving_keeps_low_tones_in_place_and_drops_high_ones() {
        let tone = |hz: f64, rate: f64, count: usize| -> Vec<f64> {
            (0..count).map(|i| (std::f64::consts::TAU * hz * i as f64 / rate).cos()).collect()
        };
        for count in [1600, 1601] {
            let whole = tone(500.0, 16_000.0, count);
            let low = halved(&whole);
            assert_eq!(low.len(), count.div_ceil(2));
            for i in 100..700 {
                // Twice the ripple of 0.05 dB; a sample off would differ by 0.2.
                let expected = whole[2 * i + 1 - count % 2];
                assert!((low[i] - expected).abs() < 0.012, "{count}: {i}");
            }
        }
        // By hand: 1 / (1 + e^2 T3(x)^2) with e^2 = 10^0.005 - 1 and x = tan(3/8 pi) / tan(pi/5): 0.0046.
        let high = halved(&tone(6000.0, 16_000.0, 1600));
        assert!(high[100..700].iter().all(|x| x.abs() < 0.005));
    }

    #[test]
    fn candidates_are_tried_three_frames_on() {
        let own: Vec<Vec<f64>> =
            [vec![], vec![], vec![100.0], vec![], vec![], vec![], vec![]].into();
        let tried: Vec<f64> = spread(&own).iter().map(|frame| frame.iter().sum()).collect();
        assert_eq!(tried, [100.0, 100.0, 100.0, 100.0, 100.0, 100.0, 0.0]);
    }

    #[test]
    fn a_candidate_alone_in_time_is_dropped() {
        let at = |f0_hz: f64| vec![Candidate { f0_hz, score: 3.0 }];
        let mut grid = vec![at(100.0), at(104.0), at(200.0), at(150.0)];
        drop_lonely(&mut grid);
        assert_eq!(grid, [at(100.0), at(104.0), vec![Candidate::default()], at(150.0)]);
    }
}
