//! What waits for what: sweeps follow each other tile by tile, not as a whole.
//!
//! A trial needs what those before it have made of its tile's frames, and no more. So one part of a clip may be
//! some sweeps ahead of another, and no thread waits for the longest trial of a sweep. What comes out is what one
//! trial after another gives, sweep by sweep, the even tiles of each before the odd ones.

use std::ops::Range;

use super::Tile;

/// How many sweeps a part may be ahead of the last one that has ended everywhere.
const AHEAD: usize = 8;

/// All trials of a clip. Each is known by its number, its place in the order that they stand for.
pub(super) struct Plan {
    pub trials: Vec<Trial>,
    /// The numbers of each sweep's.
    sweeps: Vec<Range<usize>>,
}

pub(super) struct Trial {
    pub sweep: usize,
    /// Which of the sweep's tiles.
    pub index: usize,
    pub tile: Tile,
    /// Those of which each waits for this one.
    followers: [Range<usize>; 3],
    /// For how many it waits itself.
    waits: usize,
}

/// How far a plan has come.
pub(super) struct Progress<'a> {
    plan: &'a Plan,
    /// For how many each trial still waits.
    waits: Vec<usize>,
    /// Of each trial's own frames, after it.
    misfits: Vec<f32>,
    /// How many of each sweep's trials are left.
    left: Vec<usize>,
}

impl Plan {
    /// Of sweeps with these tiles: in order, together the clip, and each sharing frames with those beside it at
    /// most.
    pub fn new(sweeps: impl Iterator<Item = Vec<Tile>>) -> Self {
        let mut plan = Self { trials: Vec::new(), sweeps: Vec::new() };
        for (sweep, tiles) in sweeps.enumerate() {
            let first = plan.trials.len();
            let count = tiles.len();
            let (even, odd): (Vec<_>, Vec<_>) =
                tiles.into_iter().enumerate().partition(|(index, _)| index % 2 == 0);
            let trial = |(index, tile)| {
                // The first waits for no sweep, each other for one to end, and odd tiles for those beside them.
                let beside = if index % 2 == 1 { 1 + usize::from(index + 1 < count) } else { 0 };
                let waits = beside + usize::from(sweep > 0);
                Trial { sweep, index, tile, followers: [0..0, 0..0, 0..0], waits }
            };
            let odds = first + even.len()..first + count;
            plan.trials.extend(even.into_iter().chain(odd).map(trial));
            for number in first..odds.start {
                let beside = odds.start + (number - first);
                plan.trials[number].followers[0] =
                    beside.saturating_sub(1).max(odds.start)..(beside + 1).min(odds.end);
            }
            if let Some(before) = plan.sweeps.last().cloned() {
                plan.chain(before, [first..odds.start, odds]);
            }
            plan.sweeps.push(first..first + count);
        }
        plan
    }

    /// Has trials wait for those of the sweep `before` that they share frames with.
    fn chain(&mut self, before: Range<usize>, parities: [Range<usize>; 2]) {
        for number in before {
            let frames = self.trials[number].tile.frames.clone();
            for (place, parity) in parities.iter().enumerate() {
                let trials = &self.trials[parity.clone()];
                let from = trials.partition_point(|trial| trial.tile.frames.end <= frames.start);
                let to = trials.partition_point(|trial| trial.tile.frames.start < frames.end);
                let shared = parity.start + from..parity.start + to;
                self.trials[shared.clone()].iter_mut().for_each(|trial| trial.waits += 1);
                self.trials[number].followers[1 + place] = shared;
            }
        }
    }

    /// The last sweep.
    pub fn last(&self) -> usize {
        self.sweeps.len().saturating_sub(1)
    }

    /// The sweep that must have ended before `sweep`, not the first, begins.
    fn gate(sweep: usize) -> usize {
        sweep.saturating_sub(AHEAD)
    }
}

impl<'a> Progress<'a> {
    pub fn new(plan: &'a Plan) -> Self {
        Self {
            plan,
            waits: plan.trials.iter().map(|trial| trial.waits).collect(),
            misfits: vec![0.0; plan.trials.len()],
            left: plan.sweeps.iter().map(Range::len).collect(),
        }
    }

    /// The trials that wait for none.
    pub fn ready(&self) -> Vec<usize> {
        (0..self.waits.len()).filter(|number| self.waits[*number] == 0).collect()
    }

    /// The clip's misfit, as tiles of the last sweep that has ended everywhere before this one left it.
    pub fn misfit_before(&self, sweep: usize) -> f32 {
        self.misfits[self.plan.sweeps[Plan::gate(sweep)].clone()].iter().sum()
    }

    /// Those that needn't wait any more when a trial has ended and left its tile's own frames with `misfit`.
    pub fn end(&mut self, number: usize, misfit: f32) -> Vec<usize> {
        let trial = &self.plan.trials[number];
        self.misfits[number] = misfit;
        self.left[trial.sweep] -= 1;
        let mut freed: Vec<usize> = trial.followers.iter().cloned().flatten().collect();
        if self.left[trial.sweep] == 0 {
            let gated = |sweep: &usize| Plan::gate(*sweep) == trial.sweep;
            let later = trial.sweep + 1..self.plan.sweeps.len().min(trial.sweep + AHEAD + 1);
            freed.extend(later.filter(gated).flat_map(|sweep| self.plan.sweeps[sweep].clone()));
        }
        freed.retain(|number| {
            self.waits[*number] -= 1;
            self.waits[*number] == 0
        });
        freed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sweeps of tiles of 24 and 60 frames that begin elsewhere each time, and reach three frames into the next.
    fn plan(frames: usize, sweeps: usize) -> Plan {
        Plan::new((0..sweeps).map(|sweep| {
            let long = if sweep % 2 == 1 { 60 } else { 24 };
            let offset = sweep * 11 % long;
            let tile = |index: usize| {
                let own = (index * long).saturating_sub(offset)
                    ..((index + 1) * long - offset).min(frames);
                let frames = own.start..(own.end + 3).min(frames);
                Tile { own, frames, samples: 0..0 }
            };
            (0..(frames + offset).div_ceil(long)).map(tile).collect()
        }))
    }

    #[test]
    fn every_trial_ends_once_and_after_all_before_it_that_share_frames() {
        for (frames, sweeps) in [(1, 1), (1, 20), (30, 20), (75, 20), (500, 30)] {
            let plan = plan(frames, sweeps);
            let noise = crate::noise::Noise::new(frames as u64);
            for seed in 0..8 {
                let mut progress = Progress::new(&plan);
                let (mut ready, mut ended) = (progress.ready(), vec![false; plan.trials.len()]);
                let mut draws = vec![0.0; plan.trials.len()];
                noise.fill_evenly(seed, &mut draws);
                for draw in draws {
                    // Any of those that may be next.
                    let number = ready.swap_remove((draw * ready.len() as f32) as usize);
                    let trial = &plan.trials[number];
                    for (before, other) in plan.trials[..number].iter().enumerate() {
                        let (a, b) = (&trial.tile.frames, &other.tile.frames);
                        let shared = a.start < b.end && b.start < a.end;
                        assert!(!shared || ended[before], "{number} before {before}");
                        assert!(other.sweep + AHEAD > trial.sweep || ended[before]);
                    }
                    assert!(!std::mem::replace(&mut ended[number], true));
                    ready.extend(progress.end(number, 1.0));
                    ready.sort_unstable();
                }
                assert!(ready.is_empty() && ended.iter().all(|ended| *ended));
            }
        }
    }

    #[test]
    fn the_order_is_the_sweeps_and_the_even_tiles_first() {
        let plan = plan(100, 3);
        let order: Vec<_> = plan.trials.iter().map(|trial| (trial.sweep, trial.index)).collect();
        let first = [(0, 0), (0, 2), (0, 4), (0, 1), (0, 3)];
        assert_eq!(order[..5], first);
        let turned_and_third = [(1, 0), (1, 1), (2, 0), (2, 2), (2, 4), (2, 1), (2, 3), (2, 5)];
        assert_eq!(order[5..], turned_and_third);
        assert_eq!(Progress::new(&plan).ready(), [0, 1, 2]);
    }

    #[test]
    fn a_sweep_goes_by_the_misfit_of_the_last_that_ended_before_it() {
        let plan = plan(100, 12);
        let mut progress = Progress::new(&plan);
        for number in 0..plan.trials.len() {
            let sweep = plan.trials[number].sweep;
            if sweep > 0 {
                let before = sweep.saturating_sub(8);
                let tiles = plan.sweeps[before].len() as f32;
                assert_eq!(progress.misfit_before(sweep), tiles * 2f32.powi(before as i32));
            }
            progress.end(number, 2f32.powi(sweep as i32));
        }
    }
}
