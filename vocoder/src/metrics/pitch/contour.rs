//! Harvest's last step: from the candidates of each frame to one smooth contour (Morise 2017, section
//! 2.4; the constants are WORLD's).

use std::ops::RangeInclusive;

use super::harvest::Candidate;
use super::smooth::smoothed;

/// The candidates of each frame; all have as many.
pub(super) type Grid = Vec<Vec<Candidate>>;

/// A jump of more than this share from the frame before, and from the line through the two before, is
/// no voice's.
const JUMP: f64 = 0.008;

/// Least frames less one of a voiced section.
const SHORTEST: usize = 6;

/// How far a section may be lengthened into frames, each within [`NEAR`] of the one before, and how
/// many frames in a row may have no such candidate.
const FARTHEST: usize = 100;
const NEAR: f64 = 0.18;
const MOST_MISSING: usize = 4;

/// A section must have more periods than this many milliseconds' worth: 2200 ms Hz.
const LEAST_PERIODS: f64 = 2200.0;

/// Shorter gaps, in frames, are filled.
const GAP: usize = 9;

/// A voiced section: the first and last frame, and its pitch from the frame `from` on, with room to grow.
#[derive(Clone, Debug)]
struct Section {
    first: usize,
    last: usize,
    from: usize,
    f0_hz: Vec<f64>,
}

impl Section {
    fn new(contour: &[f64], first: usize, last: usize) -> Self {
        let from = first.saturating_sub(FARTHEST + 1);
        let mut f0_hz = vec![0.0; (last + FARTHEST + 2).min(contour.len()) - from];
        f0_hz[first - from..=last - from].copy_from_slice(&contour[first..=last]);
        Self { first, last, from, f0_hz }
    }

    /// The pitch of a frame; 0 outside.
    fn at(&self, frame: usize) -> f64 {
        let place = frame.checked_sub(self.from);
        place.and_then(|place| self.f0_hz.get(place)).copied().unwrap_or(0.0)
    }
}

/// The pitch of each frame in Hz, 0 where there is none.
pub(super) fn contour(grid: &Grid) -> Vec<f64> {
    let mut f0_hz: Vec<f64> = grid.iter().map(|frame| best(frame)).collect();
    f0_hz = without_jumps(&f0_hz);
    for (first, last) in voiced(&f0_hz) {
        if last - first < SHORTEST {
            f0_hz[first..=last].fill(0.0);
        }
    }
    let section = |(first, last)| Section::new(&f0_hz, first, last);
    let mut sections: Vec<Section> = voiced(&f0_hz).into_iter().map(section).collect();
    sections.iter_mut().for_each(|section| lengthen(section, grid));
    let long = of_enough_periods(sections);
    if !long.is_empty() {
        f0_hz = merged(&long, grid);
    }
    fill_gaps(&mut f0_hz);
    smoothed(&f0_hz)
}

/// The pitch of the first candidate of the highest score.
fn best(frame: &[Candidate]) -> f64 {
    let best =
        frame.iter().fold(Candidate::default(), |a, b| if b.score > a.score { *b } else { a });
    best.f0_hz
}

fn without_jumps(f0_hz: &[f64]) -> Vec<f64> {
    let mut kept = vec![0.0; f0_hz.len()];
    for (kept, three) in kept.iter_mut().skip(2).zip(f0_hz.windows(3)) {
        let (now, before) = (three[2], three[1]);
        let line = 2.0 * before - three[0];
        // Where there was no pitch before, both are infinite.
        let jumps = ((now - line) / line).abs() > JUMP && (now - before).abs() / before > JUMP;
        *kept = if jumps { 0.0 } else { now };
    }
    kept
}

/// First and last frame of each run of pitches. The first and the last frame of all belong to none.
pub(super) fn voiced(f0_hz: &[f64]) -> Vec<(usize, usize)> {
    let end = f0_hz.len().saturating_sub(1);
    let mut runs: Vec<(usize, usize)> = Vec::new();
    for i in (1..end).filter(|&i| f0_hz[i] > 0.0) {
        match runs.last_mut() {
            Some((_, last)) if *last + 1 == i => *last = i,
            _ => runs.push((i, i)),
        }
    }
    runs
}

/// Follows the candidates on from both ends.
fn lengthen(section: &mut Section, grid: &Grid) {
    let end = grid.len() - 1;
    let after = section.last + 1..=(section.last + FARTHEST).min(end - 1) + 1;
    section.last = follow(section, section.last, after, grid);
    let before = section.first.saturating_sub(FARTHEST).max(1) - 1..=section.first - 1;
    section.first = follow(section, section.first, before.rev(), grid);
}

/// Takes of each of `frames` the candidate nearest to the last one found, from that of `origin` on, and
/// says which frame is the last with one.
fn follow(
    section: &mut Section,
    origin: usize,
    frames: impl Iterator<Item = usize>,
    grid: &Grid,
) -> usize {
    let (mut reached, mut missing) = (origin, 0);
    let mut f0_hz = section.at(origin);
    for frame in frames {
        let found = nearest(f0_hz, &grid[frame]);
        section.f0_hz[frame - section.from] = found;
        if found > 0.0 {
            (f0_hz, reached, missing) = (found, frame, 0);
        } else {
            missing += 1;
        }
        if missing == MOST_MISSING {
            break;
        }
    }
    reached
}

/// The last of the candidates nearest to `f0_hz` and within [`NEAR`] of it, or 0.
fn nearest(f0_hz: f64, frame: &[Candidate]) -> f64 {
    let (mut best, mut least) = (0.0, NEAR);
    for candidate in frame {
        let apart = (f0_hz - candidate.f0_hz).abs() / f0_hz;
        if apart <= least {
            (best, least) = (candidate.f0_hz, apart);
        }
    }
    best
}

/// The sections that are long enough.
fn of_enough_periods(mut sections: Vec<Section>) -> Vec<Section> {
    // Note: WORLD's mean goes on from that of the section before, which hardly changes it; kept, so
    // that the same sections stay.
    let mut mean = 0.0;
    sections.retain(|section| {
        let frames = (section.last - section.first) as f64;
        mean += (section.first..section.last).map(|frame| section.at(frame)).sum::<f64>();
        mean /= frames;
        LEAST_PERIODS / mean < frames
    });
    sections
}

/// One contour of sections that may overlap.
fn merged(sections: &[Section], grid: &Grid) -> Vec<f64> {
    let take = |contour: &mut [f64], section: &Section, frames: RangeInclusive<usize>| {
        frames.for_each(|frame| contour[frame] = section.at(frame));
    };
    let mut f0_hz = vec![0.0; grid.len()];
    take(&mut f0_hz, &sections[0], 0..=grid.len() - 1);
    let mut bounds: Vec<(usize, usize)> = sections.iter().map(|s| (s.first, s.last)).collect();
    for &i in order(&bounds).iter().skip(1) {
        let (first, last) = bounds[i];
        if first > bounds[0].1 {
            take(&mut f0_hz, &sections[i], first..=last);
            bounds[0] = (first, last);
        } else if first < bounds[0].0 || last > bounds[0].1 {
            let until = bounds[0].1;
            let sum = |contour: &dyn Fn(usize) -> f64| -> f64 {
                (first..=until).map(|frame| score(contour(frame), &grid[frame])).sum()
            };
            let better = sum(&|frame| f0_hz[frame]) > sum(&|frame| sections[i].at(frame));
            take(&mut f0_hz, &sections[i], if better { until } else { first }..=last);
            bounds[0].1 = last;
        }
    }
    f0_hz
}

/// The sections by their first frame. Note: WORLD's sort, which moves a section back as long as what
/// stood there before is later, comparing with what has just moved; sections come nearly sorted.
fn order(bounds: &[(usize, usize)]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..bounds.len()).collect();
    for i in 1..order.len() {
        for j in (0..i).rev() {
            if bounds[order[j]].0 <= bounds[order[i]].0 {
                break;
            }
            order.swap(i, j);
        }
    }
    order
}

/// The highest score of a frame's candidates of exactly this pitch, or 0.
fn score(f0_hz: f64, frame: &[Candidate]) -> f64 {
    let same = frame.iter().filter(|candidate| candidate.f0_hz == f0_hz);
    same.map(|candidate| candidate.score).fold(0.0, f64::max)
}

/// Draws lines over short gaps. Note: they begin 1 Hz above and end 1 Hz below, as WORLD's do.
fn fill_gaps(f0_hz: &mut [f64]) {
    let runs = voiced(f0_hz);
    for pair in runs.windows(2) {
        let (before, after) = (pair[0].1, pair[1].0);
        let missing = after - before - 1;
        if missing >= GAP {
            continue;
        }
        let (from, to) = (f0_hz[before] + 1.0, f0_hz[after] - 1.0);
        let slope = (to - from) / (missing as f64 + 1.0);
        for i in 1..=missing {
            f0_hz[before + i] = from + slope * i as f64;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grid(f0_hz: &[f64]) -> Grid {
        f0_hz.iter().map(|&f0_hz| vec![Candidate { f0_hz, score: 3.0 }]).collect()
    }

    #[test]
    fn jumps_and_runs_are_told() {
        // The second of two frames is the first that can be trusted; 107 is 7 % off.
        let kept = without_jumps(&[0.0, 100.0, 100.4, 100.9, 107.0, 107.1]);
        assert_eq!(kept, [0.0, 0.0, 100.4, 100.9, 0.0, 107.1]);
        assert_eq!(voiced(&[1.0, 1.0, 0.0, 2.0, 3.0, 0.0, 4.0]), [(1, 1), (3, 4)]);
        assert_eq!(voiced(&[]), []);
    }

    #[test]
    fn sections_follow_near_candidates_over_holes() {
        let mut f0_hz = [100.0; 20];
        // A hole of three frames is stepped over, one of four is not.
        f0_hz[12..15].fill(0.0);
        f0_hz[2..6].fill(0.0);
        let grid = grid(&f0_hz);
        let mut own = vec![0.0; 20];
        own[8..=10].fill(100.0);
        let mut section = Section::new(&own, 8, 10);
        lengthen(&mut section, &grid);
        assert_eq!((section.first, section.last), (6, 19));
        assert_eq!(nearest(100.0, &[Candidate { f0_hz: 118.1, score: 9.0 }]), 0.0);
    }

    #[test]
    fn gaps_are_filled_and_sections_merged() {
        let mut f0_hz = vec![0.0, 100.0, 0.0, 0.0, 105.0, 0.0];
        fill_gaps(&mut f0_hz);
        // From 101 to 104 in three strides of 1.
        assert_eq!(f0_hz, [0.0, 100.0, 102.0, 103.0, 105.0, 0.0]);

        // Where two overlap, the one with better candidates stays.
        let section = |first: usize, last: usize, value: f64| {
            let mut f0_hz = vec![0.0; 10];
            f0_hz[first..=last].fill(value);
            Section::new(&f0_hz, first, last)
        };
        let candidates =
            vec![Candidate { f0_hz: 100.0, score: 3.0 }, Candidate { f0_hz: 200.0, score: 5.0 }];
        let both = merged(&[section(1, 5, 100.0), section(4, 8, 200.0)], &vec![candidates; 10]);
        assert_eq!(both, [0.0, 100.0, 100.0, 100.0, 200.0, 200.0, 200.0, 200.0, 200.0, 0.0]);
        assert_eq!(order(&[(1, 2), (5, 6), (3, 4)]), [0, 2, 1]);
    }
}
