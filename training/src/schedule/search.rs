//! The search for levels and scales: descent along one coordinate at a time, from a given start.
//!
//! Levels are told by lambda, half their log-SNR: a stride of 1 is 8.7 dB, whatever the level. Scales, the
//! factors of the predicted noise, go a quarter as far in each stride.

use vocoder::Result;
use vocoder::schedule::{FIRST_LEVEL, LAST_LEVEL, SCALES, Schedule, lambda, level_of_lambda};

/// Most steps for which single levels are moved; above, ends and spacing are enough.
const MOST_MOVED: usize = 12;

/// Least distance of two levels.
const LEAST_GAP: f64 = 0.02;

/// A move of scales for one of levels.
const SCALE_STRIDE: f64 = 0.25;

/// What a schedule is made of.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Candidate {
    /// Of its levels, rising.
    pub lambdas: Vec<f64>,
    /// Of its noise.
    pub scales: Vec<f64>,
}

impl Candidate {
    /// Levels without scales.
    pub fn plain(lambdas: Vec<f64>) -> Self {
        Self { scales: vec![1.0; lambdas.len()], lambdas }
    }

    pub fn schedule(&self) -> Result<Schedule> {
        let levels: Vec<f64> = self.lambdas.iter().map(|l| level_of_lambda(*l)).collect();
        Schedule::explicit(levels)?.scaled(self.scales.clone())
    }
}

/// A candidate and how good it is.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Found {
    pub candidate: Candidate,
    /// The least distance so far.
    pub distance: f64,
}

/// What a search leaves as it is.
#[derive(Debug, Clone, Copy, Default)]
pub struct Held {
    /// The first level stays.
    pub first: bool,
    /// All scales stay 1.
    pub scales: bool,
}

impl Held {
    /// What makes `schedule`; without its scales where they are held at 1.
    pub(super) fn candidate(self, schedule: &Schedule) -> Candidate {
        let lambdas = schedule.levels().iter().map(|l| lambda(*l)).collect();
        match self.scales {
            true => Candidate::plain(lambdas),
            false => {
                let scales = (0..schedule.steps()).map(|step| schedule.scale(step)).collect();
                Candidate { lambdas, scales }
            }
        }
    }
}

/// A way to change a candidate by a stride, which may be negative.
#[derive(Debug, Clone, Copy)]
enum Move {
    /// All alike.
    Shift,
    /// The first, and those between it and the last in proportion.
    First,
    /// The last, and those between it and the first in proportion.
    Last,
    /// A single one, at most half-way to its neighbour.
    Single(usize),
    /// The scale of one step.
    Scale(usize),
}

impl Move {
    /// The moves of `steps` levels, the coarse ones first.
    fn all(steps: usize, held: Held) -> Vec<Self> {
        let mut moves = Vec::new();
        if !held.first {
            moves.push(Self::Shift);
        }
        if !held.first && steps > 1 {
            moves.push(Self::First);
        }
        if steps > 1 {
            moves.push(Self::Last);
        }
        if steps <= MOST_MOVED {
            moves.extend((1..steps.saturating_sub(1)).map(Self::Single));
        }
        if !held.scales {
            // The last step's noise is what stays in the sound.
            let first = if steps <= MOST_MOVED { 0 } else { steps - 1 };
            moves.extend((first..steps).rev().map(Self::Scale));
        }
        moves
    }

    /// The changed candidate, if it still makes a schedule.
    fn apply(self, from: &Candidate, stride: f64) -> Option<Candidate> {
        let lambdas = &from.lambdas;
        let last = lambdas.len() - 1;
        let Candidate { lambdas: mut moved, mut scales } = from.clone();
        match self {
            Self::Shift => moved.iter_mut().for_each(|l| *l += stride),
            Self::First | Self::Last => {
                let (from, to) = (lambdas[0], lambdas[last]);
                let share = |l: f64| (l - from) / (to - from);
                for (l, &old) in moved.iter_mut().zip(lambdas) {
                    let weight =
                        if matches!(self, Self::First) { 1.0 - share(old) } else { share(old) };
                    *l += stride * weight;
                }
            }
            Self::Single(i) => {
                let neighbour = if stride > 0.0 { lambdas[i + 1] } else { lambdas[i - 1] };
                let half = 0.5 * (neighbour - lambdas[i]).abs();
                moved[i] += stride.clamp(-half, half);
            }
            Self::Scale(i) => scales[i] += SCALE_STRIDE * stride,
        }
        let rises = moved.windows(2).all(|pair| pair[1] - pair[0] >= LEAST_GAP);
        let within =
            moved[0] >= lambda(FIRST_LEVEL) - 1e-9 && moved[last] <= lambda(LAST_LEVEL) + 1e-9;
        let scaled = scales.iter().all(|scale| SCALES.contains(scale));
        (rises && within && scaled).then_some(Candidate { lambdas: moved, scales })
    }
}

/// Descends from `best` by moves of each stride in turn, downwards in size. A move that helps is
/// made again, as long as it does.
pub(super) fn descend(
    best: &mut Found,
    held: Held,
    strides: &[f64],
    distance: &mut impl FnMut(&Candidate) -> Result<f64>,
) -> Result<()> {
    for &stride in strides {
        for change in Move::all(best.candidate.lambdas.len(), held) {
            for signed in [stride, -stride] {
                let mut helped = false;
                while let Some(candidate) = change.apply(&best.candidate, signed) {
                    let found = distance(&candidate)?;
                    if found >= best.distance {
                        break;
                    }
                    *best = Found { candidate, distance: found };
                    helped = true;
                }
                if helped {
                    break;
                }
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    const LEVELS: Held = Held { first: false, scales: true };

    /// Least at the levels `goal` and scales of 0.8.
    fn bowl(goal: &[f64]) -> impl FnMut(&Candidate) -> Result<f64> + '_ {
        move |candidate| {
            let levels = candidate.lambdas.iter().zip(goal).map(|(a, b)| (a - b).powi(2));
            Ok(levels.chain(candidate.scales.iter().map(|s| (s - 0.8).powi(2))).sum())
        }
    }

    fn found(lambdas: Vec<f64>) -> Found {
        Found { candidate: Candidate::plain(lambdas), distance: f64::INFINITY }
    }

    #[test]
    fn the_least_distance_is_found() {
        let goal = [0.3, 1.1, 1.9, 3.4];
        for (first, begin) in [(false, -1.0), (true, 0.3)] {
            for scales in [false, true] {
                let mut best = found(vec![begin, 0.9, 2.0, 3.0]);
                let (held, strides) = (Held { first, scales }, [0.8, 0.4, 0.2, 0.1, 0.05]);
                descend(&mut best, held, &strides, &mut bowl(&goal)).unwrap();
                let Candidate { lambdas, scales: found } = &best.candidate;
                let off = lambdas.iter().zip(goal).map(|(a, b)| (a - b).powi(2)).sum::<f64>();
                assert!(off < 0.02, "{best:?}");
                assert!(!first || lambdas[0] == 0.3, "a tied level stays: {best:?}");
                let goal = if scales { 1.0 } else { 0.8 };
                assert!(found.iter().all(|scale| (scale - goal).abs() < 0.02), "{best:?}");
            }
        }
    }

    #[test]
    fn levels_stay_apart_and_in_range() {
        // The goal is out of range and out of order.
        let goal = [-9.0, 9.0, -9.0];
        let mut seen = 0;
        let mut best = found(vec![-1.0, 0.0, 1.0]);
        descend(&mut best, Held::default(), &[1.0, 0.5, 0.25], &mut |candidate| {
            seen += 1;
            let lambdas = &candidate.lambdas;
            assert!(lambdas.windows(2).all(|pair| pair[1] - pair[0] >= LEAST_GAP), "{lambdas:?}");
            assert!(lambdas[0] > -2.6 && lambdas[2] < 7.0, "{lambdas:?}");
            assert!(candidate.schedule().is_ok());
            bowl(&goal)(candidate)
        })
        .unwrap();
        assert!(seen > 10);
    }

    #[test]
    fn of_many_steps_only_the_last_is_scaled() {
        let mut best = found((0..20).map(f64::from).map(|i| -1.0 + 0.2 * i).collect());
        descend(&mut best, Held::default(), &[0.4, 0.2], &mut bowl(&[])).unwrap();
        assert!(best.candidate.scales[..19].iter().all(|scale| *scale == 1.0), "{best:?}");
        assert!((best.candidate.scales[19] - 0.8).abs() < 0.05, "{best:?}");
    }

    #[test]
    fn what_is_known_is_a_candidate() {
        let schedule = Schedule::explicit([0.3, 0.8]).unwrap().scaled([1.0, 0.9]).unwrap();
        let of = |scales| Held { first: false, scales }.candidate(&schedule);
        let close = |a: &[f64], b: &[f64]| a.iter().zip(b).all(|(a, b)| (a - b).abs() < 1e-12);
        let back = of(false).schedule().unwrap();
        assert!(close(back.levels(), schedule.levels()) && back.scale(1) == 0.9, "{back:?}");
        assert_eq!(of(true).scales, [1.0, 1.0]);
    }

    #[test]
    fn one_level_is_a_search_along_a_line() {
        let mut best = found(vec![-1.0]);
        descend(&mut best, LEVELS, &[0.8, 0.4, 0.2, 0.1], &mut bowl(&[1.37])).unwrap();
        assert!((best.candidate.lambdas[0] - 1.37).abs() <= 0.1, "{best:?}");
        let held = Held { first: true, scales: true };
        descend(&mut best, held, &[0.8], &mut |_| unreachable!("nothing is free")).unwrap();
    }
}
