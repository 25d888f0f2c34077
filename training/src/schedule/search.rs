//! The search for levels: descent along one coordinate at a time, from a given start.
//!
//! Levels are told by lambda, half their log-SNR: a stride of 1 is 8.7 dB, whatever the level.

use vocoder::Result;
use vocoder::schedule::{FIRST_LEVEL, LAST_LEVEL, lambda};

/// Most steps for which single levels are moved; above, ends and spacing are enough.
const MOST_MOVED: usize = 12;

/// Least distance of two levels.
const LEAST_GAP: f64 = 0.02;

/// Levels and how good they are.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Found {
    /// Lambdas, rising.
    pub lambdas: Vec<f64>,
    /// The least distance so far.
    pub distance: f64,
}

/// A way to change levels by a stride, which may be negative.
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
}

impl Move {
    /// The moves of `steps` levels, the coarse ones first. A first level that is tied stays.
    fn all(steps: usize, tied: bool) -> Vec<Self> {
        let mut moves = Vec::new();
        if !tied {
            moves.push(Self::Shift);
        }
        if !tied && steps > 1 {
            moves.push(Self::First);
        }
        if steps > 1 {
            moves.push(Self::Last);
        }
        if steps <= MOST_MOVED {
            moves.extend((1..steps.saturating_sub(1)).map(Self::Single));
        }
        moves
    }

    /// The changed levels, if they are still levels.
    fn apply(self, lambdas: &[f64], stride: f64) -> Option<Vec<f64>> {
        let last = lambdas.len() - 1;
        let mut moved = lambdas.to_vec();
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
        }
        let rises = moved.windows(2).all(|pair| pair[1] - pair[0] >= LEAST_GAP);
        let within =
            moved[0] >= lambda(FIRST_LEVEL) - 1e-9 && moved[last] <= lambda(LAST_LEVEL) + 1e-9;
        (rises && within).then_some(moved)
    }
}

/// Descends from `best` by moves of each stride in turn, downwards in size. A move that helps is
/// made again, as long as it does.
pub(super) fn descend(
    best: &mut Found,
    tied: bool,
    strides: &[f64],
    distance: &mut impl FnMut(&[f64]) -> Result<f64>,
) -> Result<()> {
    for &stride in strides {
        for change in Move::all(best.lambdas.len(), tied) {
            for signed in [stride, -stride] {
                let mut helped = false;
                while let Some(lambdas) = change.apply(&best.lambdas, signed) {
                    let found = distance(&lambdas)?;
                    if found >= best.distance {
                        break;
                    }
                    *best = Found { lambdas, distance: found };
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

    /// Least at the levels `goal`.
    fn bowl(goal: &[f64]) -> impl FnMut(&[f64]) -> Result<f64> + '_ {
        move |lambdas| Ok(lambdas.iter().zip(goal).map(|(a, b)| (a - b).powi(2)).sum())
    }

    #[test]
    fn the_least_distance_is_found() {
        let goal = [0.3, 1.1, 1.9, 3.4];
        for (tied, first) in [(false, -1.0), (true, 0.3)] {
            let lambdas = vec![first, 0.9, 2.0, 3.0];
            let mut best = Found { distance: bowl(&goal)(&lambdas).unwrap(), lambdas };
            descend(&mut best, tied, &[0.8, 0.4, 0.2, 0.1, 0.05], &mut bowl(&goal)).unwrap();
            assert!(best.distance < 0.02, "{best:?}");
            assert!(!tied || best.lambdas[0] == 0.3, "a tied level stays: {best:?}");
        }
    }

    #[test]
    fn levels_stay_apart_and_in_range() {
        // The goal is out of range and out of order.
        let goal = [-9.0, 9.0, -9.0];
        let mut seen = 0;
        let mut best = Found { lambdas: vec![-1.0, 0.0, 1.0], distance: f64::INFINITY };
        descend(&mut best, false, &[1.0, 0.5, 0.25], &mut |lambdas| {
            seen += 1;
            assert!(lambdas.windows(2).all(|pair| pair[1] - pair[0] >= LEAST_GAP), "{lambdas:?}");
            assert!(lambdas[0] > -2.6 && lambdas[2] < 7.0, "{lambdas:?}");
            bowl(&goal)(lambdas)
        })
        .unwrap();
        assert!(seen > 10);
    }

    #[test]
    fn one_level_is_a_search_along_a_line() {
        let mut best = Found { lambdas: vec![-1.0], distance: f64::INFINITY };
        descend(&mut best, false, &[0.8, 0.4, 0.2, 0.1], &mut bowl(&[1.37])).unwrap();
        assert!((best.lambdas[0] - 1.37).abs() <= 0.1, "{best:?}");
        descend(&mut best, true, &[0.8], &mut |_| unreachable!("nothing is free")).unwrap();
    }
}
